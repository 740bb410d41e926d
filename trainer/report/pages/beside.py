"""Tables of what a report prints and says, beside our runs."""

from trainer.published import Experiment
from trainer.report.pages.grids import Grid
from trainer.report.pages.sentences import interval, verdict_of
from trainer.report.published.comparisons import Comparison
from trainer.report.table import Table
from trainer.report.tables import AUTHORS
from trainer.text import NONE, spread


def published(table: Table, experiment: Experiment, *, headlines: bool) -> Grid:
    """Return the rows of a published table beside ours, with their headline figures or with all others."""
    chosen = [each for each in table.comparisons if each.answer.experiment is experiment and each.headline == headlines]
    header = ["row", "published", "ours", "95% prediction interval of one more run", "verdict on our runs"]
    if not headlines:
        header.insert(1, "figure")
    both = headlines and any(each.on_best_epoch for each in chosen)
    rows = tuple((*_compared(each, headlines), *([each.on_best_epoch or NONE] if both else [])) for each in chosen)
    header += ["verdict on our best epochs"] if both else []
    what = experiment.title if headlines else f"{experiment.title}, other figures"
    text_columns = (0, 4, 5) if headlines else (0, 1, 5)
    return Grid(f"{what} (report {experiment.report}, {experiment.where})", tuple(header), rows, text_columns)


def after_the_authors_code(table: Table, experiment: Experiment) -> Grid:
    """Return the rows that have a second reading, after public code of the authors, with the runs that have it."""
    chosen = [each for each in table.authors_comparisons if each.answer.experiment is experiment and each.headline]
    header = (
        "row",
        "published",
        "ours",
        "95% prediction interval of one more run",
        "verdict on our runs",
        "verdict on our best epochs",
        "command",
    )
    rows = tuple(
        (*_compared(each, True), each.on_best_epoch or NONE, f"trainer train {' '.join(each.answer.words)}")
        for each in chosen
    )
    caption = (
        f"{experiment.title}, at the settings of the authors' public code (report {experiment.report},"
        f" {experiment.where}). The runs are in {AUTHORS}{experiment.sweep}, beside those of the sweep, one for each of"
        " its seeds"
    )
    return Grid(caption, header, rows, (0, 4, 5, 6))


def _compared(each: Comparison, headlines: bool) -> tuple[str, ...]:
    figure, answer = each.figure, each.answer
    unit = f" {figure.unit}" if figure.unit not in ("", "%", "points") else ""
    name = answer.name if not headlines or figure.name == "test accuracy" else f"{answer.name}, {figure.name}"
    ours = spread(each.sample.values(), digits=figure.digits, unit=unit)
    cells = [f"{figure.printed}{unit}", ours, interval(each.interval, digits=figure.digits), verdict_of(each)]
    return (name, *([] if headlines else [figure.name]), *cells)


def claims(table: Table) -> Grid:
    rows = tuple((claim.text, claim.said, claim.why, claim.experiment.id) for claim in table.claims)
    header = ("claim", "outcome", "reason", "experiment")
    return Grid("Claims of the report, tested on our runs", header, rows, (0, 1, 2, 3))


def by_eye(table: Table) -> Grid:
    """Return the statements without a figure, which a person has to judge."""
    rows = tuple(
        (answer.name, str(answer.row.printed["qualitative"]), answer.experiment.id)
        for answer in table.answers
        if "qualitative" in answer.row.printed
    )
    header = ("row", "description", "experiment")
    return Grid("Descriptions without a figure, for you to judge", header, rows, (0, 1, 2))
