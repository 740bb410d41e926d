"""Grades of published rows: who says the settings that a row was run with, the report, its authors' code, or we.

A setting enters if it belongs to a choice that is on: the knobs of the schedule that is used, and not of any other.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, get_args

from trainer.config import load_config
from trainer.config.overrides import flatten, read_overrides
from trainer.published import PublishedRow, printed_keys, runs_of
from trainer.report.planned import networks_too
from trainer.report.published.authors import Fact, facts_of, recipe_of, why_unrun
from trainer.runs.groups import differing_keys, identity, value_text

Kind = Literal[
    "printed", "from the authors' public code", "close to the authors' public code", "chosen by us",
    "no run behind the figure is known",
]  # fmt: skip
KINDS: tuple[Kind, ...] = get_args(Kind)
MEANING: dict[Kind, str] = {
    "printed": "the report prints all settings that enter",
    "from the authors' public code": "what the report leaves open has the value of its authors' public code",
    "close to the authors' public code": "as above, and that code does something that no run here does, which is named",
    "chosen by us": "the report leaves settings open, and at least one has a value that only we chose",
    "no run behind the figure is known": "public code of the authors has the figure, and no run of it",
}

DECIDES_NO_GRADE = ("train.precision",)
"""Keys that are listed and decide no grade. No report prints a precision, and it is how numbers are computed."""

_ALWAYS = {
    "optimizer": ("name", "lr", "momentum", "weight_decay", "beta1", "beta2", "eps", "rho", "alpha"),
    "loss": ("name", "gamma", "alpha", "scores", "delta", "beta"),
    "augment": ("crop.padding", "flip.mode"),
    "model": ("act", "dropout", "stem", "hidden", "channels", "order"),
    "data": ("val_fraction", "mean", "std"),
    "train": ("batch_size", "epochs", "precision", "drop_last"),
}
_IF_ON = {
    "optimizer": ("nesterov", "norm_and_bias_lr_scale", "dampening", "lr_decay", "centered"),
    "loss": ("label_smoothing", "l1", "l2"),
    "train": ("ema.decay", "early_stop.patience"),
    "augment": tuple(f"color_jitter.{knob}" for knob in ("brightness", "contrast", "saturation", "hue")),
}
_WITH = {  # beginning of keys -> the keys of which one must be on for them to enter
    "optimizer.decay_norm_and_bias": ("optimizer.weight_decay",),
    "augment.crop.mode": ("augment.crop.padding",),
    "augment.erasing.": ("augment.erasing.name",),
    "train.early_stop.monitor": ("train.early_stop.patience", "train.early_stop.restore_best"),
}
_OFF = (None, False, 0, 1.0, "none")


@dataclass(frozen=True)
class Open:
    """A setting that a report leaves open, the value that a row was run with, and who says that value."""

    key: str
    value: str
    source: str
    said_by: Literal["report", "code", "us"]  # report: it prints the value, and the authors' public code has another

    def __str__(self) -> str:
        return f"{self.key}={self.value}"


@dataclass(frozen=True)
class Grade:
    kind: Kind
    chosen: tuple[str, ...]  # the keys whose value only we chose

    @property
    def text(self) -> str:
        """Return the grade as it follows a verdict, such as `settings chosen by us (7 keys)`."""
        keys = f" ({len(self.chosen)} key{'s' * (len(self.chosen) > 1)})" if self.kind == "chosen by us" else ""
        return settings_text(self.kind) + keys


def settings_text(kind: Kind) -> str:
    """Return a kind of grade as it follows a verdict, such as `settings printed`."""
    return kind if kind.startswith("no run") else f"settings {kind}"


def least_founded(kinds: Iterable[Kind]) -> Kind | None:
    """Return the last of these in the order of `KINDS`, or None without any."""
    return max(kinds, key=KINDS.index, default=None)


def left_open(row: PublishedRow, config: Mapping[str, Any], origins: Mapping[str, str]) -> tuple[Open, ...]:
    """Return the settings that enter and that the report does not print, with the values of a config.

    Printed ones are added where the authors' public code contradicts the report, or where no run can have its value.
    `origins` has the layer that set each key: a recipe, the sweep's file, or the default.
    """
    printed, coded = _printed(row), _coded(row)
    keys = dict.fromkeys([*_entering(config), *(key for key in coded if key in config)])
    return tuple(
        Open(
            key, value_text(config[key]), *_source(key, config[key], printed.get(key), coded.get(key), origins.get(key))
        )
        for key in keys
        if key not in printed
        or (key in coded and {identity(coded[key].set[key]), identity(config[key])} != {identity(printed[key])})
    )


def _printed(row: PublishedRow) -> dict[str, Any]:
    kept = printed_keys(row)
    return {key: value for key, value in flatten(read_overrides(runs_of(row)[0])).items() if key in kept}


def _coded(row: PublishedRow) -> dict[str, Fact]:
    """Return the fact that sets each key. Of several, the last one counts."""
    return {key: fact for fact in facts_of(row.experiment, row.settings) for key in fact.set}


def _entering(config: Mapping[str, Any]) -> Iterator[str]:
    for key, value in config.items():
        section, _, knob = key.partition(".")
        if section == "schedule":
            if knob == "name" or (config.get("schedule.name") != "constant" and not _is_idle(key, config)):
                yield key
        elif switches := next((on for start, on in _WITH.items() if key.startswith(start)), ()):
            if any(config.get(switch) not in _OFF for switch in switches):
                yield key
        elif knob in _ALWAYS.get(section, ()) or (knob in _IF_ON.get(section, ()) and value not in _OFF):
            yield key


def _is_idle(key: str, config: Mapping[str, Any]) -> bool:
    """Return whether a schedule's knob changes nothing: no warm-up, or the one interval that a plateau has."""
    if key == "schedule.interval":
        return config.get("schedule.name") == "reduce_on_plateau"
    return key == "schedule.warmup_epochs" and not config[key]


def _source(
    key: str, value: Any, printed: Any, fact: Fact | None, origin: str | None
) -> tuple[str, Literal["report", "code", "us"]]:
    """Return who says a value, in words and as one of three."""
    if fact and identity(fact.set[key]) == identity(value):
        instead = f", where the report prints {value_text(printed)}" if printed is not None else ""
        return f"the authors' public code ({fact.source}){instead}", "code"
    other = f". The authors' public code has {value_text(fact.set[key])}" if fact else ""
    other += f": {fact.refused}" if fact and fact.refused else ""
    if printed is not None and identity(printed) == identity(value):
        return f"printed{other}", "report"
    other = f", where the report prints {value_text(printed)}{other}" if printed is not None else other
    layer = "the sweep file" if origin == "command line" else origin or "the config of the runs"
    return f"our reading, from {'the defaults' if layer == 'default' else layer}{other}", "us"


def grade_of(row: PublishedRow, opened: Sequence[Open]) -> Grade:
    chosen = tuple(each.key for each in opened if each.said_by == "us" and each.key not in DECIDES_NO_GRADE)
    if why_unrun(row.experiment):
        return Grade("no run behind the figure is known", chosen)
    if chosen:
        return Grade("chosen by us", chosen)
    if not any(each.said_by == "code" and each.key not in DECIDES_NO_GRADE for each in opened):
        return Grade("printed", ())
    apart = any(fact.apart for fact in facts_of(row.experiment, row.settings))
    return Grade("close to the authors' public code" if apart else "from the authors' public code", ())


@dataclass(frozen=True)
class AuthorsRun:
    """A run of a row with the settings of its authors' public code."""

    words: tuple[str, ...]  # that start it
    asked: Mapping[str, Any]  # what the report prints and the code says
    config: Mapping[str, Any]  # resolved
    origins: Mapping[str, str]


def authors_run(row: PublishedRow) -> AuthorsRun | None:
    """Return the run of the authors' reading of a row, or None if there is no such reading."""
    recipe = recipe_of(row.experiment, row.settings)
    if recipe is None:
        return None
    coded = _coded(row)
    refused = {
        key for key, fact in coded.items() if fact.refused
    }  # no run has it, and the report's value is not theirs
    asked = {key: value for key, value in _printed(row).items() if key not in refused}
    asked |= {key: fact.set[key] for key, fact in coded.items() if key not in refused}
    words: list[str] = []
    while True:  # a new name drops the knobs of the old choice, so that more is to be said
        loaded = load_config(words, recipe=recipe, complete=networks_too())
        config = flatten(loaded.config.model_dump(mode="json"))
        missing = differing_keys([{key: config.get(key) for key in asked}, asked])
        new = [f"{key}={value_text(asked[key])}" for key in missing]
        if not set(new) - set(words):
            return AuthorsRun((f"recipe={recipe}", *words), asked, config, loaded.origins)
        names = [word for word in new if word.partition("=")[0].endswith(".name")]
        words += names or new
