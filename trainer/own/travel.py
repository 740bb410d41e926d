"""Texts of own parts as parameters of a sweep on W&B, so that an agent on any machine has them: `own.my_nets`."""

from collections.abc import Iterable, Mapping
from pathlib import PurePosixPath
from typing import Any

from trainer.config.overrides import write_override
from trainer.config.own import GROUPS
from trainer.errors import SweepError
from trainer.own.source import Source, hash_of, remember_text

_PREFIX = "own."
_MOST_BYTES = 100_000  # an agent hands it over as a word of the command, of which Linux takes 128 KiB


def as_parameters(sources: Iterable[Source]) -> dict[str, dict[str, str]]:
    """Return the texts of files as constant parameters. Modules are installed on each machine.

    Raises SweepError for a text or a name that cannot travel, and for two texts of one name.
    """
    texts: dict[str, Source] = {}
    for source in sources:
        if source.module:
            continue
        stem = PurePosixPath(source.file).stem
        if not stem.isidentifier():
            raise SweepError(f"{source.file}: W&B needs a name of letters, digits and _ for it; rename the file")
        if len(source.text.encode()) > _MOST_BYTES:
            raise SweepError(f"{source.file}: longer than {_MOST_BYTES:,} bytes, so W&B's agents cannot hand it over")
        if texts.setdefault(stem, source).text != source.text:
            raise SweepError(
                f"{source.file}: {texts[stem].file} has the same name and another text; rename one of them"
            )
    return {f"{_PREFIX}{stem}": {"value": source.text} for stem, source in texts.items()}


def is_text(key: str) -> bool:
    """Return whether a parameter is the text of an own part, and no key of a config."""
    return key.startswith(_PREFIX)


def texts_of(values: Mapping[str, Any]) -> dict[str, str]:
    """Return the texts among the parameters of a sweep or the values of a point, by the name of the file's copy."""
    texts = {key: value.get("value") if isinstance(value, dict) else value for key, value in values.items()}
    return {f"{key.removeprefix(_PREFIX)}.py": str(text) for key, text in texts.items() if is_text(key)}


def hold_to(texts: Mapping[str, str], settings: Mapping[str, Any]) -> list[str]:
    """Remember the texts, and return the overrides that hold the own parts of flat settings to them."""
    for name, text in texts.items():
        remember_text(name, text)
    named = {section: str(settings.get(f"{section}.name")) for section in GROUPS}
    files = {section: PurePosixPath(name.rpartition(":")[0]).name for section, name in named.items()}
    return [write_override(f"{section}.code", hash_of(texts[file])) for section, file in files.items() if file in texts]
