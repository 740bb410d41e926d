"""The predicted wall time of runs that have not been made, from a few steps of each kind in a process of its own.

The figures are kept in `RUNS/.pace.json`, so that the next command on this machine need not measure again.
"""

import contextlib
import os
import signal
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import fields
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

from trainer.config import RunConfig, load_config
from trainer.config.probe import Probe
from trainer.errors import SweepError, UserError
from trainer.files import disk_errors, parse_json, write_json
from trainer.own.quiet import says_nothing
from trainer.own.source import remember_text
from trainer.runs.groups import identity
from trainer.runs.provenance import processor
from trainer.sweep.check import remembered, resolve
from trainer.sweep.child import CONTEXT, ensure_server
from trainer.sweep.file import Sweep
from trainer.sweep.own_parts import words_at
from trainer.sweep.points import Entry, Point
from trainer.threads import let_cublas_repeat, threads_asked
from trainer.training.network_arguments import complete_parts

Measure = Callable[[RunConfig], dict[str, Any]]
_FREE = ("seed", "schedule", "sink", "protocol")  # sections that do not change how long the pieces of a run take


class PilotError(SweepError):
    """The first steps of a run cannot be taken, so nothing is known of its time."""


class Pilot:
    """Predicts the seconds of runs on one device. Measures each kind of run once, and remembers it in a file."""

    def __init__(self, runs: Path, env: Mapping[str, str], say: Callable[[str], None] = lambda _: None) -> None:
        """`env` is the environment of the runs, with the threads that each has."""
        self._path, self._env, self._say = runs / ".pace.json", dict(env), say
        self._known: dict[str, dict[str, Any]] = {}
        with contextlib.suppress(OSError, ValueError):  # it is missing, or cut off: it is measured again
            known = parse_json(self._path.read_bytes())
            self._known = known if isinstance(known, dict) else {}
        self._complete = remembered(complete_parts)

    def seconds(self, entry: Entry, sweep: Sweep) -> float:
        """Return the predicted wall time of a point's whole run, in seconds.

        Raises PilotError with the last line of what went wrong if its first steps cannot be taken.
        """
        from trainer.training.pace import Pace

        config = resolve(entry.point, sweep, self._complete)
        key = identity([kind_of(config), processor(), self._env.get("OMP_NUM_THREADS"), _visible(self._env)])
        known: Any = self._known.get(key)  # of another version of the trainer it may be anything
        if not isinstance(known, dict) or known.keys() != {field.name for field in fields(Pace)}:
            self._say(f"timing the first steps of {entry.run}")
            self._known[key] = of_point(_pace, entry.point, sweep, self._env)
            with disk_errors(self._path):
                self._path.parent.mkdir(parents=True, exist_ok=True)
                write_json(self._path, self._known)
        return Pace(**self._known[key]).seconds(config)


def kind_of(config: RunConfig) -> dict[str, Any]:
    """Return what the pieces of a run depend on: its config without what changes neither their time nor their size."""
    plain = {key: value for key, value in config.model_dump(mode="json").items() if key not in _FREE}
    plain["optimizer"].pop("lr", None)
    if config.probe == Probe():  # else the number of measurements depends on them
        plain["train"].pop("epochs")
    return plain


def _visible(env: Mapping[str, str]) -> str | None:
    return env.get("CUDA_VISIBLE_DEVICES", os.environ.get("CUDA_VISIBLE_DEVICES"))


def of_point(measure: Measure, point: Point, sweep: Sweep, env: Mapping[str, str]) -> dict[str, Any]:
    """Return what `in_child` does, of a point of a sweep. Raises PilotError that names the point."""
    overrides = [*words_at(point, sweep), "sink.wandb.mode=disabled"]
    try:
        return in_child(measure, overrides, env, texts=[(source.kept_as, source.text) for source in sweep.texts])
    except PilotError as error:
        raise PilotError(f"{' '.join(overrides)}: {error}") from None


def in_child(
    measure: Measure,
    overrides: list[str],
    env: Mapping[str, str],
    *,
    recipe: str | None = None,
    file: Path | None = None,
    texts: Sequence[tuple[str, str]] = (),
) -> dict[str, Any]:
    """Return what `measure`, a function of a module, says of a config, from a process that ends with its memory.

    `env` is laid over the environment. `texts` are those of own parts, each with its file's name. Raises PilotError
    with the last line of what went wrong.
    """
    layers = {"overrides": overrides, "recipe": recipe, "file": file}
    ours, theirs = CONTEXT.Pipe(duplex=False)
    process = CONTEXT.Process(target=_answer, args=(theirs, measure, layers, {**os.environ, **env}, texts), daemon=True)
    if CONTEXT.get_start_method() == "forkserver":
        ensure_server()
    process.start()
    theirs.close()
    try:
        found = ours.recv()
    except EOFError:
        process.join()
        raise PilotError(f"its first steps ended with exit code {process.exitcode}") from None
    finally:
        process.kill()
        process.join()
        ours.close()
    if isinstance(found, str):
        raise PilotError(found)
    return found


def _pace(config: RunConfig) -> dict[str, Any]:
    from trainer.training.pace import measure_pace

    return measure_pace(config).as_json()


def _answer(
    answer: Connection,
    measure: Measure,
    layers: Mapping[str, Any],
    env: Mapping[str, str],
    texts: Sequence[tuple[str, str]],
) -> None:
    signal.signal(signal.SIGTERM, signal.SIG_DFL)  # the server ignores both
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    os.environ.clear()  # the server's environment, as it was when the server began
    os.environ.update(env)
    let_cublas_repeat()
    for name, text in texts:
        remember_text(name, text)
    import torch

    if count := threads_asked(env):
        torch.set_num_threads(count)
    try:
        with says_nothing():
            found = measure(load_config(**layers, complete=complete_parts).config)
        answer.send(found)
    except UserError as error:
        answer.send(error.problems[0])
    except Exception as error:  # such as a lack of memory: the sweep's runs would fail in the same way
        answer.send(f"{type(error).__name__}: {error}".splitlines()[0])
    sys.stdout.flush()
