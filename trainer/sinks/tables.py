"""What W&B is given at a run's end for its panels: a table each, and the chart that draws it."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

from trainer.panels.panel import Row
from trainer.panels.registry import PANELS
from trainer.runs.history import read_history


@dataclass(frozen=True)
class PanelTable:
    key: str  # under which it is logged
    chart: str  # the spec, as ENTITY/NAME, or W&B's own preset
    fields: dict[str, str]  # of the chart -> columns
    words: dict[str, str]  # the chart's strings
    rows: list[Row]

    @property
    def columns(self) -> list[str | int]:  # the type that wandb.Table takes
        return [*self.rows[0]]


def panel_tables(folder: Path, entity: str | None, inspected: Path | None = None) -> Iterator[PanelTable]:
    """Of every panel that a single run can fill and this one does: for the spec that was pushed to `entity`, or else
    for a preset of W&B's. `inspected`: an inspect.json that lies elsewhere. Raises CheckpointError for what is no run
    folder."""
    history = replace(read_history(folder), inspected=inspected)
    for panel in PANELS:
        if panel.preset is None or not (rows := panel.rows([history])):
            continue
        key = f"panels/{panel.name}"
        if entity:
            fields = {column: column for column in panel.columns}
            whole = [{column: row[column] for column in fields} for row in rows]
            yield PanelTable(key, f"{entity}/{panel.pushed_name}", fields, panel.words, whole)
        else:
            preset = panel.preset
            words = {"title": panel.title, **preset.words}
            yield PanelTable(key, preset.name, dict(preset.fields), words, preset.table(rows))
