"""One side of `trainer bench peers`, as a process: `python -m trainer.bench.peer NAME CHECKOUT IMAGES`.

It says {"about": ...} when it is ready, then answers each line on stdin with {"seconds": ...} of an epoch. A side that
trains whole runs (peer_run.py) gets its data in the place of IMAGES, and answers with {"run": {...}}.
"""

import ast
import contextlib
import importlib.util
import json
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import torch
from PIL import Image
from torch import nn

from trainer.bench.step import noise
from trainer.errors import UserError, first_line

BATCH = 128


def main(name: str, checkout: str, argument: str) -> None:
    try:
        if name == "airbench run":
            from trainer.bench.peer_run import airbench_run

            about, run = airbench_run(Path(checkout), argument)
            _say(about=_with_threads(about))
            for _ in sys.stdin:
                _say(run=run())
            return
        about, epoch = _side(name)(Path(checkout), int(argument))
        if epoch:
            _say(about=_with_threads(about))
            for _ in sys.stdin:
                start = time.perf_counter()
                epoch()
                _say(seconds=time.perf_counter() - start)
    except Exception as error:  # of code that is not ours, in any version
        _say(error=f"{type(error).__name__}: {first_line(error)}")


def _say(**content: Any) -> None:
    print(json.dumps(content), flush=True)


Made = tuple[str, Callable[[], object] | None]
"""The network that a side trains, and an epoch of it, or None if it has answered all lines itself."""


def _with_threads(about: str) -> str:
    return about if torch.cuda.is_available() else f"{about}, threads {torch.get_num_threads()}"


def _side(name: str) -> Callable[[Path, int], Made]:
    return ours(name.removeprefix("ours ")) if name.startswith("ours ") else SIDES[name]


def ours(network: str) -> Callable[[Path, int], Made]:
    def make(_: Path, images: int) -> Made:
        from trainer.config import load_config
        from trainer.training.device import choose_compute, keep_freed_memory
        from trainer.training.loop import Loop
        from trainer.training.numerics import numerics
        from trainer.training.run import build_parts

        words = [f"model.name={network}", f"train.batch_size={BATCH}", "sink.wandb.mode=disabled"]
        config = load_config(words, recipe="none").config
        compute = choose_compute(config.train)
        keep_freed_memory(compute.device)
        parts = build_parts(config, compute, noise(images))
        loop = Loop(parts, [], keep=lambda *_: None, stop_requested=lambda: False)

        def epoch() -> None:
            parts.model.train()
            with numerics(config.train, parts.model):
                for batch in parts.batches.epoch(loop.counters.epoch):
                    loop.train_batch(*batch)
            loop.counters.epoch, loop.counters.step_in_epoch = loop.counters.epoch + 1, 0
            compute.synchronize()

        return f"{config.model.name}, batch {config.train.batch_size}, {compute.precision}", epoch

    return make


def pytorch_cifar(checkout: Path, images: int) -> Made:
    """Return the function `train` of main.py with its transforms, loader and optimizer, on its ResNet18."""
    resnet = import_file(checkout / "models" / "resnet.py")
    device = "cuda" if torch.cuda.is_available() else "cpu"
    space = {
        "net": resnet.ResNet18().to(device),
        "device": device,
        "args": SimpleNamespace(lr=0.1),
        "progress_bar": lambda *_: None,  # it asks for the width of a terminal
    }
    source = ast.parse((checkout / "main.py").read_text(encoding="utf-8"))
    _run(source, space, lambda node: isinstance(node, ast.Import) or _assigns(node, "transform_train"))
    space["trainset"] = _Noise(images, space["transform_train"])
    wanted = ("trainloader", "criterion", "optimizer")
    _run(source, space, lambda node: _assigns(node, *wanted) or getattr(node, "name", "") == "train")
    return f"ResNet18, batch {space['trainloader'].batch_size}, float32", lambda: space["train"](0)


def airbench(checkout: Path, images: int) -> Made:
    """Return steps of its network, crops, flips and optimizers as in main(), which itself needs CUDA and CIFAR-10."""
    theirs = import_file(checkout / "airbench94_muon.py")
    device = "cuda" if torch.cuda.is_available() else "cpu"
    net = theirs.CifarNet().to(device).to(memory_format=torch.channels_last)
    dtype = torch.float16
    if device == "cpu":  # half precision has no fast kernels there
        dtype = torch.bfloat16
        for layer in net.modules():
            layer.to(torch.float32 if isinstance(layer, theirs.BatchNorm) else dtype)
    net.reset()
    trained = {name: p for name, p in net.named_parameters() if p.requires_grad}
    filters = [p for p in trained.values() if p.ndim == 4]
    others = [p for p in trained.values() if p.ndim != 4]
    optimizers = [
        torch.optim.SGD(others, lr=0.05, momentum=0.85, nesterov=True, fused=True),
        theirs.Muon(filters, lr=0.24, momentum=0.6, nesterov=True),
    ]
    split = noise(images).train
    pixels = (split.images.to(device, dtype) / 255).contiguous(memory_format=torch.channels_last)
    labels, padded = split.labels.to(device), nn.functional.pad(theirs.batch_flip_lr(pixels), (2,) * 4, "reflect")
    batch = min(2000, images)

    def epoch() -> None:
        net.train()
        order = torch.randperm(images, device=device)
        cropped = theirs.batch_crop(padded, 32)
        for chosen in order.split(batch):
            logits = net(cropped[chosen])
            nn.functional.cross_entropy(logits, labels[chosen], label_smoothing=0.2, reduction="sum").backward()
            for optimizer in optimizers:
                optimizer.step()
            net.zero_grad(set_to_none=True)
        if device == "cuda":
            torch.cuda.synchronize()

    return f"CifarNet, batch {batch}, {dtype}".replace("torch.", ""), epoch


def timm(checkout: Path, images: int) -> Made:
    """Run train.py on a folder of pictures, and answer from the epochs that it trains."""
    sys.path.insert(0, str(checkout))
    device = "cuda" if torch.cuda.is_available() else "cpu"
    with tempfile.TemporaryDirectory() as place:
        for split in ("train", "validation"):
            _pictures(Path(place) / split, images)
        sys.argv = [
            "train.py", place, "--model", "resnet18", "--num-classes", "10", "--img-size", "32", "--batch-size",
            str(BATCH), "--workers", "2", "--device", device, "--opt", "sgd", "--lr", "0.1", "--epochs", "1000000",
            "--output", f"{place}/out", "--log-interval", "1000000",
        ]  # fmt: skip
        theirs = import_file(checkout / "train.py")
        train = theirs.train_one_epoch

        def timed(*args: Any, **kwargs: Any) -> Any:
            if not sys.stdin.readline():
                raise EOFError
            start = time.perf_counter()
            metrics = train(*args, **kwargs)
            _say(seconds=time.perf_counter() - start)
            return metrics

        theirs.train_one_epoch = timed
        theirs.validate = lambda *_, **__: {"loss": 0.0, "top1": 0.0, "top5": 0.0}
        about = f"resnet18, batch {BATCH}, float32"
        _say(about=_with_threads(about))
        with contextlib.suppress(EOFError):
            theirs.main()
    return about, None


def _pictures(folder: Path, count: int) -> None:
    """Write the images of noise as an ImageFolder has them."""
    split = noise(count).train
    for i, (image, label) in enumerate(zip(split.images, split.labels.tolist(), strict=True)):
        of_class = folder / str(label)
        of_class.mkdir(parents=True, exist_ok=True)
        Image.fromarray(image.permute(1, 2, 0).numpy()).save(of_class / f"{i}.png")


class _Noise(torch.utils.data.Dataset[tuple[Any, int]]):
    """Images of noise as torchvision's CIFAR10 gives them: PIL, transformed on access."""

    def __init__(self, count: int, transform: Callable[[Any], Any]) -> None:
        split = noise(count).train
        self._pixels, self._labels = split.images.permute(0, 2, 3, 1).numpy(), split.labels.tolist()
        self._transform = transform

    def __len__(self) -> int:
        return len(self._labels)

    def __getitem__(self, index: int) -> tuple[Any, int]:
        return self._transform(Image.fromarray(self._pixels[index])), self._labels[index]


def import_file(path: Path) -> Any:
    """Import a checkout's file as a module. Raises UserError."""
    spec = importlib.util.spec_from_file_location(f"peer_{path.stem}", path)
    if spec is None or spec.loader is None:
        raise UserError(f"{path}: cannot be imported")
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


def _run(source: ast.Module, space: dict[str, Any], wanted: Callable[[ast.stmt], bool]) -> None:
    """Run the statements of a script that are wanted, in the given names."""
    body = [node for node in source.body if wanted(node)]
    exec(compile(ast.Module(body, []), "main.py", "exec"), space)


def _assigns(node: ast.stmt, *names: str) -> bool:
    targets = node.targets if isinstance(node, ast.Assign) else []
    return any(isinstance(target, ast.Name) and target.id in names for target in targets)


SIDES: dict[str, Callable[[Path, int], Made]] = {
    "pytorch-cifar": pytorch_cifar,
    "airbench": airbench,
    "timm": timm,
}

if __name__ == "__main__":
    main(*sys.argv[1:])
