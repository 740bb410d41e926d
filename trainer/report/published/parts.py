"""Parts of a claim, each decided by our runs.

Rows are named by their settings, and configurations of the sweep that no row has, such as a control, by `ours` and the
values of the keys that the sweep varies:

    of, above                  of is higher:             Welch's test
    of, exceeds, over          higher by more than that: Welch's test of the difference
    of, above_measure          one measure of a row is higher than another of it, seed by seed
    of, over, points           higher by so many points: prediction interval of two single runs, and Welch's test
    of, over, percent | times  a ratio:                  the same for logarithms
    of, reaches                a level:                  the interval of the mean
    range, points              best minus worst of rows: as over, with p corrected for all pairs of these rows
    of, over, more_than        a larger difference:      Welch's test of the difference of two differences
    best                       the best of its table:    multiple comparisons with the best
    of, rank                   the second best, or so:   Dunnett's comparisons of each other row with it
    among                      the rows that `best` and `rank` compare. By default those of the experiment
    lowest                     `best` and `rank` count from below
    claims                     other claims that must all hold, of any sweep (`trainer.report.published.claims`)
    not_here                   a reason why runs cannot decide it
    only                       a reason why less is compared than the claim says

`measure` is the test accuracy, or another measure of a run, or an outcome such as `runs/loss/width`: then `above` is
decided seed by seed, by log ratios where the outcome is always positive (`trainer.statistics.seedwise`). Of the measure
`failed`, the share of runs that fail, `above` is decided by the exact test of two shares.

An amount that our runs do not refute is compatible with them. That is less than that it holds: many others are, too.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from statistics import fmean
from typing import Any

from trainer.published import Experiment
from trainer.report.configurations import FAILED
from trainer.report.published.comparisons import Answer
from trainer.report.published.figures import ACCURACIES, Judged, judged_how
from trainer.report.published.grades import least_founded
from trainer.report.published.part import Part, UndecidedError
from trainer.report.published.ranks import count_text, is_best, is_of_rank
from trainer.runs import groups, outcomes
from trainer.statistics.describe import (
    FEWEST_FOR_A_VERDICT,
    LEVEL,
    Values,
    can_be_judged,
    describe,
    prediction_of_difference,
    rounding_of,
)
from trainer.statistics.differences import Difference, all_pairs, contrast, welch
from trainer.statistics.failures import exact_p
from trainer.statistics.seedwise import seedwise


def is_by_our_definition(part: Mapping[str, Any]) -> bool:
    """Return whether a part is about a measure that the report does not define, so that no runs decide it plainly."""
    return _judged(part)[0] == "by our definition"


def _judged(part: Mapping[str, Any]) -> tuple[Judged, str]:
    """Return how the measures of a part are judged, and why: as the least well defined of the two it may have."""
    if "not_here" in part:
        return "not at all", part["not_here"]
    both = [judged_how(part.get("measure", "test_acc"))]
    both += [judged_how(part["above_measure"])] if "above_measure" in part else []
    order: tuple[Judged, ...] = ("not at all", "by our definition", "exactly", "by runs")
    return min(both, key=lambda each: order.index(each[0]))


def decide(part: Mapping[str, Any], own: Experiment, answers: Sequence[Answer]) -> Part:
    """Return the outcome of one part of a claim of the experiment `own`. Raises ValueError if it is no check."""
    measure = part.get("measure", "test_acc")
    judged, why = _judged(part)
    used: list[Answer] = []

    def sample(which: Mapping[str, Any]) -> Values:
        used.append(_row(which, own, answers))
        return _sample(used[-1], measure, 1 if judged == "exactly" else FEWEST_FOR_A_VERDICT)

    try:
        if judged == "not at all":
            raise UndecidedError(why)  # noqa: TRY301 - the reason takes the way of all others
        decided = _by_kind(part, measure, sample, own, answers, used)
    except UndecidedError as reason:
        return Part("undecided", str(reason))
    if judged == "exactly" and decided.outcome == "does not hold":
        return Part("undecided", f"{decided.why} of our networks, which are not the report's then")
    if judged != "exactly" and any(each.differences for each in used):
        return Part("undecided", f"not at the published settings (at ours: {decided.outcome}, {decided.why})")
    if judged == "by our definition":
        return Part("undecided", f"{decided.outcome} by {why}: {decided.why}")
    if judged == "exactly":
        return decided
    marks = dict.fromkeys(mark for each in used for mark in each.marks(measure))
    grade = least_founded(each.grade.kind for each in used if each.grade)
    return replace(decided, marks=tuple(marks), grade=grade, tested=True)


def _by_kind(
    part: Mapping[str, Any],
    measure: str,
    sample: Callable[[Mapping[str, Any]], Values],
    own: Experiment,
    answers: Sequence[Answer],
    used: list[Answer],
) -> Part:
    match part:
        case {"best": which}:
            return is_best(part, _row(which, own, answers), _compared_rows(part, own, answers), measure, used)
        case {"of": which, "rank": _}:
            return is_of_rank(part, _row(which, own, answers), _compared_rows(part, own, answers), measure, used)
        case {"range": which, "points": points}:
            rows = [each for each in answers if each.experiment is own and _says(each, which)]
            used += rows
            samples = {each.name: _sample(each, measure, FEWEST_FOR_A_VERDICT) for each in rows}
            if len(samples) < 2:
                raise UndecidedError("fewer than two of its rows have runs")
            worst, *_, best = sorted(samples, key=lambda name: fmean(samples[name].values()))
            ends = [pair.p_holm for pair in all_pairs(samples) if {pair.a, pair.b} == {worst, best}]
            a, b = (list(samples[name].values()) for name in (best, worst))
            # Which two they are was seen in the runs.
            return _amount(a, b, float(points), _rounding(part, points), "points", p=ends[0])
        case {"of": of, "above": above} if measure == FAILED:
            return _fails_more_often(sample(of), sample(above))
        case {"of": of, "above": above} if "/" in measure:
            return _is_higher_by_seed(sample(of), sample(above), outcomes.Outcome(measure))
        case {"of": of, "above_measure": other}:
            return _is_higher_by_seed(
                sample(of), _sample(used[-1], other, FEWEST_FOR_A_VERDICT), outcomes.Outcome(measure)
            )
        case {"of": of, "over": over, "exceeds": least}:
            a, b = list(sample(of).values()), list(sample(over).values())
            return _is_higher(welch([value - least for value in a], b), by=least)
        case {"of": of, "above": above}:
            a, b = list(sample(of).values()), list(sample(above).values())
            return _is_higher(welch(a, b))
        case {"of": of, "over": over, "more_than": {"of": other_of, "over": other_over}}:
            samples = [list(sample(which).values()) for which in (of, over, other_of, other_over)]
            return _is_higher(contrast(*zip((1, -1, -1, 1), samples, strict=True)))
        case {"of": of, "reaches": level}:
            return _reaches(list(sample(of).values()), level)
        case {"of": of, "over": over, "points": points}:
            a, b = list(sample(of).values()), list(sample(over).values())
            unit = "points" if measure in ACCURACIES else ""  # a cosine has no unit
            return _amount(a, b, float(points), _rounding(part, points), unit)
        case {"of": of, "over": over}:
            a, b = list(sample(of).values()), list(sample(over).values())
            return _ratio(a, b, part, exact=judged_how(measure)[0] == "exactly")
        case _:
            raise ValueError(f"published.yaml: {own.id}: no such check: {dict(part)}")


def _row(which: Mapping[str, Any], own: Experiment, answers: Sequence[Answer]) -> Answer:
    """Return the first row that has all these settings, or the configuration of the sweep that is none."""
    if "ours" in which:
        return _ours(which["ours"], next(each for each in answers if each.experiment is own))
    wanted = {key: value for key, value in which.items() if key != "experiment"}
    name = which.get("experiment", own.id)
    for answer in answers:
        if answer.experiment.id == name and _says(answer, wanted):
            return answer
    raise ValueError(f"published.yaml: {own.id}: no row of {name} sets {wanted}")


def _ours(values: Mapping[str, Any], row: Answer) -> Answer:
    """Return the configuration of a row's table that has these values of the keys that the table varies."""
    for each in row.others:
        if groups.identity({key: each.values.get(key) for key in values}) == groups.identity(values):
            return row.of_ours(each)
    return replace(row, name=groups.label(values), configuration=None, differences=())


def _compared_rows(part: Mapping[str, Any], own: Experiment, answers: Sequence[Answer]) -> list[Answer]:
    wanted = part.get("among", {})
    return [each for each in answers if each.experiment is own and _says(each, wanted)]


def _says(answer: Answer, wanted: Mapping[str, Any]) -> bool:
    settings = answer.row.settings
    return all(key in settings and settings[key] == value for key, value in wanted.items())


def _sample(answer: Answer, measure: str, fewest: int) -> Values:
    values = answer.sample(measure)
    if len(values) < fewest:
        failed = len(answer.configuration.failed) if answer.configuration and measure != FAILED else 0
        raise UndecidedError(f"{count_text(answer.name, len(values), failed)}, a verdict needs {fewest}")
    return values


def _is_higher_by_seed(a: Values, b: Values, outcome: outcomes.Outcome) -> Part:
    """Decide whether an outcome is higher, by the ratio or the difference of runs of one seed."""
    found = seedwise(a, b, outcome.scale, pairs=outcome.seedwise)
    if found.p is None or found.finding == "identical":
        raise UndecidedError("neither row's runs vary, so there is no noise to compare the difference with")
    times = " times" if found.scale == "ratio" else ""
    unpaired = ", seeds unpaired" if outcome.seedwise and not found.paired else ""
    bounds = "" if found.low is None or found.high is None else f" [{found.low:.3g}, {found.high:.3g}]"
    said = f"{found.estimate:.3g}{times}{bounds}, p = {found.p:.2g}{unpaired}"
    if found.p >= LEVEL:
        return Part("undecided", said)
    return Part("holds" if found.finding == "higher" else "does not hold", said)


def _fails_more_often(a: Values, b: Values) -> Part:
    """Decide whether more runs of a fail than of b, by the exact test of the two shares. Each value is 1 or 0."""
    one, other = ((int(sum(each.values())), len(each)) for each in (a, b))
    p = exact_p(one, other)
    said = f"{one[0]} of {one[1]} runs failed, compared with {other[0]} of {other[1]}, p = {p:.2g}"
    if p >= LEVEL:
        return Part("undecided", said)
    return Part("holds" if one[0] / one[1] > other[0] / other[1] else "does not hold", said)


def _is_higher(difference: Difference, *, by: float = 0.0) -> Part:
    """Decide whether a mean is higher than another, or more than `by` higher, which the difference has left."""
    if difference.p is None or difference.low is None or difference.high is None:
        raise UndecidedError("neither row's runs vary, so there is no noise to compare the difference with")
    mean, low, high = difference.mean + by, difference.low + by, difference.high + by
    said = f"{mean:+.2f} [{low:+.2f}, {high:+.2f}], p = {difference.p:.2g}"
    if difference.p >= LEVEL:
        return Part("undecided", said)
    return Part("holds" if difference.mean > 0 else "does not hold", said)


def _reaches(values: Sequence[float], level: float) -> Part:
    ours = describe(values)
    if ours is None or ours.low is None or ours.high is None or not can_be_judged(values):
        raise UndecidedError("our runs do not vary, so there is no interval to compare with")
    said = f"{ours.mean:.2f} [{ours.low:.2f}, {ours.high:.2f}], claimed {level:g}"
    if ours.low >= level:
        return Part("holds", said)
    return Part("does not hold" if ours.high < level else "undecided", said)


def _amount(
    a: Sequence[float], b: Sequence[float], claimed: float, rounding: float, unit: str, p: float | None = None
) -> Part:
    """Decide whether two single runs may differ by `claimed`, and whether the means differ in that direction.

    `p` is the corrected one if the samples were chosen among several. By default it is that of Welch's test.
    """
    interval, difference = prediction_of_difference(a, b), welch(a, b)
    if interval is None or difference.p is None or interval[0] == interval[1]:
        raise UndecidedError("neither row's runs vary, so there is no noise to compare the difference with")
    low, high = interval[0] - rounding, interval[1] + rounding
    said = f"{f'{difference.mean:+.2f} {unit}'.strip()}, prediction interval [{low:+.2f}, {high:+.2f}]"
    if not low <= claimed <= high:
        return Part("does not hold", said)
    p = difference.p if p is None else p
    if p < LEVEL and difference.mean * claimed > 0:
        return Part("compatible", said)
    return Part("undecided", f"{said}, but the difference is not significant, p = {p:.2g}")


def _ratio(a: Sequence[float], b: Sequence[float], part: Mapping[str, Any], *, exact: bool) -> Part:
    """Decide a ratio as a difference of logarithms, and a ratio of counts exactly."""
    if min(*a, *b) <= 0:
        raise UndecidedError(f"a ratio needs figures above 0, and the smallest is {min(*a, *b):g}")
    times = float(part["times"]) if "times" in part else 1 + part["percent"] / 100
    unit = 1.0 if "times" in part else 0.01
    rounding = _rounding(part, part.get("times", part.get("percent"))) * unit
    ours = fmean(a) / fmean(b)
    said = f"{ours:.2f} times" if "times" in part else f"{100 * (ours - 1):+.3g}%"
    if exact:
        return Part("holds" if abs(ours - times) <= rounding + 1e-12 else "does not hold", said)
    logs = [[math.log(value) for value in values] for values in (a, b)]
    decided = _amount(logs[0], logs[1], math.log(times), rounding / times, "in logarithms")
    return Part(decided.outcome, said)


def _rounding(part: Mapping[str, Any], claimed: float | int | str) -> float:
    """Return the rounding of an amount. One with a zero at its end is quoted in the file, because YAML drops it."""
    decimals = len(str(claimed).partition(".")[2])
    return part.get("figures", 1) * rounding_of(decimals, about=float(claimed) if part.get("about") else None)
