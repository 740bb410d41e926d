"""A learning-rate range test: the loss while the rate rises from step to step (Smith 2017, section 3.3).

The rate rises exponentially and the loss is smoothed, as in S. Gugger's form of the test (fastai). Nothing of a run is
restored, and nothing is written.
"""

import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from trainer.config import RunConfig
from trainer.config.augment import Side
from trainer.config.probe import Probe
from trainer.config.train import BatchSchedule
from trainer.data.sources import load_image_set
from trainer.files import finite_or_none
from trainer.training.device import choose_compute, keep_freed_memory
from trainer.training.numerics import numerics
from trainer.training.pace import endless_batches
from trainer.training.parts import Parts
from trainer.training.run import build_parts
from trainer.training.schedules import set_rate
from trainer.training.step import Step

_KEPT = 0.9  # share of the smoothed loss that a step keeps
_TIMES = 4  # the lowest smoothed loss, above which the test ends
_CLEAR = 3  # standard deviations of a batch's loss by which it must fall; with 1, a network that learns nothing passed
_FIRST = 10  # share of the points: the loss before anything is learned, as a mean over 1 / _FIRST of them


@dataclass(frozen=True)
class Point:
    """One step of the test."""

    rate: float  # of its update
    loss: float  # mean over the next batch, with penalties; infinite if it is not finite
    smoothed: float  # mean of the losses so far, the last ones weighing most


@dataclass(frozen=True)
class RateRange:
    """The loss by rate, and the two rates that people read from it. None if there is nothing to read."""

    points: tuple[Point, ...]
    diverged: bool  # before the highest rate
    lowest: float | None  # rate of the lowest smoothed loss
    steepest: float | None  # rate at which the smoothed loss falls fastest, by the logarithm of the rate
    suggested: float | None  # a tenth of `lowest`
    why_none: str = ""

    def as_json(self) -> dict[str, Any]:
        """Return plain values, with null for what is not finite."""
        return {**asdict(self), "points": [finite_or_none(asdict(point)) for point in self.points]}


def measure_rate_range(config: RunConfig, *, low: float, high: float, steps: int) -> RateRange:
    """Train from fresh weights while `optimizer.lr` rises from `low` to `high`, at most `steps` steps.

    Other rates, such as that of a head, rise in proportion. Raises UserError for what would keep a run from starting.
    """
    compute = choose_compute(config.train)
    keep_freed_memory(compute.device)
    augment = config.augment.model_copy(update={"side": Side()})
    train = config.train.model_copy(update={"batch_schedule": BatchSchedule()})
    config = config.model_copy(update={"augment": augment, "train": train, "probe": Probe()})
    parts = build_parts(config, compute, load_image_set(config.data, seed=config.seed))
    with numerics(config.train, parts.model):
        points, diverged = smooth(_losses(parts, rates(low, high, steps), base=config.optimizer.lr))
    return read_curve(points, diverged=diverged)


def _losses(parts: Parts, rates: Iterable[float], *, base: float) -> Iterator[tuple[float, float]]:
    """Yield each rate and the loss after a step at it. `base` is the rate of which each group has its share."""
    groups = parts.optimizer.param_groups
    shares = [float(group["lr"]) / base for group in groups]
    batches = endless_batches(parts)
    parts.model.train()

    def step_of() -> tuple[Step, float]:
        images, targets = next(batches)
        step = Step(parts, parts.normalize(images, parts.compute.memory_format), targets)
        loss = float(step.backward())
        scale = len(targets) if parts.reduction == "sum" else 1
        return step, loss / scale

    step, _ = step_of()
    for rate in rates:
        for group, share in zip(groups, shares, strict=True):
            set_rate(group, rate * share)
        step.update()
        step, loss = step_of()
        yield rate, loss


def rates(low: float, high: float, steps: int) -> list[float]:
    """Return rates from `low` to `high`, each the same factor above the one before."""
    return [low * (high / low) ** (i / (steps - 1)) for i in range(steps)]


def smooth(pairs: Iterable[tuple[float, float]]) -> tuple[list[Point], bool]:
    """Return points of (rate, loss), up to the one at which the loss has diverged, and whether it has."""
    points: list[Point] = []
    total = 0.0
    for rate, loss in pairs:
        loss = loss if math.isfinite(loss) else math.inf
        total = _KEPT * total + (1 - _KEPT) * loss
        smoothed = total / (1 - _KEPT ** (len(points) + 1))  # else it would begin at 0
        points.append(Point(rate, loss, smoothed))
        lowest = min(point.smoothed for point in points)
        if math.isinf(loss) or smoothed > lowest + (_TIMES - 1) * abs(lowest):  # a loss of yours may be below 0
            return points, True
    return points, False


def read_curve(points: Sequence[Point], *, diverged: bool) -> RateRange:
    """Return what a curve says: nothing if the loss does not fall clearly, by its scatter at the lowest rates."""
    begun = max(2, len(points) // _FIRST)
    first = [point.loss for point in points[:begun]]
    before = sum(first) / len(first)
    scatter = math.sqrt(sum((loss - before) ** 2 for loss in first) / max(1, len(first) - 1))
    at = min(range(len(points)), key=lambda i: points[i].smoothed)
    why = ""
    if math.isinf(first[0]):
        why = "the loss is not finite at the lowest rate; give a lower --from"
    elif not points[at].smoothed < before - _CLEAR * scatter:
        why = f"the loss did not fall by {_CLEAR} times what it scatters from batch to batch; "
        why += "give another range, or more --steps"
    elif at == len(points) - 1:
        why = "the loss still falls at the highest rate; give a higher --until"
    if why:
        return RateRange(tuple(points), diverged, None, None, None, why)
    # The first points are left out: so few are averaged there that the smoothed loss still jumps.
    reach = max(1, begun // 2)
    slopes = {i: points[i + reach].smoothed - points[i - reach].smoothed for i in range(begun + reach, at - reach + 1)}
    steepest = points[min(slopes, key=slopes.__getitem__)].rate if slopes else None
    return RateRange(tuple(points), diverged, points[at].rate, steepest, points[at].rate / 10)
