"""Optimizers of a network's parameters by the `optimizer` section."""

from typing import Any, assert_never, cast

import torch
from torch import nn

from trainer.config.optimizer import (
    Adadelta,
    Adagrad,
    Adam,
    Adamax,
    AdamW,
    Muon,
    NAdam,
    Optimizer,
    OwnOptimizer,
    RmsProp,
    Sgd,
    Timm,
)
from trainer.errors import ConfigError, first_line
from trainer.own import parts as own
from trainer.seeds import draws_forgotten
from trainer.training.optimizers import eager
from trainer.training.optimizers.groups import Groups, parameter_groups
from trainer.training.optimizers.muon import Orthogonalised
from trainer.training.optimizers.wrappers import Lookahead, Together
from trainer.training.timm_names import refuse_unknown_optimizer

_OF_NETWORKS = (
    "filter_bias_and_bn",
    "fallback_list",
    "fallback_no_weight_decay",
    "layer_decay",
    "layer_decay_min_scale",
    "layer_decay_no_opt_scale",
    "param_group_fn",
)
"""Arguments that timm's factory only uses if it is given a network."""


def fused_on(device: torch.device, dtype: torch.dtype) -> bool:
    """Return whether a run's optimizer is fused: on CUDA, but not in float16.

    There GradScaler lets a fused step run into an overflow and do nothing. Then SGD keeps a momentum that nobody wrote.
    """
    return device.type == "cuda" and dtype != torch.float16


def build_optimizer(
    model: nn.Module,
    config: Optimizer,
    *,
    fused: bool,
    total_steps: int = 1,
    dtype: torch.dtype = torch.float32,
) -> torch.optim.Optimizer:
    """Build the optimizer of a run of `total_steps`, which only a ramp of lookahead needs.

    `fused` is for CUDA: torch's one-kernel update if there is one, and rates on the device, so that a step can be
    recorded. Otherwise all tensors are updated at once. On a CPU, Adam has its one kernel, too, since its many passes
    over memory become one. `dtype` is that of the matrix products, which Muon's own go by. Raises ConfigError for an
    optimizer or an argument that timm does not know, and for a group that the network does not have.
    """
    groups = parameter_groups(model, config)
    optimizer = _optimizer(groups, config, fused, dtype)
    for part in optimizer.parts if isinstance(optimizer, Together) else [optimizer]:
        part.register_load_state_dict_pre_hook(_with_options_of_this_machine)
        if fused and isinstance(part, _RECORDABLE):
            _keep_rates_on_the_device(part)
    if not config.lookahead.steps:
        return optimizer
    alpha, power = config.lookahead.alpha, config.lookahead.ramp_power

    def share(step: int) -> float:
        return 1 - (1 - alpha) * min(step / total_steps, 1.0) ** power

    return Lookahead(optimizer, every=config.lookahead.steps, share=share)


_RECORDABLE = (eager.SGD, eager.Adam, eager.AdamW, eager.Adamax, eager.NAdam, eager.Adadelta, eager.RMSprop,
               Orthogonalised)  # fmt: skip
"""Those whose step reads all that changes from the device."""
_OF_THE_MACHINE = ("fused", "foreach", "capturable", "differentiable")
"""Options of a group that say how an optimizer computes, not what."""


def _keep_rates_on_the_device(optimizer: torch.optim.Optimizer) -> None:
    for group in optimizer.param_groups:
        group["base_lr"] = group["lr"]  # with all its digits
        group["lr"] = torch.tensor(group["lr"], device=group["params"][0].device)
    vars(optimizer)["_warned_capturable_if_run_uncaptured"] = True  # the first steps, and all without `train.graphs`


def _with_options_of_this_machine(optimizer: torch.optim.Optimizer, state: dict[str, Any]) -> dict[str, Any]:
    """Return a state to load with the options of `optimizer`, and not with those of the machine that wrote it.

    torch would take the writer's, and use slower kernels, or others that round in another way.
    """
    pairs = zip(state["param_groups"], optimizer.param_groups, strict=True)
    own = [kept | {key: now[key] for key in _OF_THE_MACHINE if key in now} | _rate(kept, now) for kept, now in pairs]
    return {**state, "param_groups": own}


def _rate(kept: dict[str, Any], now: dict[str, Any]) -> dict[str, Any]:
    """Return the rate of a group to load. One on the device is that of this run, since a schedule sets it."""
    return {"lr": now["lr"] if isinstance(now["lr"], torch.Tensor) else float(kept["lr"])}


def refuse_impossible(config: Optimizer) -> None:
    """Raise ConfigError for an optimizer or an argument that timm does not know."""
    build_optimizer(nn.Linear(2, 2), config, fused=False)


def _optimizer(groups: Groups, config: Optimizer, fused: bool, dtype: torch.dtype) -> torch.optim.Optimizer:
    foreach: dict[str, Any] = {"lr": config.lr, "foreach": True}
    one_kernel: dict[str, Any] = {"lr": config.lr, "fused": True}
    fastest = one_kernel if fused else foreach
    adams = one_kernel if fused or groups[0]["params"][0].device.type == "cpu" else foreach
    recordable = {"capturable": fused}
    match config:
        case Sgd():
            return eager.SGD(
                groups, momentum=config.momentum, nesterov=config.nesterov, dampening=config.dampening, **fastest
            )
        case Adam():
            return eager.Adam(groups, betas=(config.beta1, config.beta2), eps=config.eps, **adams, **recordable)
        case AdamW():
            return eager.AdamW(groups, betas=(config.beta1, config.beta2), eps=config.eps, **adams, **recordable)
        case Adamax():
            return eager.Adamax(groups, betas=(config.beta1, config.beta2), eps=config.eps, **foreach, **recordable)
        case NAdam():
            betas, decay = (config.beta1, config.beta2), config.momentum_decay
            return eager.NAdam(groups, betas=betas, eps=config.eps, momentum_decay=decay, **foreach, **recordable)
        case Adadelta():
            return eager.Adadelta(groups, rho=config.rho, eps=config.eps, **foreach, **recordable)
        case Adagrad():
            return eager.Adagrad(groups, lr_decay=config.lr_decay, eps=config.eps, **foreach)
        case RmsProp():
            return eager.RMSprop(
                groups,
                alpha=config.alpha,
                momentum=config.momentum,
                centered=config.centered,
                eps=config.eps,
                **foreach,
                **recordable,
            )
        case Muon():
            return _muon(groups, config, fused, dtype)
        case Timm():
            return _timm(groups, config)
        case OwnOptimizer():
            return _own(groups, config)
        case _:
            assert_never(config)


def _muon(groups: Groups, config: Muon, fused: bool, dtype: torch.dtype) -> torch.optim.Optimizer:
    """Build Muon for the weights, and the optimizer `rest` for all other groups."""
    if config.format != "auto":
        dtype = getattr(torch, config.format)
    elif dtype == torch.float16:  # the squares of small singular values would be 0 in it
        dtype = torch.float32
    names = ("weights",) if config.orthogonalise == "filters" else ("weights", "head")
    weights = [group for group in groups if group["name"] in names]
    others = [group for group in groups if group["name"] not in names]
    parts: list[torch.optim.Optimizer] = []
    if weights:
        parts.append(
            Orthogonalised(
                weights,
                lr=config.lr,
                momentum=config.momentum,
                nesterov=config.nesterov,
                expand=config.expand,
                settle=config.settle,
                dtype=dtype,
                renormalise=config.renormalise,
            )
        )
    if others and config.rest == "sgd":
        momentum = config.momentum if config.rest_momentum is None else config.rest_momentum
        nesterov = config.nesterov and momentum > 0
        parts.append(_optimizer(others, Sgd(lr=config.lr, momentum=momentum, nesterov=nesterov), fused, dtype))
    elif others:
        parts.append(_optimizer(others, AdamW(lr=config.lr), fused, dtype))
    return Together(parts)


def _timm(groups: Groups, config: Timm) -> torch.optim.Optimizer:
    refuse_unknown_optimizer(config.name)
    import timm.optim  # takes a second, and only its optimizers need it

    timm_optim, name = cast("Any", timm.optim), config.name.removeprefix("timm/")
    if problems := _unused_by_timm(config, timm_optim.get_optimizer_info(name)):
        raise ConfigError(*problems)
    try:
        timm_optim.get_optimizer_class(name)
    except (ImportError, AssertionError) as error:  # a package is not there, or its GPU
        raise ConfigError(f"optimizer.name: {config.name!r} cannot be built here: {first_line(error)}") from error
    try:
        built = timm_optim.create_optimizer_v2(groups, opt=name, lr=config.lr, weight_decay=0.0, **config.arguments)
    except (TypeError, ValueError, AssertionError, ImportError) as error:
        what = f"arguments: {name} cannot be built with these" if config.arguments else f"name: {name} cannot be built"
        raise ConfigError(f"optimizer.{what}: {first_line(error)}") from error
    for group in built.param_groups:
        if "max_lr_snapshot" in group:  # timm takes `config.lr`, and corrected decay is by rate^2 / largest rate
            group["max_lr_snapshot"] = group["lr"]
    return built


def _unused_by_timm(config: Timm, info: Any) -> list[str]:
    """Return a line for each argument that timm takes and drops."""
    has = {"betas": info.has_betas, "eps": info.has_eps, "momentum": info.has_momentum}
    known = " and ".join(key for key in has if has[key])
    lines = {key: f"{config.name} has none{known and f', but {known}'}; remove it" for key in has if not has[key]}
    lines |= dict.fromkeys(_OF_NETWORKS, "timm would make groups of parameters with it, which are made here; remove it")
    return [f"optimizer.arguments.{key}: {lines[key]}" for key in config.arguments if key in lines]


def _own(groups: Groups, config: OwnOptimizer) -> torch.optim.Optimizer:
    optimizer = own.build("optimizer", config, groups, lr=config.lr, weight_decay=config.weight_decay)
    if not isinstance(optimizer, torch.optim.Optimizer):
        source = own.source_of("optimizer", config)
        raise source.mistake(f"builds {own.described(optimizer)}, not an optimizer (torch.optim.Optimizer)")
    return optimizer


def try_own_optimizer(config: OwnOptimizer) -> None:
    """Raise ConfigError unless an optimizer takes one step of a small layer, after which its weights are finite."""
    source = own.source_of("optimizer", config)
    with draws_forgotten():
        layer = nn.Linear(2, 2)
    optimizer = build_optimizer(layer, config, fused=False)
    with own.in_a_line(source, "cannot take a step"):
        layer(torch.ones(1, 2)).square().sum().backward()
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)
        optimizer.load_state_dict(optimizer.state_dict())
    if not all(parameter.isfinite().all() for parameter in layer.parameters()):
        raise source.mistake("makes NaN or infinite weights in its first step")
