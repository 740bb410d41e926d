"""The steps at which a probe measures."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from trainer.config.probe import When


@dataclass(frozen=True)
class Steps:
    """A set of steps: `step in steps`."""

    every: int
    single: frozenset[int]

    def __contains__(self, step: int) -> bool:
        return step in self.single or bool(self.every and step % self.every == 0)

    def __bool__(self) -> bool:
        return bool(self.every or self.single)


class ProbeAtSteps:
    """The base of the probes: due at `steps`, timed apart from training, with nothing to remember."""

    clocked_apart = True

    def __init__(self, steps: Steps) -> None:
        self._steps = steps

    def due(self, step: int) -> bool:
        return step in self._steps

    def state_dict(self) -> Mapping[str, Any]:
        return {}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        pass


def steps_of(when: When, total_steps: int) -> Steps:
    """Return the steps that a config names in a run of `total_steps`."""
    return Steps(when.every, frozenset(when.at) | _log_spaced(when.log_spaced, total_steps))


def _log_spaced(count: int, total_steps: int) -> frozenset[int]:
    """Return `count` of the steps 0 to total_steps - 1, in equal ratios if counted from 1. Fewer if some coincide."""
    if count < 2:
        return frozenset(range(count))
    return frozenset(round(total_steps ** (i / (count - 1))) - 1 for i in range(count))
