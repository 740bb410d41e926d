"""Claims of the reports, tested on our runs: holds, compatible, does not hold, undecided.

A claim's `check` in published.yaml is a list of parts, which `parts.py` decides. A claim holds if all its parts hold,
and does not hold if one part does not. It is compatible if none is refuted and at least one is an amount, which runs
can refute but not confirm. A part may be other claims, of several sweeps. Fewer than three runs decide nothing. While a
row has no runs, the best row is undecided.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

from trainer.published import Experiment
from trainer.report.published.comparisons import Answer
from trainer.report.published.grades import Kind, least_founded, settings_text
from trainer.report.published.part import Decision, Part
from trainer.report.published.parts import decide, is_by_our_definition

State = Decision | Literal["by our definition"]
STATES: tuple[State, ...] = ("holds", "compatible", "does not hold", "undecided", "by our definition")
"""Counts of claims are by these. by our definition: undecided whatever runs show, as no report defines a measure."""


@dataclass(frozen=True)
class Claim:
    experiment: Experiment
    text: str
    by: Literal["report", "table"]  # said by the report, or what a reader takes from its figures
    outcome: Decision
    why: str
    check: tuple[Mapping[str, Any], ...]
    marks: tuple[str, ...] = ()  # what the outcome is subject to, of `MARKS`
    grade: Kind | None = None  # who says the settings of its rows: the least well founded one
    tested: bool = False  # by runs at the settings of its rows, in each of its parts

    @property
    def state(self) -> State:
        undefined = any(map(is_by_our_definition, self.check))
        return "by our definition" if undefined and self.outcome == "undecided" else self.outcome

    @property
    def said(self) -> str:
        """Return the outcome with its marks, or `no check`."""
        if self.reason_for_none is not None:
            return "no check"
        return ", ".join([self.state, *self.marks, *([settings_text(self.grade)] if self.grade else [])])

    @property
    def reason_for_none(self) -> str | None:
        """Return why runs cannot decide the claim, or None if they can."""
        reasons = [part["not_here"] for part in self.check if "not_here" in part]
        return "; ".join(reasons) if reasons else None


def claims_of(answers: Sequence[Answer]) -> list[Claim]:
    """Return the claims of all experiments that these rows belong to, in their order."""
    claims: list[Claim] = []
    for experiment in dict.fromkeys(answer.experiment.id for answer in answers):
        own = next(answer.experiment for answer in answers if answer.experiment.id == experiment)
        for claim in own.claims:
            check = tuple(claim["check"])
            by = claim.get("by", "report")
            figures = 2 if by == "table" else 1  # a reader's difference has the rounding of both figures
            parts = [
                _NOT_JOINED if "claims" in part else decide({**part, "figures": figures}, own, answers)
                for part in check
            ]
            claims.append(_decided(Claim(own, claim["text"], by, "undecided", "", check), parts))
    return joined(claims)


def joined(claims: Sequence[Claim]) -> list[Claim]:
    """Return the claims, with those that other claims decide: a part `claims` names them, which may be of any sweep."""
    known = {(claim.experiment.id, claim.text): claim for claim in claims}
    return [
        _decided(claim, [_joined(part["claims"], known) for part in claim.check])
        if claim.check and all("claims" in part for part in claim.check)
        else claim
        for claim in claims
    ]


def _joined(named: Mapping[str, str], known: Mapping[tuple[str, str], Claim]) -> Part:
    """Decide whether all of these claims hold, by experiment and text."""
    if absent := [experiment for experiment, text in named.items() if (experiment, text) not in known]:
        return Part("undecided", f"it takes runs of another sweep, for {', '.join(absent)}: see the page of all claims")
    found = [known[each] for each in named.items()]
    why = "; ".join(f"{each.experiment.id}: {each.outcome}" for each in found)
    marks = dict.fromkeys(mark for each in found for mark in each.marks)
    grade = least_founded(each.grade for each in found if each.grade)
    return Part(_all_of(found), why, tuple(marks), grade, all(each.tested for each in found))


_NOT_JOINED = Part("undecided", "")  # before `joined`


def _decided(claim: Claim, parts: Sequence[Part]) -> Claim:
    return replace(
        claim,
        outcome=_all_of(parts),
        why="; ".join(part.why for part in parts),
        marks=_marks(parts),
        grade=least_founded(part.grade for part in parts if part.grade),
        tested=all(part.tested for part in parts),
    )


def _all_of(parts: Iterable[Part | Claim]) -> Decision:
    outcomes = {part.outcome for part in parts}
    worst: tuple[Decision, ...] = ("does not hold", "undecided", "compatible", "holds")
    return next(outcome for outcome in worst if outcome in outcomes)


def _marks(parts: Iterable[Part]) -> tuple[str, ...]:
    """Return the marks of the parts that say something."""
    return tuple(dict.fromkeys(mark for part in parts if part.outcome != "undecided" for mark in part.marks))
