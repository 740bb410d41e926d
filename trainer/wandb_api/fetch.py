"""W&B's runs fetched into run folders, so that a report reads folders only. `run_files` makes the files' content."""

import json
import re
import shlex
import shutil
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from itertools import chain
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any
from urllib.parse import unquote

import yaml

from trainer.config.base import is_settings
from trainer.config.overrides import flatten
from trainer.config.yaml_text import read_tree, read_whole
from trainer.errors import CheckpointError, ConfigError, SweepError
from trainer.files import disk_errors, parse_json, write_whole
from trainer.own.travel import is_text, texts_of
from trainer.wandb_api.run_files import (
    UNDER_WAY,
    as_json,
    as_lines,
    config_of,
    confusion_of,
    confusion_table,
    rows_of,
    status_of,
    summary_of,
)

Say = Callable[[str], None]

_AT_ONCE = 8  # runs: each is a few requests, which mostly wait


def bring(path: str, into: Path, *, say: Say = lambda _: None) -> list[Path]:
    """Fetch the runs of ENTITY/PROJECT, or of one sweep ENTITY/PROJECT/SWEEP, and return their folders.

    The folders are `into`/NAME for each sweep, with its file, and `into`/PROJECT for runs of no sweep. Runs that have
    not changed on W&B are not fetched again, and those that were deleted there are removed. `say` gets a line for each
    run that is left out or removed, and one at the end.
    Raises SweepError if W&B cannot be asked or does not know the path, CheckpointError if no run is the trainer's.
    """
    from trainer.wandb_api.client import asking  # loads wandb

    entity, project, sweep_id = _read_path(path)
    seen: list[Path] = []
    folders: list[Path] = []
    with asking() as api:
        page = api.project(project, entity).url.rpartition("/")[0]
        sweeps = {sweep_id: api.sweep(f"{entity}/{project}/{sweep_id}")} if sweep_id else {}
        by_sweep: dict[str | None, list[Any]] = {}
        for run in api.runs(f"{entity}/{project}", filters={"sweep": sweep_id} if sweep_id else None):
            by_sweep.setdefault(run.sweep_name, []).append(run)
        for id, runs in by_sweep.items():
            if id is None:
                folder = _free_folder(into, _file_name(project))
            else:
                sweep = sweeps.get(id) or api.sweep(f"{entity}/{project}/{id}")
                if not _trains(sweep.config):
                    say(f"{sweep.url}: its command is not `trainer train`; {len(runs)} runs left out")
                    continue
                folder = _sweep_folder(into, sweep)
            seen.append(folder)
            _remove_deleted(folder, runs, page, say)
            if _bring_runs(runs, folder, say):
                folders.append(folder)
        places = [_sweep_place(into, sweep) for sweep in sweeps.values()] or [*into.glob("*"), *into.glob("*/*")]
        for folder in sorted({*places}.difference(seen)):  # all runs of a sweep may be gone
            _remove_deleted(folder, chain(*by_sweep.values()), page, say)
    if not folders:
        raise CheckpointError(f"{path}: no run of this trainer's on W&B")
    return folders


def place_in(runs: Path, path: str) -> Path:
    """Return `runs`/wandb/ENTITY/PROJECT, apart from local runs. Raises SweepError for another path."""
    entity, project, _ = _read_path(path)
    return runs / "wandb" / _file_name(entity) / _file_name(project)


def _read_path(path: str) -> tuple[str, str, str | None]:
    from trainer.wandb_api.sweeps import read_place

    parts = path.split("/")
    if len(parts) == 2 and all(parts):
        return parts[0], parts[1], None
    try:
        place = read_place(path)
    except SweepError as error:
        raise SweepError(f"{path}: expected ENTITY/PROJECT, ENTITY/PROJECT/SWEEP, or a sweep's page on W&B") from error
    return place.entity, place.project, place.id


def _trains(sweep: Mapping[str, Any]) -> bool:
    """Return whether a sweep's runs can be the trainer's."""
    return any(re.match(r"(\S*/)?trainer(\.cli)?\b", str(part)) for part in sweep.get("command") or [])


def _sweep_folder(into: Path, sweep: Any) -> Path:
    """Make the folder of a sweep with its file, and the texts of own parts that it was registered with.

    A report finds what was published by the file's name.
    """
    name = _sweep_name(sweep)
    folder = _sweep_place(into, sweep)
    asked = sweep.config.get("parameters") or {}
    texts = texts_of(asked)
    config = {**sweep.config, "parameters": {key: value for key, value in asked.items() if not is_text(key)}}
    text = _sweep_text(config, Path("sweeps") / f"{name}.yaml")
    with disk_errors(folder):
        (folder / "own" if texts else folder).mkdir(parents=True, exist_ok=True)
    for file, own in texts.items():
        write_whole(folder / "own" / _file_name(file), own.encode())
    write_whole(folder / f"{name}.yaml", f"{text}{_mark(sweep)}\n".encode())
    return folder


def _sweep_name(sweep: Any) -> str:
    return _file_name(sweep.config.get("name") or sweep.name)


def _sweep_place(into: Path, sweep: Any) -> Path:
    return _free_folder(into, _sweep_name(sweep), sweep)


def _free_folder(into: Path, name: str, sweep: Any = None) -> Path:
    """Return `into`/NAME, or another folder if that is another sweep's. A file registered twice is two sweeps."""
    path = into / name / f"{name}.yaml"
    if sweep is None:
        return into / "runs" / name if path.exists() else into / name
    taken = path.parent.exists() and not (path.is_file() and _mark(sweep) in path.read_text(encoding="utf-8"))
    return into / sweep.id / name if taken else into / name


def _mark(sweep: Any) -> str:
    return f"# From W&B: {sweep.url}"


def _sweep_text(config: Mapping[str, Any], here: Path) -> str:
    """Return the text of the local file that the sweep was registered from, or else what W&B has.

    W&B keeps no comments, and the first comment is the question.
    """
    with suppress(ValueError):
        text = read_whole(here)
        _, content = read_tree(text)
        if is_settings(content) and all(
            content.get(key) == config.get(key) for key in ("method", "metric", "parameters")
        ):
            return text
    question = " ".join(str(config.get("description") or "").split())
    return (f"# {question}\n" if question else "") + yaml.safe_dump(dict(config), sort_keys=False, allow_unicode=True)


def _file_name(text: str) -> str:
    """Return the text as a name that every file system accepts."""
    return re.sub(r"[^\w.@+-]+", "-", text).lstrip(".-") or "unnamed"


def _bring_runs(runs: Sequence[Any], folder: Path, say: Say) -> int:
    """Fetch runs and return how many of them are in the folder now."""
    there = {mark["id"]: (path.parent, mark) for path in folder.glob("*/run.json") if (mark := _mark_in(path))}
    taken = {path.name for path in folder.glob("*")}
    wanted: list[tuple[Any, Path]] = []
    for run in runs:
        target, mark = there.get(run.id, (None, None))
        if target is None:
            name = _file_name(run.name or run.id)
            target = folder / (f"{name}-{run.id}" if name in taken else name)
            taken.add(target.name)
        if mark != _run_mark(run) or run.state in UNDER_WAY:
            wanted.append((run, target))
    with disk_errors(folder):
        folder.parent.mkdir(parents=True, exist_ok=True)
    with TemporaryDirectory(dir=folder.parent, prefix=".wandb-") as aside, ThreadPoolExecutor(_AT_ONCE) as pool:
        bringing = [pool.submit(_bring_run, run, target, Path(aside)) for run, target in wanted]
        try:
            left_out = [why for each in bringing if (why := each.result())]
        except BaseException:  # the server is gone, or Ctrl-C: the rest is not asked for
            pool.shutdown(cancel_futures=True)
            raise
    for line in left_out:
        say(line)
    held = len(runs) - len(left_out)
    if held:
        say(f"{folder}: {held} runs, {len(wanted) - len(left_out)} of them fetched")
    return held


def _remove_deleted(folder: Path, listed: Iterable[Any], page: str, say: Say) -> None:
    """Remove the runs in a folder that were fetched from the project of this page and are not listed any more."""
    ids = {run.id for run in listed}
    for path in sorted(folder.glob("*/run.json")):
        mark = _mark_in(path)
        if mark and mark["id"] not in ids and unquote(mark["url"].rpartition("/runs/")[0]) == page:
            with disk_errors(path.parent, "cannot be removed"):
                _remove(path.parent)
            say(f"{path.parent}: removed, since W&B no longer has it")


def _remove(folder: Path) -> None:
    """Remove a folder, or the link in its place."""
    if folder.is_symlink():
        folder.unlink()
    else:
        shutil.rmtree(folder)


def _bring_run(run: Any, target: Path, aside: Path) -> str | None:
    """Fetch one run whole into its place. Return why it is left out, or None."""
    try:
        config, overrides = config_of(run.config)
    except ConfigError as error:
        return f"{run.url}: left out: {error.problems[0]}"
    if "model.name" not in flatten(config) and not run.sweep_name:
        return f"{run.url}: left out: its config is not this trainer's"
    if not config:
        return f"{run.url}: left out: it has sent no config"
    told = run.summary_metrics
    files = _download(run, ["run.json", *filter(None, [confusion_table(told)])], aside / "files" / run.id)
    rows = rows_of(run.scan_history(use_cache=False))  # a cache would hide newer rows
    summary = summary_of(told, rows, run.state)
    provenance = files.pop("run.json", None) or _provenance(run, overrides)
    status = {"status": status_of(run.state, told), **({"ended": summary["ended"]} if "ended" in summary else {})}
    content = {
        "config.yaml": yaml.safe_dump(config, sort_keys=False, allow_unicode=True).encode(),
        "metrics.jsonl": as_lines(rows),
        "run.json": as_json({**provenance, **status, "wandb": _run_mark(run)}),
        **({"summary.json": as_json(summary)} if summary else {}),
    }
    for table in files.values():
        content["confusion.json"] = as_json(confusion_of(table))
    with disk_errors(target):
        folder = aside / run.id
        folder.mkdir()
        for name, body in content.items():
            (folder / name).write_bytes(body)
        target.parent.mkdir(exist_ok=True)
        with suppress(OSError):  # what is in the way then is an error of the next line
            _remove(target)
        folder.rename(target)
    return None


def _download(run: Any, names: Sequence[str], folder: Path) -> dict[str, Any]:
    """Return the JSON files of a run that W&B has."""
    found: dict[str, Any] = {}
    for file in run.files(names=list(names)):
        with file.download(root=str(folder)) as content:
            found[file.name] = json.load(content)
    return found


def _provenance(run: Any, overrides: Sequence[str]) -> dict[str, Any]:
    """Return the provenance of a run that has not sent its run.json."""
    git = {"git": {"revision": run.commit, "dirty": None}} if run.commit else {}
    return {"command": shlex.join(["trainer", "train", *overrides]), "started": run.created_at, **git}


def _run_mark(run: Any) -> dict[str, Any]:
    """Return a mark that changes when W&B has more of a run than was fetched."""
    heard = {"heartbeat": run.heartbeat_at, "rows": run.history_line_count}
    return {"id": run.id, "url": run.url, "state": run.state, **heard}


def _mark_in(path: Path) -> dict[str, Any] | None:
    with suppress(OSError, ValueError):
        content = parse_json(path.read_bytes())
        return content.get("wandb") if isinstance(content, dict) else None
    return None
