"""The Python interface: what the commands do, as functions.

    from trainer import load_config, load_run, run_sweep, train, write_report

Mistakes raise `trainer.errors.UserError`, with a line for each in `problems`.
"""

import sys
from collections.abc import Generator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from trainer import config as configs
from trainer.config import RunConfig
from trainer.config.load import read_settings
from trainer.config.overrides import write_override
from trainer.errors import ConfigError, SweepError, UserError
from trainer.report.pages.answer import finding
from trainer.report.pages.charts import Chart, charts_of
from trainer.report.pages.export import as_json
from trainer.report.pages.write import write_report as write_pages
from trainer.report.tables import archives_beside, place_of, read_tables
from trainer.runs.folder import read_config
from trainer.runs.history import History, read_history
from trainer.sweep.catalogue import sweep_file
from trainer.sweep.child import warm_up
from trainer.sweep.engine import device_env
from trainer.sweep.gpus import refuse_missing_gpus
from trainer.sweep.live import SweepView
from trainer.sweep.local import open_sweep
from trainer.sweep.order import Plan
from trainer.sweep.status import Progress
from trainer.training.network_arguments import complete_parts
from trainer.training.run import resume_run, start_run
from trainer.training.trained import TrainedNetwork, load_trained

Settings = Mapping[str, Any] | Sequence[str]
"""Config keys and their values: {"optimizer.lr": 0.1}, or words as of the command line: ["optimizer.lr=0.1"].

One word may be a string.
"""


@dataclass(frozen=True)
class Run:
    """A run as its folder has it. Accuracies are fractions, times are seconds."""

    folder: Path
    config: RunConfig
    history: History

    @property
    def status(self) -> str:
        """Return how it ended: finished, stopped, interrupted, diverged or failed. A run under way is running."""
        return self.history.status

    @property
    def summary(self) -> Mapping[str, Any]:
        """Return its headline numbers, such as `test/accuracy`. Empty while it runs."""
        return self.history.summary

    @property
    def rows(self) -> Sequence[Mapping[str, Any]]:
        """Return what was logged, in order, each row with `epoch` and `step`. pandas.DataFrame takes them."""
        return self.history.rows

    @property
    def confusion(self) -> NDArray[np.int64]:
        """Return the test images by true class, then by predicted one, [K, K]. Empty if they were not kept."""
        return np.array(self.history.confusion, dtype=np.int64)

    def network(self) -> TrainedNetwork:
        """Load the trained network with its data. Raises CheckpointError for a damaged checkpoint."""
        return load_trained(self.folder)


@dataclass(frozen=True)
class Report:
    """A report on the runs of a sweep. A notebook shows its answer, and each of its charts."""

    page: Path  # HTML
    answer: str
    results: Mapping[str, Any]  # the content of results.json
    charts: Sequence[Chart]

    def _repr_markdown_(self) -> str:
        return f"**{self.answer}**"


def load_config(settings: Settings = (), *, recipe: str | None = None, file: str | Path | None = None) -> RunConfig:
    """Return a valid config: the recipe's, then the file's, then these settings. Raises ConfigError."""
    path = None if file is None else Path(file)
    return configs.load_config(_words(settings), recipe=recipe, file=path, complete=complete_parts).config


def train(config: RunConfig, *, runs: str | Path = "runs", name: str | None = None) -> Run:
    """Train a network into `RUNS/NAME`, as `trainer train` does. A signal saves it and ends it.

    Raises UserError if it cannot start.
    """
    if not isinstance(config, RunConfig):  # pyright: ignore[reportUnnecessaryIsInstance] - settings, as of load_config
        raise ConfigError(f"train: {config!r} is a {type(config).__name__}, not a config; make one by load_config")
    return load_run(start_run(config, runs=Path(runs), name=name).folder)


def resume(folder: str | Path, settings: Settings = ()) -> Run:
    """Go on with an interrupted run, to the bit. `settings` may change what changes no number. Raises UserError."""
    nested = read_settings(_words(settings), None)
    return load_run(resume_run(Path(folder), nested).folder)


def load_run(folder: str | Path) -> Run:
    """Read a run from its folder. Raises CheckpointError if there is none."""
    path = Path(folder)
    return Run(path, read_config(path), read_history(path))


def run_sweep(
    sweep: str | Path,
    settings: Settings = (),
    *,
    runs: str | Path = "runs",
    jobs: int = 1,
    devices: Sequence[str] = ("auto",),
    seeds: Sequence[int] = (),
) -> Progress:
    """Run what is not done of a sweep: a file, or a name of the catalogue. Return how far it is.

    `settings` are the same at every point. `seeds` are run instead of the file's. Raises SweepError.
    """
    if jobs < 1:
        raise SweepError(f"jobs: {jobs}: expected 1 or more")
    if not devices:
        raise SweepError('devices: none is given; write ["auto"] for the best one')
    for device in devices:
        device_env(device)
    found = open_sweep(sweep_file(sweep), _words(settings), runs=Path(runs), plan=Plan(seeds=tuple(seeds)))
    warm_up()
    refuse_missing_gpus(devices)
    with SweepView(found.name) as view, _main_is_left_alone():
        progress, _ = found.run(jobs=jobs, devices=devices, watch=view.show)
    return progress


def write_report(
    target: str | Path, *, runs: str | Path = "runs", out: str | Path | None = None, margin: float | None = None
) -> Report:
    """Compare the runs of a sweep, a folder or an archive. Write page, Markdown, pictures and results.json.

    `margin` is a difference that does not matter, in points of an accuracy or the metric's unit. Raises UserError.
    """
    (table, *others) = read_tables([str(target)], Path(runs), archives_beside(Path(runs)))
    if others:
        raise UserError(f"{target}: several tables; name one sweep")
    if margin is not None:
        table = table.with_margin(margin)
    page, *_ = write_pages(table, Path(out) if out else place_of(table, Path(runs)))
    return Report(page, finding(table).text, as_json(table), charts_of(table))


def _words(settings: Settings) -> list[str]:
    if isinstance(settings, Mapping):
        return [write_override(key, value) for key, value in settings.items()]
    return [settings] if isinstance(settings, str) else list(settings)


@contextmanager
def _main_is_left_alone() -> Generator[None]:
    """Keep the children from importing the program's main module: a script would run again in each of them."""
    main = sys.modules["__main__"]
    spec, file = main.__spec__, getattr(main, "__file__", None)
    main.__spec__ = None
    if file is not None:
        del main.__file__
    try:
        yield
    finally:
        main.__spec__ = spec
        if file is not None:
            main.__file__ = file
