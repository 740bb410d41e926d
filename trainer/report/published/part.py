"""The outcome of one part of a claim's check."""

from dataclasses import dataclass
from typing import Literal

from trainer.report.published.grades import Kind

Decision = Literal["holds", "compatible", "does not hold", "undecided"]


@dataclass(frozen=True)
class Part:
    outcome: Decision
    why: str
    marks: tuple[str, ...] = ()
    grade: Kind | None = None  # the least well founded one of its rows
    tested: bool = False  # by runs at the settings of its rows


class UndecidedError(Exception):
    """A reason why a part cannot be decided."""
