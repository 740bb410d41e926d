"""Pictures that `trainer inspect` has drawn of runs. A page shows them, and never contains them."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from trainer.report.folders import Run
from trainer.report.table import Table

FOLDER = "inspect"
"""Folder of the pictures in that of their run, if they were not asked for elsewhere."""
_FIRST = ("mistakes", "confusion_matrix", "reliability", "grad_cam", "feature_maps", "filters", "layer_statistics")


@dataclass(frozen=True)
class Picture:
    path: Path
    words: str  # what it shows


@dataclass(frozen=True)
class Shown:
    """Pictures of one run, folded on the HTML page and left out of the Markdown."""

    run: str
    caption: str
    pictures: tuple[Picture, ...]


def pictures_of(table: Table) -> list[Shown]:
    """Return the pictures of each run that has any."""
    runs = [(each.label, run) for each in table.configurations for run in (*each.runs, *each.failed)]
    return [
        Shown(run.name, f"{label}, seed {run.seed}: {len(found)} pictures of its network", tuple(found))
        for label, run in runs
        if (found := [*_pictures_in(run)])
    ]


def _pictures_in(run: Run) -> Iterator[Picture]:
    found = {path.stem: path for path in sorted((run.history.folder / FOLDER).glob("*.png"))}
    for name in sorted(found, key=lambda name: (_FIRST.index(name) if name in _FIRST else len(_FIRST), name)):
        words = name.replace("_", " ")
        yield Picture(found[name], words[:1].upper() + words[1:])
