"""`trainer bench accuracy` over several sessions and machines: `--have`, and pairs with a peer."""

import gzip
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from command_line import run_here

from trainer.bench import accuracy
from trainer.bench.accuracy import bench_accuracy
from trainer.bench.machines import Machine, machine_of, names_of
from trainer.cli.options import load
from trainer.config import RunConfig
from trainer.errors import ArchiveError, UserError
from trainer.runs.archive import read_archive
from trainer.runs.charged import charged_seconds

AWAY = "Other CPU, 4 threads"
Lines = Callable[[dict[str, Any]], dict[str, Any]]


def words(small_run: list[str]) -> list[str]:
    return [*small_run, "train.epochs=1", "sink.console.mode=off"]


@pytest.fixture
def config(small_run: list[str]) -> RunConfig:
    return load(words(small_run), "none").config


@pytest.fixture(scope="session")
def first(made_once, small_run: list[str]) -> Path:
    """A folder with `runs` of two seeds, and `tiny.jsonl.gz` of them, as a person makes both."""

    def make(folder: Path) -> None:
        command = ["bench", "accuracy", *words(small_run), "--recipe", "none", "--target", "0.05", "--runs", "2"]
        assert run_here([*command, "--folder", str(folder / "runs")]) == 0
        assert run_here(["report", "pack", str(folder / "runs"), "--to", str(folder / "tiny.jsonl.gz")]) == 0

    return made_once("first_of_accuracy", make)


@pytest.fixture
def archive(first: Path, tmp_path: Path) -> Path:
    return Path(shutil.copy(first / "tiny.jsonl.gz", tmp_path))


def tell(archive: Path, *lines: Lines) -> Path:
    """Change the runs of an archive, in their order. The rest stays."""
    header, *runs = gzip.decompress(archive.read_bytes()).decode().splitlines()
    told = [json.dumps(line(json.loads(run))) for line, run in zip(lines, runs, strict=False)]
    archive.write_bytes(gzip.compress("".join(f"{each}\n" for each in [header, *told, *runs[len(lines) :]]).encode()))
    return archive


def provenance(**parts: Any) -> Lines:
    return lambda run: {**run, "provenance": {**run["provenance"], **parts}}


def summary(**parts: Any) -> Lines:
    return lambda run: {**run, "summary": {**run["summary"], **{key.replace("__", "/"): v for key, v in parts.items()}}}


def as_it_was(run: dict[str, Any]) -> dict[str, Any]:
    return run


def judge(config: RunConfig, folder: Path, have: list[Path], *, runs: int = 2, **more: Any) -> tuple[Any, list[str]]:
    """Return (what is measured, notes)."""
    notes: list[str] = []
    found = bench_accuracy(
        config, name="tiny", target=0.05, runs=runs, folder=folder, have=have, note=notes.append, **more
    )
    return found, notes


def test_seeds_of_an_archive_count_as_done_and_only_the_rest_is_trained(
    config: RunConfig, archive: Path, tmp_path: Path
) -> None:
    found, notes = judge(config, tmp_path / "runs", [archive], runs=3)
    assert [path.name for path in tmp_path.glob("runs/seed-*")] == ["seed-2"] and not notes
    takes = found["runs"]["tiny"]
    assert [(take["seed"], take["archive"]) for take in takes] == [
        (0, "tiny.jsonl.gz"),
        (1, "tiny.jsonl.gz"),
        (2, None),
    ]
    for take, entry in zip(takes, read_archive(archive).entries, strict=False):
        assert take["seconds"] == charged_seconds(entry.result.history.summary)
        assert take["accuracy"] == entry.result.history.summary["headline/accuracy"]
    assert len({take["machine"] for take in takes}) == 1
    assert found["findings"][0].startswith("tiny: mean test accuracy ") and "(n=3) in " in found["findings"][0]
    assert f" s (n=3) on {takes[0]['machine']}: " in found["findings"][0]
    assert list(found["measured"]) == ["tiny", f"tiny (n=3) on {takes[0]['machine']}"]
    settings = found["settings"]
    assert (settings["from archives"], settings["made here"]) == (2, 1) and "device" not in settings
    assert [(each["machine"], each["n"]) for each in found["machines"]["tiny"]] == [(takes[0]["machine"], 3)]
    charged, _ = judge(config, tmp_path / "runs", [archive], charge_evaluation=True)
    assert charged["runs"]["tiny"][0]["seconds"] == takes[0]["seconds"] + takes[0]["evaluation"]


def test_all_seeds_in_archives_need_no_folder_and_name_their_machine_not_this_one(
    config: RunConfig, archive: Path, tmp_path: Path
) -> None:
    tell(archive, *[provenance(device=AWAY, machine={"cores": 4})] * 2)
    found, _ = judge(config, tmp_path / "runs", [archive.parent])
    assert len(found["runs"]["tiny"]) == 2 and not (tmp_path / "runs").exists()
    assert f" s (n=2) on {AWAY}, 4 cores: undecided" in found["findings"][0]
    assert list(found["measured"]) == ["tiny", f"tiny (n=2) on {AWAY}, 4 cores"]


def test_seconds_of_two_machines_are_told_apart_and_accuracies_are_pooled(
    config: RunConfig, archive: Path, tmp_path: Path
) -> None:
    def slow(accuracy: float, seconds: float) -> Lines:
        times = {"time__train_seconds": seconds, "time__prepare_seconds": 1.0, "headline__accuracy": accuracy}
        return lambda run: summary(**times)(
            provenance(device=AWAY, machine={"system": "Linux", "cores": 4})(run)  # as older runs say it
        )

    tell(archive, slow(0.2, 1999), slow(0.3, 2001))
    found, notes = judge(config, tmp_path / "runs", [archive], runs=4)
    assert not notes
    takes = found["runs"]["tiny"]
    here, away = takes[2]["machine"], f"{AWAY}, 4 cores"
    assert [take["machine"] for take in takes] == [away, away, here, here]
    assert found["machines"]["tiny"][0] == {"machine": away, "n": 2, "mean": 2001, "sd": pytest.approx(2**0.5)}
    assert (found["machines"]["tiny"][1]["machine"], found["machines"]["tiny"][1]["n"]) == (here, 2)
    measured = found["measured"]
    assert list(measured) == ["tiny", f"tiny (n=2) on {away}", f"tiny (n=2) on {here}"]
    assert list(measured["tiny"]) == ["test accuracy, %"], "no seconds of both"
    assert measured[f"tiny (n=2) on {away}"]["charged, s"] == {"median": 2001, "min": 2000, "max": 2002}
    assert measured[f"tiny (n=2) on {here}"]["charged, s"]["max"] < 2000
    said = found["findings"][0]
    assert f"(n=4) in 2001 ± 1.4 s (n=2) on {away} and " in said and f" s (n=2) on {here}: " in said


def test_machines_that_only_versions_tell_apart_are_named_by_them() -> None:
    run = {"device": "Xeon, 2 threads", "python": "3.11", "machine": {"cores": 2, "processor": "Xeon"}}
    older, newer = (machine_of({**run, "versions": {"torch": each, "timm": "1"}}) for each in ("2.14", "2.15"))
    assert older and newer
    assert list(names_of([older, newer]).values()) == [f"Xeon, 2 threads, 2 cores, torch {v}" for v in ("2.14", "2.15")]
    assert list(names_of([older, older]).values()) == ["Xeon, 2 threads, 2 cores"]
    gpu = Machine("NVIDIA H200", "Xeon", 16, ())
    assert gpu.name == "NVIDIA H200 beside Xeon, 16 cores"
    assert machine_of({}) is None
    without = {**run, "machine": {"cores": 2}, "versions": {"torch": "2.15", "timm": "1"}}
    assert machine_of(without) == newer, "an older run has its processor in `device` only"


def test_a_run_that_moved_or_says_no_machine_counts_without_its_seconds(
    config: RunConfig, archive: Path, tmp_path: Path
) -> None:
    def moved(run: dict[str, Any]) -> dict[str, Any]:
        return provenance(resumed=[{**run["provenance"], "device": AWAY}])(run)

    tell(archive, moved, provenance(device=None))
    found, notes = judge(config, tmp_path / "runs", [archive], runs=3)
    assert [note.partition("seed-")[2] for note in notes] == [
        "0: it moved between machines, so its accuracy counts and its seconds do not",
        "1: it does not say on which machine, so its accuracy counts and its seconds do not",
    ]
    assert [take["machine"] is None for take in found["runs"]["tiny"]] == [True, True, False]
    assert found["machines"]["tiny"][0]["n"] == 1 and "(n=3) in " in found["findings"][0]
    assert " s (n=1) on " in found["findings"][0]
    alone, _ = judge(config, tmp_path / "runs", [archive], runs=2)
    assert " in seconds of no one machine: undecided" in alone["findings"][0] and alone["machines"] == {"tiny": []}


def test_another_number_format_is_another_measurement(config: RunConfig, archive: Path, tmp_path: Path) -> None:
    tell(archive, provenance(precision="float16"))
    found, notes = judge(config, tmp_path / "runs", [archive])
    here = found["settings"]["precision"]
    assert notes == [f"--have: 1 run of it is in float16, and this machine computes in {here}: not counted"]
    assert [take["archive"] for take in found["runs"]["tiny"]] == [None, "tiny.jsonl.gz"]
    tell(archive, as_it_was, provenance(precision=None))
    said = (
        rf"^--have: 2 runs of it are in float16 and a format that it does not say, and this machine .* in {here}, whi"
    )
    with pytest.raises(UserError, match=said):
        judge(config, tmp_path / "none", [archive])
    assert not (tmp_path / "none").exists()


def test_a_run_that_did_not_end_is_made_and_one_that_diverged_is_not_left_out(
    config: RunConfig, archive: Path, tmp_path: Path
) -> None:
    tell(archive, summary(status="interrupted"))
    found, _ = judge(config, tmp_path / "runs", [archive])
    assert [take["archive"] for take in found["runs"]["tiny"]] == [None, "tiny.jsonl.gz"]
    tell(archive, as_it_was, summary(status="diverged"))
    with pytest.raises(UserError, match=r"tiny\.jsonl\.gz/seed-1: the run diverged, and the protocol leaves out no se"):
        judge(config, tmp_path / "runs", [archive])


def test_an_archive_without_the_seconds_that_the_protocol_needs_is_one_line(
    config: RunConfig, archive: Path, tmp_path: Path
) -> None:
    tell(archive, summary(time__build_seconds=None))
    with pytest.raises(UserError, match="seed-0: without an accuracy or seconds of building, so its trainer was older"):
        judge(config, tmp_path / "runs", [archive])


def test_other_configs_seeds_and_files_do_not_count(config: RunConfig, archive: Path, tmp_path: Path) -> None:
    other = config.model_copy(update={"seed": 7})
    found, notes = judge(other, tmp_path / "runs", [archive], runs=1)
    assert notes == ["--have: no run of it has this config and a seed from 7 to 7"]
    assert found["runs"]["tiny"][0]["archive"] is None
    (tmp_path / "empty").mkdir()
    for path, said in ((tmp_path / "empty", "no archive in it"), (tmp_path / "a.txt", "an archive is called NAME")):
        with pytest.raises(ArchiveError, match=said):
            judge(config, tmp_path / "none", [path])


def test_one_seed_with_two_results_is_told_and_the_folder_counts_first(
    config: RunConfig, first: Path, archive: Path, tmp_path: Path
) -> None:
    def changed(run: dict[str, Any]) -> dict[str, Any]:
        rows = {**run["rows"], "test/accuracy": [0.99]}
        return summary(headline__accuracy=0.99)({**run, "rows": rows, "name": "twin"})

    twin = tell(Path(shutil.copy(archive, tmp_path / "twin.jsonl.gz")), changed)
    found, notes = judge(config, tmp_path / "none", [twin, archive])
    (note,) = notes
    assert ", seed 0, has two results: seed-0 (started " in note and "twin (started" in note
    assert found["runs"]["tiny"][0]["archive"] == "tiny.jsonl.gz"
    runs = Path(shutil.copytree(first / "runs", tmp_path / "runs"))
    found, notes = judge(config, runs, [twin])
    assert len(notes) == 1 and "seed-0 (started" in notes[0]
    assert [take["archive"] for take in found["runs"]["tiny"]] == [None, None]
    assert judge(config, runs, [archive])[1] == [], "the same results are not told"


class Peer:
    """A peer's process that says in which order it ran."""

    def __init__(self, *_: Any, **__: Any) -> None:
        self.log = LOG

    def about(self) -> str:
        return "airbench94_muon, float"

    def ask(self, _: str) -> dict[str, float]:
        self.log.append("theirs")
        if "broken" in self.log:
            raise UserError("broken off")
        return {"accuracy": 0.75, "seconds": 2.0, "evaluation": 1.0}

    def end(self) -> None:
        pass


LOG: list[str] = []


@pytest.fixture
def peer(monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """Words of a measurement against a stand-in, which writes down whose turn it was."""
    LOG.clear()
    run_of = accuracy.run_of

    def logged(config: RunConfig, folder: Path, charge_evaluation: bool):
        LOG.append(f"ours {config.seed}")
        return run_of(config, folder, charge_evaluation)

    monkeypatch.setattr(accuracy, "Side", Peer)
    monkeypatch.setattr(accuracy, "run_of", logged)
    return {"against": Path("airbench94_muon.py")}


def test_the_peer_takes_turns_with_the_first_new_runs_only(
    config: RunConfig, archive: Path, tmp_path: Path, peer: dict[str, Any]
) -> None:
    tell(archive, summary(time__train_seconds=1e6))  # would show in the ratio
    found, notes = judge(config, tmp_path / "runs", [archive], runs=5, peer_runs=2, **peer)
    assert LOG == ["ours 2", "theirs", "theirs", "ours 3", "ours 4"] and not notes
    pairs = found["runs"]["airbench94_muon"]
    assert [(take["seed"], take["seconds"]) for take in pairs] == [(2, 2.0), (3, 2.0)]
    assert pairs[0]["machine"] == found["runs"]["tiny"][2]["machine"]
    seconds = [take["seconds"] / 2 for take in found["runs"]["tiny"][2:4]]
    ratio = found["measured"]["tiny"]["seconds to theirs, ratio"]
    assert (ratio["min"], ratio["max"]) == (min(seconds), max(seconds)) and found["settings"]["pairs"] == 2
    assert (
        found["findings"][2].startswith("tiny to airbench94_muon: ")
        and " of its seconds in 2 pairs, in turns on " in (found["findings"][2])
    )
    LOG.clear()
    again, _ = judge(config, tmp_path / "runs", [archive], runs=5, peer_runs=2, **peer)
    assert "theirs" not in LOG and again["measured"] == found["measured"]
    _, notes = judge(config, tmp_path / "runs", [archive], runs=5, peer_runs=4, **peer)
    assert notes == ["--peer-runs 4: only 2 of our runs can take turns with the peer's"]


def test_a_peer_called_as_ours_hides_none_of_our_runs(config: RunConfig, tmp_path: Path, peer: dict[str, Any]) -> None:
    """legacy/airbench95.py beside the network airbench95."""
    found = bench_accuracy(
        config, name="tiny", target=0.5, runs=1, folder=tmp_path, against=Path("tiny.py"), note=lambda _: None
    )
    assert [*found["runs"]] == ["tiny", "tiny of the peer"]


def test_a_pair_that_was_broken_off_stays_one_and_runs_without_a_peer_are_in_none(
    config: RunConfig, tmp_path: Path, peer: dict[str, Any]
) -> None:
    judge(config, tmp_path, [], runs=1)
    LOG.append("broken")
    with pytest.raises(UserError, match="broken off"):
        judge(config, tmp_path, [], runs=3, **peer)
    LOG.clear()
    found, _ = judge(config, tmp_path, [], runs=3, **peer)
    assert [take["seed"] for take in found["runs"]["airbench94_muon"]] == [1, 2]
    assert len(found["runs"]["tiny"]) == 3


def test_a_peer_needs_runs_of_ours_to_take_turns_with(
    config: RunConfig, archive: Path, tmp_path: Path, peer: dict[str, Any]
) -> None:
    with pytest.raises(UserError, match=r"^--against: all runs are there, so none is left to take turns with"):
        judge(config, tmp_path / "runs", [archive], **peer)


@pytest.mark.parametrize(
    ("more", "said"),
    [
        (["--peer-runs", "2"], "error: --peer-runs 2: goes with --against CHECKOUT\n"),
        (
            ["--peer-runs", "3", "--runs", "2", "--against", "."],
            "error: --peer-runs 3: more than --runs 2; a run of the peer's is beside one of ours\n",
        ),
        (["--have", "cpu94.json"], "error: --have: cpu94.json: an archive is called NAME.jsonl.gz\n"),
        (["--have", "no.jsonl.gz"], "error: no.jsonl.gz: cannot be read: No such file or directory\n"),
    ],
)
def test_wrong_words_are_one_line(
    more: list[str], said: str, small_run: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert run_here(["bench", "accuracy", *words(small_run), *more]) == 2
    assert capsys.readouterr().err == said


def test_a_session_goes_on_from_the_archive_of_the_one_before(
    small_run: list[str], archive: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """As docs/records.md has it: pack, then `--have`, then pack into the same archive."""
    command = ["bench", "accuracy", *words(small_run), "--recipe", "none", "--target", "0.05", "--runs", "3"]
    assert run_here([*command, "--folder", str(tmp_path / "runs"), "--have", str(archive)]) == 0
    said = capsys.readouterr().out
    assert ", from archives 2, made here 1 (" in said and "(n=3) in " in said
    assert run_here(["report", "pack", str(tmp_path / "runs"), "--to", str(archive)]) == 0
    assert [run.result.seed for run in read_archive(archive).entries] == [0, 1, 2]
    capsys.readouterr()
    assert run_here([*command, "--folder", str(tmp_path / "none"), "--have", str(archive), "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert [take["archive"] for take in found["runs"]["none"]] == ["tiny.jsonl.gz"] * 3
