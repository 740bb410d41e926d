"""The moving average against its recurrence written out."""

import torch
from torch import nn

from trainer.training.averages import Ema


def test_weights_and_running_statistics_follow_the_recurrence() -> None:
    net = nn.Sequential(nn.Linear(2, 3), nn.BatchNorm1d(3))
    ema = Ema(net, decay=0.9, every=2)
    expected = {key: value.clone().double() for key, value in net.state_dict().items()}
    for step in range(6):
        with torch.no_grad():
            for p in net.parameters():
                p.add_(torch.randn_like(p))
        net(torch.randn(4, 2))  # moves the running statistics
        ema.update(step)
        if step % 2 == 0:
            for key, now in net.state_dict().items():
                share = 1 - 0.9**2 if now.is_floating_point() else 1
                expected[key] += share * (now.double() - expected[key])
    for key, kept in ema.average.state_dict().items():
        torch.testing.assert_close(kept.double(), expected[key], rtol=1e-5, atol=1e-6)
    assert not ema.average.training
