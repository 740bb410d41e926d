"""The tables and the picture of docs/records.md: public records, and ours from docs/results/records/*.json.

Those are what `trainer bench accuracy --json` prints. `make docs` writes the tables and draws the picture.
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean
from typing import Any

import yaml

from trainer.panels.render import render
from trainer.panels.theme import PALETTE
from trainer.statistics.describe import can_be_judged
from trainer.text import NONE, spread

DOCS = Path(__file__).parent
RECORDS = DOCS / "results" / "records"
PICTURE = DOCS / "pictures" / "records.svg"
_BEGIN, _END = "<!-- made by `make docs` from results/records/ -->", "<!-- end of what `make docs` makes -->"
_SHAPES = ("circle", "square", "triangle-up", "diamond", "cross", "triangle-down")
_LOOKS: dict[str, dict[str, Any]] = {
    "plain": {"angle": -50},
    "peer": {"angle": -50, "fontWeight": "bold"},
    "ours": {"angle": 50, "fontWeight": "bold"},
}
"""Looks of the names: of public records, of peers that were measured here, and of this project's recipes."""
_NONE = "**None of ours is judged yet**, so the picture has none."


@dataclass(frozen=True)
class Record:
    """Seconds to an accuracy, by others or by us."""

    name: str
    accuracy: float  # %
    seconds: float
    hardware: str
    source: str
    runs: int | None = None
    by: str = ""  # empty if it was measured here
    peer: bool = False  # measured here beside a recipe of this project


@dataclass(frozen=True)
class Measurement:
    """A side of a measurement of ours: accuracies of all its runs together, and their seconds on each machine."""

    name: str
    accuracies: tuple[float, ...]  # %
    seconds: Mapping[str, Sequence[float]]  # by machine
    verdict: str
    precision: str
    peer: bool

    @property
    def records(self) -> list[Record]:
        """Return a mark for each machine. Its accuracy is that of all runs."""
        return [
            Record(self.name, fmean(self.accuracies), fmean(each), machine, self.verdict, peer=self.peer)
            for machine, each in self.seconds.items()
        ]


def public(folder: Path = RECORDS) -> list[Record]:
    """Return the public records, by hardware and accuracy, the quickest first."""
    found = [Record(**each) for each in yaml.safe_load((folder / "public.yaml").read_text(encoding="utf-8"))]
    return sorted(found, key=lambda each: (each.hardware, round(each.accuracy), each.seconds))


def ours(folder: Path = RECORDS) -> list[Measurement]:
    """Return each side of each measurement that has enough runs for a verdict, ours and the peers beside them."""
    found: list[Measurement] = []
    for path in sorted(folder.glob("*.json")):
        content = json.loads(path.read_text(encoding="utf-8"))
        said = {name: rest for name, _, rest in (each.partition(": ") for each in content["findings"])}
        for name, takes in content["runs"].items():
            accuracies = tuple(100 * take["accuracy"] for take in takes)
            if can_be_judged(accuracies):
                seconds: dict[str, list[float]] = {}
                for take in takes:  # older files have one machine, and newer ones none for seconds that do not count
                    if machine := take.get("machine", content["settings"].get("device")):
                        seconds.setdefault(machine, []).append(take["seconds"])
                verdict, precision = said[name].rpartition(": ")[2], content["settings"]["precision"]
                peer = name != next(iter(content["runs"]))
                found.append(Measurement(name, accuracies, seconds, verdict, precision, peer))
    return found


def marks(measured: Sequence[Measurement]) -> list[Record]:
    """Return what the picture has of measurements of ours, the peers beside them included."""
    return [record for each in measured for record in each.records]


def records_page(folder: Path = RECORDS) -> str:
    """Return the text of docs/records.md, with its tables."""
    page = (DOCS / "records.md").read_text(encoding="utf-8")
    before, _, rest = page.partition(_BEGIN)
    _, _, after = rest.partition(_END)
    return "\n".join([f"{before}{_BEGIN}", "", *_lines(public(folder), ours(folder)), "", f"{_END}{after}"])


def _lines(theirs: Sequence[Record], measured: Sequence[Measurement]) -> Iterator[str]:
    alt = f"Test accuracy against seconds of {len(theirs)} public records and {len(marks(measured))} measured here"
    yield f"![{alt}; the tables have the numbers](pictures/records.svg)"
    yield ""
    if measured:
        yield "| ours, and peers in the same run | test accuracy | charged seconds | on | in | verdict |"
        yield "|---|---:|---:|---|---|---|"
        for each in measured:
            accuracy = spread(each.accuracies, unit="%")
            seconds = "<br>".join(spread(some, digits=None, unit=" s") for some in each.seconds.values()) or NONE
            machines = "<br>".join(each.seconds) or NONE
            yield f"| `{each.name}` | {accuracy} | {seconds} | {machines} | {each.precision} | {each.verdict} |"
    else:
        yield _NONE
    yield ""
    yield "| public record | by | accuracy | seconds | runs | on one | source |"
    yield "|---|---|---:|---:|---:|---|---|"
    for each in theirs:
        runs = "not said" if each.runs is None else f"{each.runs:,}"
        numbers = f"{each.accuracy:g}% | {each.seconds:g} | {runs}"
        yield f"| {each.name} | {each.by} | {numbers} | {each.hardware} | {each.source} |"


def chart(records: Sequence[Record]) -> dict[str, Any]:
    """Return the picture as a Vega-Lite spec: accuracy against seconds, coloured by hardware."""
    rows = [
        {
            "name": each.name,
            "accuracy": each.accuracy,
            "seconds": each.seconds,
            "hardware": each.hardware,
            "named": "plain" if each.by else "peer" if each.peer else "ours",
        }
        for each in records
    ]
    hardware = sorted({each.hardware for each in records}, key=lambda name: (len(name), name))
    legend = {"orient": "bottom", "columns": 2, "symbolSize": 120, "labelLimit": 420}

    def by_hardware(values: Sequence[str]) -> dict[str, Any]:
        scale = {"domain": hardware, "range": [values[i % len(values)] for i in range(len(hardware))]}
        return {"field": "hardware", "type": "nominal", "title": "", "scale": scale, "legend": legend}

    kinds = {row["named"] for row in rows}
    longest = max(1000, 2 * max(each.seconds for each in records))
    lowest = min(93.5, min(each.accuracy for each in records) - 0.9)  # room for the names below the marks
    ticks = [lead * 10**power for power in range(6) for lead in (1, 2, 5) if 1.5 < lead * 10**power <= longest]
    said = "Public records are means as their authors state them. Higher and further left is better."
    bold = (
        ["Bold: measured by this project. Its own recipes have their names below the marks."] if "ours" in kinds else []
    )
    return {
        "$schema": "https://vega.github.io/schema/vega-lite/v6.json",
        "title": {
            "text": "Seconds to an accuracy on CIFAR-10",
            "subtitle": [said, *bold],
        },
        "data": {"values": rows},
        "width": 760,
        "height": 400,
        "encoding": {
            "x": {
                "field": "seconds",
                "type": "quantitative",
                "title": "seconds (log)",
                "scale": {"type": "log", "domain": [1.5, longest]},
                "axis": {"grid": False, "values": ticks, "format": ",~g"},
            },
            "y": {
                "field": "accuracy",
                "type": "quantitative",
                "title": "test accuracy (%)",
                "scale": {"domain": [lowest, 97]},
            },
        },
        "layer": [
            {
                "mark": {"type": "point", "filled": True, "opacity": 1, "size": 70},
                "encoding": {"color": by_hardware(PALETTE), "shape": by_hardware(_SHAPES)},
            },
            *(_names(kind, **look) for kind, look in _LOOKS.items() if kind in kinds),
        ],
    }


def _names(kind: str, **look: Any) -> dict[str, Any]:
    """Return names that rise or fall to the right, so that those of neighbours at one accuracy stay apart."""
    text = {"type": "text", "align": "left", "baseline": "middle", "dx": 9, "fontSize": 11, **look}
    return {
        "transform": [{"filter": f"datum.named == '{kind}'"}],
        "mark": text,
        "encoding": {"text": {"field": "name"}},
    }


if __name__ == "__main__":
    render(chart([*public(), *marks(ours())]), PICTURE)
