"""Numbers and findings as a page says them. `+-` is a sample standard deviation, brackets are 95 % intervals."""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Literal

from trainer.report.comparisons import Comparison
from trainer.report.points import Values
from trainer.report.statistics import Order, Pair, describe
from trainer.report.tables import Table

NONE = "-"
"""Where there is no number."""

Certainty = Literal["sure at the 5% level", "noise does not tell", "too few runs", "one configuration", "no runs"]


@dataclass(frozen=True)
class Finding:
    """The answer in a sentence or two, and how sure it is."""

    text: str
    certainty: Certainty


def number(value: float | None, *, digits: int = 2) -> str:
    return NONE if value is None else f"{value:.{digits}f}"


def spread(values: Values, *, digits: int = 2, unit: str = "") -> str:
    """`94.13 ± 0.12 (n=3)`; one value has no spread."""
    found = describe(list(values.values()))
    if found is None:
        return NONE
    std = "" if found.std is None else f" ± {found.std:.{digits}f}"
    return f"{found.mean:.{digits}f}{std}{unit} (n={found.n})"


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
    return f"{said}, other settings" if comparison.answer.differences and figure.judged == "by runs" else said


def several(names: Sequence[str]) -> str:
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
    return "sure at the 5% level" if len(table.top) == 1 else "noise does not tell"


def _sentences(table: Table) -> Iterable[str]:
    digits = digits_of(table)
    filled = {label: sample for label, sample in table.samples.items() if sample}
    if not filled:
        yield "No run of this table has finished, so there is no answer yet."
        return
    best = table.top[0]
    said = f"{best}, {spread(filled[best], digits=digits, unit='%' * table.percent)}"
    word = "highest" if table.highest else "lowest"
    others = len(filled) - 1
    near = [name for name in table.top if name != best]
    match _certainty(table):
        case "one configuration":
            yield f"{said}; there is nothing to hold it against."
        case "too few runs":
            yield f"The {word} {metric_name(table)} is that of {said}, but a configuration has one run alone: no spread"
            yield "is known, and so no difference is sure."
        case "sure at the 5% level":
            worst = max((pair.p_holm or 0.0 for pair in table.pairs if best in (pair.a, pair.b)), default=0.0)
            rest = f"each of the other {others}" if others > 1 else "the other"
            yield f"Best by {metric_name(table)} is {said}: apart from {rest} beyond the seeds' noise"
            yield f"(Holm-corrected p {chance(worst) if worst < 0.001 else f'at most {worst:.2g}'})."
        case _:
            yield f"The {word} {metric_name(table)} is that of {said},"
            yield f"but noise does not split it from {several(near)}."
            if len(near) < others:
                yield f"The other {others - len(near)} are {'lower' if table.highest else 'higher'} beyond noise."
            yield from _seeds_hint(table, best, near)
    yield from _same(table.pairs)
    yield from _against_published(table)


def _seeds_hint(table: Table, best: str, near: Sequence[str]) -> Iterable[str]:
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
    apart = [each for each in heads if each.sample and each.answer.differences]
    if apart:
        yield "These runs are not at the published settings, so they are no verdict on the published figures."
        return
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
        case "noise does not tell":
            return "Not sure: the seeds' noise is as large as the difference."
        case "too few runs":
            return "Not sure: a spread takes at least two runs of each configuration."
        case "one configuration":
            return "A level, no comparison."
        case "no runs":
            return "Nothing has been measured."


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
    seeds = max(len(sample) for sample in table.samples.values())
    seen = floor.resolves(seeds)
    if seen is None:
        return said
    return f"{said} With {seeds} seeds each, a pair is told apart with 80% power from {seen:.{digits}f}{unit} on."
