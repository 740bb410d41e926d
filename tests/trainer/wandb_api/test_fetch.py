"""Runs brought from W&B: the real client against a stand-in that holds them, and the folders that they came from."""

import json
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest
import yaml
from standin import ENTITY, Run, Standin, Sweep

from trainer.cli.main import main
from trainer.config import load_config
from trainer.config.overrides import flatten
from trainer.config.sink import WandbSink as Config
from trainer.errors import CheckpointError, SweepError
from trainer.files import finite_or_none
from trainer.protocols import Record, RunInfo
from trainer.report.table import Table
from trainer.report.tables import read_table
from trainer.runs.history import History, read_history
from trainer.sinks.folder import FolderSink
from trainer.sinks.wandb import WandbSink
from trainer.training.run import start_run
from trainer.wandb_api.fetch import bring

GRID = """# Which rate is best?
#
# and why
project: p
name: rates
method: grid
metric: {name: test/accuracy, goal: maximize}
command: ["${env}", trainer, train, "${args_no_hyphens}"]
parameters:
  recipe: {value: none}
  optimizer.lr: {values: [0.1, 1.0]}
  seed: {values: [0, 1]}
"""


def folder_of(path: Path, *, lr: float = 0.1, seed: int = 0, epochs: int = 2, status: str = "finished") -> Path:
    """A run folder with a row an epoch, accuracies of its own."""
    path.mkdir(parents=True)
    accuracy = round(0.5 + lr / 10 + seed / 100, 6)
    config = {"seed": seed, "model": {"name": "lenet5", "width": None}, "optimizer": {"lr": lr}}
    (path / "config.yaml").write_text(yaml.safe_dump(config))
    rows = [
        {"epoch": float(epoch), "step": 10 * epoch, "train/accuracy": accuracy, "train/loss": 1 / epoch,
         "optimizer/lr": lr, "test/accuracy": accuracy - 0.1 + epoch / 100}
        for epoch in range(1, epochs + 1)
    ]  # fmt: skip
    (path / "metrics.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    measured = {key: value for key, value in rows[-1].items() if key != "optimizer/lr"}
    named = {"headline/protocol": "best_val", "headline/accuracy": None}
    summary = {"status": status, "ended": "2026-01-01T00:01:00+00:00", **measured, **named}
    (path / "summary.json").write_text(json.dumps(summary))
    command = f"trainer train recipe=none optimizer.lr={lr} seed={seed}"
    run = {"seed": seed, "command": command, "status": status, "ended": summary["ended"]}
    (path / "run.json").write_text(json.dumps(run))
    return path


def put(server: Standin, folder: Path, *, id: str, state: str = "finished", **fields: Any) -> Run:
    """A run folder as its sink would have sent it."""
    history = read_history(folder)
    config = {**history.config, **fields.pop("config", {})}
    run = add(server, id, history.rows, config=config, state=state, name=folder.name, **fields)
    leftovers = {"optimizer/lr": history.rows[-1]["optimizer/lr"], "_runtime": 5.1, "_wandb": {"runtime": 5}}
    run.summary = {**leftovers, **{key: value for key, value in history.summary.items() if value is not None}}
    run.files["run.json"] = (folder / "run.json").read_bytes()
    return run


def add(server: Standin, id: str, rows: Sequence[Mapping[str, Any]], **fields: Any) -> Run:
    raw = {key: {"value": value} for key, value in fields.pop("config", {}).items()}
    run = server.runs[id] = Run(id, **{"project": "p", "upserts": 1, "raw_config": raw, "state": "finished", **fields})
    run.write("wandb-history.jsonl", 0, [json.dumps({**row, "_step": n}) for n, row in enumerate(rows)])
    return run


def same(one: History, other: History) -> None:
    assert (one.name, one.config, one.rows, one.summary) == (other.name, other.config, other.rows, other.summary)
    assert (one.confusion, one.classes) == (other.confusion, other.classes)


def told(table: Table) -> Any:
    """All that a report says of a table, but where its folders lie."""
    points = [(p.label, p.values, p.config, [run.name for run in p.runs], p.sample()) for p in table.configurations]
    problems = sorted((each.kind, Path(each.where).name, each.message) for each in table.problems)
    return table.name, table.question, table.metric, table.varied, points, problems, table.expected, table.top


def test_what_the_sinks_were_given_is_the_same_from_either(server: Standin, tmp_path: Path) -> None:
    path = tmp_path / "runs" / "a"
    path.mkdir(parents=True)
    config = {"seed": 3, "model": {"name": "lenet5", "stem": [3, 3], "width": None}, "optimizer": {"lr": 1.0}}
    (path / "config.yaml").write_text(yaml.safe_dump(config))
    (path / "confusion.json").write_text(json.dumps({"classes": ["cat", "dog"], "counts": [[3, 1], [0, 4]]}))
    measured = {"train/accuracy": 0.25, "test/accuracy": 0.5, "test/loss": float("nan")}
    summary = {"status": "finished", "epoch": 2, "step": 4, **finite_or_none(measured), "ended": "2026",
               "headline/protocol": "best_val", "headline/accuracy": None}  # fmt: skip
    memory: dict[str, Any] = {}
    for resumed in (False, True):  # the first is broken off in its second epoch, and what it measured there is lost
        sinks = [FolderSink(path), WandbSink(Config(project="p"))]
        for sink in sinks:
            info = {"command": "trainer train seed=3", "git": None}
            sink.start(RunInfo("a", path, config, "0123abcd", info, resumed, memory.get(sink.name, {})))
        for step in (3, 4) if resumed else (1, 2):
            log(sinks, step, {"probe/beta": step / 3} if step < 4 else {"probe/beta": float("nan")})
            log(sinks, step, {"train/loss_running": float("inf"), "optimizer/lr": 0.5})
        log(sinks, 4 if resumed else 2, {**measured, "optimizer/lr": 0.25})
        if not resumed:
            memory = {sink.name: sink.memory() for sink in sinks}
            log(sinks, 3, {"probe/beta": 7.0})
        status = "finished" if resumed else "interrupted"
        for sink in reversed(sinks):
            sink.finish(status, {**summary, "status": status})

    (folder,) = bring(f"{ENTITY}/p", tmp_path / "brought")
    original = read_history(path)
    assert [row["step"] for row in original.rows] == [1, 1, 2, 2, 2, 3, 3, 4, 4, 4]
    same(read_history(folder / "a"), original)
    assert original.confusion == [[3, 1], [0, 4]]
    run, first = (json.loads((each / "run.json").read_text()) for each in (folder / "a", path))
    assert run.pop("wandb")["id"] == server.only_run.id
    assert run == first and len(run["resumed"]) == 1


def log(sinks: list[Any], step: int, metrics: dict[str, float]) -> None:
    for sink in sinks:
        sink.log(Record(step / 2, step, metrics))


@pytest.mark.slow
def test_a_run_that_was_trained_comes_back_as_its_folder_has_it(
    server: Standin, tmp_path: Path, small_run: list[str]
) -> None:
    words = [*small_run, "train.log_every=2", "sink.wandb.mode=online", "sink.wandb.project=p", "probe.walk.every=4"]
    result = start_run(load_config(words).config, runs=tmp_path / "runs", name="a")
    (folder,) = bring(f"{ENTITY}/p", tmp_path / "brought")

    assert folder == tmp_path / "brought" / "p"
    original = read_history(result.folder)
    assert original.confusion and any("probe/beta" in row for row in original.rows)
    same(read_history(folder / "a"), original)
    texts = [json.dumps(history.config, sort_keys=True) for history in (read_history(folder / "a"), original)]
    assert texts[0] == texts[1]  # so that 1.0 is not 1
    run, first = (json.loads((each / "run.json").read_text()) for each in (folder / "a", result.folder))
    mark = run.pop("wandb")
    assert run == first
    assert (mark["id"], mark["url"]) == (server.only_run.id, f"{server.url}/{ENTITY}/p/runs/{server.only_run.id}")


@pytest.fixture
def rates(server: Standin, tmp_path: Path) -> Path:
    """A sweep's folder, three of its four runs in it, and the same on the server."""
    server.store.sweeps["s1"] = Sweep("s1", "p", yaml.safe_dump(yaml.safe_load(GRID)))  # W&B keeps no comments
    (tmp_path / "sweeps").mkdir()
    (tmp_path / "sweeps" / "rates.yaml").write_text(GRID)
    runs = tmp_path / "runs" / "rates"
    for number, (lr, seed) in enumerate([(0.1, 0), (0.1, 1), (1.0, 0)]):
        folder = folder_of(runs / f"run{number}", lr=lr, seed=seed, status="diverged" if seed else "finished")
        put(server, folder, id=f"r{number}", sweep="s1", config={"recipe": "none", "optimizer": {"lr": lr}})
    (runs / "rates.yaml").write_text(GRID)
    return runs


def test_a_table_of_what_was_brought_is_the_table_of_the_folders(rates: Path, tmp_path: Path) -> None:
    assert bring(f"{ENTITY}/p/s1", tmp_path / "brought") == [tmp_path / "brought" / "rates"]
    for number in range(3):
        same(read_history(tmp_path / "brought" / "rates" / f"run{number}"), read_history(rates / f"run{number}"))
    ours, theirs = read_table(tmp_path / "brought" / "rates"), read_table(rates)
    assert told(ours) == told(theirs)
    assert ours.question == "Which rate is best?"
    assert {problem.kind for problem in ours.problems} == {"diverged", "missing", "not a number"}


@pytest.mark.slow
def test_the_report_of_a_sweep_on_wandb_is_the_report_of_its_folder_and_is_published(
    server: Standin, rates: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def report(*words: str) -> dict[str, str]:
        monkeypatch.setattr(sys, "argv", ["trainer", "report", *words, "--out", "out"])
        with pytest.raises(SystemExit) as ended:
            main()
        assert not ended.value.code
        return {path.name: path.read_text() for path in Path("out").iterdir()}

    theirs = report("rates")
    assert "W&B" not in capsys.readouterr().err
    ours = report("--from-wandb", f"{ENTITY}/p/s1", "--wandb")
    there = "runs/wandb/standin/p/rates"
    found, err = capsys.readouterr()
    assert found.splitlines()[-1] == "out/index.html"
    assert f"{there}: 3 runs, 3 of them fetched\n" in err
    assert f"W&B: {server.url}/{ENTITY}/p/reports/rates:-Which-rate-is-best%3F--" in err
    assert ours["results.csv"] == theirs["results.csv"]
    assert ours["rates.md"].replace(there, "runs/rates") == theirs["rates.md"]
    results = json.loads(ours["results.json"].replace(there, "runs/rates"))
    assert [run.pop("wandb")["id"] for run in results["provenance"]] == ["r0", "r2", "r1"]
    assert results == json.loads(theirs["results.json"])


def test_a_swept_recipe_is_known_also_where_the_run_has_not_said_its_command(server: Standin, tmp_path: Path) -> None:
    recipes = GRID.replace("{value: none}", "{values: [none, resnet18]}")
    server.store.sweeps["s1"] = Sweep("s1", "p", recipes)
    run = put(server, folder_of(tmp_path / "x"), id="a", sweep="s1", config={"recipe": "resnet18"})
    del run.files["run.json"]
    (folder,) = bring(f"{ENTITY}/p/s1", tmp_path / "brought")
    (configuration,) = (each for each in read_table(folder).configurations if each.runs)
    assert configuration.values == {"optimizer.lr": 0.1, "recipe": "resnet18"}
    assert "recipe" not in configuration.config


def test_runs_that_did_not_end_well_are_named_in_the_report(server: Standin, tmp_path: Path) -> None:
    for state in ("running", "crashed", "finished", "failed"):
        run = put(server, folder_of(tmp_path / "runs" / state), id=state, state=state)
        if state != "failed":
            run.summary = {
                "test/accuracy": 0.5,
                "epoch": 2,
            }  # W&B's own, of the last rows; the run has not said its end
    put(
        server, folder_of(tmp_path / "runs" / "empty", epochs=1, status="failed"), id="empty", state="failed"
    ).lines = {}
    (folder,) = bring(f"{ENTITY}/p", tmp_path / "brought")
    assert not (folder / "crashed" / "summary.json").exists()
    told = {Path(problem.where).name: problem for problem in read_table(folder).problems}
    assert told["running"].kind == "running"
    assert (told["crashed"].kind, told["crashed"].message) == ("failed", "crashed, after epoch 2")
    assert (told["finished"].kind, told["empty"].message) == ("not a number", "failed, after epoch 0")


def test_runs_of_other_programs_are_named_and_left_out(server: Standin, tmp_path: Path) -> None:
    put(server, folder_of(tmp_path / "x"), id="ours")
    add(server, "other", [{"loss": 1.0}], config={"seed": 1, "lr": 0.5})
    add(server, "odd", [], config={"model": "net", "model.name": "net"})
    server.store.sweeps["s1"] = Sweep("s1", "p", GRID.replace("trainer, train", "python, train.py"))
    add(server, "swept", [], sweep="s1", config={"seed": 0})
    server.store.sweeps["s2"] = Sweep("s2", "p", GRID)
    add(server, "begun", [], sweep="s2", state="crashed")
    lines: list[str] = []
    (folder,) = bring(f"{ENTITY}/p", tmp_path / "brought", say=lines.append)
    assert [path.name for path in folder.iterdir()] == ["x"]
    page = f"{server.url}/{ENTITY}/p"
    assert sorted(lines) == sorted([
        f"{page}/runs/other: left out: its config is not this trainer's",
        f"{page}/runs/odd: left out: model: given both as a value and as a section",
        f"{page}/sweeps/s1: its command is not `trainer train`; 1 runs left out",
        f"{page}/runs/begun: left out: it has sent no config",
        f"{folder}: 1 runs, 1 of them fetched",
    ])  # fmt: skip


def test_what_is_there_and_has_not_changed_is_not_fetched_again(server: Standin, tmp_path: Path) -> None:
    for name in ("a", "b"):
        put(server, folder_of(tmp_path / "runs" / name), id=name, state="finished" if name == "a" else "running")
    bring(f"{ENTITY}/p", tmp_path / "brought")
    before = {path: path.stat().st_ino for path in (tmp_path / "brought" / "p").iterdir()}
    lines: list[str] = []
    asked = server.seen("/download/a")
    (folder,) = bring(f"{ENTITY}/p", tmp_path / "brought", say=lines.append)
    assert server.seen("/download/a") == asked == 1
    assert server.seen("/download/b") == 2
    assert lines == [f"{folder}: 2 runs, 1 of them fetched"]
    assert before[folder / "a"] == (folder / "a").stat().st_ino and sorted(before) == sorted(folder.iterdir())

    server.runs["a"].state = "crashed"  # resumed since, and killed
    bring(f"{ENTITY}/p", tmp_path / "brought")
    assert server.seen("/download/a") == 2


def test_a_run_that_was_deleted_on_wandb_is_removed_here(server: Standin, rates: Path, tmp_path: Path) -> None:
    """Before: reports went on counting it. What did not come from that project's page stays."""
    (folder,) = bring(f"{ENTITY}/p/s1", tmp_path / "brought")
    folder_of(folder / "mine")
    other = folder_of(folder / "other") / "run.json"
    mark = {"id": "r9", "url": f"{server.url}/somebody/p/runs/r9"}
    other.write_text(json.dumps(json.loads(other.read_text()) | {"wandb": mark}))
    del server.runs["r1"]
    lines: list[str] = []
    bring(f"{ENTITY}/p/s1", tmp_path / "brought", say=lines.append)
    assert lines == [f"{folder / 'run1'}: removed, since W&B no longer has it", f"{folder}: 2 runs, 0 of them fetched"]
    assert sorted(path.name for path in folder.iterdir()) == ["mine", "other", "rates.yaml", "run0", "run2"]


@pytest.mark.parametrize("asked", ["p/s1", "p"])
def test_the_last_runs_that_were_deleted_on_wandb_are_removed_here(
    server: Standin, rates: Path, tmp_path: Path, asked: str
) -> None:
    """Before: the copies of a sweep without runs stayed. What lies beside an asked sweep stays."""
    put(server, folder_of(tmp_path / "runs" / "alone"), id="alone")
    folder, beside = sorted(bring(f"{ENTITY}/p", tmp_path / "brought"), reverse=True)
    folder_of(folder / "mine")
    server.runs.clear()
    lines: list[str] = []
    with pytest.raises(CheckpointError, match="no run of this trainer's on W&B"):
        bring(f"{ENTITY}/{asked}", tmp_path / "brought", say=lines.append)
    assert sorted(path.name for path in folder.iterdir()) == ["mine", "rates.yaml"]
    assert (beside / "alone").exists() == (asked == "p/s1")
    assert len(lines) == (3 if asked == "p/s1" else 4)


def test_a_link_in_the_place_of_a_run_does_not_end_the_fetch(server: Standin, rates: Path, tmp_path: Path) -> None:
    """Before: each fetch ended at it. Only the link is removed, or replaced."""
    (folder,) = bring(f"{ENTITY}/p/s1", tmp_path / "brought")
    for name in ("run0", "run1"):
        (folder / name).rename(tmp_path / name)
        (folder / name).symlink_to(tmp_path / name)
    server.runs["r0"].state = "crashed"  # resumed since, and killed
    del server.runs["r1"]
    lines: list[str] = []
    bring(f"{ENTITY}/p/s1", tmp_path / "brought", say=lines.append)
    assert lines == [f"{folder / 'run1'}: removed, since W&B no longer has it", f"{folder}: 2 runs, 1 of them fetched"]
    assert sorted(path.name for path in folder.iterdir()) == ["rates.yaml", "run0", "run2"]
    assert (tmp_path / "run1" / "run.json").exists()


def test_names_are_those_of_the_runs_as_far_as_a_disk_takes_them(server: Standin, tmp_path: Path) -> None:
    for id, name in (("r1", "a"), ("r2", "a"), ("r3", "../b c"), ("r4", "...")):
        put(server, folder_of(tmp_path / "runs" / id), id=id).name = name
    for _ in range(2):
        (folder,) = bring(f"{ENTITY}/p", tmp_path / "brought")
        assert sorted(path.name for path in folder.iterdir()) == ["a", "a-r2", "b-c", "unnamed"]


def test_a_file_registered_twice_is_two_sweeps_of_its_name(server: Standin, tmp_path: Path) -> None:
    for id in ("s1", "s2"):
        server.store.sweeps[id] = Sweep(id, "p", f"description: Which rate,\n  and why?\n{GRID}")
        put(server, folder_of(tmp_path / "runs" / id), id=f"r{id}", sweep=id)
    folders = bring(f"{ENTITY}/p", tmp_path / "brought")
    for found in (folders, bring(f"{ENTITY}/p", tmp_path / "brought")):
        assert found == [tmp_path / "brought" / "rates", tmp_path / "brought" / "s2" / "rates"]
    tables = [read_table(folder) for folder in folders]
    assert [(table.name, table.question) for table in tables] == [("rates", "Which rate, and why?")] * 2
    assert [run.name for table in tables for run in table.runs] == ["s1", "s2"]


@pytest.mark.parametrize("path", ["p", "e/p/sweeps/s", "e//s", "https://x.org/e/p/runs/r"])
def test_what_names_neither_project_nor_sweep_is_refused(path: str, tmp_path: Path) -> None:
    with pytest.raises(SweepError, match="expected ENTITY/PROJECT, ENTITY/PROJECT/SWEEP"):
        bring(path, tmp_path)


def test_what_is_in_the_way_is_one_line(trouble: str, tmp_path: Path) -> None:
    with pytest.raises(SweepError) as error:
        bring(f"{ENTITY}/p", tmp_path / "brought")
    (line,) = error.value.problems
    assert line.startswith("W&B: ") and "\n" not in line
    assert ("WANDB_API_KEY" in line) == (trouble == "no login")


@pytest.mark.parametrize("path", ["project unknown", "sweep p/s1"])
def test_what_is_not_on_wandb_is_one_line(server: Standin, tmp_path: Path, path: str) -> None:
    server.store.unknown_projects.add("unknown")
    kind, _, place = path.partition(" ")
    with pytest.raises(SweepError, match=f"^W&B: .*Could not find {kind}"):
        bring(f"{ENTITY}/{place}", tmp_path / "brought")


def test_a_project_without_runs_of_ours_is_one_line(server: Standin, tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match=f"{ENTITY}/p: no run of this trainer's on W&B"):
        bring(f"{ENTITY}/p", tmp_path / "brought")


def test_a_server_that_goes_away_leaves_whole_runs_or_none(server: Standin, tmp_path: Path) -> None:
    for name in ("a", "b"):
        put(server, folder_of(tmp_path / "runs" / name), id=name)
    server.fail("/download/b", 404)
    with pytest.raises(SweepError):
        bring(f"{ENTITY}/p", tmp_path / "brought")
    assert all(flatten(read_history(path).config) for path in (tmp_path / "brought" / "p").glob("*"))
    assert not list((tmp_path / "brought").glob(".*"))
    server.heal()
    (folder,) = bring(f"{ENTITY}/p", tmp_path / "brought")
    assert sorted(path.name for path in folder.iterdir()) == ["a", "b"]
