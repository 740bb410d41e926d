"""Runs of a network that is wide enough for matrix products: the same bits in two processes, and after a resume."""

from pathlib import Path

import pytest
import torch
from pretend import server
from run_ends import assert_same_end, broken_at

from trainer.config import load_config
from trainer.sweep.child import CONTEXT
from trainer.training import matrix_convolution
from trainer.training.run import resume_run, start_run

WIDE = ["model.width=64", "train.precision=bfloat16", "train.epochs=1"]


def _unbroken(words: list[str], runs: Path) -> None:
    torch.set_num_threads(1)
    torch.cpu._is_amx_tile_supported = lambda: True
    start_run(load_config(words).config, runs=runs, name="unbroken")


@pytest.fixture
def products(monkeypatch: pytest.MonkeyPatch) -> list[torch.Size]:
    """Shapes of the images that are convolved by products, on any machine."""
    seen: list[torch.Size] = []
    plain = matrix_convolution.convolve

    def noted(images: torch.Tensor, weight: torch.Tensor, **places: int) -> torch.Tensor:
        seen.append(images.shape)
        return plain(images, weight, **places)

    monkeypatch.setattr(matrix_convolution, "convolve", noted)
    monkeypatch.setattr(torch.cpu, "_is_amx_tile_supported", lambda: True)
    return seen


def test_a_broken_run_with_products_ends_as_the_unbroken_one_of_another_process(
    tmp_path: Path, small_run: list[str], products: list[torch.Size]
) -> None:
    words = [*small_run, *WIDE]
    server.ready()
    other = CONTEXT.Process(target=_unbroken, args=(words, tmp_path))
    other.start()
    other.join()
    assert other.exitcode == 0
    assert not products
    with broken_at(3):
        start_run(load_config(words).config, runs=tmp_path, name="broken")
    assert resume_run(tmp_path / "broken").status == "finished"
    assert {tuple(shape[1:]) for shape in products} >= {(128, 4, 4)}
    assert_same_end(tmp_path / "broken", tmp_path / "unbroken")
