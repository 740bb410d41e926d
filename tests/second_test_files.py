"""Second test sets in their own files, in small."""

from pathlib import Path
from typing import Any

import numpy as np
from data_refused import levels

from trainer.data.second_tests import CORRUPTIONS


def write_new_test(root: Path, count: int = 20) -> Path:
    """Write CIFAR-10.1 with `count` images."""
    np.save(root / "cifar10.1_v6_data.npy", levels(count, 32, 32, 3))
    np.save(root / "cifar10.1_v6_labels.npy", np.arange(count, dtype=np.int32) % 10)
    return root


def write_corrupted(root: Path, count: int = 10) -> Path:
    """Write CIFAR-10-C with `count` images a severity, and one of the four corruptions for validation."""
    folder = root / "CIFAR-10-C"
    folder.mkdir()
    np.save(folder / "labels.npy", np.tile(np.arange(count, dtype=np.uint8) % 10, 5))
    for number, name in enumerate([*CORRUPTIONS, "spatter"]):
        np.save(folder / f"{name}.npy", levels(5 * count, 32, 32, 3, seed=number))
    return root


def write_npz(path: Path, count: int = 6, *, classes: int = 2, side: int = 8, seed: int = 0, **more: Any) -> Path:
    """Write images with `classes` classes in turn, in colour, and what more there is."""
    np.savez(path, x=levels(count, side, side, 3, seed=seed), y=np.arange(count) % classes, **more)
    return path
