"""Speed of the data pipeline: images per second, compared with torchvision's transforms in a DataLoader."""

import time
from collections.abc import Callable, Iterator
from functools import partial
from itertools import count
from typing import Any

import torch
from PIL import Image
from torch import Tensor
from torch.utils.data import DataLoader, Dataset
from torchvision import transforms as v1
from torchvision.transforms import v2

from trainer.bench.rounds import in_turns, ratio, result, spread
from trainer.config.augment import Augment, ColorJitter, RandomErasing
from trainer.data.batches import Normalize, TrainingBatches
from trainer.data.images import ImageSet
from trainer.data.steps import Steps
from trainer.training.device import Compute, keep_freed_memory

_JITTER = {"brightness": 0.2, "contrast": 0.2, "saturation": 0.2, "hue": 0.1}
PIPELINES = {
    "crop_flip": Augment(),
    "full": Augment(color_jitter=ColorJitter(**_JITTER), erasing=RandomErasing()),
}


def bench_data(
    image_set: ImageSet,
    compute: Compute,
    *,
    batch_size: int = 128,
    rounds: int = 5,
    images: int = 2048,
    workers: int = 2,
) -> dict[str, Any]:
    """Return images per second of each side of each of PIPELINES, normalised and on the device.

    `ours` is a pass over the whole training set. `v1` (torchvision.transforms on PIL images) and `v2`
    (torchvision.transforms.v2 on tensors) transform one image at a time, over the first `images` in memory, in a
    DataLoader whose `workers` are already running. `ratio` is ours divided by the faster of the two.
    """
    keep_freed_memory(compute.device)  # as training does
    measured: dict[str, Any] = {}
    for name, augment in PIPELINES.items():
        passes = {"ours": _ours(image_set, augment, compute, batch_size)} | {
            side: _theirs(dataset, compute, batch_size, workers)
            for side, dataset in _datasets(image_set, name == "full", images).items()
        }
        rates = in_turns({side: partial(_rate, one_pass, compute) for side, one_pass in passes.items()}, rounds=rounds)
        faster = [max(pair) for pair in zip(rates["v1"], rates["v2"], strict=True)]
        measured[name] = {f"{side} images/s": spread(rates[side]) for side in passes}
        measured[name]["ratio"] = ratio(rates["ours"], faster)
    gpu = compute.measured_on
    return result(
        "data", measured, rounds=rounds, gpu=gpu, batch_size=batch_size, images=len(image_set.train), workers=workers
    )


Pass = Callable[[], Iterator[Tensor]]
"""Yields the batches of one pass, ready for a network."""


def _rate(one_pass: Pass, compute: Compute) -> float:
    start = time.perf_counter()
    seen = sum(len(batch) for batch in one_pass())
    compute.synchronize()
    return seen / (time.perf_counter() - start)


def _ours(image_set: ImageSet, augment: Augment, compute: Compute, batch_size: int) -> Pass:
    split = image_set.train.to(compute.device)
    batches = TrainingBatches(
        split, augment, steps=Steps(len(split), batch_size), seed=0, mean=image_set.mean, std=image_set.std
    )
    normalize = Normalize(image_set.mean, image_set.std, compute.device)
    epochs = count()  # each in its turn, since a GPU's draws are made an epoch ahead
    return lambda: (normalize(images, compute.memory_format) for images, _ in batches.epoch(next(epochs)))


def _theirs(dataset: Dataset[Any], compute: Compute, batch_size: int, workers: int) -> Pass:
    loader = DataLoader(dataset, batch_size, shuffle=True, num_workers=workers, persistent_workers=workers > 0)
    return lambda: (images.to(compute.device, memory_format=compute.memory_format) for images, _ in loader)


class _InMemory(Dataset[tuple[Tensor, int]]):
    """Images in memory, each transformed on access."""

    def __init__(self, images: Any, labels: list[int], transform: Callable[[Any], Tensor]) -> None:
        self._images, self._labels, self._transform = images, labels, transform

    def __len__(self) -> int:
        return len(self._labels)

    def __getitem__(self, index: int) -> tuple[Tensor, int]:
        return self._transform(self._images[index]), self._labels[index]


def _datasets(image_set: ImageSet, full: bool, count: int) -> dict[str, Dataset[Any]]:
    """Return the same images with both generations of torchvision's transforms, each in its fastest form."""
    images, labels = image_set.train.images[:count], image_set.train.labels[:count].tolist()

    def pipeline(module: Any, before: list[Any], to_float: Any) -> Callable[[Any], Tensor]:
        jitter, erasing = ([module.ColorJitter(**_JITTER)], [module.RandomErasing()]) if full else ([], [])
        crop = module.RandomCrop(image_set.image_size, padding=4)
        normalize = module.Normalize(image_set.mean, image_set.std)
        return module.Compose([*before, crop, module.RandomHorizontalFlip(), *jitter, to_float, normalize, *erasing])

    arrays = images.permute(0, 2, 3, 1).numpy()
    return {
        "v1": _InMemory(arrays, labels, pipeline(v1, [Image.fromarray], v1.ToTensor())),
        "v2": _InMemory(images, labels, pipeline(v2, [], v2.ToDtype(torch.float32, scale=True))),
    }
