"""Check of every point of a sweep by RunConfig, before anything starts."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from trainer.config import RunConfig, load_config
from trainer.config.explain import did_you_mean
from trainer.config.load import Complete
from trainer.config.sink import forbidden_project
from trainer.errors import ConfigError, SweepError
from trainer.own.parts import own_sections
from trainer.runs.bands import RATE
from trainer.runs.folder import config_hash
from trainer.runs.groups import SEED, identity
from trainer.runs.outcomes import SUMMARY
from trainer.sweep.file import Sweep
from trainer.sweep.own_parts import words_at
from trainer.sweep.points import Checked, Entry, Point, points_of, sample
from trainer.training.network_arguments import complete_parts


def check(sweep: Sweep) -> Checked:
    """Resolve every point. Raises SweepError with every reason why a point cannot be run, and its points."""
    if (metric := sweep.file.metric) and metric.name.startswith("also/"):
        cure = "a second test set is reported and never chosen on; use val/accuracy"
        raise SweepError(f"{sweep.path}: metric.name: {metric.name}: {cure}")
    points = points_of(sweep)
    tried = points or sample(sweep, 50)
    entries: list[Entry] = []
    stopped: dict[str, list[Point]] = {}
    validates, on_wandb, stoppers = True, False, list[str]()
    complete = remembered(complete_parts)
    resolved: dict[str, RunConfig] = {}
    for point in tried:
        try:
            config = _of_seed(point, sweep, complete, resolved)
        except ConfigError as error:
            for problem in error.problems:
                stopped.setdefault(problem, []).append(point)
            continue
        validates &= config.data.val_fraction > 0
        on_wandb |= config.sink.wandb.mode != "disabled"
        stoppers = stoppers or _ends_before(config)
        entries.append(_entry(point, config, sweep))
    if stopped:
        raise SweepError(*(_stopped(sweep, problem, found, len(tried)) for problem, found in stopped.items()))
    if on_wandb and (problem := forbidden_project(sweep.file.project or "")):
        raise SweepError(f"{sweep.path}: project: {problem}")
    warnings = [*sweep.warnings, *_metric_warnings(sweep, validates=validates), *_twins(sweep, entries)]
    if (asked := sweep.header.outcome) and asked.over and asked.over not in sweep.varied:
        what = "learning rates" if asked.over == RATE else "lengths"
        warnings.append(f"# Outcome: {asked.name} is of several {what}; give {asked.over} more than one value")
    if asked and asked.over_lengths and stoppers:
        warnings.append(f"# Outcome: {asked.name} is of whole runs, but {stoppers[0]} may end one before; leave it out")
    return Checked(sweep, tuple(entries if points else ()), tuple(warnings))


def _ends_before(config: RunConfig) -> list[str]:
    """Return `KEY=VALUE` for each key that may end a run before its `train.epochs`."""
    train = config.train
    settings = {
        "early_stop.patience": train.early_stop.patience,
        "target_accuracy": train.target_accuracy,
        "max_steps": train.max_steps,
        "max_seconds": train.max_seconds,
    }
    return [f"train.{key}={value:g}" for key, value in settings.items() if value]


def resolve(point: Point, sweep: Sweep, complete: Complete = complete_parts) -> RunConfig:
    """Return the config of a point's run. Raises ConfigError if it is not valid."""
    return load_config(words_at(point, sweep), complete=complete).config


def _of_seed(point: Point, sweep: Sweep, complete: Complete, resolved: dict[str, RunConfig]) -> RunConfig:
    """Resolve a point, or take what was resolved for another seed."""
    key, seed = point.configuration_key, point.values.get(SEED)
    if key in resolved and type(seed) is int and 0 <= seed < 2**63:
        return resolved[key].model_copy(update={SEED: seed})
    config = resolve(point, sweep, complete)
    resolved.setdefault(key, config)
    return config


def remembered(complete: Complete) -> Complete:
    """Return `complete` with a memory: thousands of points share a few networks, and some are built to be checked."""
    known: dict[str, tuple[list[str], dict[str, Any]]] = {}

    def asked(settings: Mapping[str, Any], config: RunConfig | None) -> tuple[list[str], dict[str, Any]]:
        named = config.optimizer.model_dump() if config and config.optimizer.name.startswith("timm/") else None
        parts = dict(own_sections(settings))
        if parts:  # they are tried out on what the data and a mix are like
            parts |= {key: settings.get(key) for key in ("data", "augment")}
        groups = {name: rate.given for name, rate in config.optimizer.own_groups.items()} if config else {}
        key = identity([settings.get("model"), named, groups, config is None, parts])
        if key not in known:
            known[key] = complete(settings, config)
        return known[key]

    return asked


def entry_of(point: Point, sweep: Sweep) -> Entry:
    return _entry(point, resolve(point, sweep), sweep)


def _entry(point: Point, config: RunConfig, sweep: Sweep) -> Entry:
    digest = config_hash(config)
    return Entry(point, f"{point.slug(sweep.varied)}-{digest}", digest)


def _stopped(sweep: Sweep, problem: str, points: Sequence[Point], total: int) -> str:
    if len(points) == total:
        return f"{sweep.path}: {problem}"
    overrides = [word for word in points[0].overrides if word.partition("=")[0] in sweep.varied]
    return f"{sweep.path}: {problem} (at {len(points)} of {total} points, first {' '.join(overrides)})"


def _metric_warnings(sweep: Sweep, *, validates: bool) -> Iterator[str]:
    if sweep.file.metric is None:
        return
    name = sweep.file.metric.name
    if name not in SUMMARY:
        yield f"metric.name: the trainer does not log {name!r}{did_you_mean(name, SUMMARY)}"
    if (name.startswith("val/") or name.endswith("at_best_val")) and not validates:
        yield f"metric.name: {name} needs a validation set; set data.val_fraction"
    if "accuracy" in name and sweep.file.metric.goal == "minimize":
        yield f"metric.goal: {name} is minimized, so the lowest counts as best; write goal: maximize"
    if name.endswith("/loss") and sweep.file.metric.goal == "maximize":
        yield f"metric.goal: {name} is maximized, so the highest counts as best; write goal: minimize"
    if sweep.file.method != "grid" and name.startswith("test/"):
        yield f"metric.name: a {sweep.file.method} search by {name} chooses on the test set; use val/accuracy"


def _twins(sweep: Sweep, entries: Sequence[Entry]) -> Iterator[str]:
    seen: dict[str, Entry] = {}
    for entry in entries:
        first = seen.setdefault(entry.config, entry)
        if first is not entry:
            varied = sweep.varied
            yield f"points {first.point.label(varied)!r} and {entry.point.label(varied)!r} are the same run"
