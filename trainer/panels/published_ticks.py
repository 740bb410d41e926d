"""Published accuracies of groups of runs."""

from collections.abc import Sequence

from trainer.config.overrides import flatten, read_overrides
from trainer.panels.panel import Histories
from trainer.published import PublishedRow, rows, runs_of
from trainer.runs.groups import telling_keys
from trainer.runs.history import History


def printed_accuracies(groups: Histories) -> dict[str, float]:
    """Return by group the test accuracy in percent of the published row with its settings, if there is one.

    Only the rows that the runs' sweep answers are searched. A row fits a group if it has all keys that distinguish the
    groups, and if the runs have all settings of the row. Any other figure would be no comparison.
    """
    keys = telling_keys([run.config for runs in groups.values() for run in runs])
    accuracies: dict[str, float] = {}
    for label, (first, *_) in groups.items():
        sweep = first.folder.resolve().parent.name
        printed = [row for row in rows() if row.sweep == sweep and "test_acc" in row.printed]
        fitting = (row.printed["test_acc"] for row in printed if _fits(row, first, keys))
        if (figure := next(fitting, None)) is not None:
            accuracies[label] = figure
    return accuracies


def _fits(row: PublishedRow, run: History, keys: Sequence[str]) -> bool:
    settings = [flatten(read_overrides(overrides)) for overrides in runs_of(row)]
    return any(asked.keys() >= set(keys) and asked.items() <= run.config.items() for asked in settings)
