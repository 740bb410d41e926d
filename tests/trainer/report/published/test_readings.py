"""Other readings of a published row: which of them give the printed figure."""

from collections.abc import Callable
from pathlib import Path
from shutil import copy
from typing import Any

import pytest

from trainer.published import rows
from trainer.report.pages.export import as_json
from trainer.report.pages.index import as_markdown as as_index
from trainer.report.pages.index import catalogue
from trainer.report.pages.markdown import as_markdown
from trainer.report.published.figures import figures
from trainer.report.published.readings import read_otherwise_by
from trainer.report.tables import read_table
from trainer.sweep.catalogue import FOLDER

# A network's own defaults come from its builder, which is not asked here.
DEFAULTS = ("model.order=[linear,norm,act,dropout]", "model.norm_eps=1e-5", "model.norm_momentum=0.1",
            "model.unbiased_running_variance=false", "model.act=relu")  # fmt: skip
WIDTHS = {"[64]": [0.518, 0.521, 0.524], "[512]": [0.551, 0.552, 0.553]}  # the report prints 0.52


@pytest.fixture
def write_widths(tmp_path: Path, write_run: Callable[..., Path]) -> Callable[..., Path]:
    """`write_widths(words)`: the folder of the sweep handmade_template with three seeds of two of its widths."""

    def write(*words: str) -> Path:
        folder = tmp_path / "runs" / "handmade_template"
        folder.mkdir(parents=True)
        copy(FOLDER / "handmade_template.yaml", folder)
        for width, values in WIDTHS.items():
            for seed, accuracy in enumerate(values):
                own = ["recipe=handmade_mlp_template", f"model.hidden={width}", *DEFAULTS, *words, f"seed={seed}"]
                write_run(folder / f"{width}-s{seed}", own, accuracy=accuracy, best=0.9)
        return folder

    return write


def test_each_reading_is_beside_the_printed_figure_by_the_epoch_it_names(write_widths) -> None:
    (readings,) = read_table(write_widths()).readings
    assert (readings.printed, readings.row.name) == ("52% (fraction 0.52)", "handmade_mlp")
    assert {each.answer.name for each in readings.comparisons} == {"handmade_mlp"}
    means = {each.answer.configuration.label: each.mean for each in readings.comparisons if each.answer.configuration}
    assert means == {
        "hidden=[64]": pytest.approx(52.1), "hidden=[128]": None, "hidden=[256]": None,
        "hidden=[512]": pytest.approx(55.2),
    }  # fmt: skip
    assert readings.labels("consistent") == ["hidden=[64]"]
    assert readings.labels("higher") == ["hidden=[512]"]
    assert readings.labels("undecided") == []  # without runs there is nothing to decide


def test_page_json_and_index_say_what_was_found(write_widths) -> None:
    folder = write_widths()
    said = (
        "52% (fraction 0.52) of handmade_mlp in report 44da is consistent with hidden=[64], and ours is higher with"
        " hidden=[512]"
    )
    table = read_table(folder)
    assert said in as_markdown(table, [], {}, beside=folder)
    assert [(each["configuration"], each["verdict"], each["n"]) for each in as_json(table)["other_readings"]] == [
        ("hidden=[64]", "consistent", 3), ("hidden=[128]", "undecided", 0), ("hidden=[256]", "undecided", 0),
        ("hidden=[512]", "higher", 3),
    ]  # fmt: skip
    lines, tables = catalogue(folder.parent)
    assert f"- {said} (`sweeps/handmade_template.yaml`)." in as_index(lines, tables, beside=folder)
    assert not any(line.has_runs for line in lines)  # the row itself has none


def test_what_the_report_prints_is_no_matter_of_reading(write_widths) -> None:
    (readings,) = read_table(write_widths("train.batch_size=50")).readings
    assert readings.labels("consistent") == readings.labels("higher") == []
    assert "train.batch_size: 50 here, 100 published" in readings.comparisons[0].answer.differences


def test_the_rows_own_page_names_the_sweep(tmp_path: Path, write_run: Callable[..., Path]) -> None:
    folder = tmp_path / "handmade"
    write_run(folder / "mlp-s0", ["recipe=handmade_mlp"])
    copy(FOLDER / "handmade.yaml", folder)
    assert "Other readings of these rows are tried by `handmade_template`." in as_markdown(
        read_table(folder), [], {}, beside=folder
    )


@pytest.mark.parametrize(
    ("sweep", "row"), [(name, row) for row in rows() for name in row.read_otherwise], ids=lambda each: str(each)[:20]
)
def test_a_reading_keeps_what_its_row_prints_and_has_an_accuracy(sweep: str, row: Any) -> None:
    """All other tests rest on this: a sweep of the catalogue, an accuracy in per cent, and the row's own settings."""
    experiment = next(experiment for experiment, _, each in read_otherwise_by(sweep) if each == row)
    assert figures(row, experiment)[0].measure in ("test_acc", "best_test_acc")
    assert sweep != row.sweep and (FOLDER / f"{sweep}.yaml").is_file()
