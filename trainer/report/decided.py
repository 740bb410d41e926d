"""A sweep whose seeds were added until it was decided: its decisions, replayed from the runs that it has.

The runs of each configuration are taken in the order of its seeds, as `trainer sweep run --until decided` does. Failed
runs are passed over.
"""

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, replace
from itertools import takewhile

from trainer.report.configurations import Configuration
from trainer.report.folders import Problem, Run
from trainer.runs.families import families_of, pairs_of
from trainer.runs.groups import decisive, identity
from trainer.statistics.sequential import Decision, Design, decide, runs_taken
from trainer.sweep.header import Until, seeds_tried, seeds_until

_STILL_TO_COME = ("running", "interrupted", "stopped")


@dataclass(frozen=True)
class Decided:
    until: Until
    decisions: tuple[Decision, ...]  # one for each pair that is tested
    open: tuple[str, ...]  # labels of configurations that need another seed
    runs: int  # that this took

    def about(self, name: str) -> list[Decision]:
        """Return the decisions that the question is about: those with this configuration if that is which is best."""
        return [each for each in self.decisions if self.until.question != "best" or name in (each.a, each.b)]

    def settles(self, best: str, *, highest: bool) -> bool:
        """Return whether nothing that is asked about the best mean is open, and no decision has another one better."""
        found = self.about(best)
        told_apart = [each for each in found if each.verdict == "different"]
        beaten = any((each.higher == best) != highest for each in told_apart) and self.until.question == "best"
        return bool(found) and not beaten and all(each.verdict != "open" for each in found)


def decided_of(
    until: Until, configurations: Sequence[Configuration], unfinished: Iterable[Run], *, metric: str, highest: bool
) -> tuple[Decided, list[Configuration]]:
    """Return (the decisions, the configurations with the seeds that were wanted).

    There are no decisions without two configurations, and without the control that the design names.
    """
    asked = [each for each in configurations if each.planned]
    labels = [each.label for each in asked]
    crashed = {(_identity(run), run.seed) for run in unfinished if run.status not in _STILL_TO_COME}
    samples: dict[str, list[float]] = {}
    had: dict[str, list[bool]] = {}
    next_seed: dict[str, int | None] = {}
    for each in asked:
        lost = {seed for config, seed in crashed if config == identity(decisive(each.config))}
        seeds = seeds_until(each.planned, seeds_tried(until.at_most))
        ended = _in_order(each, seeds, lost, metric)
        next_seed[each.label] = next((seed for seed in seeds if seed not in ended), None)
        before = [ended[seed] for seed in takewhile(ended.__contains__, seeds)]
        samples[each.label] = [value for value in before if value is not None]
        had[each.label] = [value is not None for value in ended.values()]
    try:
        against = pairs_of(families_of(until.control, asked), labels) if until.control else ()
        design = Design(
            until.question, until.control, against, until.at_least, until.at_most, until.margin, highest=highest
        )
        spent = [label for label, seed in next_seed.items() if seed is None]
        decisions, still = decide(samples, design, spent=spent)
        runs = runs_taken(had, decisions, still, design)
    except ValueError:
        decisions, still, runs = [], [], sum(map(len, had.values()))
    found = Decided(until, tuple(decisions), tuple(still), runs)
    return found, [_planned(each, next_seed.get(each.label), still) for each in configurations]


def _in_order(each: Configuration, seeds: Sequence[int], lost: Collection[int], metric: str) -> dict[int, float | None]:
    """Return the outcomes of the seeds that ended, in the order of the seeds, None of a run that has none."""
    ended = {run.seed: run.measure("metric") for run in each.runs}
    for run in each.failed:  # a sweep knows what is at chance from its metric alone
        counts = run.status == "finished" and metric != "test/accuracy"
        ended[run.seed] = run.measure("metric") if counts else None
    return {seed: ended.get(seed) for seed in seeds if seed in ended or seed in lost}


def _planned(each: Configuration, next_seed: int | None, still: Collection[str]) -> Configuration:
    """Return a configuration whose planned seeds are those that it has, and the next one if it is in question."""
    if not each.planned:
        return each
    have = sorted({run.seed for run in (*each.runs, *each.failed)})
    more = [next_seed] if each.label in still and next_seed is not None else []
    return replace(each, planned=(*have, *more), until_decided=True)


def still_missing(problems: Iterable[Problem], configurations: Sequence[Configuration]) -> list[Problem]:
    """Return the problems with the seeds that are missing now, in place of those of the file."""
    ours = {each.label for each in configurations if each.until_decided}
    kept = [each for each in problems if each.kind != "missing" or each.where not in ours]
    for each in configurations:
        have = {run.seed for run in (*each.runs, *each.failed)}
        if each.until_decided and (more := [seed for seed in each.planned if seed not in have]):
            kept.append(Problem("missing", each.label, f"seed {more[0]}, because it is in question"))
    return kept


def _identity(run: Run) -> str:
    return identity(decisive(run.config))
