"""A run whose steps are recorded is the run whose steps are not. A stand-in for CUDA's graphs runs the work again."""

import itertools
import re
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any, TypeVar, cast

import pytest
import torch
from run_ends import assert_same_end, broken_at, differing, rows_of
from torch import Tensor

from trainer.config import load_config
from trainer.config.run import RunConfig
from trainer.data.sources import load_image_set
from trainer.training import recorded
from trainer.training import run as runs
from trainer.training.device import choose_compute
from trainer.training.parts import Parts
from trainer.training.recorded import StepSource, source_of_steps
from trainer.training.run import build_parts, resume_run, start_run

T = TypeVar("T")
_PROBES = ["probe.walk.every=3", "probe.drift.every=2", "probe.noise.every=4"]
_DROPOUT = ["recipe=none", "model.name=handmade_mlp", "model.dropout=0.3"]


class Graphs:
    """Records as CUDA's graphs do: nothing runs until it is replayed, and what it writes stays at one place."""

    def __init__(self) -> None:
        self.replays: list[int] = []  # of each recording

    def __call__(self, work: Callable[[], T]) -> Callable[[], T]:
        number, kept = len(self.replays), []
        self.replays.append(0)

        def replay() -> T:
            self.replays[number] += 1
            written = work()
            if not kept:
                kept.append(written)
            for old, new in zip(_tensors(kept[0]), _tensors(written), strict=True):
                old.detach().copy_(new.detach())
            return kept[0]

        return replay


def _tensors(content: Any) -> list[Tensor]:
    if isinstance(content, Tensor):
        return [content]
    return list(itertools.chain.from_iterable(map(_tensors, content))) if isinstance(content, list | tuple) else []


@pytest.fixture
def graphs(monkeypatch: pytest.MonkeyPatch) -> Graphs:
    """Record the steps of runs with `train.graphs=true`, also on a CPU."""
    recording = Graphs()

    def recorded(config: RunConfig, parts: Parts) -> StepSource:
        return StepSource(parts, recording if config.train.graphs else None)

    monkeypatch.setattr(runs, "source_of_steps", recorded)
    return recording


@pytest.mark.parametrize(
    "words",
    [
        [],
        ["train.accumulate=2", "train.clip_grad_norm=0.1", "loss.l2=0.01"],
        ["optimizer.lookahead.steps=3", "train.ema.decay=0.9", "train.ema.every=2"],
        ["optimizer.name=adamw", *_DROPOUT, "augment.mix.name=mixup"],
        ["optimizer.name=muon", "augment.side.pixels=[8,8]", "augment.side.from_epochs=[0,1]"],
        _PROBES,
        [*_PROBES, *_DROPOUT, "probe.noise.parts=2", "train.accumulate=2", "train.clip_grad_norm=0.1"],
    ],
)
def test_a_recorded_run_has_the_bits_of_one_that_is_not(
    tmp_path: Path, small_run: list[str], graphs: Graphs, words: list[str]
) -> None:
    """Batches of 20 of 48 images leave one of 8, which is a kind of its own."""
    if "model.name=handmade_mlp" in words:
        small_run = [word for word in small_run if not word.startswith("model.")]
    words = [*small_run, "train.epochs=4", "train.batch_size=20", "sink.console.mode=off", *words]
    plain = start_run(load_config(words).config, runs=tmp_path, name="plain")
    assert not graphs.replays
    recorded = start_run(load_config([*words, "train.graphs=true"]).config, runs=tmp_path, name="recorded")
    assert rows_of(plain.folder) == rows_of(recorded.folder)
    assert not differing(plain.folder, recorded.folder, apart_from=("/config/train/graphs",))
    assert min(graphs.replays) > 0
    assert plain.summary["time/compile_seconds"] == 0 < recorded.summary["time/compile_seconds"]
    assert len(graphs.replays) == 4 or "augment.side.from_epochs=[0,1]" in words  # two for each of two kinds


@pytest.mark.parametrize("probes", [[], ["probe.drift.every=3"]])
def test_a_step_is_recorded_anew_when_a_rate_has_ended(
    tmp_path: Path, small_run: list[str], graphs: Graphs, probes: list[str]
) -> None:
    words = [word for word in small_run if not word.startswith("model.")]
    words += ["model.name=airbench94", "model.widths=[4,4,4]", "data.image_size=24", "optimizer.first_bias.end_epoch=4"]
    words += ["train.epochs=14", "train.batch_size=24", "sink.console.mode=off", *probes]
    plain = start_run(load_config(words).config, runs=tmp_path, name="plain")
    recorded = start_run(load_config([*words, "train.graphs=true"]).config, runs=tmp_path, name="recorded")
    assert rows_of(plain.folder) == rows_of(recorded.folder)
    assert not differing(plain.folder, recorded.folder, apart_from=("/config/train/graphs",))
    assert len(graphs.replays) == (6 if probes else 4)  # two for each kind: before, after, after and looked at


@pytest.mark.parametrize("step", [3, 7, 10])
def test_a_recorded_run_resumes_to_the_same_bits(
    tmp_path: Path, small_run: list[str], graphs: Graphs, step: int
) -> None:
    """The steps after a resume are not recorded at first."""
    words = [*small_run, *_PROBES, "train.epochs=4", "train.batch_size=20", "train.graphs=true", "optimizer.name=adam"]
    start_run(load_config(words).config, runs=tmp_path, name="unbroken")
    with broken_at(step, "killed"):
        start_run(load_config(words).config, runs=tmp_path, name="broken")
    assert resume_run(tmp_path / "broken").status == "finished"
    assert_same_end(tmp_path / "broken", tmp_path / "unbroken")
    assert sum(graphs.replays) > 0


def test_what_cannot_be_recorded_is_told_once_and_trained(
    tmp_path: Path, small_run: list[str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def refuse(work: Callable[[], T]) -> Callable[[], T]:
        raise RuntimeError("operation not permitted when capturing\nmore")

    words = [*small_run, "sink.console.mode=off"]
    plain = start_run(load_config(words).config, runs=tmp_path, name="plain")
    monkeypatch.setattr(runs, "source_of_steps", lambda _, parts: StepSource(parts, refuse))
    other = start_run(load_config(words).config, runs=tmp_path, name="other")
    assert not differing(plain.folder, other.folder)
    told = [line for line in capsys.readouterr().err.splitlines() if line.startswith("train.graphs")]
    assert told == ["train.graphs: this run's steps cannot be recorded: operation not permitted when capturing"]


def test_a_line_says_why_steps_are_not_recorded(small_run: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    config = load_config([*small_run, "train.graphs=true"]).config
    parts = build_parts(config, choose_compute(config.train), load_image_set(config.data, seed=0))
    source_of_steps(config, parts)
    source_of_steps(load_config(small_run).config, parts)  # not asked for
    assert capsys.readouterr().err == (
        "train.graphs: this run's steps are not recorded: only CUDA can do that, not cpu\n"
    )


@pytest.mark.parametrize(
    ("words", "reason"),
    [
        (["probe.shift.at=[6]"], "probe.shift takes"),
        (["probe.shift.log_spaced=3"], "probe.shift takes"),
        (["probe.shift.every=2"], "probe.shift takes"),
        (["optimizer.name=adagrad"], "optimizer.name=adagrad reads its rate in Python"),
        (["recipe=none", "model.name=timm/resnet10t"], "model.name=timm/resnet10t is not one of ours"),
        (["loss.name=FILE:half"], "loss.name=.* is yours"),
        (["probe.extra.name=FILE:look", "probe.extra.every=1"], "probe.extra.name=.* is yours"),
        ([], None),
    ],
)
def test_a_gpu_does_not_record_what_decides_in_python(tmp_path: Path, words: list[str], reason: str | None) -> None:
    """What a probe takes back would be at another place in memory than what was recorded."""
    file = tmp_path / "mine.py"
    file.write_text("def half(**knobs): ...\ndef look(**knobs): ...\n")
    config = load_config([word.replace("FILE", str(file)) for word in words]).config
    lr = 0.1 if "optimizer.name=adagrad" in words else torch.tensor(0.1)
    parts = SimpleNamespace(
        compute=SimpleNamespace(device=torch.device("cuda")),
        ranks=SimpleNamespace(size=1),
        scaler=SimpleNamespace(is_enabled=lambda: False),
        optimizer=SimpleNamespace(param_groups=[{"lr": lr}]),
    )
    found = recorded._never_recorded(config, cast("Parts", parts))
    assert bool(found) is bool(reason)
    assert re.match(reason or "", found)
