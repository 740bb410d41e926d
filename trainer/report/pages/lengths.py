"""Sentences about the cost of an accuracy, where a sweep asks for it by runs of several lengths."""

import math
from collections.abc import Iterable, Sequence

from trainer.report.asked import Measured
from trainer.report.configurations import siblings_of
from trainer.report.pages.sentences import several
from trainer.report.table import Table
from trainer.runs.outcomes import EPOCHS, Outcome
from trainer.statistics.lengths import Cost, Lengths, shared_lengths


def lengths_of(table: Table) -> dict[str, Lengths]:
    """Return the runs of each configuration over all lengths, by label, if the sweep asks for their cost."""
    if table.asked is None or not table.asked.outcome.over_lengths:
        return {}
    return {each.label: each.lengths(table.asked.outcome) for each in siblings_of(table.configurations)}


def twin_of(table: Table) -> Measured | None:
    """Return the cost of the accuracy in epochs where seconds are asked for, or the other way round.

    Epochs do not depend on the machine, nor on what ran beside. Seconds do.
    """
    if table.asked is None or not (lengths := lengths_of(table)):
        return None
    cost: Cost = "epochs" if table.asked.outcome.unit == "s" else "seconds"
    outcome = Outcome(f"lengths/{cost}@{table.asked.outcome.target:g}")
    samples = {label: each.costs(cost) for label, each in lengths.items()}
    asked = table.asked
    return Measured(outcome, samples, asked.control, highest=False, named=asked.named)


def at_one_length(table: Table) -> tuple[float, Measured] | None:
    """Return (epochs, the test accuracy in percent after so many), of the longest runs that all have, or None.

    Whoever has no cost because the accuracy is out of reach can still be compared by this.
    """
    lengths = lengths_of(table)
    epochs = max(shared_lengths(lengths.values()), default=None)
    if table.asked is None or epochs is None:
        return None
    samples = {label: each.accuracies(epochs) for label, each in lengths.items()}
    return epochs, Measured(Outcome("headline/accuracy"), samples, table.asked.control, named=table.asked.named)


def how_read(lengths: Iterable[Lengths]) -> str:
    """Return how the cost of an accuracy is read off the runs of a table."""
    along = next((each.along for each in lengths if each.along), None)
    if along is None:
        return (
            "Of each seed it is read off a straight line of test accuracy against the logarithm of the cost, through"
            " its runs of all lengths"
        )
    slope = along.slopes["epochs"]
    gain, half = slope.gain * math.log(2), (slope.half or 0) * math.log(2)
    interval = "" if slope.half is None else f", 95% interval {gain - half:.2f} to {gain + half:.2f}"
    return (
        f"Some have runs of one length alone. So all are read at {_epochs(along.at)} epochs, which all have, along one"
        f" slope, that of those with several: {gain:.2f} points for twice the epochs{interval}. Intervals of"
        " differences take the slope as known, and as that of all"
    )


def _epochs(lengths: Iterable[float]) -> str:
    return several([f"{each:g}" for each in sorted(lengths)])


def why_without(lengths: Lengths) -> str:
    """Return why a configuration has no cost, an empty text if it has one or no runs."""
    target = f"{lengths.target:g}%"
    match lengths.state:
        case "not reached":
            epochs, accuracy = lengths.longest
            return f"{target} is not reached, {accuracy:.2f}% after {epochs:g} epochs; {_needed(lengths, epochs)}"
        case "passed":
            epochs, accuracy = lengths.shortest
            return f"{target} is passed by the shortest runs, {accuracy:.2f}% after {epochs:g} epochs; run shorter ones"
        case "flat" if lengths.along:
            return (
                "the accuracy does not rise surely enough with the length; give those with several lengths more seeds"
            )
        case "flat":
            return "the accuracy does not rise enough with the length for every seed"
        case "one length" if lengths.cut:
            return f"too few lengths, {_cut(lengths)}"
        case "one length" if lengths.along and lengths.runs:
            return f"no seed with runs of {_epochs(lengths.along.at)} epochs"
        case "one length":
            return f"runs of one length only; give {EPOCHS} more values" if lengths.runs else ""
        case "within":
            return ""


def _needed(lengths: Lengths, longest: float) -> str:
    needed = lengths.needed
    if needed is None:
        return "it does not rise with the length"
    times = needed / longest
    if times > 4:
        return "extrapolated, it takes more than 4 times as many"
    return f"extrapolated, it takes about {needed:.3g}, {times:.2g} times as many"


def _cut(lengths: Lengths) -> str:
    count = "1 run" if lengths.cut == 1 else f"{lengths.cut} runs"
    return f"without {count} that ended before {EPOCHS}"


def without_cost(table: Table) -> Iterable[str]:
    """Yield why configurations have runs and no cost, and whose runs ended too soon to be in it.

    Then those without a cost are compared by their accuracy at one length.
    """
    lengths = lengths_of(table)
    whys = {label: why for label, each in lengths.items() if (why := why_without(each))}
    alike: dict[tuple[str, str], list[str]] = {}  # but a number of runs is that of one
    for label, why in whys.items():
        alike.setdefault((why, label if lengths[label].cut else ""), []).append(label)
    for (why, _), labels in alike.items():
        yield f"For {f'all {len(labels)} of them' if len(labels) == len(lengths) > 2 else several(labels)}, {why}."
    for label, each in lengths.items():
        if each.cut and label not in whys:
            yield f"The cost for {label} is {_cut(each)}."
    if found := at_one_length(table):
        yield from _by_accuracy(*found, [*whys], so_far=table.interim)


def _by_accuracy(epochs: float, accuracy: Measured, labels: Sequence[str], *, so_far: bool) -> Iterable[str]:
    """Yield which of these have a significantly lower or higher accuracy than the reference, or are not the best.

    Nothing as long as some have too few runs for a test: the correction is for those that are tested.
    """
    if any(pair.finding == "undecided" for pair in accuracy.contrasts.values()):
        return
    pairs = {label: accuracy.contrasts[label] for label in labels if label in accuracy.contrasts}
    for verdict in ("lower", "higher"):
        if named := [label for label, pair in pairs.items() if pair.finding == verdict]:
            surely = "so far significantly" if so_far else "significantly"
            yield (
                f"After {epochs:g} epochs, the test accuracy of {several(named)} is {surely} {verdict} than that of"
                f" {accuracy.reference}."
            )
    if named := [label for label, pair in pairs.items() if pair.finding == "not the best"]:
        are = "is" if len(named) == 1 else "are"
        so = " so far" if so_far else ""
        yield f"After {epochs:g} epochs, the test accuracy of {several(named)} {are}{so} not the best, at the 5% level."
