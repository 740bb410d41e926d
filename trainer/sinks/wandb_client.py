"""W&B's client: online or offline, its messages, and what it could not send.

It prints nothing itself. Each message is one line on stderr, once.
"""

import os
import shlex
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any, Literal

import wandb
from pydantic import ValidationError
from wandb.env import CACHE_DIR, DATA_DIR, get_cache_dir, get_data_dir
from wandb.errors import UsageError

from trainer.config.explain import explain
from trainer.errors import ConfigError, first_line
from trainer.protocols import Status
from trainer.sinks.mirrors import Said, reason

Mode = Literal["online", "offline", "disabled"]

_STOPPED = """query RunStopped($entity: String, $project: String, $run: String!) {
  project(name: $project, entityName: $entity) { run(name: $run) { stopped } }
}"""
_STOPPED_TIMEOUT = 5  # seconds; an agent kills 30 s after its SIGTERM
_UNSENT = "unsent"  # a file in the folder of an online segment that is to be sent, whole or once more
_BEHIND = "an earlier part of this run is not on the server yet"


class WandbClient(Said):
    """The client in the mode of a config, for one run."""

    def __init__(self, mode: str) -> None:
        super().__init__("wandb")
        self._asked: dict[str, Any] = {} if mode == "auto" else {"mode": mode}
        self._incomplete = False  # the client has given up sending
        self._held: list[str] | None = None  # the client's messages while it finishes

    def begin(
        self, folder: Path, id: str, init: Callable[[Mode, wandb.Settings], wandb.Run]
    ) -> tuple[wandb.Run | None, str | None]:
        """Return (the run that `init` begins, None if W&B is disabled; the command that sends it if it is offline).

        It is offline if there is no API key, or if the server does not take it. So is the rest of a run, `id` unless
        the environment has another, of which a part is not sent: the server keeps what comes last. One line says so.
        In a sweep it stays online, because the sweep waits for its value: the command then sends this part once more.
        The client keeps its files in `folder` where the user's home cannot be written.
        """
        _need_no_home(folder)
        settings = self._start()
        mode, why = _mode(settings)
        behind = mode == "online" and bool(_unsent(folder / "wandb", settings.run_id or id))
        if behind and not settings.sweep_id:
            mode, why = "offline", _BEHIND
        if mode == "disabled":
            return None, None
        if mode == "online":
            try:
                run = init(mode, settings)
                self.say(run.url or run.id)
                return run, self._send_again_later(run) if behind else None
            except Exception as error:  # wandb's, its service's, requests': training goes on without a server
                why = f"{settings.base_url}: {reason(error)}"
                with suppress(SystemExit):
                    wandb.teardown()  # otherwise the client continues its attempt, and the id stays taken
                settings = self._start()
        run = init("offline", settings)
        command = _sync_command(run)
        if why:
            self.say(f"{why}; recording offline, `{command}` sends it later")
        return run, command

    def finish(self, run: wandb.Run, status: Status) -> str | None:
        """Wait until the server has everything. Return the command that sends the rest if it has not."""
        self._held = []
        try:
            if status == "interrupted":  # an agent is to resume it; never what W&B itself has stopped
                run.mark_preempting()
            run.finish(exit_code=0 if status in ("finished", "stopped") else 1)
        except Exception as error:  # a lost server must not lose a finished run: its files are on disk
            self._incomplete = True
            self._held = [first_line(error)]
            with suppress(Exception, SystemExit):
                wandb.teardown()  # a client that has died would fail once more when Python ends
        command = None
        if self._incomplete:
            command = _sync_command(run)
            with suppress(OSError):
                Path(run.sync_dir, _UNSENT).touch()
            self._held = [f"{' '.join(self._held[:1]) or 'not all is sent'}; `{command}` sends what is on disk"]
        for message in self._held:
            self.say(message)
        return command

    def _send_again_later(self, run: wandb.Run) -> str:
        """Return the command that sends the earlier parts of an online run, and then this one once more."""
        with suppress(OSError):
            Path(run.sync_dir, _UNSENT).touch()
        command = _sync_command(run)
        self.say(f"{_BEHIND}; once the run has ended, `{command}` sends it all")
        return command

    def info(self, msg: str) -> None:
        """Drop what the client prints for information. These three methods replace its terminal."""

    def warning(self, msg: str) -> None:
        self._hear(msg.removeprefix("wandb: ").removeprefix("WARNING ").splitlines()[0])

    def error(self, msg: str) -> None:
        self._hear(msg.removeprefix("wandb: ").removeprefix("ERROR ").splitlines()[0])

    def _hear(self, message: str) -> None:
        """Take a warning or error of the client, which may come from any of its threads."""
        self._incomplete |= "wandb sync" in message  # its advice when an upload has failed for good
        if self._held is None:
            self.say(message)
        else:
            self._held.append(message)

    def _start(self) -> wandb.Settings:
        os.environ.setdefault("WANDB_ERROR_REPORTING", "false")  # telemetry: it calls the server, offline too
        settings = wandb.setup(wandb.Settings(silent=True, console="off", **self._asked)).settings
        wandb.termsetup(settings, self)
        return settings


def refuse_bad_environment() -> None:
    """Raise ConfigError for each WANDB_ variable that the client cannot read, such as WANDB_MODE=ofline."""
    if problems := [line for name in os.environ if name.startswith("WANDB_") for line in _refused(name)]:
        raise ConfigError(*problems)


def _refused(name: str) -> list[str]:
    """Return what the client says against a variable of the environment."""
    try:
        wandb.Settings().update_from_env_vars({name: os.environ[name]})
    except ValidationError as error:
        return [f"{name}:{line.partition(':')[2]}" for line in explain(error, wandb.Settings)]
    except UsageError as error:  # the client's own, for names of projects and runs
        return [f"{name}: {first_line(error)}"]
    return []


def is_stopped(run: wandb.Run) -> bool:
    """Ask the server whether it has stopped a run."""
    # The client has no public call for it. This query is the one that it used to send itself.
    api = wandb.Api(timeout=_STOPPED_TIMEOUT)._service_api  # pyright: ignore[reportPrivateUsage]
    variables = {"entity": run.entity, "project": run.project, "run": run.id}
    answer = api.execute_graphql(_STOPPED, variables, timeout=_STOPPED_TIMEOUT)
    return bool(answer["project"]["run"]["stopped"])


def _mode(settings: wandb.Settings) -> tuple[Mode, str]:
    """Return (the mode, why it is offline if nobody asked for that)."""
    match settings.mode:  # the config's, or for `auto` that of WANDB_MODE or of W&B's settings files
        case "disabled":
            return "disabled", ""
        case "offline" | "dryrun":
            return "offline", ""
        case _:
            why = _why_not_online()
            return ("offline", why) if why else ("online", "")


def _why_not_online() -> str:
    """Return nothing if there is an API key in WANDB_API_KEY, a netrc or W&B's settings. Never prompts for one."""
    try:
        return "" if wandb.login(prompt=False, verify=False) else "no API key configured"
    except wandb.Error as error:  # there is a key, but it cannot be valid
        return first_line(error)


def _need_no_home(folder: Path) -> None:
    """Let the client keep logs, cache and staged files in `folder` if it cannot write its own folders.

    Otherwise its service prints its whole log, and no table is sent.
    """
    for name, own in ((CACHE_DIR, Path(get_cache_dir())), (DATA_DIR, Path(get_data_dir()))):
        try:
            own.mkdir(parents=True, exist_ok=True)
            usable = os.access(own, os.W_OK)
        except OSError:
            usable = False
        if not usable:
            os.environ[name] = str(folder.resolve() / "wandb" / name.removeprefix("WANDB_").lower())


def _unsent(segments: Path, id: str) -> set[Path]:
    """Return the segments of a run that are only on disk: offline ones, and those that are marked."""
    offline, online = segments.glob(f"offline-run-*-{id}*"), segments.glob(f"run-*-{id}*")
    only_here = {*offline, *(path for path in online if (path / _UNSENT).exists())}
    return {path for path in only_here if not any(path.glob("*.synced"))}


def _sync_command(run: wandb.Run) -> str:
    """Return the command that sends the latest segment of a run and the earlier ones that are only on disk."""
    latest = Path(run.sync_dir)
    unsent = {latest} | _unsent(latest.parent, run.id)
    oldest_first = sorted(unsent, key=lambda path: path.name.removeprefix("offline-"))
    flags = [] if all(path.name.startswith("offline-") for path in unsent) else ["--include-online"]
    return shlex.join(["wandb", "sync", *flags, *map(_from_here, oldest_first)])


def _from_here(path: Path) -> str:
    return str(path.relative_to(Path.cwd()) if path.is_relative_to(Path.cwd()) else path)
