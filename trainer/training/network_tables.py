"""Networks, their arguments and their layers as tables, for `trainer models` and docs/networks.md."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any, Literal, get_args, get_origin

import torch

import models
from trainer.errors import ConfigError
from trainer.text import table
from trainer.training.networks import complete_arguments, one_line_for_wrong_images, options_of

_BATCH = 128  # for the activation memory


@dataclass(frozen=True)
class NetworkRow(models.Entry):
    """One network, at ten classes and three channels of 32x32."""

    parameters: int
    macs: int  # multiply-adds of one image
    activation_bytes: int  # kept for the backward pass of a batch of 128, float32

    def cells(self) -> dict[str, str]:
        return {
            "name": self.name,
            "parameters": f"{self.parameters:,}",
            "published": self.published if self.settled else f"{self.published} (unsettled)",
            "MACs": f"{self.macs:,}",
            f"MiB at {_BATCH}": f"{self.activation_bytes / 2**20:,.0f}",
            "source": self.source,
        }


@dataclass(frozen=True)
class ArgumentRow:
    """One argument of a network, as you type it."""

    key: str
    default: str
    values: str

    def cells(self) -> dict[str, str]:
        return {"argument": self.key, "default": self.default, "values": self.values}


@dataclass(frozen=True)
class LayerRow:
    """One layer without sublayers."""

    name: str
    kind: str
    output: tuple[int, ...]  # shape for one image
    parameters: int

    def cells(self) -> dict[str, str]:
        shape = "x".join(map(str, self.output))
        return {"layer": self.name, "kind": self.kind, "output": shape, "parameters": f"{self.parameters:,}"}


def networks() -> list[NetworkRow]:
    """Return a row for each registered network."""
    rows: list[NetworkRow] = []
    for name in models.model_names():
        size = models.measure(models.sketch_model(name), (3, 32, 32), batch_size=_BATCH)
        row = NetworkRow(
            **asdict(models.entry(name)),
            parameters=size["parameters"],
            macs=size["macs"],
            activation_bytes=size["activation_bytes"],
        )
        rows.append(row)
    return rows


def arguments(name: str) -> list[ArgumentRow]:
    """Return the keys of `model` besides the name. Raises ConfigError for an unknown network."""
    return [
        ArgumentRow(f"model.{key}", _typed(option.default), _values(option.annotation))
        for key, option in options_of(name).items()
    ]


def layers(name: str, **arguments: Any) -> list[LayerRow]:
    """Return the layers of a network in the order in which an image passes through them.

    Raises ConfigError for an unknown network, or one that does not take 32x32 images.
    """
    problems, whole = complete_arguments(name, arguments)
    if problems:
        raise ConfigError(*problems)
    net, image = models.sketch_model(name, **whole), torch.empty(1, 3, 32, 32, device="meta")
    with one_line_for_wrong_images(name, image):
        used = models.layers_in_use(net, image)
    return [
        LayerRow(use.name, type(use.layer).__name__, use.shape[1:], sum(p.numel() for p in use.layer.parameters()))
        for use in used
    ]


def as_text(*tables: Sequence[NetworkRow | ArgumentRow | LayerRow]) -> str:
    """Return columns for a terminal, with each table under its header."""
    return "\n\n".join(map(_columns, tables))


def _columns(rows: Sequence[NetworkRow | ArgumentRow | LayerRow]) -> str:
    cells = [row.cells() for row in rows]
    header = list(cells[0])
    lines = [header, *(list(each.values()) for each in cells)]
    numbers = {i for i in range(len(header)) if all(line[i][:1].isdigit() for line in lines[1:])}
    return table(lines, right=numbers)


def _values(annotation: Any) -> str:
    if get_origin(annotation) is Literal:
        return " | ".join(map(str, get_args(annotation)))
    if get_origin(annotation) is tuple:
        return f"list of {_values(get_args(annotation)[0])}"
    return annotation.__name__


def _typed(value: object) -> str:
    """Return a value as you type it: [3,3], true."""
    if isinstance(value, tuple):
        return f"[{','.join(map(_typed, value))}]"
    return str(value).lower() if isinstance(value, bool) else str(value)
