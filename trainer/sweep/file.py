"""A sweep file in W&B's format, read and checked. A mistake that the server would refuse or misread is a line here.

The format is that of docs.wandb.ai, "Sweep configuration options"; its schema is `sweeps/config/schema.json` in the
PyPI package `sweeps` 0.3.0.
"""

import os
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal, Self

import yaml
from pydantic import Field, PositiveInt, ValidationError, field_validator, model_validator

from trainer.config.base import Section, is_settings
from trainer.config.explain import did_you_mean, explain
from trainer.config.overrides import flatten, read_overrides, read_value
from trainer.config.recipes import given_twice
from trainer.errors import SweepError
from trainer.sweep.space import Constant, Parameter, Range, read_parameters
from trainer.text import writable

COMMAND = ("${env}", "trainer", "train", "${args_no_hyphens}")
_ARGS = (
    "",
    "_no_hyphens",
    "_no_boolean_flags",
    "_json",
    "_json_file",
    "_no_equals",
    "_append_hydra",
    "_override_hydra",
)
_MACROS = ["env", "interpreter", "program", *(f"args{form}" for form in _ARGS)]


class Metric(Section):
    name: str
    """Key of the run's summary, such as test/accuracy."""
    goal: Literal["maximize", "minimize"] = "minimize"
    target: float | None = None
    """The sweep ends when a run reaches it, on W&B only."""


class Hyperband(Section):
    """W&B's `early_terminate`: at each bracket only the best 1/eta of the runs that reached it continue."""

    type: Literal["hyperband"]
    min_iter: PositiveInt | None = None
    """First bracket, in epochs. The next are at min_iter * eta, min_iter * eta**2, ..."""
    max_iter: PositiveInt | None = None
    """Last epoch. The brackets are at max_iter / eta, ..., max_iter / eta**s."""
    s: PositiveInt | None = None
    """Number of brackets below max_iter."""
    eta: float = Field(default=3, gt=1)
    strict: bool = False

    @model_validator(mode="after")
    def _brackets_are_said(self) -> Self:
        if (self.min_iter is None) == (self.max_iter is None):
            raise ValueError("needs either min_iter, or max_iter and s")
        if self.max_iter is not None and self.s is None:
            raise ValueError("max_iter needs s, the number of brackets below it")
        if self.first_bracket < 1:
            raise ValueError(f"the first bracket, {self.first_bracket:g}, is before the first epoch")
        return self

    @property
    def first_bracket(self) -> float:
        """Return the first bracket in epochs."""
        return self.min_iter if self.min_iter is not None else (self.max_iter or 0) / self.eta ** (self.s or 1)

    def asks_at(self, epoch: int) -> bool:
        """Return whether a bracket may be at this epoch. There are s of them below max_iter."""
        return self.s is None or epoch < int(self.first_bracket) * self.eta**self.s


class SweepFile(Section):
    """Every key that W&B knows. What only its server uses is kept as it is."""

    name: str | None = None
    description: str | None = None
    project: str | None = None
    entity: str | None = None
    program: str | None = None
    method: Literal["grid", "random", "bayes"]
    metric: Metric | None = None
    run_cap: PositiveInt | None = None
    early_terminate: Hyperband | None = None
    command: tuple[str, ...] = ()
    parameters: dict[str, Any]
    """The parameters as written. `Sweep.space` is their meaning."""
    apiVersion: str | None = None  # noqa: N815 - W&B's spelling
    kind: str | None = None
    controller: Any = None
    job: str | None = None
    image_uri: str | None = None
    metrics: Any = None
    scheduler: Any = None

    @field_validator("parameters")
    @classmethod
    def _there_are_some(cls, parameters: dict[str, Any]) -> dict[str, Any]:
        if not parameters:
            raise ValueError("a sweep needs at least one")
        return parameters

    @model_validator(mode="after")
    def _a_search_has_a_goal(self) -> Self:
        if self.metric is None and (self.method == "bayes" or self.early_terminate):
            what = "method: bayes" if self.method == "bayes" else "early_terminate"
            raise ValueError(f"metric: {what} needs it, such as {{name: val/accuracy, goal: maximize}}")
        return self


@dataclass(frozen=True)
class Sweep:
    """A valid sweep file."""

    path: Path
    file: SweepFile
    space: Mapping[str, Parameter]  # by flat dotted key, in W&B's order: sorted
    fixed: tuple[str, ...]  # `KEY=VALUE` overrides of the command, the same at every point
    warnings: tuple[str, ...]

    @property
    def name(self) -> str:
        """Return the stem of the file, which names its folder and its study."""
        return self.path.stem

    @property
    def varied(self) -> list[str]:
        """Return the keys that take more than one value, `seed` last."""
        keys = [key for key, parameter in self.space.items() if not isinstance(parameter, Constant)]
        return sorted(keys, key=lambda key: (key == "seed", key))


def read_sweep(path: Path) -> Sweep:
    """Read a sweep file. Raises SweepError with a line for every mistake by W&B's rules or ours."""
    if writable(path.stem) != path.stem:  # it becomes the name of a study and of a W&B project's group
        raise SweepError(f"{writable(str(path))}: this locale cannot read the name; rename it, or set LC_ALL=C.UTF-8")
    try:
        return parse_sweep(path.read_text(encoding="utf-8"), path)
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "not UTF-8 text"
        raise SweepError(f"{path}: {reason}") from error


def parse_sweep(text: str, path: Path) -> Sweep:
    """Read a sweep from a text, as W&B's server has it. `path` names it in messages."""
    try:
        tree, content = yaml.compose(text, Loader=yaml.SafeLoader), yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise SweepError(f"{path}: not YAML: {' '.join(str(error).split())}") from error
    if not is_settings(content):
        raise SweepError(f"{path}: expected the keys of a sweep, such as method and parameters")
    problems = [f"{key}: given twice" for key in given_twice(tree)]
    file: SweepFile | None = None
    try:
        file = SweepFile.model_validate(content)
    except ValidationError as error:
        problems += explain(error, SweepFile)
    if file and file.command:
        problems += _command_problems(file.command)
    written = content.get("parameters")
    space: dict[str, Parameter] = {}
    if is_settings(written):
        space, found = read_parameters(written, method=str(content.get("method")))
        problems += found
    fixed = _overrides_of(file.command) if file else []
    problems += [
        f"parameters.{key}: the command sets it, too" for key in flatten(read_overrides(fixed)) if key in space
    ]
    if problems or file is None:
        raise SweepError(*(f"{path}: {problem}" for problem in problems))
    return Sweep(path, file, space, tuple(fixed), tuple(_warnings(file, space, tree)))


def _command_problems(command: tuple[str, ...]) -> Iterator[str]:
    for part in command:
        macro = part.removeprefix("${").removesuffix("}")
        if part.startswith("${") and not macro.startswith("envvar:") and macro not in _MACROS:
            yield f"command: W&B drops the unknown macro {part!r} without a word{did_you_mean(macro, _MACROS)}"


def _overrides_of(command: tuple[str, ...]) -> list[str]:
    """Return the overrides in the command, such as `data.root=${envvar:DATA}`, as W&B's agent writes them."""
    after = command[command.index("train") :] if "train" in command else ()  # before it are the environment's
    overrides = [part for part in after if re.fullmatch(r"(--)?[A-Za-z_][\w.]*=.*", part)]
    return [re.sub(r"\$\{envvar:([A-Z0-9_]+)\}", lambda m: os.environ.get(m[1], m[1]), each) for each in overrides]


def with_overrides(sweep: Sweep, overrides: Sequence[str]) -> Sweep:
    """Return the sweep with overrides as constants of every point. Raises SweepError for a key that is varied."""
    constants = {key: Constant(value) for key, value in flatten(read_overrides(overrides)).items()}
    if varied := [key for key in constants if key in sweep.varied]:
        raise SweepError(*(f"{key}: {sweep.path} varies it; an override is the same at every point" for key in varied))
    return replace(sweep, space={**sweep.space, **constants})


def _warnings(file: SweepFile, space: Mapping[str, Parameter], tree: Any) -> Iterator[str]:
    if "seed" not in space:
        yield "seed: not a parameter, so every point is run once; add seed: {values: [0, 1, 2]}"
    if file.project is None:
        yield "project: not named, so that W&B files the sweep under `uncategorized`"
    if file.metric and file.metric.target is not None:
        yield "metric.target: only W&B's server ends a sweep by it"
    if file.early_terminate and file.early_terminate.strict:
        yield "early_terminate.strict: only W&B's server knows it"
    for part in file.command:
        if part not in COMMAND and "=" not in part and not part.startswith("${"):
            yield f"command: {part!r} is left out where the sweep runs with no server: there it is `trainer train`"
    if not file.command and not file.program:
        yield f"command: missing, so that W&B has nothing to run; ours is {list(COMMAND)}"
    if file.method != "grid" and file.run_cap is None:
        yield f"run_cap: {file.method} never ends without it"
    for key, parameter in space.items():
        for value in () if isinstance(parameter, Range) else parameter.choices:
            if isinstance(value, str) and isinstance(number := read_value(value), int | float | None):
                meant = yaml.safe_dump(number).splitlines()[0]
                yield f"parameters.{key}: {value!r} is text to YAML 1.1 and to W&B's charts; write {meant}"
    for line, word in _old_booleans(tree):
        yield f"line {line}: {word} is true or false to YAML 1.1; quote it if it is a word"


def _old_booleans(node: Any) -> Iterator[tuple[int, str]]:
    if isinstance(node, yaml.ScalarNode) and node.tag.endswith(":bool") and node.value.lower() not in ("true", "false"):
        yield node.start_mark.line + 1, node.value
    elif isinstance(node, yaml.SequenceNode):
        for value in node.value:
            yield from _old_booleans(value)
    elif isinstance(node, yaml.MappingNode):
        for _, value in node.value:
            yield from _old_booleans(value)
