"""`trainer sweep` as a person meets it: what is printed where, and exit codes."""

import json
import sys
from functools import partial
from pathlib import Path

import pytest
from pretend import server
from pretend import train as pretended

from trainer.cli.main import main
from trainer.cli.sweep_here import Place, note_others, opened
from trainer.sweep import engine, gpus, local
from trainer.sweep.ledger import Ledger
from trainer.sweep.live import SweepView

SWEEP = """
method: grid
metric: {name: test/accuracy, goal: maximize}
command: ["${env}", trainer, train, "${args_no_hyphens}"]
parameters:
  optimizer.lr: {values: [0.1, 0.2]}
  seed: {values: [0, 1]}
"""


@pytest.fixture
def trainer(monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    def call(*words: str) -> int:
        monkeypatch.setattr(sys, "argv", ["trainer", "sweep", *words])
        with pytest.raises(SystemExit) as ended:
            main()
        return int(ended.value.code or 0)

    monkeypatch.chdir(tmp_path)
    for name in ("good.yaml", "lr=0.1.yaml"):
        (tmp_path / name).write_text(SWEEP)
    (tmp_path / "bad.yaml").write_text(SWEEP.replace("optimizer.lr", "optimizer.lrr"))
    return call


def test_check_says_what_is_good_and_ends_with_2_where_a_file_is_not(
    trainer, capsys: pytest.CaptureFixture[str]
) -> None:
    assert trainer("check", "good.yaml") == 0
    assert capsys.readouterr().out == "good.yaml: 4 points\n"
    assert trainer("check", "bad.yaml", "good.yaml") == 2
    said = capsys.readouterr()
    assert said.out == "good.yaml: 4 points\n"
    assert "did you mean 'lr'?" in said.err


def test_check_notes_that_w_and_b_takes_the_seeds_of_a_configuration_in_turn(
    trainer, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "seeds.yaml").write_text(SWEEP.replace("  optimizer.lr: {values: [0.1, 0.2]}\n", ""))
    assert trainer("check", "good.yaml", "seeds.yaml") == 0
    (note,) = [line for line in capsys.readouterr().err.splitlines() if line.startswith("note: ")]
    assert note.startswith("note: under W&B all seeds of a configuration run before") and note.endswith(": good.yaml")


def test_check_prints_every_point_with_the_hash_of_its_config_as_json(
    trainer, capsys: pytest.CaptureFixture[str]
) -> None:
    assert trainer("check", "good.yaml", "--json") == 0
    (file,) = json.loads(capsys.readouterr().out)
    assert [point["values"] for point in file["points"]][1] == {"optimizer.lr": 0.1, "seed": 1}
    assert len({point["config"] for point in file["points"]}) == 4


def test_a_sweep_with_the_name_of_a_run_is_refused(trainer, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Before: it ran in the run's folder, and its report was that of the run."""
    (tmp_path / "runs" / "good").mkdir(parents=True)
    (tmp_path / "runs" / "good" / "config.yaml").write_text("seed: 0\n")
    assert trainer("run", "good.yaml") == 2
    (line,) = [line for line in capsys.readouterr().err.splitlines() if line.startswith("error: ")]
    assert "runs/good is the folder of a run; give --runs another folder" in line


def test_a_sweep_that_was_never_begun_is_one_line(trainer, capsys: pytest.CaptureFixture[str]) -> None:
    assert trainer("status", "good.yaml") == 2
    assert len(capsys.readouterr().err.splitlines()) == 1
    assert trainer("list") == 0
    assert capsys.readouterr().out == ""


def test_runs_of_other_machines_are_told_with_what_brings_them_together(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Before: a database called the sweep done, the report on this machine called half of it missing."""
    (tmp_path / "good.yaml").write_text(SWEEP)
    for storage in (f"sqlite:///{tmp_path}/shared.db", None):
        place = Place(tmp_path / str(storage is None), storage, ["cpu"], 1)
        (sweep,) = opened([tmp_path / "good.yaml"], [], place, [], None)
        with Ledger(sweep.checked.sweep, sweep.folder, storage, overrides=[]) as ledger:
            ledger.enqueue(sweep.entries)
            for number in range(3):
                claim = ledger.claim(lambda point: pytest.fail("a grid proposes nothing"))
                assert claim
                ledger.finish(claim, "diverged" if number == 2 else "finished", 0.5)
                if number == 0:
                    (sweep.folder / claim.run).mkdir()
        note_others(sweep, sweep.progress())
    assert capsys.readouterr().err == (
        f"on another machine, and not in {tmp_path}/False/good: 1 of 2 runs that are done; pack each machine's runs"
        f" for one report: `trainer report pack {tmp_path}/False/good --to good.jsonl.gz`\n"
    )


def test_the_slots_of_a_remote_sweep_cannot_be_chosen(trainer, capsys: pytest.CaptureFixture[str]) -> None:
    assert trainer("rerun", "me/project/abc123", "--jobs", "2") == 2
    assert "one point on each device" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("words", "line"),
    [
        (["run"], "expected a sweep file, such as sweeps/smoke.yaml"),
        (["run", "train.epochs=1"], "train.epochs=1: expected a sweep file"),
        (["run", "good.yaml", "--for", "9"], "--for: '9': expected a time, such as 90s, 9m or 1h30m"),
        (["run", "good.yaml", "--until", "soon"], "--until: 'soon': expected decided, or a time of day such as 04:30"),
        (["run", "good.yaml", "--until", "decide"], "such as 04:30; did you mean 'decided'?"),
        (["run", "good.yaml", "--until", "04:30", "--for", "1h"], "use one"),
        (["run", "good.yaml", "--margin", "0.3"], "--margin: goes with --until decided"),
        (["run", "good.yaml", "--until", "decided", "--margin", "0"], "--margin: 0: expected a difference above 0"),
        (["run", "good.yaml", "--until", "decided", "--margin", "inf"], "--margin: inf: expected a difference above 0"),
        (["run", "good.yaml", "--until", "decided", "--at-most", "2"], "--at-most: 2 is under --at-least 3"),
        (["run", "good.yaml", "--until", "decided", "--at-most", "100000000"], "expected 1000 seeds or fewer"),
        (["run", "good.yaml", "--until", "decided", "--seeds", "0-3"], "it chooses the points itself"),
        (["run", "good.yaml", "--until", "decided", "--question", "all"], "--question: 'all' is not a question"),
        (["run", "--catalogue"], "--catalogue: runs for weeks"),
        (["run", "--catalogue", "good.yaml", "--for", "1h"], "leave good.yaml out"),
        (["run", "good.yaml", "--seeds", "a-b"], "--seeds: 'a-b': expected seeds, such as 0-4 or 0-4,7"),
        (["run", "good.yaml", "--order", "gird"], "--order: 'gird' is not an order; did you mean 'grid'?"),
        (["run", "good.yaml", "--first", "seed=9"], "--first: seed=9: good.yaml has no such point"),
        (["run", "good.yaml", "--for", "1h", "--have", "."], "--have: .: no archive in it"),
        (["run", "good.yaml", "missing.yaml", "--for", "1h"], "missing.yaml"),
        (["start", "good.yaml", "--until", "04:30"], "--until: 04:30: expected decided; a time goes with"),
        (["start", "good.yaml", "--at-most", "5"], "--at-most: goes with --until decided"),
        (["start", "good.yaml", "--until", "decided", "--devices", "cuda:x"], "--devices: 'cuda:x': expected cpu,"),
        (["start", "good.yaml", "--runs", "r"], "--runs and --storage go with --until decided"),
        (["plan"], "expected a sweep file, such as sweeps/smoke.yaml"),
        (["plan", "good.yaml", "--noise", "0"], "--noise: 0: expected a standard deviation above 0, such as 0.3"),
        (
            ["plan", "good.yaml", "--noise", "seed_nose"],
            "--noise: seed_nose: no such folder, and no such sweep in runs",
        ),
        (["plan", "good.yaml", "--difference", "0.5"], "--difference: the noise of good is not known"),
        (["plan", "good.yaml", "--noise", "1", "--difference", "-1"], "--difference: -1: expected a number above 0"),
        (["plan", "good.yaml", "--to", "plan.pdf"], "--to: plan.pdf: a chart is written as .html, .svg or .png"),
        (["plan", "good.yaml", "--seeds", "x"], "--seeds: 'x': expected seeds"),
        (["plan", "good.yaml", "--devices", "gpu"], "--devices: 'gpu': expected cpu, cuda:0"),
        (["run", "good.yaml", "--devices", "gpu"], "--devices: 'gpu': expected cpu, cuda:0"),
        (["run", "good.yaml", "--jobs", "2", "--per-device", "3"], "--jobs and --per-device are two ways of saying"),
        (["plan", "good.yaml", "--jobs", "2", "--per-device", "1"], "--jobs and --per-device are two ways of saying"),
        (["rerun", "good.yaml", "--jobs", "2", "--per-device", "3"], "--jobs and --per-device are two ways of saying"),
        (["run", "lr=0.1.yaml", "--devices", "gpu"], "--devices: 'gpu': expected cpu, cuda:0"),
        (["run", "good.yaml", "bad/good.yaml"], "good.yaml and bad/good.yaml: a file's name is its sweep's"),
        (["run", "good.yaml", "bad/good.yaml", "--for", "1h"], "good.yaml and bad/good.yaml: a file's name is its"),
        (["plan", "good.yaml", "bad/good.yaml"], "good.yaml and bad/good.yaml: a file's name is its sweep's"),
    ],
)
def test_what_cannot_be_run_is_one_line_and_nothing_starts(
    trainer, words: list[str], line: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert trainer(*words) == 2
    said = capsys.readouterr().err.splitlines()
    assert len(said) == 1
    assert line in said[0]
    assert not (tmp_path / "runs").exists()


@pytest.mark.parametrize(
    "words", [["run"], ["run", "--for", "1h"], ["run", "--until", "decided"], ["plan"]], ids=" ".join
)
def test_a_gpu_that_is_not_there_is_one_line_and_nothing_starts(
    trainer, words: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Before: all points ran on the CPU."""
    server.ready()
    monkeypatch.setattr(gpus, "count_gpus", lambda: 1)
    assert trainer(words[0], "good.yaml", *words[1:], "--devices", "cpu,cuda:0,cuda:7") == 2
    assert capsys.readouterr().err == "error: --devices: cuda:7: torch sees 1 CUDA devices here\n"
    assert not (tmp_path / "runs").exists()


def test_each_round_of_a_time_has_a_table_that_ends_with_it(trainer, monkeypatch: pytest.MonkeyPatch) -> None:
    """Before: all of them stayed on the terminal until the end, each drawn over the one before."""
    server.ready()
    monkeypatch.setattr(local, "Engine", partial(engine.Engine, target=pretended.main))
    monkeypatch.setattr("trainer.sweep.pilot.Pilot.seconds", lambda *_: 1.0)
    monkeypatch.setenv("PRETEND_SECONDS", "0.01")
    on_screen: list[int] = []

    class View(SweepView):
        def __enter__(self) -> SweepView:
            on_screen.append(on_screen[-1] + 1 if on_screen else 1)
            return super().__enter__()

        def __exit__(self, *error: object) -> None:
            on_screen.append(on_screen[-1] - 1)
            super().__exit__(*error)

    monkeypatch.setattr("trainer.sweep.live.SweepView", View)
    assert trainer("run", "good.yaml", "--for", "1h", "--jobs", "2") == 0
    assert on_screen == [1, 0, 1, 0]


@pytest.mark.parametrize("how", [[], ["--until", "decided", "--at-most", "3"], ["--for", "1h"]])
def test_several_sweeps_are_one_json_object_and_each_is_opened_once(
    trainer, how: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    server.ready()
    monkeypatch.setattr(local, "Engine", partial(engine.Engine, target=pretended.main))
    monkeypatch.setattr("trainer.sweep.pilot.Pilot.seconds", lambda *_: 1.0)
    monkeypatch.setenv("PRETEND_NOISE", "0.1")
    monkeypatch.setenv("PRETEND_SECONDS", "0.01")
    checked: list[str] = []
    check = local.check
    monkeypatch.setattr(local, "check", lambda sweep: checked.append(sweep.name) or check(sweep))
    for name in ("good", "other"):
        (tmp_path / f"{name}.yaml").write_text(SWEEP.replace("[0.1, 0.2]", "[0.4, 0.8]"))
    assert trainer("run", "good.yaml", "other.yaml", "--json", "--jobs", "2", *how) == 0
    said = json.loads(capsys.readouterr().out)
    assert {name: each["complete"] for name, each in said.items()} == {"good": True, "other": True}
    assert checked == ["good", "other"]
    assert trainer("run", "good.yaml", "--json", *how) == 0
    assert json.loads(capsys.readouterr().out) == said["good"]


def test_a_plan_has_cost_power_and_a_chart(
    trainer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    server.ready()
    monkeypatch.setattr("trainer.sweep.pilot.Pilot.seconds", lambda *_: 60.0)
    monkeypatch.setattr(gpus, "count_gpus", lambda: 2)
    (tmp_path / "search.yaml").write_text(SWEEP.replace("grid", "bayes\nrun_cap: 5").replace("[0.1, 0.2]", "[1, 2]"))
    typed = ["good.yaml", "--noise", "0.3", "--difference", "0.5", "--seeds", "0-3", "train.epochs=2"]
    assert trainer("plan", *typed, "--to", "plan.svg") == 0
    said = capsys.readouterr().out
    assert "good.yaml: 8 points" in said
    assert "8 runs with 16 epochs take about 8 min on this machine, one at a time" in said
    assert said.splitlines()[-1] == "plan.svg"
    assert "standard deviation of a seed 0.30 points (as given)" in said
    text = SWEEP.replace("method", "# Outcome: runs/grad_cosine/mean, higher\nmethod", 1)
    (tmp_path / "asked.yaml").write_text(text)
    assert trainer("plan", "asked.yaml", "--noise", "0.3") == 0
    # Before: 0.30, as if two runs of one seed were alike.
    assert "standard deviation of a pair's difference 0.424 (0.3 of a seed, as given)" in capsys.readouterr().out
    drawn = (tmp_path / "plan.svg").read_text()
    assert "Smallest difference that so many seeds find" in drawn
    assert "Dashed: the difference that is wanted." in drawn
    assert trainer("plan", "good.yaml", "search.yaml", "--json", "--devices", "cuda:0,cuda:1") == 0
    told = json.loads(capsys.readouterr().out)
    assert (told["good"]["seconds"], told["search"]["seconds"]) == (120, 120), "its space has four points"
    assert told["good"]["noise"] is None and "compares" not in told["search"]
    (tmp_path / "some.yaml").write_text(SWEEP.replace("grid", "random\nrun_cap: 4"))
    seconds: list[float] = []
    for part in ([], ["--only", "seed=0"], ["--only", "seed=1"]):
        assert trainer("plan", "some.yaml", "--json", *part) == 0
        seconds.append(json.loads(capsys.readouterr().out)["seconds"])
    assert seconds[0] == seconds[1] + seconds[2] > seconds[1], "before: a part took as long as the whole"
    assert not (tmp_path / "runs").exists(), "nothing was run"
