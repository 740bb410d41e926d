"""Differences between runs for `trainer compare`, and tests of their significance."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from scipy import stats
from torch import Tensor

from trainer.files import finite_or_none
from trainer.runs.chance import that_learned
from trainer.runs.folder import named
from trainer.runs.groups import SEED, decisive, differing_keys, grouped, one_of_each_seed
from trainer.runs.history import History, is_finite
from trainer.statistics.differences import all_pairs

_HEADLINES = (
    *("status", "epoch", "headline/protocol", "headline/accuracy", "test/accuracy", "test/loss", "train/accuracy"),
    *("train/loss", "model/parameters", "time/train_seconds"),
)


def config_differences(histories: Sequence[History]) -> dict[str, list[Any]]:
    """Return each key that changes numbers and differs between the runs, with their values, `absent` for none."""
    configs = [{SEED: history.config.get(SEED), **decisive(history.config)} for history in histories]
    return {key: [config.get(key, "absent") for config in configs] for key in differing_keys(configs)}


def told_apart(folders: Sequence[Path]) -> list[str]:
    """Return the names of run folders, in place of one that two have their paths."""
    paths = [named(folder) for folder in folders]
    often = Counter(path.name for path in paths)
    return [path.name if often[path.name] == 1 else str(path) for path in paths]


def headlines(histories: Sequence[History]) -> dict[str, list[Any]]:
    """Return the main numbers of the summaries by key, with None for a run that does not have it."""
    summaries = [finite_or_none(history.summary) for history in histories]
    values = {key: [summary.get(key) for summary in summaries] for key in _HEADLINES}
    return {key: row for key, row in values.items() if any(value is not None for value in row)}


@dataclass(frozen=True)
class McNemar:
    """Comparison of two networks' predictions on the same images."""

    both_right: int
    only_first: int
    only_second: int
    both_wrong: int
    p: float
    """Exact and two-sided (McNemar 1947). n images are right in one network only. If the networks are equally good,
    each gets Binomial(n, 1/2) of them, and p = min(1, 2 P[Binomial(n, 1/2) <= the smaller])."""


def mcnemar(first: Tensor, second: Tensor) -> McNemar:
    """Compare which images [N] bool each network got right. p is 1 if they never disagree."""
    b, c = int((first & ~second).sum()), int((second & ~first).sum())
    p = min(1.0, 2 * float(stats.binom.cdf(min(b, c), b + c, 0.5))) if b + c else 1.0
    return McNemar(int((first & second).sum()), b, c, int((~first & ~second).sum()), p)


def welch_between_groups(histories: Sequence[History], key: str = "headline/accuracy") -> dict[str, Any] | None:
    """Compare each pair of configurations by Welch's t-test, with Holm's correction over all pairs.

    Only finished runs count that are not at chance, and one run of each seed. `repeats` and `at_chance` name the
    others. Returns None without two configurations of at least two such runs each.
    """
    samples: dict[str, Mapping[int, float]] = {}
    shown = {id(run): name for run, name in zip(histories, told_apart([run.folder for run in histories]), strict=True)}
    repeats: list[str] = []
    counting: dict[str, list[History]] = {}
    for label, runs in grouped(histories).items():
        counting[label], others = one_of_each_seed([run for run in runs if run.status == "finished"])
        repeats += [f"{shown[id(other)]} repeats seed {other.seed} of {shown[id(first)]}" for other, first in others]
    every = [run for runs in counting.values() for run in runs]
    learned = {id(run) for run in that_learned(every)}
    for label, runs in counting.items():
        found = {run.seed: run.summary.get(key) for run in runs if id(run) in learned}
        sample = {seed: value for seed, value in found.items() if is_finite(value)}
        if len(sample) > 1:
            samples[label] = sample
    if len(samples) < 2:
        return None
    return {
        "metric": key,
        "groups": {label: dict(sample) for label, sample in samples.items()},
        "pairs": [asdict(pair) for pair in all_pairs(samples)],
        "repeats": repeats,
        "at_chance": [shown[id(run)] for run in every if id(run) not in learned],
    }
