"""Archive of runs: `NAME.jsonl.gz`, small enough for git. A header with the sweep's file, then a run a line.

Its lines are a set. To merge archives is to unite sets, so the order does not matter and a repetition changes nothing.
Lines are sorted and the gzip header has no time, so equal sets are equal files (by one version of zlib).
"""

import gzip
import io
import json
import zlib
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from trainer.errors import ArchiveError
from trainer.files import disk_errors, make_folder, write_whole
from trainer.runs.archive_lines import Entry, read_entry
from trainer.runs.results import origin_text, same_numbers, strictly

SUFFIX = ".jsonl.gz"
_KIND = "runs of cifar-sweeps"
_FORMAT = 1  # of the header
_CHUNK = 1024  # bytes
_ENDED = ("finished", "stopped", "diverged")


@dataclass(frozen=True)
class Archive:
    sweep: str | None  # text of the sweep's file, None for runs of no sweep
    entries: tuple[Entry, ...]  # by name, then by start


def is_archive(path: Path) -> bool:
    """Return whether a path has the name of an archive."""
    return path.name.endswith(SUFFIX) and path.name != SUFFIX


def stem_of(path: Path) -> str:
    """Return the name of an archive, which is that of its sweep: `lr_scheduler` of `.../lr_scheduler.jsonl.gz`."""
    return path.name.removesuffix(SUFFIX)


def read_archive(path: Path) -> Archive:
    """Return an archive. Raises ArchiveError with a line for every damage, DiskError if it cannot be read."""
    lines, problems = _unpacked(path)
    sweep: str | None = None
    entries: list[Entry] = []
    seen: dict[str, int] = {}
    for number, body in enumerate(lines, 1):
        try:
            text = _text_of(body)
            if number == 1:
                sweep = _sweep_in(text)
            elif (first := seen.setdefault(text, number)) != number:
                problems.append((number, f"the same run as in line {first}"))
            else:
                entries.append(read_entry(text, path))
        except ValueError as error:
            problems.append((number, str(error)))
    if problems:
        raise ArchiveError(*(f"{path}: line {number}: {problem}" for number, problem in sorted(problems)))
    return Archive(sweep, tuple(merged(entries)))


def write_archive(path: Path, archive: Archive) -> bool:
    """Write an archive whole. Return False if `path` has these lines already, and is left as it is.

    Raises DiskError.
    """
    header = json.dumps({"archive": _KIND, "format": _FORMAT, "sweep": archive.sweep})
    body = "".join(f"{line}\n" for line in (header, *(entry.text for entry in archive.entries))).encode()
    if path.exists() and b"".join(_unpacked(path)[0]) == body:
        return False
    packed = io.BytesIO()
    with gzip.GzipFile(fileobj=packed, filename="", mode="wb", compresslevel=9, mtime=0) as file:
        file.write(body)
    make_folder(path.parent)
    write_whole(path, packed.getvalue())
    return True


def merged(entries: Iterable[Entry]) -> list[Entry]:
    """Return all runs, each once, by name, then by start. An earlier state of a run gives way to a later one.

    The order decides which of several runs of one name counts, so it does not depend on where they were found.
    """
    alike: dict[tuple[str, str, str], dict[str, Entry]] = defaultdict(dict)
    for entry in entries:
        alike[entry.hash, entry.result.name, entry.result.started].setdefault(entry.text, entry)
    kept = [
        entry
        for states in alike.values()
        for entry in states.values()
        if len(states) == 1 or not any(_gives_way(entry, other) for other in states.values())
    ]
    return sorted(kept, key=lambda entry: (entry.result.name, entry.result.started, entry.text))


def conflicts(entries: Sequence[Entry]) -> list[tuple[Entry, Entry]]:
    """Return each finished run whose numbers are not those of the one that counts for its config and seed, with that.

    The first one counts, as `runs.groups.one_of_each_seed` has it.
    """
    first: dict[str, Entry] = {}
    finished = [entry for entry in entries if entry.result.status == "finished"]
    return [
        (entry, first[entry.hash])
        for entry in finished
        if first.setdefault(entry.hash, entry) is not entry
        and not same_numbers(entry.result.history, first[entry.hash].result.history)
    ]


def conflict_text(entry: Entry, first: Entry) -> str:
    """Return a conflict as a line."""
    here, there = origin_text(entry.result.provenance), origin_text(first.result.provenance)
    return (
        f"config {entry.hash}, seed {entry.result.seed}, has two results: {first.result.name} ({there}) counts,"
        f" {entry.result.name} ({here}) has other numbers"
    )


def _gives_way(entry: Entry, other: Entry) -> bool:
    """Return whether `other` is a later state of the same run, or the same state told in other words.

    It is only if it begins with the same numbers. This is a strict partial order, so what is kept does not depend on
    the order of merging.
    """
    ended, later = (each.result.status in _ENDED for each in (entry, other))
    if ended and (not later or entry.result.status != other.result.status or entry.numbers != other.numbers):
        return False
    if other.numbers[: len(entry.numbers)] != entry.numbers:
        return False
    return _order(entry) < _order(other)


def _order(entry: Entry) -> tuple[bool, int, int, str]:
    """Return the place of a state of a run among others. Of two that tell the same rows, one has more measures."""
    result = entry.result
    more = len(result.measures) + len(result.traces)
    return result.status in _ENDED, len(entry.numbers), more, entry.text


def _unpacked(path: Path) -> tuple[list[bytes], list[tuple[int, str]]]:
    """Return (lines with their ends, what is wrong with the compression, by line)."""
    with disk_errors(path, "cannot be read"):
        body = path.read_bytes()
    if body[:2] != b"\x1f\x8b":
        return [], [(1, "not gzip" if body else "the file is empty")]
    gzipped, found, problem = zlib.decompressobj(wbits=31), bytearray(), ""
    try:
        for start in range(0, len(body), _CHUNK):  # so that all lines before a damage are read
            found += gzipped.decompress(body[start : start + _CHUNK])
    except zlib.error as error:
        problem = f"damaged here or before ({error})"
    if not problem and not gzipped.eof:
        problem = "the file ends here, because it is truncated"
    if not problem and gzipped.unused_data:
        problem = "more data after the end of the archive; `trainer report pack` merges archives, `cat` does not"
    if not problem and not found:
        problem = "no header, because nothing was packed"
    whole = bytes(found[: found.rfind(b"\n") + 1]) if problem else bytes(found)
    lines = io.BytesIO(whole).readlines()
    return lines, [(len(lines) + 1, problem)] if problem else []


def _text_of(line: bytes) -> str:
    if not line.endswith(b"\n"):
        raise ValueError("it has no end: it is truncated")
    try:
        return line.decode().removesuffix("\n")
    except UnicodeDecodeError as error:
        raise ValueError("not UTF-8 text") from error


def _sweep_in(header: str) -> str | None:
    try:
        content = strictly(header)
    except ValueError as error:
        raise ValueError("not the header of an archive of runs") from error
    if not isinstance(content, dict) or content.get("archive") != _KIND:
        raise ValueError("not the header of an archive of runs")
    if content.get("format") != _FORMAT:
        raise ValueError(f"format {content.get('format')!r}: this trainer reads format {_FORMAT}")
    if not isinstance(sweep := content.get("sweep"), str | None) or content.keys() != {"archive", "format", "sweep"}:
        raise ValueError("header: expected archive, format and sweep, the text of a sweep's file or null")
    return sweep
