"""Parts of a run that an archive leaves out, because they are about a person and not about its numbers.

- Home directories are written `~`: `/home/ann/data` becomes `~/data`.
- W&B's entity, and the link to the run there.
- Words of a command whose key sounds like a secret (`api_key=...`), and passwords in URLs.
- Everything in run.json that no report reads, such as the name of a cluster's node. Environment variables of the
  user's were never in it.
"""

import re
import shlex
from collections.abc import Mapping
from pathlib import Path
from typing import Any

_PROVENANCE = ("seed", "command", "started", "git", "device", "precision", "python", "versions", "machine", "status",
               "ended")  # fmt: skip
_HOME = re.compile(
    r"(?<![\w.~-])(?:(?:/[\w.-]+)*/(?:home|Users)/|[A-Za-z]:\\Users\\)[^/\\\s'\",:;]+|(?<![\w.~-])/root(?![\w.-])"
)
_PASSWORD = re.compile(r"(?<=://)[^/\s@]*:[^/\s]*@|(?i:(?<=[?&])[\w.-]*pass\w*=[^&\s'\"]*)")
_SECRET = re.compile(r"[\w.-]*(?:entity|api[_-]?key|token|password|secret)\b", re.IGNORECASE)  # a key, at its end
_ENTITY = "sink.wandb.entity"


def public_config(config: Mapping[str, Any]) -> dict[str, Any]:
    """Return a flat config as anyone may read it."""
    return {key: None if key == _ENTITY else public(value) for key, value in config.items()}


def public_provenance(provenance: Mapping[str, Any]) -> dict[str, Any]:
    """Return the part of run.json that a report reads, of each segment of a resumed run."""
    kept = {key: public(provenance[key]) for key in _PROVENANCE if key in provenance}
    if isinstance(command := kept.get("command"), str):
        kept["command"] = _without_secrets(command)
    if isinstance(segments := provenance.get("resumed"), list):
        kept["resumed"] = [public_provenance(each) for each in segments if isinstance(each, Mapping)]
    return kept


def public_sweep(text: str) -> str:
    """Return the text of a sweep file without W&B's entity."""
    return str(public(re.sub(r"(?m)^entity:.*\n?", "", text)))


def public(value: Any) -> Any:
    """Return plain values without home directories and passwords, at any depth."""
    match value:
        case str():
            home = str(Path.home())
            if len(home) > 1:
                value = re.sub(rf"(?<![\w.~-]){re.escape(home)}(?![\w.-])", "~", value)
            return _PASSWORD.sub("", _HOME.sub("~", value))
        case Mapping():
            return {str(key): public(each) for key, each in value.items()}
        case list() | tuple():
            return [public(each) for each in value]
        case _:
            return value


def _without_secrets(command: str) -> str:
    if not _SECRET.search(command):
        return command
    try:
        words = shlex.split(command)
    except ValueError:  # an open quote: what belongs together cannot be told
        return ""
    named = [_SECRET.match(word) is not None and ("=" in word or word.startswith("-")) for word in words]
    values = [False, *(secret and "=" not in word for word, secret in zip(words, named, strict=True))]
    return shlex.join(
        word for word, secret, value in zip(words, named, values, strict=False) if not secret and not value
    )
