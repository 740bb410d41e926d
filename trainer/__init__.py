"""cifar-sweeps: ablations on CIFAR-sized image classification. `trainer --help` lists the commands.

The Python interface is `trainer.api`. Its functions are here too, imported when they are asked for.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from trainer.api import load_config, load_run, resume, run_sweep, train, write_report

__version__ = "0.1.0"
__all__ = ["__version__", "load_config", "load_run", "resume", "run_sweep", "train", "write_report"]


def __getattr__(name: str) -> Any:
    if name in __all__:
        return getattr(import_module("trainer.api"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
