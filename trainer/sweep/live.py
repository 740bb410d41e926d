"""Display of a running sweep on stderr: a live table on a terminal, a line for each change elsewhere."""

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager

from rich.console import Console, Group
from rich.live import Live
from rich.table import Table
from rich.text import Text

from trainer.sweep.engine import Snapshot, Watch
from trainer.sweep.status import PointStatus, in_unit, rows
from trainer.text import duration_text, number


class SweepView(AbstractContextManager["SweepView"]):
    """The engine calls `show`. Use as a context, which restores the terminal."""

    def __init__(self, name: str) -> None:
        self._name = name
        self._console = Console(stderr=True, emoji=False)
        self._live = Live(console=self._console, auto_refresh=False) if self._console.is_terminal else None
        self._seen: dict[str, str] | None = None  # before the first snapshot
        self._running: dict[str, str] = {}

    def __enter__(self) -> "SweepView":
        if self._live:
            self._live.start()
        return self

    def __exit__(self, *error: object) -> None:
        if self._live:
            self._live.stop()

    def show(self, snapshot: Snapshot) -> None:
        if self._live:
            self._live.update(self._table(snapshot), refresh=True)
        else:
            self._lines(snapshot)

    def _table(self, snapshot: Snapshot) -> Group:
        metric = snapshot.progress.metric.name if snapshot.progress.metric else ""
        table = Table(box=None, pad_edge=False)
        for head in (self._name, metric, ""):
            table.add_column(Text(head), no_wrap=True)
        for row in rows(snapshot.progress):
            table.add_row(*map(Text, row))  # a label such as order=[a] is no markup
        running = [Text(f"{run}  runs{_on(where)}", style="dim") for run, where in snapshot.running.items()]
        return Group(table, *running, Text(_foot(snapshot)))

    def _lines(self, snapshot: Snapshot) -> None:
        for run, where in snapshot.running.items():
            if self._running.get(run) != where:
                self._say(f"{run}: begun{_on(where)}")
        self._running = dict(snapshot.running)
        ended = {s.point.key: s for s in snapshot.progress.points if s.state not in ("missing", "waiting", "running")}
        if self._seen is None and ended:  # by an earlier controller
            self._say(_foot(snapshot))
        elif self._seen is not None:
            for key, status in ended.items():
                if self._seen.get(key) != status.state:
                    self._say(f"{_ended(status, snapshot)}; {_foot(snapshot)}")
        self._seen = {key: status.state for key, status in ended.items()}

    def _say(self, line: str) -> None:
        self._console.print(line, markup=False, highlight=False, soft_wrap=True)


@contextmanager
def shown(name: str) -> Iterator[Watch]:
    """Yield what the engine calls. The terminal is restored at the end."""
    with SweepView(name) as view:
        yield view.show


def _on(where: str) -> str:
    """Return ` on cuda:1`. Nothing where a run chooses its device itself, which is `auto`."""
    return "" if where == "auto" else f" on {where}"


def _ended(status: PointStatus, snapshot: Snapshot) -> str:
    attempt = status.attempts[0]
    metric = snapshot.progress.metric.name if snapshot.progress.metric else ""
    value = f", {metric} {_number(status.value, metric)}" if status.value is not None else ""
    return f"{attempt.where}: {status.state}{value}{f', {attempt.message}' if attempt.message else ''}"


def _foot(snapshot: Snapshot) -> str:
    progress = snapshot.progress
    parts = [f"{progress.count('finished', 'stopped')} of {progress.total} done"]
    if progress.means and progress.metric and progress.best_mean:
        label, mean, seeds = progress.best_mean
        parts.append(f"best mean of {seeds} {_number(mean, progress.metric.name)} at {label}")
    elif progress.best and progress.metric and progress.best.value is not None:
        value = _number(progress.best.value, progress.metric.name)
        parts.append(f"best {value} at {progress.best.point.label(progress.varied)}")
    if snapshot.stopping:
        parts.append("stopping: children finish their step and save")
    elif snapshot.seconds_left:
        parts.append(f"about {duration_text(snapshot.seconds_left)} left")
    return ", ".join(parts)


def _number(value: float, metric: str) -> str:
    (shown,), digits, unit = in_unit([value], metric)
    return number(shown, digits=digits, unit=unit)
