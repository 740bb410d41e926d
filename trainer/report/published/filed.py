"""Configs that a sweep's file resolves to, which the settings of its runs are compared with."""

from trainer.config.overrides import flatten
from trainer.report.configurations import Configuration
from trainer.report.planned import loaded
from trainer.report.published.comparisons import Filed
from trainer.runs import groups
from trainer.sweep.file import Sweep
from trainer.sweep.points import points_of


def resolved(configuration: Configuration, sweep: Sweep) -> Filed:
    """Return what the sweep's file resolves to for a configuration, empty if the file does not have it.

    It is empty with own parts, too.
    """
    asked, keys = groups.identity(configuration.values), configuration.values.keys()
    first = next(
        (each for each in points_of(sweep) if groups.identity({key: each.values.get(key) for key in keys}) == asked),
        None,
    )
    if first is None:
        return Filed()
    found = loaded(first, sweep)
    return Filed(flatten(found.config.model_dump(mode="json")), found.origins) if found else Filed()
