"""Statistics of layer outputs that are known without training."""

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from trainer.config.probe import Features
from trainer.probes.due import steps_of
from trainer.probes.features import FeaturesProbe, featured_layers
from trainer.protocols import View


def measure(net: nn.Module, images: Tensor, *, probe: FeaturesProbe | None = None) -> dict[str, Any]:
    probe = probe or probe_of(net)
    nothing: Callable[..., Any] = lambda: ()  # noqa: E731
    view = View(0, 0.0, 0.1, net, images, torch.zeros(1), torch.zeros(()), (), nothing, nothing, nothing)
    return {key: float(value) for key, value in probe.measure(view).items()}


def probe_of(net: nn.Module) -> FeaturesProbe:
    return FeaturesProbe(steps_of(Features(every=1), 9), featured_layers(net, []), torch.device("cpu"))


def scaling(*factors: float) -> nn.Sequential:
    """Return a linear layer that multiplies its one input by each factor."""
    layer = nn.Linear(1, len(factors))
    with torch.no_grad():
        layer.weight.copy_(torch.tensor(factors)[:, None])
        layer.bias.zero_()
    return nn.Sequential(layer)


def test_mean_and_spread_of_known_outputs() -> None:
    found = measure(scaling(1.0, 3.0), torch.tensor([[0.0], [2.0]]))  # outputs 0 0, 2 6
    assert found["probe/feature_mean/0"] == 2.0
    assert found["probe/feature_std/0"] == pytest.approx(6**0.5)  # of 0, 0, 2, 6 around 2: (4 + 4 + 0 + 16) / 4


def test_a_channel_is_dead_that_no_image_makes_positive() -> None:
    found = measure(scaling(1.0, -1.0, 0.0, -2.0), torch.tensor([[0.5], [2.0]]))
    assert found["probe/feature_dead/0"] == 0.75


def test_channels_of_maps_are_their_second_axis_and_those_of_tokens_their_last() -> None:
    conv, linear = nn.Conv2d(1, 4, 1), nn.Linear(3, 4)
    with torch.no_grad():
        for layer in (conv, linear):
            layer.weight.zero_()
            assert layer.bias is not None
            layer.bias.copy_(torch.tensor([1.0, -1.0, -1.0, -1.0]))
    assert measure(nn.Sequential(conv), torch.randn(2, 1, 5, 3))["probe/feature_dead/0"] == 0.75
    assert measure(nn.Sequential(linear), torch.randn(2, 5, 3))["probe/feature_dead/0"] == 0.75


def test_the_shift_is_the_change_of_the_means_in_old_standard_deviations() -> None:
    net, images = scaling(1.0, 3.0), torch.tensor([[0.0], [2.0]])  # standard deviations 1 and 3
    probe = probe_of(net)
    assert "probe/feature_shift/0" not in measure(net, images, probe=probe)
    with torch.no_grad():
        net.get_parameter("0.bias").fill_(6.0)
    assert measure(net, images, probe=probe)["probe/feature_shift/0"] == pytest.approx((6 / 1 + 6 / 3) / 2, rel=1e-5)


def test_a_layer_called_twice_is_compared_with_its_last_call_of_the_measurement_before() -> None:
    class Twice(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.mix = nn.Linear(1, 1)

        def forward(self, images: Tensor) -> Tensor:
            return self.mix(self.mix(images))

    net, images = Twice(), torch.tensor([[0.0], [2.0]])
    with torch.no_grad():
        net.mix.weight.fill_(2.0)  # the first call has a standard deviation of 2, the second one of 4
        net.mix.bias.zero_()
    probe = probe_of(net)
    first = measure(net, images, probe=probe)
    assert "probe/feature_shift/mix" not in first
    assert first["probe/feature_std/mix"] == pytest.approx(4)
    assert measure(net, images, probe=probe)["probe/feature_shift/mix"] == 0
    with torch.no_grad():
        net.mix.bias.fill_(1.0)  # the second call's mean is 3 more
    assert measure(net, images, probe=probe)["probe/feature_shift/mix"] == pytest.approx(3 / 4, rel=1e-5)


def test_a_probe_continues_from_its_checkpoint() -> None:
    net, images = scaling(1.0, 3.0), torch.tensor([[0.0], [2.0]])
    first, second = probe_of(net), probe_of(net)
    measure(net, images, probe=first)
    second.load_state_dict(first.state_dict())
    assert measure(net, images + 1, probe=second) == measure(net, images + 1, probe=first)


def test_a_layer_that_is_never_called_has_no_numbers() -> None:
    class Idle(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.used, self.idle = nn.Linear(1, 2), nn.Linear(1, 2)

        def forward(self, images: Tensor) -> Tensor:
            return self.used(images)

    assert {key.rpartition("/")[2] for key in measure(Idle(), torch.randn(3, 1))} == {"used"}


def test_no_hook_is_left_behind() -> None:
    net = scaling(1.0)
    measure(net, torch.ones(2, 1))
    assert not net[0]._forward_hooks
