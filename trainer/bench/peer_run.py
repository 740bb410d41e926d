"""Whole runs of airbench's main() on our copy of the data, for `trainer bench accuracy --against`.

On a GPU their code runs as it is. Without one, words of its text are replaced: the device, the number format (bfloat16
if the processor has products of it, else float32) and CUDA's clock. Nothing of theirs is here.
"""

import atexit
import os
import shutil
import tempfile
import time
import types
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from pydantic import TypeAdapter

from trainer.bench.peers import PEERS
from trainer.config.data import Data
from trainer.data.sources import load_image_set
from trainer.runs.provenance import bfloat16_instructions

_FILE = PEERS["airbench"]


class _Event:
    """A moment by the processor's clock, in the form of torch.cuda.Event."""

    def __init__(self, *, enable_timing: bool) -> None:
        assert enable_timing
        self.at = 0.0

    def record(self) -> None:
        self.at = time.perf_counter()

    def elapsed_time(self, end: "_Event") -> float:
        """Return milliseconds."""
        return 1e3 * (end.at - self.at)


def airbench_run(checkout: Path, data: str) -> tuple[str, Callable[[], dict[str, float]]]:
    """Return what is trained, and a run of it: `accuracy` with all views, and `seconds` without `evaluation`."""
    gpu = torch.cuda.is_available()
    name = "half" if gpu else "bfloat16" if bfloat16_instructions() else "float"
    theirs = _on_cpu((checkout / _FILE).read_text(encoding="utf-8"), name) if not gpu else _as_it_is(checkout / _FILE)
    _write_data(data)
    seen: dict[bool, dict[str, Any]] = {}
    theirs.print_training_details = lambda variables, is_final_entry: seen.update({is_final_entry: dict(variables)})
    net = theirs.CifarNet().to("cuda" if gpu else "cpu").to(memory_format=torch.channels_last)
    if gpu:
        net.compile(mode="max-autotune")
        theirs.main("warmup", net)  # as its own script does, untimed

    def run() -> dict[str, float]:
        accuracy = float(theirs.main(0, net))
        trained, whole = seen[False]["time_seconds"], seen[True]["time_seconds"]
        return {"accuracy": accuracy, "seconds": trained, "evaluation": whole - trained}

    return f"airbench94_muon, {name}", run


def _write_data(data: str) -> None:
    """Write both splits as its loader keeps them, and work in the folder where it looks for them."""
    image_set = load_image_set(TypeAdapter(Data).validate_json(data), seed=0)
    folder = Path(tempfile.mkdtemp(prefix="airbench-"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    (folder / "cifar10").mkdir()
    for name, split in (("train", image_set.train), ("test", image_set.test)):
        content = {"images": split.images.permute(0, 2, 3, 1), "labels": split.labels}
        torch.save(content | {"classes": list(image_set.class_names)}, folder / "cifar10" / f"{name}.pt")
    os.chdir(folder)


def _on_cpu(text: str, name: str) -> Any:
    for theirs, ours in (
        ('torch.device("cuda")', 'torch.device("cpu")'),
        (".half()", f".{name}()"),
        ("torch.cuda.Event", "_Event"),
        ("torch.cuda.synchronize()", "None"),
    ):
        text = text.replace(theirs, ours)
    module = types.ModuleType("airbench")
    vars(module)["_Event"] = _Event
    exec(compile(text, _FILE, "exec"), vars(module))
    return module


def _as_it_is(path: Path) -> Any:
    from trainer.bench.peer import import_file

    return import_file(path)
