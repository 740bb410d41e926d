"""Weights & Biases: a mirror of the run folder, online or offline.

What W&B cannot take now stays on disk, and `WandbSink.sync_hint` is the command that sends it later. A failure of
W&B is one line on stderr and never ends a run.
"""

import secrets
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import wandb

from trainer.config.overrides import flatten
from trainer.config.sink import WandbSink as Config
from trainer.protocols import Progress, Record, RunInfo, Status
from trainer.sinks.mirrors import records_since
from trainer.sinks.tables import PanelTable, panel_tables
from trainer.sinks.wandb_checkpoint import CheckpointMirror
from trainer.sinks.wandb_client import Mode, WandbClient, is_stopped


class WandbSink:
    """One W&B run: a row per record, the resolved config flat and dotted, a flat summary.

    `sync_hint` is the command that sends what is only on disk, None if there is nothing.
    `stop_requested` is true once W&B has asked to stop: on its page, or by the early stopping of a sweep.
    `tables` are logged at the end in place of the run folder's tables of the same key.
    """

    name = "wandb"

    def __init__(self, config: Config, tables: Sequence[PanelTable] = ()) -> None:
        self.config = config
        self.sync_hint: str | None = None
        self.stop_requested = False
        self._tables = tables
        self._client = WandbClient(config.mode)
        self._run: wandb.Run | None = None
        self._mirror: CheckpointMirror | None = None
        self._folder = Path()
        self._memory: Mapping[str, Any] = {}

    def start(self, run: RunInfo) -> None:
        """Begin or continue the W&B run, offline if there is no API key or no server.

        A run that it has nothing of yet gets the rows of the run folder.
        """
        self._folder = run.folder
        self._memory = {"id": secrets.token_hex(4), **run.memory}
        with self._client.reported("nothing is recorded"):
            self._run, self.sync_hint = self._client.begin(
                run.folder, self._memory["id"], lambda mode, settings: self._init(run, mode, settings)
            )
            if self._run is not None:
                self._memory = {"id": self._run.id}
                self._send_provenance(self._run)
                self._mirror = self._mirror_of(self._run)
        if self._run is None:
            self._memory = run.memory
        elif run.memory.get("id") != self._run.id:  # it was off before this resume
            with self._client.reported("the rows from before are not sent"):
                for record in records_since(run, 0):
                    self.log(record)

    def progress(self, progress: Progress) -> None:
        if self._mirror:
            with self._client.reported("the checkpoint is not sent"):
                self._mirror.tend()

    def log(self, record: Record) -> None:
        """Send one row. It returns at once, because the client sends from its own process."""
        if self._run is None:
            return
        row: dict[str, Any] = {**record.metrics, "epoch": record.epoch, "step": record.step}
        for name, path in record.pictures.items():
            with self._client.reported(f"picture {name} is not sent"):
                row[name] = wandb.Image(str(path))
        with self._client.reported("a row is not sent"):
            self._run.log(row)  # never `step=`: W&B drops rows of steps that it has seen, as after a resume

    def memory(self) -> Mapping[str, Any]:
        return self._memory

    def has_stopped(self) -> bool:
        """Return whether W&B has stopped this run.

        In a sweep, its agent says so by a SIGTERM. That looks like any other and usually arrives before
        `stop_requested` is set, so the server is asked.
        """
        if not self.stop_requested and self._run and self._run.sweep_id is not None and not self._run.offline:
            with self._client.reported("taken as interrupted, since W&B does not say whether it has stopped this run"):
                self.stop_requested = is_stopped(self._run)
        return self.stop_requested

    def finish(self, status: Status, summary: Mapping[str, Any]) -> str | None:
        """Send the summary, and wait at most `finish_timeout` seconds until the server has everything."""
        run, self._run = self._run, None
        if run is None:
            return None
        if status != "interrupted":  # an interrupted run is resumed, and sends them at its end
            with self._client.reported("the tables of the panels are not sent"):
                self._send_tables(run)
        with self._client.reported("the summary is not sent"):
            run.summary.update({**summary, "status": status})
        if self._mirror:
            with self._client.reported("the checkpoint is not sent"):
                self._mirror.finish(resumable=status == "interrupted")
        if self.config.checkpoint and status not in ("stopped", "interrupted"):
            with self._client.reported("the checkpoint is not sent"):
                self._send_checkpoint(run)
        self.sync_hint = self._client.finish(run, status) or self.sync_hint
        return self.sync_hint

    def _init(self, run: RunInfo, mode: Mode, settings: wandb.Settings) -> wandb.Run:
        """Raise wandb.Error if the server does not take the run within about `init_timeout` seconds."""
        config = flatten(run.config)  # dotted, as the keys of a sweep file
        begun = wandb.init(
            mode=mode,
            name=run.name,
            group=self.config.group,
            tags=(*self.config.tags, f"cfg:{run.config_hash}"),  # finds the same run elsewhere on W&B's page
            dir=run.folder,
            config=config,  # in a sweep the swept values replace these, and are locked
            resume="allow" if run.resumed else None,
            settings=wandb.Settings(
                init_timeout=self.config.init_timeout,
                finish_timeout=self.config.finish_timeout,
                finish_timeout_raises=True,
                stop_fn=self._request_stop,
            ),
            **({} if settings.sweep_id else self._place(settings)),  # in a sweep the agent decides
        )
        if run.resumed and not settings.sweep_id:  # a resume brings the old values back from the server
            changed = {key: value for key, value in config.items() if begun.config.get(key) != value}
            begun.config.update(changed, allow_val_change=True)
        begun.define_metric("epoch")
        begun.define_metric("step")
        begun.define_metric("*", step_metric="epoch")
        return begun

    def _place(self, settings: wandb.Settings) -> dict[str, Any]:
        """Return the run's project, entity and id. W&B's environment replaces our default."""
        project = self.config.project
        if project == Config.model_fields["project"].default:
            project = settings.project or project
        return {"project": project, "entity": self.config.entity, "id": settings.run_id or self._memory["id"]}

    def _mirror_of(self, run: wandb.Run) -> CheckpointMirror | None:
        """Return what keeps the last checkpoint at W&B, if that is asked for and there is a server."""
        seconds = self.config.checkpoint_seconds
        if seconds is None:
            return None
        if run.offline:
            self._client.say("offline, so the last checkpoint stays in the run folder")
            return None
        return CheckpointMirror(run, self._folder, seconds)

    def _request_stop(self) -> None:
        """Take W&B's request to stop. The client calls it in its own thread."""
        self.stop_requested = True

    def _send_provenance(self, run: wandb.Run) -> None:
        """Send git state, versions, device and command, so that `trainer report` can read the run back."""
        if (self._folder / "run.json").exists():
            copied = shutil.copy(self._folder / "run.json", run.dir)  # files in there are sent without a message
            run.save(copied, base_path=run.dir, policy="now", glob=False)

    def _send_tables(self, run: wandb.Run) -> None:
        """Log the panels' tables of this run, in one row and only once, since each table becomes an artifact."""
        if not (self._folder / "metrics.jsonl").exists():
            return
        tables = [*panel_tables(self._folder, self.config.panels), *self._tables]
        charts = {
            table.key: wandb.plot_table(
                vega_spec_name=table.chart,
                data_table=wandb.Table(columns=table.columns, data=[list(row.values()) for row in table.rows]),
                fields=table.fields,
                string_fields=table.strings,
            )
            for table in {table.key: table for table in tables}.values()
        }
        if charts:
            run.log(charts)

    def _send_checkpoint(self, run: wandb.Run) -> None:
        best = self._folder / "best.pt"
        path, alias = (best, "best") if best.exists() else (self._folder / "checkpoint.pt", "last")
        run.log_artifact(str(path), name=f"checkpoint-{run.id}", type="model", aliases=[alias])
