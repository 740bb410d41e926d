"""Whole runs of the main() of a script of airbench's on our copy of the data, for `trainer bench accuracy --against`.

On a GPU their code runs as it is. Without one, words of its text are replaced: the device, the number format (bfloat16
if the processor has products of it, else float32) and CUDA's clock. Nothing of theirs is here.
"""

import atexit
import os
import shutil
import tempfile
import time
import types
from collections.abc import Callable, Iterator
from inspect import signature
from pathlib import Path
from typing import Any

import torch
from pydantic import TypeAdapter

from trainer.config.data import Data
from trainer.data.sources import load_image_set
from trainer.errors import UserError
from trainer.runs.provenance import bfloat16_instructions

_CLOCKS = ("time_seconds", "total_time_seconds")  # a name of main()'s own seconds in each script


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


def airbench_run(script: Path, data: str) -> tuple[str, Callable[[], dict[str, float]]]:
    """Return what is trained, and a run of it: `accuracy` with all views, and `seconds` without `evaluation`.

    Raises UserError for a script whose main() takes what none of airbench's took.
    """
    gpu = torch.cuda.is_available()
    name = "half" if gpu else "bfloat16" if bfloat16_instructions() else "float"
    theirs = _as_it_is(script) if gpu else _on_cpu(script.read_text(encoding="utf-8"), name)
    _write_data(data)
    seen: dict[bool, dict[str, Any]] = {}
    theirs.print_training_details = lambda variables, is_final_entry: seen.update({is_final_entry: dict(variables)})
    made = [*_made(theirs, gpu=gpu)]
    if gpu:
        theirs.main("warmup", *made)  # untimed, as at the foot of their scripts

    def run() -> dict[str, float]:
        accuracy = float(theirs.main(0, *made))
        trained, whole = (next(seen[last][clock] for clock in _CLOCKS if clock in seen[last]) for last in (False, True))
        return {"accuracy": accuracy, "seconds": trained, "evaluation": whole - trained}

    return f"{script.stem}, {name}", run


def _made(theirs: Any, *, gpu: bool) -> Iterator[Any]:
    """Yield what main() takes besides the name of its run, made as at the foot of the script."""
    best = "max-autotune" if gpu else "default"
    for name in [*signature(theirs.main).parameters][1:]:
        match name:
            case "hyp":
                yield theirs.hyp
            case "model":
                net = theirs.CifarNet().to("cuda" if gpu else "cpu").to(memory_format=torch.channels_last)
                if gpu:
                    net.compile(mode=best)
                yield net
            case "model_proxy" | "model_trainbias" | "model_freezebias":
                sizes = [theirs.hyp["proxy" if name == "model_proxy" else "net"]]
                net = theirs.make_net(*(sizes if signature(theirs.make_net).parameters else []))
                net[0].bias.requires_grad = name == "model_trainbias"
                yield torch.compile(net, mode=best)  # their main() asks for compiled ones
            case _:
                raise UserError(f"its main() takes {name}, which no known script of airbench's does")


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
        ("torch.device(gpu)", 'torch.device("cpu")'),
        ("map_location='cuda'", "map_location='cpu'"),
        (".cuda()", ""),
        (".half()", f".{name}()"),
        ("torch.half", f"torch.{name}"),
        ("torch.cuda.Event", "_Event"),
        ("torch.cuda.synchronize()", "None"),
    ):
        text = text.replace(theirs, ours)
    module = types.ModuleType("airbench")
    vars(module)["_Event"] = _Event
    exec(compile(text, "airbench", "exec"), vars(module))
    return module


def _as_it_is(path: Path) -> Any:
    from trainer.bench.peer import import_file

    return import_file(path)
