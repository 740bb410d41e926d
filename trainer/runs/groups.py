"""Which runs of many are the same but for their seed, and what to call them."""

import json
from collections.abc import Collection, Sequence
from typing import Any

from trainer.runs.history import History

ASIDE = ("seed", "sink.", "probe.", "data.root", "data.download", "train.device", "train.log_every")
"""Keys, or how they begin, that train nothing else."""


def grouped(histories: Sequence[History], *, over: Collection[str] = ()) -> dict[str, list[History]]:
    """Runs by label, in the order of their first: together are those whose configs differ in the seed alone, and in the
    keys `over`. One run alone is called by its name, several that are all the same by their network's."""
    keys = telling(histories, over)
    groups: dict[str, list[History]] = {}
    for history in histories:
        groups.setdefault(label(history, keys), []).append(history)
    if len(groups) == 1:
        (alone,) = groups.values()
        return {alone[0].name if len(alone) == 1 else str(alone[0].config.get("model.name", "all")): alone}
    return groups


def counted(label: str, runs: int) -> str:
    """A group's label with its number of runs, where that is not one."""
    return label if runs == 1 else f"{label} (n={runs})"


def telling(histories: Sequence[History], over: Collection[str] = (), aside: tuple[str, ...] = ASIDE) -> list[str]:
    """The keys that tell the runs apart, as few as do: names first, and none that adds nothing to those before it, as a
    schedule's knobs add nothing to its name."""
    keys = {key for history in histories for key in history.config}
    ours = [key for key in keys if key not in over and not key.startswith(aside)]
    kept: list[str] = []
    parts = 1
    for key in sorted(ours, key=lambda key: (key != "model.name", not key.endswith(".name"), key)):
        split = len({tuple(_value(history, each) for each in [*kept, key]) for history in histories})
        if split > parts:
            kept, parts = [*kept, key], split
    return kept


def _value(history: History, key: str) -> str:
    return json.dumps(history.config.get(key))


def label(history: History, keys: Sequence[str]) -> str:
    """`vgg_a_bn, lr=0.1`."""
    return ", ".join(_short(key, history.config.get(key)) for key in keys)


def _short(key: str, value: Any) -> str:
    """`cosine`, `lr=0.1`."""
    text = value if isinstance(value, str) else json.dumps(value)
    return text if key.endswith(".name") else f"{key.rpartition('.')[2]}={text}"
