"""Names and arguments of networks, checked without torch against networks.json, which `make docs` makes from the code.

Only three things import torch, and take seconds: a list or another argument that decides by its value whether the
network can be built, the arguments of timm's networks and optimizers, and own parts, whose files import it.
"""

from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Annotated, Any, Literal, cast

from pydantic import Field, ValidationError

from trainer.config import RunConfig
from trainer.config.base import Section, is_settings
from trainer.config.explain import did_you_mean, explain
from trainer.config.load import with_sections
from trainer.config.model import Model
from trainer.config.model import network_table as table
from trainer.config.optimizer import Optimizer, Timm
from trainer.config.own import is_own, packaged
from trainer.errors import ConfigError
from trainer.own import parts as own
from trainer.own.arguments import Option, section_of
from trainer.training.timm_names import refuse_unknown_optimizer, timm_networks

TABLE = Path(__file__).with_name("networks.json")
TIMM = "timm/"
_WEIGHTS = "trained weights cannot be loaded: a run depends on its seed alone"
_REFUSED = {  # arguments of timm's, each with the reason
    "pretrained": _WEIGHTS,
    "checkpoint_path": _WEIGHTS,
    "features_only": "a run needs logits, not maps; remove it",
}
_KINDS = {"bool": bool, "int": int, "float": float}
_SIGNS = {"ge": ">=", "gt": ">", "lt": "<", "le": "<="}


def options_of(name: str) -> dict[str, Option]:
    """Return the network's arguments that are keys of the `model` section. Raises ConfigError for an unknown name."""
    if name.startswith(TIMM):
        known = timm_networks()
        if name.removeprefix(TIMM).split(".")[0] not in known:  # weights are named after a dot
            raise ConfigError(_unknown(name, did_you_mean(name.removeprefix(TIMM), known, prefix=TIMM)))
        described = table()["timm"]
    elif name in (networks := table()["networks"]):
        described = networks[name]["arguments"]
    elif is_own("model", name):
        return own.options_of("model", name)
    else:
        raise ConfigError(_unknown(name, did_you_mean(name, [*networks, *packaged("model")])))
    return {key: _option(each) for key, each in described.items()}


def complete_parts(settings: Mapping[str, Any], config: RunConfig | None) -> tuple[list[str], dict[str, Any]]:
    """Return (a line for each problem of the network, of own parts and of timm's optimizer, whole sections by key).

    The sections are the network's and those of own parts, with all of their arguments. `config` is the result of the
    settings, or None if they have other mistakes.
    """
    problems, sections = own.complete(settings)
    model = settings.get("model")
    if is_settings(model) and isinstance(name := model.get("name"), str) and not is_own("model", name):
        given = {key: value for key, value in model.items() if key not in Model.model_fields}
        more, arguments = complete_arguments(name, given)
        problems = [*more, *problems]
        sections["model"] = {"name": name, **arguments}
    if is_settings(model) and "model" in sections:
        beside = {key: model[key] for key in Model.model_fields if key in model}
        own_default = {key for key, value in beside.items() if value is None and key in sections["model"]}  # null is it
        sections["model"] |= {key: value for key, value in beside.items() if key not in own_default}
    if config and not problems and any("code" in section for section in sections.values()):
        from trainer.training.own_trials import try_parts

        problems = try_parts(with_sections(config, sections))
    if config and not problems and not is_own("model", config.model.name):
        problems = _unmet(Model.model_validate(sections["model"]), config.optimizer)
    if config and isinstance(config.optimizer, Timm):
        try:
            refuse_unknown_optimizer(config.optimizer.name)
            if config.optimizer.arguments:
                from trainer.training.optimizers.build import refuse_impossible

                refuse_impossible(config.optimizer)
        except ConfigError as error:
            problems = [*problems, *error.problems]
    return problems, sections


def complete_arguments(name: str, arguments: Mapping[str, Any]) -> tuple[list[str], dict[str, Any]]:
    """Return (a line for each problem of a network's name and arguments, all its arguments as used).

    One of the two is empty.
    """
    try:
        whole = read_arguments(name, arguments)
        if name.startswith(TIMM) or any(
            each.tried and whole[key] != each.default for key, each in options_of(name).items()
        ):
            from trainer.training.networks import refuse_impossible

            refuse_impossible(name, whole)
    except ConfigError as error:
        return list(error.problems), {}
    return [], whole


def _unmet(model: Model, optimizer: Optimizer) -> list[str]:
    """Return a line for each thing that keys ask of the network beside its arguments, and that it lacks.

    The table knows what each network has with default arguments. One with others is tried.
    """
    options, asked = options_of(model.name), set(optimizer.own_groups)
    if model.norm_momentum is not None and "norm_momentum" not in options:
        asked.add("batch_norm")
    described = table()["networks"].get(model.name)
    if described and all(value == options[key].default for key, value in model.arguments.items()):
        asked -= set(described["has"])
    if not asked:
        return []
    from trainer.training.networks import unmet

    return unmet(model, optimizer)


def read_arguments(name: str, arguments: Mapping[str, Any]) -> dict[str, Any]:
    """Return all arguments, with defaults, in the types of the builder's signature.

    Raises ConfigError with every problem.
    """
    whole = _network_section(name)
    set_by_data = table()["set_by_data"]
    problems = [f"model.{key}: set by the data, remove it" for key in set_by_data if key in arguments]
    if name.startswith(TIMM):
        problems += [f"model.{key}: {reason}" for key, reason in _REFUSED.items() if key in arguments]
    own = {key: value for key, value in arguments.items() if key not in set_by_data}
    try:
        read = cast("Any", whole.model_validate({"model": {"name": name, **own}})).model
    except ValidationError as error:
        raise ConfigError(*problems, *explain(error, whole)) from error
    if problems:
        raise ConfigError(*problems)
    return read.model_dump(exclude={"name"})


@cache
def _network_section(name: str) -> type[Section]:
    return section_of("model", name, options_of(name), extra="allow" if name.startswith(TIMM) else "forbid")


def _unknown(name: str, hint: str) -> str:
    return f"model.name: no network is called {name!r}{hint or '; `trainer models` lists them'}"


def _option(described: Mapping[str, Any]) -> Option:
    """Return an argument of the table: {"default", "list" of items?, "choices" or "kind" and its bounds, "tried"?}."""
    bounds = {sign: described[sign] for sign in _SIGNS if sign in described}
    if choices := described.get("choices"):
        annotation, values = Literal[tuple(choices)], " | ".join(map(str, choices))
    else:
        annotation, values = _KINDS[described["kind"]], described["kind"]
    if bounds:
        annotation = Annotated[annotation, Field(**bounds)]
        values += "".join(f" {_SIGNS[sign]} {value:g}" for sign, value in bounds.items())
    default = described["default"]
    if described.get("list"):
        annotation, values, default = tuple[annotation, ...], f"list of {values}", tuple(default)
    return Option(default, annotation, values, described.get("tried", False))
