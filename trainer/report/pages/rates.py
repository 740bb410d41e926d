"""A choice at several learning rates: its gain at each, whether that depends on the rate, and best rate against best.

Arms are what a table varies besides the rate. The first one in the file's order is what the others are compared with.
"""

from collections.abc import Iterable, Iterator, Mapping
from itertools import combinations
from statistics import fmean

from trainer.report.configurations import Configuration
from trainer.report.pages.grids import Grid
from trainer.report.pages.sentences import interval, p_value
from trainer.report.table import Table
from trainer.runs.bands import RATE
from trainer.runs.groups import label, value_text
from trainer.statistics.describe import FEWEST_FOR_A_VERDICT, LEVEL
from trainer.statistics.differences import contrast, holm, holm_by_name, welch
from trainer.text import NONE, spread

Arms = Mapping[str, Mapping[str, Configuration]]  # by label, then by rate, in the file's order


def arms_over_rates(table: Table) -> Arms:
    """Return the arms of a table that compares at least two at two rates each, or none."""
    arms: dict[str, dict[str, Configuration]] = {}
    for each in table.configurations:
        values = {key: value for key, value in each.values.items() if key != RATE}
        if values and RATE in each.values:
            # The sweep's own rows come first, runs at other settings have rows of the same values behind them.
            arms.setdefault(label(values), {}).setdefault(value_text(each.values[RATE]), each)
    several = {name: rates for name, rates in arms.items() if len(rates) > 1}
    return several if len(several) > 1 and table.metric == "test/accuracy" else {}


def gains(table: Table) -> Grid:
    """Return what each arm gains over the first one, rate by rate."""
    arms = arms_over_rates(table)
    rows: list[tuple[str, ...]] = []
    first = next(iter(arms), NONE)
    for other, rate, ours, theirs in _at_each_rate(arms):
        a, b = _values(ours), _values(theirs)
        difference = welch(a, b)
        bounds = interval((difference.low, difference.high))
        name = ", ".join([other, f"lr={rate}", *_marks([ours, theirs])])
        rows.append((name, spread(a), spread(b), f"{difference.mean:+.2f}", bounds))
    caption = f"Gain over {first} at each learning rate, in points, of the runs that trained: Welch's interval"
    return Grid(caption, ("arm and rate", "with", first, "gain", "95% interval (uncorrected)"), tuple(rows))


def interaction(table: Table) -> str:
    """Return whether an arm's gain depends on the rate: the most different two rates, a sentence an arm."""
    arms = arms_over_rates(table)
    at: dict[str, dict[str, tuple[Configuration, Configuration]]] = {}
    for other, rate, ours, theirs in _at_each_rate(arms):
        if min(len(ours.runs), len(theirs.runs)) >= FEWEST_FOR_A_VERDICT:
            at.setdefault(other, {})[rate] = (ours, theirs)
    said: list[str] = []
    for other, rates in at.items():
        pairs = list(combinations(rates, 2))
        found = [
            contrast(*zip((1, -1, -1, 1), map(_values, (*rates[one], *rates[two])), strict=True)) for one, two in pairs
        ]
        tested = [(pair, each) for pair, each in zip(pairs, found, strict=True) if each.p is not None]
        if not tested:
            continue
        corrected = holm([each.p for _, each in tested if each.p is not None]).tolist()
        p, ((one, two), each) = min(zip(corrected, tested, strict=True), key=lambda pair: pair[0])
        sign, more, less = (1, one, two) if each.mean >= 0 else (-1, two, one)
        bounds = sorted((sign * (each.low or 0.0), sign * (each.high or 0.0)))
        verb = "depends" if p < LEVEL else "does not significantly depend"
        marks = _marks([*rates[one], *rates[two]])
        subject = f" ({', '.join(marks)})" if marks else ""
        corrected_for = f"after Holm for {len(tested)} pair{'s' * (len(tested) > 1)} of rates{subject}"
        said.append(
            f"The gain of {other} {verb} on the learning rate: at {more} it is {abs(each.mean):.2f} points more than at"
            f" {less}, 95% interval {interval((bounds[0], bounds[1]))} (uncorrected), p {p_value(p)} {corrected_for}."
        )
    return " ".join(said)


def best_rates(table: Table) -> Grid:
    """Return each arm at its best rate, chosen by the mean validation accuracy, and its gain on the test set."""
    arms = arms_over_rates(table)
    chosen = {name: best for name, rates in arms.items() if (best := _chosen(rates))}
    rows: list[tuple[str, ...]] = []
    reference = chosen.get(next(iter(arms), ""))
    gains = {
        name: welch(_values(each), _values(reference[1]))
        for name, (_, each) in chosen.items()
        if reference is not None and each is not reference[1]
    }
    tested = {name: found.p for name, found in gains.items() if found.p is not None}
    corrected = holm_by_name(tested)
    for name, (rate, each) in chosen.items():
        found = gains.get(name)
        gain, bounds = (f"{found.mean:+.2f}", interval((found.low, found.high))) if found else (NONE, NONE)
        p = p_value(corrected.get(name)) if found else NONE
        rows.append(
            (
                ", ".join([name, *each.marks]),
                rate,
                spread(each.sample("val_acc").values()),
                spread(each.sample().values()),
                gain,
                bounds,
                p,
            )
        )
    caption = (
        "Each arm at its best learning rate, chosen by the mean validation accuracy of its last epochs. The test images"
        " had no part in the choice. Gains are over the first arm, by Welch's test, with p corrected for the number of"
        " arms (Holm)"
    )
    header = ("arm", "rate", "validation accuracy (%)", "test accuracy (%)", "gain", "95% interval", "p")
    return Grid(caption, header, tuple(rows) if len(rows) > 1 else ())


def _at_each_rate(arms: Arms) -> Iterator[tuple[str, str, Configuration, Configuration]]:
    """Yield (arm, rate, its configuration, the first arm's) where both have runs that trained."""
    if not arms:
        return
    first, *others = arms
    for other in others:
        for rate, each in arms[other].items():
            theirs = arms[first].get(rate)
            if theirs is not None and each.sample() and theirs.sample():
                yield other, rate, each, theirs


def _values(configuration: Configuration) -> list[float]:
    return [*configuration.sample().values()]


def _marks(configurations: Iterable[Configuration]) -> list[str]:
    return list(dict.fromkeys(mark for each in configurations for mark in each.marks))


def _chosen(rates: Mapping[str, Configuration]) -> tuple[str, Configuration] | None:
    judged = {
        rate: values
        for rate, each in rates.items()
        if not each.failed and len(values := each.sample("val_acc").values()) >= FEWEST_FOR_A_VERDICT
    }  # a rate at which runs fail is nobody's best rate
    if not judged:
        return None
    best = max(judged, key=lambda rate: fmean(judged[rate]))
    return best, rates[best]
