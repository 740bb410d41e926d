"""Checkpoints that are whole or absent, and that run no code when read."""

import io
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

from trainer.errors import CheckpointError
from trainer.files import write_whole

FORMAT = 3  # raised when a checkpoint of an older trainer can no longer be read


def save_checkpoint(path: Path, content: Mapping[str, Any]) -> None:
    """Write tensors and plain values, which `weights_only=True` loads. Raises DiskError."""
    buffer = io.BytesIO()
    torch.save({"format": FORMAT, **content}, buffer)
    write_whole(path, buffer.getvalue())


def load_checkpoint(path: Path) -> dict[str, Any]:
    """Return a checkpoint on the CPU. Raises CheckpointError for a missing, unreadable, damaged or foreign file."""
    try:
        file = path.open("rb")
    except FileNotFoundError as error:
        raise CheckpointError(f"{path}: there is no such checkpoint") from error
    except OSError as error:
        raise CheckpointError(f"{path}: cannot be read: {error.strerror or error}") from error
    with file:
        try:
            content = torch.load(file, map_location="cpu", weights_only=True)
        except MemoryError:  # no fault of the file
            raise
        except Exception as error:  # for a foreign file the unpickler can raise nearly anything
            raise CheckpointError(f"{path}: damaged or not a checkpoint ({type(error).__name__})") from error
    if not isinstance(content, dict) or content.get("format") != FORMAT:
        raise CheckpointError(f"{path}: not a checkpoint of this trainer (format {FORMAT})")
    return content
