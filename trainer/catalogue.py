"""The networks and their layers as tables: for `trainer models`, and for docs/networks.md."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

import models
from trainer.errors import ConfigError
from trainer.networks import check_network

_BATCH = 128  # for the activation memory


@dataclass(frozen=True)
class NetworkRow:
    """One network, at ten classes and three channels of 32x32."""

    name: str
    parameters: int
    published: str  # parameters or size as a report prints them, with a word where that does not settle the layers
    macs: int  # multiply-adds of one image
    activation_bytes: int  # kept for the backward pass of a batch of 128, float32
    source: str
    about: str
    note: str

    def cells(self) -> dict[str, str]:
        return {
            "name": self.name,
            "parameters": f"{self.parameters:,}",
            "published": self.published,
            "MACs": f"{self.macs:,}",
            f"MiB at {_BATCH}": f"{self.activation_bytes / 2**20:,.0f}",
            "source": self.source,
        }


@dataclass(frozen=True)
class LayerRow:
    """One layer without layers of its own, in the order of use."""

    name: str
    kind: str
    output: tuple[int, ...]  # shape for one image
    parameters: int

    def cells(self) -> dict[str, str]:
        shape = "x".join(map(str, self.output))
        return {"layer": self.name, "kind": self.kind, "output": shape, "parameters": f"{self.parameters:,}"}


def networks() -> list[NetworkRow]:
    rows: list[NetworkRow] = []
    for name in models.model_names():
        entry, size = models.entry(name), models.measure(models.sketch_model(name), (3, 32, 32), batch_size=_BATCH)
        row = NetworkRow(
            name=name,
            parameters=size["parameters"],
            published=entry.published if entry.settled else f"{entry.published} (unsettled)",
            macs=size["macs"],
            activation_bytes=size["activation_bytes"],
            source=entry.source,
            about=entry.about,
            note=entry.note,
        )
        rows.append(row)
    return rows


def layers(name: str, **arguments: Any) -> list[LayerRow]:
    """The layers of a network as one image passes through them. Raises ConfigError for a network that there is not."""
    if problems := check_network(name, arguments):
        raise ConfigError(*problems)
    net = models.sketch_model(name, **arguments).eval()
    rows: list[LayerRow] = []

    def note(place: str) -> Any:
        def hook(layer: nn.Module, _: Any, output: Tensor) -> None:
            size = sum(p.numel() for p in layer.parameters())
            rows.append(LayerRow(place, type(layer).__name__, tuple(output.shape[1:]), size))

        return hook

    for place, layer in net.named_modules():
        if not any(True for _ in layer.children()):
            layer.register_forward_hook(note(place))
    with torch.no_grad():
        net(torch.empty(1, 3, 32, 32, device="meta"))
    return rows


def as_text(rows: Sequence[NetworkRow | LayerRow]) -> str:
    """Columns for a terminal, under a header."""
    cells = [row.cells() for row in rows]
    header = list(cells[0])
    lines = [header, *(list(each.values()) for each in cells)]
    widths = [max(len(line[i]) for line in lines) for i in range(len(header))]
    numbers = [all(line[i][:1].isdigit() for line in lines[1:]) for i in range(len(header))]
    return "\n".join(
        "  ".join(
            cell.rjust(w) if right else cell.ljust(w) for cell, w, right in zip(line, widths, numbers, strict=True)
        ).rstrip()
        for line in lines
    )
