"""Groups of a network's parameters, each with its own rate and decay."""

from typing import Any

from torch import nn

from trainer.config.optimizer import Muon, Optimizer
from trainer.errors import ConfigError

Groups = list[dict[str, Any]]


def parameter_groups(model: nn.Module, config: Optimizer) -> Groups:
    """Return the groups of the trained parameters: `weights` (two or more dimensions) and `norm_and_bias` (the others).

    `head` and `first_bias` are groups if the config gives them a rate, a decay or an end of their own. With
    `optimizer.orthogonalise=filters` other weights than filters are the group `linear`. An empty group is left out.
    Raises ConfigError if the network has no such parameter.
    """
    if problems := missing_groups(model, config):
        raise ConfigError(*problems)
    known = single_parameters(model)
    own = config.decay_norm_and_bias
    decays = {"norm_and_bias": config.weight_decay if own is True else float(own)}
    scales = {"norm_and_bias": config.norm_and_bias_lr_scale}
    groups: dict[str, list[nn.Parameter]] = {"weights": [], "linear": [], "norm_and_bias": []}
    for parameter in model.parameters():
        if parameter.requires_grad:
            groups[_kind(parameter, config)].append(parameter)
    ends = {"norm_and_bias": config.norm_and_bias_end_epoch}
    for name, rate in config.own_groups.items():
        parameter = known[name]
        kind = _kind(parameter, config)
        groups[kind] = [each for each in groups[kind] if each is not parameter]
        groups[name] = [parameter]
        scales[name] = scales.get(kind, 1.0) if rate.lr_scale is None else rate.lr_scale
        decays[name] = decays.get(kind, config.weight_decay) if rate.weight_decay is None else rate.weight_decay
        ends[name] = ends.get(kind) if rate.end_epoch is None else rate.end_epoch
    return [
        {
            "name": name,
            "params": params,
            "lr": config.lr * scales.get(name, 1.0),
            "weight_decay": decays.get(name, config.weight_decay),
        }
        | ({} if (end := ends.get(name)) is None else {"end_epoch": end})
        for name, params in groups.items()
        if params
    ]


def missing_groups(model: nn.Module, config: Optimizer) -> list[str]:
    """Return a line for each group of one parameter that the config asks for and the network lacks.

    A recipe may have asked, so the line has the keys to set.
    """
    known = single_parameters(model)
    return [
        f"optimizer.{name}: {_MISSING[name]}; set {' '.join(f'optimizer.{name}.{key}=null' for key in rate.given)}"
        for name, rate in config.own_groups.items()
        if name not in known
    ]


def single_parameters(model: nn.Module) -> dict[str, nn.Parameter]:
    """Return the trained parameters that can be a group each, by its name: `head`, `first_bias`."""
    found = {"head": _head(model), "first_bias": _first_bias(model)}
    return {name: each for name, each in found.items() if each is not None and each.requires_grad}


_MISSING = {
    "head": "the network has no linear layer that is trained",
    "first_bias": "the network's first layer has no bias that is trained",
}


def _kind(parameter: nn.Parameter, config: Optimizer) -> str:
    if parameter.ndim <= 1:
        return "norm_and_bias"
    only_filters = isinstance(config, Muon) and config.orthogonalise == "filters"
    return "linear" if only_filters and parameter.ndim == 2 else "weights"


def _first_bias(model: nn.Module) -> nn.Parameter | None:
    """Return the bias of the first convolution or linear layer."""
    first = next((layer for layer in model.modules() if isinstance(layer, nn.Conv2d | nn.Linear)), None)
    return first and dict(first.named_parameters()).get("bias")


def _head(model: nn.Module) -> nn.Parameter | None:
    """Return the weight of the last linear layer."""
    last = next((layer for layer in reversed([*model.modules()]) if isinstance(layer, nn.Linear)), None)
    return last and last.get_parameter("weight")
