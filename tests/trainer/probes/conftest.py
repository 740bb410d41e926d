"""A run recorded step by step, and a slow plain second implementation of what a probe should measure there."""

import copy
import dataclasses
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from trainer.config import RunConfig, load_config
from trainer.data.sources import load_image_set
from trainer.probes.build import build_probes
from trainer.protocols import Record
from trainer.training.device import choose_compute
from trainer.training.loop import Loop
from trainer.training.losses import build_loss
from trainer.training.parts import Parts
from trainer.training.run import build_parts


@dataclasses.dataclass(frozen=True)
class Seen:
    """The state before a step, and the weights after it."""

    step: int
    lr: float
    model: nn.Module  # a copy, before the step
    random: Tensor  # state of torch's generator
    images: Tensor
    targets: Tensor
    after: list[Tensor]  # the trained parameters after the step
    config: RunConfig

    def parameters(self) -> list[Tensor]:
        return [p.detach() for p in self.model.parameters() if p.requires_grad]

    def at(self, values: list[Tensor]) -> tuple[float, list[Tensor]]:
        """Return the objective, and its gradient in float64, at these values of the trained parameters."""
        net = copy.deepcopy(self.model)
        trained = [p for p in net.parameters() if p.requires_grad]
        for p, value in zip(trained, values, strict=True):
            p.data.copy_(value)
        torch.set_rng_state(self.random)
        loss_fn, objective = build_loss(self.config.loss, num_classes=2), torch.zeros(())
        parts = self.config.train.accumulate
        for x, y in zip(self.images.tensor_split(parts), self.targets.tensor_split(parts), strict=True):
            with torch.autocast("cpu", torch.bfloat16, enabled=self.config.train.precision == "bfloat16"):
                logits = net(x)
            losses = loss_fn(logits.float(), y)
            objective = objective + losses.sum() / (1 if self.config.loss.reduction == "sum" else len(self.images))
        for p in trained:
            if p.ndim > 1:
                objective = objective + self.config.loss.l1 * p.abs().sum() + self.config.loss.l2 * (p**2).sum()
        return objective.item(), [g.double() for g in torch.autograd.grad(objective, trained)]


class Recorder:
    """A sink that keeps the metrics of each step."""

    name = "recorder"

    def __init__(self) -> None:
        self.rows: dict[int, dict[str, float]] = {}

    def log(self, record: Record) -> None:
        self.rows.setdefault(record.step, {}).update(record.metrics)

    def progress(self, progress: Any) -> None: ...
    def start(self, run: Any) -> None: ...
    def memory(self) -> Mapping[str, Any]:
        return {}

    def finish(self, status: Any, summary: Any) -> None: ...


Watched = tuple[list[Seen], dict[int, dict[str, float]]]


@pytest.fixture
def parts_of(image_folder: Path) -> Callable[[list[str]], tuple[RunConfig, Parts]]:
    """Return a function that builds a run of one epoch on the small images, in batches of 10."""

    def build(overrides: list[str]) -> tuple[RunConfig, Parts]:
        config = load_config(["data.name=folder", f"data.root={image_folder}", "data.image_size=8", "train.epochs=1",
                              "train.batch_size=10", "train.device=cpu", "train.precision=float32",
                              "augment.crop.padding=1", "sink.wandb.mode=disabled", *overrides]).config  # fmt: skip
        compute = choose_compute(config.train)
        return config, build_parts(config, compute, load_image_set(config.data, seed=0))

    return build


@pytest.fixture
def watch(
    monkeypatch: pytest.MonkeyPatch, parts_of: Callable[[list[str]], tuple[RunConfig, Parts]]
) -> Callable[[list[str]], Watched]:
    """Return a function that trains for at most five steps. It returns what was seen, and the metrics by step."""

    def run(overrides: list[str]) -> Watched:
        config, parts = parts_of(overrides)
        seen: list[Seen] = []
        take_step = Loop.train_batch

        def look(loop: Loop, images: Tensor, targets: Tensor) -> None:
            model, random = copy.deepcopy(loop.parts.model), torch.get_rng_state()
            step, normalised = loop.counters.step, loop.parts.normalize(images)
            take_step(loop, images, targets)
            after = [p.detach().clone() for p in loop.parts.model.parameters() if p.requires_grad]
            seen.append(Seen(step, loop.lr, model, random, normalised, targets, after, config))

        monkeypatch.setattr(Loop, "train_batch", look)
        recorder = Recorder()
        Loop(parts, [recorder], keep=lambda *_: None, stop_requested=lambda: False).fit()
        return seen, recorder.rows

    return run


class Bowl(nn.Module):
    """L(w) = sum of c w^2 / 2 for any images, with curvatures c [D]."""

    def __init__(self, curvatures: Tensor, start: Tensor) -> None:
        super().__init__()
        self.w = nn.Parameter(start.clone())
        self.curvatures = curvatures

    def forward(self, images: Tensor) -> Tensor:  # [N, ...] -> [N, 1]
        return (self.curvatures * self.w**2 / 2).sum().expand(len(images), 1)


class TakeOutput(nn.Module):
    """A loss that is the network's output."""

    def forward(self, logits: Tensor, targets: Tensor) -> Tensor:
        return logits[:, 0]


@pytest.fixture
def descend(parts_of: Callable[[list[str]], tuple[RunConfig, Parts]]) -> Callable[..., dict[int, dict[str, float]]]:
    """Return a function that runs the loop in a bowl, at a constant rate. It returns the metrics by step."""

    def run(bowl: Bowl, lr: float, steps: int, overrides: list[str], *, images: int = 2) -> dict[int, dict[str, float]]:
        own = ["schedule.name=constant", f"optimizer.lr={lr}", f"train.max_steps={steps}", "model.name=handmade_mlp"]
        config, parts = parts_of([*overrides, *own])
        parts = dataclasses.replace(
            parts, model=bowl, forward=bowl, ema=None, loss_fn=TakeOutput(), reduction="mean", penalty=None,
            optimizer=torch.optim.SGD(bowl.parameters(), lr),
            probes=build_probes(config.probe, bowl, total_steps=steps),
        )  # fmt: skip
        loop = Loop(parts, [recorder := Recorder()], keep=lambda *_: None, stop_requested=lambda: False)
        for _ in range(steps):
            loop.train_batch(torch.zeros(images, 3, 8, 8), torch.zeros(images, dtype=torch.long))
        loop.flush_probes()
        return recorder.rows

    return run


@pytest.fixture
def bowl() -> type[Bowl]:
    return Bowl
