"""Runs and sweeps as the stand-in's server holds them."""

import itertools
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

import yaml

ENTITY = "standin"


@dataclass
class Run:
    """One run as the server has it. `history` holds a row a `log()`; `files` what was uploaded, by name."""

    id: str
    project: str = ""
    name: str = ""
    group: str | None = None
    sweep: str | None = None
    tags: list[str] = field(default_factory=list[str])
    state: str = "pending"
    exit_code: int | None = None
    stop: bool = False  # set it, and the next answers ask the run's client and its agent to stop it
    upserts: int = 0  # how many times a client began this run
    raw_config: dict[str, dict[str, Any]] = field(default_factory=dict[str, dict[str, Any]])
    summary: dict[str, Any] = field(default_factory=dict[str, Any])
    lines: dict[str, dict[int, str]] = field(default_factory=dict[str, dict[int, str]])
    files: dict[str, bytes] = field(default_factory=dict[str, bytes])

    @property
    def config(self) -> dict[str, Any]:
        """What was logged as config, without W&B's own keys."""
        return {key: item["value"] for key, item in self.raw_config.items() if key != "_wandb"}

    def axis_of(self, metric: str) -> str | None:
        """The x-axis that `define_metric` gave to a metric, by its name or by a glob ("*" at the end)."""
        metrics: list[dict[str, Any]] = self.raw_config["_wandb"]["value"].get("m", [])
        by_name = next((m for m in metrics if m.get("1") == metric), None)
        by_glob = next((m for m in metrics if metric.startswith(m.get("2", "\n").removesuffix("*"))), None)
        axis = (by_name or by_glob or {}).get("5")
        return axis and metrics[axis - 1]["1"]

    @property
    def history(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self._stream("wandb-history.jsonl")]

    def write(self, name: str, offset: int, content: Iterable[str]) -> None:
        """Put lines at an offset: a chunk sent again overwrites itself."""
        self.lines.setdefault(name, {}).update(enumerate(content, start=offset))

    def _stream(self, name: str) -> list[str]:
        return [line for _, line in sorted(self.lines.get(name, {}).items())]

    def node(self) -> dict[str, Any]:
        """The run as GraphQL sees it."""
        history, events = self._stream("wandb-history.jsonl"), self._stream("wandb-events.jsonl")
        return {
            "id": self.id,
            "name": self.id,
            "displayName": self.name,
            "group": self.group,
            "tags": self.tags,
            "state": self.state,
            "stopped": self.stop,
            "createdAt": "2026-01-01T00:00:00",
            "sweepName": self.sweep,
            "project": {"id": self.project, "name": self.project, "entity": {"id": ENTITY, "name": ENTITY}},
            "projectId": "1",
            "config": json.dumps(self.raw_config),
            "wandbConfig": json.dumps(self.raw_config.get("_wandb", {}).get("value", {})),
            "summaryMetrics": json.dumps(self.summary),
            "historyLineCount": len(history),
            "eventsLineCount": len(events),
            "logLineCount": len(self._stream("output.log")),
            "historyTail": json.dumps(history[-1:]),
            "eventsTail": json.dumps(events[-1:]),
            "history": lambda minStep=0, maxStep=1 << 60, **_: [  # noqa: N803 - the server's spelling
                line for step, line in enumerate(history) if minStep <= step < maxStep
            ],
            "historyKeys": {"keys": {}, "lastStep": len(history) - 1},
            "user": {"name": ENTITY, "username": ENTITY},
            "readOnly": False,
        }


@dataclass
class Sweep:
    """A grid, handed out point by point: parameters in sorted order, the last varies fastest."""

    id: str
    project: str
    text: str
    handed_out: list[str] = field(default_factory=list[str])  # run ids

    @property
    def config(self) -> dict[str, Any]:
        return yaml.safe_load(self.text)

    @property
    def points(self) -> list[dict[str, Any]]:
        return _grid(self.config["parameters"])

    def node(self, state: str) -> dict[str, Any]:
        """The sweep as GraphQL sees it, without its runs."""
        return {
            "__typename": "Sweep",
            "id": self.id,
            "name": self.id,
            "displayName": self.config.get("name"),
            "state": state,
            "method": self.config["method"],
            "config": self.text,
            "createdAt": "2026-01-01T00:00:00",
            "runCount": len(self.handed_out),
            "runCountExpected": len(self.points),
        }


def _grid(parameters: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Names sorted, the last one varies fastest; a nested `parameters:` is one name, with a dict as its value."""
    choices = {
        name: _grid(spec["parameters"]) if "parameters" in spec else spec.get("values", [spec.get("value")])
        for name, spec in sorted(parameters.items())
    }
    return [dict(zip(choices, point, strict=True)) for point in itertools.product(*choices.values())]
