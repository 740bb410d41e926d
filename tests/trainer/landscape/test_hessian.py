"""Hessians of a trained run compared with the whole matrix, and after an interruption."""

import copy
import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.func import functional_call
from torch.nn import functional as F

from models.layers import HandmadeBatchNorm
from trainer.cli.main import main
from trainer.config import load_config
from trainer.errors import CheckpointError, ConfigError
from trainer.landscape.hessian import epochs_asked, measure_hessian
from trainer.landscape.mean_loss import MeanLoss, build_mean_loss
from trainer.landscape.network import MeasuredNetwork, load_network
from trainer.training.run import start_run
from trainer.training.trained import load_weights


@pytest.fixture
def network(trained_run: Path) -> MeasuredNetwork:
    return load_network(trained_run, split="train", images=20, seed=0)


@pytest.fixture(scope="session")
def vector_run(trained_overrides: list[str], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a run of one step whose norms see vectors, so that one image has no statistics. Do not write to it."""
    words = [word for word in trained_overrides if not word.startswith("model.")]
    words += ["model.name=handmade_mlp", "model.hidden=[2]", "train.max_steps=1"]
    return start_run(load_config(words).config, runs=tmp_path_factory.mktemp("runs"), name="vectors").folder


def measured(network: MeasuredNetwork, folder: Path, epochs: str = "last", **settings: Any) -> dict[str, Any]:
    asked = {
        "top": 3, "iterations": 12, "trace_samples": 4, "chunk": 10, "batch_statistics": False, "dtype": torch.float32,
    }  # fmt: skip
    found = measure_hessian(network, epochs_asked(network, epochs), **(asked | settings), folder=folder)
    return json.loads(found.read_text())


def whole_hessian(
    network: MeasuredNetwork, model: nn.Module, batches: list[tuple[Tensor, Tensor]]
) -> tuple[float, Tensor, Tensor]:
    """Return (loss, gradient [P], Hessian [P, P]) of the mean over batches in float64, by torch's own autograd."""
    net = copy.deepcopy(model).double()
    names, shapes = zip(*((name, p.shape) for name, p in net.named_parameters()), strict=True)

    def loss_at(flat: Tensor) -> Tensor:
        pieces = flat.split([shape.numel() for shape in shapes])
        weights = {name: piece.view(shape) for name, piece, shape in zip(names, pieces, shapes, strict=True)}
        losses = [
            F.cross_entropy(
                functional_call(copy.deepcopy(net), weights, network.normalize(x).double()), y, reduction="sum"
            )
            for x, y in batches
        ]
        return torch.stack(losses).sum() / len(network.split)

    flat = torch.cat([p.detach().flatten() for p in net.parameters()]).requires_grad_()
    loss = loss_at(flat)
    (gradient,) = torch.autograd.grad(loss, flat, create_graph=True)
    rows = [torch.autograd.grad(g, flat, retain_graph=True)[0] for g in gradient]
    return loss.item(), gradient.detach(), torch.stack(rows)


@pytest.mark.parametrize(("dtype", "batch_statistics"), [(torch.float32, False), (torch.float64, True)], ids=str)
def test_eigenvalues_and_trace_are_those_of_the_whole_hessian(
    network: MeasuredNetwork, tmp_path: Path, dtype: torch.dtype, batch_statistics: bool
) -> None:
    split, model = network.split, copy.deepcopy(network.model)
    for layer in model.modules():
        if batch_statistics and isinstance(layer, HandmadeBatchNorm):
            layer.train()
    batches = list(zip(split.images.split(10), split.labels.split(10), strict=True))
    loss, gradient, whole = whole_hessian(network, model, batches)
    found = measured(network, tmp_path, dtype=dtype, iterations=60, trace_samples=50, batch_statistics=batch_statistics)
    (row,) = found["rows"]
    assert (row["epoch"], row["parameters"]) == (3, 120)
    assert row["loss"] == pytest.approx(loss, rel=1e-5)
    assert row["gradient_norm"] == pytest.approx(gradient.norm().item(), rel=1e-4)
    eigenvalues = torch.linalg.eigvalsh(whole).flip(0)
    assert row["eigenvalues"] == pytest.approx(eigenvalues[:3].tolist(), rel=1e-4)
    assert row["smallest"] == pytest.approx(eigenvalues[-1].item(), rel=1e-4)
    assert max(row["residuals"]) < 1e-4 * row["eigenvalues"][0]
    assert abs(row["trace"] - whole.trace().item()) < 3 * row["trace_error"]


def test_a_chunk_of_more_than_all_images_is_all_however_large(network: MeasuredNetwork) -> None:
    """Before: 10^400 was a traceback."""
    assert len(build_mean_loss(network, chunk=10**400, batch_statistics=False, dtype=torch.float32).parts) == 1


def test_a_chunk_is_memory_alone_but_a_batch_where_norms_use_its_statistics(
    network: MeasuredNetwork, tmp_path: Path
) -> None:
    def loss(chunk: int, batch_statistics: bool) -> float:
        row = measured(network, tmp_path, chunk=chunk, batch_statistics=batch_statistics, iterations=3)["rows"][0]
        return row["loss"]

    assert loss(7, False) == pytest.approx(loss(20, False), rel=1e-6)
    assert loss(2, True) != pytest.approx(loss(20, True), rel=1e-3)


@pytest.mark.parametrize("batch_statistics", [False, True])
def test_a_hessian_leaves_weights_statistics_and_generators_as_they_were(
    network: MeasuredNetwork, tmp_path: Path, batch_statistics: bool
) -> None:
    before, generator = copy.deepcopy(network.model.state_dict()), torch.get_rng_state()
    measured(network, tmp_path, "all", batch_statistics=batch_statistics, iterations=3)
    torch.testing.assert_close(network.model.state_dict(), before, rtol=0, atol=0)
    assert torch.equal(torch.get_rng_state(), generator)
    assert not any(module.training for module in network.model.modules())


def interrupt_after(products: int, patch: pytest.MonkeyPatch) -> Callable[[], int]:
    """Raise KeyboardInterrupt instead of a product. Return a function that returns how many were made."""
    made = 0
    multiply = MeanLoss.hessian_product

    def hessian_product(mean_loss: MeanLoss, vector: Tensor) -> Tensor:
        nonlocal made
        if made == products:
            raise KeyboardInterrupt
        made += 1
        return multiply(mean_loss, vector)

    patch.setattr(MeanLoss, "hessian_product", hessian_product)
    return lambda: made


@pytest.mark.parametrize("products", [0, 5, 14, 21])
def test_a_resumed_measurement_is_bit_identical_and_makes_no_product_twice(
    network: MeasuredNetwork, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, products: int
) -> None:
    measured(network, tmp_path / "unbroken", "1,3")
    with monkeypatch.context() as patch:
        interrupt_after(products, patch)
        with pytest.raises(KeyboardInterrupt):
            measured(network, tmp_path / "broken", "1,3")
    for path in (tmp_path / "broken").glob("*.basis"):
        with path.open("ab") as file:
            file.write(b"a record cut short")
    with monkeypatch.context() as patch:
        made = interrupt_after(1000, patch)
        measured(network, tmp_path / "broken", "1,3")
    assert made() == 2 * (12 + 4) - products
    unbroken, broken = (
        {path.name: path.read_bytes() for path in (tmp_path / name).iterdir()} for name in ("unbroken", "broken")
    )
    assert broken == unbroken
    assert len(unbroken) == 1  # no unfinished file is left


def test_epochs_measured_later_join_those_in_the_file(
    network: MeasuredNetwork, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = measured(network, tmp_path, "2")
    with monkeypatch.context() as patch:
        made = interrupt_after(1000, patch)
        both = measured(network, tmp_path, "0,2")
        assert made() == 12 + 4
        assert measured(network, tmp_path, "last") == measured(network, tmp_path, "3")
        assert made() == 2 * (12 + 4)
    assert both["rows"][1:] == first["rows"]
    assert [row["epoch"] for row in measured(network, tmp_path, "all")["rows"]] == [0, 1, 2, 3]


def test_each_epoch_is_measured_at_its_own_weights(network: MeasuredNetwork, tmp_path: Path) -> None:
    rows = measured(network, tmp_path, "all", iterations=3, trace_samples=0)["rows"]
    for row in rows:
        mean_loss = build_mean_loss(network, chunk=20, batch_statistics=False, dtype=torch.float32)
        load_weights(mean_loss.model, epochs_asked(network, f"{row['epoch']:g}")[row["epoch"]])
        assert row["loss"] == pytest.approx(mean_loss.loss_and_gradient_norm()[0], rel=1e-6)
        assert (row["trace"], row["trace_error"]) == (None, None)
    assert len({row["loss"] for row in rows}) == 4


def test_attention_has_a_hessian_too() -> None:
    torch.manual_seed(0)
    net = nn.TransformerEncoderLayer(4, 2, 8, dropout=0.0, batch_first=True).double()
    x = torch.randn(3, 5, 4, dtype=torch.float64)
    mean_loss = MeanLoss(net, list(net.parameters()), [lambda: net(x).pow(3).sum()])
    u, v = torch.randn(2, mean_loss.size, dtype=torch.float64)
    torch.testing.assert_close(u @ mean_loss.hessian_product(v), v @ mean_loss.hessian_product(u))


@pytest.mark.parametrize(
    ("epochs", "settings", "said"),
    [
        ("0,7,1.5", {}, ["--epochs: 1.5 is not kept by", "--epochs: 7 is not kept by"]),
        ("first", {}, ["--epochs: 'first': give epochs such as 0,5,20, or all, or last"]),
        ("last", {"top": 13}, ["--top: 13 eigenvalues need as many iterations; take --iterations 13 or more"]),
    ],
)
def test_each_impossible_setting_is_one_line(
    network: MeasuredNetwork, tmp_path: Path, epochs: str, settings: dict[str, Any], said: list[str]
) -> None:
    with pytest.raises(ConfigError) as caught:
        measured(network, tmp_path / "out", epochs, **settings)
    assert len(caught.value.problems) == len(said)
    assert all(problem.startswith(line) for problem, line in zip(caught.value.problems, said, strict=True))
    assert not (tmp_path / "out").exists()


def test_a_run_that_kept_no_epochs_has_only_its_last(small_run: list[str], tmp_path: Path) -> None:
    folder = start_run(load_config([*small_run, "train.max_steps=2"]).config, runs=tmp_path).folder
    network = load_network(folder, split="train", images=8, seed=0)
    with pytest.raises(CheckpointError, match="the run kept no weights during training; train with"):
        epochs_asked(network, "all")
    assert epochs_asked(network, "last") == {2 / 6: folder}


def test_an_end_within_an_epoch_has_one_name(trained_overrides: list[str], tmp_path: Path) -> None:
    """Before: `last` was 4/3, and `all` had 1.33333 of the same weights, by the name of its file."""
    folder = start_run(load_config([*trained_overrides, "train.epochs=1.3"]).config, runs=tmp_path).folder
    network = load_network(folder, split="train", images=8, seed=0)
    few: dict[str, Any] = {"top": 1, "iterations": 1, "trace_samples": 0}
    for epochs in ("last", "1.33333", "all"):
        rows = measured(network, tmp_path / "out", epochs, **few)["rows"]
        assert [row["epoch"] for row in rows] == ([0, 1, 4 / 3] if epochs == "all" else [4 / 3])
    (folder / "path" / "1.3333333333333333.pt").rename(folder / "path" / "1.33333.pt")  # as older versions called it
    assert list(epochs_asked(network, "all")) == [0, 1, 4 / 3]


@pytest.mark.parametrize(
    ("images", "chunk", "said"),
    [
        (3, 1, "--chunk: 1: --batch-statistics has a batch of a single image, on which handmade_mlp cannot be trained"),
        (3, 2, "--chunk: 2: --batch-statistics has"),
        (1, 250, "--images: 1: --batch-statistics has"),
        (2, 2, None),
        (4, 3, None),
    ],
    ids=["1 1 1", "2 1", "1", "2", "2 2"],
)
def test_a_chunk_of_one_image_without_statistics_is_one_line(
    vector_run: Path, tmp_path: Path, images: int, chunk: int, said: str | None
) -> None:
    network = load_network(vector_run, split="train", images=images, seed=0)
    few: dict[str, Any] = {"top": 1, "iterations": 1, "trace_samples": 0, "chunk": chunk}
    assert measured(network, tmp_path / "evaluated", **few)["rows"]
    if said is None:
        assert measured(network, tmp_path / "out", batch_statistics=True, **few)["rows"]
        return
    with pytest.raises(ConfigError) as caught:
        measured(network, tmp_path / "out", batch_statistics=True, **few)
    (line,) = caught.value.problems
    assert line.startswith(said)
    assert line.endswith("; take --images 2 or more" if images == 1 else "; take --chunk 3 or more")
    assert not (tmp_path / "out").exists()


def test_the_command_prints_a_line_an_epoch_and_the_file_last(
    trained_run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    flags = ["--epochs", "0,3", "--iterations", "8", "--out", str(tmp_path)]
    monkeypatch.setattr(sys, "argv", ["trainer", "landscape", "hessian", str(trained_run), *flags])
    with pytest.raises(SystemExit) as ended:
        main()
    assert not ended.value.code
    out = capsys.readouterr().out.splitlines()
    assert [line.split()[:2] for line in out[:2]] == [["epoch", "0"], ["epoch", "3"]]
    assert [row["epoch"] for row in json.loads(Path(out[2]).read_text())["rows"]] == [0, 3]
