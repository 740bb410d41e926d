"""Weights & Biases: a mirror of the run folder, online or offline.

What W&B cannot take now stays on disk, and `WandbSink.sync_hint` is the command that sends it later. A failure of
W&B is one line on stderr, never the end of a run.
"""

import os
import secrets
import shlex
import shutil
import sys
from collections.abc import Callable, Generator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, Literal

import wandb

from trainer.config.overrides import flatten
from trainer.config.sink import WandbSink as Config
from trainer.errors import first_line
from trainer.protocols import Progress, Record, RunInfo, Status
from trainer.sinks.tables import panel_tables

Mode = Literal["online", "offline", "disabled"]

_STOPPED = """query RunStopped($entity: String, $project: String, $run: String!) {
  project(name: $project, entityName: $entity) { run(name: $run) { stopped } }
}"""
_STOPPED_TIMEOUT = 5  # seconds; an agent kills 30 s after its SIGTERM


class WandbSink:
    """One W&B run: a row a record, the resolved config flat and dotted, a flat summary.

    `sync_hint` is the command that sends what is only on disk; None while nothing is.
    `stop_requested` is true once W&B has asked to stop: on its page, or to end a hopeless point of a sweep early.
    """

    name = "wandb"

    def __init__(self, config: Config) -> None:
        self.config = config
        self.sync_hint: str | None = None
        self.stop_requested = False
        self.inspected: Path | None = None  # the inspect.json to draw, where it lies outside of the folder
        self._run: wandb.Run | None = None
        self._folder = Path()
        self._incomplete = False  # the client has given up sending
        self._held: list[str] | None = None  # what the client says while it finishes
        self._memory: Mapping[str, Any] = {}
        self._said: set[str] = set()

    def start(self, run: RunInfo) -> None:
        """Begin the W&B run or go on with it; offline where there is no API key or no server."""
        self._folder = run.folder
        self._memory = {"id": secrets.token_hex(4), **run.memory}
        with self._reported("nothing is recorded"):
            self._run = self._begin(run)
            if self._run is not None:
                self._memory = {"id": self._run.id}
                self._send_provenance(self._run)

    def progress(self, progress: Progress) -> None:
        pass

    def log(self, record: Record) -> None:
        """Send one row. It returns at once: the client sends from a process of its own."""
        if self._run is None:
            return
        row: dict[str, Any] = {**record.metrics, "epoch": record.epoch, "step": record.step}
        for name, path in record.pictures.items():
            with self._reported(f"picture {name} is not sent"):
                row[name] = wandb.Image(str(path))
        with self._reported("a row is not sent"):
            self._run.log(row)  # never `step=`: W&B drops the rows of steps that it has seen, as after a resume

    def memory(self) -> Mapping[str, Any]:
        return self._memory

    def has_stopped(self) -> bool:
        """Whether W&B wants this run over. In a sweep its agent says so by a SIGTERM, which mostly comes before
        `stop_requested` is set, and looks like any other; then only the server knows."""
        if self.stop_requested or self._run is None or self._run.sweep_id is None or self._run.offline:
            return self.stop_requested
        variables = {"entity": self._run.entity, "project": self._run.project, "run": self._run.id}
        with self._reported("taken as interrupted, since W&B does not say whether it has stopped this run"):
            # The client has no public call for it; this query is the one that it used to ask itself.
            api = wandb.Api(timeout=_STOPPED_TIMEOUT)._service_api  # pyright: ignore[reportPrivateUsage]
            found = api.execute_graphql(_STOPPED, variables, timeout=_STOPPED_TIMEOUT)
            self.stop_requested = bool(found["project"]["run"]["stopped"])
        return self.stop_requested

    def finish(self, status: Status, summary: Mapping[str, Any]) -> str | None:
        """Send the summary, and wait at most `finish_timeout` seconds until the server has everything."""
        run, self._run = self._run, None
        if run is None:
            return None
        if status != "interrupted":  # an interrupted run goes on, and sends them at its end
            with self._reported("the tables of the panels are not sent"):
                self._send_tables(run)
        with self._reported("the summary is not sent"):
            run.summary.update({**summary, "status": status})
        if self.config.checkpoint and status not in ("stopped", "interrupted"):
            with self._reported("the checkpoint is not sent"):
                self._send_checkpoint(run)
        self._held = []
        try:
            if status == "interrupted":  # an agent is to go on with it; never with what W&B itself has stopped
                run.mark_preempting()
            run.finish(exit_code=0 if status in ("finished", "stopped") else 1)
        except Exception as error:
            self._incomplete = True
            self._held = [first_line(error)]
            with suppress(Exception, SystemExit):
                wandb.teardown()  # a client that has died would fail once more when Python ends
        if self._incomplete:
            self.sync_hint = _sync_command(run)
            self._held = [f"{' '.join(self._held[:1]) or 'not all is sent'}; `{self.sync_hint}` sends what is on disk"]
        for message in self._held:
            self._say(message)
        return self.sync_hint

    def _begin(self, run: RunInfo) -> wandb.Run | None:
        """The run in the mode that can be had, and one line that says which."""
        settings = self._client()
        mode, why = self._mode(settings)
        if mode == "disabled":
            return None
        if mode == "online":
            try:
                begun = self._init(run, mode, settings)
                self._say(begun.url or begun.id)
                return begun
            except Exception as error:
                why = f"{settings.base_url}: {first_line(error)}"
                with suppress(SystemExit):
                    wandb.teardown()  # else the client goes on with its attempt, and the id stays taken
                settings = self._client()
        begun = self._init(run, "offline", settings)
        self.sync_hint = _sync_command(begun)
        if why:
            self._say(f"{why}; recording offline, `{self.sync_hint}` sends it later")
        return begun

    def _client(self) -> wandb.Settings:
        """Start W&B's client. It prints nothing itself: what it has to say, `_hear` gets."""
        os.environ.setdefault("WANDB_ERROR_REPORTING", "false")  # telemetry: it calls the server, offline too
        asked: dict[str, Any] = {} if self.config.mode == "auto" else {"mode": self.config.mode}
        settings = wandb.setup(wandb.Settings(silent=True, console="off", **asked)).settings
        wandb.termsetup(settings, _Listener(self._hear))
        return settings

    def _mode(self, settings: wandb.Settings) -> tuple[Mode, str]:
        """How to record, and why it is offline where nobody asked for that."""
        match settings.mode:  # the config's, or for `auto` WANDB_MODE's, or that of W&B's settings files
            case "disabled":
                return "disabled", ""
            case "offline" | "dryrun":
                return "offline", ""
            case _:
                why = self._why_not_online()
                return ("offline", why) if why else ("online", "")

    def _why_not_online(self) -> str:
        """Empty where there is an API key, in WANDB_API_KEY, a netrc or W&B's settings. Asks nobody for one."""
        try:
            return "" if wandb.login(prompt=False, verify=False) else "no API key configured"
        except wandb.Error as error:  # there is one, and it cannot be right
            return first_line(error)

    def _init(self, run: RunInfo, mode: Mode, settings: wandb.Settings) -> wandb.Run:
        """Raise wandb.Error when the server does not take the run within about `init_timeout` seconds."""
        config = flatten(run.config)  # dotted, the words of a sweep file
        begun = wandb.init(
            mode=mode,
            name=run.name,
            group=self.config.group,
            tags=(*self.config.tags, f"cfg:{run.config_hash}"),  # by which W&B's page finds the same run elsewhere
            dir=run.folder,
            config=config,  # in a sweep the swept values win over these, and are locked
            resume="allow" if run.resumed else None,
            settings=wandb.Settings(
                init_timeout=self.config.init_timeout,
                finish_timeout=self.config.finish_timeout,
                finish_timeout_raises=True,
                stop_fn=self._stop,
            ),
            **({} if settings.sweep_id else self._place(settings)),  # in a sweep the agent has said
        )
        if run.resumed and not settings.sweep_id:  # a resume brings the old values back from the server
            changed = {key: value for key, value in config.items() if begun.config.get(key) != value}
            begun.config.update(changed, allow_val_change=True)
        begun.define_metric("epoch")
        begun.define_metric("step")
        begun.define_metric("*", step_metric="epoch")
        return begun

    def _place(self, settings: wandb.Settings) -> dict[str, Any]:
        """Where the run goes and its id. What W&B's environment says stands above our default."""
        project = self.config.project
        if project == Config.model_fields["project"].default:
            project = settings.project or project
        return {"project": project, "entity": self.config.entity, "id": settings.run_id or self._memory["id"]}

    def _send_provenance(self, run: wandb.Run) -> None:
        """Git, versions, device and command, for who reads the run back."""
        if (self._folder / "run.json").exists():
            copied = shutil.copy(self._folder / "run.json", run.dir)  # what lies there is sent without a word
            run.save(copied, base_path=run.dir, policy="now", glob=False)

    def _send_tables(self, run: wandb.Run) -> None:
        """What the panels draw of this run, in one row: once, since each table becomes an artifact."""
        if not (self._folder / "metrics.jsonl").exists():
            return
        charts = {
            table.key: wandb.plot_table(
                vega_spec_name=table.chart,
                data_table=wandb.Table(columns=table.columns, data=[list(row.values()) for row in table.rows]),
                fields=table.fields,
                string_fields=table.words,
            )
            for table in panel_tables(self._folder, self.config.panels, self.inspected)
        }
        if charts:
            run.log(charts)

    def _send_checkpoint(self, run: wandb.Run) -> None:
        best = self._folder / "best.pt"
        path, alias = (best, "best") if best.exists() else (self._folder / "checkpoint.pt", "last")
        run.log_artifact(str(path), name=f"checkpoint-{run.id}", type="model", aliases=[alias])

    def _stop(self) -> None:
        """What the client calls, in a thread of its own, when W&B asks to stop."""
        self.stop_requested = True

    def _hear(self, message: str) -> None:
        """A warning or error of the client's own, which may come from any of its threads."""
        self._incomplete |= "wandb sync" in message  # what it advises when an upload has failed for good
        if self._held is None:
            self._say(message)
        else:
            self._held.append(message)

    @contextmanager
    def _reported(self, consequence: str) -> Generator[None]:
        """Say what was raised and go on."""
        try:
            yield
        except Exception as error:
            self._say(f"{consequence}: {first_line(error)}")

    def _say(self, line: str) -> None:
        """Say it once, however often the same thing fails."""
        if line not in self._said:
            self._said.add(line)
            print(f"wandb: {line}", file=sys.stderr)


class _Listener:
    """What `wandb.termsetup` writes to in place of the terminal."""

    def __init__(self, hear: Callable[[str], None]) -> None:
        self._hear = hear

    def info(self, msg: str) -> None:
        pass

    def warning(self, msg: str) -> None:
        self._hear(msg.removeprefix("wandb: ").removeprefix("WARNING ").splitlines()[0])

    def error(self, msg: str) -> None:
        self._hear(msg.removeprefix("wandb: ").removeprefix("ERROR ").splitlines()[0])


def _sync_command(run: wandb.Run) -> str:
    """Send the segments of this run that are only on disk: offline ones, and the latest whatever it is."""
    latest = Path(run.sync_dir)
    offline = latest.parent.glob(f"offline-run-*-{run.id}*")
    unsent = {latest} | {path for path in offline if not any(path.glob("*.synced"))}
    oldest_first = sorted(unsent, key=lambda path: path.name.removeprefix("offline-"))
    flags = [] if latest.name.startswith("offline-") else ["--include-online"]
    return shlex.join(["wandb", "sync", *flags, *map(_from_here, oldest_first)])


def _from_here(path: Path) -> str:
    return str(path.relative_to(Path.cwd()) if path.is_relative_to(Path.cwd()) else path)
