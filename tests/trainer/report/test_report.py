"""The report as files: a page that needs nothing else, Markdown, JSON, CSV; and the catalogue."""

import csv
import json
import math
import re
import resource
import subprocess
import sys
import time
from html.parser import HTMLParser
from itertools import pairwise
from pathlib import Path
from shutil import copytree, rmtree

import pytest
import yaml
from command_line import run_here

from trainer.published import experiments
from trainer.report.pages import markdown
from trainer.report.pages.answer import finding
from trainer.report.pages.charts import charts_of
from trainer.report.pages.grids import Grid
from trainer.report.pages.index import as_markdown, catalogue
from trainer.report.pages.sentences import order_of
from trainer.report.pages.write import write_report
from trainer.report.tables import read_table

NAMES = ["reduce_on_plateau", "step", "linear", "exponential", "cosine", "constant"]
MEANS = dict(zip(NAMES, [0.905, 0.906, 0.906, 0.9065, 0.92, 0.90], strict=True))


def around(mean: float) -> list[float]:
    """Five seeds, as the sweep's file asks for. The first three have a standard deviation of 0.2 points."""
    return [mean - 0.002, mean, mean + 0.002, mean - 0.001, mean + 0.001]


@pytest.fixture
def folder(write_schedules) -> Path:
    """A sweep with all that a page shows: verdicts, a missing seed, one diverged run."""
    found = write_schedules({name: around(mean)[:3] for name, mean in MEANS.items()})
    summary = found / "constant-s2" / "summary.json"
    summary.write_text(summary.read_text().replace('"finished"', '"diverged"'))
    return found


class Outline(HTMLParser):
    """Outline of a page, as the tools of a reader see it."""

    void = ("meta", "link", "br", "img")

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.texts: dict[str, str] = {}
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag not in self.void:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if self.open and self.open[-1] == "script" and (name := self.tags[-1][1].get("id")):
            self.texts[name] = data


def test_the_page_is_whole_and_needs_nothing_else(folder: Path, tmp_path: Path) -> None:
    table = read_table(folder)
    page, *others = write_report(table, tmp_path / "out")
    assert {each.name for each in others} == {
        "lr_scheduler.md", "results.json", "results.csv", "lr_scheduler-ablation.svg",
        "lr_scheduler-learning_curves.svg", "lr_scheduler-accuracy_time_size.svg",
    }  # fmt: skip
    text = page.read_text()
    outline = Outline(text)
    assert not outline.open
    tags = outline.tags
    assert ("html", {"lang": "en"}) in tags
    headings = [int(tag[1]) for tag, _ in tags if re.fullmatch("h[1-6]", tag)]
    assert headings.count(1) == 1 and headings[0] == 1
    assert all(after <= before + 1 for before, after in pairwise(headings))
    assert all(attributes.get("scope") in ("col", "row") for tag, attributes in tags if tag == "th")
    linked = [value for _, attributes in tags for key in ("src", "href") if (value := attributes.get(key))]
    assert linked == ["data:,"]
    assert {"spec-ablation", "spec-learning_curves", "spec-accuracy_time_size", "looks"} == outline.texts.keys()
    spec = json.loads(outline.texts["spec-ablation"])
    kinds = [row["kind"] for row in spec["data"]["values"]]
    assert (kinds.count("one seed"), kinds.count("mean"), kinds.count("published")) == (17, 6, 5)
    for said in ("Which learning-rate schedule", "91.91%", "constant-s2", "diverged", finding(table).certainty):
        assert said in text


def test_the_charts_of_a_report_draw_one_accuracy_and_say_which_if_the_protocol_picks_another(
    tmp_path: Path, write_run
) -> None:
    """Before: the chart of cost drew the best epoch of `protocol=best_test` as test accuracy."""
    for seed in (0, 1):
        run = write_run(tmp_path / "runs" / f"{seed}", ["protocol=best_test", f"seed={seed}"], accuracy=0.7)
        summary = json.loads((run / "summary.json").read_text())
        (run / "summary.json").write_text(json.dumps({**summary, "headline/accuracy": 0.9, "test/accuracy_best": 0.9}))
    drawn = {chart.name: chart for chart in charts_of(read_table(tmp_path / "runs"))}
    for name in ("ablation", "accuracy_time_size"):
        assert {round(row["accuracy"], 6) for row in drawn[name].spec["data"]["values"]} == {70}
        assert drawn[name].about.endswith(" Of the last epoch, not of the one that protocol picks.")


def test_a_chart_of_cost_says_that_it_draws_the_best_only(tmp_path: Path, write_run) -> None:
    for number in range(9):
        rate = f"optimizer.lr={(number + 1) / 100}"
        write_run(tmp_path / "runs" / f"{number}", [rate, "optimizer.name=sgd"], accuracy=0.5 + number / 100)
    drawn = {chart.name: chart for chart in charts_of(read_table(tmp_path / "runs"))}
    assert len(drawn["accuracy_time_size"].spec["data"]["values"]) == 8
    assert "The 8 best of 9 configurations." in drawn["accuracy_time_size"].about


def test_names_cannot_break_out_of_the_page(tmp_path: Path, write_run) -> None:
    evil = "</script><script>alert(1)</script>|x"
    for seed in (0, 1):
        for value in ("a", evil):
            where = write_run(tmp_path / "runs" / f"{seed}{len(value)}", [f"seed={seed}"])
            config = yaml.safe_load((where / "config.yaml").read_text())
            (where / "config.yaml").write_text(yaml.safe_dump({**config, "odd": value}))
    page, beside, *_ = write_report(read_table(tmp_path / "runs"), tmp_path / "out")
    assert "<script>alert" not in page.read_text()
    assert Outline(page.read_text()).open == []
    assert "\\|x" in beside.read_text()
    assert "<script" not in beside.read_text().replace("\\<", "")


def test_names_are_no_markup_in_markdown() -> None:
    """Before: they were, all but `|`."""
    odd, usual = "a <b>b</b> *c* | [x](y) ![p](q)", "vgg_a, p < 0.001 [91.00, 93.00] (n=3)"
    *_, row = markdown.grid_lines(Grid("", ("", ""), ((odd, usual),)))
    assert row == rf"| a \<b>b\</b> \*c\* \| \[x](y) !\[p](q) | {usual} |"


def test_results_say_what_the_page_says(folder: Path, tmp_path: Path) -> None:
    table = read_table(folder)
    write_report(table, tmp_path)
    content = json.loads((tmp_path / "results.json").read_text(), parse_constant=lambda word: pytest.fail(word))
    assert content["answer"] == finding(table).text
    cosine = next(point for point in content["points"] if point["label"] == "cosine")
    assert cosine["summary"]["test_acc"]["mean"] == pytest.approx(92.0)
    assert cosine["summary"]["test_acc"]["std"] == pytest.approx(0.2)
    head = next(each for each in content["published"] if each["row"] == "cosine" and each["headline"])
    half = 4.302653 * 0.2 * math.sqrt(4 / 3) + 0.005
    assert head["one_more_run_within"] == pytest.approx([92 - half, 92 + half], abs=1e-5)
    assert (head["verdict"], head["at_the_rows_settings"], head["grade"]) == ("consistent", True, "chosen by us")
    assert {"schedule.final_factor", "schedule.interval"} <= set(head["chosen_by_us"])
    assert "at_published_settings" not in head  # no report prints all settings
    assert {problem["kind"] for problem in content["problems"]} == {"missing", "diverged"}
    rows = list(csv.DictReader((tmp_path / "results.csv").read_text().splitlines()))
    assert (len(rows), [row["run"] for row in rows if row["counts"] == "False"]) == (18, ["constant-s2"])
    assert [row["configuration"] for row in rows if row["counts"] == "False"] == ["constant"]  # was empty
    assert {row["test_acc"] for row in rows if row["configuration"] == "cosine"} == {"91.8", "92.0", "92.2"}


def test_markdown_shows_the_pictures_beside_it(folder: Path, tmp_path: Path) -> None:
    write_report(read_table(folder), tmp_path)
    text = (tmp_path / "lr_scheduler.md").read_text()
    pictures = re.findall(r"!\[[^]]+]\(([^)]+)\)", text)
    assert len(pictures) == 3 and all((tmp_path / name).is_file() for name in pictures)
    row = "| cosine | 91.91% | 92.00 ± 0.20 (n=3) | [91.00, 93.00] | consistent, interim, settings chosen by us ("
    assert row in text


def test_one_configuration_over_seeds_is_a_noise_floor(tmp_path: Path, write_run) -> None:
    """Seeds at 90, 91 and 92 %: s = 1, and Welch's test of two such threes finds 3.49 points with 80 % power."""
    for seed in range(3):
        write_run(tmp_path / "runs" / str(seed), [f"seed={seed}"], accuracy=0.90 + seed / 100)
    page, markdown, *_ = write_report(read_table(tmp_path / "runs"), tmp_path / "out")
    for text in (page.read_text(), markdown.read_text()):
        assert "standard deviation of 1.00 points, 95% interval [0.52, 6.28] (2 degrees of freedom)" in text
        assert (
            "With 3 seeds per configuration, a best one that leads another one by 3.49 points is found with 80%" in text
        )


def test_the_answer_says_how_sure_it_is(write_schedules) -> None:
    sure = read_table(write_schedules({name: around(mean) for name, mean in MEANS.items()}))
    assert finding(sure).certainty == "significant at the 5% level"
    assert finding(sure).text.startswith("Test accuracy is highest for cosine, 92.00 ± 0.16% (n=5). The difference")


@pytest.mark.parametrize(
    ("values", "certainty", "said"),
    [
        ({"cosine": [0.9]}, "one configuration", "no other configuration"),
        ({"cosine": [0.9], "step": [0.8]}, "too few runs", "fewer than three runs"),
        ({"cosine": [0.9, 0.901], "step": [0.8, 0.801]}, "too few runs", "fewer than three runs"),
        ({"cosine": [0.9] * 3, "step": [0.8] * 3}, "too few runs", "runs that do not vary"),
        ({"cosine": [0.9, 0.92, 0.9], "step": [0.91, 0.9, 0.9]}, "not significant", "but the difference from step is"),
        ({"cosine": [0.9, 0.9], "step": [0.9, 0.9]}, "identical", "accuracy is the same for cosine and step, 90.00"),
        ({"cosine": [0.9, 0.91, 0.9], "step": [0.9, 0.91, 0.9]}, "identical", "is the same for cosine and step, 90.33"),
        ({"cosine": [None]}, "no runs", "no answer yet"),
        ({"cosine": [0.9, 0.92, 0.94], "step": [0.8, 0.8001, 0.8002]}, "spreads differ", "is significant (p"),
    ],
)
def test_an_unsure_answer_says_why(tmp_path: Path, write_run, values, certainty: str, said: str) -> None:
    for name, accuracies in values.items():
        for seed, accuracy in enumerate(accuracies):
            words = [f"schedule.name={name}", f"seed={seed}"]
            write_run(tmp_path / f"{name}{seed}", words, accuracy=accuracy, status="finished" if accuracy else "failed")
    found = finding(read_table(tmp_path))
    assert found.certainty == certainty and said in found.text


def test_a_difference_that_is_not_significant_is_so_so_far_where_seeds_are_missing(write_schedules) -> None:
    """Before: an answer from three of five planned seeds was word for word that of a whole sweep."""
    near = [0.9, 0.92, 0.91, 0.9, 0.91]
    folder = write_schedules({name: [value + 0.0001 * place for value in near] for place, name in enumerate(MEANS)})
    assert "are not significant." in finding(read_table(folder)).text
    rmtree(folder / "step-s4")
    found = finding(read_table(folder))
    assert "are so far not significant." in found.text and found.certainty == "not significant"


def test_an_answer_from_part_of_a_table_says_of_which_part(write_schedules, write_run) -> None:
    means = {name: around(mean) for name, mean in MEANS.items() if name != "linear"}
    table = read_table(write_schedules(means))
    found = finding(table)
    assert found.certainty == "interim"
    assert "Of 6 configurations, 1 has no run yet: linear." in found.text
    for seed in (1, 2):
        summary = table.folder / f"constant-s{seed}" / "summary.json"
        summary.write_text(summary.read_text().replace('"finished"', '"failed"'))
    found = finding(read_table(table.folder))
    assert found.certainty == "interim" and "2 runs crashed and are not counted." in found.text


def test_a_lost_run_whose_seed_was_run_again_is_not_missed(write_schedules) -> None:
    folder = write_schedules({name: around(mean) for name, mean in MEANS.items()})
    copytree(folder / "step-s0", folder / "step-s0-first")
    summary = folder / "step-s0-first" / "summary.json"
    summary.write_text(summary.read_text().replace('"finished"', '"failed"'))
    assert finding(read_table(folder)).certainty == "significant at the 5% level"


def test_rows_at_other_settings_do_not_take_the_verdicts_of_the_others(write_schedules) -> None:
    folder = write_schedules({name: around(mean) for name, mean in MEANS.items()})
    for path in folder.glob("cosine-s*/config.yaml"):
        path.write_text(path.read_text().replace("batch_size: 128", "batch_size: 64", 1))
    table = read_table(folder)
    said = finding(table).text
    assert "1 of 5 rows was run at other settings than the published ones, so it has no verdict." in said
    assert "4 of 5 published headline figures have a verdict: our runs are" in said
    assert order_of(table, table.experiments[0]).endswith("(not all at the settings of the rows).")


def test_an_identical_twin_of_the_best_is_not_called_insignificant(tmp_path: Path, write_run) -> None:
    values = {"cosine": [0.90, 0.91, 0.9], "step": [0.90, 0.91, 0.9], "linear": [0.5, 0.51, 0.5]}
    for name, accuracies in values.items():
        for seed, accuracy in enumerate(accuracies):
            write_run(tmp_path / f"{name}{seed}", [f"schedule.name={name}", f"seed={seed}"], accuracy=accuracy)
    found = finding(read_table(tmp_path))
    assert found.certainty == "significant at the 5% level"  # Before: `the difference may be due to chance`
    assert found.text.startswith("Test accuracy is highest for cosine and step, 90.33 ± 0.58% (n=3). The other")
    assert "configuration is not the best, at the 5% level. cosine and step have identical results" in found.text


def test_the_choice_of_the_best_epoch_on_the_test_set_is_shown_with_what_it_buys(tmp_path: Path, write_run) -> None:
    for seed in (0, 1):
        write_run(tmp_path / "runs" / str(seed), [f"seed={seed}"], accuracy=0.90, best=0.91)
    _, markdown, *_ = write_report(read_table(tmp_path / "runs"), tmp_path / "out")
    assert "chosen on the test set" in markdown.read_text() and "| +1.00 |" in markdown.read_text()


def test_the_command_writes_the_page_and_names_it_last(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run_here(["report", "lr_scheduler", "--runs", str(folder.parent)]) == 0
    said = capsys.readouterr()
    assert said.out.splitlines()[-1] == str(folder / "report" / "index.html")
    assert "diverged" in said.err and (folder / "report" / "index.html").is_file()
    assert run_here(["report", "lr_scheduler", "--runs", str(folder.parent), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)[0]["name"] == "lr_scheduler"


def test_two_tables_of_one_name_do_not_overwrite_each_other(
    tmp_path: Path, write_run, capsys: pytest.CaptureFixture[str]
) -> None:
    for place in ("a", "b"):
        write_run(tmp_path / place / "same" / "run")
    words = [str(tmp_path / "a" / "same"), str(tmp_path / "b" / "same"), "--out", str(tmp_path / "out")]
    assert run_here(["report", *words]) == 2
    both = f"two of the tables would be written to {tmp_path / 'out' / 'same'}"
    assert capsys.readouterr().err == f"error: report: {both}; report on them one by one\n"
    assert not (tmp_path / "out").exists()


def test_of_folders_nobody_has_said_how_many_runs_there_are_to_be(tmp_path: Path, write_run) -> None:
    write_run(tmp_path / "runs" / "one")
    page, markdown, *_ = write_report(read_table(tmp_path / "runs"), tmp_path / "out")
    for text in (page.read_text(), markdown.read_text()):
        assert "Nothing: every run found here has finished and counts." in text


def test_the_catalogue_links_to_what_is_there(tmp_path: Path) -> None:
    (tmp_path / "results").mkdir()
    lines, tables = catalogue(tmp_path)
    assert "statistics.md" not in as_markdown(lines, tables, beside=tmp_path / "results")
    (tmp_path / "statistics.md").touch()
    assert "](../statistics.md)" in as_markdown(lines, tables, beside=tmp_path / "results")


def test_a_target_that_is_not_there_ends_with_2(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run_here(["report", "nothing", "--runs", str(tmp_path)]) == 2
    assert capsys.readouterr().err == f"error: nothing: no such folder, and no such sweep in {tmp_path}\n"


def test_the_catalogue_has_all_rows_with_a_figure(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    lines, tables = catalogue(folder.parent)
    assert (len(lines), len(tables)) == (130, 1)
    states = {line.comparison.answer.name: line.state for line in lines if line.sweep == "lr_scheduler"}
    assert states["cosine"] == "consistent" and "no runs" not in states.values()
    assert {line.state for line in lines if line.sweep != "lr_scheduler"} == {"no runs"}
    assert run_here(["report", "index", "--runs", str(folder.parent), "--out", str(tmp_path / "o")]) == 0
    assert "] 5 of 130 published rows have a verdict" in capsys.readouterr().out
    text = (tmp_path / "o" / "index.md").read_text()
    assert all(f"## {experiment.title}\n" in text for experiment in experiments()
               if any("qualitative" not in row.printed for row in experiment.rows))  # fmt: skip


@pytest.mark.slow
def test_1000_runs_of_200_epochs_take_less_than_20_s_and_1_gb(tmp_path: Path, write_run) -> None:
    """Of processor time, which a busy machine does not stretch: one thread does nearly all of it."""
    first = write_run(tmp_path / "first", epochs=200)
    rows, config = (first / "metrics.jsonl").read_text(), (first / "config.yaml").read_text()
    summary, provenance = (first / "summary.json").read_text(), (first / "run.json").read_text()
    for number in range(1000):
        run = tmp_path / "runs" / f"r{number:04}"
        run.mkdir(parents=True)
        seeded = config.replace("seed: 0", f"seed: {number % 5}").replace("lr: 0.1", f"lr: {0.001 * (1 + number // 5)}")
        (run / "config.yaml").write_text(seeded)
        (run / "metrics.jsonl").write_text(rows)
        accuracy = 0.9 + 0.001 * (number // 5) + 0.01 * math.sin(number)
        (run / "summary.json").write_text(summary.replace('"test/accuracy": 0.9,', f'"test/accuracy": {accuracy},'))
        (run / "run.json").write_text(provenance)
    before, began = resource.getrusage(resource.RUSAGE_CHILDREN), time.monotonic()
    words = ["report", str(tmp_path / "runs"), "--out", str(tmp_path / "out")]
    code = "from trainer.cli.main import main; main()"
    subprocess.run([sys.executable, "-c", code, *words], check=True, capture_output=True, timeout=300)
    after, wall = resource.getrusage(resource.RUSAGE_CHILDREN), time.monotonic() - began
    seconds = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    print(f"{seconds:.1f} s of processor, {wall:.1f} s, {after.ru_maxrss / 1e6:.2f} GB")
    assert len(json.loads((tmp_path / "out" / "results.json").read_text())["points"]) == 200
    assert seconds < 20 and after.ru_maxrss < 1e6
