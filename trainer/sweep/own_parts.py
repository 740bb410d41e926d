"""Own parts of a sweep: their texts are kept beside its runs, and every point uses these."""

import contextlib
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path, PurePosixPath

from trainer.config.overrides import flatten, read_overrides, write_override
from trainer.config.own import is_own
from trainer.errors import ConfigError, SweepError
from trainer.own.parts import KINDS, keep
from trainer.own.source import ENCODING, Source, find, hash_of, is_file, remember, remember_text
from trainer.sweep.file import Sweep
from trainer.sweep.points import Point
from trainer.sweep.space import Range


def sources_in(sweep: Sweep) -> list[Source]:
    """Return the texts of all own parts that a sweep names, as they are now. Raises ConfigError for a missing one."""
    return [find(section, name) for section, name in dict.fromkeys(_named(sweep))]


def held(sweep: Sweep, folder: Path, *, as_begun: bool = False) -> Sweep:
    """Return a sweep whose points are held to the texts of own parts as they are now, whatever becomes of the files.

    If a file is gone, its text in the sweep's folder is taken. `as_begun` takes that in any case, as the sweep's runs
    do. What cannot be read is left to the check.
    """
    remember(folder)
    found = [_found(section, name, folder, as_begun) for section, name in dict.fromkeys(_named(sweep))]
    texts = tuple(source for source in found if source)
    for source in texts:
        remember_text(source.kept_as, source.text)
    return replace(sweep, texts=texts)


def _found(section: str, name: str, folder: Path, as_begun: bool) -> Source | None:
    if not as_begun:
        with contextlib.suppress(ConfigError):
            return find(section, name)
    file = name.rpartition(":")[0]
    if file and (as_begun or not is_file(file)):
        with contextlib.suppress(ConfigError, OSError, UnicodeDecodeError):
            kept = folder / "own" / PurePosixPath(file).name
            return find(section, name, hash_of(kept.read_text(encoding=ENCODING)))
    with contextlib.suppress(ConfigError):
        return find(section, name)
    return None


def keep_texts(sweep: Sweep, folder: Path) -> None:
    """Keep the texts to which a sweep is held in its folder.

    Raises SweepError with a line for each that has changed since the sweep began: its runs would be of two versions.
    """
    kept = {source: folder / "own" / source.kept_as for source in sweep.texts}
    changed = {
        f"{source.file} has changed since this sweep began: bring back {path}, or give --runs another folder"
        for source, path in kept.items()
        if path.exists() and path.read_bytes() != source.text.encode()
    }
    if changed:
        raise SweepError(*sorted(changed))
    keep(list(sweep.texts), folder)


def words_at(point: Point, sweep: Sweep) -> list[str]:
    """Return the overrides of a point's run, held to the texts of the sweep."""
    return [*sweep.fixed, *point.overrides, *pins(point, sweep)]


def pins(point: Point, sweep: Sweep) -> list[str]:
    """Return the overrides that hold a point's own parts to the texts of the sweep."""
    if not sweep.texts:
        return []
    settings = flatten({**flatten(read_overrides(sweep.fixed)), **point.values})
    return [
        write_override(f"{source.section}.code", source.code)
        for source in sweep.texts
        if settings.get(f"{source.section}.name") == source.name and f"{source.section}.code" not in settings
    ]


def _named(sweep: Sweep) -> Iterator[tuple[str, str]]:
    """Yield (section, name) of each own part, perhaps several times."""
    choices = [{key: value} for key, value in flatten(read_overrides(sweep.fixed)).items()]
    for key, parameter in sweep.space.items():
        choices += [] if isinstance(parameter, Range) else [{key: value} for value in parameter.choices]
    for choice in choices:
        settings = flatten(choice)
        for section in KINDS:
            name = settings.get(f"{section}.name")
            if is_own(section, name):
                yield section, str(name)
