"""Making a run folder."""

from pathlib import Path

import pytest

from trainer.config import load_config
from trainer.errors import CheckpointError, ConfigError, DiskError
from trainer.runs.folder import has_begun, locked, named, new_folder, refuse_bad_name

CONFIG = load_config(["model.name=lenet5"]).config


def test_a_folder_that_exists_is_named_with_the_command_that_continues_it(tmp_path: Path) -> None:
    runs = tmp_path / "my runs"
    new_folder(runs, "a", CONFIG)
    (runs / "a" / "a.yaml").touch()  # a sweep's
    with pytest.raises(ConfigError, match=r"a exists and is no run; choose another name"):
        new_folder(runs, "a", CONFIG)
    (runs / "a" / "config.yaml").touch()
    with pytest.raises(ConfigError, match=r"a exists; continue it with `trainer train --resume '.*/my runs/a'`"):
        new_folder(runs, "a", CONFIG)


@pytest.mark.parametrize("left", [(), (".lock",), (".lock", "own/net.py", ".config.yaml.12.part")])
def test_what_a_kill_leaves_before_a_run_begins_does_not_take_its_name(tmp_path: Path, left: tuple[str, ...]) -> None:
    folder = tmp_path / "a"
    for name in ("", *left):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).touch() if name else folder.mkdir()
    assert not has_begun(folder)
    refuse_bad_name(tmp_path, "a")
    assert new_folder(tmp_path, "a", CONFIG) == folder and not [*folder.iterdir()]


def test_a_folder_in_which_a_run_is_about_to_begin_is_not_taken(tmp_path: Path) -> None:
    folder = new_folder(tmp_path, "a", CONFIG)
    with locked(folder), pytest.raises(CheckpointError, match="a: another process is training this run"):
        new_folder(tmp_path, "a", CONFIG)
    assert (folder / ".lock").is_file()


@pytest.mark.parametrize("name", ["metrics.jsonl", "checkpoint.pt", "run.json", "summary.json", "notes.txt", ".hidden"])
def test_a_folder_with_anything_else_keeps_its_name(tmp_path: Path, name: str) -> None:
    folder = new_folder(tmp_path, "a", CONFIG)
    (folder / ".lock").touch()
    (folder / name).touch()
    for take in (lambda: refuse_bad_name(tmp_path, "a"), lambda: new_folder(tmp_path, "a", CONFIG)):
        with pytest.raises(ConfigError, match="a exists and is no run"):
            take()
    assert (folder / name).is_file()


def test_a_lock_of_a_folder_that_has_been_replaced_locks_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def replaced(_file: object, _how: int) -> None:
        (tmp_path / ".lock").unlink()
        (tmp_path / ".lock").touch()

    monkeypatch.setattr("fcntl.flock", replaced)
    with pytest.raises(CheckpointError, match="another process is training this run"), locked(tmp_path):
        pass


def test_runs_that_are_a_link_to_nothing_are_no_run(tmp_path: Path) -> None:
    (tmp_path / "runs").symlink_to("nowhere")
    with pytest.raises(DiskError, match="runs/a: cannot be made: File exists"):
        new_folder(tmp_path / "runs", "a", CONFIG)


def test_a_name_that_a_file_has_is_no_run(tmp_path: Path) -> None:
    (tmp_path / "a").touch()
    with pytest.raises(DiskError, match="a: cannot be made: File exists"):
        new_folder(tmp_path, "a", CONFIG)


def test_a_name_that_no_folder_can_have_is_refused_with_its_size(tmp_path: Path) -> None:
    refuse_bad_name(tmp_path, "x" * 255)
    for name, size in (("x" * 256, 256), ("ä" * 128, 256)):
        with pytest.raises(ConfigError, match=rf"--name: '{name}': has {size} bytes; a folder's name has at most 255"):
            refuse_bad_name(tmp_path, name)


def test_runs_that_cannot_be_made_are_refused_before_anything_is_read(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    for runs in (tmp_path / "file", tmp_path / "file" / "runs"):
        with pytest.raises(DiskError, match=r"cannot be made: .*file is not a directory"):
            refuse_bad_name(runs, None)
    refuse_bad_name(tmp_path / "not" / "yet", None)
    assert not (tmp_path / "not").exists()


def test_a_run_has_the_name_of_its_own_folder_however_that_is_typed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = tmp_path / "runs" / "a"
    (run / "export").mkdir(parents=True)
    (tmp_path / "latest").symlink_to(run)
    monkeypatch.chdir(run)
    for typed in (Path(), Path("export/.."), Path("../a"), run, tmp_path / "latest"):
        assert (named(typed).name, named(typed).resolve()) == ("a", run)
    assert named(Path("../a")) == Path("../a")  # messages have what was typed, where that has the name
