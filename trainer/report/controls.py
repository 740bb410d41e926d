"""The control that a sweep's file names, among the configurations of a table.

It may also be one network at all learning rates, or a configuration of all lengths.
"""

from collections.abc import Sequence

from trainer.report.configurations import Configuration, siblings_of
from trainer.runs.families import Arm, Named, families_of


def arms_of(configurations: Sequence[Configuration], over: str | None) -> Sequence[Named]:
    """Return what is compared of an outcome that runs have together that differ in the key `over`, or each alone."""
    if over is None:
        return configurations
    arms = {
        each.siblings.label: {key: value for key, value in each.values.items() if key != over}
        for each in configurations
        if each.siblings
    }
    return [Arm(label, values) for label, values in arms.items()]


def control_among(name: str, configurations: Sequence[Configuration]) -> str:
    """Return the control that a file names if there is such a configuration, network or choice, or ""."""
    networks = {each.label for each in siblings_of(configurations)}
    return name if name in networks or families_of(name, configurations) else ""
