"""Comments at the top of a sweep's file that say something to a report. W&B ignores them.

# Which network is steadier?                the question, on the first line
# Control:  vgg_a                           what all others are compared with
# Outcome:  runs/loss/width, lower          what is compared, and which is better
"""

import re
from dataclasses import dataclass

from trainer.config.explain import did_you_mean
from trainer.errors import UserError
from trainer.runs.outcomes import Outcome, read_outcome

_BETTER = {"higher": True, "lower": False}


@dataclass(frozen=True)
class Header:
    question: str = ""
    control: str = ""  # label of a configuration, or of the runs of one network at all rates
    outcome: Outcome | None = None  # None: the metric of the sweep
    highest: bool = True  # is the best outcome


def read_header(text: str) -> tuple[Header, list[str]]:
    """Return (what the comments say, a line for each mistake in them)."""
    first = text.partition("\n")[0]
    question = first.lstrip("# ").strip() if first.startswith("#") else ""
    said = _value(text, "Outcome")
    name, comma, better = (part.strip() for part in said.partition(","))
    outcome, problems = None, list[str]()
    if said and better not in _BETTER:
        hint = did_you_mean(better, _BETTER) if comma else f"; write {name}, lower or {name}, higher"
        problems.append(f"# Outcome: {said}: it does not say which is better{hint}")
    try:
        outcome = read_outcome(name) if said else None
    except UserError as error:
        problems += [f"# Outcome: {problem}" for problem in error.problems]
    return Header(question, _value(text, "Control"), outcome, _BETTER.get(better, True)), problems


def _value(text: str, key: str) -> str:
    """Return what a comment `# KEY: VALUE` says, or an empty string."""
    found = re.search(rf"^# {key}:[ \t]+(.+)$", text, re.MULTILINE)
    return found[1].strip() if found else ""
