"""Every conclusion of the reports: its check, or why it has none, and its outcome on our runs."""

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from trainer.published import experiments
from trainer.report.pages.markdown import cell, link, link_to_report
from trainer.report.pages.sentences import marked_text
from trainer.report.published.claims import STATES, Claim, claims_of, joined
from trainer.report.published.comparisons import answers_of
from trainer.report.published.figures import measure_name
from trainer.report.table import Table
from trainer.runs.groups import label
from trainer.runs.outcomes import Outcome
from trainer.statistics.describe import FEWEST_FOR_A_VERDICT, LEVEL

_BY = {"report": "the report", "table": "its figures"}


def all_claims(tables: Sequence[Table]) -> list[Claim]:
    """Return the claims of all experiments in the reports' order. Sweeps without a table have no runs."""
    by_sweep = {table.name: table.claims for table in tables}
    for sweep in dict.fromkeys(experiment.sweep for experiment in experiments()):
        if sweep not in by_sweep:
            own = [experiment for experiment in experiments() if experiment.sweep == sweep]
            by_sweep[sweep] = claims_of(answers_of(own, []))
    return joined([
        claim for experiment in experiments() for claim in by_sweep[experiment.sweep] if claim.experiment is experiment
    ])  # fmt: skip


def as_markdown(claims: Sequence[Claim], *, beside: Path) -> str:
    """Return the page for the folder `beside`. It links to the other pages that exist there."""
    return "\n".join(_page(claims, beside)) + "\n"


def _page(claims: Sequence[Claim], beside: Path) -> Iterable[str]:
    checked = [claim for claim in claims if claim.reason_for_none is None]
    yield "# Conclusions of the reports"
    yield ""
    yield "Every conclusion that a reader takes away, said by the report or seen in its figures. `trainer report index`"
    yield "writes this page. A check is ours: what our runs must show for the conclusion to hold, see"
    yield f"{link('Statistics', '../statistics.md#what-the-reports-say', beside)}."
    yield ""
    yield f"{len(claims)} conclusions, {len(checked)} with a check:"
    yield counts_text(claims)
    if together := joint_text(claims):
        yield together
    report = ""
    for experiment in experiments():
        own = [claim for claim in claims if claim.experiment is experiment]
        if experiment.report != report:
            report = experiment.report
            yield from ["", f"## {link_to_report('Report', report, beside)}"]
        yield from ["", f"### {experiment.title}", "", f"{experiment.id}, {experiment.where}.", ""]
        yield "| conclusion | said by | check, or why it has none | outcome | our runs |"
        yield "|---|---|---|---|---|"
        for claim in own:
            check, why = claim.reason_for_none, ""
            if check is None:
                check, why = "; ".join(map(in_words, claim.check)), claim.why
            yield f"| {' | '.join(map(cell, (claim.text, _BY[claim.by], check, claim.said, why)))} |"


def counts_text(claims: Sequence[Claim]) -> str:
    """Return how many of the claims with a check are of each state, and how many of these are marked."""
    marks: dict[str, list[Sequence[str]]] = {state: [] for state in STATES}
    for claim in claims:
        if claim.reason_for_none is None:
            marks[claim.state].append(claim.marks)
    counts = ", ".join(f"{len(each)} {state}{marked_text(each)}" for state, each in marks.items())
    return (
        f"{counts}. *By our definition* are those about a measure"
        " that the report does not define. They have no plain outcome, whatever runs show."
    )


def in_words(part: Mapping[str, Any]) -> str:
    """Return a part of a check as a phrase, such as `test accuracy: cosine is above each other row`."""
    if "claims" in part:
        return f"both hold: {' and '.join(f'*{text}* ({experiment})' for experiment, text in part['claims'].items())}"
    measure = _measure(part.get("measure", "test_acc"))
    about = "about " if part.get("about") else ""
    match part:
        case {"best": which}:
            side = "below" if part.get("lowest") else "above"
            among = f" of {label(part['among'])}" if "among" in part else ""
            said = f"{_row(which)} is {side} each other row{among}"
        case {"of": of, "rank": rank}:
            said = f"{_row(of)} is number {rank}"
        case {"range": which, "points": points}:
            said = f"best minus worst of {_row(which)} is {about}{points} points"
        case {"of": of, "above_measure": other}:
            said = f"that of {_row(of)} is above its {_measure(other)}"
        case {"of": of, "over": over, "exceeds": least}:
            said = f"({_row(of)}) minus ({_row(over)}) is above {least}"
        case {"of": of, "above": above}:
            said = f"{_row(of)} is above {_row(above)}"
        case {"of": of, "reaches": level}:
            said = f"{_row(of)} reaches {level:g}"
        case {"of": of, "over": over, "more_than": {"of": other_of, "over": other_over}}:
            said = f"({_row(of)}) minus ({_row(over)}) is above ({_row(other_of)}) minus ({_row(other_over)})"
        case {"of": of, "over": over, "points": points}:
            said = f"({_row(of)}) minus ({_row(over)}) is {about}{points} points"
        case {"of": of, "over": over, "percent": percent}:
            said = f"{_row(of)} is {about}{percent:+}% of {_row(over)}"
        case {"of": of, "over": over, "times": times}:
            said = f"{_row(of)} is {about}{times} times {_row(over)}"
        case _:
            raise ValueError(f"published.yaml: no such check: {dict(part)}")
    return f"{measure}: {said}" + (f" ({part['only']})" if "only" in part else "")


def _measure(measure: str) -> str:
    return Outcome(measure).words if "/" in measure else measure_name(measure)


def _row(which: Mapping[str, Any]) -> str:
    if "ours" in which:
        return f"our {label(which['ours'])}"
    named = label({key: value for key, value in which.items() if key != "experiment"})
    return f"{named or 'the row'} of {which['experiment']}" if "experiment" in which else named or "the row"


def joint_text(claims: Sequence[Claim]) -> str:
    """Return how many of the decided claims may be decided wrongly, a sentence or two. Empty without any."""
    tested = [claim for claim in claims if claim.tested]
    parts = sum(len(claim.check) for claim in tested)
    part_s = f"part{'s' * (parts != 1)}"
    decided = [claim for claim in tested if claim.outcome in ("holds", "does not hold")]
    marked = marked_text(claim.marks for claim in decided)
    more = " The 5% is for planned seeds that are all there and trained. Those that are marked err more often."
    if not tested:
        return ""
    return (
        f"{len(tested)} of these have the runs that their check needs, at least {FEWEST_FOR_A_VERDICT} a row."
        f" {len(decided)} of them hold or do not{marked}. They have {parts} {part_s}, each wrong in about 5% of"
        f" cases, so about {LEVEL * parts:.2g} may be decided wrongly.{more * bool(marked)}"
    )
