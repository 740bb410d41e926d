"""Pages of docs/ that are made from the code: `make docs` writes them, and a test holds them against the code."""

from collections.abc import Callable
from pathlib import Path

from trainer.catalogue import NetworkRow, networks
from trainer.files import write_whole

DOCS = Path(__file__).parents[1] / "docs"

_NETWORKS = """# Networks

All for 32x32 images, at ten classes and three channels; `make docs` writes this page. *Published* is the number of
parameters as a report prints it (MB: the size of the saved weights; %: what is added); *unsettled*: the figure does not
decide the layers, or no layers reach it. MACs are the multiply-adds of one image; MiB is what a batch of 128 in float32
keeps for the backward pass.

Every network is `features`, then `head` (`models/network.py`), and its arguments are keys of the `model` section:
`trainer models NAME` prints the layers, and a wrong key is answered with the nearest right one. `model.act`,
`model.norm` and `model.init` are choices by name ([the layers](../models/layers)); what `init=paper` stands for is said
below. `timm/NAME` builds any network of timm's, and `model.stem=cifar` makes its stem fit small images where it begins
with an overlapping convolution of stride 2.
"""


def networks_page() -> str:
    """docs/networks.md."""
    rows = networks()
    header = list(rows[0].cells())
    lines = [header, ["---", "---:", "---:", "---:", "---:", "---"], *(list(row.cells().values()) for row in rows)]
    table = [f"| {' | '.join(line)} |" for line in lines]
    return "\n".join([_NETWORKS, *table, "", "## What they are, and what differs", "", *map(_entry, rows), ""])


def _entry(row: NetworkRow) -> str:
    return f"- `{row.name}`: {row.about}" + (f" *{row.note}*" if row.note else "")


PAGES: dict[str, Callable[[], str]] = {"networks.md": networks_page}


def main() -> None:
    """Write every page."""
    for name, page in PAGES.items():
        write_whole(DOCS / name, page().encode())


if __name__ == "__main__":
    main()
