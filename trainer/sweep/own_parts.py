"""Own parts of a sweep: their texts are kept beside its runs, and every point uses these."""

from collections.abc import Iterator
from pathlib import Path

from trainer.config.overrides import flatten, read_overrides, write_override
from trainer.config.own import is_own
from trainer.errors import SweepError
from trainer.own.parts import KINDS, keep
from trainer.own.source import Source, find
from trainer.sweep.file import Sweep
from trainer.sweep.points import Point
from trainer.sweep.space import Range


def sources_in(sweep: Sweep) -> list[Source]:
    """Return the texts of all own parts that a sweep names, as they are now. Raises ConfigError for a missing one."""
    return [find(section, name) for section, name in dict.fromkeys(_named(sweep))]


def keep_texts(sweep: Sweep, folder: Path) -> list[Source]:
    """Keep the texts of a sweep's own parts in its folder, and return them.

    Raises SweepError with a line for each that has changed since the sweep began: its runs would be of two versions.
    """
    sources = sources_in(sweep)
    kept = {source: folder / "own" / source.kept_as for source in sources}
    changed = {
        f"{source.file} has changed since this sweep began: bring back {path}, or give --runs another folder"
        for source, path in kept.items()
        if path.exists() and path.read_text(encoding="utf-8") != source.text
    }
    if changed:
        raise SweepError(*sorted(changed))
    keep(sources, folder)
    return sources


def pins(point: Point, sweep: Sweep, sources: list[Source]) -> list[str]:
    """Return the overrides that hold a point's own parts to these texts, whatever becomes of their files."""
    settings = flatten({**flatten(read_overrides(sweep.fixed)), **point.values})
    return [
        write_override(f"{source.section}.code", source.code)
        for source in sources
        if settings.get(f"{source.section}.name") == source.name
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
