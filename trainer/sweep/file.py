"""A sweep file in W&B's format, read and checked. A mistake that the server would refuse or misread is a line here.

The format is that of docs.wandb.ai, "Sweep configuration options"; its schema is `sweeps/config/schema.json` in the
PyPI package `sweeps` 0.3.0.
"""

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import combinations, product
from pathlib import Path
from typing import Any, Literal, Self

import yaml
from pydantic import ConfigDict, Field, ValidationError, field_validator, model_validator

from trainer.config.base import is_settings
from trainer.config.explain import explain
from trainer.config.overrides import flatten, read_overrides, read_value
from trainer.config.recipes import given_twice
from trainer.config.text_keys import text_types
from trainer.config.yaml_text import misread, read_tree, read_whole, scalars
from trainer.errors import ConfigError, SweepError
from trainer.own.source import Source
from trainer.runs.bands import RATE
from trainer.runs.groups import SEED, label
from trainer.runs.outcomes import EPOCHS
from trainer.sweep.command import COMMAND, read_command
from trainer.sweep.header import Header, read_header, unknown_control
from trainer.sweep.hyperband import Hyperband
from trainer.sweep.space import MOST_POINTS, Choice, Constant, Parameter, Range, read_parameters, size_of, whole_seeds
from trainer.sweep.strict import StrictSection, Whole
from trainer.text import writable


class Metric(StrictSection):
    name: str
    """Key of the run's summary, such as test/accuracy."""
    goal: Literal["maximize", "minimize"] = "minimize"
    target: float | None = None
    """The sweep ends when a run reaches it, on W&B only."""
    impute: Literal["worst", "best", "latest"] = "worst"
    """Value of a failed run in a bayes search: the worst of all runs, or its own best or latest one."""
    impute_while_running: Literal["worst", "best", "latest", "false"] = "false"
    """Any but `false`: a running run counts in a bayes search, by its best value so far."""


class Controller(StrictSection):
    """The place of W&B's search. `trainer sweep run` takes no notice of it."""

    model_config = ConfigDict(extra="allow")

    type: Literal["local", "cloud"]


class Scheduler(StrictSection):
    """W&B's `scheduler`. The engine `wandb` is the same search as none. The others run functions of the user's own."""

    engine: Literal["wandb", "optuna", "ax"]
    source: str | None = None
    optimizer: str | None = None
    search_space: str | None = None

    @model_validator(mode="after")
    def _it_is_wandb_s_own_search(self) -> Self:
        if self.engine != "wandb":
            raise ValueError(
                f"the search of engine: {self.engine} runs under `wandb sweep-scheduler` only; "
                "leave scheduler out and write method: bayes, which is Optuna's TPE sampler here"
            )
        return self


class SweepFile(StrictSection):
    """Every key that W&B knows. What only its server uses is kept as it is."""

    name: str | None = None
    description: str | None = None
    project: str | None = None
    entity: str | None = None
    program: str | None = None
    method: Literal["grid", "random", "bayes"]
    metric: Metric | None = None
    run_cap: Whole | None = Field(default=None, gt=0)
    early_terminate: Hyperband | None = None
    command: tuple[str, ...] = Field(default=(), strict=False)
    parameters: dict[str, Any]
    """The parameters as written. `Sweep.space` is their meaning."""
    apiVersion: str | None = None  # noqa: N815 - W&B's spelling
    kind: Literal["sweep"] | None = None
    controller: Controller | None = None
    job: str | None = None
    image_uri: str | None = None
    metrics: Any = None
    scheduler: Scheduler | None = None

    @field_validator("metrics")
    @classmethod
    def _one_goal(cls, metrics: Any) -> None:
        if metrics is not None:
            raise ValueError("several goals need engine: optuna or ax under `wandb sweep-scheduler`; write one metric")

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
        if self.scheduler and self.early_terminate:
            raise ValueError("early_terminate: W&B takes none beside scheduler")
        if self.scheduler and self.controller and self.controller.type == "local":
            raise ValueError("controller: W&B takes no local one beside scheduler")
        return self


@dataclass(frozen=True)
class Sweep:
    """A valid sweep file."""

    path: Path
    file: SweepFile
    space: Mapping[str, Parameter]  # by flat dotted key, in W&B's order: sorted
    fixed: tuple[str, ...]  # `KEY=VALUE` overrides of the command, the same at every point
    warnings: tuple[str, ...]
    header: Header = field(default_factory=Header)  # what its comments say
    added_seeds: tuple[int, ...] = ()  # of the space, which the file does not have
    added_keys: frozenset[str] = frozenset()  # constants of the space, which overrides add to the file's
    texts: tuple[Source, ...] = ()  # of own parts, to which its points are held
    text: str = ""  # of the file as it was checked, whatever becomes of it

    @property
    def name(self) -> str:
        """Return the stem of the file, which names its folder and its study."""
        return self.path.stem

    @property
    def varied(self) -> list[str]:
        """Return the keys that take more than one value, `seed` last."""
        keys = [key for key, parameter in self.space.items() if not isinstance(parameter, Constant)]
        return sorted(keys, key=lambda key: (key == SEED, key))

    @property
    def seeds_per_point(self) -> int:
        """Return how many seeds a search runs a good point with, to go by their mean."""
        return self.header.seeds_per_point

    @property
    def searched(self) -> Mapping[str, Parameter]:
        """Return the space of a search: without the seed, if it goes by means over seeds."""
        return {key: value for key, value in self.space.items() if key != SEED or self.seeds_per_point == 1}

    @property
    def proposes(self) -> bool:
        """Return whether it is a search whose points follow from the runs before them."""
        return self.file.method == "bayes" or self.seeds_per_point > 1

    @property
    def cap(self) -> int:
        """Return the largest number of runs of a search, 0 if its file does not say."""
        return min(self.file.run_cap or 0, size_of(self.searched) * self.seeds_per_point or MOST_POINTS)


def read_sweep(path: Path) -> Sweep:
    """Read a sweep file. Raises SweepError with a line for every mistake by W&B's rules or ours."""
    if writable(path.stem) != path.stem:  # it becomes the name of a study and of a W&B project's group
        raise SweepError(f"{writable(str(path))}: this locale cannot read the name; rename it, or set LC_ALL=C.UTF-8")
    try:
        text = read_whole(path)
    except ValueError as error:
        raise SweepError(f"{path}: {error}") from error
    return parse_sweep(text, path)


def parse_sweep(text: str, path: Path) -> Sweep:
    """Read a sweep from a text, as W&B's server has it. `path` names it in messages."""
    try:
        tree, content = read_tree(text)
    except ValueError as error:
        raise SweepError(f"{path}: {error}") from error
    if not is_settings(content):
        raise SweepError(f"{path}: expected the keys of a sweep, such as method and parameters")
    header, wrong = read_header(text)
    problems = [*wrong, *(f"{key}: given twice" for key in given_twice(tree)), *_misread(tree)]
    file: SweepFile | None = None
    try:
        file = SweepFile.model_validate(content)
    except ValidationError as error:
        problems += explain(error, SweepFile)
    command = read_command(file.command if file else ())
    problems += command.problems
    written = content.get("parameters")
    space: dict[str, Parameter] = {}
    if is_settings(written):
        space, found = read_parameters(written, method=str(content.get("method")))
        problems += found
        if content.get("method") == "bayes" and not found and all(isinstance(p, Constant) for p in space.values()):
            problems.append("parameters: a bayes search needs one that varies")
    try:
        fixed = flatten(read_overrides(command.overrides))
        problems += [f"parameters.{key}: the command sets it, too" for key in fixed if key in space]
    except ConfigError as error:
        problems += [f"command: {problem}" for problem in error.problems]
    if header.seeds_per_point > 1:
        problems += _not_for_means(file, [*space, *(key for key in command.overrides if key.startswith(f"{SEED}="))])
        space = dict(sorted({**space, SEED: Choice(tuple(range(header.seeds_per_point)))}.items()))  # W&B's order
    if problems or file is None:
        raise SweepError(*(f"{path}: {problem}" for problem in problems))
    warnings = tuple(_warnings(file, space, tree, command.ignored))
    try:
        space = _with_whole_seeds(space, file)
    except ValueError as error:
        raise SweepError(f"{path}: parameters.{SEED}: {error}") from error
    sweep = Sweep(path, file, space, tuple(command.overrides), warnings, header, text=text)
    if unknown := unknown_control(header.control, labels_of(sweep) if header.control else ()):
        raise SweepError(*(f"{path}: {problem}" for problem in unknown))
    return sweep


def labels_of(sweep: Sweep) -> set[str]:
    """Return what a control may be: a grid's configurations, and choices of some of its keys.

    An outcome that runs have together that differ in a key has no label with that key.
    """
    if sweep.file.method != "grid":
        return set()
    values = {key: parameter.choices for key in sweep.varied
              if key != SEED and not isinstance(parameter := sweep.space[key], Range)}  # fmt: skip
    together = sweep.header.outcome.over if sweep.header.outcome else None
    values = {key: each for key, each in values.items() if key != together}
    fewest = 1 if values.keys() - {RATE, EPOCHS} else 0  # all rates or lengths are `all` where nothing else varies
    chosen = [keys for size in range(fewest, len(values) + 1) for keys in combinations(values, size)]
    return {
        label(dict(zip(keys, each, strict=True))) or "all"
        for keys in chosen
        for each in product(*(values[key] for key in keys))
    }


def with_overrides(sweep: Sweep, overrides: Sequence[str]) -> Sweep:
    """Return the sweep with overrides as constants of every point. Raises SweepError for a key that is varied."""
    constants = {key: Constant(value) for key, value in flatten(read_overrides(overrides)).items()}
    if varied := [key for key in constants if key in sweep.varied]:
        raise SweepError(*(f"{key}: {sweep.path} varies it; an override is the same at every point" for key in varied))
    added = sweep.added_keys | (constants.keys() - sweep.space.keys())
    try:
        space = _with_whole_seeds({**sweep.space, **constants}, sweep.file)
    except ValueError as error:
        raise SweepError(f"{SEED}: {error}") from error
    return replace(sweep, space=space, added_keys=added)


def _with_whole_seeds(space: Mapping[str, Parameter], file: SweepFile) -> dict[str, Parameter]:
    """Return the space of a sweep, the seeds of a grid as whole numbers: more are added to them.

    Raises ValueError for a seed that is none.
    """
    is_seed = file.method == "grid" and SEED in space
    return {**space, SEED: whole_seeds(space[SEED])} if is_seed else {**space}


def _warnings(file: SweepFile, space: Mapping[str, Parameter], tree: Any, ignored: Sequence[str]) -> Iterator[str]:
    if SEED not in space:
        yield "seed: not a parameter, so every point is run once; add seed: {values: [0, 1, 2]}"
    if file.project is None:
        yield "project: not named, so that W&B files the sweep under `uncategorized`"
    if file.metric and file.metric.target is not None:
        yield "metric.target: only W&B's server ends a sweep by it"
    for word in ignored:
        yield f"command: {word!r} is left out where the sweep runs with no server: there it is `trainer train`"
    if not file.command and not file.program:
        yield f"command: missing, so that W&B has nothing to run; ours is {list(COMMAND)}"
    if file.method != "grid" and file.run_cap is None:
        yield f"run_cap: {file.method} never ends without it"
    for key, parameter in space.items():
        for value in () if isinstance(parameter, Range) or text_types(key) else parameter.choices:
            if isinstance(value, str) and isinstance(number := read_value(value), int | float | None):
                meant = yaml.safe_dump(number).splitlines()[0]
                yield f"parameters.{key}: {value!r} is text to YAML 1.1 and to W&B's charts; write {meant}"
    for line, word in _old_booleans(tree):
        yield f"line {line}: {word} is true or false to YAML 1.1; quote it if it is a word"


def _misread(tree: Any) -> Iterator[str]:
    """Yield a line for each value that W&B's server reads otherwise than it is written."""
    for key, node in scalars(tree):
        outermost, *path = key.split(".")[:-1] or [key]
        swept = ".".join(each for each in path if each != "parameters")
        if line := misread(key, node):
            yield line
        elif outermost == "parameters" and node.style is None and text_types(swept):
            read = yaml.safe_load(node.value)
            if type(read) in (int, float) and str(read) != node.value:  # booleans are warned of
                said = f"{node.value} is a number to YAML; write {node.value!r}, or {read} as it was read so far"
                yield f"line {node.start_mark.line + 1}: {key}: {said}"


def _not_for_means(file: SweepFile | None, keys: Collection[str]) -> Iterator[str]:
    """Yield why a search cannot go by means over seeds."""
    if file and file.method == "grid":
        yield "# Seeds: it is for random and bayes; a grid has its seeds among its parameters"
    elif any(key.partition("=")[0] == SEED for key in keys):
        yield "# Seeds: the file sets the seed, too; leave one of them out"
    elif file and file.metric is None:
        yield "metric: # Seeds needs it, such as {name: val/accuracy, goal: maximize}"


def _old_booleans(node: Any) -> Iterator[tuple[int, str]]:
    if isinstance(node, yaml.ScalarNode) and node.tag.endswith(":bool") and node.value.lower() not in ("true", "false"):
        yield node.start_mark.line + 1, node.value
    elif isinstance(node, yaml.SequenceNode):
        for value in node.value:
            yield from _old_booleans(value)
    elif isinstance(node, yaml.MappingNode):
        for _, value in node.value:
            yield from _old_booleans(value)
