"""Who is decayed, at what rate; and the update against torch's own."""

import pytest
import torch
from torch import nn

from trainer.config.optimizer import AdamW, Sgd
from trainer.optimizers import build_optimizer, parameter_groups


def small() -> nn.Sequential:
    torch.manual_seed(0)
    net = nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.Flatten(), nn.Linear(4, 2))
    net[1].weight.requires_grad_(False)
    return net


@pytest.mark.parametrize(("own", "expected"), [(False, 0.0), (True, 0.1), (0.02, 0.02)])
def test_biases_and_norms_are_decayed_as_declared(own: bool | float, expected: float) -> None:
    net = small()
    config = Sgd(lr=0.5, weight_decay=0.1, decay_norm_and_bias=own, norm_and_bias_lr_scale=64)
    weights, others = parameter_groups(net, config)
    names = {id(p): name for name, p in net.named_parameters()}
    assert [names[id(p)] for p in weights["params"]] == ["0.weight", "3.weight"]
    assert [names[id(p)] for p in others["params"]] == ["0.bias", "1.bias", "3.bias"]  # 1.weight is frozen
    assert (weights["lr"], weights["weight_decay"]) == (0.5, 0.1)
    assert (others["lr"], others["weight_decay"]) == (32.0, expected)


@pytest.mark.parametrize(
    ("config", "reference"),
    [
        (Sgd(lr=0.1, nesterov=True, decay_norm_and_bias=True), lambda p: torch.optim.SGD(p, 0.1, 0.9, 0, 5e-4, True)),
        (AdamW(decay_norm_and_bias=True), lambda p: torch.optim.AdamW(p, 1e-3, weight_decay=1e-2)),
    ],
)
def test_three_steps_equal_torch(config, reference) -> None:
    ours, theirs = small(), small()
    pairs = [(ours, build_optimizer(ours, config, fused=False)), (theirs, reference(theirs.parameters()))]
    for net, optimizer in pairs:
        for step in range(3):
            optimizer.zero_grad()
            net(torch.full((2, 3, 3, 3), 1.0 + step)).square().sum().backward()
            optimizer.step()
    torch.testing.assert_close(ours.state_dict(), theirs.state_dict())
