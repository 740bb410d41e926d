"""Guards against fooling oneself: what could be behind a difference in place of what a table compares."""

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Literal

from trainer.report.configurations import Configuration
from trainer.report.pages.grids import Grid
from trainer.report.pages.origins import ALWAYS, UNKNOWN, origin_of
from trainer.report.pages.sentences import several
from trainer.report.table import Table
from trainer.runs.chance import tests_of
from trainer.runs.groups import identity, label
from trainer.runs.history import is_finite
from trainer.statistics.failures import learned

Kind = Literal["confounding", "tuning budget", "selection", "missing not at random", "nothing learned"]
_OTHER_NUMBERS = ("system",)
"""Parts of an origin that change no number."""
_TUNED = "optimizer."
"""Beginning of the keys that are tuned, such as the learning rate. `optimizer.name` is a choice and no knob."""


@dataclass(frozen=True)
class Guard:
    kind: Kind
    what: str


def guards(table: Table) -> list[Guard]:
    """Return what a reader of a comparison should know. Nothing where there is no comparison."""
    if sum(bool(each.runs) for each in table.configurations) < 2:
        return []
    return [*_unlearned(table), *_confounding(table), *_tuning(table), *_selection(table), *_missing(table)]


def warned(table: Table) -> Grid:
    """Return the guards as a table."""
    rows = tuple((each.kind, each.what) for each in guards(table))
    return Grid("What could be behind a difference in place of what is compared", ("kind", "what is so"), rows, (0, 1))


def _unlearned(table: Table) -> Iterator[Guard]:
    """Yield where no run has learned: then none is called failed, and what is compared may say nothing of learning."""
    runs = [run.history for each in table.configurations for run in each.runs]
    reached = [
        (accuracy, tests[1])
        for history in runs
        if is_finite(accuracy := history.summary.get("test/accuracy")) and (tests := tests_of(history))
    ]
    if reached and len(reached) == len(runs) and not any(learned(each, classes=classes) for each, classes in reached):
        best, classes = max(reached)
        yield Guard(
            "nothing learned",
            f"the best run has {best:.2%}, and guessing has {1 / classes:.2%}. Train longer, or try other rates, before"
            " you compare",
        )


def _confounding(table: Table) -> Iterator[Guard]:
    """Yield where runs of some configurations come from another mixture of machines or code than those of others."""
    origins = {id(run): origin_of(run.provenance) for each in table.configurations for run in each.runs}
    for name in dict.fromkeys(name for origin in origins.values() for name in origin if name not in _OTHER_NUMBERS):
        mixtures: dict[str, list[str]] = {}
        alike: dict[str, str] = {}
        for each in table.configurations:
            counts = Counter(origins[id(run)].get(name, UNKNOWN) for run in each.runs)
            if name not in ALWAYS:  # an older trainer did not record it
                del counts[UNKNOWN]
            if counts:
                shares = {value: count / counts.total() for value, count in counts.items()}
                several_values = sorted(f"{value} ({share:.0%} of runs)" for value, share in shares.items())
                words = ", ".join(several_values if len(shares) > 1 else shares)
                mixtures.setdefault(identity(shares), []).append(each.label)
                alike.setdefault(identity(shares), words)
        if len(mixtures) > 1:
            said = "; ".join(f"{several(labels)}: {alike[shares]}" for shares, labels in mixtures.items())
            yield Guard("confounding", f"{name} is not the same for all. {said}")


def _knobs(table: Table) -> list[str]:
    return [key for key in table.varied if key.startswith(_TUNED) and key != f"{_TUNED}name"]


def _arms(table: Table) -> dict[str, list[Configuration]]:
    """Return the configurations with runs by what they are beside the knobs of the optimizer."""
    knobs = _knobs(table)
    arms: dict[str, list[Configuration]] = {}
    for each in table.configurations:
        if each.runs or each.failed:
            rest: dict[str, Any] = {key: value for key, value in each.values.items() if key not in knobs}
            arms.setdefault(label(rest) or "all", []).append(each)
    return arms


def _tuning(table: Table) -> Iterator[Guard]:
    tried = {name: len(members) for name, members in _arms(table).items()}
    if len(set(tried.values())) > 1:
        said = ", ".join(f"{count} of {name}" for name, count in tried.items())
        yield Guard(
            "tuning budget",
            f"{several(_knobs(table))}: settings tried are {said}. The best of more is better by chance",
        )


def _selection(table: Table) -> Iterator[Guard]:
    if table.means:
        count = sum(bool(sample) for sample in table.samples.values())
        yield Guard(
            "selection",
            f"a search gave more seeds to points with better means, so the best mean is too good by chance. Only the"
            f" {count} with most seeds are compared, and these tests err more often than at 5%",
        )
    if not table.metric.startswith("test/") or table.asked:
        return
    if not any(each.planned for each in table.configurations) and table.expected is not None:
        count = sum(bool(each.sample()) for each in table.configurations)
        yield Guard(
            "selection", f"a search chose the best of {count} by {table.metric}, so that figure is too good by chance"
        )
    elif knobs := _knobs(table):
        most = max(map(len, _arms(table).values()))
        if most > 1:
            yield Guard(
                "selection",
                f"the best {several(knobs)} of up to {most} is picked by {table.metric}, on the test set, so its figure"
                " is too good by chance. New seeds of the one that was picked are not",
            )


def _missing(table: Table) -> Iterator[Guard]:
    shares = {each.name: (each.failed, each.n) for each in table.failures}
    if stopped := {each.label: len(each.stopped) for each in table.configurations if each.stopped}:
        said = ", ".join(f"{count} of {name}" for name, count in stopped.items())
        yield Guard(
            "missing not at random", f"the sweep stopped runs early that did badly, {said}. Means are of the rest"
        )
    if len({failed / n for failed, n in shares.values() if n}) > 1:
        said = ", ".join(f"{failed} of {n} of {name}" for name, (failed, n) in shares.items() if failed)
        yield Guard(
            "missing not at random", f"runs failed, {said}. Means are of the survivors, which may be the lucky ones"
        )
