"""Comments at the top of a sweep's file that say something to a report. W&B ignores them.

# Which network is steadier?                the question, on the first line
# Control:  vgg_a                           what all others are compared with
# Outcome:  runs/loss/width, lower          what is compared, and which is better
# Margin:   0.3                             a difference that does not matter, in points or the metric's unit
# Seeds:    3                               a search runs each point with seeds 0, 1 and 2 and goes by their mean

`trainer sweep run` writes these in the copy beside the runs, since a report has no ledger:

# Decided:  best, 3 to 10 seeds             its seeds were added until decided
# Added:    seeds 3-9, 12                   these were asked for besides the file's, in this order
"""

import math
import re
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from typing import Literal

from trainer.config.explain import did_you_mean
from trainer.errors import UserError
from trainer.runs.outcomes import Outcome, read_outcome

_BETTER = {"higher": True, "lower": False}
_KEYS = ("Control", "Outcome", "Margin", "Seeds", "Decided")
_ADDED = re.compile(r"seeds (\d+(?:-\d+)?(?:, \d+(?:-\d+)?)*)")
_UNTIL = re.compile(
    r"(best|all-pairs|against)(?:=(.+))?, (\d+) to (\d+) seeds(?:, margin (\d+(?:\.\d+)?(?:e[+-]?\d+)?))?"
)


@dataclass(frozen=True)
class Until:
    """The design by which seeds were added until a sweep was decided: `trainer sweep run --until decided`."""

    question: Literal["best", "all-pairs", "against"]
    control: str  # label of the configuration that the others are compared with, or ""
    at_least: int  # seeds of each configuration
    at_most: int
    margin: float | None  # in points of an accuracy, or in the metric's unit

    def __str__(self) -> str:
        """Return it as the file says it."""
        question = f"{self.question}={self.control}" if self.control else self.question
        margin = "" if self.margin is None else f", margin {self.margin:g}"
        return f"{question}, {self.at_least} to {self.at_most} seeds{margin}"


@dataclass(frozen=True)
class Header:
    question: str = ""
    control: str = ""  # label of a configuration, of the runs of one network at all rates, or of a choice of some keys
    outcome: Outcome | None = None  # None: the metric of the sweep
    highest: bool = True  # is the best outcome
    margin: float | None = None  # difference that does not matter, in points of an accuracy, or in the metric's unit
    until: Until | None = None  # None: the file says which seeds there are
    added: tuple[int, ...] = ()  # seeds that were asked for besides the file's
    seeds_per_point: int = 1  # of a search


def read_header(text: str) -> tuple[Header, list[str]]:
    """Return (what the comments say, a line for each mistake in them)."""
    first = text.partition("\n")[0]
    is_key = any(name in _KEYS or _adds(name, what) for name, what in _said(first))
    question = first.lstrip("# ").strip() if first.startswith("#") and not is_key else ""
    said, problems = _value(text, "Outcome"), list(_misread(text))
    name, comma, better = (part.strip() for part in said.partition(","))
    outcome = None
    if said and better not in _BETTER:
        hint = did_you_mean(better, _BETTER) if comma else f"; write {name}, lower or {name}, higher"
        problems.append(f"# Outcome: {said}: it does not say which is better{hint}")
    try:
        outcome = read_outcome(name) if said else None
    except UserError as error:
        problems += [f"# Outcome: {problem}" for problem in error.problems]
    margin = _number(text_of_margin := _value(text, "Margin"))
    if text_of_margin and (margin is None or not 0 < margin < math.inf):
        problems.append(f"# Margin: {text_of_margin}: expected a number above 0, such as 0.3")
        margin = None
    if margin is not None and said:
        problems.append(f"# Margin: {text_of_margin}: it is of the metric, and the file compares an outcome ({name})")
    text_of_seeds = _value(text, "Seeds") or "1"
    seeds = int(text_of_seeds) if re.fullmatch(r"\d{1,3}", text_of_seeds) else 0
    if seeds < 2 and _value(text, "Seeds"):
        problems.append(f"# Seeds: {text_of_seeds}: expected a whole number from 2 to 999")
    until = read_until(decided) if (decided := _value(text, "Decided")) else None
    if decided and until is None:
        problems.append(f"# Decided: {decided}: expected words such as best, 3 to 10 seeds")
    asked = next((what for name, what in _said(text) if _adds(name, what)), "")
    added = read_added(asked)
    if asked and not added:
        problems.append(f"# Added: {asked}: expected words such as seeds 3-9, 12")
    control, highest = _value(text, "Control"), _BETTER.get(better, True)
    return Header(question, control, outcome, highest, margin, until, added, seeds), problems


def read_until(said: str) -> Until | None:
    """Return what `# Decided:` says, or None if it is not of that form."""
    found = _UNTIL.fullmatch(said)
    match found and found[1]:
        case ("best" | "all-pairs" | "against") as question if found and bool(found[2]) == (question == "against"):
            margin = float(found[5]) if found[5] else None
            return Until(question, found[2] or "", int(found[3]), int(found[4]), margin)
        case _:
            return None


def _adds(name: str, what: str) -> bool:
    """Return whether a comment is one of seeds. `# Added: dropout` is yours."""
    return name == "Added" and what.split(maxsplit=1)[:1] == ["seeds"]


def read_added(said: str) -> tuple[int, ...]:
    """Return the seeds that `# Added:` names, in its order, none if it is not of that form."""
    found = _ADDED.fullmatch(said)
    ranges = [part.partition("-") for part in found[1].split(", ")] if found else []
    return tuple(dict.fromkeys(seed for low, _, high in ranges for seed in range(int(low), int(high or low) + 1)))


def with_added(text: str, seeds: Sequence[int]) -> str:
    """Return the text of a sweep's file with `# Added:` and these seeds below its first line, or without it if none."""
    parts: list[list[int]] = []
    for seed in seeds:
        if parts and seed == parts[-1][-1] + 1:
            parts[-1].append(seed)
        else:
            parts.append([seed])
    words = [f"{part[0]}-{part[-1]}" if len(part) > 1 else f"{part[0]}" for part in parts]
    return _with_line(text, "Added", f"seeds {', '.join(words)}" if words else "", only="seeds")


def with_until(text: str, said: str) -> str:
    """Return the text of a sweep's file with `# Decided: SAID` below its first line, or without it for no words."""
    return _with_line(text, "Decided", said)


def _with_line(text: str, key: str, said: str, *, only: str = "") -> str:
    bare = re.sub(rf"(?m)^#[ \t]*{key}[ \t]*:[ \t]*{only}.*\n?", "", text)
    line = f"# {key + ':':<9} {said}\n" if said else ""
    first, end, rest = bare.partition("\n")
    return f"{first}{end}{line}{rest}" if first.startswith("#") and end else f"{line}{bare}"


def seeds_until(known: Sequence[int], at_most: int) -> tuple[int, ...]:
    """Return `at_most` seeds: the file's, in its order, then the next whole numbers."""
    seeds = list(dict.fromkeys(known))[:at_most]
    following = max(known, default=-1) + 1
    return (*seeds, *range(following, following + at_most - len(seeds)))


def seeds_tried(at_most: int) -> int:
    """Return how many seeds a configuration may try to get `at_most` runs: half as many again replace failed ones."""
    return at_most + at_most // 2


def _misread(text: str) -> Iterator[str]:
    """Yield the mistakes in the keys themselves: no value, given twice, or almost a key of ours."""
    said = _said(text)
    for key in _KEYS:
        values = [value for name, value in said if name == key]
        if len(values) > 1:
            yield f"# {key}: given twice"
        if "" in values:
            yield f"# {key}: it names nothing"
    for name, value in said:
        meant = get_close_matches(name.capitalize(), _KEYS, cutoff=0.8)
        # In small letters only the key itself: `# seed: {value: 0}` is a parameter that was taken out.
        if name not in _KEYS and meant and (name[0].isupper() or name.capitalize() in _KEYS):
            yield f"# {name}: {value}: no such key; did you mean {meant[0]!r}?"


def unknown_control(control: str, labels: Collection[str]) -> list[str]:
    """Return a line if the named control is none of these labels, none if it is or if no control is named."""
    if not control or control in labels:
        return []
    if not labels:
        return [f"# Control: {control}: a search has no configurations to name"]
    return [f"# Control: {control}: no such configuration{did_you_mean(control, labels)}"]


def _number(said: str) -> float | None:
    try:
        return float(said)
    except ValueError:
        return None


def _value(text: str, key: str) -> str:
    """Return what a comment `# KEY: VALUE` says, or an empty string."""
    return next((value for name, value in _said(text) if name == key), "")


def _said(text: str) -> list[tuple[str, str]]:
    """Return (word, what follows) of each comment `# WORD: ...`, however it is spaced."""
    return [(found[1], found[2].strip()) for found in re.finditer(r"^#[ \t]*(\w+)[ \t]*:(.*)$", text, re.MULTILINE)]
