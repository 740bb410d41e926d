"""Tables of a report as plain text in cells: configurations, settings, and what is missing."""

import math
from collections import Counter
from collections.abc import Callable, Collection
from dataclasses import dataclass
from statistics import fmean

from trainer.report.configurations import Configuration
from trainer.report.pages.sentences import mean_interval, p_value
from trainer.report.published.authors import facts_of, why_unrun
from trainer.report.published.grades import KINDS, MEANING
from trainer.report.table import Table
from trainer.runs.families import in_words
from trainer.runs.groups import decisive, value_text
from trainer.text import NONE, metric_words, number, spread

_TOP_GROUP = (
    ". The top group is the best configuration and every other that may be the best as well. In 95 of 100 tables the"
    " truly best one is in it"
)
NOT_FIXED = ". Seeds were added until the sweep was decided, so this test errs more often than at 5%"


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
        return _TOP_GROUP.rpartition(". ")[0] + NOT_FIXED
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
