"""The measurement of starts: processor time, in turns, with machine and versions."""

from pathlib import Path

import pytest

from trainer.runs import starts


def test_the_first_round_is_left_out_and_the_middle_is_reported(monkeypatch: pytest.MonkeyPatch) -> None:
    taken = iter([90.0, 91.0, 1.0, 10.0, 3.0, 30.0, 2.0, 20.0])
    asked: list[str] = []

    def seconds(_: str, words: str, __: Path) -> float:
        asked.append(words)
        return next(taken)

    monkeypatch.setattr(starts, "_seconds", seconds)
    found = starts.bench_start(rounds=3, starts={"a": "one", "b": "two"})
    assert asked == ["one", "two"] * 4
    assert found["seconds"] == {
        "a": {"median": 2.0, "min": 1.0, "max": 3.0},
        "b": {"median": 20.0, "min": 10.0, "max": 30.0},
    }
    assert found["machine"]["versions"]["torch"]
    assert found["machine"]["cores"] >= 1


def test_processes_are_measured() -> None:
    found = starts.bench_start(rounds=1, starts={"help": "--help", "wrong model": "train --model resnet81"})
    assert all(0.01 < each["min"] == each["median"] == each["max"] for each in found["seconds"].values())


def test_a_command_that_ends_otherwise_is_not_measured() -> None:
    with pytest.raises(RuntimeError, match="exit code 2"):
        starts.bench_start(rounds=1, starts={"config": "config --model resnet81"})
