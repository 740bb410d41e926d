"""Configs that a sweep's file resolves to, which the settings of its runs are compared with."""

from functools import cache

from trainer.config.load import Complete, load_config
from trainer.config.overrides import flatten, read_overrides
from trainer.errors import UserError
from trainer.own.parts import own_sections
from trainer.report.configurations import Configuration
from trainer.report.published.comparisons import Filed
from trainer.runs import groups
from trainer.sweep.check import remembered
from trainer.sweep.file import Sweep
from trainer.sweep.points import points_of
from trainer.training.network_arguments import complete_parts


@cache
def networks_too() -> Complete:
    """Return the check that knows each network's defaults; it answers once for each network."""
    return remembered(complete_parts)


def resolved(configuration: Configuration, sweep: Sweep, complete: Complete) -> Filed:
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
    words = [*sweep.fixed, *first.overrides]
    if any(own_sections(read_overrides(words))):  # their text is not here to be run, and a hash keeps versions apart
        return Filed()
    try:
        loaded = load_config(words, complete=complete)
    except UserError:
        return Filed()
    return Filed(flatten(loaded.config.model_dump(mode="json")), loaded.origins)
