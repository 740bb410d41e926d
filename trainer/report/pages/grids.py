"""Tables of a report, as plain text in cells."""

import math
from collections import Counter
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean

from trainer.report.configurations import MARKS, Configuration
from trainer.report.controls import in_words
from trainer.report.pages.sentences import (
    difference,
    differences,
    interval,
    margin_text,
    mean_interval,
    p_value,
)
from trainer.report.published.authors import facts_of, why_unrun
from trainer.report.published.grades import KINDS, MEANING
from trainer.report.table import Table
from trainer.runs.groups import decisive, value_text
from trainer.statistics.comparisons import Comparison as Against
from trainer.statistics.describe import Values, std_of
from trainer.statistics.differences import Pair, over_both, welch
from trainer.statistics.effects import effect
from trainer.statistics.images import image_error, image_error_of_difference
from trainer.statistics.power import MOST_SEEDS
from trainer.statistics.verdicts import Verdict
from trainer.text import NONE, metric_words, number, spread

_TOP_GROUP = (
    ". The top group is the best configuration and every other that may be the best as well. In 95 of 100 tables the"
    " truly best one is in it"
)
_NOT_FIXED = ". Seeds were added until the sweep was decided, so this test errs more often than at 5%"
MOST_PAIRS = 36
"""Every pair of nine configurations is shown. With more configurations, only the pairs with the best one are."""


@dataclass(frozen=True)
class Grid:
    caption: str
    header: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]  # the first cell is the row's name
    text: tuple[int, ...] = (0,)  # columns of text; the others are numbers


def configurations(table: Table) -> Grid:
    """Return the configurations, the best first and those without runs last."""
    percent = "accuracy" in table.metric
    digits = 2 if percent else None
    metric = metric_words(table.metric) + " (%)" * percent
    columns: list[tuple[str, Callable[[Configuration], str]]] = [
        ("configuration", lambda each: each.label),
        (metric, lambda each: spread(each.sample().values(), digits=digits)),
        ("95% interval of the mean", lambda each: mean_interval(each.sample(), digits=digits)),
    ]
    if table.asked is None:  # else the groups are of the outcome
        columns.append(("top group", lambda each: _in_top(table, each)))
    if table.metric != "test/accuracy":
        columns.append(("test accuracy, last epoch (%)", _spread_of("test_acc")))
    if any((best := each.sample("best_test_acc")) and best != each.sample("test_acc") for each in table.configurations):
        columns += [("best epoch, chosen on the test set (%)", _spread_of("best_test_acc"))]
        columns += [("gain of that choice (points)", _gain)]
    columns += [(f"{measure.split('/')[1]} (%)", _spread_of(measure)) for measure in table.second_tests]
    columns += [
        ("training accuracy (%)", _spread_of("train_acc")),
        ("training time (s)", _spread_of("seconds_total", digits=0)),
        (
            "parameters (million)",
            lambda each: number(fmean(n) / 1e6) if (n := each.sample("params").values()) else NONE,
        ),
    ]
    memory = ""
    if any(each.sample("peak_bytes") for each in table.configurations):
        memory = ". Peak memory is of tensors on a GPU, and on a CPU of the whole process with its data set"
        columns.append(("peak memory (MB)", lambda each: _megabytes(each.sample("peak_bytes").values())))
    if any(each.failed for each in table.configurations):
        columns.insert(2, ("failed", _failed_of))
    caption = "Mean ± sample standard deviation over n runs"
    beside = ", for comparison: the question is about the outcome above"
    caption += (_top_group_of(table) if table.asked is None else beside) + memory + _second_tests_of(table)
    rows = tuple(tuple(cell(each) for _, cell in columns) for each in table.ranked_configurations)
    names = tuple(name for name, _ in columns)
    return Grid(caption, names, rows, (0, names.index("top group")) if table.asked is None else (0,))


def _second_tests_of(table: Table) -> str:
    names = " and ".join(measure.split("/")[1] for measure in table.second_tests)
    return f". Second test sets ({names}) are of the last epoch, and nothing was chosen by them" if names else ""


def _top_group_of(table: Table) -> str:
    if table.decided:
        return _TOP_GROUP.rpartition(". ")[0] + _NOT_FIXED
    return _TOP_GROUP + ", once all planned runs are there" * table.interim


def _in_top(table: Table, configuration: Configuration) -> str:
    """Return whether one may be the best: `-` if it was not compared, as a point of a search with fewer seeds."""
    label = configuration.label
    return "yes" if label in table.top else "no" if table.samples.get(label) else NONE


def _megabytes(bytes_of_runs: Collection[float]) -> str:
    return f"{max(bytes_of_runs) / 1e6:,.0f}" if bytes_of_runs else NONE


def _failed_of(configuration: Configuration) -> str:
    ended = len(configuration.runs) + len(configuration.failed)
    return f"{len(configuration.failed)} of {ended}" if ended else NONE


def trained(table: Table) -> Grid:
    """Return the share of runs that failed, where one did, with its interval and an exact test."""
    shown = table.failures if any(each.failed for each in table.failures) else []
    rows = tuple(
        (
            each.name,
            f"{each.failed} of {each.n}",
            f"[{100 * each.low:.0f}%, {100 * each.high:.0f}%]",
            NONE if each.p is None else p_value(each.p),
        )
        for each in shown
    )
    others = {each.against for each in shown if each.against}
    if table.control and others:
        against = f"against the control, {in_words(table.control, table.configurations)}, corrected after Holm"
    else:
        pairs = math.comb(len(shown), 2)
        against = "against the configuration with the smallest share"
        if len(shown) > 2:
            against += f", corrected after Holm for all {pairs} pairs, since the runs have picked it"
    caption = (
        "Runs that diverged or stayed at chance, of those that ended. The interval is Clopper and Pearson's. p is of"
        f" Boschloo's exact test {against}"
    )
    return Grid(caption, ("configuration", "failed", "95% interval of the share", "p (Holm)"), rows)


def _spread_of(measure: str, *, digits: int = 2) -> Callable[[Configuration], str]:
    return lambda each: spread(each.sample(measure).values(), digits=digits)


def _gain(configuration: Configuration) -> str:
    last, best = configuration.sample("test_acc"), configuration.sample("best_test_acc")
    gains = [best[seed] - last[seed] for seed in best.keys() & last.keys()]
    return f"{fmean(gains):+.2f}" if gains else NONE


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
    return Grid(caption + _NOT_FIXED * bool(table.decided), header, rows, (0, 4))


def _effect_of(a: Values, b: Values) -> str:
    found = effect([*a.values()], [*b.values()])
    return NONE if found is None else f"{found.g:+.1f} {interval((found.low, found.high), digits=1)}"


def with_best(table: Table) -> Grid:
    """Return the difference of each configuration from the best one, and what may be concluded."""
    best = table.ranked[0] if table.ranked else NONE
    how = "Welch's test" if len(table.against_best) == 1 else "the larger p of Hsu's comparison and Welch's"
    caption = f"Each configuration {'over' if table.by_ratio else 'minus'} the best, {best}: {how}"
    if sum(each.low is not None for each in table.against_best) > 1:
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
    how = "Welch's test" if pairs_only else "the larger p of Dunnett's comparison and Welch's"
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
    table: Table, comparisons: Sequence[Against], caption: str, references: Mapping[str, str], *, side: bool = False
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
    return Grid(caption + _margin_of(table) + _NOT_FIXED * bool(table.decided), header, tuple(rows), (0, 5))


def _conclusion(table: Table, comparison: Against, reference: str, verdict: Verdict, *, side: bool) -> str:
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


def departures(table: Table) -> Grid:
    """Return where our settings differ from the published ones, and all that the report leaves open, with the source
    of our value and the rows."""
    rows_of: dict[tuple[str, str], list[str]] = {}
    for answer in table.answers:
        for text in answer.differences:
            rows_of.setdefault((text, "differs"), []).append(answer.name)
        for opened in answer.open:
            rows_of.setdefault((str(opened), opened.source), []).append(answer.name)
        if why := why_unrun(answer.experiment.id):
            rows_of.setdefault(("the published figure", f"no run behind it is known: {why}"), []).append(answer.name)
        for fact in facts_of(answer.row.experiment, answer.row.settings):
            if fact.apart or not fact.set:
                refused = f". Not done here: {fact.apart}" if fact.apart else ""
                source = f"{fact.says} ({fact.source}){refused}"
                rows_of.setdefault(("the authors' public code", source), []).append(answer.name)
    for each in table.comparisons:
        if each.figure.why and each.figure.judged == "by our definition":
            rows_of.setdefault((each.figure.name, each.figure.why), []).append(each.answer.name)
    total = len(table.answers)
    rows = tuple(
        (text, kind, "all" if len(names) == total else ", ".join(names)) for (text, kind), names in rows_of.items()
    )
    coded = any("public code" in kind for _, kind in rows_of)
    doubt = ". Nobody can prove that the public code is the version behind the report" if coded else ""
    caption = f"Settings that the report does not give, or that differ{doubt}"
    return Grid(caption, ("setting", "who says it", "rows"), rows, (0, 1, 2))


def graded(table: Table) -> Grid:
    """Return how many rows have settings of each grade, under either reading."""
    ours, theirs = (
        Counter(answer.grade.kind for answer in answers if answer.grade) for answers in (table.answers, table.authors)
    )
    rows = tuple(
        (kind, str(ours[kind]), str(theirs[kind]), MEANING[kind]) for kind in KINDS if ours[kind] or theirs[kind]
    )
    header = ("grade", "rows, our reading", "rows, authors' reading", "meaning")
    return Grid("Who says the settings of the published rows", header, rows, (0, 3))


def settings(table: Table) -> Grid:
    """Return every key of the config, with its values."""
    configs = [decisive(configuration.config) for configuration in table.configurations if configuration.runs]
    keys = list(dict.fromkeys(key for config in configs for key in config))
    rows = tuple(
        (key, " | ".join(dict.fromkeys(value_text(config[key]) for config in configs if key in config))) for key in keys
    )
    return Grid("Every setting, with the values of all configurations", ("key", "value"), rows, (0, 1))


def problems(table: Table) -> Grid:
    rows = tuple((table.where(problem), problem.kind, problem.message) for problem in table.problems)
    return Grid("Runs that are missing or do not count", ("run or configuration", "problem", "reason"), rows, (0, 1, 2))
