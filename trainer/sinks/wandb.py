"""Weights & Biases: a mirror of the run folder, online or offline. The only module that imports wandb.

What W&B cannot take now stays on disk, and `WandbSink.sync_hint` is the command that sends it later. A failure of
W&B is one line on stderr and never the end of a run.
"""

import _thread
import os
import shlex
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Literal

import wandb

from trainer.config.sink import WandbSink as Config
from trainer.observe import Progress, Record, RunInfo, Status

Mode = Literal["online", "offline", "disabled"]

_ERRORS_ONLY: dict[str, Any] = {"quiet": True, "show_info": False, "show_warnings": False, "silent": False}


class WandbSink:
    """One W&B run: a row a record, the resolved config flat and dotted, a flat summary.

    `sync_hint` is the command that sends what has stayed on disk; None when there is nothing to send.
    `stop_requested` turns true when W&B asks to stop (its page, early termination of a sweep); the main thread then
    gets a KeyboardInterrupt.
    """

    name = "wandb"

    def __init__(self, config: Config) -> None:
        self.config = config
        self.sync_hint: str | None = None
        self.stop_requested = False
        self._run: wandb.Run | None = None
        self._folder = Path()
        self._memory: Mapping[str, Any] = {}
        self._said: set[str] = set()

    def start(self, run: RunInfo) -> None:
        """Begin or go on with the W&B run; offline where there is no API key or no server."""
        self._folder, self._memory = run.folder, run.memory
        with self._reported("not recording"):
            mode, why = self._mode()
            if mode == "online":
                try:
                    self._run = self._init(run, mode)
                except Exception as error:  # no server, a refused key, an unknown entity: all of them can be mended later
                    mode, why = "offline", _first_line(error)
            if mode == "offline":
                self._run = self._init(run, mode)
                self.sync_hint = self._sync_command()
        if self._run is None:
            return
        self._memory = {"id": self._run.id}
        if why:
            self._say(f"{why}; recording offline, `{self.sync_hint}` sends it later")
        elif self._run.url:
            self._say(self._run.url)

    def progress(self, progress: Progress) -> None:
        pass

    def log(self, record: Record) -> None:
        """Send one row. It returns at once: the client sends in a process of its own."""
        if self._run is None:
            return
        row: dict[str, Any] = {**record.metrics, "epoch": record.epoch, "step": record.step}
        for name, path in record.pictures.items():
            with self._reported(f"no picture {name}"):
                row[name] = wandb.Image(str(path))
        with self._reported("a row was not sent"):
            self._run.log(row)  # never `step=`: W&B drops rows of a step that it has seen, as after a resume

    def memory(self) -> Mapping[str, Any]:
        return self._memory

    def finish(self, status: Status, summary: Mapping[str, Any]) -> None:
        """Write the summary and wait for the server at most `finish_timeout` seconds."""
        run, self._run = self._run, None
        if run is None:
            return
        with self._reported("no summary sent"):
            run.summary.update({**summary, "status": status})
        if self.config.checkpoint and status != "interrupted":
            with self._reported("no checkpoint sent"):
                self._send_checkpoint(run)
        goes_on = status == "interrupted" and not self.stop_requested  # what W&B stopped must not be handed out again
        try:
            if goes_on and not run.offline:
                run.mark_preempting()
            run.finish(exit_code=0 if status == "finished" else 1)
        except Exception as error:
            self.sync_hint = self._sync_command()
            self._say(f"not all was sent ({_first_line(error)}) but all is on disk; `{self.sync_hint}` sends it")

    def _mode(self) -> tuple[Mode, str]:
        """How to record, and why offline where the config did not say so."""
        settings = wandb.setup(wandb.Settings(console="off", **_ERRORS_ONLY)).settings
        if self.config.mode in ("online", "offline", "disabled"):
            wanted = self.config.mode
        else:
            wanted = {"dryrun": "offline", "offline": "offline", "disabled": "disabled"}.get(settings.mode, "online")
        if wanted != "online":
            return wanted, ""
        wandb.setup(wandb.Settings(silent=True))  # else login() asks the server for the user's name
        try:
            known, why = wandb.login(prompt=False, verify=False), "no API key configured"
        except wandb.Error as error:
            known, why = False, _first_line(error)
        return ("online", "") if known else ("offline", why)

    def _init(self, run: RunInfo, mode: Mode) -> wandb.Run:
        """Raise wandb.Error when the server cannot be had within `init_timeout` seconds or so."""
        flat = dict(_flat(run.config))
        settings = wandb.setup().settings
        place: dict[str, Any] = {"project": self._project(settings.project), "entity": self.config.entity}
        begun = wandb.init(
            mode=mode,
            name=run.name,
            group=self.config.group,
            tags=self.config.tags or None,
            dir=run.folder,
            config=flat,  # a sweep's own values win over these, and are locked
            resume="allow" if run.resumed else None,
            settings=wandb.Settings(
                console="off",  # stdout stays as it is
                init_timeout=self.config.init_timeout,
                finish_timeout=self.config.finish_timeout,
                finish_timeout_raises=True,
                stop_fn=self._stop,
                **_ERRORS_ONLY,
            ),
            # An agent says where its runs go, and which they are.
            **({} if settings.sweep_id else {**place, "id": run.memory.get("id")}),
        )
        changed = {key: value for key, value in flat.items() if begun.config.get(key) != value}
        if run.resumed and changed:
            begun.config.update(changed, allow_val_change=True)  # a resume brings back the server's old values
        begun.define_metric("epoch")
        begun.define_metric("step")
        begun.define_metric("*", step_metric="epoch")
        return begun

    def _project(self, environment: str | None) -> str:
        """WANDB_PROJECT and W&B's settings files stand above our default and below what the user wrote."""
        default = type(self.config).model_fields["project"].default
        return environment or default if self.config.project == default else self.config.project

    def _send_checkpoint(self, run: wandb.Run) -> None:
        best = self._folder / "best.pt"
        path, alias = (best, "best") if best.exists() else (self._folder / "checkpoint.pt", "last")
        run.log_artifact(str(path), name=f"checkpoint-{run.id}", type="model", aliases=[alias])

    def _stop(self) -> None:
        """Called by the client in a thread of its own."""
        self.stop_requested = True
        _thread.interrupt_main()

    def _sync_command(self) -> str:
        """Every segment of this run that W&B has not got, the oldest first."""
        ...

    @contextmanager
    def _reported(self, consequence: str) -> Iterator[None]:
        """Nothing that W&B's client raises may stop a run, and not all of it is a wandb.Error."""
        try:
            yield
        except Exception as error:
            self._say(f"{consequence}: {_first_line(error)}")

    def _say(self, line: str) -> None:
        """Once a line, however often the same thing fails."""
        if line not in self._said:
            self._said.add(line)
            print(f"wandb: {line}", file=sys.stderr)


def _first_line(error: Exception) -> str:
    return next(iter(str(error).splitlines()), "") or type(error).__name__


def _flat(config: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    """`{"optimizer": {"lr": 0.1}}` as `optimizer.lr`: the words of a sweep file."""
    for key, value in config.items():
        if isinstance(value, Mapping):
            yield from _flat(value, f"{prefix}{key}.")
        else:
            yield prefix + key, value
