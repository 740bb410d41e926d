"""Every network trains on the device in the precision of `auto`. A warning is an error, as in all tests."""

import pytest
from on_device import ON_CPU, assert_finite, trained

from models import model_names

pytestmark = pytest.mark.gpu

_OF_A_MOMENT = ["lenet5", "resnet20", "airbench94"]  # on a CPU


@pytest.mark.parametrize("name", _OF_A_MOMENT if ON_CPU else model_names())
def test_two_steps_of_a_network_are_finite(name: str, device_run: list[str]) -> None:
    size = 8 if ON_CPU else 64
    loop = trained([*device_run, f"model.name={name}", "train.max_steps=2", f"train.batch_size={size}"])
    assert loop.counters.step == 2
    assert_finite(loop)
