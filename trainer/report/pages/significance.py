"""Tables of a report that compare configurations: which differences are significant, and how sure that is."""

from collections.abc import Mapping, Sequence
from statistics import fmean

from trainer.report.configurations import MARKS
from trainer.report.pages.grids import NOT_FIXED, Grid
from trainer.report.pages.sentences import difference, differences, interval, margin_text, p_value
from trainer.report.table import Table
from trainer.statistics.comparisons import Comparison
from trainer.statistics.describe import Values, std_of
from trainer.statistics.differences import Pair, over_both, welch
from trainer.statistics.effects import effect
from trainer.statistics.images import image_error, image_error_of_difference
from trainer.statistics.power import MOST_SEEDS
from trainer.statistics.verdicts import Verdict
from trainer.text import NONE

MOST_PAIRS = 36
"""Every pair of nine configurations is shown. With more configurations, only the pairs with the best one are."""


def pairs(table: Table) -> Grid:
    """Return the differences with their corrected p-values."""
    shown: Sequence[Pair] = table.pairs
    what = "Every pair"
    if len(shown) > MOST_PAIRS and table.top:
        shown = [pair for pair in shown if table.top[0] in (pair.a, pair.b)]
        what = f"{table.top[0]} and each other configuration"
    count = f"{len(table.pairs)} pair{'s' * (len(table.pairs) > 1)}"
    caption = f"{what}, for a question about two of them: Welch's test, with p corrected after Holm for {count}"
    header = (
        "pair",
        "ratio" if table.by_ratio else "difference",
        "95% interval (uncorrected)",
        "p (Holm)",
        "finding",
        "effect size (Hedges' g), 95% interval",
        "paired by seed (uncorrected, for information)",
    )
    rows = tuple(
        (
            f"{pair.a} {'/' if table.by_ratio else '−'} {pair.b}",  # noqa: RUF001 - a minus sign
            difference(table, pair.difference.mean),
            differences(table, pair.difference.low, pair.difference.high),
            p_value(pair.p_holm),
            "the first is " + pair.split if pair.split in ("higher", "lower") else pair.split,
            _effect_of(table.scaled[pair.a], table.scaled[pair.b]),
            NONE if pair.paired is None else differences(table, pair.paired.low, pair.paired.high),
        )
        for pair in shown
    )
    return Grid(caption + NOT_FIXED * bool(table.decided), header, rows, (0, 4))


def _effect_of(a: Values, b: Values) -> str:
    found = effect([*a.values()], [*b.values()])
    return NONE if found is None else f"{found.g:+.1f} {interval((found.low, found.high), digits=1)}"


def with_best(table: Table) -> Grid:
    """Return the difference of each configuration from the best one, and what may be concluded."""
    best = table.ranked[0] if table.ranked else NONE
    of_several = sum(each.finding != "identical" for each in table.against_best) > 1
    how = "the larger p of Hsu's comparison and Welch's" if of_several else "Welch's test"
    caption = f"Each configuration {'over' if table.by_ratio else 'minus'} the best, {best}: {how}"
    if of_several and any(each.low is not None for each in table.against_best):
        caption += f". {bounds_of_the_best(ratio=table.by_ratio)}"
    return _against(table, table.against_best, caption, dict.fromkeys(table.verdicts, best))


def bounds_of_the_best(*, ratio: bool) -> str:
    """Return what bounds and verdicts of comparisons with the best say, where it is the best one of several."""
    over = "over" if ratio else "minus"
    return (
        f"The bounds are of each one {over} the best of all the others, whichever is truly that, and stop at"
        f" {1 if ratio else 0}. Not the best: another one is at least as good, which need not be the one with the best"
        " mean"
    )


def with_control(table: Table) -> Grid:
    """Return the difference of each configuration from the control that the sweep's file names."""
    pairs_only = all(len(family.members) == 2 for family in table.families)
    tested = {each.name for each in table.against_control if each.finding != "undecided"}
    several = any(len(tested.intersection(family.members)) > 1 for family in table.families)
    how = "the larger p of Dunnett's comparison and Welch's" if several else "Welch's test"
    if table.asked and table.asked.in_pairs:
        how = "seed by seed" if pairs_only else "seed by seed, corrected after Bonferroni"
    caption = f"Each configuration {'over' if table.by_ratio else 'minus'} the control, {table.control_words}: {how}"
    of_family = {name: family.control for family in table.families for name in family.members}
    controls = {name: of_family.get(name, table.control) for name in table.verdicts_on_control}
    return _against(table, table.against_control, caption, controls, side=True)


def two_noises(table: Table) -> Grid:
    """Return the noise of the seeds beside that of the choice of test images, of runs that kept which they got right.

    The images' share of a difference is computed image by image, so it is smaller than that of its two accuracies.
    """
    best = next((each for each in table.configurations if each.label in table.top[:1]), None)
    if best is None or table.metric != "test/accuracy":
        return Grid("", (), ())
    rows: list[tuple[str, ...]] = []
    for each in table.ranked_configurations:
        correct = each.correct
        alone = image_error(correct)
        against = image_error_of_difference(correct, best.correct) if each is not best else None
        if alone is not None:
            values = [*each.sample().values()]
            difference = fmean(values) - fmean(best.sample().values())
            resolved = "yes" if against and abs(difference) > 1.96 * against else "no" if against else NONE
            error = NONE if against is None else f"{difference:+.2f}{' ± ' if against else ', '}{_error(against)}"
            both = None if against is None else over_both(welch(values, [*best.sample().values()]), against)
            together = NONE if both is None else interval(both, digits=2)
            rows.append((each.label, f"{std_of(values):.2f}", _error(alone), error, together, resolved))
    caption = (
        "Two sources of noise, in points: the standard deviation of a run over seeds, and the standard error of the"
        f" mean accuracy from the choice of the test images. The difference from {best.label} has such an error of its"
        " own, image by image. More seeds do not reduce it. The interval is for new seeds and new images at once, of"
        " one pair. A difference counts as resolved if it is more than 1.96 errors of the images. 'None seen': the"
        " estimate is not above 0, and few runs can hide a small one"
    )
    header = (
        "configuration",
        "seeds",
        "test images",
        f"minus {best.label}",
        "95% interval over seeds and images",
        "resolved by the test images",
    )
    return Grid(caption, header, tuple(rows), (0, 5))


def _error(points: float) -> str:
    """Return an estimated standard error, which is 0 where its variance came out at or below 0."""
    return f"{points:.2f}" if points >= 0.005 else f"{points:.1g}" if points else "none seen"


def _against(
    table: Table, comparisons: Sequence[Comparison], caption: str, references: Mapping[str, str], *, side: bool = False
) -> Grid:
    """Return comparisons, each with its reference, and their verdicts. `side`: also which one is higher."""
    verdicts = table.verdicts_on_control if side else table.verdicts
    marks = {each.label: each.marks for each in table.configurations}
    effect_size = "effect size (Hedges' g), 95% interval"
    header = (
        "configuration",
        "ratio" if table.by_ratio else "difference",
        "95% bounds, all at once",
        "p",
        effect_size,
        "verdict",
    )
    rows: list[tuple[str, ...]] = []
    for each in comparisons:
        reference = references[each.name]
        said = _conclusion(table, each, reference, verdicts[each.name], side=side)
        if verdicts[each.name].word in ("different", "not the best", "equivalent"):
            of_both = {*marks.get(each.name, ()), *marks.get(reference, ())}
            said = ", ".join([said, *(mark for mark in MARKS if mark in of_both)])
        rows.append(
            (
                each.name,
                difference(table, each.difference),
                differences(table, each.low, each.high),
                p_value(each.p),
                _effect_of(table.scaled[each.name], table.scaled[reference]),
                said,
            )
        )
    return Grid(caption + _margin_of(table) + NOT_FIXED * bool(table.decided), header, tuple(rows), (0, 5))


def _conclusion(table: Table, comparison: Comparison, reference: str, verdict: Verdict, *, side: bool) -> str:
    """Return a verdict in words: `equivalent within 0.3 points`, or `undecided (about 12 more seeds each)`."""
    match verdict.word:
        case "different":
            which = f"different, {comparison.finding}" if side else "different"
            return f"{which}, by less than {margin_text(table)}" if verdict.within else which
        case "not the best":
            return f"not the best, within {margin_text(table)} of {reference}" if verdict.within else "not the best"
        case "equivalent":
            return f"equivalent within {margin_text(table)}"
        case "identical":
            return "identical"
        case "undecided" if comparison.finding == "undecided":
            return "undecided (fewer than three runs, or none that vary)"
        case "undecided" if table.decided or table.asked:
            return "undecided"
        case "undecided":
            have = min(len(table.samples[comparison.name]), len(table.samples[reference]))
            if verdict.seeds is None:
                return f"undecided (over {MOST_SEEDS:,} seeds each)"
            more = max(1, verdict.seeds - have)
            return f"undecided (about {more:,} more seed{'s' * (more > 1)} each)"


def _margin_of(table: Table) -> str:
    """Return what a caption says of the seeds that an undecided difference needs, and of the margin."""
    if table.decided or table.asked:
        return ""
    needed = (
        ". The seeds in brackets find a difference as large as the measured one with 80% power, if the pooled spread is"
        " the true one"
    )
    if table.margin is None:
        return needed
    return (
        f"{needed}, or show that it is below {margin_text(table)}. Equivalent: two one-sided tests show this at the 5%"
        " level, corrected after Holm"
    )


def decisions(table: Table) -> Grid:
    """Return what the sequential test says of each pair, if seeds were added until the sweep was decided."""
    decided = table.decided
    header = ("pair", "decision", "after seeds of each")
    said = {"different": "different: {} is higher", "equivalent": "equivalent within the margin", "open": "undecided"}
    rows = tuple(
        (f"{each.a} and {each.b}", said[each.verdict].format(each.higher), str(each.seeds))
        for each in (decided.decisions if decided else ())
    )
    caption = (
        "Decisions of the sequential test, which looks after every seed: this is the one that is wrong in at most 5% of"
        f" sweeps of equal configurations, over all looks and pairs. Its design: {decided.until if decided else ''}"
    )
    if decided:
        count, most = sum(each.until_decided for each in table.configurations), decided.until.at_most
        caption += f". It took {decided.runs} runs. {most} seeds for each of {count} are {most * count}"
    return Grid(caption, header, rows, (0, 1))
