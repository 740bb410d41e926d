"""A panel drawn from run folders, or from the example that it comes with."""

import json
from collections.abc import Sequence
from importlib.resources import files
from pathlib import Path

from trainer.errors import CheckpointError
from trainer.panels.panel import Panel, Row
from trainer.panels.registry import panel
from trainer.panels.render import render
from trainer.runs.groups import grouped
from trainer.runs.history import find_runs, read_history


def preview_panel(name: str, folders: Sequence[Path], out: Path, *, theme: str = "light") -> None:
    """Write a panel as PNG, SVG or HTML.

    Raises ConfigError for an unknown panel, theme or suffix, CheckpointError for folders with nothing to draw.
    """
    shown = panel(name)
    if not folders:
        source, rows = example(shown)
        return render(shown.chart(rows, subtitle=[shown.about, f"Example data: {source}"]), out, theme=theme)
    runs = [read_history(folder) for folder in find_runs(folders)]
    rows = shown.rows(grouped(runs))
    if not rows:
        count = "1 run" if len(runs) == 1 else f"{len(runs)} runs"
        raise CheckpointError(f"{folders[0]}: nothing for {name} in {count}; it needs {shown.needs}")
    return render(shown.chart(rows), out, theme=theme)


def example(shown: Panel) -> tuple[str, list[Row]]:
    """Return (source, rows) of a panel's example."""
    text = (files("trainer.panels") / "examples" / f"{shown.name}.json").read_text(encoding="utf-8")
    content = json.loads(text)
    return content["source"], content["rows"]
