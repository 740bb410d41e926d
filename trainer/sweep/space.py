"""The `parameters` of a sweep: constants, choices and distributions, by the rules of W&B's schema (`sweeps` 0.3.0)."""

import bisect
import json
import math
import random
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import accumulate
from typing import Any, overload

from scipy import special

from trainer.config.base import is_settings
from trainer.config.explain import did_you_mean
from trainer.config.overrides import canonical

_Numbers = Mapping[str, float | None]
_BOUNDS: _Numbers = {"min": None, "max": None}
_STEP: _Numbers = {"q": 1.0}
_NORMAL: _Numbers = {"mu": 0.0, "sigma": 1.0}
_BETA: _Numbers = {"a": 1.0, "b": 1.0}
_SHAPES: dict[str, _Numbers] = {  # the numbers of a distribution, with W&B's defaults; None is required
    "int_uniform": _BOUNDS,
    **dict.fromkeys(("uniform", "log_uniform_values", "inv_log_uniform_values"), _BOUNDS),
    **{name: {**_BOUNDS, **_STEP} for name in ("q_uniform", "q_log_uniform_values")},
    **dict.fromkeys(("normal", "log_normal"), _NORMAL),
    **{name: {**_NORMAL, **_STEP} for name in ("q_normal", "q_log_normal")},
    "beta": _BETA,
    "q_beta": {**_BETA, **_STEP},
}
_EXPONENTS = ("log_uniform", "inv_log_uniform", "q_log_uniform")  # W&B refuses them since their bounds are exponents
_DISTRIBUTIONS = ["constant", "categorical", "categorical_w_probabilities", *_SHAPES]
_KEYS = ["value", "values", "min", "max", "distribution", "probabilities", "q", "mu", "sigma", "a", "b", "parameters"]
_GRIDS = ("int_uniform", "q_uniform")
_TAIL = 1e-12  # of a distribution without an end, on either side
_COUNTED = 2**62  # values; Python's len() ends at 2**63
MOST_POINTS = 100_000
"""Points of a grid, or runs of a search, above which a sweep is refused: no one waits for so many runs."""


@dataclass(frozen=True)
class Constant:
    value: Any

    @property
    def choices(self) -> Sequence[Any]:
        return (self.value,)


@dataclass(frozen=True)
class Choice:
    values: tuple[Any, ...]
    probabilities: tuple[float, ...] | None = None

    @property
    def choices(self) -> Sequence[Any]:
        """Return each value once. A repeated value is one point of a grid, and a weight of a random search."""
        return list({json.dumps(canonical(value), sort_keys=True): value for value in self.values}.values())


@dataclass(frozen=True)
class Range:
    """A distribution by W&B's name for it: min and max, or mu and sigma of a normal one, or a and b of a beta one."""

    distribution: str
    low: float
    high: float
    q: float | None = None

    @property
    def choices(self) -> Sequence[Any]:
        """Return all values that a grid takes, or none if they have no end. Nothing grows with their number."""
        if self.distribution == "int_uniform":
            return range(int(self.low), min(int(self.high), int(self.low) + _COUNTED) + 1)
        return _Steps(self.low, self.high, self.q) if self.distribution == "q_uniform" and self.q else ()


@dataclass(frozen=True)
class _Steps(Sequence[float]):
    """The numbers from `start` in steps of `step`, without `end`, as numpy.arange has them."""

    start: float
    end: float
    step: float

    def __len__(self) -> int:
        return min(max(0, math.ceil((self.end - self.start) / self.step)), _COUNTED)

    @overload
    def __getitem__(self, index: int) -> float: ...
    @overload
    def __getitem__(self, index: slice) -> Sequence[float]: ...
    def __getitem__(self, index: int | slice) -> float | Sequence[float]:
        if isinstance(index, slice):
            return [self[i] for i in range(len(self))[index]]
        step = (self.start + self.step) - self.start  # rounded like numpy's
        value = self.start + range(len(self))[index] * step
        return float(value) if isinstance(self.end, float) else value


Parameter = Constant | Choice | Range


def read_parameters(written: Mapping[str, Any], *, method: str) -> tuple[dict[str, Parameter], list[str]]:
    """Return (parameters by dotted key in W&B's order, a line for each mistake). Nested keys become dotted."""
    space: dict[str, Parameter] = {}
    problems: list[str] = []
    for key, spec in _flat(written, problems):
        if key in space:
            problems.append(f"parameters.{key}: given twice, nested and dotted")
        try:
            space[key] = _read(spec, grid=method == "grid")
        except ValueError as error:
            problems.append(f"parameters.{key}: {error}")
    return space, problems


def size_of(space: Mapping[str, Parameter]) -> int:
    """Return the number of combinations, or 0 if a parameter has no end of values."""
    return math.prod(len(parameter.choices) for parameter in space.values())


def whole(value: Any) -> Any:
    """Return a seed as a whole number, as the trainer reads it: 1 for 1.0 and for "1". Any other value stays."""
    if isinstance(value, str) and re.fullmatch(r"\d+(\.0+)?", value, re.ASCII):
        return int(value.partition(".")[0])
    return canonical(value)


def whole_seeds(seeds: Parameter) -> Parameter:
    """Return the seeds of a grid as whole numbers. Raises ValueError for a value that is none."""
    match seeds:
        case Range("q_uniform", low, _, 1) if float(low).is_integer():
            return Range("int_uniform", int(low), int(low) + len(seeds.choices) - 1)  # however many
        case Range() if len(seeds.choices) > MOST_POINTS or seeds.distribution == "int_uniform":
            return seeds
        case Constant(value):
            return Constant(_whole_seed(value))
        case _:
            return Choice(tuple(_whole_seed(value) for value in seeds.choices))


def _whole_seed(value: Any) -> int:
    if type(number := whole(value)) is not int:
        raise ValueError(f"{value!r} is not a whole number; write one, such as 0")
    return number


def grid(space: Mapping[str, Parameter], *, cap: int | None = None) -> Iterator[dict[str, Any]]:
    """Yield the combinations in W&B's order: the last key varies fastest. `cap` ends them early."""
    choices = {key: parameter.choices for key, parameter in space.items()}
    total = size_of(space)
    for number in range(total if cap is None else min(cap, total)):
        values: dict[str, Any] = {}
        rest = number
        for key in reversed(choices):
            rest, place = divmod(rest, len(choices[key]))
            values[key] = choices[key][place]
        yield {key: values[key] for key in choices}


def draw(parameter: Parameter, rng: random.Random) -> Any:
    """Draw one value, as W&B's server does for a random search."""
    match parameter:
        case Choice(values, probabilities):
            return rng.choices(values, weights=probabilities)[0]
        case Range("int_uniform", low, high):
            return rng.randint(int(low), int(high))
        case _:
            return quantile(parameter, rng.random())


def quantile(parameter: Parameter, level: float) -> Any:
    """Return the value below which a share `level` of the draws lies. Choices are in the order of the file."""
    match parameter:
        case Constant(value):
            return value
        case Choice(values, probabilities):
            if probabilities is None:
                return values[_place(level, len(values))]
            return values[min(bisect.bisect_right(list(accumulate(probabilities)), level), len(values) - 1)]
        case Range("int_uniform", low, high):
            return int(low) + _place(level, int(high) - int(low) + 1)
        case Range(distribution, low, high, q):
            value = _continuous(distribution.removeprefix("q_"), low, high, level)
            return value if q is None else round(value / q) * q


def _place(level: float, count: int) -> int:
    return min(max(math.ceil(level * count) - 1, 0), count - 1)


def _continuous(distribution: str, low: float, high: float, level: float) -> float:
    inside = min(max(level, _TAIL), 1 - _TAIL)  # a normal distribution has no end
    match distribution:
        case "log_uniform_values" | "inv_log_uniform_values":
            return math.exp(math.log(low) + (math.log(high) - math.log(low)) * level)
        case "normal":
            return low + high * float(special.ndtri(inside))
        case "log_normal":
            return math.exp(low + high * float(special.ndtri(inside)))
        case "beta":
            return float(special.betaincinv(low, high, inside))
        case _:
            return low + (high - low) * level


def _flat(written: Mapping[Any, Any], problems: list[str], prefix: str = "") -> list[tuple[str, Mapping[str, Any]]]:
    """Return the specs by dotted key, sorted level by level as W&B sorts them."""
    found: list[tuple[str, Mapping[str, Any]]] = []
    for name, spec in sorted(written.items(), key=lambda item: str(item[0])):
        key = f"{prefix}{name}"
        if not isinstance(name, str) or not re.fullmatch(r"[A-Za-z_]\w*(\.[A-Za-z_]\w*)*", key, re.ASCII):
            problems.append(f"parameters.{key}: not a key of the trainer: letters, digits and _ between dots")
        elif not is_settings(spec):
            problems.append(f"parameters.{key}: {spec!r}: write {{value: {spec}}} or {{values: [...]}}")
        elif "parameters" in spec:
            inner = spec["parameters"]
            if beside := [str(other) for other in spec if other != "parameters"]:
                problems.append(f"parameters.{key}: parameters: W&B takes it alone, without {', '.join(beside)}")
            elif not is_settings(inner) or not inner:
                problems.append(f"parameters.{key}: parameters: {inner!r}: expected at least one parameter")
            else:
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
    distribution = spec.get("distribution")
    if distribution in _EXPONENTS:
        raise ValueError(f"distribution: W&B refuses {distribution}, whose bounds are exponents; {distribution}_values")
    if distribution is not None and distribution not in _DISTRIBUTIONS:
        raise ValueError(f"distribution: {distribution!r} is not one{did_you_mean(distribution, _DISTRIBUTIONS)}")
    if "value" in spec:
        _refuse_others(spec, "value", distribution, ("value",), ("constant",))
        return Constant(_plain(spec["value"], "value"))
    if "values" in spec:
        return _choice(spec, grid=grid)
    found = _range(spec, distribution)
    if grid and found.distribution not in _GRIDS:
        raise ValueError(f"{found.distribution} has no grid; list its values under `values:`")
    return found


def _refuse_others(
    spec: Mapping[str, Any], what: str, distribution: str | None, keys: Sequence[str], allowed: Sequence[str]
) -> None:
    """Raise ValueError for a key or a distribution that W&B does not take together with `what`."""
    if distribution is not None and distribution not in allowed:
        raise ValueError(f"{what} and distribution: {distribution} exclude each other")
    if others := [name for name in spec if name not in (*keys, "distribution")]:
        raise ValueError(f"{what} and {others[0]} exclude each other")


def _plain(value: Any, name: str) -> Any:
    """Return a value of JSON's types. Raises ValueError for YAML's own, such as dates and sets."""
    try:
        json.dumps(value, allow_nan=False)
    except (TypeError, ValueError) as error:
        raise ValueError(f"{name}: {value!r} is a {type(value).__name__}; quote it if it is text") from error
    return value


def _choice(spec: Mapping[str, Any], *, grid: bool) -> Choice:
    shares = spec.get("probabilities")
    named = "categorical" if shares is None else "categorical_w_probabilities"
    _refuse_others(spec, "values", spec.get("distribution"), ("values", "probabilities"), (named,))
    values = spec["values"]
    if not isinstance(values, list) or not values:
        raise ValueError(f"values: {values!r}: expected a list with at least one value")
    values = tuple(_plain(value, "values") for value in values)
    if shares is None:
        return Choice(values)
    if grid:
        raise ValueError("probabilities: a grid has none")
    if not isinstance(shares, list) or len(shares) != len(values):
        raise ValueError(f"probabilities: {shares!r}: expected {len(values)} shares that add up to 1")
    numbers = tuple(_number(each, "probabilities") for each in shares)
    if min(numbers) < 0 or not math.isclose(sum(numbers), 1, rel_tol=1e-5):
        raise ValueError(f"probabilities: {shares!r}: expected {len(values)} shares that add up to 1, none below 0")
    return Choice(values, numbers)


def _range(spec: Mapping[str, Any], distribution: str | None) -> Range:
    if distribution is None:
        if missing := [name for name in ("min", "max") if name not in spec]:
            raise ValueError(f"needs value, values, or min and max (no {' and no '.join(missing)})")
        distribution = "int_uniform" if isinstance(spec["min"], int) and isinstance(spec["max"], int) else "uniform"
    if distribution not in _SHAPES:
        needed = "value" if distribution == "constant" else "values"
        raise ValueError(f"distribution: {distribution} needs {needed}")
    shape = _SHAPES[distribution]
    _refuse_others(spec, f"distribution: {distribution}", distribution, tuple(shape), (distribution,))
    if missing := [name for name, default in shape.items() if default is None and name not in spec]:
        raise ValueError(f"{distribution} needs {' and '.join(missing)}")
    problems: list[str] = []
    numbers: dict[str, float] = {}
    for name, default in shape.items():
        try:
            numbers[name] = _number(spec.get(name, default), name)
        except ValueError as error:
            problems.append(str(error))
    if problems:
        raise ValueError("; ".join(problems))
    _check_numbers(distribution, numbers)
    first, second, *step = numbers.values()
    found = Range(distribution, first, second, step[0] if step else None)
    try:
        whole = all(math.isfinite(quantile(found, level)) for level in (0.0, 1.0))
    except OverflowError:
        whole = False
    if not whole:
        raise ValueError(f"{distribution} of {', '.join(f'{k} {v}' for k, v in numbers.items())} exceeds every number")
    return found


def _check_numbers(distribution: str, numbers: Mapping[str, float]) -> None:
    low, high = numbers.get("min", 0), numbers.get("max", 1)
    if low >= high:
        raise ValueError(f"min: {low} is not below max, {high}")
    if distribution == "int_uniform" and not (isinstance(low, int) and isinstance(high, int)):
        raise ValueError(f"min {low} and max {high}: int_uniform takes whole numbers")
    if "log_uniform_values" in distribution and low <= 0:
        raise ValueError(f"min: {low}: {distribution} takes values above 0")
    if numbers.get("q", 1) <= 0:
        raise ValueError(f"q: {numbers['q']}: must be above 0")
    if numbers.get("sigma", 0) < 0:
        raise ValueError(f"sigma: {numbers['sigma']}: must not be below 0")
    for name in ("a", "b"):  # W&B takes 0, and then draws nothing
        if numbers.get(name, 1) <= 0:
            raise ValueError(f"{name}: {numbers[name]}: must be above 0")


def _number(value: Any, name: str) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        hint = "; to YAML 1.1 this is text, write 1.0e-3" if isinstance(value, str) and "e" in value.lower() else ""
        raise ValueError(f"{name}: {value!r} is not a number{hint}")
    return value
