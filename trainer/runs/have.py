"""Runs of archives that count as done and are not run again: `--have ARCHIVE` of `sweep run` and `bench accuracy`."""

from collections.abc import Collection, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from trainer.config.load import as_stored, validate
from trainer.config.overrides import nest
from trainer.errors import ArchiveError, ConfigError
from trainer.runs.archive import SUFFIX, is_archive, read_archive
from trainer.runs.archive_lines import Entry
from trainer.runs.folder import config_hash


def brought_into(folder: Path) -> Path:
    """Return the archive in a sweep's folder of the runs that other archives brought into the sweep."""
    return folder / f"{folder.name}{SUFFIX}"


def archives_of(paths: Sequence[Path]) -> list[Path]:
    """Return archives as they are, and all archives in each folder. Raises ArchiveError for a folder without any."""
    found: list[Path] = []
    for path in paths:
        inside = sorted(path.glob(f"*{SUFFIX}")) if path.is_dir() else [path]
        if not inside:
            raise ArchiveError(f"--have: {path}: no archive in it; they are called NAME{SUFFIX}")
        found += inside
    return found


def runs_in_archives(archives: Sequence[Path], statuses: Collection[str]) -> list[tuple[Path, Entry]]:
    """Return all runs of archives that ended so, each with its archive. The hash is that of today's keys.

    A run whose config names a home directory is there twice: an archive has `~` for it, and a sweep may have it in
    full. Finished ones are first, then the order is by name and start. So the first of a hash is the one that
    counts. Raises ArchiveError for a file that is no archive or is damaged, DiskError.
    """
    if foreign := [path for path in archives if not is_archive(path)]:
        raise ArchiveError(*(f"--have: {path}: an archive is called NAME{SUFFIX}" for path in foreign))
    packed = [
        (path, replace(run, hash=hash))
        for path in archives
        for run in read_archive(path).entries
        if run.result.status in statuses
        for hash in _hashes_now(run)
    ]
    return sorted(
        packed, key=lambda each: (each[1].result.status != "finished", each[1].result.name, each[1].result.started)
    )


def _hashes_now(run: Entry) -> list[str]:
    """Return the hashes of a run's config by the keys that this trainer knows, which may be more than when it ran."""
    whole = {key: _in_full(value) for key, value in run.result.config.items()}
    try:
        return list(dict.fromkeys(config_hash(validate(as_stored(nest(each)))) for each in (run.result.config, whole)))
    except ConfigError:  # nothing of today has such a config
        return [run.hash]


def _in_full(value: Any) -> Any:
    """Return a text of an archive as it was before `private.public` wrote `~` for a home directory."""
    return f"{Path.home()}{value[1:]}" if isinstance(value, str) and value.startswith("~/") else value
