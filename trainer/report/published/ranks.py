"""The best, the worst and the second best of a published table, decided by our runs.

A row all of whose runs failed has no figure, and is still an outcome: its accuracy is below that of a row that fails
significantly less often, by the exact test of the two shares. Of other measures it has none, and is left out.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from trainer.report.configurations import Configuration
from trainer.report.published.comparisons import Answer
from trainer.report.published.part import Part, UndecidedError
from trainer.statistics.comparisons import top_group, with_best, with_control
from trainer.statistics.describe import FEWEST_FOR_A_VERDICT, LEVEL, Values
from trainer.statistics.differences import holm
from trainer.statistics.failures import exact_p


@dataclass(frozen=True)
class _Rows:
    """Rows that are compared, by the label of their configuration."""

    label: str  # of the row that is claimed to be something
    samples: Mapping[str, Values]  # of rows with runs that trained
    ended: Mapping[str, tuple[int, int]]  # of every row: (failed runs, ended runs)
    better: tuple[str, ...]  # fail significantly less often than the claimed row, all of whose runs failed
    worse: tuple[str, ...]  # have failed with every run, significantly more often than the claimed row
    open: tuple[str, ...]  # one of the two has failed with every run, and it may be chance
    left_out: tuple[str, ...]  # all of whose runs failed, of a measure that they cannot have

    @property
    def note(self) -> str:
        """Return which rows failed, as the end of a sentence."""
        failed = [name for name, (lost, n) in self.ended.items() if lost == n]
        return f"; all runs failed: {', '.join(failed)}" if failed else ""


def is_best(part: Mapping[str, Any], best: Answer, rows: Sequence[Answer], measure: str, used: list[Answer]) -> Part:
    found = _rows_of(best, rows, measure, used)
    highest = not part.get("lowest", False)
    side, extreme = ("higher", "highest") if highest else ("lower", "lowest")
    beaten_by, beaten = (found.better, found.worse) if highest else (found.worse, found.better)
    if beaten_by:
        return Part("does not hold", f"significantly {side}: {', '.join(beaten_by)}{found.note}")
    samples = found.samples
    if found.label not in samples:
        said = f"fails significantly more often than {', '.join(beaten) or 'none'}{found.note}"
        return Part("undecided" if found.open else "holds", said)
    top = top_group(samples, with_best(samples, highest=highest), highest=highest)
    if found.label not in top:
        if len(samples) == 2:
            return Part("does not hold", f"{top[0]} is {side}{found.note}")
        return Part("does not hold", f"another one is at least as {side[:-2]}: {extreme} is {top[0]}{found.note}")
    if found.open:
        return Part("undecided", f"{', '.join(found.open)}: it may be chance that every run failed")
    if top == [found.label]:
        return Part("holds", f"{side} than each other row{found.note}")
    if top[0] == found.label:
        return Part("undecided", f"{extreme}, but not significantly {side} than {', '.join(top[1:])}{found.note}")
    return Part("undecided", f"{top[0]} is {side}, but not significantly{found.note}")


def is_of_rank(
    part: Mapping[str, Any], which: Answer, rows: Sequence[Answer], measure: str, used: list[Answer]
) -> Part:
    """Decide whether exactly rank - 1 rows are better. The row was named before the runs, as a control is."""
    found = _rows_of(which, rows, measure, used)
    comparisons, rank = with_control(found.samples, found.label), part["rank"]
    better, worse = ("lower", "higher") if part.get("lowest") else ("higher", "lower")
    apart = {"higher": [*found.better], "lower": [*found.worse]}
    for each in comparisons:
        if each.finding in apart:
            apart[each.finding].append(each.name)
    ahead, behind, others = apart[better], apart[worse], len(found.ended) - len(found.left_out) - 1
    said = f"significantly {better}: {', '.join(ahead) or 'none'}; significantly {worse}: {', '.join(behind) or 'none'}"
    if len(ahead) >= rank or len(behind) > others + 1 - rank:
        return Part("does not hold", said + found.note)
    return Part("holds" if len(ahead) + len(behind) == others else "undecided", said + found.note)


def _rows_of(answer: Answer, rows: Sequence[Answer], measure: str, used: list[Answer]) -> _Rows:
    """Return the rows of a table, or of its sweep's configurations if it has one row only."""
    used += rows
    if answer.configuration is None:
        raise UndecidedError(f"{answer.name}: no run")
    compared: dict[str, Configuration | None] = {
        each.configuration.label if each.configuration else each.name: each.configuration for each in rows
    }
    if len(compared) < 2:
        compared |= {each.label: each for each in answer.others}
        used += [answer.of_ours(each) for each in answer.others if each is not answer.configuration]
    samples = {name: each.sample(measure) if each else {} for name, each in compared.items()}
    ended = {name: (len(each.failed), len(each.runs) + len(each.failed)) if each else (0, 0)
             for name, each in compared.items()}  # fmt: skip
    lost = [name for name, (failed, n) in ended.items() if failed == n >= FEWEST_FOR_A_VERDICT]
    absent = [name for name, each in samples.items() if len(each) < FEWEST_FOR_A_VERDICT and name not in lost]
    if absent:
        had = ", ".join(count_text(name, len(samples[name]), ended[name][0]) for name in absent)
        raise UndecidedError(f"{had}, a verdict needs {FEWEST_FOR_A_VERDICT}")
    if len(samples) < 2:
        raise UndecidedError("there is no other row to compare it with")
    label, filled = answer.configuration.label, {name: each for name, each in samples.items() if name not in lost}
    if not filled:
        raise UndecidedError("every run of every row failed")
    if "_acc" not in measure:  # how well a network that has not learned does is not known
        if label in lost:
            raise UndecidedError(f"{label}: all {ended[label][0]} runs failed, so it has no such figure")
        return _Rows(label, filled, ended, (), (), (), tuple(lost))
    against = [name for name in (filled if label in lost else lost) if name != label]
    tested = zip(against, holm([exact_p(ended[name], ended[label]) for name in against]), strict=True)
    apart = tuple(name for name, p in tested if p < LEVEL)
    better, worse = (apart, ()) if label in lost else ((), apart)
    still = tuple(name for name in (ended if label in lost else lost) if name not in (label, *apart))
    return _Rows(label, filled, ended, better, worse, still, ())


def count_text(name: str, n: int, failed: int) -> str:
    """Return `a: n = 2 besides 3 that failed`."""
    return f"{name}: n = {n}" + (f" besides {failed} that failed" if failed else "")
