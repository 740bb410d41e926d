"""From a RunConfig to a trained network in a run folder, and on from where a run was broken off."""

import contextlib
import datetime
import fcntl
import hashlib
import json
import re
import signal
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from types import FrameType
from typing import Any

import torch
import yaml
from torch import nn

import models
from trainer.checkpoint import load_checkpoint, save_checkpoint, write_atomically
from trainer.config import RunConfig
from trainer.config.load import validate
from trainer.config.overrides import flatten, lay_over, nest
from trainer.config.recipes import read_settings_file
from trainer.data.batches import Normalize, TrainingBatches
from trainer.data.images import ImageSet
from trainer.data.sources import load_image_set
from trainer.device import Compute, choose_compute, deterministic_kernels, keep_freed_memory
from trainer.ema import Ema
from trainer.errors import CheckpointError, ConfigError, UserError
from trainer.loop import Counters, Loop, Outcome, Parts, Sums
from trainer.losses import build_loss
from trainer.observe import RunInfo, Sink, Status
from trainer.optimizers import build_optimizer
from trainer.provenance import command_line, now, provenance
from trainer.schedules import RateSchedule
from trainer.sinks.console import ConsoleSink
from trainer.sinks.folder import FolderSink

_FREE_ON_RESUME = ("sink.", "data.root", "data.download")  # what may change without changing a run's numbers


@dataclass(frozen=True)
class RunResult:
    """How a run ended, and where it lies."""

    folder: Path
    status: Status
    summary: dict[str, Any]
    message: str = ""
    signal: int | None = None  # what interrupted it
    sync_hint: str | None = None  # the command that sends an offline W&B run


def start_run(config: RunConfig, *, runs: Path = Path("runs"), name: str | None = None) -> RunResult:
    """Train from the beginning into `runs/NAME`. Raises UserError for what cannot be started."""
    compute = choose_compute(config.train)
    image_set = load_image_set(config.data, seed=config.seed)
    folder = _new_folder(runs, name, config)
    with _locked(folder):
        write_atomically(folder / "config.yaml", to_yaml(config).encode())
        return _train(config, compute, image_set, folder, None)


def resume_run(folder: Path, check: Mapping[str, Any] | None = None) -> RunResult:
    """Go on from the last checkpoint of a run; one that is finished is only reported.

    `check` holds settings that the caller gave again: raises ConfigError with each that differs from the run's.
    """
    config = read_config(folder)
    if check is not None:
        config = _same_config(config, check)
    summary = _read_summary(folder)
    if summary.get("status") == "finished":
        return RunResult(folder, "finished", summary, "already finished; nothing was done")
    with _locked(folder):
        path = folder / "checkpoint.pt"
        state = load_checkpoint(path) if path.exists() else None  # killed in its first epoch: from the beginning
        compute = choose_compute(config.train)
        return _train(config, compute, load_image_set(config.data, seed=config.seed), folder, state)


def read_config(folder: Path) -> RunConfig:
    """The config of a run. Raises CheckpointError where the folder holds none."""
    path = folder / "config.yaml"
    if not path.is_file():
        raise CheckpointError(f"{folder}: not a run folder (no config.yaml in it)")
    return validate(read_settings_file(path), models.check_arguments)


def to_yaml(config: RunConfig) -> str:
    return yaml.safe_dump(config.model_dump(mode="json"), sort_keys=False, default_flow_style=None, width=120)


def config_hash(config: RunConfig) -> str:
    """Eight hex digits of everything that changes a run's numbers."""
    flat = {k: v for k, v in flatten(config.model_dump(mode="json")).items() if not k.startswith(_FREE_ON_RESUME)}
    return hashlib.sha256(json.dumps(flat, sort_keys=True).encode()).hexdigest()[:8]


def build_network(config: RunConfig, image_set: ImageSet) -> nn.Module:
    """The initialised network for a data set, on the CPU, from the run's seed alone."""
    torch.manual_seed(config.seed)
    model = models.build_model(
        config.model.name,
        num_classes=len(image_set.class_names),
        in_channels=image_set.train.images.shape[1],
        **config.model.arguments,
    )
    if prepare := getattr(model, "prepare", None):  # what a network computes from data before training
        prepare(Normalize(image_set.mean, image_set.std)(image_set.train.images[:5000]))
    return model


def build_parts(config: RunConfig, compute: Compute, image_set: ImageSet) -> Parts:
    train, device = config.train, compute.device
    model = build_network(config, image_set).to(device=device)
    model = model.to(memory_format=compute.memory_format)  # pyright: ignore[reportCallIssue]
    optimizer = build_optimizer(model, config.optimizer, fused=device.type == "cuda")
    batches = TrainingBatches(
        image_set.train.to(device),
        config.augment,
        batch_size=train.batch_size,
        seed=config.seed,
        drop_last=train.drop_last,
    )
    return Parts(
        config=train,
        compute=compute,
        model=model,
        forward=torch.compile(model) if train.compile else model,
        ema=Ema(model, decay=train.ema.decay, every=train.ema.every) if train.ema.decay else None,
        loss_fn=build_loss(config.loss).to(device),
        optimizer=optimizer,
        schedule=RateSchedule(config.schedule, optimizer, epochs=train.epochs, steps_per_epoch=batches.per_epoch),
        scaler=torch.amp.GradScaler(device.type, enabled=compute.dtype == torch.float16),
        normalize=Normalize(image_set.mean, image_set.std, device),
        batches=batches,
        val=image_set.val.to(device) if image_set.val else None,
        test=image_set.test.to(device),
    )


def _train(
    config: RunConfig, compute: Compute, image_set: ImageSet, folder: Path, state: dict[str, Any] | None
) -> RunResult:
    if compute.device.type == "cpu":
        keep_freed_memory()
    with deterministic_kernels(config.train.deterministic), _StopRequest() as stop:
        parts = build_parts(config, compute, image_set)
        sinks = _build_sinks(config, folder)
        saver = _Saver(config, folder, parts, Counters(), Sums(compute.device), sinks, stop)
        if state:
            saver.restore(state)
        memory: dict[str, Any] = state["sinks"] if state else {}
        info = provenance(compute, command_line(), config.seed)
        resumed, plain = (folder / "run.json").exists(), config.model_dump(mode="json")
        for sink in sinks:
            sink.start(RunInfo(folder.name, folder, plain, info, resumed, memory.get(sink.name, {})))
        try:
            outcome = Loop(parts, saver.counters, saver.sums, saver, sinks).fit()
        except BaseException:
            with contextlib.suppress(UserError):  # a full disk must not hide what went wrong first
                _finish(sinks, "failed", saver, Outcome("failed", saver.counters.step))
            raise
        summary = _finish(sinks, outcome.status, saver, outcome)
        hint = next(filter(None, (getattr(sink, "sync_hint", None) for sink in sinks)), None)
        return RunResult(folder, outcome.status, summary, outcome.message, stop.signal, hint)


def _finish(sinks: Sequence[Sink], status: Status, saver: "_Saver", outcome: Outcome) -> dict[str, Any]:
    summary = _summary(saver, outcome)
    for sink in reversed(sinks):  # the folder last: what it says is true of the others too
        sink.finish(status, summary)
    return {"status": status, **summary}


def _summary(saver: "_Saver", outcome: Outcome) -> dict[str, Any]:
    """The headline numbers, flat; accuracies are fractions, times seconds."""
    parts, counters = saver.parts, saver.counters
    measured = {key: value for key, value in counters.latest.items() if not key.startswith("optimizer/")}
    seconds = counters.train_seconds
    return {
        "epoch": counters.epoch,
        "step": outcome.step,
        **measured,
        "time/train_seconds": seconds,
        "time/ended": now(),
        "model/parameters": sum(p.numel() for p in parts.model.parameters()),
        "model/trainable_parameters": sum(p.numel() for p in parts.model.parameters() if p.requires_grad),
    }


def _build_sinks(config: RunConfig, folder: Path) -> list[Sink]:
    sinks: list[Sink] = [FolderSink(folder), ConsoleSink(config.sink.console)]
    if config.sink.wandb.mode != "disabled":
        from trainer.sinks.wandb import WandbSink  # the one place that loads wandb, where it is wanted

        sinks.append(WandbSink(config.sink.wandb))
    return sinks


class _Saver:
    """Keeps a run's state on disk, and knows when it must stop."""

    def __init__(
        self,
        config: RunConfig,
        folder: Path,
        parts: Parts,
        counters: Counters,
        sums: Sums,
        sinks: Sequence[Sink],
        stop: "_StopRequest",
    ) -> None:
        self.config, self.folder, self.parts, self.sinks = config, folder, parts, sinks
        self.counters, self.sums, self._stop = counters, sums, stop

    @property
    def stop_requested(self) -> bool:
        return self._stop.signal is not None

    def save(self, *, best: bool) -> None:
        """Everything that a resume needs in checkpoint.pt; what an evaluation needs in best.pt."""
        parts = self.parts
        state: dict[str, Any] = {
            "config": self.config.model_dump(mode="json"),
            "model": parts.model.state_dict(),
            "ema": parts.ema.average.state_dict() if parts.ema else None,
            "counters": asdict(self.counters),
        }
        if best:
            return save_checkpoint(self.folder / "best.pt", state)
        state |= {
            "optimizer": parts.optimizer.state_dict(),
            "schedule": parts.schedule.state_dict(),
            "scaler": parts.scaler.state_dict(),
            "sums": self.sums.values,
            "random": _random_state(parts.compute.device),
            "sinks": {sink.name: dict(sink.memory()) for sink in self.sinks},
        }
        return save_checkpoint(self.folder / "checkpoint.pt", state)

    def restore(self, state: dict[str, Any]) -> None:
        """Put the parts back to where `save` saw them."""
        parts = self.parts
        parts.model.load_state_dict(state["model"])
        if parts.ema:
            parts.ema.average.load_state_dict(state["ema"])
        parts.optimizer.load_state_dict(state["optimizer"])
        parts.schedule.load_state_dict(state["schedule"])
        parts.scaler.load_state_dict(state["scaler"])
        self.sums.values.copy_(state["sums"])
        vars(self.counters).update(state["counters"])
        torch.set_rng_state(state["random"]["cpu"])
        if parts.compute.device.type == "cuda":
            torch.cuda.set_rng_state(state["random"]["device"], parts.compute.device)


def _random_state(device: torch.device) -> dict[str, Any]:
    """The generators that initialisation and dropout draw from; pictures draw from (seed, epoch) alone."""
    on_device = torch.cuda.get_rng_state(device) if device.type == "cuda" else None
    return {"cpu": torch.get_rng_state(), "device": on_device}


class _StopRequest:
    """Turns the first SIGTERM or Ctrl-C into a request to finish the step; a second Ctrl-C breaks off at once."""

    def __init__(self) -> None:
        self.signal: int | None = None

    def __enter__(self) -> "_StopRequest":
        self._before = {number: signal.signal(number, self._note) for number in (signal.SIGTERM, signal.SIGINT)}
        return self

    def __exit__(self, *_: object) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def _note(self, number: int, _frame: FrameType | None) -> None:
        if self.signal is not None and number == signal.SIGINT:
            raise KeyboardInterrupt
        self.signal = number


@contextlib.contextmanager
def _locked(folder: Path) -> Iterator[None]:
    """One process at a time trains into a folder; the lock goes with its process, however that ends."""
    with (folder / ".lock").open("w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            raise CheckpointError(f"{folder}: another process is training this run") from error
        yield


def _new_folder(runs: Path, name: str | None, config: RunConfig) -> Path:
    if name is not None and not re.fullmatch(r"[\w][\w.@+-]*", name):
        raise ConfigError(f"--name: {name!r}: letters, digits and . _ - @ + only")
    stamp = datetime.datetime.now().strftime("%Y%m%d-%H%M%S")
    network = config.model.name.replace("/", "-")
    chosen = name or f"{stamp}-{network}-s{config.seed}-{config_hash(config)}"
    folder = runs / chosen
    try:
        folder.mkdir(parents=True)
        (folder / "pictures").mkdir()
    except FileExistsError as error:
        raise ConfigError(f"--name: {folder} exists; go on with it by `trainer train --resume {folder}`") from error
    except OSError as error:
        raise CheckpointError(f"{folder}: cannot be made: {error.strerror}") from error
    return folder


def _same_config(config: RunConfig, check: Mapping[str, Any]) -> RunConfig:
    """`config` with what may change taken from `check`. Raises ConfigError where anything else differs."""
    kept = flatten(config.model_dump(mode="json"))
    given = flatten(check)
    free = {key: value for key, value in given.items() if key.startswith(_FREE_ON_RESUME)}
    differing = [
        f"{key}: the run has {kept.get(key)!r}, not {value!r}; a changed run is a new run, without --resume"
        for key, value in given.items()
        if key not in free and kept.get(key, ...) != value
    ]
    if differing:
        raise ConfigError(*differing)
    return config if not free else _replace(config, free)


def _replace(config: RunConfig, values: Mapping[str, Any]) -> RunConfig:
    return validate(lay_over(config.model_dump(mode="json"), nest(values)))


def _read_summary(folder: Path) -> dict[str, Any]:
    with contextlib.suppress(OSError, ValueError):
        return json.loads((folder / "summary.json").read_text(encoding="utf-8"))
    return {}
