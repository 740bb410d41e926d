"""From folders to tables: which runs count, which are problems, and which published row a configuration answers."""

import csv
import json
from collections.abc import Callable
from pathlib import Path
from shutil import copytree

import pytest

from trainer.config import load_config
from trainer.config.overrides import flatten, read_overrides
from trainer.errors import CheckpointError, SweepError
from trainer.published import experiments, runs_of
from trainer.report.configurations import Configuration
from trainer.report.pack import pack
from trainer.report.pages.answer import finding
from trainer.report.pages.export import as_csv, as_json
from trainer.report.pages.grids import configurations
from trainer.report.pages.sentences import floor_text
from trainer.report.pages.write import write_report
from trainer.report.published.comparisons import answers_of
from trainer.report.sources import as_written, sweep_text
from trainer.report.table import Table
from trainer.report.tables import read_table, read_tables
from trainer.runs.groups import identity
from trainer.sweep.file import read_sweep
from trainer.sweep.header import read_header, with_added, with_until
from trainer.sweep.points import points_of
from trainer.training.network_arguments import complete_parts

SWEEPS = Path(__file__).parents[3] / "sweeps"
NAMES = ["reduce_on_plateau", "step", "linear", "exponential", "cosine", "constant"]


def kinds(table: Table) -> dict[str, list[str]]:
    """Return the names of the problem runs, by kind."""
    found: dict[str, list[str]] = {}
    for problem in table.problems:
        found.setdefault(problem.kind, []).append(Path(problem.where).name)
    return {kind: sorted(names) for kind, names in found.items()}


def test_a_whole_sweep_has_its_points_in_the_files_order_and_nothing_wrong(write_schedules) -> None:
    folder = write_schedules({name: [0.90, 0.91, 0.92, 0.905, 0.915] for name in reversed(NAMES)})
    table = read_table(folder)
    assert [point.label for point in table.configurations] == NAMES
    assert table.question == "Which learning-rate schedule is best for ResNet18?"
    assert (table.expected, table.problems) == (30, ())
    assert table.samples["cosine"] == {0: 90.0, 1: 91.0, 2: 92.0, 3: 90.5, 4: 91.5}


def test_each_published_row_meets_its_point_and_gets_a_verdict(write_schedules) -> None:
    folder = write_schedules(
        {**{name: [0.90, 0.91, 0.92, 0.905, 0.915] for name in NAMES}, "linear": [0.5, 0.51, 0.5, 0.49, 0.5]}
    )
    heads = {each.answer.name: each for each in read_table(folder).comparisons if each.headline}
    assert {name: each.answer.configuration and each.answer.configuration.label for name, each in heads.items()} == {
        name: name for name in NAMES if name != "constant"
    }
    assert all(each.answer.differences == () and each.reproduced for each in heads.values())
    assert (heads["cosine"].figure.printed, heads["cosine"].verdict) == ("91.91%", "consistent")
    assert heads["linear"].verdict == "lower"


def test_what_a_report_leaves_open_is_listed_with_our_value(write_schedules) -> None:
    first = read_table(write_schedules({name: [0.9] for name in NAMES})).answers[0]
    assert {"optimizer.momentum=0.9", "train.batch_size=128"} <= {
        str(each) for each in first.open if each.said_by != "report"
    }


def test_runs_at_other_settings_are_no_verdict_on_the_published_figures(write_schedules) -> None:
    table = read_table(write_schedules({name: [0.4, 0.41, 0.42] for name in NAMES}, "train.epochs=5"))
    assert table.comparisons[0].answer.differences == ("train.epochs: 5 here, 25 published",)
    assert not any(each.reproduced for each in table.comparisons)
    assert "no verdict on the published figures" in finding(table).text


@pytest.mark.parametrize(
    ("word", "said"),
    [
        ("model.stochastic_depth=0.2", "model.stochastic_depth: 0.2 here, 0 in the sweep's file"),
        ("train.max_steps=10", "train.max_steps: 10 here, null in the sweep's file"),
        ("data.val_fraction=0.5", "data.val_fraction: 0.5 here, 0 in the sweep's file"),
        ("augment.mix.name=mixup", "augment.mix.name: mixup here, none in the sweep's file"),
    ],
)
def test_what_no_row_prints_is_compared_with_the_sweeps_file(write_schedules, word: str, said: str) -> None:
    table = read_table(write_schedules({name: [0.4, 0.41, 0.42] for name in NAMES}, word))
    assert all(said in answer.differences for answer in table.answers)
    assert not any(each.reproduced for each in table.comparisons)


def test_where_runs_are_logged_and_computed_is_no_other_setting(write_schedules) -> None:
    words = ("sink.wandb.mode=disabled", "data.root=/elsewhere", "train.device=cpu", "train.log_every=7")
    table = read_table(write_schedules({name: [0.4, 0.41, 0.42] for name in NAMES}, *words))
    assert all(answer.differences == () for answer in table.answers)


def test_missing_seeds_are_named(write_schedules) -> None:
    table = read_table(write_schedules({name: [0.9] * 5 for name in NAMES} | {"step": [0.9, 0.9]}))
    assert [(problem.where, problem.message) for problem in table.problems] == [("step", "seeds 2, 3, 4")]


@pytest.mark.slow
def test_the_row_of_a_point_without_a_run_is_its_all_the_same(write_schedules) -> None:
    """The config of such a point is what the sweep's file makes of it, for which torch is loaded."""
    table = read_table(write_schedules({name: [0.9] * 5 for name in NAMES[1:]}))
    assert [(problem.where, problem.message) for problem in table.problems] == [(NAMES[0], "seeds 0, 1, 2, 3, 4")]
    first = table.comparisons[0]
    assert first.answer.configuration is table.configurations[0] and first.sample == {} and first.verdict == "undecided"


def test_what_is_broken_or_unfinished_is_named_and_does_not_count(write_schedules, write_run) -> None:
    folder = write_schedules({name: [0.9, 0.91, 0.92, 0.9, 0.91] for name in NAMES})
    words = json.loads((folder / "cosine-s0" / "run.json").read_text())["command"].split()[2:-2]
    for name, status in [("ran-into", "diverged"), ("halted", "interrupted"), ("alive", "running"), ("cut", "stopped")]:
        write_run(folder / name, words, status=status, accuracy=None)
    (folder / "linear-s0" / "config.yaml").unlink()
    (folder / "linear-s1" / "config.yaml").write_text("a: [")
    (folder / "linear-s2" / "summary.json").write_text("[1, 2]")
    (folder / "linear-s3" / "metrics.jsonl").write_bytes(b"\xff\xfe")
    (folder / "step-s0" / "summary.json").write_text('{"status": "finished", "test/accuracy": NaN}')
    with (folder / "step-s1" / "metrics.jsonl").open("a") as file:
        file.write('{"epoch": 4, "st')
    (folder / "step-s2" / "summary.json").write_text("{")
    copytree(folder / "constant-s0", folder / "constant-s0-again")
    (folder / "notes").mkdir()

    table = read_table(folder)
    assert kinds(table) == {
        "diverged": ["ran-into"],
        "interrupted": ["halted"],
        "running": ["alive"],
        "stopped": ["cut"],
        "unreadable": ["linear-s0", "linear-s1", "linear-s2"],
        "not a number": ["step-s0", "step-s2"],
        "truncated": ["linear-s3", "step-s1"],
        "repeated seed": ["constant-s0-again"],
        "missing": ["linear"],
    }
    assert {label: len(sample) for label, sample in table.samples.items()} == {
        "reduce_on_plateau": 5, "step": 3, "linear": 2, "exponential": 5, "cosine": 5, "constant": 5,
    }  # fmt: skip
    finding(table)


ROW = '{"epoch": 1.0, "step": 10, "test/accuracy": 0.9}\n'


@pytest.mark.parametrize(
    ("file", "old", "new", "said"),
    [
        (
            "metrics.jsonl",
            ROW,
            '{"step": 10, "test/accuracy": 0.9}',
            "metrics.jsonl: line 1: epoch: None is not a number",
        ),
        ("metrics.jsonl", '"step": 10, ', "", "metrics.jsonl: line 1: step: None is not a number"),
        ("metrics.jsonl", "0.9}", '"0.9"}', "metrics.jsonl: line 1: test/accuracy: '0.9' is not a number"),
        ("metrics.jsonl", "0.9}", "1e999}", "metrics.jsonl: line 1: test/accuracy: inf is not a number"),
        ("metrics.jsonl", ROW, "[1]", "metrics.jsonl: line 1: expected a JSON object"),
        ("config.yaml", "seed: 0", "seed: abc", "config.yaml: seed: 'abc' is not a whole number"),
        ("summary.json", '"epoch": 3.0', '"epoch": "2"', "summary.json: epoch: '2' is not a number"),
        ("confusion.json", "", "[]", "confusion.json: expected a JSON object"),
        ("run.json", '"cores": 2', '"cores": NaN', "run.json: NaN is not JSON"),
        ("run.json", '"cores": 2', '"cores": 1e999', "run.json: 1e999 is not JSON"),
    ],
)
def test_what_no_run_writes_is_unreadable_by_name_and_the_report_continues(
    tmp_path: Path, write_run, file: str, old: str, new: str, said: str
) -> None:
    for seed in range(3):
        write_run(tmp_path / "runs" / f"s{seed}", [f"seed={seed}"], accuracy=0.9 + seed / 100)
    path = tmp_path / "runs" / "s0" / file
    text = {"metrics.jsonl": ROW, "confusion.json": ""}.get(file) or (path.read_text() if path.exists() else "")
    assert old in text
    path.write_text(text.replace(old, new, 1))
    table = read_table(tmp_path / "runs")
    (problem,) = table.problems
    assert problem.kind == "unreadable" and problem.message.startswith(said)
    assert len(table.runs) == (3 if file == "run.json" else 2)  # which holds no figure
    write_report(table, tmp_path / "out")


def test_a_run_folder_that_may_not_be_read_is_a_named_problem(
    tmp_path: Path, write_run, monkeypatch: pytest.MonkeyPatch
) -> None:
    for seed in range(3):
        write_run(tmp_path / "runs" / f"s{seed}", [f"seed={seed}"])
    for method in ("exists", "is_file"):
        monkeypatch.setattr(Path, method, _denied_in("s0", getattr(Path, method)))
    table = read_table(tmp_path / "runs")
    (problem,) = table.problems
    assert (problem.kind, problem.message) == ("unreadable", "cannot be read: Permission denied")
    assert problem.where.endswith("/s0") and len(table.runs) == 2


def _denied_in(name: str, method: Callable[..., bool]) -> Callable[..., bool]:
    """A method of Path that is not allowed inside a folder."""

    def call(path: Path) -> bool:
        if path.parent.name == name:
            raise PermissionError(13, "Permission denied", str(path))
        return method(path)

    return call


def test_runs_of_another_config_are_a_point_of_their_own(write_schedules, write_run) -> None:
    folder = write_schedules({name: [0.9, 0.91, 0.92] for name in NAMES})
    path = folder / "cosine-s2" / "config.yaml"
    path.write_text(path.read_text().replace("batch_size: 128", "batch_size: 64", 1))
    table = read_table(folder)
    assert [point.label for point in table.configurations][-1] == "cosine (train.batch_size=64)"
    assert kinds(table)["other settings"] == ["cosine-s2"]
    assert table.samples["cosine"].keys() == {0, 1}


def test_a_run_that_is_no_point_of_the_file_is_shown_and_named(write_schedules) -> None:
    folder = write_schedules({name: [0.9, 0.91] for name in [*NAMES, "one_cycle"]})
    table = read_table(folder)
    assert kinds(table)["not in the sweep"] == ["one_cycle-s0", "one_cycle-s1"]
    assert table.configurations[-1].label == "one_cycle"


def test_a_sweep_file_that_cannot_be_read_is_named_and_its_runs_are_still_grouped(write_schedules) -> None:
    folder = write_schedules({name: [0.9, 0.91] for name in NAMES})
    (folder / "lr_scheduler.yaml").write_text("method: [")
    table = read_table(folder)
    assert kinds(table)["unreadable"] == ["lr_scheduler.yaml"]
    assert {point.label for point in table.configurations} == set(NAMES)


def test_a_swept_recipe_is_read_off_the_command(tmp_path: Path, write_run) -> None:
    folder = tmp_path / "best_simp_res9"
    for recipe in ("simp_res9", "simp_res9_best"):
        write_run(folder / recipe, [f"recipe={recipe}", "train.epochs=150", "seed=0"])
    (folder / "best_simp_res9.yaml").write_bytes((SWEEPS / "best_simp_res9.yaml").read_bytes())
    table = read_table(folder)
    assert [(point.label, len(point.runs)) for point in table.configurations] == [
        ("simp_res9", 1),
        ("simp_res9_best", 1),
    ]
    assert kinds(table) == {"missing": ["simp_res9", "simp_res9_best"]}


def test_plain_folders_are_grouped_by_the_keys_in_which_they_differ(tmp_path: Path, write_run) -> None:
    for rate in (0.1, 0.2):
        for seed in (0, 1):
            write_run(tmp_path / f"r{rate}-{seed}", [f"optimizer.lr={rate}", f"seed={seed}"])
    table = read_table(tmp_path)
    assert [(point.label, len(point.runs)) for point in table.configurations] == [("lr=0.1", 2), ("lr=0.2", 2)]
    assert (table.comparisons, table.expected, table.problems) == ([], None, ())
    again = read_tables([str(each) for each in sorted(tmp_path.iterdir())], tmp_path)
    assert [point.label for point in again[0].configurations] == ["lr=0.1", "lr=0.2"]


def test_a_target_is_a_file_a_name_or_a_folder(write_schedules) -> None:
    folder = write_schedules({name: [0.9] for name in NAMES})
    for target in ("lr_scheduler", "sweeps/lr_scheduler.yaml", str(folder)):
        assert [table.name for table in read_tables([target], folder.parent)] == ["lr_scheduler"]


def test_a_target_that_is_not_there_is_a_line_with_the_nearest(write_schedules) -> None:
    folder = write_schedules({"cosine": [0.9]})
    with pytest.raises(CheckpointError) as error:
        read_tables(["lr_schedule", str(folder.parent)], folder.parent)
    first, second = error.value.problems
    assert "did you mean 'lr_scheduler'?" in first
    assert second == f"{folder.parent}: not a run folder, and contains none; its sweeps are {folder}"


def edited(folder: Path, place: Path, *changes: tuple[str, str]) -> str:
    """Return the path of a changed copy of a sweep's file, elsewhere."""
    text = (folder / f"{folder.name}.yaml").read_text()
    for old, new in changes:
        assert old in text
        text = text.replace(old, new)
    place.mkdir()
    (place / f"{folder.name}.yaml").write_text(text)
    return str(place / f"{folder.name}.yaml")


def test_a_file_that_is_named_is_read_itself(write_schedules, tmp_path: Path) -> None:
    """Before: only its stem counted, and the copy beside the runs was read."""
    folder = write_schedules({name: [0.9, 0.91, 0.92, 0.93, 0.94] for name in NAMES})
    control = ("# Control:  constant\n", "# Control: step\n# Margin: 0.7\n")
    file = edited(folder, tmp_path / "edit", control, ("[0, 1, 2, 3, 4]", "[0, 1, 2, 3, 4, 5]"), ("cosine, ", ""))
    (table,) = read_tables([file], folder.parent)
    assert (table.control, table.margin, table.interim, table.expected) == ("step", 0.7, True, 30)
    assert "cosine" in [Path(each.where).name.partition("-")[0] for each in table.problems if "not in" in each.kind]
    for joined in ([file, str(folder)], [str(folder), file]):
        assert [each.control for each in read_tables(joined, folder.parent)] == ["step"]
    (bare,) = read_tables(["lr_scheduler"], folder.parent)
    assert (bare.control, bare.margin, bare.interim, bare.expected) == ("constant", None, False, 30)
    (folder / "lr_scheduler.yaml").unlink()
    assert read_tables([file], folder.parent)[0].control == "step"


def test_a_file_that_is_named_keeps_what_the_copy_says_of_added_seeds(write_schedules, tmp_path: Path) -> None:
    """`# Decided:` is in the copy only: a report has no ledger."""
    folder = write_schedules({name: [0.9, 0.91, 0.92] for name in NAMES})
    file = edited(folder, tmp_path / "edit", ("# Control:  constant", "# Control: step"))
    copy = folder / "lr_scheduler.yaml"
    copy.write_text(with_until(copy.read_text(), "best, 3 to 10 seeds"))
    (table,) = read_tables([file], folder.parent)
    assert table.control == "step" and table.decided and table.decided.until.at_most == 10
    packed = pack([file], tmp_path / "lr_scheduler.jsonl.gz", folder.parent)
    (again,) = read_tables([str(packed.path)], tmp_path)
    assert again.control == "step" and again.decided and again.decided.until.at_most == 10
    (beside,) = read_tables([edited(folder, tmp_path / "more", ("# Decided:  best, 3 to 10 seeds\n", ""))], tmp_path,
                            tmp_path)  # fmt: skip
    assert beside.control == "constant" and beside.decided, "its runs are in the archive, which says the same"


def test_seeds_that_were_asked_for_are_planned(write_schedules, tmp_path: Path) -> None:
    """Before: a page took a sweep for complete as soon as it had the file's seeds, and with more on the way."""
    folder = write_schedules({name: [0.9, 0.91, 0.92, 0.93, 0.94] for name in NAMES})
    copy = folder / "lr_scheduler.yaml"
    plain = copy.read_text()
    assert not read_table(folder).interim
    copy.write_text(with_added(plain, (7, 5, 6)))
    table = read_table(folder)
    assert table.interim and table.expected == 6 * 8
    assert {each.planned for each in table.configurations} == {(0, 1, 2, 3, 4, 7, 5, 6)}
    assert sum(each.kind == "missing" for each in table.problems) == 6
    packed = pack([str(folder)], tmp_path / "lr_scheduler.jsonl.gz", folder.parent)
    assert read_table(packed.path).interim, "an archive says it, too"
    given = edited(folder, tmp_path / "edit", ("# Added:    seeds 7, 5-6\n", ""))
    assert read_tables([given], folder.parent)[0].interim, "a file that is named says nothing of it"
    copy.write_text(with_added(copy.read_text(), ()))
    assert copy.read_text() == plain


def test_a_merged_sweep_says_all_that_was_asked_of_its_parts(write_schedules) -> None:
    """Before: the text with most points won, and with it its seeds alone, without the design of the other."""
    text = (write_schedules({"cosine": [0.9]}) / "lr_scheduler.yaml").read_text()
    parts = [with_until(with_added(text, (9, 8)), "best, 3 to 10 seeds"), with_added(text, (5, 6, 7)), text, None]
    for order in (parts, parts[::-1]):
        merged = read_header(sweep_text(order) or "")[0]
        assert merged.added == (9, 8, 5, 6, 7) and merged.until and merged.until.at_most == 10
    assert {as_written(part) for part in parts if part} == {text}
    assert sweep_text([None]) is None


def test_a_comment_of_yours_may_begin_with_that_word(write_schedules) -> None:
    folder = write_schedules({"cosine": [0.9]})
    copy = folder / "lr_scheduler.yaml"
    copy.write_text(f"# Q?\n# Added: dropout\n{copy.read_text()}")
    assert "# Added: dropout" in with_added(copy.read_text(), (3,))
    assert not any("Added" in each.message for each in read_table(folder).problems)


@pytest.mark.parametrize("said", ["seeds", "seeds 3 - 9", "seeds a"])
def test_a_line_of_added_seeds_that_says_none_is_a_problem(write_schedules, said: str) -> None:
    folder = write_schedules({"cosine": [0.9]})
    copy = folder / "lr_scheduler.yaml"
    copy.write_text(f"# Q?\n# Added: {said}\n{copy.read_text()}")
    assert any(f"# Added: {said}: expected words such as seeds 3-9, 12" in each.message
               for each in read_table(folder).problems)  # fmt: skip


def test_a_file_that_is_named_and_wrong_is_refused(write_schedules, tmp_path: Path) -> None:
    folder = write_schedules({"cosine": [0.9]})
    wrong = edited(folder, tmp_path / "edit", ("# Control:  constant", "# Control: constnt"))
    with pytest.raises(SweepError, match=r"edit/lr_scheduler\.yaml: # Control: constnt: no such .* 'constant'"):
        read_tables([wrong], folder.parent)
    right = edited(folder, tmp_path / "other", ("# Control:  constant", "# Control: step"))
    with pytest.raises(CheckpointError, match=r"these have one; rename one"):
        read_tables([wrong, right], folder.parent)


def test_a_file_that_is_not_there_is_a_line_with_the_nearest(write_schedules, tmp_path: Path) -> None:
    """Before: any path with the stem of a sweep was taken for its file."""
    folder = write_schedules({"cosine": [0.9]})
    near = edited(folder, tmp_path / "edit")
    targets = ["no/such/lr_scheduler.yaml", f"{near[: -len('r.yaml')]}.yaml", "no/lr_schedule.yml", near]
    with pytest.raises(CheckpointError) as error:
        read_tables(targets, folder.parent)
    assert error.value.problems == (
        "no/such/lr_scheduler.yaml: no such file; did you mean 'lr_scheduler', the sweep of this name?",
        f"{targets[1]}: no such file; did you mean {near!r}?",
        "no/lr_schedule.yml: no such file; did you mean 'lr_scheduler'?",
    )
    with pytest.raises(CheckpointError, match=r"lr_scheduler\.yaml: no run of it in "):
        read_tables([near], tmp_path / "none")


@pytest.mark.slow
@pytest.mark.parametrize("experiment", experiments(), ids=lambda experiment: experiment.id)
def test_each_published_row_finds_the_first_point_of_its_sweep_that_has_all_it_says(experiment) -> None:
    """A plain second way: every word of a row against every resolved point, as tests/sweeps has it."""
    sweep = read_sweep(SWEEPS / f"{experiment.sweep}.yaml")
    points: list[Configuration] = []
    for point in points_of(sweep):
        if point.values.get("seed", 0) == sweep.space["seed"].choices[0]:
            config = flatten(load_config(point.overrides, complete=complete_parts).config.model_dump(mode="json"))
            points.append(Configuration(point.label([k for k in sweep.varied if k != "seed"]), {}, config, ()))
    for answer in answers_of([experiment], points):
        said = flatten(load_config(runs_of(answer.row)[0], recipe="none", complete=complete_parts).config.model_dump())
        asked = {key: said[key] for key in flatten(read_overrides(runs_of(answer.row)[0]))}
        agreeing = [
            point for point in points if all(identity(point.config[k]) == identity(v) for k, v in asked.items())
        ]
        assert answer.configuration is agreeing[0] and answer.differences == ()


def test_a_configuration_with_two_seeds_does_not_take_the_power_of_those_with_three(write_schedules) -> None:
    """Before: the page said that nothing can be significant, beside a difference that was."""
    folder = write_schedules({"cosine": [0.9, 0.91, 0.92], "step": [0.7, 0.71, 0.72], "linear": [0.6, 0.61]})
    assert "With 3 seeds per configuration" in floor_text(read_table(folder))


def test_second_test_sets_are_columns_and_choose_nothing(write_schedules) -> None:
    folder = write_schedules({"cosine": [0.9, 0.91, 0.92], "step": [0.8, 0.81, 0.82]})
    for name, reached in (("cosine", 0.5), ("step", 0.7)):  # the other way round
        for seed in range(3):
            path = folder / f"{name}-s{seed}" / "summary.json"
            own = {"also/cifar10.1/accuracy": reached + seed / 100, "also/cifar10-c/fog/accuracy": 0.1}
            path.write_text(json.dumps({**json.loads(path.read_text()), **own}))
    table = read_table(folder)
    grid = configurations(table)
    column = grid.header.index("cifar10.1 (%)")
    cells = {row[0]: row[column] for row in grid.rows}
    assert cells["cosine"] == "51.00 ± 1.00 (n=3)" and cells["step"] == "71.00 ± 1.00 (n=3)"
    assert not any("fog" in name for name in grid.header)
    assert "Second test sets (cifar10.1) are of the last epoch, and nothing was chosen by them" in grid.caption
    assert table.top == ["cosine"]
    (point,) = (each for each in as_json(table)["points"] if each["label"] == "step")
    assert point["summary"]["also/cifar10.1/accuracy"]["mean"] == pytest.approx(71)
    head, *lines = csv.reader(as_csv(table).splitlines())
    place = head.index("also/cifar10.1/accuracy")
    assert {line[place] for line in lines if line[1] == "step"} == {"70.0", "71.0", "72.0"}
