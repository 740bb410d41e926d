"""W&B's files of a sweep's runs in one folder."""

import shutil
from pathlib import Path

from trainer.sweep.together import link_runs


def segment(sweep: Path, run: str, name: str) -> Path:
    path = sweep / run / "wandb" / name
    path.mkdir(parents=True)
    (path / f"{name}.wandb").write_text(run)
    return path


def test_every_segment_of_every_run_is_linked_once_and_what_is_gone_is_dropped(tmp_path: Path) -> None:
    link_runs(tmp_path)
    assert not list(tmp_path.iterdir()), "nothing to link"
    segment(tmp_path, "lr=0.1-s0", "offline-run-20261129_031958-aa")
    segment(tmp_path, "lr=0.1-s0", "offline-run-20261129_041958-aa")  # it was resumed
    segment(tmp_path, "lr=0.1-s1", "run-20261129_031959-bb")
    (tmp_path / "lr=0.1-s1" / "wandb" / "latest-run").symlink_to("run-20261129_031959-bb")
    for _ in range(2):
        link_runs(tmp_path)
        found = {link.name: (link / f"{link.name}.wandb").read_text() for link in (tmp_path / "wandb").iterdir()}
        assert found == {
            "offline-run-20261129_031958-aa": "lr=0.1-s0",
            "offline-run-20261129_041958-aa": "lr=0.1-s0",
            "run-20261129_031959-bb": "lr=0.1-s1",
        }
    shutil.rmtree(tmp_path / "lr=0.1-s1")
    moved = tmp_path.rename(tmp_path.with_name("moved"))
    link_runs(moved)
    assert sorted(link.name for link in (moved / "wandb").iterdir()) == [
        "offline-run-20261129_031958-aa",
        "offline-run-20261129_041958-aa",
    ]
    assert all(link.exists() for link in (moved / "wandb").iterdir()), "links are relative"
