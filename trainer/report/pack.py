"""Runs into an archive: `trainer report pack`."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from pathlib import Path

from trainer.config.yaml_text import read_whole
from trainer.errors import ArchiveError, ConfigError
from trainer.files import alone_in, make_folder
from trainer.report.folders import Problem, read_results, run_folders
from trainer.report.sources import Source, as_written, find_sources, read_given, sweep_text
from trainer.runs.archive import (
    SUFFIX,
    Archive,
    conflict_text,
    conflicts,
    is_archive,
    merged,
    read_archive,
    stem_of,
    write_archive,
)
from trainer.runs.archive_lines import Entry, entry_of, read_entry
from trainer.runs.outcomes import Outcome
from trainer.runs.private import public_sweep
from trainer.sweep.header import read_header, with_added, with_until


@dataclass(frozen=True)
class Packed:
    """Outcome of packing."""

    path: Path
    runs: int  # in the archive now
    new: int  # of these, runs that it did not have
    size: int  # of the file, bytes
    left_out: tuple[Problem, ...]  # runs that cannot be packed. They stay where they are
    warnings: tuple[str, ...]  # one config and seed with two results, or two files of the sweep


def pack(targets: Sequence[str], to: Path, runs: Path) -> Packed:
    """Add runs of folders and archives to the archive `to`, which may exist. Nothing is written if anything is wrong.

    `sources.find_sources` says what a target is. Raises ArchiveError for a damaged archive and for a sweep of another
    name, CheckpointError for what is no run, DiskError.
    """
    if not is_archive(to):
        raise ConfigError(f"--to: {to}: an archive is called NAME{SUFFIX}, after its sweep")
    sources = find_sources(targets, runs, None)
    if wrong := [each for each in sources if (each.given or each.sweep_file) and each.name != stem_of(to)]:
        raise ArchiveError(*(
            f"{source.folder}: the runs of a sweep go into an archive of its name: --to"
            f" {to.with_name(source.name + SUFFIX)}"
            for source in wrong
        ))  # fmt: skip
    others = [
        read_archive(path) for source in sources for path in source.all_archives if path.resolve() != to.resolve()
    ]
    files = [text for source in sources if (text := _text_of(source)) is not None]
    make_folder(to.parent)
    with alone_in(to.parent):  # or two that pack at once would each write what it had read, without the other's runs
        before = read_archive(to) if to.exists() else Archive(None, ())
        texts = [before.sweep, *(other.sweep for other in others), *map(public_sweep, files)]
        asked = {outcome for text in texts if text and (outcome := read_header(text)[0].outcome)}
        fresh, left_out = _entries([source.folder for source in sources if source.folder], asked)
        new = [*(entry for other in others for entry in other.entries), *fresh]
        if not new and not to.exists():
            raise ArchiveError(f"{to}: nothing to pack", *(f"{each.where}: {each.message}" for each in left_out))
        entries = merged([*before.entries, *new])
        write_archive(to, Archive(sweep_text(texts), tuple(entries)))
    warnings = [conflict_text(*each) for each in conflicts(entries)]
    if len({as_written(text) for text in texts if text is not None}) > 1:
        warnings.append(f"{stem_of(to)}.yaml: not the same everywhere. The one with most points is kept")
    known = {entry.text for entry in before.entries}
    added = sum(entry.text not in known for entry in entries)
    return Packed(to, len(entries), added, to.stat().st_size, tuple(left_out), tuple(warnings))


def _text_of(source: Source) -> str | None:
    """Return the text of the sweep's file: the one that somebody named, or else the folder's own, or None."""
    kept = _read(source.sweep_file) if source.sweep_file else None
    if source.given is None:
        return kept
    text = _read(source.given)
    header = read_given(source.given, kept).header
    return with_until(with_added(text, header.added), str(header.until or ""))


def _read(sweep_file: Path) -> str:
    try:
        return read_whole(sweep_file)
    except ValueError as error:
        raise ArchiveError(f"{sweep_file}: {error}") from error


def _entries(folders: Sequence[Path], asked: Collection[Outcome]) -> tuple[list[Entry], list[Problem]]:
    """Return (the runs in these folders as entries with what is asked, those that no archive can have)."""
    single = [[folder] if (folder / "config.yaml").is_file() else run_folders(folder) for folder in folders]
    results, problems = read_results(each for found in single for each in found)
    entries: list[Entry] = []
    for result in results:
        try:  # as its line tells it, which merging compares
            entries.append(read_entry(entry_of(result, asked).text, Path()))
        except (ValueError, TypeError) as error:
            problems.append(Problem("unreadable", str(result.history.folder), str(error)))
    return entries, problems
