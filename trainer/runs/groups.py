"""A configuration: which keys change its numbers, which runs share it, its label, and which run of a seed counts.

A configuration is everything in a run's config that changes its numbers, the seed apart. Configs are flat here, with
dotted keys.
"""

import json
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from functools import cache
from pathlib import PurePath
from typing import Any, Literal, Protocol, TypeVar

from pydantic import BaseModel
from pydantic.fields import FieldInfo

from trainer.config.base import ChangesNoNumber, Younger
from trainer.config.explain import section_types
from trainer.config.overrides import canonical
from trainer.config.run import RunConfig

SEED = "seed"
ROOT = "data.root"


class SeededRun(Protocol):
    """A run as it is grouped."""

    @property
    def name(self) -> str: ...
    @property
    def config(self) -> Mapping[str, Any]: ...
    @property
    def seed(self) -> int: ...
    @property
    def status(self) -> str: ...


Run = TypeVar("Run", bound=SeededRun)


@cache
def changes_no_number(key: str) -> bool:
    """Return whether a config key, or its section, is declared to leave a run's numbers as they are."""
    parts = key.split(".")
    return any(".".join(parts[: depth + 1]) in _marked_keys() for depth in range(len(parts)))


@cache
def _marked_keys() -> frozenset[str]:
    return frozenset(key for key, _ in _marked(ChangesNoNumber, RunConfig))


@cache
def _younger_keys() -> Mapping[str, Any]:
    """Return their defaults by key, as a config stores them: a tuple as a list."""
    return {key: json.loads(json.dumps(field.default)) for key, field in _marked(Younger, RunConfig)}


@cache
def _root_of_set() -> Mapping[str, Literal["files", "download"]]:
    """Return what `data.root` is for each data set of the trainer's: its files, or where they are downloaded to."""
    sections = [
        each for each in section_types(RunConfig.model_fields["data"].annotation) if "root" in each.model_fields
    ]
    return {
        each.model_fields["name"].default: "files" if each.model_fields["root"].is_required() else "download"
        for each in sections
    }


def _marked(mark: type, section: type[BaseModel], prefix: str = "") -> Iterator[tuple[str, FieldInfo]]:
    """Yield each key with a mark and its field."""
    for name, field in section.model_fields.items():
        if any(isinstance(each, mark) for each in field.metadata):
            yield f"{prefix}{name}", field
        for inner in section_types(field.annotation):
            yield from _marked(mark, inner, f"{prefix}{name}.")


def decisive(config: Mapping[str, Any], *, also: str | None = None) -> dict[str, Any]:
    """Return the keys of a config that change its numbers, without the seed, and all keys that begin with `also`.

    Without an EMA (`train.ema.decay` is 0) its other settings change none. Keys marked `Younger` are left out at their
    default, which runs stored before these keys mean. `data.root` counts where it says which images a run has: whole
    for an own data set, and by its last part for a set of files, which other machines keep in other places.
    """
    unused = {"train.ema.every", "train.ema.warmup"} if config.get("train.ema.decay") == 0 else set[str]()
    unused |= {key for key, default in _younger_keys().items() if key in config and config[key] == default}
    kept = {
        key: value
        for key, value in config.items()
        if (key != SEED and key not in unused and not changes_no_number(key))
        or (also is not None and key.startswith(also))
    }
    name, root = config.get("data.name"), config.get(ROOT)
    if root is None or name is None or _root_of_set().get(name) == "download":
        return kept
    return kept | {ROOT: root if name not in _root_of_set() else PurePath(str(root)).name}


def identity(values: Any) -> str:
    """Return the same text for values that are equal after JSON, and another for any others."""
    if isinstance(values, Mapping):
        values = {key: canonical(value) for key, value in values.items()}
    return json.dumps(canonical(values), sort_keys=True, default=str)


def differing_keys(configs: Sequence[Mapping[str, Any]]) -> list[str]:
    """Return the keys, sorted, for which the configs do not all have the same value."""
    keys = sorted({key for config in configs for key in config})
    return [key for key in keys if len({identity(config.get(key)) for config in configs}) > 1]


def telling_keys(
    configs: Sequence[Mapping[str, Any]], *, over: Collection[str] = (), also: str | None = None
) -> list[str]:
    """Return as few keys as distinguish the configurations, keys in `over` apart.

    Keys that begin with `also` count although they change no number.

    Names come first, then whichever key distinguishes most. A key that distinguishes nothing more than those before it
    is left out, as the knobs of a schedule are after its name. Two versions of an own part have its name, too.
    """
    keys = _in_order({key for config in configs for key in decisive(config, also=also) if key not in over})
    values = {key: [identity(config.get(key)) for config in configs] for key in keys}
    keys = [key for key in keys if len(set(values[key])) > 1]
    kept: list[str] = []

    def parts(*more: str) -> int:
        return len(set(zip(*(values[key] for key in (*kept, *more)), strict=True))) if kept or more else 1

    for key in filter(_is_name, keys):
        kept = [*kept, key] if parts(key) > parts() else kept
    while keys and parts() < parts(*keys):
        kept.append(max(keys, key=parts))
    named = [f"{key.removesuffix('code')}name" for key in kept if key.endswith(".code")]
    return [*(key for key in named if key not in kept), *kept]


def label(values: Mapping[str, Any]) -> str:
    """Return `vgg_a_bn, lr=0.1`: names speak for themselves, other keys are named by their last part."""
    leaves = Counter(key.rpartition(".")[2] for key in values)
    texts: list[str] = []
    for key in _in_order(values):
        leaf = key.rpartition(".")[2]
        value = value_text(values[key])
        texts.append(value if _is_name(key) else f"{leaf if leaves[leaf] == 1 else key}={value}")
    return ", ".join(texts)


def value_text(value: Any) -> str:
    """Return a config value as it is typed: `cosine`, `0.1`, `true`, `[3,3]`."""
    if isinstance(value, list | tuple):
        return f"[{','.join(map(value_text, value))}]"
    if isinstance(value, float) and abs(value) >= 1e16:
        return str(value)  # 1e+30, not 31 digits
    return value if isinstance(value, str) else json.dumps(canonical(value), default=str)


def grouped(runs: Sequence[Run], *, over: Collection[str] = ()) -> dict[str, list[Run]]:
    """Return the runs by the label of their configuration, keys in `over` apart, in the order of each one's first run.

    A single run is labelled with its name. Several runs of one configuration are labelled with their network's name.
    """
    keys = telling_keys([run.config for run in runs], over=over)
    groups: dict[str, list[Run]] = {}
    for run in runs:
        groups.setdefault(label({key: run.config.get(key) for key in keys}), []).append(run)
    if len(groups) == 1:
        (alone,) = groups.values()
        return {alone[0].name if len(alone) == 1 else str(alone[0].config.get("model.name", "all")): alone}
    return groups


def one_of_each_seed(
    runs: Iterable[Run], *, answers: Callable[[Run], bool] = lambda _: True
) -> tuple[list[Run], list[tuple[Run, Run]]]:
    """Return (the run that counts for each seed, by seed; each other run with the one that counts in its place).

    The first finished run by name counts, or the first run where none has finished: a repeated seed is no new draw. Of
    finished runs, one that `answers` what is asked goes before one that does not.
    Runs of one name, of several machines, keep their order, which `runs.archive.merged` makes that of their start.
    """
    counting: dict[int, Run] = {}
    in_order = sorted(runs, key=lambda run: (run.status != "finished", not answers(run), run.name))
    repeats = [run for run in in_order if counting.setdefault(run.seed, run) is not run]
    return sorted(counting.values(), key=lambda run: run.seed), [(run, counting[run.seed]) for run in repeats]


def counted(text: str, runs: int) -> str:
    """Return a label with its number of runs, if that is not one."""
    return text if runs == 1 else f"{text} (n={runs})"


def _in_order(keys: Iterable[str]) -> list[str]:
    """Sort keys as labels show them: the network, other names, other keys, the seed."""
    return sorted(keys, key=lambda key: (key == SEED, key != "model.name", not _is_name(key), key))


def _is_name(key: str) -> bool:
    return key.endswith(".name") or key == "recipe"
