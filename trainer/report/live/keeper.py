"""Keeper of a page: its bytes, made again only when files have changed, somebody asks, and enough time has passed."""

import hashlib
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from urllib.parse import quote

from trainer.errors import UserError, first_line
from trainer.report.folders import run_folders
from trainer.report.live.now import progress_of
from trainer.report.live.pace import PAGES
from trainer.report.live.reading import Reader, Stamp, stamp, stamp_of_pictures, stamp_of_run
from trainer.report.live.section import section_of
from trainer.report.pages.charts import charts_of
from trainer.report.pages.export import as_csv, as_json_text
from trainer.report.pages.html import as_page
from trainer.report.pages.pictures import pictures_of
from trainer.report.sources import Source
from trainer.report.table import Table
from trainer.report.tables import read_table_of
from trainer.runs.private import public
from trainer.sweep.watched import watched
from trainer.text import writable
from trainer.threads import cores

LOOK_SECONDS = 1.0
"""Shortest time between two looks at the files."""
STALE_SECONDS = 30.0
"""Age at which a page is made again although no file has changed: a controller that was killed changes none."""


@dataclass(frozen=True)
class Body:
    """Answer to a request."""

    content: bytes
    kind: str  # its media type

    @cached_property
    def tag(self) -> str:
        """Return its ETag."""
        return f'"{hashlib.sha256(self.content).hexdigest()[:20]}"'


@dataclass(frozen=True)
class Version:
    """The page at one moment, with the files beside it."""

    table: Table
    page: Body
    pictures: Mapping[str, Path]  # by the end of their address, RUN/NAME

    @cached_property
    def results(self) -> Body:
        return body_of(as_json_text(self.table), "application/json")

    @cached_property
    def lines(self) -> Body:
        return body_of(as_csv(self.table), "text/csv")


def body_of(text: str, kind: str) -> Body:
    """Return a text as anyone may read it: without home directories, and passwords in addresses."""
    return Body(writable(str(public(text))).encode(), kind)


class Keeper:
    """Keeps the page of a source of runs. Raises UserError if it cannot be read in the beginning."""

    def __init__(
        self,
        source: Source,
        *,
        storage: str | None = None,
        margin: float | None = None,
        complain: Callable[[str], None] = lambda _: None,
    ) -> None:
        """`complain` is told why a page cannot be made, each reason once in a row."""
        self._source = source
        self._storage = storage
        self._margin = margin
        self._complain = complain
        self._read = Reader()
        self._asked = threading.Event()
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._keep, name="report", daemon=True)
        self._complaint = ""
        self._stamp: Stamp | None = self._stamped()
        self._made = time.monotonic()
        self.version = self._make()

    def ask(self) -> None:
        """Note that somebody looks at the page. Without a look, nothing is read."""
        self._asked.set()

    def start(self) -> None:
        """Keep the page up to date in a thread of its own."""
        self._thread.start()

    def end(self) -> None:
        self._ended.set()
        self._asked.set()
        if self._thread.is_alive():
            self._thread.join()

    def look(self) -> bool:
        """Make the page again if files have changed. Return whether that was tried.

        If it cannot be made, the last one stays, and `complain` is told why.
        """
        try:
            now = self._stamped()
            if now == self._stamp and time.monotonic() - self._made < STALE_SECONDS:
                return False
            self._stamp, self._made = now, time.monotonic()
            self.version = self._make()
            self._complaint = ""
        except Exception as error:  # a file in the middle of a change, a folder that is away: a server goes on
            said = error.problems[0] if isinstance(error, UserError) else f"{type(error).__name__}: {first_line(error)}"
            if said != self._complaint:
                self._complain(f"the page stays as it was: {said}")
            self._complaint = said
            self._stamp = None  # the next look tries again, whether files have changed or not
        return True

    def _keep(self) -> None:
        while True:
            self._asked.wait()
            if self._ended.is_set():
                return
            self._asked.clear()
            began = time.thread_time()
            self.look()
            self._ended.wait(max(LOOK_SECONDS, (time.thread_time() - began) / (PAGES * cores())))

    def _make(self) -> Version:
        table = read_table_of(self._source, self._read)
        if self._margin is not None:
            table = table.with_margin(self._margin)
        file, folder = self._source.given or self._source.sweep_file, self._source.folder
        progress = progress_of(table, watched(file, self._storage, folder) if file and folder else None)
        pictures = {
            writable(f"{shown.run}/{each.path.name}"): each.path
            for shown in pictures_of(table)
            for each in shown.pictures
        }
        page = as_page(table, charts_of(table), _address, section_of(table, progress))
        return Version(table, body_of(page, "text/html"), pictures)

    def _stamped(self) -> Stamp:
        """Return what tells whether the page would be another one."""
        own = stamp([*self._source.all_archives, *([self._source.given] if self._source.given else [])])
        if folder := self._source.folder:
            own += stamp([folder / f"{self._source.name}.yaml", *(folder / f"ledger.db{end}" for end in ("", "-wal"))])
            for run in run_folders(folder):
                own += stamp_of_run(run) + stamp_of_pictures(run)
        return own


def _address(picture: Path) -> str:
    return "/".join(quote(writable(part)) for part in ("pictures", picture.parent.parent.name, picture.name))
