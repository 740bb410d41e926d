"""Runs at chance: those that ended with a test accuracy that guessing reaches, where another run has learned."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TypeVar

from trainer.errors import UserError
from trainer.runs.history import History, is_finite, read_history
from trainer.statistics.failures import at_chance, learned

TestSet = tuple[int, int]  # images, classes
Key = TypeVar("Key")

_TEST_SETS: dict[str, TestSet] = {
    "cifar10": (10_000, 10),
    "cifar100": (10_000, 100),
    "svhn": (26_032, 10),
    "mnist": (10_000, 10),
    "fashion_mnist": (10_000, 10),
    "shapes10": (2_000, 10),
}


def tests_of(history: History) -> TestSet | None:
    """Return the test set of a run, of its predictions or else of its data set. None if it tells neither."""
    if counts := history.confusion:
        return sum(map(sum, counts)), len(counts)
    if history.correct is not None and history.classes:  # more classes than a matrix is kept of
        return len(history.correct), len(history.classes)
    return tests_named(history.config.get("data.name"))


def tests_in(folder: Path) -> TestSet | None:
    """Return the test set of the run in a folder, or None if it does not tell, or cannot be read."""
    try:
        return tests_of(read_history(folder))
    except UserError:
        return None


def tests_named(data: object) -> TestSet | None:
    """Return the test set of a data set by its name, or None if its size is not known."""
    return _TEST_SETS.get(str(data))


def at_guessing(results: Mapping[Key, tuple[float, TestSet]]) -> set[Key]:
    """Return which runs are at chance, from (test accuracy as a fraction, test set) of all finished runs of a table.

    Where no run has learned, nothing is known to have failed: the runs may be too short for anything.
    """
    if not any(learned(accuracy, classes=classes) for accuracy, (_, classes) in results.values()):
        return set()
    return {
        key
        for key, (accuracy, (images, classes)) in results.items()
        if at_chance(accuracy, images=images, classes=classes)
    }


def that_learned(histories: Sequence[History]) -> list[History]:
    """Return the runs without those that finished at chance."""
    lost = at_guessing(
        {
            number: (accuracy, tests)
            for number, run in enumerate(histories)
            if run.status == "finished"
            and is_finite(accuracy := run.summary.get("test/accuracy"))
            and (tests := tests_of(run))
        }
    )
    return [run for number, run in enumerate(histories) if number not in lost]
