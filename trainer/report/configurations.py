"""Configurations of a table: the runs that differ in nothing but the seed."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from trainer.report.folders import Problem, Run
from trainer.report.planned import config_of, loaded, of_run, seed_of, stored, written
from trainer.report.siblings import Siblings, Together
from trainer.runs.bands import RATE
from trainer.runs.chance import at_guessing
from trainer.runs.groups import decisive, differing_keys, identity, label, one_of_each_seed, value_text
from trainer.runs.history import is_finite
from trainer.runs.outcomes import EPOCHS, Outcome
from trainer.runs.results import origin_text, same_numbers
from trainer.statistics.describe import Values
from trainer.sweep.file import Sweep
from trainer.sweep.points import points_of

FAILED = "failed"
"""The measure of a run that is 1 if it diverged or stayed at chance, else 0."""

MARKS = ("interim", "survivors only", "seeds until decided")
"""Marks of a verdict, each something that it is subject to: planned seeds or runs of a search are missing, runs failed
or were stopped early, seeds were added until something was decided, which the test of a fixed number of seeds does not
know."""


@dataclass(frozen=True)
class Configuration:
    label: str
    values: Mapping[str, Any]  # of the keys that distinguish the table's configurations, as the sweep's file has them
    config: Mapping[str, Any]  # flat: of its runs, or, without any or before they are settled, of the sweep's file
    runs: tuple[Run, ...]  # finished and above chance, one of each seed: these count
    failed: tuple[Run, ...] = ()  # diverged or at chance, one of each seed that has no counting run
    stopped: tuple[int, ...] = ()  # seeds whose run the sweep stopped early, and that have no other
    planned: tuple[int, ...] = ()  # seeds that the sweep's file asks for, empty if it does not say
    searched: bool = False  # by a search that is to make further runs, of any configuration
    until_decided: bool = False  # seeds were added until the sweep was decided, so `planned` has those that are there
    siblings: Siblings | None = None  # with the runs at all other learning rates, or of all other lengths
    stored: Mapping[str, Any] = field(default_factory=dict)  # `values` as runs have them, where those differ

    @property
    def ended(self) -> set[int]:
        """Return the seeds that need no run any more."""
        return {*(run.seed for run in (*self.runs, *self.failed)), *self.stopped}

    @property
    def marks(self) -> tuple[str, ...]:
        """Return what a verdict on this configuration is subject to, of `MARKS`."""
        ended = self.ended
        interim = ended and (self.searched or not ended.issuperset(self.planned))
        found = (interim, self.runs and (self.failed or self.stopped), self.until_decided and ended)
        return tuple(mark for mark, is_so in zip(MARKS, found, strict=True) if is_so)

    def sample(self, measure: str = "metric") -> Values:
        """Return a number by seed: of the own runs, or of all siblings together if it is theirs."""
        if "/" in measure and Outcome(measure).over:
            return self.siblings.sample(measure) if self.siblings else {}
        if measure == FAILED:
            return {run.seed: 0.0 for run in self.runs} | {run.seed: 1.0 for run in self.failed}
        return {run.seed: value for run in self.runs if (value := run.measure(measure)) is not None}

    @property
    def correct(self) -> list[NDArray[np.bool_]]:
        """Return which test images each counting run got right, [N] each, of those that kept it."""
        return [run.history.correct for run in self.runs if run.history.correct is not None]


def siblings_of(configurations: Sequence[Configuration]) -> list[Siblings]:
    """Return the runs of each network, or so, at all learning rates or of all lengths, in the table's order."""
    return list({each.siblings.label: each.siblings for each in configurations if each.siblings}.values())


def with_siblings(configurations: Sequence[Configuration], key: str = RATE) -> list[Configuration]:
    """Return the configurations, each with all runs that differ from its own in seed and `key` only.

    Without several values of the key nobody has siblings.
    """
    if not any(key in each.values for each in configurations):
        return [*configurations]
    families: dict[tuple[str, str], list[Configuration]] = {}
    for each in sorted(configurations, key=lambda each: not (each.runs or each.failed)):
        families.setdefault(_family(each, key, families), []).append(each)
    numbered = Counter[str]()
    found: dict[str, Siblings] = {}
    table = Together([])
    for (name, _), members in families.items():
        numbered[name] += 1
        own = f"{name} #{numbered[name]}" if numbered[name] > 1 else name
        runs = tuple(run for each in members for run in each.runs if is_finite(run.config.get(key)))
        failed = tuple(run for each in members for run in each.failed if is_finite(run.config.get(key)))
        absent = ["interim"] if runs and any(not (each.runs or each.failed) for each in members) else []
        cut = key == EPOCHS and any(run.cut_short for run in runs)
        lost = ["survivors only"] if runs and (failed or cut) else []  # also if every seed failed at one rate
        marks = dict.fromkeys([*absent, *(mark for each in members for mark in each.marks), *lost])
        family = Siblings(own, runs, failed, tuple(marks), table)
        table.groups.append(family)
        found |= {each.label: family for each in members}
    return [replace(each, siblings=found[each.label]) for each in configurations]


def _family(configuration: Configuration, over: str, known: Iterable[tuple[str, str]]) -> tuple[str, str]:
    """Return (label without the key, identity of the settings beside it).

    A configuration without runs has no settings yet and joins the first known family of its label.
    """
    name = label({key: value for key, value in configuration.values.items() if key != over}) or "all"
    if not (configuration.runs or configuration.failed):
        return next((each for each in known if each[0] == name), (name, ""))
    config = decisive(configuration.config, also="probe.drift.")
    return name, identity({key: value for key, value in config.items() if key != over})


def grouped(runs: Iterable[Run], keys: Sequence[str]) -> dict[str, Configuration]:
    """Return a configuration for each combination of values of `keys`, by identity, with all its runs."""
    by_identity: dict[str, Configuration] = {}
    for run in runs:
        values = of_run(run, keys)
        empty = Configuration(label(values) or "all", values, {}, ())
        before = by_identity.get(identity(values), empty)
        by_identity[identity(values)] = replace(before, runs=(*before.runs, run))
    return by_identity


def of_sweep(
    sweep: Sweep, varied: Sequence[str], runs: Sequence[Run]
) -> tuple[list[Configuration], list[Problem], int | None]:
    """Return (configurations in the file's order and then others, what is missing, the number of runs expected).

    A random or Bayesian search has no configurations but those of its runs.
    """
    grid = points_of(sweep) if sweep.file.method == "grid" else []
    expected: dict[str, Configuration] = {}
    seeds: dict[str, list[int]] = {}
    for point in grid:
        values = written(point, varied)
        expected.setdefault(identity(values), Configuration(label(values) or "all", values, {}, ()))
        seeds.setdefault(identity(values), []).append(seed_of(point, sweep))
    with_runs = grouped(runs, varied)
    firsts = {identity(written(point, varied)): point for point in reversed(grid)}
    if grid and not with_runs.keys() <= expected.keys():  # only then, since to resolve a point may load torch
        values = {key: stored(point, sweep, varied) for key, point in firsts.items()}
        expected = {key: replace(each, stored=values[key]) for key, each in expected.items()}
        with_runs = _by_what_is_stored(with_runs, expected)
    for key, each in with_runs.items():
        filed = loaded(firsts[key], sweep) if key in firsts and len(_kinds(each)) > 1 else None
        with_runs[key] = replace(each, config=config_of(filed), planned=tuple(seeds.get(key, ())))
    expected = {key: replace(each, planned=tuple(seeds[key])) for key, each in expected.items()}
    problems = [
        Problem("not in the sweep", str(run.history.folder), f"its configuration is {configuration.label}")
        for key, configuration in with_runs.items()
        if grid and key not in seeds
        for run in configuration.runs
    ]
    configurations = {**expected, **with_runs}
    for key, asked in seeds.items():
        present = {run.seed for run in next(iter(_kinds(configurations[key])), [])}
        if missing := [str(seed) for seed in asked if seed not in present]:
            seed_s = f"seed{'s' * (len(missing) > 1)} {', '.join(missing)}"
            problems.append(Problem("missing", configurations[key].label, seed_s))
    total = len(grid) or sweep.cap
    if not grid and total and len(runs) < total:
        problems.append(Problem("missing", sweep.name, f"{total - len(runs)} of {total} runs of the search"))
    return list(configurations.values()), problems, total


def _by_what_is_stored(
    with_runs: Mapping[str, Configuration], expected: Mapping[str, Configuration]
) -> dict[str, Configuration]:
    """Return the configurations with runs by what the file writes, also where runs store its values otherwise."""
    keys = {identity(each.stored): key for key, each in expected.items()}
    found: dict[str, Configuration] = {}
    for key, each in with_runs.items():
        own = key if key in expected else keys.get(key, key)
        before = found.get(own, expected.get(own, replace(each, runs=())))
        found[own] = replace(before, runs=(*before.runs, *each.runs))
    return found


def settled(
    configurations: Iterable[Configuration], outcome: Outcome | None = None
) -> tuple[list[Configuration], list[Run], list[Problem]]:
    """Return (configurations with their counting and failed runs, all that do not count, why each of these does not).

    Runs of one label whose configs differ are split into several configurations. Of runs of a seed, one that measured
    the outcome counts before one that did not.
    """

    def answers(run: Run) -> bool:
        return run.result.answers(outcome)

    kept, split = list[Configuration](), list[Configuration]()
    aside, problems = list[Run](), list[Problem]()
    for configuration in configurations:
        kinds = _kinds(configuration)
        for number, runs in enumerate(kinds or [[]]):
            config = runs[0].config if runs else configuration.config
            name = configuration.label
            if number:
                differing = _differences(kinds[0][0].config, config)
                name = f"{configuration.label} ({', '.join(differing)})"
                problems += [
                    Problem("other settings", str(run.history.folder), f"{', '.join(differing)}: a separate row")
                    for run in runs
                ]
            aside += [run for run in runs if run.status != "finished"]
            counting, repeats = one_of_each_seed([run for run in runs if run.status == "finished"], answers=answers)
            aside += [run for run, _ in repeats]
            problems += [_repeated(run, first) for run, first in repeats]
            there = {run.seed for run in counting}
            rest = [run for run in runs if run.status == "diverged" and run.seed not in there]
            diverged, _ = one_of_each_seed(rest, answers=answers)
            there |= {run.seed for run in diverged}
            stopped = {run.seed for run in runs if run.status == "stopped"} - there
            planned = () if number else configuration.planned
            own = replace(configuration, label=name, config=config, planned=planned, stopped=tuple(sorted(stopped)))
            (split if number else kept).append(replace(own, runs=tuple(counting), failed=tuple(diverged)))
    learned, at_chance = _without_those_at_chance(_with_own_labels([*kept, *split]))
    return learned, [*aside, *at_chance], [*problems, *map(_no_better_than_chance, at_chance)]


def with_search(
    configurations: Sequence[Configuration], unfinished: Iterable[Run], expected: int | None
) -> list[Configuration]:
    """Return the configurations, marked if they are of a search with fewer runs that ended than are expected."""
    if expected is None or any(each.planned for each in configurations):
        return [*configurations]
    runs = [*(run for each in configurations for run in each.runs), *unfinished]
    ended = sum(run.status in ("finished", "stopped", "diverged") for run in runs)
    return [replace(each, searched=ended < expected) for each in configurations]


def _kinds(configuration: Configuration) -> list[list[Run]]:
    """Return the runs by what their configs say: first those that the sweep's file resolves to, then the commonest."""
    by_config: dict[str, list[Run]] = {}
    for run in configuration.runs:
        by_config.setdefault(identity(decisive(run.config)), []).append(run)
    filed = decisive(configuration.config)

    def is_of_the_file(runs: list[Run]) -> bool:
        own = decisive(runs[0].config)
        shared = own.keys() & filed.keys()  # a run of an older trainer lacks keys
        return bool(shared) and all(identity(own[key]) == identity(filed[key]) for key in shared)

    return sorted(by_config.values(), key=lambda runs: (not is_of_the_file(runs), -len(runs)))


def _without_those_at_chance(configurations: Sequence[Configuration]) -> tuple[list[Configuration], list[Run]]:
    """Return (configurations whose finished runs at chance are among the failed ones, these runs)."""
    finished = [run for each in configurations for run in each.runs]
    apart = at_guessing(
        {
            id(run): (accuracy / 100, run.chance)
            for run in finished
            if run.chance and (accuracy := run.measure("test_acc")) is not None
        }
    )
    return [
        replace(
            each,
            runs=tuple(run for run in each.runs if id(run) not in apart),
            failed=(*each.failed, *(run for run in each.runs if id(run) in apart)),
        )
        for each in configurations
    ], [run for run in finished if id(run) in apart]


def _no_better_than_chance(run: Run) -> Problem:
    images, classes = run.chance or (0, 1)
    message = f"{run.measure('test_acc'):.2f}% of {images:,} test images; guessing gets {100 / classes:g}%"
    return Problem("at chance", str(run.history.folder), message)


def cut_short_in(configurations: Iterable[Configuration]) -> list[Problem]:
    """Return which runs are in no cost at equal accuracy, because they ended before their last epoch."""
    return [
        Problem(
            "cut short",
            str(run.history.folder),
            f"ended after epoch {run.history.summary['epoch']:g} of {run.config[EPOCHS]:g}, so it is no whole run and "
            "in no cost at equal accuracy",
        )
        for each in configurations
        for run in each.runs
        if run.cut_short
    ]


def _repeated(run: Run, first: Run) -> Problem:
    same = "with the same figures"
    if not same_numbers(run.history, first.history):
        same = f"with other figures. Here: {origin_text(run.provenance)}. There: {origin_text(first.provenance)}"
    return Problem("repeated seed", str(run.history.folder), f"seed {run.seed} as {first.name}, {same}")


def _with_own_labels(configurations: list[Configuration]) -> list[Configuration]:
    """Number labels that read the same, because a label is a key."""
    seen = Counter[str]()
    numbered: list[Configuration] = []
    for configuration in configurations:
        seen[configuration.label] += 1
        again = seen[configuration.label]
        numbered.append(replace(configuration, label=f"{configuration.label} #{again}") if again > 1 else configuration)
    return numbered


def _differences(one: Mapping[str, Any], other: Mapping[str, Any]) -> list[str]:
    """Return `KEY=VALUE` for each value of `other` that `one` does not have."""
    return [f"{key}={value_text(other.get(key))}" for key in differing_keys([decisive(one), decisive(other)])]
