"""One run on several ranks: it equals one process with the same batches, and it ends as one process does."""

import json
import os
import random
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import nullcontext
from pathlib import Path

import pytest
import torch
from on_ranks import Case, apart, moved, train_all
from pretend import server
from pretend.watch import wait_for
from run_ends import assert_same_end, broken_at, rows_of

from trainer.config import load_config
from trainer.config.train import Train
from trainer.data.sources import load_image_set
from trainer.errors import CheckpointError, ConfigError
from trainer.runs.checkpoint import load_checkpoint, save_checkpoint
from trainer.runs.folder import config_hash
from trainer.sweep.child import Child
from trainer.training.device import choose_compute
from trainer.training.launched import Launched, launched
from trainer.training.network_arguments import complete_parts
from trainer.training.pace import measure_pace
from trainer.training.process_group import ranks_of
from trainer.training.run import build_parts, resume_run, start_run

BASE = ["data.name=folder", "data.image_size=8", "train.device=cpu", "train.precision=float32",
        "augment.crop.padding=1", "sink.wandb.mode=disabled", "sink.console.mode=off"]  # fmt: skip
NETS = {
    "group": ["model.name=resnet9", "model.width=4", "data.image_size=16", "model.norm=group",
              "train.batch_size=10", "train.epochs=2",
              "train.clip_grad_norm=1", "loss.l2=0.01", "augment.mix.name=cutmix"],
    "ghost": ["model.name=fastresnet9", "model.width=2", "model.ghost_size=4", "train.batch_size=16", "train.epochs=3",
              "train.ema.decay=0.9", "train.tta=hflip"],
    "plateau": ["model.name=vgg_a", "model.width=2", "data.image_size=32", "data.val_fraction=0.25",
                "optimizer.lr=0.02", "train.batch_size=12", "train.epochs=9", "schedule.name=reduce_on_plateau",
                "schedule.patience=0", "schedule.threshold=0.5", "train.early_stop.patience=3",
                "train.early_stop.min_delta=0.5"],
    "synced": ["model.name=resnet9", "model.width=4", "data.image_size=16", "model.sync_norm=true",
               "train.batch_size=10", "train.epochs=2", "train.swa.epochs=1", "loss.reduction=sum",
               "optimizer.lr=0.01"],
}  # fmt: skip
ON_RANKS = [*((name, 2) for name in NETS), ("group", 4)]
REPLICAS = ["model.name=fastresnet9", "model.width=2", "train.batch_size=16", "train.epochs=2"]
BROKEN = ["model.name=vgg_a", "model.width=2", "model.dropout=0.3", "data.image_size=32", "train.batch_size=8",
          "train.epochs=20", "train.devices=2", "train.ema.decay=0.9", "optimizer.lr=0.01",
          "probe.path.every_epochs=1000"]  # fmt: skip
COUNTING = """
import torch
class Counting(torch.nn.Sequential):
    def __init__(self, num_classes=10):
        super().__init__(torch.nn.Flatten(), torch.nn.Linear(192, num_classes))
        self.register_buffer("level", torch.zeros(()))
    def forward(self, images):
        if self.training:
            self.level.lerp_(images.detach().mean(), 0.1)
        return super().forward(images)
"""


@pytest.fixture(scope="module")
def runs(made_once: Callable[[str, Callable[[Path], object]], Path], image_folder: Path) -> Path:
    base = [*BASE, f"data.root={image_folder}"]

    def make(folder: Path) -> None:
        own = folder / "counting.py"
        own.write_text(COUNTING)
        cases = [Case(f"{name}-{size}", [*base, *NETS[name]], size, double=True) for name, size in ON_RANKS]
        cases += [Case(f"{name}-1", [*base, *net], 1, double=True) for name, net in NETS.items()]
        cases += [
            Case("replicas-1", [*base, *REPLICAS, "model.ghost_size=8"], 1, double=True),
            Case("replicas-2", [*base, *REPLICAS, "model.ghost_size=0"], 2, double=True),
            Case("float-1", [*base, *NETS["group"], "loss.l2=0", "train.accumulate=2"], 1),
            Case("float-2", [*base, *NETS["group"], "loss.l2=0"], 2),
            Case("timed", [*base, *REPLICAS, "train.max_seconds=1e-6"], 2),
            Case("unbroken", [*base, *BROKEN], 2),
            Case("drifting", [*base, f"model.name={own}:Counting", "train.epochs=1"], 2, fails="drifted apart: level"),
        ]
        server.ready()
        train_all(cases, folder)

    return made_once("ranks", make)


FULL = {
    "resnet18": ["model.name=resnet18", "model.norm=group", "train.batch_size=24", "train.epochs=25"],
    "fastresnet9": ["model.name=fastresnet9", "model.ghost_size=8", "train.batch_size=32", "train.drop_last=true",
                    "train.epochs=50"],
    "vgg_a": ["model.name=vgg_a", "data.val_fraction=0.25", "train.batch_size=12", "train.epochs=20",
              "optimizer.lr=0.01",
              "schedule.name=reduce_on_plateau", "schedule.patience=5", "schedule.threshold=0.5",
              "train.early_stop.patience=16", "train.early_stop.min_delta=10"],
}  # fmt: skip


@pytest.mark.slow
@pytest.mark.parametrize("double", [False, True], ids=["float32", "float64"])
@pytest.mark.parametrize("name", FULL)
def test_whole_networks_on_ranks_equal_one_process_over_fifty_steps(
    tmp_path: Path, image_folder: Path, name: str, double: bool
) -> None:
    """At the usual rates in float64. Float32's rounding stays below 1e-6 at low ones alone: see docs/lab-notes.md."""
    rates = [] if double else ["optimizer.lr=1e-5"]
    words = [*BASE, f"data.root={image_folder}", "data.image_size=32", "train.evaluate_every=100", *FULL[name], *rates]
    server.ready()
    train_all([Case(str(size), words, size, double=double) for size in (1, 2, 4)], tmp_path / "runs")
    folders = [tmp_path / "runs" / str(size) for size in (1, 2, 4)]
    found = [apart(folders[0], folder, statistics=double) for folder in folders[1:]]
    print(f"{name}: moved {moved(folders[0]):.1e}, apart {found[0]:.1e} on two and {found[1]:.1e} on four ranks")
    assert [rows_of(folder)[-1]["step"] >= 50 for folder in folders] == [True] * 3
    assert max(found) < min(1e-6, moved(folders[0]) / 100)


@pytest.mark.parametrize(("name", "size"), ON_RANKS)
def test_ranks_equal_one_process_with_the_same_batches(runs: Path, name: str, size: int) -> None:
    """Compute in float64: training makes a visible difference of float32's rounding within a few steps."""
    assert_equal_runs(runs / f"{name}-1", runs / f"{name}-{size}", size)


@pytest.mark.slow
@pytest.mark.parametrize("name", [name for name in NETS if (name, 4) not in ON_RANKS])
def test_four_ranks_do_so_with_every_network(tmp_path: Path, image_folder: Path, name: str) -> None:
    words = [*BASE, f"data.root={image_folder}", *NETS[name]]
    server.ready()
    train_all([Case(str(size), words, size, double=True) for size in (1, 4)], tmp_path)
    assert_equal_runs(tmp_path / "1", tmp_path / "4", 4)


def assert_equal_runs(alone: Path, shared: Path, size: int) -> None:
    assert moved(alone) > 1e-3
    assert apart(alone, shared) < 1e-10
    for row, same in zip(rows_of(alone), rows_of(shared), strict=True):
        assert row == pytest.approx(same, rel=1e-9)
    run = json.loads((shared / "run.json").read_text())
    assert (run["ranks"], run["status"]) == (size, "finished")


def test_the_plateau_was_cut_and_the_run_stopped_early(runs: Path) -> None:
    rows = rows_of(runs / "plateau-2")
    assert rows[-1]["optimizer/lr"] < rows[0]["optimizer/lr"]
    assert rows[-1]["epoch"] == 4


def test_batch_norm_of_each_rank_equals_ghost_norm_of_their_parts(runs: Path) -> None:
    assert moved(runs / "replicas-1") > 1e-3
    assert apart(runs / "replicas-1", runs / "replicas-2") < 1e-10


def test_two_ranks_have_the_bits_of_one_process_with_two_parts(runs: Path) -> None:
    assert moved(runs / "float-1") > 1e-3
    assert apart(runs / "float-1", runs / "float-2") == 0


def test_the_clock_of_rank_0_ends_all(runs: Path) -> None:
    summary = json.loads((runs / "timed" / "summary.json").read_text())
    assert (summary["status"], summary["step"]) == ("finished", 2)  # it says so after step 1, all know it after step 2


def test_ranks_that_drift_apart_end_the_run(runs: Path) -> None:
    assert json.loads((runs / "drifting" / "run.json").read_text())["status"] == "failed"


def test_every_rank_has_generators_of_its_own_in_the_checkpoint(runs: Path) -> None:
    states = load_checkpoint(runs / "unbroken" / "checkpoint.pt")["random"]
    assert len(states) == 2
    assert not torch.equal(states[0]["cpu"], states[1]["cpu"])


def _other_ranks(child: Child) -> list[int]:
    """Return the processes that a run has started as ranks, not the one that tracks its resources."""
    pids = _children(child._process.pid or 0)
    return [int(each) for each in pids if b"spawn_main" in Path(f"/proc/{each}/cmdline").read_bytes()]


def _children(pid: int) -> list[str]:
    try:
        return Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    except FileNotFoundError:
        return []  # it has ended


def _alive(pids: Sequence[int]) -> list[int]:
    def state(pid: int) -> str:
        try:
            return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
        except OSError:
            return "Z"

    return [pid for pid in pids if state(pid) != "Z"]


def _break(folder: Path, overrides: list[str], rank: int, number: int, *, rows: int) -> str:
    """Send a signal to a rank once the run has so many rows. Return the state in which all of it ends."""
    child = Child(folder, overrides, {})
    wait_for(lambda: (folder / "metrics.jsonl").exists() and len(rows_of(folder)) >= rows)
    others = _other_ranks(child)
    assert len(others) == 1
    os.kill([child._process.pid or 0, *others][rank], number)
    wait_for(child.poll)
    wait_for(lambda: not _alive(others))
    state, _, _ = child.poll() or ("", {}, "")
    return state


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_a_signal_to_one_rank_ends_all_and_the_resume_has_the_same_bits(
    runs: Path, tmp_path: Path, image_folder: Path
) -> None:
    server.ready()
    folder, overrides = tmp_path / "run", [*BASE, f"data.root={image_folder}", *BROKEN]
    assert _break(folder, overrides, rank=1, number=signal.SIGTERM, rows=2) == "interrupted"
    assert json.loads((folder / "run.json").read_text())["status"] == "interrupted"
    saved = load_checkpoint(folder / "checkpoint.pt")["counters"]["step"]
    assert saved == json.loads((folder / "summary.json").read_text())["step"]
    with pytest.raises(CheckpointError, match=r"train.devices: the run has 2, not 1: sums over other parts"):
        resume_run(folder, {"train": {"devices": 1}})
    child = Child(folder, [], {})
    wait_for(child.poll)
    assert (child.poll() or "")[0] == "finished"
    assert_same_end(folder, runs / "unbroken")


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_a_resumed_run_that_loses_a_rank_has_saved_its_progress(tmp_path: Path, image_folder: Path) -> None:
    server.ready()
    folder, overrides = tmp_path / "run", [*BASE, f"data.root={image_folder}", *BROKEN]
    assert _break(folder, overrides, rank=1, number=signal.SIGTERM, rows=2) == "interrupted"
    saved = load_checkpoint(folder / "checkpoint.pt")["counters"]["step"]
    assert _break(folder, [], rank=1, number=signal.SIGKILL, rows=len(rows_of(folder)) + 3) == "interrupted"
    assert json.loads((folder / "summary.json").read_text())["status"] == "interrupted"
    assert load_checkpoint(folder / "checkpoint.pt")["counters"]["step"] > saved


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_twenty_kills_of_a_rank_change_no_bit_and_leave_no_process(
    runs: Path, tmp_path: Path, image_folder: Path
) -> None:
    draw = random.Random(0)
    server.ready()
    kills, ended, found = 0, 0, Counter[str]()
    while kills < 20 or not ended:
        folder = tmp_path / f"broken{ended}"
        child = Child(folder, [*BASE, f"data.root={image_folder}", *BROKEN], {})
        others: list[int] = []
        while child.poll() is None and not others:
            others = _other_ranks(child)
        if kills < 20:
            time.sleep(draw.uniform(0, 6))  # from its start to its end
            if child.poll() is None:
                rank = draw.randrange(2)
                os.kill([child._process.pid or 0, *others][rank], signal.SIGKILL)
                kills += 1
                found[f"rank {rank}"] += 1
        wait_for(child.poll)
        wait_for(lambda others=others: not _alive(others))
        state, _, message = child.poll() or ("", {}, "")
        found[state] += 1
        if state != "interrupted":
            assert state == "finished", message
            assert_same_end(folder, runs / "unbroken")
            ended += 1
    print(dict(found))


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
@pytest.mark.parametrize("killed", ["rank", "torchrun"])
def test_a_run_under_torchrun_that_is_killed_ends_and_resumes_to_the_same_bits(
    runs: Path, tmp_path: Path, image_folder: Path, killed: str
) -> None:
    torchrun = [sys.executable, "-m", "torch.distributed.run", "--nproc-per-node", "2", "-m", "trainer", "train"]
    words = [*BASE, f"data.root={image_folder}", *BROKEN, "--runs", str(tmp_path), "--name", "run"]
    folder = tmp_path / "run"
    with subprocess.Popen([*torchrun, *words]) as process:
        wait_for(lambda: (folder / "metrics.jsonl").exists() and len(rows_of(folder)) >= 3)
        ranks = [int(each) for each in _children(process.pid)]
        os.kill(process.pid if killed == "torchrun" else ranks[1], signal.SIGKILL)
        assert process.wait(60) != 0
        wait_for(lambda: not _alive(ranks))
    assert json.loads((folder / "run.json").read_text())["status"] == "interrupted"
    again = subprocess.run([*torchrun, "--resume", str(folder)], capture_output=True, text=True, check=True)
    assert again.stdout.splitlines()[-1] == str(folder)
    assert again.stdout.count(str(folder)) == 1  # one rank prints
    assert_same_end(folder, runs / "unbroken")


def test_another_number_of_ranks_may_begin_what_has_made_no_step(tmp_path: Path, small_run: list[str]) -> None:
    unbroken = start_run(load_config(small_run).config, runs=tmp_path, name="unbroken").folder
    with broken_at(1, "killed"):
        start_run(load_config(small_run).config, runs=tmp_path, name="begun")
    folder = tmp_path / "begun"
    state = load_checkpoint(folder / "checkpoint.pt")
    assert state["counters"]["step"] == 0
    state["config"]["train"]["devices"] = 2
    save_checkpoint(folder / "checkpoint.pt", {**state, "random": [state["random"]] * 2})
    config = (folder / "config.yaml").read_text()
    (folder / "config.yaml").write_text(config.replace("devices: 1", "devices: 2"))
    assert resume_run(folder, {"train": {"devices": 1}}).status == "finished"
    assert_same_end(folder, unbroken)
    assert (folder / "config.yaml").read_text() == config


@pytest.mark.parametrize(
    ("words", "problem"),
    [
        (["train.devices=4", "probe.walk.every=5"], "train.devices: 4: probe.walk measures on one device only"),
        (["train.devices=4", "train.batch_size=3"], "train.batch_size: 3 images cannot be shared by 4 devices"),
        (["train.devices=2", "train.device=cuda:1"], "train.device: 'cuda:1' is one device, not 2"),
        (["train.devices=0"], "train.devices: 0"),
    ],
)
def test_what_cannot_be_shared_is_refused(words: list[str], problem: str) -> None:
    with pytest.raises(ConfigError) as caught:
        load_config(words)
    assert [line for line in caught.value.problems if line.startswith(problem)] == list(caught.value.problems)


@pytest.mark.parametrize(
    ("words", "problem"),
    [
        (["train.batch_size=15"], r"train.batch_size: one batch has 3 images, which 4 devices cannot share; set"),
        (["train.accumulate=3"], r"cannot share in 3 parts each \(train.accumulate\)"),
        (["model.name=fastresnet9", "model.sync_norm=true"], r"model.sync_norm: features.\S+ is a GhostBatchNorm"),
        (["model.name=handmade_cnn", "model.sync_norm=true"], r"model.sync_norm: \S+ is a HandmadeBatchNorm"),
        (["train.batch_size=4", "model.name=resnet9"], r"a single image, on which resnet9 cannot be trained"),
    ],
)  # fmt: skip
def test_parts_that_do_not_fit_four_ranks_are_refused(image_folder: Path, words: list[str], problem: str) -> None:
    config = load_config([*BASE, "train.batch_size=8", f"data.root={image_folder}", *words, "train.devices=4"]).config
    ranks = ranks_of(config.train)
    with pytest.raises(ConfigError, match=problem) as caught:
        build_parts(config, choose_compute(config.train, ranks), load_image_set(config.data, seed=0), ranks)
    assert len(caught.value.problems) == 1


def test_an_own_loss_over_several_images_is_refused(image_folder: Path, tmp_path: Path) -> None:
    own = tmp_path / "losses.py"
    own.write_text(
        "from torch.nn.functional import cross_entropy\n"
        "def plain(logits, targets):\n    return cross_entropy(logits, targets, reduction='none')\n"
        "def centred(logits, targets):\n    return plain(logits - logits.mean(0), targets)\n"
    )
    for name, works in (("plain", True), ("centred", False)):
        words = [*BASE, f"data.root={image_folder}", "model.name=lenet5", "data.image_size=32", "train.batch_size=8"]
        words += [f"loss.name={own}:{name}", "train.devices=2"]
        config = load_config(words, complete=complete_parts).config
        ranks, images = ranks_of(config.train), load_image_set(config.data, seed=0)
        refusal = pytest.raises(ConfigError, match=r"loss.name: \S+:centred: its loss of an image depends on the other")
        with nullcontext() if works else refusal:
            build_parts(config, choose_compute(config.train, ranks), images, ranks)


def test_more_ranks_than_gpus_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    config = Train(devices=4)
    with pytest.raises(ConfigError, match=r"train.devices: 4 ranks need as many GPUs, and torch \S+ sees 2 here"):
        choose_compute(config, ranks_of(config))


def test_other_commands_refuse_several_devices(small_run: list[str]) -> None:
    with pytest.raises(ConfigError, match=r"train.devices: 2: `trainer train` alone takes several"):
        measure_pace(load_config([*small_run, "train.devices=2"]).config)


TORCHRUN = {"RANK": "1", "WORLD_SIZE": "4", "LOCAL_RANK": "1", "LOCAL_WORLD_SIZE": "2", "MASTER_ADDR": "here"}


def test_a_place_is_read_from_the_environment_of_torchrun(monkeypatch: pytest.MonkeyPatch) -> None:
    assert launched(TORCHRUN) == Launched(rank=1, size=4, local_rank=1, local_size=2)
    assert launched({**TORCHRUN, "WORLD_SIZE": "1", "RANK": "0"}) is None
    assert launched({"RANK": "1", "WORLD_SIZE": "4"}) is None  # of another program
    for name, value in TORCHRUN.items():
        monkeypatch.setenv(name, value)
    assert ranks_of(Train(devices=4)).rank == 1
    with pytest.raises(ConfigError, match=r"train.devices: 2: torchrun has started 4 processes"):
        ranks_of(Train(devices=2))


def test_one_device_leaves_the_hash_of_a_config_as_it_was() -> None:
    """The hash of the defaults before there were these keys, at revision 888c995."""
    assert config_hash(load_config(["train.devices=1", "model.sync_norm=false"]).config) == "04c8f57d"
    hashes = {config_hash(load_config(words).config) for words in ([], ["train.devices=2"], ["model.sync_norm=true"])}
    assert len(hashes) == 3
