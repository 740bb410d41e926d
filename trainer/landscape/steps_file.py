"""Lanczos steps on disk while a measurement is unfinished. Resuming needs the whole basis."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from trainer.files import disk_errors


class StepsFile:
    """One record per step: alpha and beta in float64, the next basis vector [P]. An incomplete record is made again."""

    def __init__(self, path: Path, size: int, dtype: torch.dtype) -> None:
        self.path = path
        vector = torch.empty(0, dtype=dtype).numpy().dtype
        self._record = np.dtype([("alpha", np.float64), ("beta", np.float64), ("vector", vector, (size,))])

    def read(self) -> Iterator[tuple[float, float, Tensor]]:
        """Yield the complete steps. Remove an incomplete one from the file."""
        with disk_errors(self.path), self.path.open("a+b") as file:
            file.truncate(file.tell() - file.tell() % self._record.itemsize)
            file.seek(0)
            while record := file.read(self._record.itemsize):
                step = np.frombuffer(bytearray(record), self._record)[0]
                yield float(step["alpha"]), float(step["beta"]), torch.from_numpy(step["vector"])

    def add(self, alpha: float, beta: float, following: Tensor) -> None:
        step = np.array((alpha, beta, following.cpu().numpy()), self._record)
        with disk_errors(self.path), self.path.open("ab") as file:
            file.write(step.tobytes())

    def remove(self) -> None:
        self.path.unlink(missing_ok=True)
