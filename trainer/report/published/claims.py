"""Claims of the reports, tested on our runs: holds, does not hold, undecided.

A claim's `check` in published.yaml is a list of parts. Each part names its rows by their settings:

    of, above                  of is higher:             Welch's test
    of, over, points           higher by so many points: prediction interval of two single runs, and Welch's test
    of, over, percent | times  a ratio:                  the same for logarithms
    of, reaches                a level:                  the interval of the mean
    range, points              best minus worst of rows: as over, with p corrected for all pairs of these rows
    best                       the best of its table:    Welch's test with each other row, corrected after Holm
    not_here                   a reason why runs cannot decide it

A claim holds if all its parts hold, and does not hold if one part does not. Fewer than three runs decide nothing. While
a row has no runs, the best row is undecided.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean
from typing import Any, Literal

from trainer.published import Experiment
from trainer.report.configurations import Values
from trainer.report.published.comparisons import Answer
from trainer.report.published.figures import definition_of
from trainer.statistics import (
    FEWEST_FOR_A_VERDICT,
    LEVEL,
    Difference,
    all_pairs,
    describe,
    prediction_of_difference,
    rounding_of,
    top_group,
    welch,
)

Outcome = Literal["holds", "does not hold", "undecided"]


@dataclass(frozen=True)
class Claim:
    experiment: Experiment
    text: str
    outcome: Outcome
    why: str


@dataclass(frozen=True)
class _Part:
    outcome: Outcome
    why: str


class _UndecidedError(Exception):
    """A reason why a part cannot be decided."""


def claims_of(answers: Sequence[Answer]) -> list[Claim]:
    """Return the claims of all experiments that these rows belong to, in their order."""
    claims: list[Claim] = []
    for experiment in dict.fromkeys(answer.experiment.id for answer in answers):
        own = next(answer.experiment for answer in answers if answer.experiment.id == experiment)
        for claim in own.claims:
            parts = [_decide(part, own, answers) for part in claim.get("check", [{"not_here": "no run can decide it"}])]
            claims.append(Claim(own, claim["text"], _all_of(parts), "; ".join(part.why for part in parts)))
    return claims


def _all_of(parts: Sequence[_Part]) -> Outcome:
    outcomes = {part.outcome for part in parts}
    if "does not hold" in outcomes:
        return "does not hold"
    return "undecided" if "undecided" in outcomes else "holds"


def _decide(part: Mapping[str, Any], own: Experiment, answers: Sequence[Answer]) -> _Part:
    measure = part.get("measure", "test_acc")

    used: list[Answer] = []

    def sample(which: Mapping[str, Any], exact: bool = False) -> Values:
        used.append(_row(which, own, answers))
        return _sample(used[-1], measure, 1 if exact else FEWEST_FOR_A_VERDICT)

    try:
        decided = _by_kind(part, measure, sample, own, answers, used)
    except _UndecidedError as reason:
        return _Part("undecided", str(reason))
    if why := definition_of(measure):
        decided = _Part(decided.outcome, f"{decided.why}, {why}")
    if any(each.differences for each in used) and measure != "params":
        return _Part("undecided", f"not at the published settings (at ours: {decided.outcome}, {decided.why})")
    return decided


def _by_kind(
    part: Mapping[str, Any],
    measure: str,
    sample: Callable[..., Values],
    own: Experiment,
    answers: Sequence[Answer],
    used: list[Answer],
) -> _Part:
    match part:
        case {"not_here": reason}:
            raise _UndecidedError(reason)
        case {"best": which}:
            return _is_best(_row(which, own, answers), own, answers, measure, used)
        case {"range": which, "points": points}:
            rows = [each for each in answers if each.experiment is own and _says(each, which)]
            used += rows
            samples = {each.name: _sample(each, measure, FEWEST_FOR_A_VERDICT) for each in rows}
            if len(samples) < 2:
                raise _UndecidedError("fewer than two of its rows have runs")
            worst, *_, best = sorted(samples, key=lambda name: fmean(samples[name].values()))
            ends = [pair.p_holm for pair in all_pairs(samples) if {pair.a, pair.b} == {worst, best}]
            a, b = (list(samples[name].values()) for name in (best, worst))
            return _amount(a, b, points, _rounding(part, points), "points", p=ends[0])  # chosen by looking at the runs
        case {"of": of, "above": above}:
            a, b = list(sample(of).values()), list(sample(above).values())
            return _is_higher(welch(a, b))
        case {"of": of, "reaches": level}:
            ours = describe(list(sample(of).values()))
            if ours is None or ours.low is None or ours.high is None:
                raise _UndecidedError("no runs")
            said = f"{ours.mean:.2f} [{ours.low:.2f}, {ours.high:.2f}], claimed {level:g}"
            if ours.low >= level:
                return _Part("holds", said)
            return _Part("does not hold" if ours.high < level else "undecided", said)
        case {"of": of, "over": over, "points": points}:
            a, b = list(sample(of).values()), list(sample(over).values())
            return _amount(a, b, points, _rounding(part, points), "points")
        case {"of": of, "over": over}:
            exact = measure == "params"
            a, b = list(sample(of, exact).values()), list(sample(over, exact).values())
            return _ratio(a, b, part, exact=exact)
        case _:
            raise ValueError(f"published.yaml: {own.id}: no such check: {dict(part)}")


def _row(which: Mapping[str, Any], own: Experiment, answers: Sequence[Answer]) -> Answer:
    """Return the first row that has all these settings."""
    wanted = {key: value for key, value in which.items() if key != "experiment"}
    name = which.get("experiment", own.id)
    for answer in answers:
        if answer.experiment.id == name and _says(answer, wanted):
            return answer
    raise ValueError(f"published.yaml: {own.id}: no row of {name} sets {wanted}")


def _says(answer: Answer, wanted: Mapping[str, Any]) -> bool:
    settings = answer.row.settings
    return all(key in settings and settings[key] == value for key, value in wanted.items())


def _sample(answer: Answer, measure: str, fewest: int) -> Values:
    values = answer.sample(measure)
    if len(values) < fewest:
        raise _UndecidedError(f"{answer.name}: n = {len(values)}, a verdict needs {fewest}")
    return values


def _is_higher(difference: Difference) -> _Part:
    said = f"{difference.mean:+.2f} [{difference.low:+.2f}, {difference.high:+.2f}], p = {difference.p:.2g}"
    if difference.p is None or difference.p >= LEVEL:
        return _Part("undecided", said)
    return _Part("holds" if difference.mean > 0 else "does not hold", said)


def _is_best(best: Answer, own: Experiment, answers: Sequence[Answer], measure: str, used: list[Answer]) -> _Part:
    """Compare a row with the others of its table, or with the configurations of its sweep if the table has one row."""
    rows = [each for each in answers if each.experiment is own]
    used += rows
    if best.configuration is None:
        raise _UndecidedError(f"{best.name}: no run")
    samples = {each.configuration.label if each.configuration else each.name: each.sample(measure) for each in rows}
    if len(samples) < 2:
        samples |= {each.label: each.sample(measure) for each in best.others}
    if absent := [name for name, sample in samples.items() if len(sample) < FEWEST_FOR_A_VERDICT]:
        had = ", ".join(f"{name}: n = {len(samples[name])}" for name in absent)
        raise _UndecidedError(f"{had}, a verdict needs {FEWEST_FOR_A_VERDICT}")
    if len(samples) < 2:
        raise _UndecidedError("there is no other row to compare it with")
    label = best.configuration.label
    pairs = all_pairs(samples)
    top = top_group(samples, pairs)
    if label not in top:
        return _Part("does not hold", f"{top[0]} is higher")
    if top == [label]:
        return _Part("holds", "higher than each other row")
    if top[0] == label:
        return _Part("undecided", f"highest, but not significantly higher than {', '.join(top[1:])}")
    return _Part("undecided", f"{top[0]} is higher, but not significantly")


def _amount(
    a: Sequence[float], b: Sequence[float], claimed: float, rounding: float, unit: str, p: float | None = None
) -> _Part:
    """Decide whether two single runs may differ by `claimed`, and whether the means differ in that direction.

    `p` is the corrected one if the samples were chosen among several. By default it is that of Welch's test.
    """
    interval, difference = prediction_of_difference(a, b), welch(a, b)
    if interval is None or difference.p is None:
        raise _UndecidedError("fewer than two runs")
    low, high = interval[0] - rounding, interval[1] + rounding
    said = f"{difference.mean:+.2f} {unit}, prediction interval [{low:+.2f}, {high:+.2f}]"
    if not low <= claimed <= high:
        return _Part("does not hold", said)
    p = difference.p if p is None else p
    if p < LEVEL and difference.mean * claimed > 0:
        return _Part("holds", said)
    return _Part("undecided", f"{said}, but the difference is not significant, p = {p:.2g}")


def _ratio(a: Sequence[float], b: Sequence[float], part: Mapping[str, Any], *, exact: bool) -> _Part:
    """Decide a ratio as a difference of logarithms, and a ratio of counts exactly."""
    if min(*a, *b) <= 0:
        raise _UndecidedError(f"a ratio needs figures above 0, and the smallest is {min(*a, *b):g}")
    times = part["times"] if "times" in part else 1 + part["percent"] / 100
    unit = 1.0 if "times" in part else 0.01
    rounding = _rounding(part, part.get("times", part.get("percent"))) * unit
    ours = (math.fsum(a) / len(a)) / (math.fsum(b) / len(b))
    said = f"{ours:.2f} times" if "times" in part else f"{100 * (ours - 1):+.3g}%"
    if exact:
        return _Part("holds" if abs(ours - times) <= rounding + 1e-12 else "does not hold", said)
    logs = [[math.log(value) for value in values] for values in (a, b)]
    decided = _amount(logs[0], logs[1], math.log(times), rounding / times, "in logarithms")
    return _Part(decided.outcome, said)


def _rounding(part: Mapping[str, Any], claimed: float | int) -> float:
    text = str(claimed)
    return rounding_of(len(text.partition(".")[2]) if "." in text else 0, about=bool(part.get("about")))
