"""Configs that a sweep's file resolves to, which the settings of its runs are compared with."""

from trainer.report.configurations import Configuration
from trainer.report.planned import config_of, loaded, written
from trainer.report.published.comparisons import Filed
from trainer.runs import groups
from trainer.sweep.file import Sweep
from trainer.sweep.points import points_of


def resolved(configuration: Configuration, sweep: Sweep) -> Filed:
    """Return what the sweep's file resolves to for a configuration, empty if the file does not have it.

    It is empty with own parts, too.
    """
    asked, keys = groups.identity(configuration.values), [*configuration.values]
    points = [each for each in points_of(sweep) if each.values.keys() >= configuration.values.keys()]
    first = next((each for each in points if groups.identity(written(each, keys)) == asked), None)
    found = loaded(first, sweep) if first else None
    return Filed(config_of(found), found.origins) if found else Filed()
