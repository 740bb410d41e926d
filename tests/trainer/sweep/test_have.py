"""`trainer sweep run --have`: what an archive has is not run again."""

import gzip
import json
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from command_line import run_here

from trainer.cli.sweep_here import Place, opened, rerun_of
from trainer.config.overrides import nest
from trainer.runs.archive import read_archive
from trainer.runs.folder import hash_of
from trainer.runs.outcomes import Trace
from trainer.runs.trace_text import pack_trace
from trainer.sweep.check import check
from trainer.sweep.file import read_sweep
from trainer.sweep.have import Had, runs_in
from trainer.sweep.header import Until
from trainer.sweep.ledger import Ledger
from trainer.sweep.local import open_sweep
from trainer.sweep.points import Checked

ARCHIVE = "rates.jsonl.gz"


@pytest.fixture
def sweep(tmp_path: Path, small_run: list[str]) -> Path:
    return write_sweep(tmp_path, small_run)


def write_sweep(folder: Path, small_run: list[str]) -> Path:
    """Write a sweep of two rates and two seeds, of runs of a second."""
    fixed = {key: {"value": yaml.safe_load(value)} for key, _, value in (word.partition("=") for word in small_run)}
    path = folder / "rates.yaml"
    swept = {"optimizer.lr": {"values": [0.01, 0.02]}, "seed": {"values": [0, 1]}, "train.epochs": {"value": 1}}
    file = {"method": "grid", "metric": {"name": "test/accuracy", "goal": "maximize"}, "parameters": fixed | swept}
    path.write_text(yaml.safe_dump(file))
    return path


@pytest.fixture(scope="session")
def first(made_once, small_run: list[str]) -> Path:
    """The folder where all four points were run, with an archive of three of them."""

    def make(folder: Path) -> None:
        sweep, archive = write_sweep(folder, small_run), folder / ARCHIVE
        assert run_here(["sweep", "run", str(sweep), "--runs", str(folder), "--devices", "cpu"]) == 0
        assert run_here(["report", "pack", str(folder / "rates"), "--to", str(archive)]) == 0
        keep(archive, lambda lines: lines[:3])

    return made_once("first_of_have", make)


@pytest.fixture
def archive(first: Path, tmp_path: Path) -> Path:
    (tmp_path / "packed").mkdir()
    return Path(shutil.copy(first / ARCHIVE, tmp_path / "packed"))


@pytest.fixture
def whole(first: Path, tmp_path: Path) -> Path:
    """An archive of all four points, under another name than the sweep's."""
    packed = tmp_path / ARCHIVE
    assert run_here(["report", "pack", str(first / "rates"), "--to", str(packed)]) == 0
    return packed.rename(packed.with_name("whole.jsonl.gz"))


def keep(archive: Path, of_runs) -> None:
    header, *lines = gzip.decompress(archive.read_bytes()).decode().splitlines(keepends=True)
    archive.write_bytes(gzip.compress("".join([header, *of_runs(lines)]).encode()))


def older(line: str) -> str:
    """Return a run's line as a trainer with a key less wrote it."""
    content = json.loads(line)
    assert content["config"].pop("train.clip_grad_norm") == 0
    assert "train" in nest(content["config"])
    return json.dumps({**content, "hash": hash_of(content["config"])}) + "\n"


def test_an_empty_folder_gets_only_the_runs_that_the_archive_lacks(
    sweep: Path, first: Path, archive: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    runs = tmp_path / "second"
    command = ["sweep", "run", str(sweep), "--runs", str(runs), "--devices", "cpu", "--have", str(archive)]
    assert run_here(command) == 0
    (run,) = [path.parent.name for path in runs.glob("rates/*/config.yaml")]
    assert run not in {entry.result.name for entry in read_archive(archive).entries}
    for again in (command, command[:-2]):  # the ledger remembers
        assert run_here(again) == 0
        assert len(list(runs.glob("rates/*/config.yaml"))) == 1
    capsys.readouterr()
    assert run_here(["sweep", "status", str(sweep), "--runs", str(runs)]) == 0
    said = capsys.readouterr().out
    assert f"from {archive}: 3 points" in said
    assert said.splitlines()[-1] == "4 of 4 points are done"
    assert run_here(["sweep", "status", str(sweep), "--runs", str(runs), "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["archives"] == {str(archive): 3} and told["states"] == {"finished": 4}
    # And both together are the table of the whole sweep, whose runs do not depend on where they ran.
    assert run_here(["report", str(runs / "rates"), str(archive), "--json", "--out", str(tmp_path / "both")]) == 0
    both = json.loads(capsys.readouterr().out)[0]
    assert run_here(["report", str(first / "rates"), "--json", "--out", str(tmp_path / "one")]) == 0
    whole = json.loads(capsys.readouterr().out)[0]
    figures = [
        [(run["run"], run["headline"], run["train_acc"]) for point in table["points"] for run in point["runs"]]
        for table in (both, whole)
    ]
    assert figures[0] == figures[1]


def test_an_archive_of_another_sweep_is_told(
    sweep: Path, archive: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Before: not a word, and every point was trained."""
    place = Place(tmp_path / "runs", None, ["cpu"], 1, None)
    opened([sweep], [], place, [archive], None)
    assert capsys.readouterr().err == ""
    opened([sweep], ["model.width=3"], place, [archive], None)
    assert capsys.readouterr().err == "note: --have: no run of it is a point of rates\n"


def test_the_copy_of_an_older_archive_can_be_read_again(
    sweep: Path, archive: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Its lines have the hash of another trainer's keys. Before: the second command wrote each line twice."""
    keep(archive, lambda lines: [*map(older, lines)])
    command = ["sweep", "run", str(sweep), "--runs", str(tmp_path / "r"), "--devices", "cpu", "--have", str(archive)]
    for _ in range(2):
        assert run_here([*command, "--only", "seed=0", "--only", "optimizer.lr=0.01"]) == 0
    assert len(read_archive(tmp_path / "r/rates/rates.jsonl.gz").entries) == 3


def test_a_report_has_the_runs_of_an_archive_of_another_name(
    sweep: Path, archive: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Before: `status` counted them, and a sweep whose runs are all in another sweep's archive had no report."""
    other = archive.rename(archive.with_name("other.jsonl.gz"))
    runs = tmp_path / "second"
    command = ["sweep", "run", str(sweep), "--runs", str(runs), "--devices", "cpu", "--have", str(other)]
    had = {entry.result.name for entry in read_archive(other).entries}
    seeds = ["--only", "seed=0", "--only", "optimizer.lr=0.01"]
    for _ in range(2):
        assert run_here([*command, *seeds]) == 0
    other.unlink()
    assert not list(runs.glob("rates/*/config.yaml"))
    capsys.readouterr()
    assert run_here(["report", "rates", "--runs", str(runs), "--json"]) == 0
    (table,) = json.loads(capsys.readouterr().out)
    assert {run["run"] for point in table["points"] for run in point["runs"]} == had
    assert run_here(["report", "pack", "rates", "--runs", str(runs), "--to", str(tmp_path / "rates.jsonl.gz")]) == 0
    packed = read_archive(tmp_path / "rates.jsonl.gz")
    assert {entry.result.name for entry in packed.entries} == had and packed.sweep


@pytest.mark.parametrize(
    "until", [["--until", "decided", "--at-least", "2", "--at-most", "2"], ["--for", "1h"]], ids=["decided", "for"]
)
def test_a_sweep_that_an_archive_has_whole_is_begun(
    sweep: Path, whole: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], until: list[str]
) -> None:
    """Before: the command said what was decided, and nobody knew of it afterwards."""
    runs = tmp_path / "second"
    command = ["sweep", "run", str(sweep), "--runs", str(runs), "--devices", "cpu", *until, "--have", str(whole)]
    assert run_here(command) == 0
    assert not list(runs.glob("rates/*/config.yaml"))
    capsys.readouterr()
    assert run_here(["sweep", "status", str(sweep), "--runs", str(runs)]) == 0
    assert capsys.readouterr().out.splitlines()[-1] == "4 of 4 points are done"
    design = read_sweep(runs / "rates" / "rates.yaml").header.until
    assert design == (Until("best", "", 2, 2, None) if "decided" in until else None)
    whole.unlink()
    assert run_here(["report", "rates", "--runs", str(runs), "--json"]) == 0
    (table,) = json.loads(capsys.readouterr().out)
    assert sum(len(point["runs"]) for point in table["points"]) == 4


def test_later_commands_know_the_further_seeds_of_an_archive(
    sweep: Path, whole: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Before: of seeds beyond the file's, they knew those that were run and not those that an archive had."""
    runs = tmp_path / "second"
    sweep.write_text(sweep.read_text().replace("    - 0\n    - 1\n", "    - 0\n"))
    assert read_sweep(sweep).file.parameters["seed"] == {"values": [0]}
    design = ["--until", "decided", "--at-least", "2", "--at-most", "3"]
    assert run_here(["sweep", "run", str(sweep), "--runs", str(runs), *design, "--have", str(whole)]) == 0
    capsys.readouterr()
    assert run_here(["sweep", "status", str(sweep), "--runs", str(runs), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["archives"] == {str(whole): 4}


@pytest.mark.parametrize(
    ("storage", "said"),
    [(None, ""), ("sqlite:///a b.db", " --storage 'sqlite:///a b.db'"), ("known", ""),
     ("postgresql://me:word@host/db", " --storage 'postgresql://me:***@host/db'")],
)  # fmt: skip
def test_the_command_that_goes_on_names_the_storage(storage: str | None, said: str, monkeypatch) -> None:
    """Before: it ended with `no sweep was begun here`."""
    monkeypatch.setenv("TRAINER_STORAGE", "known")
    place = Place(Path("r4"), storage, ["cpu"], 1, None)
    assert rerun_of(Path("rates.yaml"), place) == f"trainer sweep rerun rates.yaml --runs r4{said}"


def had_of(sweep: Path, archives: Sequence[Path]) -> tuple[Checked, tuple[Had, ...]]:
    checked = check(read_sweep(sweep))
    return checked, runs_in(archives, checked).had


def test_a_point_that_waits_is_taken_from_an_archive_and_one_that_is_done_is_not(
    sweep: Path, archive: Path, tmp_path: Path
) -> None:
    checked, had = had_of(sweep, [archive])
    assert len(had) == 3
    folder = tmp_path / "third" / "rates"
    folder.mkdir(parents=True)
    with Ledger(checked.sweep, folder, None, overrides=[]) as ledger:
        ledger.enqueue(checked.entries)
        claim = ledger.claim(lambda point: pytest.fail("a grid proposes nothing"))
        assert claim
        ledger.finish(claim, "finished", 0.5)
        for _ in range(2):
            ledger.take(had)
        attempts = ledger.attempts()
        done_here = [attempt for attempt in attempts if attempt.state == "finished" and not attempt.archive]
        assert [attempt.value for attempt in done_here] == [0.5]
        taken = {attempt.point.key for attempt in attempts if attempt.archive} - {claim.point.key}
        waiting = {attempt.point.key for attempt in attempts if attempt.state == "waiting"}
        assert not taken & waiting
        assert len(taken | waiting) == 3
        assert list(ledger.seconds()) == [claim.point.key], "the one that ran here"
        left = ledger.claim(lambda point: pytest.fail("a grid proposes nothing"))
        assert left is None or left.point.key in waiting


def test_a_run_that_diverged_is_one_run_of_its_point_wherever_it_is_known_from(
    sweep: Path, archive: Path, tmp_path: Path
) -> None:
    """Before: it was in `progress` twice, by the ledger and by the archive."""
    keep(archive, lambda lines: [lines[0].replace('"status":"finished"', '"status":"diverged"'), *lines[1:]])
    here = open_sweep(sweep, runs=tmp_path / "second", have=[archive])
    before = here.progress()
    here.begin()
    assert before.count("diverged") == 1 and here.progress() == before
    assert sorted(len(status.attempts) for status in before.points) == [0, 1, 1, 1]


def test_runs_that_did_not_end_or_have_another_config_do_not_count(sweep: Path, archive: Path, tmp_path: Path) -> None:
    keep(archive, lambda lines: [lines[0].replace('"status":"finished"', '"status":"interrupted"'), *lines[1:]])
    assert len(had_of(sweep, [archive])[1]) == 2
    sweep.write_text(sweep.read_text().replace("train.epochs:\n    value: 1", "train.epochs:\n    value: 2"))
    assert not had_of(sweep, [archive])[1]


@pytest.mark.parametrize(
    ("outcome", "told"),
    [
        ("runs/lipschitz/max, lower", {"measures": {"runs/lipschitz/max": 2.0}}),
        ("runs/loss/width, lower", {"traces": {"runs/loss": pack_trace(Trace(np.arange(3), np.ones(3)))}, "format": 2}),
        (
            "runs/loss/width@1-, lower",
            {"traces": {"runs/loss": pack_trace(Trace(np.arange(3), np.ones(3)))}, "format": 2},
        ),
    ],
)
def test_a_run_without_the_outcome_of_the_sweep_does_not_count(
    outcome: str, told: dict[str, Any], sweep: Path, archive: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Before: probes enter no hash, so a run without them was the point's, which was never measured."""
    text = sweep.read_text().replace("parameters:\n", "parameters:\n  probe.drift.every: {value: 1}\n")
    sweep.write_text(f"# Which rate?\n# Outcome: {outcome}\n{text}")
    place = Place(tmp_path / "runs", None, ["cpu"], 1, None)

    def told_by(count: int) -> str:
        (opened_sweep,) = opened([sweep], [], place, [archive], None)
        assert len(opened_sweep.packed.had) == count
        assert opened_sweep.progress().count("finished", "diverged") == count
        return capsys.readouterr().err

    name = outcome.partition(",")[0]
    assert told_by(0) == f"note: --have: 3 runs of it have no {name}, which rates asks for: not done\n"
    keep(archive, lambda lines: [json.dumps({**json.loads(lines[0]), **told}) + "\n", *lines[1:]])
    assert told_by(1) == f"note: --have: 2 runs of it have no {name}, which rates asks for: not done\n"
    keep(archive, lambda lines: [*lines[:2], lines[2].replace('"status":"finished"', '"status":"diverged"')])
    if "width" in outcome:  # a band has the steps of a run until it diverged
        assert told_by(1) == f"note: --have: 2 runs of it have no {name}, which rates asks for: not done\n"
    else:
        assert told_by(2) == f"note: --have: 1 run of it has no {name}, which rates asks for: not done\n"
    sweep.write_text(sweep.read_text().replace(outcome, "test/loss, lower"))
    assert told_by(3) == ""


def test_a_config_that_lacks_a_newer_key_is_still_found(sweep: Path, archive: Path) -> None:
    """An older trainer stored fewer keys. Today's defaults fill them in."""
    keep(archive, lambda lines: [*map(older, lines)])
    assert len(had_of(sweep, [archive])[1]) == 3


def test_a_search_that_proposes_its_points_and_a_damaged_archive_are_refused(
    sweep: Path, archive: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    command = ["sweep", "run", str(sweep), "--runs", str(tmp_path / "none"), "--have"]
    assert run_here([*command, str(tmp_path / "no.jsonl.gz")]) == 2
    assert run_here([*command, str(sweep)]) == 2
    archive.write_bytes(archive.read_bytes()[:200])
    capsys.readouterr()
    assert run_here([*command, str(archive)]) == 2
    assert "truncated" in capsys.readouterr().err
    assert not (tmp_path / "none").exists()
    sweep.write_text(sweep.read_text().replace("method: grid", "method: bayes\nrun_cap: 2"))
    assert run_here([*command, str(archive)]) == 2
    assert "bayes search proposes" in capsys.readouterr().err
