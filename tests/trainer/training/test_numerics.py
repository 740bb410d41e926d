"""Kernels and formats that a config asks for are chosen, and then those from before."""

import warnings
from typing import Any

import pytest
import torch
from torch import nn

from trainer.config import load_config
from trainer.config.train import Train
from trainer.errors import ConfigError
from trainer.training.numerics import numerics


def _chosen() -> dict[str, Any]:
    cudnn, strict = torch.backends.cudnn, torch.utils.deterministic
    return {
        "deterministic": cudnn.deterministic,
        "benchmark": cudnn.benchmark,
        "tf32": (cudnn.allow_tf32, torch.backends.cuda.matmul.allow_tf32),
        "mode": torch.get_deterministic_debug_mode(),
        "fills": strict.fill_uninitialized_memory,
    }


_USUAL = {"deterministic": True, "benchmark": False, "tf32": (False, False), "mode": 0, "fills": True}


@pytest.mark.parametrize(
    ("asked", "chosen"),
    [
        ({}, {}),
        ({"precision": "float32"}, {}),
        ({"precision": "tf32"}, {"tf32": (True, True)}),
        ({"cudnn_benchmark": True}, {"deterministic": False, "benchmark": True}),
        ({"deterministic": True}, {"mode": 1, "fills": False}),
    ],
)
def test_bits_repeat_and_float32_is_float32_unless_otherwise_is_asked(
    asked: dict[str, Any], chosen: dict[str, Any]
) -> None:
    before = _chosen()
    with numerics(Train(**asked)):
        assert _chosen() == _USUAL | chosen
    assert _chosen() == before


def test_what_contradicts_itself_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"^train: deterministic and cudnn_benchmark are both true"):
        load_config(["train.deterministic=true", "train.cudnn_benchmark=true"])


@pytest.mark.parametrize(
    ("pool", "told"),
    [
        (nn.MaxPool2d(2), False),
        (nn.MaxPool2d((2, 1), stride=(2, 1)), False),
        (nn.AdaptiveMaxPool2d(1), False),
        (nn.MaxPool2d(3, stride=2), True),
        (nn.MaxPool2d((1, 3), stride=(1, 2)), True),
    ],
)
def test_a_pool_is_warned_of_only_where_its_windows_overlap(pool: nn.Module, told: bool) -> None:
    warning = "adaptive_max_pool2d_backward_cuda does not have a deterministic implementation, but you set"
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        with numerics(Train(deterministic=True), nn.Sequential(pool)):
            warnings.warn(warning, UserWarning, stacklevel=1)
            warnings.warn("cumsum_cuda_kernel does not have a deterministic implementation", UserWarning, stacklevel=1)
    assert [str(each.message).split()[0] for each in caught] == [warning.split()[0]] * told + ["cumsum_cuda_kernel"]
