"""Kernels and formats that a config asks for are chosen, and then those from before."""

import warnings
from typing import Any

import pytest
import torch
from torch import nn

from trainer.config import load_config
from trainer.config.optimizer import Sgd
from trainer.config.schedule import Constant
from trainer.config.train import Train
from trainer.data.steps import Steps as StepsOf
from trainer.errors import ConfigError, UserError
from trainer.training.numerics import numerics
from trainer.training.optimizers import build_optimizer
from trainer.training.schedules import RateSchedule


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


def test_torchs_new_settings_of_tf32_are_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    """An own network's file may make them, since torch's messages advise it. torch does not mix them with the old."""

    class Mixed:
        deterministic = benchmark = False

        @property
        def allow_tf32(self) -> bool:
            raise RuntimeError("PyTorch is checking whether allow_tf32 is enabled ... mix of the legacy and new APIs")

    monkeypatch.setattr(torch.backends, "cudnn", Mixed())
    with pytest.raises(UserError, match=r"^train.precision: .*fp32_precision.*remove it"), numerics(Train()):
        pass


def test_a_rate_on_the_device_keeps_its_digits() -> None:
    """As float32 a rate of 0.1 is 0.10000000149011612, which rows would show."""
    network = nn.Linear(2, 2)
    optimizer = build_optimizer(network, Sgd(lr=0.1), fused=True)
    schedule = RateSchedule(Constant(), optimizer, epochs=1, steps=StepsOf(10, 5))
    schedule.set_rate(0)
    assert isinstance(optimizer.param_groups[0]["lr"], torch.Tensor)
    assert schedule.rates[0] == 0.1
