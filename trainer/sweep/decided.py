"""Seeds until decided: `trainer sweep run FILE --until decided`.

Every configuration gets its first seeds. From then on a seed goes only to what is still in question, one at a time, and
after each the design of `statistics/sequential.py` decides. All decisions follow from the runs alone, in the order of
their seeds, so a sweep that was killed decides as if it had not been.
"""

import time
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from itertools import takewhile
from math import isfinite
from typing import Any

from trainer.config.explain import did_you_mean
from trainer.errors import SweepError
from trainer.runs.families import Arm, choices_of, families_of, pairs_of
from trainer.runs.groups import SEED
from trainer.statistics.sequential import Decision, Design, decide, runs_taken
from trainer.sweep.engine import Watch
from trainer.sweep.file import Metric
from trainer.sweep.header import Until, seeds_tried
from trainer.sweep.local import LocalSweep
from trainer.sweep.order import Plan
from trainer.sweep.points import Entry
from trainer.sweep.status import PointStatus, Progress, configurations, only_begun

_PATIENCE_SECONDS = 5  # between two looks at what another controller runs


@dataclass(frozen=True)
class Decided:
    """The end of a sweep that ran until it was decided."""

    progress: Progress  # of the points that were begun
    decisions: tuple[Decision, ...]
    open: tuple[str, ...]  # configurations that need another seed
    failed: Mapping[str, int]  # number of failed runs of each configuration that has some
    design: Mapping[str, Any]  # as the ledger has it
    signal: int | None
    until: Until  # the design in the words of the sweep's file, which a report reads
    runs: int  # that this took, made or from archives

    @property
    def left(self) -> int:
        """Return the number of runs of configurations in question that were interrupted."""
        groups = configurations(self.progress)
        return sum(status.state == "interrupted" for label in self.open for status in groups.get(label, ()))

    def as_json(self) -> dict[str, Any]:
        return {
            **self.progress.as_json(),
            "design": dict(self.design),
            "decisions": [asdict(decision) for decision in self.decisions],
            "open": list(self.open),
            "failed": dict(self.failed),
            "runs": self.runs,
        }

    def as_text(self) -> str:
        """Return a line for each pair, followed by what the decisions rest on."""
        lines = [_sentence(decision, self) for decision in self.decisions]
        lines += [
            f"{label}: {count} of its runs failed, and its pairs rest on the others"
            for label, count in self.failed.items()
        ]
        most = self.design["at_most"]
        fixed = len(self.design["configurations"]) * most
        lines.append(f"{self.runs} runs, where {most} seeds for each configuration are {fixed}")
        return "\n".join(lines)


def plan_for(plan: Plan, design: Design) -> Plan:
    """Return a plan with the seeds that a design may need."""
    return replace(plan, count=seeds_tried(design.at_most))


def design_of(sweep: LocalSweep, question: str, numbers: Design) -> Design:
    """Return the design. `question` is best, all-pairs, against or against=LABEL, a configuration's or a choice's.

    `numbers` has everything else. Its margin, by default the file's, is in the unit of the shown metric: points. Raises
    SweepError if nothing can be decided: a search, no metric or one that is not logged, one configuration, or no such
    control.
    """
    file = sweep.checked.sweep.file
    if file.method != "grid":
        raise SweepError(f"--until decided: {sweep.name} is a {file.method} search; it is for grid")
    if file.metric is None:
        hint = "add metric: {name: test/accuracy, goal: maximize}"
        raise SweepError(f"--until decided: {sweep.name} names no metric; {hint}")
    for key in ("early_terminate", "run_cap"):
        if getattr(file, key) is not None:
            raise SweepError(f"--until decided: {sweep.name} has {key}, which ends seeds, too; leave one out")
    own = any(key.startswith("probe.extra") for key in sweep.checked.sweep.space)  # may log any metric
    if not own and (wrong := [each for each in sweep.checked.warnings if each.startswith("metric.name: ")]):
        raise SweepError(f"--until decided: {sweep.name}: {wrong[0]}")
    named = _named(sweep.progress())
    labels = [each.label for each in named]
    if len(labels) < 2:
        raise SweepError(f"--until decided: {sweep.name} has one configuration; nothing is to be decided")
    kind, _, control = question.partition("=")
    control = control or (sweep.checked.sweep.header.control if kind == "against" else "")
    if kind not in ("best", "all-pairs", "against") or (control and kind != "against"):
        raise SweepError(
            f"--question: {question!r} is not a question{did_you_mean(kind, ('best', 'all-pairs', 'against'))}"
        )
    if kind == "against" and not control:
        raise SweepError(f"--question: against what? Write against=LABEL, such as against={labels[0]}")
    families = families_of(control, named) if control else []
    if control and not families:
        near = did_you_mean(control, [*labels, *choices_of(named)])
        raise SweepError(f"--question: {control!r} is no configuration or choice{near}")
    margin = sweep.checked.sweep.header.margin if numbers.margin is None else numbers.margin
    return replace(
        numbers,
        question=kind,
        control=control,
        against=pairs_of(families, labels),
        margin=margin / 100 if margin is not None and _in_points(file.metric) else margin,
        highest=file.metric.goal == "maximize",
    )


def run_until_decided(
    sweep: LocalSweep,
    design: Design,
    *,
    jobs: int,
    devices: Sequence[str],
    watch: Watch,
    say: Callable[[str], None],
) -> Decided:
    """Run seeds until no configuration is in question. A failed run is replaced by the next seed, if there is one.

    Raises SweepError if the sweep was begun with another design, and after the first runs if none has the metric.
    """
    labels = list(configurations(sweep.progress()))
    noted = {
        **{key: value for key, value in asdict(design).items() if key != "against"},  # the places depend on the order
        "control": design.control or None,
        "configurations": sorted(labels),  # Holm's correction counts their pairs
        "seeds": list(sweep.seeds),  # looks are taken in their order
    }
    until = _until(design, sweep.checked.sweep.file.metric)
    sweep.note_design(noted, str(until))
    entries = {entry.point.key: entry for entry in sweep.entries}
    tried = set[str]()
    signal: int | None = None
    _needed(sweep, ()).begin()  # archives may decide it without a run
    while True:
        progress = sweep.progress()
        outcomes = _outcomes(progress, sweep.seeds)
        decisions, still = decide(outcomes.samples, design, spent=outcomes.spent)
        wanted = [entries[key] for key in _wanted(outcomes, list(entries), still, design) if key not in tried]
        if signal or not wanted:
            runs = runs_taken(outcomes.had, decisions, still, design)
            return Decided(
                only_begun(progress), tuple(decisions), tuple(still), outcomes.failed, noted, signal, until, runs
            )
        _refuse_no_metric(sweep, progress)
        running = {status.point.key for status in progress.points if status.state == "running"}
        if all(entry.point.key in running for entry in wanted):  # by another controller
            time.sleep(_PATIENCE_SECONDS)
            _needed(sweep, ()).begin()  # takes back what a machine had that has died since
            continue
        say(f"{len(still)} configurations in question, {len(wanted)} run{'s' * (len(wanted) > 1)}")
        wanted = [entry for entry in wanted if entry.point.key not in running]
        tried |= {entry.point.key for entry in wanted}
        _, signal = _needed(sweep, wanted).run(wanted=wanted, jobs=jobs, devices=devices, watch=watch)


def _named(progress: Progress) -> list[Arm]:
    """Return the configurations of a grid, with what distinguishes them."""
    keys = [key for key in progress.varied if key != SEED]
    return [
        Arm(name, {key: group[0].point.values[key] for key in keys}) for name, group in configurations(progress).items()
    ]


def _refuse_no_metric(sweep: LocalSweep, progress: Progress) -> None:
    finished = [status for status in progress.points if status.state == "finished"]
    metric = sweep.checked.sweep.file.metric
    if metric and finished and all(status.value is None for status in finished):
        raise SweepError(f"--until decided: {metric.name} is in none of {len(finished)} finished runs of {sweep.name}")


def _until(design: Design, metric: Metric | None) -> Until:
    margin = 100 * design.margin if design.margin is not None and _in_points(metric) else design.margin
    return Until(design.question, design.control, design.at_least, design.at_most, margin)


def _in_points(metric: Metric | None) -> bool:
    return metric is not None and "accuracy" in metric.name


def _needed(sweep: LocalSweep, wanted: Sequence[Entry]) -> LocalSweep:
    """Return the part of a sweep that is begun or wanted. Its seeds are noted in the ledger."""
    begun = [status.point.key for status in only_begun(sweep.progress()).points]
    keys = {*begun, *(entry.point.key for entry in wanted)}
    entries = tuple(entry for entry in sweep.checked.entries if entry.point.key in keys)
    used = {entry.point.values[SEED] for entry in entries}
    return replace(
        sweep,
        checked=replace(sweep.checked, entries=entries),
        seeds=tuple(seed for seed in sweep.seeds if seed in used),
    )


@dataclass(frozen=True)
class _Outcomes:
    """The points of each configuration in the order of the seeds, whatever order they ran in."""

    groups: Mapping[str, Sequence[PointStatus]]  # by label
    at_chance: Collection[str]  # keys of points

    @property
    def samples(self) -> dict[str, list[float]]:
        """Return the outcomes of each configuration, up to its first seed that is still to come."""
        return {label: self._sample(group) for label, group in self.groups.items()}

    @property
    def spent(self) -> list[str]:
        """Return the configurations without a seed that is still to come."""
        return [label for label, group in self.groups.items() if all(map(_has_ended, group))]

    @property
    def had(self) -> dict[str, list[bool]]:
        """Return which runs have an outcome, of those of each configuration that were begun."""
        return {
            label: [_has_ended(status) and not self.has_failed(status) for status in group if _was_begun(status)]
            for label, group in self.groups.items()
        }

    @property
    def failed(self) -> dict[str, int]:
        counts = {label: sum(map(self.has_failed, group)) for label, group in self.groups.items()}
        return {label: count for label, count in counts.items() if count}

    def has_failed(self, status: PointStatus) -> bool:
        """Return whether a run ended without an outcome: it failed, stayed at chance, or its metric is no number."""
        lost = status.value is None or not isfinite(status.value) or status.point.key in self.at_chance
        return _has_ended(status) and lost

    def _sample(self, group: Sequence[PointStatus]) -> list[float]:
        return [status.value or 0.0 for status in takewhile(_has_ended, group) if not self.has_failed(status)]


def _outcomes(progress: Progress, seeds: Sequence[int]) -> _Outcomes:
    place = {seed: number for number, seed in enumerate(seeds)}
    groups = {
        label: sorted((s for s in group if s.point.values[SEED] in place), key=lambda s: place[s.point.values[SEED]])
        for label, group in configurations(progress).items()
    }
    return _Outcomes(groups, progress.at_chance)


def _wanted(outcomes: _Outcomes, order: Sequence[str], still: Sequence[str], design: Design) -> list[str]:
    """Return the keys of the points that the next look needs: a seed of all before the next one, then by `order`."""
    have = {label: len(sample) for label, sample in outcomes.samples.items()}
    target = max(design.at_least, 1 + min((have[label] for label in still), default=0))
    found: list[tuple[int, int, str]] = []
    for label in still:
        first = [status for status in outcomes.groups[label] if not outcomes.has_failed(status)][:target]
        found += [
            (number, order.index(status.point.key), status.point.key)
            for number, status in enumerate(first)
            if not _has_ended(status)
        ]
    return [key for *_, key in sorted(found)]


def _has_ended(status: PointStatus) -> bool:
    return status.state in ("finished", "crashed", "diverged")


def _was_begun(status: PointStatus) -> bool:
    return bool(status.attempts) and status.state != "waiting"


def _sentence(decision: Decision, end: Decided) -> str:
    a, b, after = decision.a, decision.b, f"after {decision.seeds} seeds"
    match decision.verdict:
        case "different":
            other = b if decision.higher == a else a
            return f"{decision.higher} is higher than {other}: different, {after}"
        case "equivalent":
            points = " points" * _in_points(end.progress.metric)
            return f"{a} and {b}: equivalent within {end.until.margin:g}{points}, {after}"
        case "open":
            return f"{a} and {b}: undecided {after}"
