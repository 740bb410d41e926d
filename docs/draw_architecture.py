"""Draw docs/pictures/architecture.svg: the rooms of trainer/ in the order of their imports, from the code itself."""

import re
import tomllib
from collections import defaultdict
from html import escape
from pathlib import Path

ROOT = Path(__file__).parents[1]
_WIDE, _HIGH, _ACROSS, _DOWN = 210, 46, 235, 74  # a box, and from one box to the next
_INK, _GREY, _QUIET = "#222222", "#595959", "#767676"
_ABOUT = {
    "cli": "a file a command",
    "wandb_api": "sweeps, runs and reports on W&B",
    "export": "networks for other programs",
    "report": "runs into tables and pages",
    "sweep": "a file into points, points into runs",
    "inspect": "what a trained network sees",
    "landscape": "surfaces, Hessians, bands",
    "bench": "speed, measured in turns",
    "training": "a config into a trained network",
    "sinks": "folder, console, W&B, trackio",
    "panels": "charts and the rows that fill them",
    "data": "images and batches, on the device",
    "runs": "a run on disk, configurations",
    "probes": "numbers from one step",
    "own": "parts of the user's",
    "config": "every choice, validated",
    "statistics": "tests, power, failures",
    "files at the foot": "files, seeds, text, errors",
    "models": "networks: torch and timm only",
}


def rooms() -> list[list[str]]:
    """Return the rooms by layer, the topmost first, as the import contract has them; the files at the foot as one."""
    settings = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    layers = next(each["layers"] for each in settings["tool"]["importlinter"]["contracts"] if each["type"] == "layers")
    folders = [[room for room in layer.split(" : ") if (ROOT / "trainer" / room).is_dir()] for layer in layers]
    return [*filter(None, folders), ["files at the foot", "models"]]


def imports() -> dict[str, set[str]]:
    """Return which room imports which."""
    found: dict[str, set[str]] = defaultdict(set)
    folders = {room for layer in rooms() for room in layer}
    for path in {*(ROOT / "trainer").rglob("*.py")} - {ROOT / "trainer" / "__main__.py"}:  # which starts cli
        room = path.relative_to(ROOT / "trainer").parts[0].removesuffix(".py")
        room = "cli" if room in ("__init__", "api") else room  # the two faces of the trainer
        text = path.read_text(encoding="utf-8")
        named = set(re.findall(r"^\s*from trainer\.(\w+)", text, re.MULTILINE))
        named |= {"models"} if re.search(r"^\s*(from|import) models\b", text, re.MULTILINE) else set()
        found[room if room in folders else "files at the foot"] |= {
            name if name in folders else "files at the foot" for name in named
        }
    return {room: others - {room} for room, others in found.items()}


def skeleton() -> list[tuple[str, str]]:
    """Return the imports that no chain of others implies (the transitive reduction; there are no circles)."""
    direct = imports()

    def reached(room: str) -> set[str]:
        return direct.get(room, set()).union(*(reached(other) for other in direct.get(room, set())))

    return [
        (room, other)
        for room, others in sorted(direct.items())
        for other in sorted(others)
        if not any(other in reached(between) for between in others)
    ]


def picture() -> str:
    """Return the SVG."""
    place: dict[str, tuple[float, float]] = {}
    layers = rooms()
    side = _ACROSS * max(map(len, layers))
    for row, layer in enumerate(layers):
        for column, room in enumerate(layer):
            place[room] = (side / 2 + (column - (len(layer) - 1) / 2) * _ACROSS, 20 + row * _DOWN)
    height = 20 + len(layers) * _DOWN
    lines = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {side} {height}" font-family="Arial, sans-serif">',
        f'<defs><marker id="tip" viewBox="0 0 8 8" refX="8" refY="4" markerWidth="8" markerHeight="8" orient="auto">'
        f'<path d="M0 0 L8 4 L0 8 z" fill="{_QUIET}"/></marker></defs>',
        f'<rect width="{side}" height="{height}" fill="white"/>',
    ]
    for room, other in skeleton():
        (x1, y1), (x2, y2) = place[room], place[other]
        line = f'x1="{x1}" y1="{y1 + _HIGH}" x2="{x2}" y2="{y2 - 1}"'
        lines.append(f'<line {line} stroke="{_QUIET}" stroke-width="1.5" marker-end="url(#tip)"/>')
    for room, (x, y) in place.items():
        about = _ABOUT[room]
        lines.append(
            f'<rect x="{x - _WIDE / 2}" y="{y}" width="{_WIDE}" height="{_HIGH}" rx="6" fill="white" stroke="{_INK}"/>'
            f'<text x="{x}" y="{y + 19}" text-anchor="middle" font-size="15" fill="{_INK}">{escape(room)}</text>'
            f'<text x="{x}" y="{y + 36}" text-anchor="middle" font-size="11" fill="{_GREY}">{escape(about)}</text>'
        )
    return "\n".join([*lines, "</svg>", ""])


if __name__ == "__main__":
    (ROOT / "docs" / "pictures" / "architecture.svg").write_text(picture(), encoding="utf-8")
