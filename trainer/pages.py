"""Pages of docs/ that are made from the code: `make docs` writes them, and a test holds them against the code."""

from collections.abc import Callable
from pathlib import Path

from trainer.catalogue import NetworkRow, networks
from trainer.choices import choices_page
from trainer.files import write_whole

DOCS = Path(__file__).parents[1] / "docs"

_NETWORKS = """# Networks

All for 32x32 images, at ten classes and three channels; `make docs` writes this page. *Published* is the number of
parameters as a report prints it (MB: the size of the saved weights; %: what is added); *unsettled*: the figure does not
decide the layers, or those named do not meet it. MACs are the multiply-adds of one image; MiB is what a batch of 128 in
float32 keeps for the backward pass, weights apart.

Every network is `features`, then `head` (`models/network.py`), and its arguments are keys of the `model` section:
`trainer models NAME` prints them above the layers, and a wrong key is answered with the nearest right one. `model.act`,
`model.norm` and `model.init` are choices by name ([the layers](../models/layers)).

- `model.init=paper` stands for the scheme named below: the paper's own, or torch's where none is known or the note says
  so. `torch` is uniform within 1 / sqrt(fan in), `kaiming` He et al. 2015, eq. 14, `xavier` Glorot & Bengio 2010.
- `model.norm=group` makes 32 groups of channels, or as many as divide both 32 and the channels. Layers of 16 or 32
  channels, as in `resnet20` and many a stem, so get a group a channel, which is instance norm; `densenet100_bc` gets 2
  groups at 150 channels, and 2 again at 162.
- VGG with BatchNorm is `model.norm=batch`; there is no `batch_norm`. `vgg_a_bn` and `fastresnet9` take no `norm`, being
  named for their own.
- Gather-excite (GENet) is a layer, [`GatherExcite`](../models/layers/gather_excite.py); `ge_resnext29_8x64d` is the
  network made of it, with `model.extent` and `model.theta`.
- `timm/NAME` builds any network of timm's as timm has it: no `features` then `head`, no feature maps by name, no
  trained weights. `model.stem=cifar` makes its stem fit small images where it begins with an overlapping plain
  convolution of stride 2; every other key is an argument of timm's.
"""


def networks_page() -> str:
    """docs/networks.md."""
    rows = networks()
    header = list(rows[0].cells())
    lines = [header, ["---", "---:", "---:", "---:", "---:", "---"], *(list(row.cells().values()) for row in rows)]
    table = [f"| {' | '.join(line)} |" for line in lines]
    return "\n".join([_NETWORKS, *table, "", "## What they are, and what differs", "", *map(_entry, rows), ""])


def _entry(row: NetworkRow) -> str:
    return f"- `{row.name}`: {row.about} `init=paper`: {row.init}." + (f" *{row.note}*" if row.note else "")


PAGES: dict[str, Callable[[], str]] = {"choices.md": choices_page, "networks.md": networks_page}


def main() -> None:
    """Write every page."""
    for name, page in PAGES.items():
        write_whole(DOCS / name, page().encode())


if __name__ == "__main__":
    main()
