"""Numbers and findings as a report writes them. `±` is a sample standard deviation, brackets are 95 % intervals."""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Literal

from trainer.published import Experiment
from trainer.report.configurations import Values
from trainer.report.published.comparisons import Comparison
from trainer.report.tables import Table
from trainer.statistics import Pair, describe
from trainer.text import NONE, spread

Certainty = Literal[
    "significant at the 5% level", "incomplete", "not significant", "too few runs", "one configuration", "no runs"
]
_NOTES: dict[Certainty, str] = {
    "significant at the 5% level": "This holds at the 5% level, corrected for all pairs of the table.",
    "incomplete": "This holds at the 5% level for the runs that finished. A missing run may be better.",
    "not significant": "With these seeds the difference may be due to chance.",
    "too few runs": "A test needs at least two runs of each configuration.",
    "one configuration": "This is a measurement without a comparison.",
    "no runs": "Nothing has been measured.",
}
_MOST_NAMED = 5  # configurations in a sentence


@dataclass(frozen=True)
class Finding:
    """The answer in a sentence or two, and how certain it is."""

    text: str
    certainty: Certainty

    @property
    def note(self) -> str:
        return _NOTES[self.certainty]


def interval(bounds: tuple[float | None, float | None] | None, *, digits: int = 2) -> str:
    if bounds is None or bounds[0] is None or bounds[1] is None:
        return NONE
    return f"[{bounds[0]:.{digits}f}, {bounds[1]:.{digits}f}]"


def mean_interval(values: Values, *, digits: int = 2) -> str:
    sample = describe(list(values.values()))
    return interval((sample.low, sample.high) if sample else None, digits=digits)


def p_value(p: float | None) -> str:
    """Return a p-value such as `0.032` or `< 0.001`."""
    if p is None:
        return NONE
    return "< 0.001" if p < 0.001 else f"{p:.3f}" if p < 0.1 else f"{p:.2f}"


def digits_of(table: Table) -> int:
    return 2 if table.percent else 4


def metric_name(table: Table, *, unit: bool = False) -> str:
    """Return the metric in words, such as `test accuracy (%)`."""
    return table.metric.replace("/", " ").replace("_", " ") + (" (%)" if unit and table.percent else "")


def verdict_of(comparison: Comparison) -> str:
    """Return a verdict such as `consistent`, or why there is none."""
    figure = comparison.figure
    if not comparison.sample:
        return "no runs" if figure.judged != "not at all" else "not compared"
    if figure.judged == "not at all":
        return "not compared"
    said = comparison.verdict
    if said == "undecided":
        return f"undecided (n={len(comparison.sample)})"
    said = f"{said}, our definition" if figure.why else said
    if figure.judged != "by runs":
        return said
    if comparison.answer.differences:
        return f"{said}, other settings"
    grade = comparison.answer.grade
    return said if grade is None or grade.kind == "printed" else f"{said}, {grade.text}"


def several(names: Sequence[str]) -> str:
    if len(names) > _MOST_NAMED:
        return f"{', '.join(names[: _MOST_NAMED - 1])} and {len(names) - _MOST_NAMED + 1} more"
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"


def finding(table: Table) -> Finding:
    """Return which configuration is best, and whether the difference is significant."""
    return Finding(" ".join(_sentences(table)), _certainty(table))


def _certainty(table: Table) -> Certainty:
    samples = [sample for sample in table.samples.values() if sample]
    if not samples:
        return "no runs"
    if len(samples) == 1:
        return "one configuration"
    if any(len(sample) < 2 for sample in samples):
        return "too few runs"
    if len(table.top) > 1:
        return "not significant"
    return "incomplete" if table.empty or table.lost else "significant at the 5% level"


def _sentences(table: Table) -> Iterable[str]:
    filled = {label: sample for label, sample in table.samples.items() if sample}
    if not filled:
        yield "No run of this table has finished, so there is no answer yet."
        yield from _not_counted(table)
        return
    best, others = table.top[0], len(filled) - 1
    mean = spread(filled[best].values(), digits=digits_of(table), unit="%" * table.percent)
    metric = metric_name(table)
    leads = f"{metric[:1].upper()}{metric[1:]} is {'highest' if table.highest else 'lowest'} for {best}, {mean}"
    match _certainty(table):
        case "one configuration":
            yield f"{metric[:1].upper()}{metric[1:]} of {best} is {mean}."
            yield "There is no other configuration to compare it with."
        case "too few runs":
            yield f"{leads}. At least one configuration has a single run, so no difference from it can be tested."
        case "significant at the 5% level" | "incomplete":
            worst = max((pair.p_holm or 0.0 for pair in table.pairs if best in (pair.a, pair.b)), default=0.0)
            rest = f"each of the {others} other configurations" if others > 1 else "the other configuration"
            p = p_value(worst) if worst < 0.001 else f"at most {worst:.2g}"
            yield f"{leads}. The difference from {rest} is significant (Holm-corrected p {p})."
        case _:
            yield from _top_group(table, leads, lower=others + 1 - len(table.top))
    yield from _identical(table.pairs)
    yield from _not_counted(table)
    yield from _published(table)


def _top_group(table: Table, leads: str, *, lower: int) -> Iterable[str]:
    best = table.top[0]
    twins = {name for pair in table.pairs if pair.split == "identical" and best in (pair.a, pair.b)
             for name in (pair.a, pair.b)}  # fmt: skip
    near = [name for name in table.top if name not in {best, *twins}]
    differences = "differences from {} are" if len(near) > 1 else "difference from {} is"
    yield f"{leads}, but the {differences.format(several(near))} not significant." if near else f"{leads}."
    if lower:
        rest = "The other configuration is" if lower == 1 else f"The other {lower} configurations are"
        yield f"{rest} significantly {'lower' if table.highest else 'higher'}."
    for pair in table.pairs:
        runs = min(len(table.samples[name]) for name in (pair.a, pair.b))
        if near and {pair.a, pair.b} == {best, near[-1]} and pair.seeds_needed and pair.seeds_needed > runs:
            which = f" from {near[-1]}" if len(near) > 1 else ""
            yield f"If the observed difference{which} is real, detecting it would take about"
            yield f"{pair.seeds_needed} seeds per configuration."


def _identical(pairs: Sequence[Pair]) -> Iterable[str]:
    same = [pair for pair in pairs if pair.split == "identical"]
    if same:
        names = list(dict.fromkeys(name for pair in same for name in (pair.a, pair.b)))
        yield f"{several(names)} have identical results, seed by seed."


def _not_counted(table: Table) -> Iterable[str]:
    if table.empty and len(table.empty) < len(table.configurations):
        have = "has" if len(table.empty) == 1 else "have"
        yield f"Of {len(table.configurations)} configurations, {len(table.empty)} {have} no run yet:"
        yield f"{several(table.empty)}."
    if lost := len(table.lost):
        yield "1 run diverged or failed and is" if lost == 1 else f"{lost} runs diverged or failed and are"
        yield "not counted."


def _published(table: Table) -> Iterable[str]:
    heads = [each for each in table.comparisons if each.headline]
    run = [each for each in heads if each.sample]
    changed = sum(bool(each.answer.differences) for each in run)
    if not heads:
        return
    if changed and changed == len(run):
        yield "These runs have other settings than the published rows, so there is no verdict on the published figures."
        return
    if changed:
        one = changed == 1
        yield f"{changed} of {len(heads)} rows {'was' if one else 'were'} run at other settings than the published"
        yield f"ones, so {'it has' if one else 'they have'} no verdict."
    counts = Counter(each.verdict for each in heads if each.reproduced)
    if not counts:
        yield "No published figure has a verdict yet, because a verdict needs three runs."
        return
    ours = {"consistent": "consistent with", "higher": "higher than", "lower": "lower than"}
    parts = [f"{phrase} {counts[verdict]}" for verdict, phrase in ours.items() if counts[verdict]]
    have = "has" if counts.total() == 1 else "have"
    yield f"{counts.total()} of {len(heads)} published headline figures {have} a verdict:"
    yield f"our runs are {several(parts)}."
    yield from _graded([each for each in heads if each.reproduced])


def _graded(judged: Sequence[Comparison]) -> Iterable[str]:
    """Yield of how many verdicts the settings are not all printed, and who says them instead."""
    kinds = Counter(each.answer.grade.kind for each in judged if each.answer.grade)
    total = f"of {len(judged)} verdict{'s' * (len(judged) != 1)}"
    if count := kinds["read in by us"]:
        yield f"The settings behind {count} {total} are in part read in by us, because the report leaves them open."
    if count := kinds["from the authors' public code"]:
        yield f"The settings behind {count} {total} are in part from the authors' public code."
    if count := kinds["no run behind the figure is known"]:
        yield f"No run is known behind the published figure of {count} {total}."


def nothing_missing(table: Table) -> str:
    """Return the sentence for a table without problems. For plain folders the number of runs to expect is unknown."""
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


def floor_text(table: Table) -> str:
    """Return the noise floor, and the smallest difference that these runs can detect."""
    floor = table.floor
    if floor is None:
        return "No configuration has two runs, so the effect of the seed alone is not known."
    digits, unit = digits_of(table), " points" if table.percent else ""
    seeds = min(len(sample) for sample in table.samples.values() if len(sample) > 1)
    tested = sum(pair.p_holm is not None for pair in table.pairs)
    seen = floor.resolves(seeds, tests=max(1, tested))
    return (
        f"Noise floor: the seed alone gives a standard deviation of {floor.std:.{digits}f}{unit}, 95% interval"
        f" {interval((floor.low, floor.high), digits=digits)} ({floor.df} degrees of freedom). With {seeds} seeds per"
        f" configuration, a difference of {seen:.{digits}f}{unit} or more is detected with 80% power"
        f"{', corrected for all pairs' if tested > 1 else ''}."
    )
