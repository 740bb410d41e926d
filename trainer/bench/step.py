"""Speed of a bare training step, as a share of the speed of matrix products, and where its time goes."""

from collections.abc import Callable, Iterable
from functools import partial
from typing import Any

import torch

import models
from trainer.bench.profile import kernels, profile
from trainer.bench.rounds import Spread, in_turns, ratio, result, spread
from trainer.config import RunConfig
from trainer.data.images import ImageSet, Split
from trainer.training.device import Compute, choose_compute, keep_freed_memory
from trainer.training.numerics import numerics
from trainer.training.run import build_parts
from trainer.training.step import Step

_SIDE, _PRODUCTS = 2048, 20  # of the square matrices, and in a turn
_PASSES = 3  # forward, gradient of the data, gradient of the weights: as many multiply-adds each


def bench_step(configs: Iterable[RunConfig], *, rounds: int = 5, steps: int = 3) -> dict[str, Any]:
    """Measure the step of each config on noise of 3x32x32. A turn is `steps` steps, after one that is not counted.

    `% of product` compares 6 operations for each multiply-add of the network's forward pass with a product of two
    2048x2048 matrices in the step's precision, in the same round. Convolutions by Winograd's method need fewer than
    those, so it may be over 100. The other percentages are shares of a step's time that is measured operation by
    operation. On a GPU there are `kernels` and `kernel ms` as well.
    """
    built = {config.model.name: BareStep(config) for config in configs}
    compute = next(iter(built.values())).compute
    sides: dict[str, Callable[[], float]] = {}
    for name, step in built.items():  # a product beside each, since a shared machine changes its speed within a round
        sides |= {_product(name): step.products_per_second, name: partial(step.images_per_second, steps)}
    rates = in_turns(sides, rounds=rounds)
    measured: dict[str, dict[str, Spread]] = {}
    for name, step in built.items():
        flops = [2 * _PASSES * step.macs * rate for rate in rates[name]]
        measured[name] = {
            "batch": spread([step.batch]),
            "images/s": spread(rates[name]),
            "GFLOP/s": spread([each / 1e9 for each in flops]),
            "% of product": ratio([100 * each for each in flops], rates[_product(name)]),
            **{f"{part} %": spread([100 * share]) for part, share in profile(step, step.optimizer, compute).items()},
            **{name: spread([found]) for name, found in kernels(step, compute).items()},
        }
    products = [rate / 1e9 for name in built for rate in rates[_product(name)]]
    measured["product of matrices"] = {"GFLOP/s": spread(products)}
    return result("step", measured, rounds=rounds, gpu=compute.measured_on, precision=compute.precision, **threads())


class BareStep:
    """Gradient and update of a network on one batch of noise, as training makes them: no loop, no data, no sums."""

    def __init__(self, config: RunConfig) -> None:
        self.batch = config.train.batch_size
        self.compute = choose_compute(config.train)
        keep_freed_memory(self.compute.device)  # as training does
        image_set = noise(self.batch)
        self._parts = parts = build_parts(config, self.compute, image_set)
        self.optimizer = parts.optimizer
        device = self.compute.device
        images = parts.normalize(image_set.train.images.to(device), self.compute.memory_format)
        self._step = Step(parts, images, image_set.train.labels.to(device))
        parts.model.train()
        sketch = models.sketch_model(config.model.name, **config.model.arguments)
        self.macs = models.measure(sketch, (3, 32, 32), batch_size=1)["macs"]  # multiply-adds of one image

    def __call__(self) -> None:
        with numerics(self._parts.config, self._parts.model):
            self._step.backward()
            self._step.update()

    def images_per_second(self, steps: int) -> float:
        """Return the speed over `steps` steps. One before them is not counted: it finds the caches full of others."""
        self()
        return self.batch * steps / self.compute.timed(lambda: [self() for _ in range(steps)])

    def products_per_second(self) -> float:
        """Return the floating-point operations per second of products of matrices in the step's format."""
        with numerics(self._parts.config):
            return products_per_second(self.compute)


def noise(count: int) -> ImageSet:
    """Return images of 3x32x32 random levels with ten classes in turn, for training and for the test."""
    images = torch.randint(256, (count, 3, 32, 32), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    split = Split(images, torch.arange(count) % 10)
    return ImageSet("noise", tuple("abcdefghij"), (0.5,) * 3, (0.29,) * 3, split, split)


def products_per_second(compute: Compute, side: int = _SIDE) -> float:
    """Return the floating-point operations per second of a product of two square matrices.

    It is in the run's precision within its `numerics`, since TF32 is a setting of the process.
    """
    a, b = (torch.ones(side, side, dtype=compute.dtype, device=compute.device) for _ in range(2))
    return 2 * side**3 * _PRODUCTS / compute.timed(lambda: [a @ b for _ in range(_PRODUCTS)])


def _product(name: str) -> str:
    return f"product beside {name}"


def threads() -> dict[str, int]:
    """Return the setting that a speed on a CPU depends on."""
    return {"threads": torch.get_num_threads()}
