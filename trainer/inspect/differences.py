"""`trainer compare`: in what runs differ, and whether their difference is more than noise."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from scipy import stats
from torch import Tensor

from trainer.runs.groups import grouped
from trainer.runs.history import History, is_finite
from trainer.statistics import all_pairs

_ASIDE = ("sink.", "data.root", "data.download")  # where a run's numbers go and where its data lay
_HEADLINES = (
    *("status", "epoch", "headline/protocol", "headline/accuracy", "test/accuracy", "test/loss", "train/accuracy"),
    *("train/loss", "model/parameters", "time/train_seconds"),
)


def config_differences(histories: Sequence[History]) -> dict[str, list[Any]]:
    """Each key that not all runs have the same value for, with their values; `absent` where a run has no such key."""
    keys = sorted({key for history in histories for key in history.config if not key.startswith(_ASIDE)})
    values = {key: [history.config.get(key, "absent") for history in histories] for key in keys}
    return {key: each for key, each in values.items() if any(value != each[0] for value in each)}


def headlines(histories: Sequence[History]) -> dict[str, list[Any]]:
    """The summaries' main numbers; None where a run has none."""
    values = {key: [history.summary.get(key) for history in histories] for key in _HEADLINES}
    return {key: each for key, each in values.items() if any(value is not None for value in each)}


@dataclass(frozen=True)
class McNemar:
    """Of two networks' predictions on the same images."""

    both_right: int
    only_first: int
    only_second: int
    both_wrong: int
    p: float
    """Exact and two-sided (McNemar 1947): were the networks equally good, then of the n images that one alone gets
    right each would get as many as heads in n tosses, and p = min(1, 2 P[Binomial(n, 1/2) <= the smaller])."""


def mcnemar(first: Tensor, second: Tensor) -> McNemar:
    """Of which images [N] bool each got right. p is 1 where they never disagree."""
    b, c = int((first & ~second).sum()), int((second & ~first).sum())
    p = min(1.0, 2 * float(stats.binom.cdf(min(b, c), b + c, 0.5))) if b + c else 1.0
    return McNemar(int((first & second).sum()), b, c, int((~first & ~second).sum()), p)


def welch_between_groups(histories: Sequence[History], key: str = "headline/accuracy") -> dict[str, Any] | None:
    """Runs that are the same but for their seed are a group; each pair of groups by Welch's t-test, with Holm's
    correction over all pairs. None where there are not two groups of at least two finished runs each: a run that is
    under way or was cut short has a figure too, but not that of its settings.

    A group's runs of one seed count once, the last of them: the same seed again is no further draw.
    """
    samples: dict[str, Mapping[int, float]] = {}
    for label, runs in grouped(histories).items():
        finished = [run for run in runs if run.summary.get("status") == "finished"]
        sample = {run.config.get("seed", 0): value for run in finished if is_finite(value := run.summary.get(key))}
        if len(sample) > 1:
            samples[label] = sample
    if len(samples) < 2:
        return None
    return {
        "metric": key,
        "groups": {label: dict(sample) for label, sample in samples.items()},
        "pairs": [asdict(pair) for pair in all_pairs(samples)],
    }
