"""A run on a node of a Ray cluster, as the engine sees it."""

import shutil
import time
import uuid
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

import ray
from ray.exceptions import ActorUnavailableError, RayError, RayTaskError

from trainer.errors import first_line
from trainer.files import disk_errors, make_folder, write_whole
from trainer.sweep.child import Ended, LostError, Train
from trainer.sweep.ray_node import Job, Reply, files_in, write_files

if TYPE_CHECKING:
    from trainer.sweep.ray_cluster import Held, RayCluster

_ASK_SECONDS = 0.2  # between two looks
_AWAY_SECONDS = 60  # for which an actor that does not answer is asked again
_KILL_SECONDS = 10


class RayRun:
    """Waits for an actor, lets it begin, and then looks at it again and again. No method waits for an answer."""

    def __init__(
        self, cluster: "RayCluster", folder: Path, overrides: Sequence[str], env: Mapping[str, str], target: Train
    ) -> None:
        self._cluster, self._folder, self._target = cluster, folder, target
        self._overrides, self._env = list(overrides), dict(env)
        self._held: Held | None = None
        self._answer: Any = None  # an ObjectRef that is to come
        self._ask: Any = None  # asks for it again
        self._asked = 0.0
        self._away_since: float | None = None
        self._begun = self._stopped = False
        self._ended: Ended | None = None
        self._rows: list[dict[str, Any]] = []
        self._given = 0  # rows that the engine has

    def poll(self) -> Ended | None:
        if self._ended or not self._is_placed():
            return self._ended
        if self._answer is None and time.monotonic() - self._asked > _ASK_SECONDS:
            self._send()
        if self._answer is None or not ray.wait([self._answer], timeout=0)[0]:
            return None
        answer, self._answer = self._answer, None
        try:
            reply = ray.get(answer)
        except ActorUnavailableError as error:
            self._away_since = self._away_since or time.monotonic()
            if time.monotonic() - self._away_since > _AWAY_SECONDS:
                self._lose(first_line(error))
            if self._stopped:
                self._stop_there()  # the first word may be lost
            return None
        except RayTaskError as error:  # a full disk of that node, say: no fault of the run's
            self._lose(first_line(error.cause or error))
        except RayError as error:
            self._lose(first_line(error))
            return None
        self._away_since = None
        if not self._begun:
            self._begun, self._ask = True, self._look
        elif isinstance(reply, Reply):
            self._rows += reply.rows
            if reply.ended:
                self._bring_home(reply)
                if reply.ended[0] == "interrupted" and not self._stopped:  # not by us: its node is being shut down, say
                    self._lose(reply.ended[2])
                return self._end(reply.ended)
        return None

    def new_rows(self) -> Iterator[dict[str, Any]]:
        rows = self._rows[self._given :]
        self._given += len(rows)
        yield from rows

    def stop(self) -> None:
        self._stopped = True
        if self._held and self._begun:
            self._stop_there()
        elif not self._ended:  # it waits for room, or for the server of its node
            self._end(("interrupted", {}, "stopped before it began"), keep=False)

    def _stop_there(self) -> None:
        assert self._held
        with suppress(RayError):
            self._held.actor.stop.remote()

    def kill(self) -> None:
        if self._held:  # it may have begun there already
            with suppress(RayError):
                ray.get(self._held.actor.kill.remote(), timeout=_KILL_SECONDS)
        if not self._ended:
            self._end(("interrupted", {}, "killed"), keep=False)

    def _is_placed(self) -> bool:
        """Return whether it has an actor, after asking for one."""
        if self._held is None and (held := self._cluster.take()):
            self._held = held
            shared = held.node.shared
            job = Job(
                id=uuid.uuid4().hex,
                folder=str(self._folder),
                place=None if shared else _lasting_id(self._folder.parent),
                kept={} if shared or not (self._folder / "config.yaml").is_file() else files_in(self._folder),
                own={} if shared else files_in(self._folder.parent / "own"),
                overrides=self._overrides,
                env=self._env,
                cwd=str(Path.cwd()),
                target=self._target,
            )
            self._ask = partial(held.actor.begin.remote, job)
        return self._held is not None

    def _send(self) -> None:
        self._asked = time.monotonic()
        self._answer = self._ask()

    def _look(self) -> Any:
        assert self._held
        return self._held.actor.look.remote(len(self._rows))

    @property
    def _node(self) -> str:
        return self._held.node.name if self._held else "ray"

    def _lose(self, reason: str) -> NoReturn:
        """Give up a run whose process, actor or node has gone. Raises LostError."""
        message = f"lost on {self._node}: {reason}"
        self._ended = ("interrupted", {}, message)
        if self._held:
            self._cluster.lose(self._held)
        raise LostError(message)

    def _end(self, ended: Ended, *, keep: bool = True) -> Ended:
        self._ended = ended
        if self._held:
            (self._cluster.give_back if keep else self._cluster.drop)(self._held)
        return ended

    def _bring_home(self, reply: Reply) -> None:
        """Put a run's files into its folder here, where that is not the node's. Raises DiskError."""
        if reply.files is None:
            return
        assert self._held
        aside, older = (self._folder.with_name(f".{self._folder.name}.{end}") for end in ("part", "older"))
        logs = self._folder.parent / ".children"
        with disk_errors(self._folder):
            for each in (aside, older):
                shutil.rmtree(each, ignore_errors=True)
            write_files(aside, reply.files)
            if self._folder.exists():
                self._folder.rename(older)
            if reply.files:
                aside.rename(self._folder)
            shutil.rmtree(older, ignore_errors=True)
            logs.mkdir(exist_ok=True)
        write_whole(logs / f"{self._folder.name}.log", reply.log)
        self._held.actor.clear.remote()


def _lasting_id(sweep: Path) -> str:
    """Return what names a sweep's folder on nodes that do not share it: a file in it, which goes with it.

    So a sweep that is begun anew finds nothing of an earlier one there. Raises DiskError.
    """
    path = sweep / ".ray-id"
    with suppress(OSError):
        return path.read_text(encoding="utf-8")
    made = uuid.uuid4().hex[:12]
    make_folder(sweep)
    write_whole(path, made.encode())
    return made
