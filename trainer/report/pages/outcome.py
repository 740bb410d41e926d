"""Sentences and tables about the outcome that its sweep's file names, and all else that probes measured.

Positive quantities are compared by their ratio, others by their difference.
"""

from collections.abc import Iterable, Sequence
from statistics import fmean

from trainer.report.asked import Measured
from trainer.report.configurations import siblings_of
from trainer.report.pages.grids import Grid
from trainer.report.pages.lengths import at_one_length, how_read, lengths_of, twin_of, why_without
from trainer.report.pages.sentences import both_ways, p_value, several
from trainer.report.pages.significance import bounds_of_the_best
from trainer.report.table import Table
from trainer.runs.outcomes import DECADES
from trainer.statistics.seedwise import Contrast, Scale, factor, smallest_found
from trainer.text import NONE, number, spread

_MOST_BESIDE = 5  # other measures in the answer
_MOST_LEFT_OUT = 5  # rates or steps that are named


def amount(contrast: Contrast) -> str:
    """Return `0.82 times`, or `+0.14` for a difference."""
    return _figure(contrast.estimate, contrast.scale) + " times" * (contrast.scale == "ratio")


def bounds(contrast: Contrast) -> str:
    """Return `0.24 to 2.85`, or `-` where there is no interval."""
    if contrast.low is None or contrast.high is None:
        return NONE
    return f"{_figure(contrast.low, contrast.scale)} to {_figure(contrast.high, contrast.scale)}"


def _figure(value: float, scale: Scale) -> str:
    return f"{value:.3g}" if scale == "ratio" or not value else f"{value:+.3g}"


def with_interval(contrast: Contrast) -> str:
    """Return `0.82 times, 95% interval 0.24 to 2.85, n = 2 seeds`."""
    inside = f", 95% interval {bounds(contrast)}" if contrast.low is not None else ", without an interval"
    unit = "seed" if contrast.paired else "run"
    return f"{amount(contrast)}{inside}, n = {contrast.n} {unit}{'s' * (contrast.n != 1)}"


def lead(
    asked: Measured, beside: Iterable[Measured] = (), *, significant: str = "significant", interim: bool = False
) -> Iterable[str]:
    """Yield the answer to a question about two configurations: by how much the outcome of one is that of the other.

    `significant` is the word with what it is subject to. `interim` says that runs are still to come.
    """
    ((name, contrast),) = asked.contrasts.items()
    words, reference = asked.outcome.words, asked.reference
    if contrast.scale == "ratio":
        yield f"For {name}, the {words} is {amount(contrast)} that of {reference}{_after(contrast)}."
    else:
        yield _difference(contrast, words, name, reference)
    pair = [asked.filled[name], asked.filled[reference]]
    seeds = pair[0].keys() & pair[1].keys() if contrast.paired else set[int]()  # those that are compared
    compared = [[value for seed, value in each.items() if seed in seeds] if seeds else each.values() for each in pair]
    means = [number(fmean(each), digits=None) for each in compared]
    unit = asked.outcome.unit
    yield f"The means are {means[0]} and {means[1]}{'' if unit in ('', '%') else ' '}{unit}."
    yield from _how(asked)
    yield _verdict(asked, contrast, significant, interim)
    others = dict[str, str]()  # by key: one number says enough of a band
    for each in beside:
        found = each.contrasts.get(name)
        if found and found.low is not None and each.references[name] == reference:
            others.setdefault(each.outcome.key, f"{each.outcome.words} {amount(found)} ({bounds(found)})")
    if others:
        yield f"Beside it, one by one and uncorrected: {several([*others.values()][:_MOST_BESIDE])}."


def _difference(contrast: Contrast, words: str, name: str, reference: str) -> str:
    """Say by how much two differ, and that one is higher only if that is significant: a reader may stop there."""
    said = with_interval(contrast)
    if contrast.finding in ("higher", "lower"):
        return f"For {name}, the {words} is {contrast.finding} than for {reference}: {said}."
    if contrast.finding == "identical":
        return f"For {name}, the {words} is the same as for {reference}: {said}."
    return f"For {name}, the {words} differs from that of {reference} by {said}."


def _after(contrast: Contrast) -> str:
    return f": {with_interval(contrast).partition(', ')[2]}"


def _how(asked: Measured) -> Iterable[str]:
    """Yield where the comparison is not the planned one."""
    if asked.unpaired:
        yield "The seeds cannot be paired, so this is Welch's interval of unpaired runs."
    if asked.scale != asked.outcome.scale:
        yield "A value is not above 0, or a ratio is beyond all numbers, so this is a difference in place of a ratio."


def _verdict(asked: Measured, contrast: Contrast, significant: str, interim: bool) -> str:
    best, better = asked.ranked[0], "Higher" if asked.highest else "Lower"
    if contrast.finding == "identical":
        return "The two have identical results, seed by seed."
    if contrast.finding == "undecided":
        few = "Fewer than three seeds have no verdict" if contrast.n < 3 else "Its seeds do not vary"
        return f"{few}, so no difference can be tested."
    if contrast.finding == "not significant":
        none = 1 if contrast.scale == "ratio" else 0
        the = "so far the" if interim else "the"
        why = f"The interval contains {none}: {the}" if contrast.low is not None else the.capitalize()
        return f"{why} difference is not significant (p = {p_value(contrast.p)})."
    p = p_value(contrast.p)
    the = ". So far the" if interim else ", and the"
    return f"{better} is better, so {best} is{the} difference is {significant} (p {p if p[0] == '<' else '= ' + p})."


def outcome(table: Table) -> Grid:
    """Return the outcome of each configuration, the best first, compared with the control or the best."""
    asked = table.asked
    if asked is None:
        return Grid("", (), ())
    unit = f" ({asked.outcome.unit})" if asked.outcome.unit else ""
    kind = "ratio to" if asked.scale == "ratio" else "difference from"
    several_controls = len({*asked.references.values()}) > 1
    against = "its control" if several_controls else asked.reference or asked.control
    name = "network" if asked.outcome.over_rates else "configuration"
    lengths, beside = lengths_of(table), twin_of(table)
    twin = beside.outcome.unit if beside else ""
    at, accuracy = at_one_length(table) or (0.0, None)
    short = (
        [f"accuracy after {at:g} epochs (%)", f"difference in accuracy{_from_own_best(accuracy)}"] if accuracy else []
    )
    also = [each for each in (beside, accuracy) if each]
    header = (
        name,
        f"outcome{unit}",
        *([twin, f"difference in {twin}{_from_own_best(beside)}"] if beside else []),
        *short,
        f"{kind} {against}",
        "95% interval",
    )
    header += ("p", "n", *(["how"] if asked.unpaired else []), "finding")
    header += ("top group",) if len(asked.filled) > 2 else ()
    labels = [*asked.ranked, *(label for label in asked.samples if label not in asked.filled)]
    rows = tuple(
        (
            label,
            spread(asked.samples[label].values(), digits=None),
            *(cell for each in also for cell in _beside(each, label)),
            *_cells(contrast := asked.contrasts.get(label)),
            *([_paired(contrast)] if asked.unpaired else []),
            (why_without(lengths[label]) if lengths else "") or _found(contrast, highest=asked.highest),
            *([_in_top(table, label, asked)] if len(asked.filled) > 2 else []),
        )
        for label in labels
    )
    better = "higher" if asked.highest else "lower"
    caption = (
        f"The outcome that the sweep's file names: {asked.outcome.words} ({asked.outcome.name}), {better} is better."
        f" Mean ± sample standard deviation over seeds, {_method(asked)}"
    )
    if several_controls:
        caption += f". The control is {table.control_words}"
    if left_out := _left_out(table, asked):
        caption += f". Compared is what all have, so without {several(left_out)}"
    if lengths:
        caption += f". {how_read(lengths.values())}. Charged are preparation and training"
    if accuracy:
        caption += ". Epochs and accuracies are compared in the same way, each by itself"
    texts = [place for place, title in enumerate(header) if title in (name, "how", "finding", "top group")]
    return Grid(caption, header, rows, tuple(texts))


def _from_own_best(measure: Measured) -> str:
    """Return what a measure beside the outcome is compared with if that is its best one, and no control."""
    return "" if measure.families or not measure.reference else f" from {measure.reference}"


def _beside(measure: Measured, label: str) -> tuple[str, str]:
    """Return another measure of what is asked, and how far it is from the reference's with its interval."""
    contrast = measure.contrasts.get(label)
    return spread(measure.samples[label].values(), digits=None), (
        NONE if contrast is None else f"{amount(contrast)} ({bounds(contrast)})"
    )


def _left_out(table: Table, asked: Measured) -> list[str]:
    """Return the rates and steps that a band was not compared at."""
    groups = siblings_of(table.configurations)
    if not asked.outcome.over_rates or not groups or groups[0].together is None:
        return []
    key = DECADES if asked.outcome.name == DECADES else asked.outcome.key
    said = groups[0].together.in_common(key).left_out
    more = [f"{len(said) - _MOST_LEFT_OUT} more such"] if len(said) > _MOST_LEFT_OUT else []
    return [*said[:_MOST_LEFT_OUT], *more]


def _found(contrast: Contrast | None, *, highest: bool) -> str:
    """Return `better, lower` or the like: which direction is the better one is the file's to say."""
    if contrast is None:
        return NONE
    if contrast.finding not in ("higher", "lower"):
        return contrast.finding
    return f"{'better' if (contrast.finding == 'higher') == highest else 'worse'}, {contrast.finding}"


def _in_top(table: Table, label: str, asked: Measured) -> str:
    return "yes" if label in table.top else "no" if label in asked.filled else NONE


def _cells(contrast: Contrast | None) -> tuple[str, ...]:
    """Return (estimate, interval, p, n) of a comparison, or the cells of the reference."""
    if contrast is None:
        return (NONE,) * 4
    p = p_value(None if contrast.finding == "undecided" else contrast.p)
    return amount(contrast), bounds(contrast), p, str(contrast.n)


def _paired(contrast: Contrast | None) -> str:
    return NONE if contrast is None else "seeds paired" if contrast.paired else "unpaired"


def _method(asked: Measured) -> str:
    what = "log ratios" if asked.scale == "ratio" else "differences"
    if not asked.families and len(asked.filled) > 2:
        bounds = bounds_of_the_best(ratio=asked.scale == "ratio")
        return f"and bounds of {what} by Hsu's and Welch's tests, of all runs. {bounds}"
    corrected = not asked.families or max(len(each.members) for each in asked.families) > 2
    several = ", corrected after Bonferroni" if corrected and len(asked.contrasts) > 1 else ""
    sizes = {len(each) for each in asked.filled.values()} | {each.n for each in asked.contrasts.values()}
    shared = " that both have" if len(sizes) > 1 else ""
    if not asked.outcome.seedwise:
        tested = {label for label, each in asked.contrasts.items() if each.finding != "undecided"}
        corrected = max((len(tested.intersection(each.members)) for each in asked.families), default=2) > 1
        test = "Dunnett's and Welch's tests" if several and corrected else "Welch's test"
        return f"and the interval of {what} by {test}, of all runs: seeds make no pairs here"
    if not any(each.paired for each in asked.contrasts.values()) and asked.unpaired:
        return f"and Welch's interval of {what}, because the seeds cannot be paired{several}"
    rest = ", or Welch's interval of all runs where too few seeds make pairs (unpaired)" * asked.unpaired
    return f"and the t-interval of {what} of runs of one seed{shared}{rest}{several}"


def measured(measures: Sequence[Measured]) -> Grid:
    """Return everything else that the probes measured, each compared as the outcome is."""
    pairs = {(label, each.references[label]) for each in measures for label in each.contrasts}
    unpaired = any(each.unpaired for each in measures)
    one, other = next(iter(pairs)) if len(pairs) == 1 else ("mean", "its mean")
    rows = tuple(
        (
            _named(each),
            *([] if len(pairs) == 1 else [label]),
            spread(each.samples[label].values(), digits=None),
            *([] if len(pairs) == 1 else [each.references[label]]),
            spread(each.samples[each.references[label]].values(), digits=None),
            *_cells(contrast),
            *([_paired(contrast)] if unpaired else []),
        )
        for each in measures
        for label, contrast in each.contrasts.items()
    )
    header = ("measure", one, other) if len(pairs) == 1 else ("measure", "of", one, "compared with", other)
    header += ("ratio or difference", "95% interval", "p", "n", *(["how"] if unpaired else []))
    rates = " A number of single runs is averaged over the rates that all have." if _with_bands(measures) else ""
    caption = (
        "What the probes measured. Positive numbers are compared by the ratio of runs of one seed, cosines and decades"
        f" by their difference. Intervals and p are corrected for the configurations, not for the measures.{rates} The"
        " page about landscapes in the documentation says what each one is"
    )
    text = (0, *([] if len(pairs) == 1 else [1, 3]), *([len(header) - 1] if unpaired else []))
    return Grid(caption, header, rows, text)


def _with_bands(measures: Iterable[Measured]) -> bool:
    return any(each.outcome.over_rates for each in measures)


def _named(each: Measured) -> str:
    unit = f", {each.outcome.unit}" if each.outcome.unit else ""
    return f"{each.outcome.words}{unit} ({each.outcome.name})"


def noise_of_pairs(asked: Measured) -> str:
    """Return the noise of the seed-wise comparison of two, and the smallest difference that it is expected to show."""
    ((_, contrast),) = asked.contrasts.items()
    if contrast.std is None:
        return "The seeds are not paired, or only one is there, so the noise of a pair is not known."
    what = "log ratio" if contrast.scale == "ratio" else "difference"
    said = f"Noise of a pair: from seed to seed the {what} has a standard deviation of {contrast.std:.3g}"
    said += f", a factor of {factor(contrast.std)}." if contrast.scale == "ratio" else "."
    least = smallest_found(contrast.std, contrast.n)
    if least is None:
        return f"{said} With {contrast.n} seeds no difference can be called significant."
    times = " times" if contrast.scale == "ratio" else ""
    true = both_ways(least, contrast.scale)
    return f"{said} With {contrast.n} seeds, a true {contrast.scale} of {true}{times} is found with 80% power."
