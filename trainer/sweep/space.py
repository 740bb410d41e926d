"""The `parameters` of a sweep: constants, choices and distributions, by W&B's rules."""

import json
import math
import random
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import product
from typing import Any

from trainer.config.base import is_settings
from trainer.config.explain import did_you_mean
from trainer.config.overrides import canonical

_LOG_VALUES = ("log_uniform_values", "q_log_uniform_values", "inv_log_uniform_values")
_BOUNDED = ("int_uniform", "uniform", "q_uniform", "log_uniform", "q_log_uniform", "inv_log_uniform", *_LOG_VALUES)
_SHAPED = {  # the parameters of its shape, with W&B's defaults
    **{name: {"mu": 0.0, "sigma": 1.0} for name in ("normal", "q_normal", "log_normal", "q_log_normal")},
    **{name: {"a": 1.0, "b": 1.0} for name in ("beta", "q_beta")},
}
_DISTRIBUTIONS = ["constant", "categorical", "categorical_w_probabilities", *_BOUNDED, *_SHAPED]
_KEYS = ["value", "values", "min", "max", "distribution", "probabilities", "q", "mu", "sigma", "a", "b", "parameters"]


@dataclass(frozen=True)
class Constant:
    value: Any

    @property
    def choices(self) -> list[Any]:
        return [self.value]


@dataclass(frozen=True)
class Choice:
    values: tuple[Any, ...]
    probabilities: tuple[float, ...] | None = None

    @property
    def choices(self) -> list[Any]:
        return list(self.values)


@dataclass(frozen=True)
class Range:
    """A distribution by W&B's name for it: min and max, or mu and sigma of a normal one, or a and b of a beta one."""

    distribution: str
    low: float
    high: float
    q: float | None = None

    @property
    def choices(self) -> list[Any]:
        """Return all values that a grid takes, or none if they have no end."""
        if self.distribution not in ("int_uniform", "q_uniform"):
            return []
        step = self.q or 1
        return [self.low + k * step for k in range(int((self.high - self.low) / step + 1e-9) + 1)]


Parameter = Constant | Choice | Range


def read_parameters(written: Mapping[str, Any], *, method: str) -> tuple[dict[str, Parameter], list[str]]:
    """Return (parameters by sorted dotted key, a line for each mistake). Nested `parameters:` become dotted keys."""
    space: dict[str, Parameter] = {}
    problems: list[str] = []
    for key, spec in _flat(written, problems):
        if key in space:
            problems.append(f"parameters.{key}: given twice, nested and dotted")
        try:
            space[key] = _read(spec, grid=method == "grid")
        except ValueError as error:
            problems.append(f"parameters.{key}: {error}")
    return dict(sorted(space.items())), problems


def grid(space: Mapping[str, Parameter]) -> list[dict[str, Any]]:
    """Return all combinations in W&B's order: keys sorted, the last one varies fastest."""
    keys = sorted(space)
    return [dict(zip(keys, values, strict=True)) for values in product(*(space[key].choices for key in keys))]


def draw(parameter: Parameter, rng: random.Random) -> Any:
    """Draw one value, as W&B's server does for a random search."""
    match parameter:
        case Constant(value):
            return value
        case Choice(values, probabilities):
            return rng.choices(values, weights=probabilities)[0]
        case Range("int_uniform", low, high):
            return rng.randint(int(low), int(high))
        case Range(distribution, low, high, q):
            value = _continuous(distribution.removeprefix("q_"), low, high, rng)
            return value if q is None else round(value / q) * q


def _continuous(distribution: str, low: float, high: float, rng: random.Random) -> float:
    match distribution:
        case "log_uniform":
            return math.exp(rng.uniform(low, high))
        case "inv_log_uniform":
            return math.exp(-rng.uniform(low, high))
        case "log_uniform_values" | "inv_log_uniform_values":
            return math.exp(rng.uniform(math.log(low), math.log(high)))
        case "normal":
            return rng.gauss(low, high)
        case "log_normal":
            return math.exp(rng.gauss(low, high))
        case "beta":
            return rng.betavariate(low, high)
        case _:
            return rng.uniform(low, high)


def _flat(written: Mapping[str, Any], problems: list[str], prefix: str = "") -> list[tuple[str, Mapping[str, Any]]]:
    found: list[tuple[str, Mapping[str, Any]]] = []
    for name, spec in written.items():
        key = f"{prefix}{name}"
        if not all(part.isidentifier() for part in key.split(".")):
            problems.append(f"parameters.{key}: not a key of the trainer: letters, digits and _ between dots")
        elif not is_settings(spec):
            problems.append(f"parameters.{key}: {spec!r}: write {{value: {spec}}} or {{values: [...]}}")
        elif is_settings(inner := spec.get("parameters")):
            found += _flat(inner, problems, f"{key}.")
        elif spec and not spec.keys() & set(_KEYS) and all(is_settings(value) for value in spec.values()):
            first = next(iter(spec))
            problems.append(
                f"parameters.{key}: W&B takes no section here; write the flat key {key}.{first},"
                " or an inner `parameters:`"
            )
        else:
            found.append((key, spec))
    return found


def _read(spec: Mapping[str, Any], *, grid: bool) -> Parameter:
    for name in spec:
        if name not in _KEYS:
            raise ValueError(f"{name}: no such key{did_you_mean(name, _KEYS)}")
    kinds = [name for name in ("value", "values", "min") if name in spec] + [n for n in ("mu", "a") if n in spec]
    if len(kinds) > 1:
        raise ValueError(f"{kinds[0]} and {kinds[1]} exclude each other")
    distribution = spec.get("distribution")
    if distribution is not None and distribution not in _DISTRIBUTIONS:
        raise ValueError(f"distribution: {distribution!r} is not one{did_you_mean(distribution, _DISTRIBUTIONS)}")
    if "value" in spec:
        return Constant(spec["value"])
    if "values" in spec:
        return _choice(spec)
    found = _shaped(spec) if distribution in _SHAPED else _range(spec)
    if grid and found.distribution not in ("int_uniform", "q_uniform"):
        raise ValueError(f"{found.distribution} has no grid; list its values under `values:`")
    return found


def _choice(spec: Mapping[str, Any]) -> Choice:
    values, shares = spec["values"], spec.get("probabilities")
    if not isinstance(values, list) or not values:
        raise ValueError(f"values: {values!r}: expected a list with at least one value")
    if len({json.dumps(canonical(value)) for value in values}) < len(values):
        raise ValueError(f"values: {values!r}: one of them is there twice, and would be run twice")
    if shares is not None:
        if (
            not isinstance(shares, list)
            or len(shares) != len(values)
            or abs(sum(_number(each, "probabilities") for each in shares) - 1) > 1e-6
        ):
            raise ValueError(f"probabilities: {shares!r}: expected {len(values)} shares that add up to 1")
        return Choice(tuple(values), tuple(shares))
    return Choice(tuple(values))


def _range(spec: Mapping[str, Any]) -> Range:
    if missing := [name for name in ("min", "max") if name not in spec]:
        raise ValueError(f"needs value, values, or min and max (no {' and no '.join(missing)})")
    low, high = _number(spec["min"], "min"), _number(spec["max"], "max")
    whole = isinstance(spec["min"], int) and isinstance(spec["max"], int)
    if isinstance(spec["min"], int) != isinstance(spec["max"], int) and "distribution" not in spec:
        raise ValueError(f"min {low} and max {high}: both with a point or both without, else W&B refuses them")
    distribution = spec.get("distribution") or ("int_uniform" if whole else "uniform")
    if low >= high:
        raise ValueError(f"min: {low} is not below max, {high}")
    if distribution == "int_uniform" and not whole:
        raise ValueError(f"min {low} and max {high}: int_uniform takes whole numbers")
    if distribution in _LOG_VALUES and low <= 0:
        raise ValueError(f"min: {low}: {distribution} takes values above 0")
    return Range(distribution, low, high, _step(spec) if distribution.startswith("q_") else None)


def _shaped(spec: Mapping[str, Any]) -> Range:
    distribution = spec["distribution"]
    first, second = (_number(spec.get(name, default), name) for name, default in _SHAPED[distribution].items())
    return Range(distribution, first, second, _step(spec) if distribution.startswith("q_") else None)


def _step(spec: Mapping[str, Any]) -> float:
    if (step := _number(spec.get("q", 1), "q")) <= 0:
        raise ValueError(f"q: {step}: must be above 0")
    return step


def _number(value: Any, name: str) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float):
        hint = "; to YAML 1.1 this is text, write 1.0e-3" if isinstance(value, str) and "e" in value.lower() else ""
        raise ValueError(f"{name}: {value!r} is not a number{hint}")  # noqa: TRY004 - a user's, shown as a line
    return value
