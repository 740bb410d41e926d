"""Networks, their arguments and their layers as tables, for `trainer models` and docs/networks.md. Imports no torch."""

from collections.abc import Sequence
from dataclasses import dataclass

from trainer.config.own import is_own
from trainer.text import table as as_table
from trainer.training.network_arguments import TIMM, options_of, table

BATCH = 128  # for the activation memory


@dataclass(frozen=True)
class NetworkRow:
    """One network, at ten classes and three channels of 32x32. The first fields are those of `models.Entry`."""

    name: str
    about: str
    source: str
    published: str
    settled: bool
    init: str
    note: str
    parameters: int
    macs: int  # multiply-adds of one image
    activation_bytes: int  # kept for the backward pass of a batch of 128, float32

    def cells(self) -> dict[str, str]:
        return {
            "name": self.name,
            "parameters": f"{self.parameters:,}",
            "published": self.published if self.settled else f"{self.published} (unsettled)",
            "MACs": f"{self.macs:,}",
            f"MiB at {BATCH}": f"{self.activation_bytes / 2**20:,.0f}",
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
    """Return a row for each of our networks."""
    return [NetworkRow(**each["row"]) for each in table()["networks"].values()]


def arguments(name: str) -> list[ArgumentRow]:
    """Return the keys of `model` besides the name. Raises ConfigError for an unknown network."""
    return [
        ArgumentRow(f"model.{key}", _typed(option.default), option.values) for key, option in options_of(name).items()
    ]


def layers(name: str) -> list[LayerRow]:
    """Return the layers of a network in the order in which an image passes through them.

    One of timm's, or of the user's, is built, which imports torch. Raises ConfigError for an unknown network, or one
    that does not take 32x32 images.
    """
    options_of(name)
    if name.startswith(TIMM):
        from trainer.training.measured_networks import measure_timm_layers

        return measure_timm_layers(name)
    if is_own("model", name):
        from trainer.training.measured_networks import measure_own_layers

        return measure_own_layers(name)
    kept = table()["networks"][name]["layers"]
    return [LayerRow(layer, kind, tuple(output), parameters) for layer, kind, output, parameters in kept]


def as_text(*tables: Sequence[NetworkRow | ArgumentRow | LayerRow]) -> str:
    """Return columns for a terminal, with each table under its header. A table without rows is left out."""
    return "\n\n".join(_columns(rows) for rows in tables if rows)


def _columns(rows: Sequence[NetworkRow | ArgumentRow | LayerRow]) -> str:
    cells = [row.cells() for row in rows]
    header = list(cells[0])
    lines = [header, *(list(each.values()) for each in cells)]
    numbers = {i for i in range(len(header)) if all(line[i][:1].isdigit() for line in lines[1:])}
    return as_table(lines, right=numbers)


def _typed(value: object) -> str:
    """Return a value as you type it: [3,3], true."""
    if isinstance(value, tuple):
        return f"[{','.join(map(_typed, value))}]"
    return str(value).lower() if isinstance(value, bool) else str(value)
