"""A table: the configurations of a question, their runs by seed, and the published rows that they answer."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from statistics import fmean

from trainer.errors import UserError
from trainer.published import Experiment
from trainer.report.asked import Measured, all_measured
from trainer.report.configurations import Configuration
from trainer.report.controls import arms_of
from trainer.report.decided import Decided
from trainer.report.folders import Problem, Run, is_second_test
from trainer.report.planned import of_run
from trainer.report.published.claims import Claim, claims_of
from trainer.report.published.comparisons import Answer, Comparison, compared
from trainer.report.published.readings import Readings
from trainer.report.sources import Source
from trainer.runs import groups
from trainer.runs.families import Family, families_of, in_words
from trainer.statistics.comparisons import Comparison as Against
from trainer.statistics.comparisons import top_group, with_best, with_control
from trainer.statistics.describe import Values
from trainer.statistics.differences import Pair, all_pairs
from trainer.statistics.failures import Failures, failures
from trainer.statistics.table import NoiseFloor, Order, agreement, noise_floor
from trainer.statistics.verdicts import Verdict, verdicts

_NO_CRASH = ("running", "interrupted", "stopped", "finished", "diverged")  # all statuses that are no crash


@dataclass(frozen=True)
class Table:
    name: str
    folder: Path  # of its runs, or of most of them, or their archive
    question: str
    metric: str  # key of a run's summary that the configurations are compared by
    highest: bool  # is best
    varied: tuple[str, ...]  # the keys that distinguish the configurations
    configurations: tuple[Configuration, ...]
    unfinished: tuple[Run, ...]  # readable, but not counted
    problems: tuple[Problem, ...]
    answers: tuple[Answer, ...]  # to published rows
    expected: int | None  # number of runs; None if it is not known
    control: str = ""  # that its file names: a configuration, a network, or a choice
    authors: tuple[Answer, ...] = ()  # to those rows that have a reading after their authors' public code
    readings: tuple[Readings, ...] = ()  # of rows of another sweep, which this one reads otherwise
    asked: Measured | None = None  # the outcome that its file names in place of the metric
    source: Source | None = None  # None for single runs
    decided: Decided | None = None  # if seeds were added until it was decided
    margin: float | None = None  # difference of the metric that does not matter
    means: bool = False  # are what a search went by, and bad points got fewer seeds

    def with_margin(self, margin: float) -> "Table":
        """Return the table with another margin. Raises UserError, one line, where it can have none, or only its own."""
        if not 0 < margin < math.inf:
            raise UserError(f"margin {margin:g}: expected a difference above 0, such as 0.3")
        if self.asked:
            raise UserError(f"margin {margin:g}: it is of the metric, and {self.name} compares an outcome")
        if self.decided and margin != self.decided.until.margin:
            own = self.decided.until.margin
            how = "without a margin" if own is None else f"with a margin of {own:g}"
            raise UserError(f"margin {margin:g}: the seeds of {self.name} were decided {how}; leave it out")
        return replace(self, margin=margin)

    @cached_property
    def comparisons(self) -> list[Comparison]:
        return compared(self.answers)

    @cached_property
    def authors_comparisons(self) -> list[Comparison]:
        return compared(self.authors)

    @cached_property
    def claims(self) -> list[Claim]:
        return claims_of(self.answers)

    @property
    def experiments(self) -> list[Experiment]:
        return list({answer.experiment.id: answer.experiment for answer in self.answers}.values())

    @cached_property
    def samples(self) -> Mapping[str, Values]:
        """Return what is compared, by label and seed: the outcome if the file names one, or else the metric.

        Of a search of means it is the points with most seeds. A mean of fewer is partly luck.
        """
        if self.asked:
            return self.asked.samples
        samples = {each.label: each.sample() for each in self.configurations}
        most = max(map(len, samples.values()), default=0)
        return {name: {} if self.means and len(each) < most else each for name, each in samples.items()}

    @property
    def scaled(self) -> Mapping[str, Values]:
        """Return the samples on the scale of the tests: logarithms of an outcome that is compared by its ratio."""
        return self.asked.scaled if self.asked else self.samples

    @cached_property
    def measured(self) -> list[Measured]:
        """Return what the probes of the runs measured beside the outcome."""
        return all_measured(self.configurations, self.asked, self.control)

    @property
    def best_is_highest(self) -> bool:
        return self.asked.highest if self.asked else self.highest

    @cached_property
    def pairs(self) -> list[Pair]:
        return all_pairs(self.scaled)

    @cached_property
    def against_best(self) -> list[Against]:
        if self.asked:
            return self.asked.against_best
        return with_best(self.samples, highest=self.highest)

    @cached_property
    def against_control(self) -> list[Against]:
        """Return the comparisons with the control, none if the file names none or it has no run."""
        if self.asked:
            return self.asked.against_control
        return [
            each
            for family in self.families
            for each in with_control({name: self.samples[name] for name in family.members}, family.control)
        ]

    @cached_property
    def verdicts(self) -> Mapping[str, Verdict]:
        """Return what may be concluded of each comparison with the best, by label."""
        reference = next(iter(self.ranked), "")
        return self._verdicts(self.scaled, self.against_best, reference, two_sided=False)

    @cached_property
    def verdicts_on_control(self) -> Mapping[str, Verdict]:
        """Return what may be concluded of each comparison with the control, by label."""
        found: dict[str, Verdict] = {}
        for family in self.families:
            samples = {name: self.scaled[name] for name in family.members}
            own = [each for each in self.against_control if each.name in samples]
            found |= self._verdicts(samples, own, family.control, two_sided=True)
        return found

    def _verdicts(
        self, samples: Mapping[str, Values], comparisons: Sequence[Against], reference: str, *, two_sided: bool
    ) -> dict[str, Verdict]:
        margin = None if self.asked else self.margin
        return verdicts(samples, comparisons, reference, margin=margin, two_sided=two_sided)

    @property
    def families(self) -> list[Family]:
        """Return which configurations, or networks of an outcome over rates, are compared with which control."""
        if self.asked:
            return self.asked.families
        return families_of(self.control, self.configurations) if self.control else []

    @property
    def control_words(self) -> str:
        return in_words(self.control, arms_of(self.configurations, self.asked.outcome.over if self.asked else None))

    @cached_property
    def top(self) -> list[str]:
        return top_group(self.scaled, self.against_best, highest=self.best_is_highest)

    @property
    def ranked(self) -> list[str]:
        """Return the configurations with values, the best first."""
        return self.asked.ranked if self.asked else top_group(self.scaled, [], highest=self.best_is_highest)

    @property
    def ranked_configurations(self) -> list[Configuration]:
        """Return all configurations, the best first by the metric. Those without a number of it are last."""
        means = {each.label: fmean(sample.values()) for each in self.configurations if (sample := each.sample())}
        measured = [each for each in self.configurations if each.label in means]
        others = [each for each in self.configurations if each.label not in means]
        return [*sorted(measured, key=lambda each: means[each.label], reverse=self.highest), *others]

    @cached_property
    def floor(self) -> NoiseFloor | None:
        return noise_floor(self.scaled)

    @property
    def spreads_differ(self) -> bool:
        """Return whether tests of the table rest on spreads that Bartlett's test contradicts. Pairs have only one."""
        in_pairs = self.asked is not None and self.asked.in_pairs and len(self.asked.filled) == 2
        return self.floor is not None and not self.floor.equal and not in_pairs

    @cached_property
    def failures(self) -> list[Failures]:
        """Return the share of failed runs of each configuration with an ended run, compared with the control's."""
        counts = {each.label: (len(each.failed), len(each.runs) + len(each.failed)) for each in self.configurations}
        families = families_of(self.control, self.configurations) if self.control else []
        return failures(counts, {name: each.control for each in families for name in each.members})

    @property
    def empty(self) -> list[str]:
        """Return the configurations of which no run has ended, well or badly."""
        return [each.label for each in self.configurations if not each.ended]

    @property
    def stopped(self) -> list[str]:
        """Return the configurations of which the sweep stopped every run early, so that none counts."""
        stopped = {(each.label, seed) for each in self.configurations for seed in each.stopped}
        labelled = [(self.label_of(run), run) for run in self.unfinished]
        others = {name for name, run in labelled if run.status == "running" or (name, run.seed) not in stopped}
        return [
            each.label
            for each in self.configurations
            if each.stopped and not each.runs and not each.failed and each.ended.issuperset(each.planned)
            if each.label not in others
        ]

    @property
    def trained(self) -> list[str]:
        """Return the configurations of which all runs that were begun ended above chance, with a number each."""
        left = {self.label_of(run) for run in self.unfinished if _identity(run) not in self._ended}
        return [
            each.label
            for each in self.configurations
            if each.runs and not each.failed and each.label not in {*left, *self.unmeasured}
        ]

    @property
    def fewer(self) -> list[Configuration]:
        """Return the points of a search of means that have runs, but fewer than those that are compared."""
        return [each for each in self.configurations if self.means and each.sample() and not self.samples[each.label]]

    @property
    def unmeasured(self) -> dict[str, int]:
        """Return how many finished runs of a configuration have no finite number of what is compared, if some have not.

        An outcome of several runs together says itself why one has none.
        """
        if self.asked and self.asked.outcome.over:
            return {}
        measure = self.asked.outcome.name if self.asked else "metric"
        counts = {each.label: len(each.runs) - len(each.sample(measure)) for each in self.configurations}
        return {label: count for label, count in counts.items() if count}

    @property
    def interim(self) -> bool:
        """Return whether runs are still to come: planned seeds of a grid, or runs of a search."""
        if not self.configurations:  # of a search without runs
            return bool(self.expected)
        return any(each.searched or not each.ended.issuperset(each.planned) for each in self.configurations)

    @cached_property
    def lost(self) -> list[Run]:
        """Return the runs that crashed, if no other run of their configuration and seed ended."""
        return [run for run in self.unfinished if run.status not in _NO_CRASH and _identity(run) not in self._ended]

    @cached_property
    def _ended(self) -> set[tuple[str, int]]:
        return {_identity(run) for each in self.configurations for run in (*each.runs, *each.failed)}

    @property
    def runs(self) -> list[Run]:
        """Return all readable runs."""
        return [run for each in self.configurations for run in each.runs] + list(self.unfinished)

    @cached_property
    def _labels_of_runs(self) -> dict[int, str]:
        return {id(run): each.label for each in self.configurations for run in (*each.runs, *each.failed)}

    @cached_property
    def _labels_of_values(self) -> dict[str, str]:
        """Return the labels by the values of the varied keys. Of several with the same values it is the first."""
        known: dict[str, str] = {}
        for each in reversed(self.configurations):
            known |= dict.fromkeys((groups.identity(each.values), groups.identity(each.stored)), each.label)
        return known

    def label_of(self, run: Run) -> str:
        """Return the label of a run's configuration, under the name that the table has for it."""
        if own := self._labels_of_runs.get(id(run)):
            return own
        values = of_run(run, self.varied)
        return self._labels_of_values.get(groups.identity(values), groups.label(values) or "all")

    @cached_property
    def second_tests(self) -> list[str]:
        """Return the measures of second test sets that runs have, sorted. They are shown and never chosen on."""
        runs = [run for each in self.configurations for run in each.runs]
        return sorted({measure for run in runs for measure in run.values if is_second_test(measure)})

    @property
    def percent(self) -> bool:
        return self.asked.outcome.percent if self.asked else "accuracy" in self.metric

    @property
    def by_ratio(self) -> bool:
        """Return whether configurations are compared by a ratio, whose logarithm is tested."""
        return self.asked is not None and self.asked.scale == "ratio"

    def where(self, problem: Problem) -> str:
        """Return the run or configuration of a problem. The rest of the path only says whose machine it was."""
        return problem.where.removeprefix(f"{self.folder}/")

    def order(self, experiment: Experiment) -> Order | None:
        """Compare the published order of an experiment's rows with ours, by headline figures."""
        both = [
            (each.figure.value, each.mean)
            for each in self.comparisons
            if each.answer.experiment is experiment and each.headline and each.mean is not None
        ]
        return agreement([published for published, _ in both], [mean for _, mean in both])


def _identity(run: Run) -> tuple[str, int]:
    return groups.identity(groups.decisive(run.config)), run.seed
