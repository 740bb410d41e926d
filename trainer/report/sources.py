"""Places of a table's runs: a folder of run folders, archives, or both. A run found in both counts once."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from trainer.config.explain import did_you_mean
from trainer.errors import CheckpointError, SweepError
from trainer.report.folders import Problem, Read, read_results, run_folders
from trainer.runs.archive import SUFFIX, is_archive, merged, read_archive, stem_of
from trainer.runs.archive_lines import entry_of
from trainer.runs.have import brought_into
from trainer.runs.private import public_config
from trainer.runs.results import Result, read_result
from trainer.sweep.file import Sweep, parse_sweep, read_sweep
from trainer.sweep.header import read_header, with_added, with_until
from trainer.sweep.order import with_seeds
from trainer.sweep.points import points_of


@dataclass(frozen=True)
class Source:
    """A folder with runs or a run folder, or None without one, and archives of the same name."""

    folder: Path | None
    archives: tuple[Path, ...] = ()
    given: Path | None = None  # the sweep's file that somebody named, which is read in place of theirs
    places: tuple[Path, Path | None] | None = None  # folder of runs and of archives, where it was named and looked up

    @property
    def all_archives(self) -> tuple[Path, ...]:
        """Return the archives, with that of the folder, which has the runs that `--have` brought into the sweep."""
        return (*self.archives, *_brought(self.folder)) if self.folder else self.archives

    @property
    def name(self) -> str:
        return self.folder.resolve().name if self.folder else stem_of(self.archives[0])

    @property
    def single(self) -> bool:
        """Return whether it is one run."""
        return self.folder is not None and (self.folder / "config.yaml").is_file()

    @property
    def sweep_file(self) -> Path | None:
        """Return the sweep's own file in the folder, if there is one."""
        path = self.folder / f"{self.name}.yaml" if self.folder else None
        return path if path and path.is_file() else None


@dataclass(frozen=True)
class Contents:
    """Runs of a source, and its sweep."""

    results: tuple[Result, ...]  # by name, then by start
    problems: tuple[Problem, ...]  # run folders that cannot be read
    sweep: str | None  # text of the sweep's file
    file: Path | None  # that file, None if the text is that of an archive


def read_source(source: Source, read: Read = read_result) -> Contents:
    """Return the runs of a source, each once, and the sweep's file: the folder's own, or else that of its archives.

    Raises ArchiveError for a damaged archive.
    """
    archives = [read_archive(path) for path in source.all_archives]
    found, problems = read_results(run_folders(source.folder) if source.folder else (), read)
    results = [*map(_as_archived, found)]
    if archives:
        entries = [*map(entry_of, results), *(entry for archive in archives for entry in archive.entries)]
        results = [entry.result for entry in merged(entries)]
    text, file = sweep_text([archive.sweep for archive in archives]), None
    if own := source.sweep_file:
        text, file = own.read_text(encoding="utf-8-sig", errors="replace"), own
    return Contents(tuple(results), tuple(problems), text, file)


def _as_archived(result: Result) -> Result:
    """Return a run with the paths that an archive has in its config, or else it would be another configuration.

    `planned` has the same of the points of a sweep.
    """
    return replace(result, history=replace(result.history, config=public_config(result.config)))


def read_given(file: Path, kept: str | None) -> Sweep:
    """Return the sweep of a file that somebody named. `kept` is the text of the sweep's own file, or None.

    A file says nothing of seeds that were added: `trainer sweep run` writes that beside the runs only.
    Raises SweepError.
    """
    sweep, said = read_sweep(file), read_header(kept or "")[0]
    until, added = said.until or sweep.header.until, said.added or sweep.header.added
    return replace(sweep, header=replace(sweep.header, until=until, added=added))


def as_asked(sweep: Sweep) -> Sweep:
    """Return a sweep with the seeds that were added to its file's. Raises SweepError if it is no grid."""
    return with_seeds(sweep, sweep.header.added)


def sweep_text(texts: Iterable[str | None]) -> str | None:
    """Return the text of a sweep's file that asks for most points, of equal ones that which says most in its header.

    A sweep that got more seeds is the same sweep, and the order of merging does not matter. If seeds were added until
    one of them was decided, that is said of all, with its order of the seeds. So are all seeds that were asked for.
    """
    known = sorted((text for text in texts if text is not None), key=lambda text: (*_size(text), text), reverse=True)
    if not known:
        return None
    headers = [read_header(text)[0] for text in known]
    decided = [each for each in headers if each.until]
    asked = sorted({seed for each in headers for seed in each.added})
    added = dict.fromkeys([*(decided[0].added if decided else ()), *asked])
    return with_until(with_added(known[0], [*added]), str(decided[0].until) if decided else "")


def as_written(text: str) -> str:
    """Return the text of a sweep's file without what `trainer sweep run` has written into it."""
    return with_until(with_added(text, ()), "")


def _size(text: str) -> tuple[int, bool, int]:
    """Return (points, whether seeds were added until decided, how much else the header says)."""
    try:
        sweep = as_asked(parse_sweep(text, Path("sweep.yaml")))
        said = bool(sweep.header.control) + (sweep.header.outcome is not None)
        return len(points_of(sweep)) or sweep.cap, sweep.header.until is not None, said
    except SweepError:
        return -1, False, 0


def source_of(name: str, runs: Path, archives: Path | None) -> Source | None:
    """Return the runs of a name: those in `runs`, and in the archive of that name in `archives`. None if none are."""
    folder = runs / name
    packed = archives / f"{name}{SUFFIX}" if archives else None
    found = Source(
        folder if folder.is_dir() and _has_runs(folder) else None,
        (packed,) if packed and packed.is_file() else (),
        places=(runs, archives),
    )
    return found if found.folder or found.archives else None


def _has_runs(folder: Path) -> bool:
    return bool(run_folders(folder) or _brought(folder))


def _brought(folder: Path) -> tuple[Path, ...]:
    path = brought_into(folder.resolve())
    return (path,) if path.is_file() else ()


def find_sources(targets: Sequence[str], runs: Path, archives: Path | None) -> list[Source]:
    """Return the source of each target. Those of one name are one source, unless they are two folders.

    A target is a sweep file or the name of a sweep, whose runs are in `runs` and in `archives`. A file is read itself,
    not the copy beside the runs. Or a target is a folder with runs, a run folder or an archive. Raises CheckpointError
    for each target that is none of these, and for two files of one name.
    """
    found: list[Source] = []
    problems: list[str] = []
    for target in targets:
        try:
            source = _find(target, runs, archives)
        except CheckpointError as error:
            problems += error.problems
            continue
        place = next((place for place, other in enumerate(found) if _are_one(source, other)), len(found))
        files = {each.given.resolve(): each.given for each in (*found[place : place + 1], source) if each.given}
        if len(files) > 1:
            named = " and ".join(map(str, files.values()))
            problems.append(f"{named}: a file's name is its sweep's, and these have one; rename one")
        found[place:] = [_joined(source, *found[place : place + 1]), *found[place + 1 :]]
    if problems:
        raise CheckpointError(*problems)
    return found


def source_to_watch(target: str, runs: Path, archives: Path | None) -> Source:
    """Return the source of one target, also of a sweep that has begun and has no run yet.

    Raises CheckpointError for a target that is nothing of that, or a single run.
    """
    given = _given(target, runs, archives)
    path = Path(target) if Path(target).is_dir() else runs / (given.stem if given else target)
    begun = Source(path, given=given, places=(runs, archives))
    if path.is_dir() and begun.sweep_file and not _has_runs(path):
        return begun
    (source,) = find_sources([target], runs, archives)
    if source.single:
        raise CheckpointError(f"{target}: is a single run; a sweep or a folder of runs can be watched")
    return source


def _are_one(source: Source, other: Source) -> bool:
    folders = {each.folder.resolve() for each in (source, other) if each.folder}
    if source.folder and other.folder and len(folders) == 1:
        return True
    return source.name == other.name and len(folders) < 2 and not (source.single or other.single)


def _joined(source: Source, *others: Source) -> Source:
    for other in others:
        packed = dict.fromkeys((*other.archives, *source.archives))
        places = other.places or source.places
        source = Source(other.folder or source.folder, tuple(packed), other.given or source.given, places)
    return source


def _find(target: str, runs: Path, archives: Path | None) -> Source:
    path = Path(target)
    if is_archive(path):
        if not path.is_file():
            raise CheckpointError(f"{target}: no such archive")
        return Source(None, (path,))
    given = _given(target, runs, archives)
    if given or not path.is_dir():
        name = given.stem if given else target
        path = runs / name
        if not (path / "config.yaml").is_file() and (source := source_of(name, runs, archives)):
            return replace(source, given=given)
    if given and (path / "config.yaml").is_file():
        raise CheckpointError(f"{target}: {path} is the folder of a run, not of this sweep")
    if not path.is_dir():
        what = f"no run of it in {runs}" if given else f"no such folder, and no such sweep in {runs}"
        raise CheckpointError(f"{target}: {what}{did_you_mean(path.name, _begun(runs, archives))}")
    if (path / "config.yaml").is_file() or _has_runs(path):
        return Source(path)
    inside = sorted(str(each.parent) for each in path.glob("*/*.yaml") if each.stem == each.parent.name)
    hint = f"; its sweeps are {', '.join(inside)}" if inside else ""
    raise CheckpointError(f"{target}: not a run folder, and contains none{hint}")


def _given(target: str, runs: Path, archives: Path | None) -> Path | None:
    """Return the sweep file that a target is, None for a target that is something else."""
    path = Path(target)
    if path.suffix not in (".yaml", ".yml") or path.is_dir():
        return None
    if path.is_file():
        return path
    begun, there = _begun(runs, archives), [each.stem for each in path.parent.glob(f"*{path.suffix}")]
    if path.stem in begun:
        hint = f"; did you mean {path.stem!r}, the sweep of this name?"
    else:
        beside = "" if path.parent == Path() else f"{path.parent}/"
        hint = did_you_mean(path.stem, there, prefix=beside, suffix=path.suffix) or did_you_mean(path.stem, begun)
    raise CheckpointError(f"{target}: no such file{hint}")


def _begun(runs: Path, archives: Path | None) -> list[str]:
    """Return the names of all sweeps with a folder or an archive."""
    names = [each.parent.name for each in runs.glob("*/*.yaml") if each.stem == each.parent.name]
    return [*names, *(stem_of(each) for each in archives.glob(f"*{SUFFIX}"))] if archives else names


def beside(source: Source, name: str) -> Source | None:
    """Return the runs of another name beside its folder and archives, and where its own name was looked up, or None."""
    folder = source.folder.parent / name if source.folder else None
    packed = tuple(path for each in source.archives if (path := each.with_name(f"{name}{SUFFIX}")).is_file())
    found = [Source(folder if folder and folder.is_dir() and _has_runs(folder) else None, packed)]
    if source.places and (there := source_of(name, *source.places)):
        found.insert(0, there)
    joined = _joined(*found)
    return joined if joined.folder or joined.archives else None
