"""Numbers and findings as a report writes them. `±` is a sample standard deviation, brackets are 95 % intervals."""

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence

from trainer.published import Experiment
from trainer.report.asked import Measured
from trainer.report.configurations import MARKS
from trainer.report.published.comparisons import Comparison
from trainer.report.table import Table
from trainer.statistics.describe import FEWEST_FOR_A_VERDICT, Values, describe
from trainer.statistics.failures import resolution_of, two_humped
from trainer.statistics.power import difference_needed, lead_needed, power_if_skewed
from trainer.statistics.seedwise import Scale, factor, smallest_found
from trainer.text import NONE, metric_words, number, spread

_MOST_NAMED = 5  # configurations in a sentence


def interval(bounds: tuple[float | None, float | None] | None, *, digits: int | None = 2) -> str:
    if bounds is None or bounds[0] is None or bounds[1] is None:
        return NONE
    return f"[{number(bounds[0], digits=digits)}, {number(bounds[1], digits=digits)}]"


def mean_interval(values: Values, *, digits: int | None = 2) -> str:
    sample = describe(list(values.values()))
    return interval((sample.low, sample.high) if sample else None, digits=digits)


def p_value(p: float | None) -> str:
    """Return a p-value such as `0.032` or `< 0.001`."""
    if p is None:
        return NONE
    return "< 0.001" if p < 0.001 else f"{p:.3f}" if p < 0.1 else f"{p:.2f}"


def digits_of(table: Table) -> int | None:
    """Return the decimals of what the table compares, None for as many as a figure needs."""
    return 2 if table.percent else None


def difference(table: Table, value: float) -> str:
    """Return a difference of what the table compares, as `+0.14`, or `0.82` where the ratio is compared."""
    if table.by_ratio:
        return factor(value)
    return f"{value:+.2f}" if table.percent else f"{value:+.3g}"


def differences(table: Table, low: float | None, high: float | None) -> str:
    """Return the bounds of a difference: both, the one that there is, or `-`."""
    if low is None:
        return NONE if high is None else f"below {difference(table, high)}"
    if high is None:
        return f"above {difference(table, low)}"
    return f"[{difference(table, low).removeprefix('+')}, {difference(table, high).removeprefix('+')}]"


def margin_text(table: Table) -> str:
    """Return the margin of a table, which must have one, with its unit: `0.3 points`."""
    return f"{table.margin:g}{' points' if table.percent else ''}"


def mean_of(table: Table, values: Values) -> str:
    """Return `94.13 ± 0.12% (n=3)`, with as many digits as a figure of what the table compares needs."""
    return spread(values.values(), digits=digits_of(table), unit="%" * table.percent)


def metric_name(table: Table) -> str:
    """Return what the table compares in words, such as `test accuracy`."""
    if table.asked:
        return table.asked.outcome.words
    return metric_words(table.metric)


def verdict_of(comparison: Comparison) -> str:
    """Return a verdict such as `consistent`, or why there is none."""
    figure, answer = comparison.figure, comparison.answer
    if figure.judged == "not at all":
        return "not compared"
    if not comparison.sample:
        return _without_sample(comparison)
    said = comparison.verdict
    if figure.judged == "exactly" and said == "undecided":
        return "not compared: our network has another count"
    if said == "undecided":
        return f"undecided (n={len(comparison.sample)})"
    said = f"by our definition: {said}" if figure.judged == "by our definition" else said
    said = ", ".join([said, *comparison.marks])
    if figure.judged == "exactly":
        return said
    if answer.differences:
        return f"{said}, other settings"
    grade = answer.grade
    return said if grade is None or grade.kind == "printed" else f"{said}, {grade.text}"


def _without_sample(comparison: Comparison) -> str:
    ours = comparison.answer.configuration
    if ours is not None and ours.runs:
        return "not compared: our runs have no such figure"
    return "all runs failed" if ours is not None and ours.failed else "no runs"


def marked_text(marks: Iterable[Sequence[str]]) -> str:
    """Return ` (1 interim, 2 survivors only)`: how many of some verdicts have each mark. Empty if none has one."""
    counts = Counter(mark for each in marks for mark in each)
    said = ", ".join(f"{counts[mark]} {mark}" for mark in MARKS if counts[mark])
    return f" ({said})" if said else ""


def several(names: Sequence[str]) -> str:
    if len(names) > _MOST_NAMED:
        return f"{', '.join(names[: _MOST_NAMED - 1])} and {len(names) - _MOST_NAMED + 1} more"
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"


def best_epoch_of(table: Table, experiment: Experiment) -> str:
    """Return which verdicts would be others if the report had printed the best epoch, or an empty string."""
    split = [
        f"{each.answer.name} ({each.verdict} by the last epoch, {each.on_best_epoch} by the best)"
        for each in table.comparisons
        if each.headline and each.answer.experiment is experiment and each.on_best_epoch not in (None, each.verdict)
    ]
    if not split:
        return ""
    return (
        f"The verdict depends on which epoch the report printed for {several(split)}. A best epoch is chosen on the"
        " test set, so it is higher than one more run's last epoch. If the report printed it, take the second verdict."
    )


def two_humps_of(table: Table) -> str:
    """Return which configurations have runs in two groups, which no mean describes, or an empty string."""
    grid = resolution_of(value for sample in table.samples.values() for value in sample.values())
    names = [label for label, sample in table.samples.items() if two_humped(sample, resolution=grid)]
    return (
        f"Runs in two groups, with a wide gap between them: {several(names)}. A mean and a standard deviation describe"
        " neither group. Look at the single runs."
        if names
        else ""
    )


def unmeasured_text(table: Table) -> str:
    """Return which finished runs have no number of what is compared: some must have none."""
    measure = table.asked.outcome.name if table.asked else table.metric
    said = several([f"{count} of {label}" for label, count in table.unmeasured.items()])
    return f"Finished runs without a finite {measure}, which are in no mean: {said}"


def nothing_missing(table: Table) -> str:
    """Return the sentence for a table without problems. For plain folders the number of runs to expect is unknown."""
    if table.unmeasured:
        return f"{unmeasured_text(table)}."
    return f"Nothing: every run {'found here' if table.expected is None else 'of the sweep'} has finished and counts."


def order_of(table: Table, experiment: Experiment) -> str:
    """Return in words how the order of an experiment's rows compares with ours: Kendall's tau."""
    order = table.order(experiment)
    if order is None:
        return "The order of the rows cannot be compared: fewer than two have runs, or all are equal."
    agrees = "the same" if order.tau == 1 else "the reverse" if order.tau == -1 else f"tau-b = {order.tau:.2f}"
    p = p_value(order.p)
    p = f"p {p}" if p.startswith("<") else f"p = {p}"
    heads = [each for each in table.comparisons if each.headline and each.answer.experiment is experiment]
    changed = any(each.sample and each.answer.differences for each in heads)
    note = " (not all at the settings of the rows)" if changed else ""
    return f"Our order of the {order.n} rows, compared with the published one: {agrees} (Kendall, {p}){note}."


def _unit_of_noise(table: Table) -> str:
    return " in logarithms" if table.by_ratio else " points" if table.percent else ""


def floor_text(table: Table) -> str:
    """Return the noise floor, and the smallest differences that these runs can be expected to show."""
    floor = table.floor
    if floor is None:
        return "No configuration has two runs, so the effect of the seed alone is not known."
    digits, unit = digits_of(table), _unit_of_noise(table)
    single = sum(len(sample) > 1 for sample in table.samples.values()) == 1
    if floor.equal:
        said = (
            f"Noise floor: the seed alone gives a standard deviation of {number(floor.std, digits=digits)}{unit}, 95%"
            f" interval {interval((floor.low, floor.high), digits=digits)} ({floor.df} degrees of freedom)."
        )
        std, at = floor.std, "" if single else " and equal spreads, which Bartlett's test does not contradict"
    else:
        said = (
            f"The noise differs between configurations: the seed alone gives standard deviations from"
            f" {number(floor.smallest, digits=digits)} to {number(floor.largest, digits=digits)}{unit} (Bartlett's test"
            f" of equal spreads, p {p if (p := p_value(floor.p_equal)).startswith('<') else f'= {p}'}). One pooled"
            " figure would mislead."
        )
        std, at = floor.largest, " and the largest of these spreads for all"
    return said if table.decided else " ".join([said, *_power(table, std, at)])  # its power is not of a fixed number


def _power(table: Table, std: float, at: str) -> Iterator[str]:
    """Yield the smallest lead of a best one that the tests find, and the smallest difference from a control."""
    more_than_one = [len(sample) for sample in table.samples.values() if len(sample) > 1]
    tested = [n for n in more_than_one if n >= FEWEST_FOR_A_VERDICT]
    seeds, count = (min(tested), len(tested)) if len(tested) > 1 else (min(more_than_one), max(2, len(more_than_one)))
    others = "another one" if count == 2 else f"the {count - 1} others"
    digits, unit, spreads = digits_of(table), _unit_of_noise(table), (std,) * count
    lead = lead_needed(spreads, seeds)
    if lead is None:
        yield f"With {seeds} seeds per configuration no difference can be called significant."
        return
    tail = _if_skewed(power_if_skewed(lead, spreads, seeds))
    yield (
        f"With {seeds} seeds per configuration{at}, a best one that leads {others} by"
        f" {number(lead, digits=digits)}{unit} is found with 80% power if runs are normal{tail}."
    )
    if not table.against_control:
        return
    if table.asked and table.asked.outcome.seedwise:
        yield from _power_of_pairs(table.asked, table.control_words)
        return
    sizes = (sum(len(table.samples[name]) > 1 for name in family.members) for family in table.families)
    own = (std,) * max(2, *sizes, 0)
    if least := difference_needed(own, seeds):
        tail = _if_skewed(power_if_skewed(least, own, seeds, from_control=True))
        yield (
            f"One that differs from the control, {table.control_words}, by {number(least, digits=digits)}{unit} is"
            f" found different from it with 80% power{tail}."
        )


def _power_of_pairs(asked: Measured, control: str) -> Iterator[str]:
    """Yield the smallest true difference from the control that pairs of seeds find, if all of them are paired."""
    contrasts = [*asked.contrasts.values()]
    spreads = [each.std for each in contrasts if each.std]
    if len(spreads) < len(contrasts):
        return
    n = min(each.n for each in contrasts)
    most = max(len(family.members) - 1 for family in asked.families)
    if least := smallest_found(max(spreads), n, comparisons=most):
        true = f"a {asked.scale} of {both_ways(least, asked.scale)}"
        yield f"Compared seed by seed with the control, {control}, {true} is found with 80% power."


def both_ways(difference: float, scale: Scale) -> str:
    """Return a difference, or `1.3 or 0.77` of the logarithm of a ratio: as far from 1 on either side."""
    return f"{difference:.3g}" if scale == "difference" else f"{factor(difference)} or {factor(-difference)}"


def _if_skewed(power: float | None) -> str:
    return "" if power is None else f" ({100 * power:.0f}% if they are as skewed as an exponential distribution)"
