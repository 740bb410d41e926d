"""Runs of a network that is wide enough for faster convolutions: the same bits in two processes, and after a resume."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from pretend import server
from run_ends import assert_same_end, broken_at

from trainer.config import load_config
from trainer.sweep.child import CONTEXT
from trainer.training import matrix_convolution, winograd
from trainer.training.run import resume_run, start_run

WIDE = ["model.width=64", "train.epochs=1"]
METHODS = {"bfloat16": matrix_convolution, "float32": winograd}  # by number format


def _as_with_amx(patch: Callable[[Any, str, Any], None]) -> None:
    patch(torch.cpu, "_is_amx_tile_supported", lambda: True)
    patch(winograd, "_FEWEST_TILES", 1)


def _unbroken(words: list[str], runs: Path) -> None:
    torch.set_num_threads(1)
    _as_with_amx(setattr)
    start_run(load_config(words).config, runs=runs, name="unbroken")


@pytest.mark.parametrize("precision", METHODS)
def test_a_broken_run_with_faster_convolutions_ends_as_the_unbroken_one_of_another_process(
    tmp_path: Path, small_run: list[str], monkeypatch: pytest.MonkeyPatch, precision: str
) -> None:
    words = [*small_run, *WIDE, f"train.precision={precision}"]
    method = METHODS[precision]
    convolve, seen = method.convolve, set[tuple[int, ...]]()

    def noted(images: torch.Tensor, weight: torch.Tensor, **places: int) -> torch.Tensor:
        seen.add(tuple(images.shape[1:]))
        return convolve(images, weight, **places)

    server.ready()
    other = CONTEXT.Process(target=_unbroken, args=(words, tmp_path))
    other.start()
    other.join()
    assert other.exitcode == 0
    monkeypatch.setattr(method, "convolve", noted)
    _as_with_amx(monkeypatch.setattr)
    with broken_at(3):
        start_run(load_config(words).config, runs=tmp_path, name="broken")
    assert resume_run(tmp_path / "broken").status == "finished"
    assert (128, 4, 4) in seen
    assert_same_end(tmp_path / "broken", tmp_path / "unbroken")
