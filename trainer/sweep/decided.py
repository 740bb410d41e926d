"""Seeds until decided: `trainer sweep run FILE --until decided`.

Every configuration gets its first seeds. From then on a seed goes only to what is still in question, one at a time, and
after each the design of `statistics/sequential.py` decides. All decisions follow from the runs alone, in the order of
their seeds, so a sweep that was killed decides as if it had not been.
"""

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from math import isfinite
from typing import Any

from trainer.config.explain import did_you_mean
from trainer.errors import SweepError
from trainer.statistics.sequential import Decision, Design, decide
from trainer.sweep.engine import Watch
from trainer.sweep.header import Until, seeds_until
from trainer.sweep.local import LocalSweep
from trainer.sweep.points import Entry
from trainer.sweep.status import PointStatus, Progress, configurations

_FAILED = ("crashed", "diverged")
_PATIENCE_SECONDS = 5  # between two looks at what another controller runs


@dataclass(frozen=True)
class Decided:
    """The end of a sweep that ran until it was decided."""

    progress: Progress
    decisions: tuple[Decision, ...]
    open: tuple[str, ...]  # configurations that need another seed
    design: Design
    signal: int | None
    margin: str  # as it is shown

    @property
    def runs(self) -> int:
        """Return the number of runs that were made or taken from archives."""
        return sum(bool(status.attempts) and status.state != "waiting" for status in self.progress.points)

    @property
    def left(self) -> int:
        """Return the number of runs of configurations in question that were interrupted."""
        groups = configurations(self.progress)
        return sum(status.state == "interrupted" for label in self.open for status in groups[label])

    @property
    def failed(self) -> dict[str, int]:
        """Return the number of failed runs of each configuration that has some."""
        counts = {label: sum(map(_has_failed, group)) for label, group in configurations(self.progress).items()}
        return {label: count for label, count in counts.items() if count}

    def as_json(self) -> dict[str, Any]:
        return {
            **self.progress.as_json(),
            "design": asdict(self.design),
            "decisions": [asdict(decision) for decision in self.decisions],
            "open": list(self.open),
            "runs": self.runs,
        }

    def as_text(self) -> str:
        """Return a line for each pair, followed by what the decisions rest on."""
        lines = [_sentence(decision, self) for decision in self.decisions]
        lines += [
            f"{label}: {count} of its runs failed, and its pairs rest on the others"
            for label, count in self.failed.items()
        ]
        fixed = len(configurations(self.progress)) * self.design.at_most
        lines.append(f"{self.runs} runs, where {self.design.at_most} seeds for each configuration are {fixed}")
        return "\n".join(lines)


def design_of(
    sweep: LocalSweep, *, question: str, at_least: int, at_most: int, margin: float | None
) -> tuple[Design, str]:
    """Return (the design, its margin as text). `question` is best, all-pairs, against or against=LABEL.

    `margin` is in the unit in which the metric is shown: points of an accuracy. Raises SweepError if nothing can be
    decided: a search, no metric, one configuration, or no such control.
    """
    file = sweep.checked.sweep.file
    if file.method != "grid":
        raise SweepError(f"--until decided: {sweep.name} is a {file.method} search; it is for grid")
    if file.metric is None:
        raise SweepError(f"--until decided: {sweep.name} names no metric; add metric: {{name: test/accuracy}}")
    for key in ("early_terminate", "run_cap"):
        if getattr(file, key) is not None:
            raise SweepError(f"--until decided: {sweep.name} has {key}, which ends seeds, too; leave one out")
    labels = list(configurations(sweep.progress()))
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
    if kind == "against" and control not in labels:
        raise SweepError(f"--question: {control!r} is no configuration{did_you_mean(control, labels)}")
    percent = "accuracy" in file.metric.name
    try:
        design = Design(
            question=kind,
            control=labels.index(control) if control else None,
            at_least=at_least,
            at_most=at_most,
            margin=margin if margin is None or not percent else margin / 100,
            highest=file.metric.goal == "maximize",
        )
    except ValueError as error:
        raise SweepError(str(error)) from error
    return design, "" if margin is None else f"{margin:g}{' points' if percent else ''}"


def seeds_for(sweep: LocalSweep, at_most: int) -> tuple[int, ...]:
    """Return `at_most` seeds: the file's, in its order, then the next whole numbers."""
    known = [entry.point.values.get("seed") for entry in sweep.checked.entries]
    return seeds_until([seed for seed in known if isinstance(seed, int)], at_most)


def run_until_decided(
    sweep: LocalSweep,
    design: Design,
    *,
    margin: str = "",
    jobs: int,
    devices: Sequence[str],
    watch: Watch,
    say: Callable[[str], None],
) -> Decided:
    """Run seeds until no configuration is in question. A failed run is replaced by the next seed, if there is one.

    Raises SweepError if the sweep was begun with another design.
    """
    sweep.note_design(asdict(design), str(_until(sweep, design, margin)))
    entries = {entry.point.key: entry for entry in sweep.entries}
    tried = set[str]()
    signal: int | None = None
    while True:
        progress = sweep.progress()
        decisions, still = _decisions(progress, entries, design)
        wanted = [entry for entry in _wanted(progress, entries, still, design) if entry.point.key not in tried]
        if signal or not wanted:
            return Decided(progress, tuple(decisions), tuple(still), design, signal, margin)
        running = {status.point.key for status in progress.points if status.state == "running"}
        if all(entry.point.key in running for entry in wanted):  # by another controller
            time.sleep(_PATIENCE_SECONDS)
            continue
        say(f"{len(still)} configurations in question, {len(wanted)} runs")
        wanted = [entry for entry in wanted if entry.point.key not in running]
        tried |= {entry.point.key for entry in wanted}
        _, signal = sweep.run(wanted=wanted, jobs=jobs, devices=devices, watch=watch)


def _until(sweep: LocalSweep, design: Design, margin: str) -> Until:
    """Return the design in the words of the sweep's file, which a report reads. `margin` is as it is shown."""
    control = "" if design.control is None else list(configurations(sweep.progress()))[design.control]
    shown = float(margin.partition(" ")[0]) if margin else None
    return Until(design.question, control, design.at_least, design.at_most, shown)


def _decisions(progress: Progress, entries: Mapping[str, Entry], design: Design) -> tuple[list[Decision], list[str]]:
    """Return (a decision for each pair, the configurations that need another seed)."""
    groups = {label: _asked(group, entries) for label, group in configurations(progress).items()}
    spent = [label for label, group in groups.items() if all(_has_ended(status) for status in group)]
    return decide({label: _sample(group) for label, group in groups.items()}, design, spent=spent)


def _sample(group: Sequence[PointStatus]) -> list[float]:
    """Return the outcomes of a configuration in the order of its seeds, up to the first that is still to come."""
    sample: list[float] = []
    for status in group:
        if not _has_ended(status):
            break
        if not _has_failed(status):
            sample.append(status.value or 0.0)
    return sample


def _wanted(progress: Progress, entries: Mapping[str, Entry], still: Sequence[str], design: Design) -> list[Entry]:
    """Return the points that the next look needs, a seed of every configuration before the next."""
    groups = {label: _asked(group, entries) for label, group in configurations(progress).items()}
    have = {label: len(_sample(group)) for label, group in groups.items()}
    target = max(design.at_least, 1 + min((have[label] for label in still), default=0))
    found: list[tuple[int, Entry]] = []
    for label in still:
        first = [status for status in groups[label] if not _has_failed(status)][:target]
        found += [(place, entries[s.point.key]) for place, s in enumerate(first) if not _has_ended(s)]
    return [entry for _, entry in sorted(found, key=lambda each: each[0])]


def _has_ended(status: PointStatus) -> bool:
    return status.state in ("finished", *_FAILED)


def _has_failed(status: PointStatus) -> bool:
    """Return whether a run ended without an outcome: it failed, or its metric is missing or no number."""
    return _has_ended(status) and (status.value is None or not isfinite(status.value))


def _asked(group: Sequence[PointStatus], entries: Mapping[str, Entry]) -> list[PointStatus]:
    """Return the points of a configuration that are among the entries, in the order of these."""
    order = {key: place for place, key in enumerate(entries)}
    return sorted((s for s in group if s.point.key in order), key=lambda status: order[status.point.key])


def _sentence(decision: Decision, end: Decided) -> str:
    a, b, after = decision.a, decision.b, f"after {decision.seeds} seeds"
    match decision.verdict:
        case "different":
            other = b if decision.higher == a else a
            return f"{decision.higher} is higher than {other}: different, {after}"
        case "equivalent":
            return f"{a} and {b}: equivalent within {end.margin}, {after}"
        case "open":
            return f"{a} and {b}: undecided {after}"
