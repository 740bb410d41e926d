"""Making a run folder."""

from pathlib import Path

import pytest

from trainer.config import load_config
from trainer.errors import ConfigError, DiskError
from trainer.runs.folder import new_folder, refuse_bad_name

CONFIG = load_config(["model.name=lenet5"]).config


def test_a_folder_that_exists_is_named_with_the_command_that_continues_it(tmp_path: Path) -> None:
    runs = tmp_path / "my runs"
    new_folder(runs, "a", CONFIG)
    with pytest.raises(ConfigError, match=r"a exists and is no run; choose another name"):  # such as a sweep's
        new_folder(runs, "a", CONFIG)
    (runs / "a" / "config.yaml").touch()
    with pytest.raises(ConfigError, match=r"a exists; continue it with `trainer train --resume '.*/my runs/a'`"):
        new_folder(runs, "a", CONFIG)


def test_runs_that_are_a_link_to_nothing_are_no_run(tmp_path: Path) -> None:
    (tmp_path / "runs").symlink_to("nowhere")
    with pytest.raises(DiskError, match="runs/a: cannot be made: File exists"):
        new_folder(tmp_path / "runs", "a", CONFIG)


def test_a_name_that_a_file_has_is_no_run(tmp_path: Path) -> None:
    (tmp_path / "a").touch()
    with pytest.raises(DiskError, match="a: cannot be made: File exists"):
        new_folder(tmp_path, "a", CONFIG)


def test_runs_that_cannot_be_made_are_refused_before_anything_is_read(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    for runs in (tmp_path / "file", tmp_path / "file" / "runs"):
        with pytest.raises(DiskError, match=r"cannot be made: .*file is not a directory"):
            refuse_bad_name(runs, None)
    refuse_bad_name(tmp_path / "not" / "yet", None)
    assert not (tmp_path / "not").exists()
