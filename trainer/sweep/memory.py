"""The largest batch of a run, and the most runs at once, that fit into the memory of a device, as measured."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from trainer.config import RunConfig
from trainer.data.sources import shape_of
from trainer.errors import ConfigError, SweepError
from trainer.runs.groups import identity
from trainer.sweep.check import remembered, resolve
from trainer.sweep.local import LocalSweep
from trainer.sweep.pilot import PilotError, in_child, kind_of, of_point
from trainer.threads import cores
from trainer.training.network_arguments import complete_parts

Say = Callable[[str], None]
Layers = tuple[list[str], str | None, Path | None]
"""Overrides, recipe and file of a run."""
_GIB = 2**30
_SHARE = 0.8  # of what is free: peaks of later steps, and what other programs take meanwhile
_FIRST = 32  # images of the first batch that is measured
_STEPS = 20  # an epoch keeps at least so many updates


@dataclass(frozen=True)
class Memory:
    """The most bytes that a run held at once, those that were free before it began, and whether they are a GPU's."""

    peak: int
    free: int
    on_gpu: bool


@dataclass(frozen=True)
class Batch:
    """The largest batch, the curve of (images, bytes at once) that shows it, and why no larger one was taken."""

    images: int
    curve: tuple[tuple[int, int], ...]
    why_no_more: str

    def line(self) -> str:
        """Return it as a line for a terminal."""
        measured = ", ".join(f"{images}: {held / _GIB:.2f} GiB" for images, held in self.curve)
        return f"train.batch_size={self.images} by measured memory ({measured}): {self.why_no_more}"


def largest_batch(config: RunConfig, measure: Callable[[int], Memory], say: Say) -> Batch:
    """Return the largest power of two that fits into 0.8 of the memory that is free, and leaves 20 updates an epoch.

    Each size up to it is measured, by `measure`. Raises ConfigError if not even the smallest size fits, or for a run
    on several devices or with batches that grow.
    """
    if config.train.devices > 1:
        raise ConfigError("--batch-size: auto: it measures one device, and train.devices is above 1; give a number")
    if config.train.batch_schedule.sizes:
        raise ConfigError("--batch-size: auto: train.batch_schedule has sizes that are not measured; give a number")
    images = max(1, round(shape_of(config.data).train_size * (1 - config.data.val_fraction)) // _STEPS)
    most = 2 ** (images.bit_length() - 1)
    curve: list[tuple[int, int]] = []
    images, why = min(_FIRST, most), ""
    while not why:
        try:
            memory = measure(images)
        except PilotError as error:
            why = f"{images} images: {error}"
            break
        limit = int(_SHARE * memory.free)
        if memory.peak > limit:
            why = f"{images} images take {_of(memory.peak, limit)}"
            break
        say(f"a batch of {images} images takes {_of(memory.peak, limit)}")
        curve.append((images, memory.peak))
        # On a line through the last two, each size twice as large costs twice the rise before it.
        expected = memory.peak + 2 * (memory.peak - curve[-2][1] if len(curve) > 1 else 0)
        images *= 2
        if images > most:
            why = f"{images} images leave fewer than {_STEPS} updates an epoch"
        elif expected > limit:
            why = f"{images} images would take {_of(expected, limit)}"
    if not curve:
        raise ConfigError(f"--batch-size: auto: {why}")
    return Batch(curve[-1][0], tuple(curve), why)


def measured(layers: Layers, images: int) -> Memory:
    """Return what a run takes with a batch of so many images. Raises PilotError if it does not get through it."""
    overrides, recipe, file = layers
    given = [*overrides, f"train.batch_size={images}", "sink.wandb.mode=disabled"]
    return Memory(**in_child(_memory, given, {}, recipe=recipe, file=file))


def _of(peak: int, limit: int) -> str:
    return f"{peak / _GIB:.2f} of {limit / _GIB:.1f} GiB"


def _memory(config: RunConfig) -> dict[str, Any]:
    from trainer.training.memory import measure_memory  # imports torch, which this process can do without

    return measure_memory(config)


def runs_at_once(sweeps: Iterable[LocalSweep], env: Mapping[str, str], say: Say) -> int:
    """Return how many runs of the largest configuration fit on one device at once, at least 1, for `--per-device`.

    `env` is the environment of a run there. On a CPU there are no more than its cores. Raises SweepError if the first
    steps of a configuration cannot be taken.
    """
    complete = remembered(complete_parts)
    found: dict[str, Memory] = {}  # by kind of run
    for sweep in sweeps:
        if sweep.checked.sweep.file.method != "grid":
            raise SweepError(f"--per-device: auto: {sweep.name} is a search, whose points are not known; give a number")
        first = {entry.point.configuration_key: entry for entry in reversed(sweep.entries)}
        for entry in first.values():
            kind = identity(kind_of(resolve(entry.point, sweep.checked.sweep, complete)))
            if kind not in found:
                found[kind] = Memory(**of_point(_memory, entry.point, sweep.checked.sweep, env))
    most = max(found.values(), key=lambda memory: memory.peak)
    limit = int(_SHARE * min(memory.free for memory in found.values()))
    count = max(1, limit // most.peak if most.on_gpu else min(limit // most.peak, cores()))
    beside = "" if most.on_gpu else f", and there are {cores()} cores"
    say(f"--per-device {count}: a run takes up to {_of(most.peak, limit)}{beside}")
    return count
