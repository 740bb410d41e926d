"""Steps, epochs, sweeps and peers: what the numbers are of. Their size is never tested."""

import subprocess
import sys
from collections.abc import Iterable
from contextlib import nullcontext
from pathlib import Path
from types import SimpleNamespace
from typing import Any, Literal

import pytest
import torch
from command_line import run_here
from torch import nn

from trainer.bench import devices, peer, peers, rounds, step, sweep
from trainer.bench.devices import bench_devices
from trainer.bench.epoch import bench_epoch
from trainer.bench.peers import bench_peers
from trainer.bench.profile import PARTS, kernels, profile
from trainer.bench.rounds import as_text
from trainer.bench.step import BareStep, bench_step
from trainer.bench.sweep import bench_sweep
from trainer.cli import bench as bench_commands
from trainer.config import RunConfig, load_config
from trainer.config.train import Train
from trainer.errors import UserError
from trainer.training.device import Compute, choose_compute

TINY = ["train.batch_size=4", "train.device=cpu", "sink.wandb.mode=disabled"]


@pytest.fixture(autouse=True)
def _few_products(monkeypatch: pytest.MonkeyPatch) -> None:
    """Take one product of matrices a turn, in place of twenty."""
    monkeypatch.setattr(step, "_PRODUCTS", 1)


def test_a_step_is_measured_beside_products_and_its_shares_add_up() -> None:
    configs = [load_config([f"model.name={name}", *TINY]).config for name in ("lenet5", "residual_cnn")]
    found = bench_step(configs, rounds=2, steps=1)
    assert [*found["measured"]] == ["lenet5", "residual_cnn", "product of matrices"]
    for name in ("lenet5", "residual_cnn"):
        row = found["measured"][name]
        assert sum(row[f"{part} %"]["median"] for part in PARTS) == pytest.approx(100)
        macs = BareStep(load_config([f"model.name={name}", *TINY]).config).macs
        assert row["GFLOP/s"]["max"] == pytest.approx(6e-9 * macs * row["images/s"]["max"])
        assert row["batch"]["median"] == 4
    assert "lenet5" in as_text(found)


@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
def test_a_profile_finds_each_part_and_changes_no_number(precision: Literal["float32", "bfloat16"]) -> None:
    """64 channels and 4x4 pixels: with bfloat16 and AMX, the second convolution is a matrix product."""
    compute = choose_compute(Train(device="cpu", precision=precision))
    images = torch.randn(4, 64, 4, 4, generator=torch.Generator().manual_seed(0))
    weights: list[torch.Tensor] = []
    for profiled in (False, True):
        torch.manual_seed(0)
        convolutions = nn.Conv2d(64, 64, 3, padding=1), nn.Conv2d(64, 64, 3, padding=1)
        net = compute.place(nn.Sequential(convolutions[0], nn.BatchNorm2d(64), nn.ReLU(), convolutions[1]))
        optimizer = torch.optim.SGD(net.parameters(), lr=0.1)

        def step(net: nn.Module = net, optimizer: torch.optim.Optimizer = optimizer) -> None:
            optimizer.zero_grad()
            with compute.autocast():
                loss = net(images).float().square().sum()
            loss.backward()
            optimizer.step()

        if profiled:
            shares = profile(step, optimizer, compute)
            assert set(shares) == set(PARTS)
            assert min(shares.values()) > 0 and sum(shares.values()) == pytest.approx(1)
        else:
            step()
            step()
        weights.append(torch.cat([p.detach().flatten() for p in net.parameters()]))
    assert torch.equal(*weights)


def test_an_epoch_is_measured_with_all_that_a_run_does() -> None:
    words = ["model.name=lenet5", "data.name=shapes10", "data.train_size=32"]
    config = load_config([*words, *TINY]).config
    found = bench_epoch(config, rounds=2)
    assert [*found["measured"]] == ["whole epoch", "training", "bare step"]
    assert found["settings"]["images"] == 32
    whole, alone = (found["measured"][name]["images/s"] for name in ("whole epoch", "training"))
    assert whole["median"] < alone["median"]


def test_an_epoch_has_the_images_that_it_trains_on() -> None:
    """Before: as many as whole batches have, so that a short last one made the epoch look faster."""
    words = ["model.name=lenet5", "data.name=shapes10", "data.train_size=30"]
    for more, images in ([], 30), (["train.drop_last=true"], 28):
        config = load_config([*words, *TINY, *more]).config
        assert bench_epoch(config, rounds=1)["settings"]["images"] == images


def test_a_product_beside_a_step_is_in_its_format(monkeypatch: pytest.MonkeyPatch) -> None:
    """Before: of a step in TF32 it was in float32, as if its matrix products were slower."""
    formats: list[bool] = []
    monkeypatch.setattr(step, "choose_compute", lambda _: choose_compute(Train(device="cpu")))
    monkeypatch.setattr(
        step, "products_per_second", lambda _: formats.append(bool(torch.backends.cuda.matmul.allow_tf32)) or 1.0
    )
    bench_step([load_config(["model.name=lenet5", *TINY, "train.precision=tf32"]).config], rounds=1, steps=1)
    assert {*formats} == {True} and not torch.backends.cuda.matmul.allow_tf32


def test_only_epochs_that_were_whole_are_measured_and_counted() -> None:
    """32 images are 8 steps. The run of four epochs ends in the middle of its third one."""
    words = ["model.name=lenet5", "data.name=shapes10", "data.train_size=32", "train.max_steps=20"]
    assert bench_epoch(load_config([*words, *TINY]).config, rounds=3)["rounds"] == 1
    with pytest.raises(UserError, match="bench epoch: the run finished within two epochs; nothing is measured"):
        bench_epoch(load_config([*words, *TINY, "train.max_steps=12"]).config, rounds=3)


def test_the_gain_is_the_speed_at_once_by_that_in_turn(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[tuple[int, int]] = []

    def rate(_: object, count: int, jobs: int) -> float:
        asked.append((count, jobs))
        return 10.0 + jobs

    monkeypatch.setattr(sweep, "_points_per_minute", rate)
    found = bench_sweep([], load_config(TINY).config, at_once=[2, 4], rounds=1)["measured"]
    assert set(asked) == {(2, 1), (2, 2), (4, 1), (4, 4)}
    assert found["4 points at once"]["gain, ratio"]["median"] == pytest.approx(14 / 11)


@pytest.mark.slow
def test_points_in_turn_and_at_once_are_run() -> None:
    words = ["model.name=lenet5", "data.name=shapes10", "data.train_size=64", "train.max_steps=2", *TINY]
    found = bench_sweep(words, load_config(words).config, at_once=[2], rounds=1)
    assert [*found["measured"]] == ["2 points in turn", "2 points at once"]
    assert found["measured"]["2 points at once"]["gain, ratio"]["median"] > 0


@pytest.mark.parametrize(
    ("code", "said", "error", "line"),
    [
        (2, "warning: no\nerror: seed: bench.yaml varies it\n", UserError, "^seed: bench.yaml varies it$"),
        (1, "out of memory\n", RuntimeError, "ended with exit code 1: out of memory"),
    ],
    ids=["refused", "failed"],
)
def test_a_sweep_that_fails_is_not_measured_and_one_that_is_refused_is_one_line(
    code: int, said: str, error: type[Exception], line: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    ended = subprocess.CompletedProcess([], code, "", said)
    monkeypatch.setattr(rounds.subprocess, "run", lambda *_, **__: ended)
    with pytest.raises(error, match=line):
        bench_sweep([], load_config(TINY).config, rounds=1)


def test_a_run_on_devices_of_one_epoch_is_not_measured(monkeypatch: pytest.MonkeyPatch) -> None:
    """Before: a traceback, as the first epoch is not counted."""

    def train(words: list[str], **_: object) -> "subprocess.CompletedProcess[str]":
        folder = Path(words[words.index("--runs") + 1]) / "a"
        folder.mkdir()
        (folder / "metrics.jsonl").write_text('{"epoch": 1, "time/images_per_second": 9}\n')
        return subprocess.CompletedProcess(words, 0, "", "")

    monkeypatch.setattr(rounds.subprocess, "run", train)
    with pytest.raises(UserError, match="bench devices: the run finished within its first epoch; nothing is measured"):
        bench_devices(["train.max_steps=1"], load_config(TINY).config, rounds=1)


def test_the_gain_and_efficiency_of_devices_are_over_one_device(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[tuple[int, int]] = []

    def rate(_: object, count: int, batch: int) -> float:
        asked.append((count, batch))
        return {1: 10.0, 2: 15.0, 4: 20.0}[count]

    monkeypatch.setattr(devices, "_images_per_second", rate)
    found = bench_devices([], load_config(TINY).config, counts=[4, 2], rounds=1)["measured"]
    assert set(asked) == {(1, 4), (2, 4), (2, 8), (4, 4), (4, 16)}
    assert found["2 devices, strong"]["gain, ratio"]["median"] == pytest.approx(1.5)
    assert found["4 devices, weak"]["efficiency %"]["median"] == pytest.approx(50)


@pytest.mark.slow
def test_one_and_two_devices_train() -> None:
    words = ["model.name=lenet5", "data.name=shapes10", "data.train_size=64", *TINY]
    found = bench_devices(words, load_config(words).config, counts=[2], rounds=1)
    assert [*found["measured"]] == ["1 device", "2 devices, strong", "2 devices, weak"]
    assert min(row["images/s"]["min"] for row in found["measured"].values()) > 0
    with pytest.raises(UserError, match="4 images cannot be shared by 65 devices"):
        bench_devices(words, load_config(words).config, counts=[65], rounds=1)


STAND_IN = """
import torch
import torch.optim as optim
import torchvision.transforms as transforms
from utils import progress_bar  # a module that cannot be imported here

transform_train = transforms.Compose([transforms.ToTensor()])
trainloader = torch.utils.data.DataLoader(trainset, batch_size=32, shuffle=True, num_workers=0)
criterion = torch.nn.CrossEntropyLoss()
optimizer = optim.SGD(net.parameters(), lr=args.lr)

def train(epoch):
    for inputs, targets in trainloader:
        optimizer.zero_grad()
        criterion(net(inputs), targets).backward()
        optimizer.step()
        progress_bar(0, 1, "")

raise SystemExit("not to be reached")
"""


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """A stand-in of kuangliu/pytorch-cifar in its shape: a network of one layer."""
    (tmp_path / "models").mkdir()
    (tmp_path / "main.py").write_text(STAND_IN)
    layers = "nn.Sequential(nn.Flatten(), nn.Linear(3072, 10))"
    (tmp_path / "models" / "resnet.py").write_text(f"from torch import nn\ndef ResNet18(): return {layers}\n")
    return tmp_path


@pytest.mark.slow
def test_a_peer_trains_in_its_own_process_beside_ours(checkout: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(peers.OURS, "pytorch-cifar", "ours lenet5")
    found = bench_peers({"pytorch-cifar": checkout}, rounds=1, images=128)
    theirs, ours = found["measured"]["pytorch-cifar"], found["measured"]["ours lenet5"]
    assert ours["ours / theirs, ratio"]["median"] == pytest.approx(
        ours["images/s"]["median"] / theirs["images/s"]["median"]
    )
    assert found["settings"]["pytorch-cifar"].startswith("ResNet18, batch 32, float32")


def test_a_checkout_whose_code_fails_is_one_line(
    checkout: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    """Run the side's code here, then let a process say the same: an import of torch less."""
    (checkout / "models" / "resnet.py").write_text("import no_such_module")
    with monkeypatch.context() as patched:
        patched.setattr(sys, "path", [*sys.path])
        peer.main("pytorch-cifar", str(checkout), "128")
    side = tmp_path / "side"
    side.write_text(f"#!/bin/sh\ncat <<'END'\n{capfd.readouterr().out}END\n")
    side.chmod(0o755)
    monkeypatch.setattr(peers.sys, "executable", str(side))
    with pytest.raises(UserError, match="pytorch-cifar: ModuleNotFoundError: No module named 'no_such_module'"):
        bench_peers({"pytorch-cifar": checkout}, rounds=1, images=128)


def test_a_wrong_path_is_refused_in_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run_here(["bench", "peers", "--pytorch-cifar", str(tmp_path)]) == 2
    assert capsys.readouterr().err == f"error: --pytorch-cifar {tmp_path}: no main.py in it\n"
    assert run_here(["bench", "peers"]) == 2
    assert capsys.readouterr().err.startswith("error: bench peers: nothing to compare with; give a checkout: --pytorch")


@pytest.mark.parametrize(
    ("words", "measured"),
    [
        (["--recipe", "cpu94"], ["airbench94"]),
        (["recipe=cpu94"], ["airbench94"]),
        (["model.name=alexnet"], ["alexnet"]),
        (["--model", "lenet5", "--model", "vgg_a"], ["lenet5", "vgg_a"]),
        (["optimizer.lr=0.2"], list(bench_commands._NETWORKS)),
    ],
)
def test_the_networks_are_those_asked_for_or_the_recipes(
    words: list[str], measured: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Before, a recipe was tried on each network of the table, of which most cannot take it."""
    seen: list[str] = []

    def note(configs: Iterable[RunConfig], *, rounds: int) -> dict[str, Any]:
        seen.extend(config.model.name for config in configs)
        return {"bench": "step", "measured": {}, "rounds": rounds, "settings": {}, "machine": {}}

    monkeypatch.setattr(step, "bench_step", note)
    assert run_here(["bench", "step", *words, "--json"]) == 0
    assert seen == measured


def test_the_command_prints_a_table_or_json(capsys: pytest.CaptureFixture[str]) -> None:
    words = ["bench", "step", "--model", "lenet5", *TINY, "--rounds", "1"]
    assert run_here(words) == 0
    assert "conv weights %" in capsys.readouterr().out
    assert run_here([*words, "--json"]) == 0
    assert capsys.readouterr().out.startswith('{"bench": "step"')


def test_kernels_are_those_of_one_step_on_the_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    """A stand-in for the events of torch's profiler on a machine with a GPU."""
    steps: list[int] = []

    def event(device: str, microseconds: float) -> SimpleNamespace:
        time_range = SimpleNamespace(elapsed_us=lambda: microseconds)
        return SimpleNamespace(device_type=SimpleNamespace(name=device), time_range=time_range)

    class Trace(nullcontext[Any]):
        def __init__(self, **_: object) -> None:
            super().__init__(self)

        def events(self) -> list[SimpleNamespace]:
            return [event("CPU", 900), event("CUDA", 1500), event("CUDA", 500)]

    monkeypatch.setattr(torch.profiler, "profile", Trace)
    monkeypatch.setattr(Compute, "synchronize", lambda _: None)
    found = kernels(lambda: steps.append(1), Compute(torch.device("cuda"), torch.float32, True))
    assert found == {"kernels": 2, "kernel ms": 2.0}
    assert len(steps) == 2  # one before it
    assert kernels(lambda: steps.append(1), Compute(torch.device("cpu"), torch.float32, True)) == {}
