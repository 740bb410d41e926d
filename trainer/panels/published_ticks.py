"""What the reports print, held against groups of runs: a tick beside our dots."""

from collections.abc import Mapping, Sequence

from trainer.config.overrides import flatten, read_overrides
from trainer.published import PublishedRow, rows, runs_of
from trainer.runs.groups import telling_keys
from trainer.runs.history import History


def printed_accuracies(groups: Mapping[str, Sequence[History]]) -> dict[str, float]:
    """By group, the test accuracy in percent of the published row with its settings, among those that are answered by
    the sweep in whose folder the runs lie. A row counts where it says all that tells the groups apart, and where the
    runs have all that it says: beside others it would be no comparison."""
    keys = telling_keys([run.config for runs in groups.values() for run in runs])
    found: dict[str, float] = {}
    for label, (first, *_) in groups.items():
        sweep = first.folder.resolve().parent.name
        printed = [row for row in rows() if row.sweep == sweep and "test_acc" in row.printed]
        same = (row.printed["test_acc"] for row in printed if _settings_are_those_of(first, row, keys))
        if (figure := next(same, None)) is not None:
            found[label] = figure
    return found


def _settings_are_those_of(run: History, row: PublishedRow, keys: Sequence[str]) -> bool:
    asked = [flatten(read_overrides(words)) for words in runs_of(row)]
    return any(said.keys() >= set(keys) and said.items() <= run.config.items() for said in asked)
