"""The control of a sweep: what each configuration is compared with.

It is one configuration, or one choice, such as `order=[linear,norm,act]`. In the last case each configuration is
compared with the one that has this choice and is the same in all else: a family of comparisons for each combination of
the other choices.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from trainer.runs.groups import identity, label


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
    key = _key_of(name, configurations)
    if key is None:
        return []
    grouped: dict[str, list[Named]] = {}
    for each in configurations:
        rest = {other: value for other, value in each.values.items() if other != key}
        grouped.setdefault(identity(rest), []).append(each)
    return [
        Family(control.label, tuple(each.label for each in members))
        for members in grouped.values()
        if (control := next((each for each in members if label({key: each.values.get(key)}) == name), None))
    ]


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
    key = _key_of(name, configurations)
    if key is None or any(each.label == name for each in configurations):
        return name
    others = dict.fromkeys(other for each in configurations for other in each.values if other != key)
    words = [other.removesuffix(".name").rpartition(".")[2] for other in others]
    return f"{name} with the same {' and '.join(words)}"


def _key_of(name: str, configurations: Sequence[Named]) -> str | None:
    """Return the key of a choice that is so called, if the configurations vary others, too."""
    return next(
        (
            key
            for each in configurations
            for key, value in each.values.items()
            if len(each.values) > 1 and label({key: value}) == name
        ),
        None,
    )
