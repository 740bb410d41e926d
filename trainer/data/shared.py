"""Images that the processes of a sweep have together: the first writes them into a file, and all map it.

CIFAR-10 is 154 MB as it is read and 480 MB padded and mirrored. Two runs at once on a CPU would have each twice.
"""

import contextlib
import hashlib
import math
import os
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from trainer.errors import DiskError
from trainer.files import alone_in

if TYPE_CHECKING:  # the process of a sweep needs no torch
    from torch import Tensor

FOLDER = "TRAINER_SHARED_IMAGES"
"""Environment variable: the folder of such files. Without it, and where it has no room, a process keeps its own."""

_MOST = 4
"""Files that are kept: with other seeds a validation set is another one, and each would stay until the sweep ends."""


@contextmanager
def shared_images() -> Iterator[dict[str, str]]:
    """Yield the environment of processes that are to share their images. The files are gone after the block.

    It is empty on a system that cannot reserve room for a file, such as macOS.
    """
    if not hasattr(os, "posix_fallocate"):
        yield {}
        return
    with tempfile.TemporaryDirectory(prefix="trainer-images-", ignore_cleanup_errors=True) as folder:
        yield {FOLDER: folder}


def one_copy(images: "Tensor", made: str, shape: Sequence[int], fill: "Callable[[Tensor], object]") -> "Tensor":
    """Return uint8 `shape` as `fill` writes it, a function of `images` [N, C, H, W] that `made` tells from others.

    Nobody may write into it. On a GPU, and without a folder, it is this process's own.
    """
    folder = os.environ.get(FOLDER)
    if folder and images.device.type == "cpu":
        with contextlib.suppress(OSError, DiskError, RuntimeError):  # no room, or gone with the sweep
            return _mapped(images, made, shape, fill, Path(folder))
    own = images.new_empty(*shape)
    fill(own)
    return own


def _mapped(
    images: "Tensor", made: str, shape: Sequence[int], fill: "Callable[[Tensor], object]", folder: Path
) -> "Tensor":
    import torch

    name = hashlib.blake2b(made.encode(), digest_size=16)
    name.update(images.permute(0, 2, 3, 1).contiguous().numpy().data)
    file, size = folder / name.hexdigest(), math.prod(shape)
    with alone_in(folder):
        if not file.exists():
            part = file.with_suffix(".part")  # of one that was killed, perhaps
            try:
                with part.open("wb") as opened:
                    os.posix_fallocate(opened.fileno(), 0, size)  # or a full disk would end the process in the midst
                fill(torch.from_file(str(part), shared=True, size=size, dtype=torch.uint8).view(*shape))
                part.rename(file)
            finally:
                part.unlink(missing_ok=True)
        os.utime(file)
        for old in sorted(folder.iterdir(), key=lambda path: path.stat().st_mtime_ns)[:-_MOST]:
            old.unlink()  # who maps it keeps it
        return torch.from_file(str(file), shared=False, size=size, dtype=torch.uint8).view(*shape)
