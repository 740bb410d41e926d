"""The server from which the tests' processes fork a sweep's children: one for each process of the tests."""

from trainer.sweep import child

_IMPORTED = ("trainer.training.run", "trainer.cli.main", "pretend.controller")


def ready() -> None:
    """Start it, with torch for runs that train and Optuna for controllers, whichever test comes first."""
    child.warm_up(_IMPORTED)
