"""Sentences about the cost of an accuracy, where a sweep asks for it by runs of several lengths."""

from collections.abc import Iterable

from trainer.report.asked import siblings_of
from trainer.report.table import Table
from trainer.runs.outcomes import EPOCHS
from trainer.statistics.lengths import Lengths
from trainer.text import spread


def lengths_of(table: Table) -> dict[str, Lengths]:
    """Return the runs of each configuration over all lengths, by label, if the sweep asks for their cost."""
    if table.asked is None or not table.asked.outcome.over_lengths:
        return {}
    return {each.label: each.lengths(table.asked.outcome) for each in siblings_of(table.configurations)}


def epochs_text(lengths: Lengths) -> str:
    """Return the epochs that reach the accuracy: mean, standard deviation and number of seeds."""
    return spread(lengths.costs("epochs").values(), digits=None)


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
        case "flat":
            return "the accuracy does not rise enough with the length for every seed"
        case "one length" if lengths.cut:
            return f"too few lengths, {_cut(lengths)}"
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
    """Yield a sentence for each configuration that has runs and no cost, or runs that ended too soon to be in it."""
    for label, lengths in lengths_of(table).items():
        if why := why_without(lengths):
            yield f"For {label}, {why}."
        elif lengths.cut:
            yield f"The cost for {label} is {_cut(lengths)}."
