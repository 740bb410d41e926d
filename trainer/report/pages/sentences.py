"""Numbers and findings as a page says them. `+-` is a sample standard deviation, brackets are 95 % intervals."""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Literal

from trainer.published import Experiment
from trainer.report.configurations import Values
from trainer.report.published.comparisons import Comparison
from trainer.report.tables import Table
from trainer.statistics import Order, Pair, describe
from trainer.text import NONE, spread

Certainty = Literal[
    "sure at the 5% level", "incomplete", "noise does not tell", "too few runs", "one configuration", "no runs"
]
_MOST_NAMED = 5  # configurations in a sentence


@dataclass(frozen=True)
class Finding:
    """The answer in a sentence or two, and how sure it is."""

    text: str
    certainty: Certainty


def interval(bounds: tuple[float | None, float | None] | None, *, digits: int = 2) -> str:
    if bounds is None or bounds[0] is None or bounds[1] is None:
        return NONE
    return f"[{bounds[0]:.{digits}f}, {bounds[1]:.{digits}f}]"


def of_mean(values: Values, *, digits: int = 2) -> str:
    found = describe(list(values.values()))
    return interval((found.low, found.high) if found else None, digits=digits)


def p_text(p: float) -> str:
    """`p = 0.032`, `p < 0.001`."""
    said = chance(p)
    return f"p {said}" if said.startswith("<") else f"p = {said}"


def chance(p: float | None) -> str:
    """A p-value: `0.032`, `< 0.001`."""
    if p is None:
        return NONE
    return "< 0.001" if p < 0.001 else f"{p:.3f}" if p < 0.1 else f"{p:.2f}"


def digits_of(table: Table) -> int:
    return 2 if table.percent else 4


def metric_name(table: Table, *, unit: bool = False) -> str:
    """`test accuracy (%)`."""
    return table.metric.replace("/", " ").replace("_", " ") + (" (%)" if unit and table.percent else "")


def verdict_of(comparison: Comparison) -> str:
    """`consistent`, or why there is no verdict."""
    figure = comparison.figure
    if not comparison.sample:
        return "no runs" if figure.judged != "not at all" else "not compared"
    if figure.judged == "not at all":
        return "not compared"
    said = comparison.verdict
    if said == "undecided":
        return f"undecided (n={len(comparison.sample)})"
    said = f"{said}, our definition" if figure.why else said
    return f"{said}, other settings" if comparison.answer.differences and figure.judged == "by runs" else said


def several(names: Sequence[str]) -> str:
    if len(names) > _MOST_NAMED:
        return f"{', '.join(names[: _MOST_NAMED - 1])} and {len(names) - _MOST_NAMED + 1} more"
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"


def finding(table: Table) -> Finding:
    """Which choice is best, and whether noise could have made it so."""
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
        return "noise does not tell"
    return "incomplete" if table.empty or table.lost else "sure at the 5% level"


def _sentences(table: Table) -> Iterable[str]:
    digits = digits_of(table)
    filled = {label: sample for label, sample in table.samples.items() if sample}
    if not filled:
        yield "No run of this table has finished, so there is no answer yet."
        yield from _absent(table)
        return
    best = table.top[0]
    said = f"{best}, {spread(filled[best].values(), digits=digits, unit='%' * table.percent)}"
    word = "highest" if table.highest else "lowest"
    others = len(filled) - 1
    same = {name for pair in table.pairs if pair.split == "identical" and best in (pair.a, pair.b)
            for name in (pair.a, pair.b)}  # fmt: skip
    near = [name for name in table.top if name not in {best, *same}]
    match _certainty(table):
        case "one configuration":
            yield f"{said}; there is nothing to hold it against."
        case "too few runs":
            yield f"The {word} {metric_name(table)} is that of {said}, but a configuration has one run alone: no spread"
            yield "is known, and so no difference is sure."
        case "sure at the 5% level" | "incomplete":
            worst = max((pair.p_holm or 0.0 for pair in table.pairs if best in (pair.a, pair.b)), default=0.0)
            rest = f"each of the other {others}" if others > 1 else "the other"
            yield f"Best by {metric_name(table)} is {said}: apart from {rest} beyond the seeds' noise"
            yield f"(Holm-corrected p {chance(worst) if worst < 0.001 else f'at most {worst:.2g}'})."
        case _:
            yield f"The {word} {metric_name(table)} is that of {said}" + ("," if near else ".")
            if near:
                yield f"but noise does not split it from {several(near)}."
            if apart := len(filled) - len(table.top):
                rest = "The other one is" if apart == 1 else f"The other {apart} are"
                yield f"{rest} {'lower' if table.highest else 'higher'} beyond noise."
            yield from _seeds_hint(table, best, near)
    yield from _same(table.pairs)
    yield from _absent(table)
    yield from _against_published(table)


def _absent(table: Table) -> Iterable[str]:
    """What the answer is not of."""
    if table.empty and len(table.empty) < len(table.configurations):
        have = "has" if len(table.empty) == 1 else "have"
        total = len(table.configurations)
        yield f"Of {total} configurations, {len(table.empty)} {have} no run yet: {several(table.empty)}."
    if lost := len(table.lost):
        said = "run diverged or failed and is" if lost == 1 else "runs diverged or failed and are"
        yield f"{lost} {said} left out: this is of the runs that finished."


def _seeds_hint(table: Table, best: str, near: Sequence[str]) -> Iterable[str]:
    if not near:
        return
    for pair in table.pairs:
        had = min(len(table.samples[name]) for name in (pair.a, pair.b))
        if {pair.a, pair.b} == {best, near[-1]} and pair.seeds_needed and pair.seeds_needed > had:
            yield f"To tell it from {near[-1]}, were that as far off as it looks, takes {pair.seeds_needed} seeds each."


def _same(pairs: Sequence[Pair]) -> Iterable[str]:
    same = [pair for pair in pairs if pair.split == "identical"]
    if same:
        names = list(dict.fromkeys(name for pair in same for name in (pair.a, pair.b)))
        yield f"{several(names)} came to identical results, seed by seed."


def _against_published(table: Table) -> Iterable[str]:
    heads = [each for each in table.comparisons if each.headline]
    if not heads:
        return
    run = [each for each in heads if each.sample]
    apart = [each for each in run if each.answer.differences]
    if apart and len(apart) == len(run):
        yield "These runs are not at the published settings, so they are no verdict on the published figures."
        return
    if apart:
        yield f"{len(apart)} of {len(heads)} rows {'is' if len(apart) == 1 else 'are'} run at other settings than the"
        yield "published ones, and so without a verdict."
    counts = Counter(each.verdict for each in heads if each.reproduced)
    judged = counts.total()
    if not judged:
        yield f"None of the {len(heads)} published figures has the three runs that a verdict takes."
        return
    parts = [f"{counts[each]} {each}" for each in ("consistent", "higher", "lower") if counts[each]]
    yield f"Of {len(heads)} published headline figures {judged} have a verdict: ours are {', '.join(parts)}."


def certainty_note(found: Finding) -> str:
    """What the finding's certainty means, as a sentence."""
    match found.certainty:
        case "sure at the 5% level":
            return "Sure at the 5% level, corrected for all pairs of the table."
        case "incomplete":
            return "Best of those that finished, at the 5% level; what is missing may be better."
        case "noise does not tell":
            return "Not sure: with these seeds the difference cannot be told from noise."
        case "too few runs":
            return "Not sure: a spread takes at least two runs of each configuration."
        case "one configuration":
            return "A level, no comparison."
        case "no runs":
            return "Nothing has been measured."


def nothing_missing(table: Table) -> str:
    """Of a table without problems; of folders nobody has said how many runs there are to be."""
    which = "is here" if table.expected is None else "there is to be"
    return f"Nothing: every run that {which} has finished, and counts."


def order_of(table: Table, experiment: Experiment) -> str:
    """The order of an experiment's rows against ours."""
    heads = [each for each in table.comparisons if each.headline and each.answer.experiment is experiment]
    differ = any(each.sample and each.answer.differences for each in heads)
    order = table.order(experiment)
    return f"{order_text(order)[:-1]} (not at the published settings)." if order and differ else order_text(order)


def order_text(order: Order | None) -> str:
    """Kendall's tau in words."""
    if order is None:
        return "The order of the rows cannot be compared: fewer than two have runs, or all are equal."
    agrees = "the same" if order.tau == 1 else "the reverse" if order.tau == -1 else f"tau-b = {order.tau:.2f}"
    return f"Order of the {order.n} rows, published against ours: {agrees} (Kendall, {p_text(order.p)})."


def floor_text(table: Table) -> str:
    """The noise floor, and what it lets these runs see."""
    floor = table.floor
    if floor is None:
        return "No configuration has two runs: how much the seed alone changes is not known."
    digits, unit = digits_of(table), " points" if table.percent else ""
    said = (
        f"Noise floor: the seed alone makes a standard deviation of {floor.std:.{digits}f}{unit}, 95% interval"
        f" {interval((floor.low, floor.high), digits=digits)} ({floor.df} degrees of freedom)."
    )
    seeds = min(len(sample) for sample in table.samples.values() if len(sample) > 1)
    tested = sum(pair.p_holm is not None for pair in table.pairs)
    seen = floor.resolves(seeds, tests=max(1, tested))
    of = "a pair in this table, corrected," if tested > 1 else "a pair"
    return f"{said} With {seeds} seeds each, {of} is told apart with 80% power from {seen:.{digits}f}{unit} on."
