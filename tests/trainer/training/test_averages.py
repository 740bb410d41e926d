"""The moving average against its recurrence written out, and both averages of shared weights."""

from collections.abc import Iterator

import pytest
import torch
from torch import nn

from trainer.training.averages import Ema, Swa


@pytest.mark.parametrize("warmup", [False, True])
def test_weights_and_running_statistics_follow_the_recurrence(warmup: bool) -> None:
    net = nn.Sequential(nn.Linear(2, 3), nn.BatchNorm1d(3))
    ema = Ema(net, decay=0.9, every=2, warmup=warmup)
    expected = {key: value.clone().double() for key, value in net.state_dict().items()}
    for step in range(6):
        with torch.no_grad():
            for p in net.parameters():
                p.add_(torch.randn_like(p))
        net(torch.randn(4, 2))  # moves the running statistics
        ema.update(step)
        if step % 2 == 0:
            for key, now in net.state_dict().items():
                decay = min(0.9, (1 + step) / (10 + step)) if warmup else 0.9
                share = 1 - decay**2 if now.is_floating_point() else 1
                expected[key] += share * (now.double() - expected[key])
    for key, kept in ema.average.state_dict().items():
        torch.testing.assert_close(kept.double(), expected[key], rtol=1e-5, atol=1e-6)
    assert not ema.average.training


@pytest.mark.parametrize("every", [1, 5])
def test_with_a_warm_up_a_short_run_forgets_its_first_weights(every: int) -> None:
    """An epoch of FastResNet9 has 98 steps. At 0.99 its average would still be 37% first weights."""
    net = nn.Linear(1, 1, bias=False)
    share = {}
    for warmup in (False, True):
        nn.init.ones_(net.weight)
        ema = Ema(net, decay=0.99, every=every, warmup=warmup)
        nn.init.zeros_(net.weight)  # from now on: what is left in the average is of the first weights
        for step in range(98):
            ema.update(step)
        share[warmup] = next(ema.average.parameters()).item()
    assert share[False] == pytest.approx(0.99 ** (every * -(-98 // every)), rel=1e-4)
    assert share[True] < 1e-6


def test_the_pass_of_a_stochastic_average_makes_its_batches_as_training_does() -> None:
    """Before: autocast was around the batches, too, so that a rotation had its angles in bfloat16."""
    net = nn.Sequential(nn.Linear(2, 2), nn.BatchNorm1d(2))
    swa, made, seen = Swa(net), list[bool](), list[torch.dtype]()
    next(swa.average.children()).register_forward_hook(lambda *args: seen.append(args[2].dtype))

    def batches() -> Iterator[torch.Tensor]:
        for _ in range(2):
            made.append(torch.is_autocast_enabled("cpu"))
            yield torch.randn(4, 2)

    with torch.inference_mode():
        swa.refresh_norms(batches(), lambda: torch.autocast("cpu", torch.bfloat16))
    assert made == [False] * 2 and seen == [torch.bfloat16] * 2


def test_a_layer_in_three_places_is_averaged_once() -> None:
    """Before: once a place, so that the moving average was 0.271 and the mean 0.875."""
    layer = nn.Linear(1, 1, bias=False)
    net = nn.Sequential(layer, layer, layer)
    nn.init.zeros_(layer.weight)
    ema, swa = Ema(net, decay=0.9, every=1, warmup=False), Swa(net)
    swa.update(net)
    nn.init.ones_(layer.weight)
    ema.update(0)
    swa.update(net)
    assert [next(each.average.parameters()).item() for each in (ema, swa)] == pytest.approx([0.1, 0.5])
