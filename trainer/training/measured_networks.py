"""The table of our networks as measured from the code, and the layers of any network."""

import json
from collections.abc import Mapping
from dataclasses import asdict
from functools import cache
from typing import Annotated, Any, Literal, get_args, get_origin

import torch
from torch import Tensor, nn

import models
from models.bounds import Bounds
from models.layers import batch_norms
from trainer.config import load_config
from trainer.data.sources import SetShape
from trainer.errors import ConfigError
from trainer.training.network_arguments import complete_arguments, complete_parts
from trainer.training.network_tables import BATCH, LayerRow, NetworkRow
from trainer.training.networks import build_network, one_line_for_wrong_images
from trainer.training.optimizers.groups import single_parameters


@cache
def measure_networks() -> list[NetworkRow]:
    """Return a row for each registered network."""
    rows: list[NetworkRow] = []
    for name in models.model_names():
        size = models.measure(models.sketch_model(name), (3, 32, 32), batch_size=BATCH)
        row = NetworkRow(
            **asdict(models.entry(name)),
            parameters=size["parameters"],
            macs=size["macs"],
            activation_bytes=size["activation_bytes"],
        )
        rows.append(row)
    return rows


def measure_timm_layers(name: str) -> list[LayerRow]:
    """Return the layers of a network of timm's. Raises ConfigError if there is none, or if it takes no 32x32 images."""
    problems, whole = complete_arguments(name, {})
    if problems:
        raise ConfigError(*problems)
    return _layers(name, whole)


def measure_own_layers(name: str) -> list[LayerRow]:
    """Return the layers of a network of the user's, with its default arguments. Raises ConfigError."""
    model = load_config([f"model.name={name}", "data.name=shapes10"], complete=complete_parts).config.model
    return _rows(name, build_network(model, SetShape(10, 1)), torch.zeros(1, 3, 32, 32))


def _layers(name: str, arguments: Mapping[str, Any]) -> list[LayerRow]:
    """Return the layers of a network in the order in which an image passes through them."""
    return _rows(name, models.sketch_model(name, **arguments), torch.empty(1, 3, 32, 32, device="meta"))


def _rows(name: str, net: nn.Module, image: Tensor) -> list[LayerRow]:
    with one_line_for_wrong_images(name, image):
        used = models.layers_in_use(net, image)
    return [
        LayerRow(use.name, type(use.layer).__name__, use.shape[1:], sum(p.numel() for p in use.layer.parameters()))
        for use in used
    ]


def networks_json() -> str:
    """Return the text of networks.json, a line for each network."""
    lines = [f"{json.dumps(row.name)}: {json.dumps(_network(row), ensure_ascii=False)}" for row in measure_networks()]
    return (
        f'{{"set_by_data": {json.dumps(models.SET_BY_DATA)},\n"timm": {json.dumps(_arguments(models.TIMM))},\n'
        '"networks": {\n' + ",\n".join(lines) + "\n}}\n"
    )


def _network(row: NetworkRow) -> dict[str, Any]:
    layers = [list(asdict(layer).values()) for layer in _layers(row.name, {})]
    net = models.sketch_model(row.name)
    has = [*(["batch_norm"] if batch_norms(net) else []), *single_parameters(net)]
    return {"row": asdict(row), "arguments": _arguments(row.name), "has": has, "layers": layers}


def _arguments(name: str) -> dict[str, Any]:
    """Return the arguments of a network as network_arguments reads them."""
    own = {key: each for key, each in models.parameters_of(name).items() if key not in models.SET_BY_DATA}
    return {key: {"default": each.default, **_described(each.annotation)} for key, each in own.items()}


def _described(annotation: Any) -> dict[str, Any]:
    origin, inner = get_origin(annotation), get_args(annotation)
    if origin is Literal:
        return {"choices": inner}
    if origin is tuple:
        return {**_described(inner[0]), "list": True, "tried": True}
    if origin is Annotated:
        bounds = next(each for each in inner[1:] if isinstance(each, Bounds))
        kept = {key: value for key, value in asdict(bounds).items() if value is not None and value is not False}
        return {"kind": inner[0].__name__, **kept}
    return {"kind": annotation.__name__, **({} if annotation is bool else {"tried": True})}
