"""docs/architecture.md shows the rooms that there are, in the order in which imports may go."""

import re
import tomllib
from pathlib import Path

from draw_architecture import picture

ROOT = Path(__file__).parents[2]


def rooms_of_the_map() -> list[str]:
    text = (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8")
    block = re.search(r"```\ntrainer/\n(.*?)\nmodels/", text, re.DOTALL)
    assert block
    return re.findall(r"(?:^  |    )([a-z_]+)(?:/|\.py)(?=\s)", block[1], re.MULTILINE)


def layers_of_the_contract() -> list[list[str]]:
    settings = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    contracts = settings["tool"]["importlinter"]["contracts"]
    layers = next(contract["layers"] for contract in contracts if contract["type"] == "layers")
    return [layer.split(" : ") for layer in layers]


def test_the_map_and_the_import_contract_have_the_same_order() -> None:
    rooms = [
        room
        for room in rooms_of_the_map()
        if room not in ("recipes", "published", "pages", "live", "optimizers", "augment")
    ]
    rooms += ["published"]  # shares its line with another
    level = {room: depth for depth, layer in enumerate(layers_of_the_contract()) for room in layer}
    assert sorted(rooms) == sorted(level)
    in_order = [level[room] for room in rooms if room != "published"]
    assert in_order == sorted(in_order)


def test_every_room_of_the_trainer_is_on_the_map() -> None:
    there = {path.name for path in (ROOT / "trainer").iterdir() if (path / "__init__.py").is_file()}
    assert there <= set(rooms_of_the_map())


def test_the_figure_is_that_of_the_code() -> None:
    drawn = (ROOT / "docs" / "pictures" / "architecture.svg").read_text(encoding="utf-8")
    assert drawn == picture(), "run `make docs`"


def test_no_room_of_the_figure_is_cut_off() -> None:
    """Before: the width was fixed, and a row of four rooms was wider."""
    drawn = picture()
    side = float(re.findall(r'viewBox="0 0 (\d+)', drawn)[0])
    boxes = [
        (float(x), float(width)) for x, width in re.findall(r'<rect x="(-?[\d.]+)" y="[\d.]+" width="(\d+)"', drawn)
    ]
    assert len(boxes) > 15 and all(x >= 0 and x + width <= side for x, width in boxes)
