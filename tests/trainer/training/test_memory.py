"""The memory that is free: what is left in a container or a job of a cluster, which may be less than the machine's."""

from pathlib import Path

import pytest

from trainer.training.memory import left_in_groups


def group(folder: Path, **files: object) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    for name, content in files.items():
        (folder / name.replace("_", ".", 1)).write_text(f"{content}\n")
    return folder


def test_a_limit_of_any_group_above_counts_less_what_is_used(tmp_path: Path) -> None:
    (tmp_path / "processes").write_text("0::/job/step\n")
    root = tmp_path / "cgroup"
    group(root / "job", memory_max=1000, memory_current=700, memory_stat="anon 400\ninactive_file 200")
    group(root / "job" / "step", memory_max="max", memory_current=600, memory_stat="inactive_file 0")
    assert [*left_in_groups(tmp_path / "processes", root)] == [500]
    (tmp_path / "processes").write_text("0::/of/the/host\n")  # a container sees its own group at the top
    group(root, memory_max=300, memory_current=100, memory_stat="inactive_file 0")
    assert [*left_in_groups(tmp_path / "processes", root)] == [200]


def test_a_limit_of_version_1_counts_too(tmp_path: Path) -> None:
    (tmp_path / "processes").write_text("5:cpu:/\n4:memory:/docker/abc\n0::/\n")
    top = group(tmp_path / "cgroup" / "memory", memory_stat="total_inactive_file 50")
    (top / "memory.limit_in_bytes").write_text("1000\n")
    (top / "memory.usage_in_bytes").write_text("400\n")
    assert [*left_in_groups(tmp_path / "processes", tmp_path / "cgroup")] == [650]


@pytest.mark.parametrize("text", ["0::/\n", "", None])
def test_without_groups_there_is_nothing_to_say(tmp_path: Path, text: str | None) -> None:
    if text is not None:
        (tmp_path / "processes").write_text(text)
    assert [*left_in_groups(tmp_path / "processes", tmp_path / "cgroup")] == []
