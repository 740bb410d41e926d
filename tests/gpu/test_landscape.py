"""Loss surfaces and Hessians on the device are the CPU's."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from on_device import config_of

from trainer.landscape.hessian import epochs_asked, measure_hessian
from trainer.landscape.network import MeasuredNetwork, load_network
from trainer.landscape.surface import measure_surface
from trainer.training.run import start_run

pytestmark = pytest.mark.gpu

Measure = Callable[[MeasuredNetwork, Path], Path]


@pytest.fixture(scope="module")
def run(few_images: list[str], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run on a CPU of a network with convolutions, norms and dropout, whose path has three points."""
    words = [*few_images, "model.name=handmade_cnn", "model.channels=[4,4]", "train.device=cpu", "train.epochs=2",
             "train.precision=float32", "train.batch_size=64", "probe.path.every_epochs=1"]  # fmt: skip
    return start_run(config_of(words), runs=tmp_path_factory.mktemp("runs"), name="run").folder


@pytest.fixture
def both(run: Path, device: str, tmp_path: Path) -> Callable[[Measure], list[dict[str, Any]]]:
    """Return a function that measures on the device and on a CPU, which sums in another order. It returns results."""

    def measured(measure: Measure) -> list[dict[str, Any]]:
        places: dict[str, dict[str, object]] = {
            "here": {"train.device": device},
            "there": {"train.device": "cpu", "train.channels_last": False},
        }
        return [
            json.loads(measure(load_network(run, more, split="train", images=100, seed=0), tmp_path / name).read_text())
            for name, more in places.items()
        ]

    return measured


@pytest.mark.parametrize("plane", ["random", "path"])
def test_a_surface_is_the_cpu_s(both: Callable[[Measure], list[dict[str, Any]]], plane: Any) -> None:
    here, there = both(
        lambda network, folder: measure_surface(network, plane=plane, dims=2, points=3, reach=0.5, folder=folder)
    )
    for found, expected in zip(here["rows"], there["rows"], strict=True):
        assert found == pytest.approx(expected, rel=1e-3, abs=1e-6)


@pytest.mark.parametrize("batch_statistics", [False, True])
def test_a_hessian_is_the_cpu_s(both: Callable[[Measure], list[dict[str, Any]]], batch_statistics: bool) -> None:
    here, there = both(
        lambda network, folder: measure_hessian(
            network, epochs_asked(network, "1,2"), top=2, iterations=10, trace_samples=3, chunk=50,
            batch_statistics=batch_statistics, dtype=torch.float32, folder=folder,
        )
    )  # fmt: skip
    assert [row["epoch"] for row in here["rows"]] == [1, 2]
    for found, expected in zip(here["rows"], there["rows"], strict=True):
        largest = expected["eigenvalues"][0]
        for key in ("loss", "gradient_norm", "eigenvalues", "smallest", "trace"):
            assert found[key] == pytest.approx(expected[key], rel=1e-3, abs=1e-3 * largest), key
