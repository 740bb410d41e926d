"""The six kinds of own parts: how each is called, which of its arguments are keys, and how it is built."""

import inspect
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from trainer.config.augment import OwnAugment
from trainer.config.base import is_settings
from trainer.config.data import OwnData
from trainer.config.loss import OwnLoss
from trainer.config.model import Model
from trainer.config.optimizer import OwnOptimizer
from trainer.config.own import OwnPart, is_own
from trainer.config.probe import OwnProbe
from trainer.config.run import RunConfig
from trainer.errors import CheckpointError, ConfigError, UserError
from trainer.files import make_folder, write_whole
from trainer.own.arguments import NEEDED, Option, Signature, read_signature, read_values
from trainer.own.load import load, place_of
from trainer.own.quiet import raised, says_nothing
from trainer.own.source import Source, find


@dataclass(frozen=True)
class Kind:
    """A kind of part.

    A function of a kind that `is_called` is the part itself, and gets `place` first. Its class is built with the
    arguments, and its objects get `place`. Of the other kinds, a function or class builds the part, from `place` and
    the arguments.
    """

    what: str
    is_called: bool
    place: tuple[str, ...]  # arguments by place, whatever their names
    given: tuple[str, ...]  # arguments that the trainer sets, where the part has them
    section: type[OwnPart] | None  # None for `model`, which is one section for all networks
    passed_on: tuple[str, ...] = ()  # of `given`, what a part gets through its `**kwargs`, too

    @property
    def beside(self) -> frozenset[str]:
        """Return the keys of the section that are no arguments."""
        return frozenset(self.section.model_fields if self.section else (*Model.model_fields, "code"))


KINDS = {
    "model": Kind("a network", False, (), ("num_classes", "in_channels", "image_size"), None, ("num_classes",)),
    "loss": Kind("a loss", True, ("logits", "targets"), ("num_classes", "reduction"), OwnLoss),
    "optimizer": Kind("an optimizer", False, ("groups",), ("lr", "weight_decay"), OwnOptimizer),
    "augment.extra": Kind("an augmentation", True, ("images", "draw"), (), OwnAugment),
    "probe.extra": Kind("a probe", True, ("view",), (), OwnProbe),
    "data": Kind("a data set", False, (), (), OwnData),
}


def signature_of(source: Source, part: Callable[..., Any]) -> Signature:
    """Return the arguments that are keys. Raises ConfigError for a part that cannot be called as its kind is."""
    kind = KINDS[source.section]
    if inspect.isclass(part) and inspect.isabstract(part):
        missing = ", ".join(sorted(getattr(part, "__abstractmethods__", ())))
        raise source.mistake(f"an abstract class, without {missing}")
    try:
        place = () if kind.is_called and inspect.isclass(part) else kind.place
        signature = read_signature(part, place, passed_on=kind.passed_on)
    except ValueError as error:
        raise source.mistake(str(error)) from error
    if clash := sorted((signature.defaults.keys() & kind.beside) - {*kind.given}):
        raise source.mistake(f"its argument {clash[0]!r} has the name of a key of the trainer's; rename it")
    lacking = [key for key, default in signature.defaults.items() if default is NEEDED and key not in kind.given]
    if untyped := [key for key in lacking if key not in signature.options]:
        raise source.mistake(f"its argument {untyped[0]!r} needs a value that cannot be typed; give it a default")
    return signature


def options_of(section: str, name: str) -> dict[str, Option]:
    """Return the arguments of an own part that are keys. Raises ConfigError."""
    source = find(section, name)
    options = signature_of(source, load(source)).options
    return {key: each for key, each in options.items() if key not in KINDS[section].given}


def complete(settings: Mapping[str, Any]) -> tuple[list[str], dict[str, dict[str, Any]]]:
    """Return (a line for each problem of own parts, the settings of each own section with all arguments and its hash).

    The settings are those of a whole config. Runs the texts of the parts.
    """
    problems: list[str] = []
    whole: dict[str, dict[str, Any]] = {}
    for section, given in own_sections(settings):
        try:
            whole[section] = _completed(section, given)
        except ConfigError as error:
            problems += error.problems
    return problems, whole


def own_sections(settings: Mapping[str, Any]) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """Yield (section, its settings) for each section of nested settings that is an own part."""
    for section in KINDS:
        part: Any = settings
        for key in section.split("."):
            part = part.get(key) if is_settings(part) else None
        if is_settings(part) and is_own(section, part.get("name")):
            yield section, part


def sources_of(config: RunConfig) -> list[Source]:
    """Return the texts of a config's own parts. Raises ConfigError for one that is not there, or not the same."""
    return [find(section, part["name"], part.get("code")) for section, part in own_sections(config.model_dump())]


def keep(sources: list[Source], folder: Path) -> None:
    """Write the texts of parts to `FOLDER/own/`. Raises ConfigError for two texts of one name, DiskError."""
    texts: dict[str, Source] = {}
    for source in sources:
        first = texts.setdefault(source.kept_as, source)
        if first.text != source.text:
            raise source.mistake(f"{first.file} has the same name and another text; rename one of them")
    if texts:
        make_folder(folder / "own")
    for name, source in texts.items():
        write_whole(folder / "own" / name, source.text.encode())


def refuse_changed(config: RunConfig, folder: Path) -> None:
    """Raise CheckpointError with a line for each own part whose text is no longer that with which a run began.

    One whose file is gone is taken from the run's folder, if `remember` has read it.
    """
    problems: list[str] = []
    for section, part in own_sections(config.model_dump()):
        code = part.get("code")
        try:
            now = find(section, part["name"])
        except ConfigError:
            now = find(section, part["name"], code)
        if code is not None and now.code != code:
            kept = folder / "own" / now.kept_as
            problems.append(
                f"{now.file} has changed since this run began: the hash of its text was {code}, and is {now.code};"
                f" bring back the text in {kept}, or start a new run"
            )
    if problems:
        raise CheckpointError(*problems)


def build(section: str, part: OwnPart | Model, *place: Any, **given: Any) -> Any:
    """Return the part of a section: what its class or function builds, or what is to be called.

    `place` are the arguments by place of a part that is built, `given` what the trainer sets. Raises ConfigError.
    """
    kind, source = KINDS[section], source_of(section, part)
    arguments = {key: value for key, value in part.arguments.items() if key != "code"}
    target = load(source)
    signature = signature_of(source, target)
    options = {key: each for key, each in signature.options.items() if key not in kind.given}
    values = read_values(section, part.name, options, arguments)
    values |= {key: value for key, value in given.items() if key in signature.defaults}
    if kind.is_called and not inspect.isclass(target):
        return partial(target, **values)
    with in_a_line(source, "cannot be built"):
        return target(*place, **values)


@contextmanager
def in_a_line(source: Source, what: str) -> Iterator[None]:
    """Turn whatever somebody else's code raises inside into a ConfigError of one line, and stdout into stderr."""
    try:
        with says_nothing():
            yield
    except UserError:
        raise
    except (Exception, SystemExit) as error:
        raise source.mistake(f"{what}: {raised(error, place_of(source))}") from error


def described(value: Any) -> str:
    """Return what a value is, in a word or two: `a tensor [2, 3, 8, 8]`, `None`, `a tuple`."""
    if (shape := getattr(value, "shape", None)) is not None:
        return f"a {type(value).__name__.lower()} {list(shape)}"
    return "None" if value is None else f"a value of type {type(value).__name__}"


def source_of(section: str, part: OwnPart | Model) -> Source:
    """Return the text of a part of a config. Raises ConfigError if it is gone, or another one."""
    code = part.arguments.get("code") if isinstance(part, Model) else part.code
    return find(section, part.name, code)


def _completed(section: str, given: Mapping[str, Any]) -> dict[str, Any]:
    kind, name = KINDS[section], str(given["name"])
    code = given.get("code")
    source = find(section, name, str(code) if code is not None else None)
    signature = signature_of(source, load(source))
    unfit = [key for key in kind.given if key in given and key not in kind.beside]
    problems = [f"{section}.{key}: set by the data, remove it" for key in unfit]
    options = {key: each for key, each in signature.options.items() if key not in kind.given}
    values = {key: value for key, value in given.items() if key not in ("name", *unfit)}
    try:
        values = read_values(section, name, options, values, beside=kind.beside)
    except ConfigError as error:
        raise ConfigError(*problems, *error.problems) from error
    if problems:
        raise ConfigError(*problems)
    defaults = {
        key: default
        for key, default in signature.defaults.items()
        if key in kind.given and key in kind.beside and key not in given and isinstance(default, int | float)
    }
    return {**defaults, **values, "name": name, "code": source.code}
