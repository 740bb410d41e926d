"""Claims of the reports, tested on our runs: holds, compatible, does not hold, undecided.

A claim's `check` in published.yaml is a list of parts, which `parts.py` decides. A claim holds if all its parts hold,
and does not hold if one part does not. It is compatible if none is refuted and at least one is an amount, which runs
can refute but not confirm. Fewer than three runs decide nothing. While a row has no runs, the best row is undecided.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from trainer.published import Experiment
from trainer.report.published.comparisons import Answer
from trainer.report.published.grades import Kind, least_founded, settings_text
from trainer.report.published.parts import Decision, Part, decide, is_by_our_definition

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
    marks: tuple[str, ...] = ()  # what the outcome is subject to: `interim`, `survivors only`
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
            parts = [decide({**part, "figures": figures}, own, answers) for part in check]
            why = "; ".join(part.why for part in parts)
            grade = least_founded(part.grade for part in parts if part.grade)
            tested = all(part.tested for part in parts)
            claims.append(Claim(own, claim["text"], by, _all_of(parts), why, check, _marks(parts), grade, tested))
    return claims


def _all_of(parts: Sequence[Part]) -> Decision:
    outcomes = {part.outcome for part in parts}
    worst: tuple[Decision, ...] = ("does not hold", "undecided", "compatible", "holds")
    return next(outcome for outcome in worst if outcome in outcomes)


def _marks(parts: Iterable[Part]) -> tuple[str, ...]:
    """Return the marks of the parts that say something."""
    return tuple(dict.fromkeys(mark for part in parts if part.outcome != "undecided" for mark in part.marks))
