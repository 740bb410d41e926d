"""A whole run: from a config to a trained network in a run folder, from the start or resumed."""

import contextlib
import shutil
import signal
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch

from trainer.config import RunConfig
from trainer.config.load import as_stored, validate
from trainer.config.loss import OwnLoss
from trainer.config.overrides import lay_over
from trainer.config.probe import OwnProbe
from trainer.config.show import to_yaml
from trainer.data.batches import Normalize, TrainingBatches
from trainer.data.images import ImageSet
from trainer.data.second_tests import second_tests
from trainer.data.sources import load_image_set
from trainer.data.steps import Steps
from trainer.errors import CheckpointError, ConfigError, UserError
from trainer.files import finite_or_none, make_folder, write_json, write_whole
from trainer.own import parts as own
from trainer.own.quiet import says_nothing
from trainer.own.source import remember, remember_text
from trainer.probes.build import build_probes
from trainer.protocols import RunInfo, Sink, Status, Supervisor
from trainer.runs.bits import pack_bits
from trainer.runs.checkpoint import save_checkpoint
from trainer.runs.folder import config_hash, locked, named, new_folder, object_of, read_config, read_summary, same_run
from trainer.runs.provenance import command_line, now, provenance
from trainer.signals import StopRequest
from trainer.sinks.build import build_sinks
from trainer.sinks.packages import refuse_unusable
from trainer.training.averages import Ema, Swa, refuse_rare_updates
from trainer.training.compiled import compiled
from trainer.training.device import Compute, choose_compute, keep_freed_memory
from trainer.training.early_stop import Monitor
from trainer.training.evaluate import refuse_views
from trainer.training.launched import launched
from trainer.training.loop import Loop, Outcome
from trainer.training.losses import build_loss, build_penalty, refuse_loss_over_images
from trainer.training.memory_error import memory_in_a_line
from trainer.training.networks import drawn_network, fit_whitening, refuse_ghost_of_one_image, refuse_one_image
from trainer.training.numerics import numerics
from trainer.training.optimizers import build_optimizer, fused_on
from trainer.training.parts import Parts
from trainer.training.process_group import joined, ranks_of
from trainer.training.ranks import ALONE, RankLostError, Ranks
from trainer.training.recorded import source_of_steps
from trainer.training.schedules import RateSchedule
from trainer.training.spawned import Meeting
from trainer.training.stored import (
    begun_on,
    normalised_as_trained,
    read_state,
    refuse_other_ranks,
    tell_of_another_machine,
    trained_on,
)
from trainer.training.sync_norm import with_sync_norms


@dataclass(frozen=True)
class RunResult:
    """The end of a run, and its folder."""

    folder: Path
    status: Status
    summary: Mapping[str, Any]
    message: str = ""
    signal: int | None = None  # the one that interrupted it
    sync_hint: str | None = None  # the command that sends an offline W&B run


def start_run(
    config: RunConfig, *, runs: Path = Path("runs"), name: str | None = None, sinks: Sequence[Sink] = ()
) -> RunResult:
    """Train a new run in `runs/NAME`. `sinks` get its numbers beside its own. Raises UserError if it cannot start."""
    refuse_unusable(config.sink)
    ranks = ranks_of(config.train)
    config = _on_devices(config, ranks.size)
    compute = choose_compute(config.train, ranks)
    folder = new_folder(runs, name, config)
    with locked(folder), ranks.started(_help_out), memory_in_a_line(config.train, compute):
        try:
            image_set = load_image_set(config.data, seed=config.seed)
            parts = build_parts(config, compute, image_set, ranks)
            refuse_rare_updates(config.train, parts.batches.steps.of(config.train.epochs, most=config.train.max_steps))
            own.keep(own.sources_of(config), folder)
            write_whole(folder / "config.yaml", to_yaml(config).encode())
        except BaseException:
            shutil.rmtree(folder)  # it contains nothing of use yet
            raise
        return _train(config, parts, folder, image_set.fingerprint(), None, sinks)


def resume_run(folder: Path, settings: Mapping[str, Any] | None = None) -> RunResult:
    """Resume a run from its last checkpoint. A finished run is only reported.

    `settings` are nested. They may change keys that change no number of a run. Raises ConfigError with every other key
    that differs, also between config.yaml and the checkpoint, and CheckpointError if the data or the text of an own
    part has changed, or if the checkpoint or rows from before it have been lost. Another number of devices is refused
    once the run has made a step: sums over other parts round in another way.
    """
    folder = named(folder)
    remember(folder)
    begun = read_config(folder)
    ranks = ranks_of(validate(lay_over(begun.model_dump(mode="json"), settings or {})).train)
    settings = lay_over(dict(settings or {}), {"train": {"devices": ranks.size}})
    config = same_run(_on_devices(begun, ranks.size), settings)
    summary = read_summary(folder)
    if summary.get("status") == "finished":
        ranks.dismiss()
        return RunResult(folder, "finished", summary, "already finished; nothing was done")
    own.refuse_changed(config, folder)
    refuse_unusable(config.sink)
    with locked(folder):
        state = read_state(folder, summary)
        if state:
            stored = validate(as_stored(state["config"]))
            refuse_other_ranks(stored, ranks.size, state)
            same_run(_on_devices(stored, ranks.size), config.model_dump(mode="json"))
        if ranks.size != begun.train.devices:
            write_whole(folder / "config.yaml", to_yaml(config).encode())
        compute = choose_compute(config.train, ranks, begun_on(state))
        image_set = load_image_set(config.data, seed=config.seed)
        fingerprint = image_set.fingerprint()
        if state and not trained_on(state, image_set, fingerprint):
            raise CheckpointError(
                f"{folder}: data.name={config.data.name} no longer has the images, labels and classes that this run "
                "was trained on; bring them back, or start a new run"
            )
        image_set = normalised_as_trained(image_set, state)
        with ranks.started(_help_out), memory_in_a_line(config.train, compute):
            return _train(config, build_parts(config, compute, image_set, ranks), folder, fingerprint, state)


def follow_run(ranks: Ranks) -> None:
    """Train beside rank 0, which decides and writes. Raises UserError if that cannot be, or a rank is lost."""
    try:
        plan: dict[str, Any] | None = ranks.share(None)
        if plan:  # else there is nothing to do
            _follow(ranks, plan)
    finally:
        ranks.leave()


def _follow(ranks: Ranks, plan: Mapping[str, Any]) -> None:
    config = validate(plan["config"])
    for name, text in plan["texts"]:
        remember_text(name, text)
    compute = choose_compute(config.train, ranks, begun_on(plan["state"]))
    keep_freed_memory(compute.device)
    image_set = load_image_set(config.data, seed=config.seed)
    if image_set.fingerprint() != plan["data"]:
        raise CheckpointError(f"rank {ranks.rank}: data.name={config.data.name} has other images here than at rank 0")
    parts = build_parts(config, compute, normalised_as_trained(image_set, plan["state"]), ranks)
    # Under torchrun, a Ctrl-C goes to its processes. Else it is for rank 0, which tells the others.
    with numerics(config.train, parts.model), StopRequest(ctrl_c=launched() is not None) as stop:
        loop = Loop(parts, [], keep=lambda *_: None, stop_requested=stop)
        if plan["state"]:
            loop.load_state_dict(plan["state"])
        else:
            loop.save_checkpoint()  # rank 0 does, and this rank's generators are in it
        with says_nothing():
            loop.fit()


def _help_out(index: int, meeting: Meeting) -> None:
    """Train as one of the other ranks, in a process that rank 0 has started."""
    try:
        follow_run(joined(index, meeting))
    except RankLostError:  # rank 0 says how
        return
    except UserError as error:
        sys.exit("\n".join(f"error: {problem}" for problem in error.problems))


def _on_devices(config: RunConfig, count: int) -> RunConfig:
    """Return the config of a run with so many devices. Raises ConfigError if it does not fit them."""
    if config.train.devices == count:
        return config
    return validate(lay_over(config.model_dump(mode="json"), {"train": {"devices": count}}))


def build_parts(config: RunConfig, compute: Compute, image_set: ImageSet, ranks: Ranks = ALONE) -> Parts:
    """Build everything that a run needs, on its device. Raises ConfigError for what does not fit together."""
    begun = time.perf_counter()
    train, device = config.train, compute.device
    if train.devices != ranks.size:
        raise ConfigError(f"train.devices: {train.devices}: `trainer train` alone takes several; set train.devices=1")
    refuse_views(train.tta, image_set)
    model = drawn_network(config.model, image_set, seed=config.seed, sides=config.augment.side.pixels)
    torch.zeros(1, device=device)  # a GPU begins with its first tensor, which is no preparation of images
    compute.synchronize()
    drawn = time.perf_counter()
    fit_whitening(model, image_set)
    batches = TrainingBatches(
        image_set.train.to(device),
        config.augment,
        steps=Steps(len(image_set.train), train.batch_size, train.drop_last, train.batch_schedule),
        seed=config.seed,
        num_classes=image_set.num_classes,
        mean=image_set.mean,
        std=image_set.std,
    )
    test, val = image_set.test.to(device), image_set.val.to(device) if image_set.val else None
    compute.synchronize()
    prepared = time.perf_counter()
    model = compute.place(model)
    if config.model.sync_norm:
        with_sync_norms(model, ranks)
    total = batches.steps.of(train.epochs)
    taken = batches.steps.of(train.epochs, most=train.max_steps)
    optimizer = build_optimizer(
        model, config.optimizer, fused=fused_on(device, compute.dtype), total_steps=total, dtype=compute.dtype
    )
    shapes = batches.shapes(batches.steps.seen(train.epochs, max_steps=train.max_steps, swa_epochs=train.swa.epochs))
    smallest = min(images for images, *_ in shapes)
    if ranks.size > 1 and smallest < ranks.size * train.accumulate:
        each = f" in {train.accumulate} parts each (train.accumulate)" if train.accumulate > 1 else ""
        raise ConfigError(
            f"train.batch_size: one batch has {smallest} images, which {ranks.size} devices cannot share{each}"
            "; set train.drop_last=true, or another size"
        )
    if not (config.model.sync_norm and ranks.size > 1):
        parts_of_it = train.accumulate * ranks.size
        for images, *size in shapes:
            if images < 2 * parts_of_it:
                refuse_one_image(model, config.model.name, size)
            cuts = {parts_of_it, ranks.size} if train.swa.epochs else {parts_of_it}  # an average's norms see the whole
            for part in sorted({each for cut in cuts for each in (images // cut, -(-images // cut))}):
                refuse_ghost_of_one_image(model, config.model.name, part, size)
    loss_fn = build_loss(config.loss, image_set.num_classes)
    if ranks.size > 1 and isinstance(config.loss, OwnLoss):
        refuse_loss_over_images(loss_fn, own.source_of("loss", config.loss), image_set.num_classes)
    parts = Parts(
        config=train,
        compute=compute,
        model=model,
        forward=compiled(model, train, device, taken, len(shapes)),
        ema=Ema(model, **train.ema.model_dump()) if train.ema.decay else None,
        swa=Swa(model) if train.swa.epochs else None,
        monitor=Monitor(train.early_stop, validates=image_set.val is not None),
        loss_fn=loss_fn.to(device),
        reduction=config.loss.reduction,
        penalty=ranks.share_of(build_penalty(config.loss, model)),
        optimizer=optimizer,
        schedule=RateSchedule(config.schedule, optimizer, epochs=train.epochs, steps=batches.steps),
        scaler=torch.amp.GradScaler(device.type, enabled=compute.dtype == torch.float16),
        normalize=Normalize(image_set.mean, image_set.std, device),
        batches=batches,
        val=val,
        test=test,
        also=second_tests(config.data, image_set),
        class_names=image_set.class_names,
        probes=build_probes(config.probe, model, total_steps=taken),
        keep_best=train.keep_best or bool(config.sink.wandb.checkpoint),
        path_every=config.probe.path.every_epochs,
        ranks=ranks,
    )
    if isinstance(config.probe.extra, OwnProbe):
        from trainer.training.own_trials import try_probe

        try_probe(parts, config)
    ranks.take(model, seed=config.seed)
    compute.synchronize()
    seconds, prepare = time.perf_counter() - begun, prepared - drawn
    return replace(parts, build_seconds=seconds - prepare, prepare_seconds=prepare)


def _train(
    config: RunConfig,
    parts: Parts,
    folder: Path,
    fingerprint: str,
    state: dict[str, Any] | None,
    others: Sequence[Sink] = (),
) -> RunResult:
    keep_freed_memory(parts.compute.device)
    plain, ranks = config.model_dump(mode="json"), parts.ranks
    sinks = [*build_sinks(config.sink, folder), *others]
    supervisors = [sink for sink in sinks if isinstance(sink, Supervisor)]

    def keep(name: str, content: Mapping[str, Any]) -> None:
        memory = {sink.name: dict(sink.memory()) for sink in sinks}
        path = folder / f"{name}.pt"
        make_folder(path.parent)  # for `path/EPOCH`
        about = {"config": plain, "sinks": memory, "data": fingerprint, "compute": parts.compute.kept}
        about["normalisation"] = {"mean": parts.normalize.mean, "std": parts.normalize.std}
        save_checkpoint(path, {**about, **content})

    with numerics(config.train, parts.model), StopRequest() as stop:

        def stop_requested() -> bool:
            return stop() or any(sink.stop_requested for sink in supervisors)

        texts = [(source.kept_as, source.text) for source in own.sources_of(config)] if ranks.size > 1 else []
        try:
            ranks.share({"config": plain, "data": fingerprint, "state": state, "texts": texts})
        except RankLostError as error:
            return RunResult(folder, "interrupted", {}, ranks.why_lost(error), signal.SIGTERM)
        loop = Loop(parts, sinks, keep=keep, stop_requested=stop_requested, steps=source_of_steps(config, parts))
        memory: dict[str, Any] = {}
        if state:
            loop.load_state_dict(state)
            memory = state["sinks"]
        info = provenance(
            **parts.compute.description,
            ranks=ranks.size,
            command=command_line(),
            seed=config.seed,
            gpu=parts.compute.gpu,
        )
        resumed = (folder / "run.json").exists()
        if state:
            with contextlib.suppress(UserError):  # a damaged one says nothing
                tell_of_another_machine(object_of(folder / "run.json"), info)
        try:
            for sink in sinks:
                remembered = memory.get(sink.name, {})
                sink.start(RunInfo(folder.name, folder, plain, config_hash(config), info, resumed, remembered))
            outcome = _who_stopped(_fit(loop, begun=bool(state)), supervisors)
            _keep_predictions(loop, folder)
        except BaseException:
            with contextlib.suppress(UserError):  # a full disk must not hide the first error
                _finish(sinks, _summary(loop, Outcome("failed", loop.counters.step), config.protocol))
            raise
        summary = _summary(loop, outcome, config.protocol)
        hint = _finish(sinks, summary)
        asked = stop.signal or (signal.SIGTERM if outcome.status == "interrupted" and ranks.size > 1 else None)
        return RunResult(folder, outcome.status, summary, outcome.message, asked, hint)


def _fit(loop: Loop, *, begun: bool) -> Outcome:
    """Train to the end, or until another rank is lost. A resume then goes on from the last checkpoint."""
    ranks = loop.parts.ranks
    try:
        with ranks.watched():
            if not begun:
                loop.save_checkpoint()  # so that the sinks remember their run if it is killed in epoch 1
            with loop.parts.compute.stream():
                return loop.fit()
    except RankLostError as error:
        return Outcome("interrupted", loop.counters.step, ranks.why_lost(error))


def _keep_predictions(loop: Loop, folder: Path) -> None:
    """Write confusion.json from the last evaluation on the test set by this process, and which images were right."""
    classes, last = loop.parts.class_names, loop.last_test
    if last is None:
        return
    content: dict[str, Any] = {"correct": pack_bits(last.correct.tolist()), "classes": classes}
    if len(classes) <= _MOST_CLASSES:
        content["counts"] = last.confusion(len(classes)).tolist()
    write_json(folder / "confusion.json", content)


def _who_stopped(outcome: Outcome, supervisors: Sequence[Supervisor]) -> Outcome:
    """Return `stopped` instead of `interrupted` if a server ended the run, even if its request came as a signal."""
    if outcome.status == "interrupted" and (stopped := [sink.name for sink in supervisors if sink.has_stopped()]):
        return replace(outcome, status="stopped", message=f"{stopped[0]} asked to end this run")
    return outcome


def _finish(sinks: Sequence[Sink], summary: Mapping[str, Any]) -> str | None:
    """Close the sinks, the folder's last: once it says that the run has ended, the others have ended it too.

    It is closed too if another fails or is interrupted, so that run.json does not stay `running`.
    """
    hints: list[Any] = []
    with contextlib.ExitStack() as last_first:
        for sink in sinks:
            last_first.callback(lambda sink=sink: hints.append(sink.finish(summary["status"], summary)))
    return next(filter(None, hints), None)


_MOST_CLASSES = 100  # of the matrix in confusion.json
_HEADLINE = {"last": "test/accuracy", "best_val": "test/accuracy_at_best_val", "best_test": "test/accuracy_best"}


def _summary(loop: Loop, outcome: Outcome, protocol: str) -> dict[str, Any]:
    """Return the run's numbers, flat. Accuracies are fractions, times are seconds. `protocol` picks the headline."""
    parameters = list(loop.parts.model.parameters())
    measured = {key: value for key, value in loop.counters.latest.items() if not key.startswith("optimizer/")}
    summary: dict[str, Any] = {
        "status": outcome.status,
        "epoch": loop.epoch,
        "step": outcome.step,
        **measured,
        "headline/protocol": protocol,
        "headline/accuracy": measured.get(_HEADLINE[protocol]),
        "time/build_seconds": loop.counters.build_seconds,
        "time/prepare_seconds": loop.counters.prepare_seconds,
        "time/compile_seconds": loop.counters.compile_seconds,
        "time/train_seconds": loop.counters.train_seconds,
        "time/evaluate_seconds": loop.counters.evaluate_seconds,
        "memory/peak_bytes": loop.parts.compute.peak_memory(),
        "ended": now(),
        "model/parameters": sum(p.numel() for p in parameters),
        "model/trainable_parameters": sum(p.numel() for p in parameters if p.requires_grad),
    }
    return finite_or_none(summary)
