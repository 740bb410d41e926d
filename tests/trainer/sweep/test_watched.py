"""A ledger, read by one who only looks while its controller works."""

from pathlib import Path

import optuna
import pytest
from pretend.watch import write_sweep

from trainer.errors import SweepError
from trainer.sweep.file import read_sweep, with_overrides
from trainer.sweep.ledger import Ledger
from trainer.sweep.points import Entry, Point, points_of
from trainer.sweep.watched import watched


def entry_of(point: Point) -> Entry:
    return Entry(point, f"s{point.values['seed']}", "0")


def begun(folder: Path) -> tuple[Ledger, Path]:
    """A ledger with three points, and the file in its folder."""
    path = write_sweep(folder, {"seed": {"values": [0, 1, 2]}})
    sweep = read_sweep(path)
    home = folder / sweep.name
    ledger = Ledger(sweep, home, None, overrides=[])
    ledger.enqueue([entry_of(point) for point in points_of(sweep)])
    kept = home / f"{sweep.name}.yaml"
    kept.write_text(path.read_text())
    return ledger, kept


def test_it_sees_what_the_controller_does(tmp_path: Path) -> None:
    ledger, path = begun(tmp_path)
    with ledger:
        first = ledger.claim(entry_of)
        assert first
        (path.parent / first.run).mkdir()
        ledger.finish(first, "finished", 0.5)
        second = ledger.claim(entry_of)
        assert second
        found = watched(path)
        assert found and [point.state for point in found.progress.points] == ["finished", "running", "waiting"]
        assert found.progress.points[0].value == 0.5 and list(found.seconds) == [first.point.key]
        ledger.finish(second, "crashed", message="killed by signal 9")
        found = watched(path)
        assert found and found.progress.points[1].attempts[0].message == "killed by signal 9"
        assert ledger.claim(entry_of), "a look takes no point away"


def test_a_controller_that_has_died_runs_nothing(tmp_path: Path) -> None:
    ledger, path = begun(tmp_path)
    with ledger:
        ledger.claim(entry_of)
    found = watched(path)
    assert found and found.progress.points[0].state == "interrupted"


def test_seeds_that_were_asked_for_later_are_points(tmp_path: Path) -> None:
    ledger, path = begun(tmp_path)
    with ledger:
        ledger.note_seeds([7])
    found = watched(path)
    assert found and [point.point.values["seed"] for point in found.progress.points] == [0, 1, 2, 7]


@pytest.mark.parametrize("override", ["train.epochs=2", "data.root=/elsewhere", "optimizer.lr=0.2"])
@pytest.mark.parametrize("method", ["grid", "random", "bayes"])
def test_the_points_are_those_it_was_begun_with(method: str, override: str, tmp_path: Path) -> None:
    parameters = {"seed": {"values": [0, 1, 2]}, "optimizer.lr": {"value": 0.1}, "train.epochs": {"value": 1}}
    path = write_sweep(tmp_path, parameters, method=method, run_cap=3)
    sweep = with_overrides(read_sweep(path), [override])
    home = tmp_path / sweep.name
    with Ledger(sweep, home, None, overrides=[override]) as ledger:
        ledger.enqueue([entry_of(point) for point in points_of(sweep)])
        assert ledger.claim(entry_of)
        ledger.note_seeds([7] if method == "grid" else [])
        found = watched(path, folder=home)
    assert found and not found.progress.foreign
    states = ["running"] if method == "bayes" else ["running", "waiting", "waiting"]
    assert [each.state for each in found.progress.points] == [*states, *(["missing"] if method == "grid" else [])]


def test_a_ledger_whose_controller_died_in_its_first_moment_has_nothing_to_show(tmp_path: Path) -> None:
    path = write_sweep(tmp_path)
    optuna.create_study(storage=f"sqlite:///{tmp_path / 'ledger.db'}", study_name="s")
    assert watched(path) is None


def test_the_points_are_those_of_the_file_that_is_named(tmp_path: Path) -> None:
    ledger, path = begun(tmp_path)
    with ledger:
        first = ledger.claim(entry_of)
        assert first
        (path.parent / first.run).mkdir()
        ledger.finish(first, "finished", 0.5)
    (tmp_path / "edit").mkdir()
    edited = tmp_path / "edit" / path.name
    edited.write_text(path.read_text().replace("2", "9"))
    found = watched(edited, folder=path.parent)
    assert found and [each.point.values["seed"] for each in found.progress.points] == [0, 1, 9]
    assert [each.state for each in found.progress.points] == ["finished", "waiting", "missing"]


def test_without_a_ledger_there_is_nothing_to_see(tmp_path: Path) -> None:
    path = write_sweep(tmp_path, {"seed": {"values": [0]}})
    assert watched(path) is None and not (path.parent / "ledger.db").exists()


def test_a_broken_ledger_is_a_line(tmp_path: Path) -> None:
    path = write_sweep(tmp_path, {"seed": {"values": [0]}})
    (path.parent / "ledger.db").write_text("no database, but longer than the header of one" * 9)
    with pytest.raises(SweepError, match="not a database"):
        watched(path)
