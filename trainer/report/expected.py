"""Expectations of a table, for a check by a machine: `cosine > constant`, `gelu < relu`, `step ~ cosine`.

Each names two configurations. Their difference is tested by Welch's test, or seed by seed if it is of an outcome that
the sweep's file names, and that makes pairs. `~`, equivalent within the margin, takes two one-sided tests. Holm's
correction is for all expectations at once. Where seeds were added until a sweep was decided, its sequential decisions
count in place of these tests.
"""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from statistics import fmean
from typing import Literal

from trainer.config.explain import did_you_mean
from trainer.errors import UserError
from trainer.report.configurations import siblings_of
from trainer.report.pages.outcome import with_interval
from trainer.report.table import Table
from trainer.statistics.comparisons import can_be_tested
from trainer.statistics.describe import FEWEST_FOR_A_VERDICT, LEVEL
from trainer.statistics.differences import holm, identical
from trainer.statistics.seedwise import seedwise
from trainer.statistics.verdicts import p_of_equivalence

Sign = Literal[">", "<", "~"]
_NO_NUMBER = "some runs have no number"


@dataclass(frozen=True)
class Expected:
    a: str
    sign: Sign
    b: str

    def __str__(self) -> str:
        return f"{self.a} {self.sign} {self.b}"


@dataclass(frozen=True)
class Judged:
    expected: Expected
    met: bool
    why: str


def read_expected(text: str, table: Table) -> Expected:
    """Return what `cosine > constant` asks of two configurations of the table.

    Raises UserError if it does not name two of them, or asks for an equivalence without a margin.
    """
    ways = list(_ways_to_split(text))
    known = [way for way in ways if way[0] in table.samples and way[2] in table.samples]
    if not known and len(ways) != 1:  # a label may have a sign in it
        raise UserError(f'--expect {text!r}: expected two configurations, such as "cosine > constant"')
    a, sign, b = (known or ways)[0]
    for label in (a, b):
        if label not in table.samples:
            raise UserError(f"--expect {text!r}: {label!r} is no configuration{did_you_mean(label, table.samples)}")
    if a == b:
        raise UserError(f"--expect {text!r}: it names one configuration twice")
    if sign == "~" and table.asked:
        raise UserError(f"--expect {text!r}: a margin is of the metric, and {table.name} compares an outcome")
    if sign == "~" and table.margin is None:
        raise UserError(f"--expect {text!r}: an equivalence needs --margin, or `# Margin:` in the sweep's file")
    return Expected(a, sign, b)  # pyright: ignore[reportArgumentType] - it is one of three


def judge(table: Table, expectations: Sequence[Expected]) -> list[Judged]:
    """Return whether each expectation is met, at the 5 % level for all of them together."""
    if table.decided and not table.asked:
        return [_by_decision(table, each) for each in expectations]
    tested = [each for each in expectations if can_be_tested(table.scaled[each.a], table.scaled[each.b])]
    adjusted = holm([_p(table, each) for each in tested]).tolist()
    p_of = dict(zip(tested, adjusted, strict=True))
    return [_by_test(table, each, p_of.get(each)) for each in expectations]


def _ways_to_split(text: str) -> Iterator[tuple[str, str, str]]:
    """Yield (what is before a sign, the sign, what is behind it) for each sign with something on both sides."""
    for sign in re.finditer("[<>~]", text):
        a, b = text[: sign.start()].strip(), text[sign.end() :].strip()
        if a and b:
            yield a, sign[0], b


def _p(table: Table, expected: Expected) -> float:
    a, b = (table.scaled[label] for label in (expected.a, expected.b))
    if expected.sign == "~":
        assert table.margin is not None
        return p_of_equivalence([*a.values()], [*b.values()], table.margin)
    pairs = table.asked is not None and table.asked.outcome.seedwise
    p = seedwise(a, b, "difference", pairs=pairs).p
    return 1.0 if p is None else p


def _by_test(table: Table, expected: Expected, p: float | None) -> Judged:
    """Return the outcome of a test, which is no verdict while runs or numbers are missing: docs/statistics.md.

    Nor is it one where seeds were added until something else was decided, since the test is for a fixed number.
    """
    a, b = (table.scaled[label] for label in (expected.a, expected.b))
    marks = _marks(table, expected)
    subject = "".join(f", {mark}" for mark in marks)
    final = not {"interim", "seeds until decided", _NO_NUMBER} & set(marks)
    if identical(a, b) and min(len(a), len(b)) >= FEWEST_FOR_A_VERDICT:
        return Judged(expected, final and expected.sign == "~", f"identical results{subject}")
    if p is None:
        said = ", ".join(f"{label} has {len(table.samples[label])}" for label in (expected.a, expected.b))
        why = f"a test needs {FEWEST_FOR_A_VERDICT} runs each, and runs that vary: {said}{subject}"
        return Judged(expected, False, why)
    difference = fmean(a.values()) - fmean(b.values())
    said = f"difference {difference:+.4g}"
    if table.asked:
        samples, pairs = (table.samples[expected.a], table.samples[expected.b]), table.asked.outcome.seedwise
        found = seedwise(*samples, table.asked.scale, pairs=pairs)
        difference, said = found.log[0], with_interval(found)
    right = expected.sign == "~" or (difference > 0) == (expected.sign == ">")
    return Judged(expected, final and right and p < LEVEL, f"{said}, p {p:.2g}{subject}")


def _marks(table: Table, expected: Expected) -> list[str]:
    """Return what a verdict on the two is subject to: missing seeds or numbers, failed runs, seeds until decided."""
    labelled, pair = [*table.configurations, *siblings_of(table.configurations)], {expected.a, expected.b}
    found = [mark for each in labelled if each.label in pair for mark in each.marks]
    if table.unmeasured.keys() & pair:
        found.append(_NO_NUMBER)
    return list(dict.fromkeys(found))


def _by_decision(table: Table, expected: Expected) -> Judged:
    assert table.decided is not None
    pair = {expected.a, expected.b}
    found = next((each for each in table.decided.decisions if {each.a, each.b} == pair), None)
    if found is None:
        return Judged(expected, False, f"the design does not compare them: {table.decided.until}")
    within = f" within {table.decided.until.margin:g}" if found.verdict == "equivalent" else ""
    marks = [mark for mark in _marks(table, expected) if mark == "survivors only"]
    said = ", ".join([f"the sequential test says {found.verdict}{within}", *marks])
    higher = expected.a if expected.sign == ">" else expected.b
    different = found.verdict == "different" and found.higher == higher
    return Judged(expected, found.verdict == "equivalent" if expected.sign == "~" else different, said)
