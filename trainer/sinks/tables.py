"""Tables that W&B gets at the end of a run for its panels, each with the chart that draws it."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from trainer.panels.panel import Panel, Row
from trainer.panels.registry import PANELS
from trainer.runs.groups import grouped
from trainer.runs.history import read_history


@dataclass(frozen=True)
class PanelTable:
    key: str  # under which it is logged
    chart: str  # the spec, as ENTITY/NAME, or W&B's own preset
    fields: dict[str, str]  # of the chart -> columns
    strings: dict[str, str]  # of the chart
    rows: list[Row]

    @property
    def columns(self) -> list[str | int]:  # the type that wandb.Table takes
        return [*self.rows[0]]


def panel_tables(folder: Path, entity: str | None) -> Iterator[PanelTable]:
    """Yield the table of every panel that this run alone can fill. Raises CheckpointError if it is no run folder."""
    groups = grouped([read_history(folder)])
    for panel in PANELS:
        if panel.preset is not None and (rows := panel.rows(groups)):
            yield panel_table(panel, rows, entity)


def panel_table(panel: Panel, rows: Sequence[Row], entity: str | None) -> PanelTable:
    """Return rows, at least one, as the table of a panel: for the spec pushed to `entity`, or else for W&B's preset."""
    key, preset = f"panels/{panel.name}", panel.preset
    assert preset is not None
    if not entity:
        return PanelTable(
            key, preset.name, dict(preset.fields), {"title": panel.title, **preset.strings}, preset.table(rows)
        )
    fields = {column: column for column in panel.columns}
    whole = [{column: row[column] for column in fields} for row in rows]
    return PanelTable(key, f"{entity}/{panel.pushed_name}", fields, panel.strings, whole)
