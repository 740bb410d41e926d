"""The control of a sweep: what each configuration is compared with.

It is one configuration, or choices of some keys, such as `order=[linear,norm,act]`. In the last case each
configuration is compared with the one that has these choices and is the same in all else: a family of comparisons for
each combination of the other choices.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Any, Protocol

from trainer.runs.groups import identity, label, value_text


@dataclass(frozen=True)
class Family:
    control: str  # its label
    members: tuple[str, ...]  # labels of all that are compared with it, and its own


class Named(Protocol):
    """Something that is compared: a configuration, or a network at all learning rates or of all lengths."""

    @property
    def label(self) -> str: ...
    @property
    def values(self) -> Mapping[str, Any]: ...


@dataclass(frozen=True)
class Arm:
    label: str
    values: Mapping[str, Any]  # of the keys that distinguish the arms


def families_of(name: str, configurations: Sequence[Named]) -> list[Family]:
    """Return the families of a control: one if it is a configuration, none if nothing is so called."""
    labels = tuple(each.label for each in configurations)
    if name in labels:
        return [Family(name, labels)]
    keys = _keys_of(name, configurations)
    if not keys:
        return []
    grouped: dict[str, list[Named]] = {}
    for each in configurations:
        rest = {other: value for other, value in each.values.items() if other not in keys}
        grouped.setdefault(identity(rest), []).append(each)
    found: list[Family] = []
    for members in grouped.values():
        called = (each for each in members if label({key: each.values.get(key) for key in keys}) == name)
        if control := next(called, None):
            found.append(Family(control.label, tuple(each.label for each in members)))
    return found


def choices_of(configurations: Sequence[Named]) -> list[str]:
    """Return what a choice is called, of all that configurations have: `lr=0.1`."""
    return [*dict.fromkeys(label({key: value}) for each in configurations for key, value in each.values.items())]


def pairs_of(families: Sequence[Family], labels: Sequence[str]) -> tuple[tuple[int, int], ...]:
    """Return the comparisons of families as pairs of places among the labels, in their order."""
    place = {name: number for number, name in enumerate(labels)}
    found = {
        (min(pair), max(pair))
        for each in families
        for name in each.members
        if name != each.control and (pair := (place[each.control], place[name]))
    }
    return tuple(sorted(found))


def in_words(name: str, configurations: Sequence[Named]) -> str:
    """Return a control, and what is the same as in it: `order=[linear,norm,act] with the same recipe`."""
    keys = _keys_of(name, configurations)
    if not keys or any(each.label == name for each in configurations):
        return name
    others = dict.fromkeys(other for each in configurations for other in each.values if other not in keys)
    words = [other.removesuffix(".name").rpartition(".")[2] for other in others]
    return f"{name} with the same {' and '.join(words)}"


def _keys_of(name: str, configurations: Sequence[Named]) -> tuple[str, ...]:
    """Return the keys of choices that are so called, as few as can be, if the configurations vary others, too."""
    most = max((len(each.values) for each in configurations), default=0)
    found = (
        keys
        for size in range(1, most)
        for each in configurations
        for keys in combinations([key for key, value in each.values.items() if value_text(value) in name], size)
        if size < len(each.values) and label({key: each.values[key] for key in keys}) == name
    )
    return next(found, ())
