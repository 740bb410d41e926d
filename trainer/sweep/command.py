"""The `command` of a sweep file: which macros W&B knows, and what the words after `trainer train` set."""

import os
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from trainer.config.explain import did_you_mean

COMMAND = ("${env}", "trainer", "train", "${args_no_hyphens}")
FLAGS = {  # of `trainer train`, by the key that each is short for
    "model": "model.name",
    "epochs": "train.epochs",
    "lr": "optimizer.lr",
    "batch-size": "train.batch_size",
    "seed": "seed",
    "data": "data.name",
    "device": "train.device",
    "recipe": "recipe",
}
_ONE_RUN = ("config", "name", "resume", "dry-run")  # flags that mean nothing, or not the same, at every point
_HERE = {"runs": True, "json": False}  # whether each takes a value
_FORMS = (
    "",
    "_no_hyphens",
    "_no_boolean_flags",
    "_json",
    "_json_file",
    "_no_equals",
    "_append_hydra",
    "_override_hydra",
)
_MACROS = ["env", "interpreter", "program", *(f"args{form}" for form in _FORMS)]


@dataclass
class Command:
    """The meaning of a command where its sweep runs with no server."""

    overrides: list[str] = field(default_factory=list)  # `KEY=VALUE`, the same at every point
    ignored: list[str] = field(default_factory=list)  # words that are left out
    problems: list[str] = field(default_factory=list)


def read_command(words: Sequence[str]) -> Command:
    """Read the words as `trainer train` would, `${envvar:NAME}` as W&B's agent writes it."""
    found = Command()
    found.problems += _unknown_macros(words)
    place = words.index("train") + 1 if "train" in words else len(words)
    found.ignored += [word for word in words[:place] if word not in COMMAND and not word.startswith("${")]
    flags: list[str] = []  # an override beside a flag counts, as on the command line
    rest = [re.sub(r"\$\{envvar:([A-Z0-9_]+)\}", lambda m: os.environ.get(m[1], m[1]), each) for each in words[place:]]
    while rest:
        word = rest.pop(0)
        flag, equals, value = word.removeprefix("--").partition("=")
        if word.startswith("${"):
            continue
        if re.fullmatch(r"(--)?[A-Za-z_][\w.]*=.*", word, re.DOTALL) and not (word[:2] == "--" and _is_flag(flag)):
            found.overrides.append(word)
        elif word[:2] == "--" and flag in FLAGS:
            if not equals and not rest:
                found.problems.append(f"command: {word} needs a value")
            flags.append(f"{FLAGS[flag]}={value if equals or not rest else rest.pop(0)}")
        elif word == "--offline":
            flags.append("sink.wandb.mode=offline")
        elif word[:2] == "--" and flag in _HERE:
            found.ignored.append(word)
            if _HERE[flag] and not equals and rest:
                found.ignored.append(rest.pop(0))
        elif word[:2] == "--" and flag in _ONE_RUN:
            found.problems.append(f"command: {word}: not in a sweep; write what it sets as KEY=VALUE or as parameters")
        elif word[:1] == "-":
            hint = did_you_mean(flag, [*FLAGS, *_HERE])
            found.problems.append(f"command: {word!r}: `trainer train` has no such flag{hint}")
        else:
            found.ignored.append(word)
    found.overrides = flags + found.overrides
    return found


def _is_flag(word: str) -> bool:
    return word in FLAGS or word in _HERE or word in _ONE_RUN


def _unknown_macros(words: Sequence[str]) -> Iterator[str]:
    for word in words:
        macro = word.removeprefix("${").removesuffix("}")
        if word.startswith("${") and not macro.startswith("envvar:") and macro not in _MACROS:
            yield f"command: W&B drops the unknown macro {word!r} without a word{did_you_mean(macro, _MACROS)}"
