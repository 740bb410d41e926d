"""Grades: who says the settings of a published row, under our reading and under that of its authors' public code."""

from collections import Counter
from pathlib import Path
from shutil import copy, rmtree
from typing import Any

import pytest
import yaml

from trainer.config import load_config
from trainer.config.overrides import flatten
from trainer.published import rows
from trainer.report.pack import pack
from trainer.report.pages import beside, grids
from trainer.report.pages.answer import finding
from trainer.report.pages.charts import charts_of
from trainer.report.pages.export import as_json
from trainer.report.pages.index import Line, as_markdown, catalogue
from trainer.report.pages.index import as_json as index_json
from trainer.report.pages.sentences import verdict_of
from trainer.report.published.authors import facts_of, repositories
from trainer.report.published.comparisons import Answer
from trainer.report.published.grades import Grade, Open, authors_run, grade_of
from trainer.report.table import Table
from trainer.report.tables import read_table, read_tables
from trainer.runs.groups import identity
from trainer.sweep.file import read_sweep
from trainer.sweep.points import points_of
from trainer.training.network_arguments import complete_parts

SWEEPS = Path(__file__).parents[4] / "sweeps"
ROWS = rows()


@pytest.fixture(scope="module")
def lines(tmp_path_factory: pytest.TempPathFactory) -> list[Line]:
    return catalogue(tmp_path_factory.mktemp("runs"))[0]


def answer(lines: list[Line], experiment: str, **settings: Any) -> Answer:
    """The answer to the first row of an experiment that has these settings."""
    found = (line.comparison.answer for line in lines)
    return next(
        each for each in found if each.experiment.id == experiment and settings.items() <= each.row.settings.items()
    )


def opened(found: Answer, key: str) -> Open:
    return next(each for each in found.open if each.key == key)


def test_how_many_rows_are_of_which_grade(lines: list[Line], tmp_path: Path) -> None:
    assert len(lines) == 130
    ours = Counter(line.grade.kind for line in lines if line.grade)
    theirs = Counter(line.authors.answer.grade.kind for line in lines if line.authors and line.authors.answer.grade)
    assert ours == {"chosen by us": 112, "no run behind the figure is known": 18}
    assert theirs == {
        "from the authors' public code": 4,
        "close to the authors' public code": 40,
        "chosen by us": 20,
        "no run behind the figure is known": 8,
    }
    page = as_markdown(lines, [], beside=tmp_path)
    assert "| chosen by us | 112 | 20 |" in page and "72 of 130 rows have a second reading" in page


@pytest.mark.parametrize(
    ("experiment", "where", "key", "value", "said"),
    [
        ("b35c-t1-loss", {"loss": "mse"}, "schedule.monitor", "auto", "The authors' public code has test/loss"),
        ("b35c-t1-loss", {"loss": "mse"}, "optimizer.momentum", "0.9", "the authors' public code (xw-zeng/"),
        ("b35c-t1-loss", {"loss": "mse"}, "loss.scores", "logits", "the authors' public code"),
        ("b35c-t5-lr-scheduler", {"scheduler": "step"}, "schedule.gamma", "0.1", "The authors' public code has 0.5"),
        ("b35c-t7-models", {"model": "wide_resnet28x10"}, "model.dropout", "0.3", "The authors' public code has 0.5"),
        ("b35c-t7-models", {"model": "resnet18"}, "data.val_fraction", "0", "the authors' public code"),
        ("f2d6-s1.7-random-erasing", {}, "augment.erasing.scale", "[0.02,0.33]", "our reading"),
        ("f2d6-t2-architecture", {"model": "res9"}, "augment.crop.padding", "4", "our reading, from recipe simp_res9"),
        ("f2d6-t3-lr-scheduler", {"scheduler": "one_cycle"}, "schedule.pct_start", "0.3", "from the defaults"),
        ("dfbc-t1-cnn-family", {}, "data.val_fraction", "0.1", "our reading"),
        ("dfbc-t1-cnn-family", {}, "train.early_stop.monitor", "val/accuracy", "no run here may stop by"),
        ("a0b5-s3-loss", {"loss": "focal"}, "loss.gamma", "2", "the authors' public code"),
        ("a0b5-s3-loss", {"l1": True}, "loss.l1", "1e-05", "The authors' public code has 0.0001"),
        ("a0b5-s5-optimizer", {"optimizer": "sgd"}, "optimizer.momentum", "0.9", "printed. The authors' public"),
        ("a0b5-s6-dropout", {"dropout": None}, "model.dropout", "0.5", "our reading"),
        ("44da-s2-baseline", {}, "optimizer.name", "adam", "our reading, from recipe handmade_mlp"),
        ("44da-s2-baseline", {}, "optimizer.beta2", "0.999", "our reading, from the defaults"),
        ("b35c-t4-optimizer", {"optimizer": "adagrad"}, "optimizer.eps", "1e-10", "the authors' public code"),
        ("b35c-t4-optimizer", {"optimizer": "adadelta"}, "optimizer.rho", "0.9", "the authors' public code"),
        ("a0b5-s5-optimizer", {"optimizer": "rmsprop"}, "optimizer.alpha", "0.99", "the authors' public code"),
        ("f2d6-t2-architecture", {"model": "res9"}, "augment.crop.mode", "zero", "our reading, from recipe simp_res9"),
        ("f2d6-t2-architecture", {"model": "res9"}, "train.drop_last", "false", "our reading, from the defaults"),
    ],
)  # fmt: skip
def test_what_is_left_open_is_listed_with_its_source(
    lines: list[Line], experiment: str, where: dict[str, Any], key: str, value: str, said: str
) -> None:
    found = opened(answer(lines, experiment, **where), key)
    assert found.value == value and said in found.source


def test_no_row_leaves_open_what_its_report_prints(lines: list[Line]) -> None:
    plateau = answer(lines, "b35c-t7-models", model="resnet18")
    keys = {each.key for each in plateau.open if each.said_by != "report"}
    assert not keys & {"optimizer.lr", "schedule.factor", "train.batch_size", "augment.crop.padding", "data.mean"}
    assert plateau.grade and set(plateau.grade.chosen) == {"schedule.monitor", "model.norm"}


def test_what_enters_no_number_is_not_left_open(lines: list[Line]) -> None:
    """No crop has no mode, what never stops watches nothing, and colours that are not changed have no strength."""
    uncropped = {each.key for each in answer(lines, "44da-s2-baseline").open}
    assert "augment.crop.padding" not in uncropped or "augment.crop.mode" not in uncropped
    plain = {each.key for each in answer(lines, "f2d6-t2-architecture").open}
    assert not plain & {"train.early_stop.monitor", "optimizer.beta1"}
    assert not any(key.startswith("augment.color_jitter.") for key in plain)


def test_what_no_run_of_the_authors_reading_may_have_is_said_of_it(lines: list[Line]) -> None:
    """dfbc's code stops by the test set, and no run here may: the runs go on to the end, and nobody says so but we."""
    keys = ("train.early_stop.monitor", "train.early_stop.patience")
    for line in lines:
        if line.comparison.answer.experiment.id in ("dfbc-t1-cnn-family", "dfbc-s2-vgg-bn"):
            assert line.authors and line.authors.answer.grade
            assert line.authors.answer.grade == Grade("chosen by us", keys)
            stop = opened(line.authors.answer, keys[0])
            assert stop.value == "null" and "no run here may stop by the test set" in stop.source
    cnn = next(line for line in lines if line.comparison.answer.name == "residual_cnn")
    assert cnn.authors and "where the report prints 6" in opened(cnn.authors.answer, keys[1]).source


def test_a_precision_decides_no_grade_and_what_is_all_printed_is_printed() -> None:
    row = next(row for row in ROWS if row.experiment == "b35c-t7-models")
    assert grade_of(row, ()) == Grade("printed", ())
    assert grade_of(row, [Open("train.precision", "auto", "", "us")]).kind == "printed"
    lenet5 = next(row for row in ROWS if row.settings.get("model") == "lenet5")
    assert grade_of(lenet5, [Open("model.act", "relu", "", "code")]).kind == "from the authors' public code"
    mixed = [Open("model.act", "relu", "", "code"), Open("schedule.gamma", "0.1", "", "us")]
    assert grade_of(row, mixed) == Grade("chosen by us", ("schedule.gamma",))


@pytest.mark.parametrize(
    ("experiment", "where", "apart"),
    [
        ("b35c-t9-fastresnet9", {"model": "fastresnet9"}, "here each image has a crop"),
        ("b35c-t5-lr-scheduler", {"scheduler": "exponential"}, "an epoch late"),
        ("b35c-t5-lr-scheduler", {"scheduler": "cosine"}, "an epoch late"),
        ("b35c-t7-models", {"model": "resnet18"}, "running statistics"),
    ],
)
def test_code_that_does_what_no_run_here_does_is_only_close(
    lines: list[Line], experiment: str, where: dict[str, Any], apart: str
) -> None:
    """Before: these had all settings from the code, and what they left out was the value of no key."""
    row = answer(lines, experiment, **where).row
    assert apart in " ".join(fact.apart for fact in facts_of(experiment, row.settings))
    line = next(each for each in lines if each.comparison.answer.row is row)
    assert line.authors and line.authors.answer.grade
    assert line.authors.answer.grade == Grade("close to the authors' public code", ())


@pytest.mark.parametrize("row", ROWS, ids=[f"{row.experiment}-{number}" for number, row in enumerate(ROWS)])
def test_a_run_of_the_authors_reading_has_what_the_report_prints_and_their_code_says(row: Any) -> None:
    if run := authors_run(row):
        assert {key: identity(run.config.get(key)) for key in run.asked} == {
            key: identity(value) for key, value in run.asked.items()
        }
        started = flatten(load_config(run.words, complete=complete_parts).config.model_dump(mode="json"))
        assert started == run.config
        assert run.words[0].startswith("recipe=authors_")


@pytest.fixture
def both(write_schedules, write_run) -> Path:
    """Runs of lr_scheduler under our reading, and of its step schedule at the settings of the authors' code."""
    folder = write_schedules({name: [0.904, 0.906, 0.908] for name in ("step", "cosine")})
    words = ("recipe=authors_resnet18_step",)
    config = load_config(words, complete=complete_parts).config.model_dump(mode="json")
    for seed, accuracy in enumerate([0.9460, 0.9465, 0.9470]):
        run = write_run(
            folder.parent / "authors_lr_scheduler" / f"s{seed}", [*words, f"seed={seed}"], accuracy=accuracy
        )
        (run / "config.yaml").write_text(yaml.safe_dump({**config, "seed": seed}))
    return folder


def test_a_row_has_a_verdict_under_each_of_two_readings(both: Path, tmp_path: Path) -> None:
    table = read_table(both)
    ours = {each.answer.name: verdict_of(each) for each in table.comparisons if each.headline}
    theirs = {each.answer.name: verdict_of(each) for each in table.authors_comparisons if each.headline}
    assert ours["step"].startswith("consistent, interim, settings chosen by us (")
    assert theirs["step"] == "higher, interim, settings close to the authors' public code"
    assert (ours["linear"], theirs["linear"], theirs["cosine"]) == ("no runs", "no runs", "no runs")
    assert len(table.runs) == 6  # the authors' runs are in no comparison of ours
    shown = beside.after_the_authors_code(table, table.experiments[0])
    assert len(shown.rows) == 5 and "authors_lr_scheduler" in shown.caption
    step = next(row for row in shown.rows if row[0] == "step")
    assert step[-1] == "trainer train recipe=authors_resnet18_step"
    found = as_json(table)["published_after_the_authors_code"]
    assert [each["n"] for each in found if each["row"] == "step" and each["headline"]] == [3]
    lines, tables = catalogue(both.parent)
    page = as_markdown(lines, tables, beside=tmp_path)
    assert "94.65 ± 0.05 (n=3), higher, interim, settings close to the authors' public code |" in page


@pytest.mark.parametrize("packed", ["lr_scheduler", "authors_lr_scheduler"])
def test_the_authors_runs_are_found_in_another_kind_of_place_than_the_sweep(
    both: Path, packed: str, tmp_path: Path
) -> None:
    """Before: `trainer report NAME` lost the authors' runs of a folder where the sweep's were in an archive."""

    def verdicts(table: Table) -> dict[str, str]:
        return {each.answer.name: verdict_of(each) for each in table.authors_comparisons if each.headline}

    expected = verdicts(read_table(both))
    archive = tmp_path / "archives" / f"{packed}.jsonl.gz"
    pack([packed], archive, both.parent)
    rmtree(both.parent / packed)
    (table,) = read_tables(["lr_scheduler"], both.parent, archive.parent)
    assert verdicts(table) == expected


def test_the_index_counts_verdicts_by_grade_and_with_their_marks(both: Path, tmp_path: Path) -> None:
    """Before: `consistent | 1` of a verdict that is interim, and nothing said which grade it has."""
    lines, tables = catalogue(both.parent)
    page = as_markdown(lines, tables, beside=tmp_path)
    assert "| consistent | 1 (1 interim) |" in page and "2 of 130 published rows have a verdict (2 interim)" in page
    assert "| lower | 0 | 0 | 0 | 1 (1 interim) | 0 |" in page and "| cosine | test accuracy |" in page
    (cosine,) = (row for row in page.splitlines() if row.startswith("| cosine |") and "lower" in row)
    assert "| lower, interim | chosen by us (" in cosine
    ours, theirs = page.index("| our reading |"), page.index("| the authors' reading |")
    assert "| consistent | 0 | 0 | 0 | 1 (1 interim) | 0 |" in page[ours:theirs]
    assert "| higher | 0 | 0 | 1 (1 interim) | 0 | 0 |" in page[theirs:]
    assert index_json(lines)[0]["marks"] == []


def test_the_best_epoch_has_a_verdict_too_where_a_report_names_the_last_one_by_number(
    tmp_path: Path, write_run
) -> None:
    """Before: none for the 16 rows that are the test accuracy after 200 epochs, the last ones."""
    folder = tmp_path / "runs" / "models"
    folder.mkdir(parents=True)
    copy(SWEEPS / "models.yaml", folder)
    points = points_of(read_sweep(SWEEPS / "models.yaml"))
    words = next(point.overrides for point in points if point.values["model.name"] == "lenet5")
    for seed, accuracy in enumerate([0.750, 0.752, 0.751]):
        run = write_run(folder / f"s{seed}", [f"seed={seed}"], accuracy=accuracy, best=accuracy + 0.012, epochs=200)
        config = load_config(words, complete=complete_parts).config.model_dump(mode="json")
        (run / "config.yaml").write_text(yaml.safe_dump({**config, "seed": seed}))
    line = next(each for each in catalogue(tmp_path / "runs")[0] if each.comparison.answer.name == "lenet5")
    assert (line.comparison.verdict, line.comparison.on_best_epoch) == ("lower", "consistent")
    page = as_markdown([line], [], beside=tmp_path)
    assert "| lower, by the best epoch consistent | chosen by us (" in page


def test_a_figure_of_the_best_epoch_is_not_drawn_beside_means_of_the_last_one(tmp_path: Path, write_run) -> None:
    """Before: the chart of `handmade` had the reports' best epochs as ticks beside our last ones."""
    drawn: dict[str, set[str]] = {}
    for sweep, word in (("handmade", "best_test_acc"), ("loss", "test_acc")):
        folder = tmp_path / "runs" / sweep
        folder.mkdir(parents=True)
        copy(SWEEPS / f"{sweep}.yaml", folder)
        for number, point in enumerate(points_of(read_sweep(SWEEPS / f"{sweep}.yaml"))):
            run = write_run(folder / f"s{number}", ["seed=0"], accuracy=0.5, best=0.6, command=point.overrides)
            config = load_config(point.overrides, complete=complete_parts).config.model_dump(mode="json")
            (run / "config.yaml").write_text(yaml.safe_dump(config))
        table = read_table(folder)
        heads = [each for each in table.comparisons if each.headline and each.answer.configuration]
        assert {each.figure.measure for each in heads} == {word}
        (chart,) = (each for each in charts_of(table) if each.name == "ablation")
        drawn[sweep] = {row["kind"] for row in chart.spec["data"]["values"]}
    assert "published" not in drawn["handmade"] and "published" in drawn["loss"]


def test_a_run_with_one_other_setting_is_not_the_authors_reading(both: Path) -> None:
    for path in (both.parent / "authors_lr_scheduler").glob("*/config.yaml"):
        path.write_text(
            path.read_text().replace("monitor: test/loss", "monitor: auto").replace("gamma: 0.5", "gamma: 0.4")
        )
    assert not any(each.sample for each in read_table(both).authors_comparisons)


def test_a_page_counts_the_verdicts_whose_settings_we_chose(both: Path) -> None:
    table = read_table(both)
    said = finding(table).text
    assert "The settings behind 2 of 2 verdicts are in part chosen by us, because the report leaves them open." in said
    counted = {row[0]: row[1:3] for row in grids.graded(table).rows}
    assert counted == {"chosen by us": ("5", "0"), "close to the authors' public code": ("0", "5")}
    listed = {row[0]: row[1] for row in grids.departures(table).rows}
    assert "schedule.monitor=auto" in listed and "test/loss" in listed["schedule.monitor=auto"]
    assert "Nobody can prove" in grids.departures(table).caption
    beside = [row for row in grids.departures(table).rows if "an epoch late" in row[1]]
    assert {row[2] for row in beside} == {"exponential", "cosine"} and "Not done here" in beside[0][1]


def test_figures_of_which_no_run_is_known_say_so(tmp_path: Path, write_run) -> None:
    folder = tmp_path / "runs" / "dropout_vgg"
    folder.mkdir(parents=True)
    copy(SWEEPS / "dropout_vgg.yaml", folder)
    table = read_table(folder)
    assert {each.answer.grade.kind for each in table.comparisons if each.answer.grade} == {
        "no run behind the figure is known"
    }
    assert any("no run of them" in row[1] for row in grids.departures(table).rows)


def test_the_page_about_the_reports_counts_the_second_readings(lines: list[Line]) -> None:
    text = (SWEEPS.parent / "docs" / "reports.md").read_text(encoding="utf-8")
    for repository in repositories():
        own = [line for line in lines if line.comparison.answer.experiment.report == repository.report]
        (said,) = (line for line in text.splitlines() if line.startswith(f"| {repository.report} | `{repository.name}"))
        assert said.endswith(f"| {len(own)} | {sum(line.authors is not None for line in own)} |")
