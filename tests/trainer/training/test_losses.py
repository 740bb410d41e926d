"""Losses against torch's own and plain formulas, values and gradients, for classes and for soft targets."""

from collections.abc import Callable
from typing import Any

import pytest
import torch
from pydantic import TypeAdapter
from torch import Tensor, nn
from torch.nn import functional as F

from models import build_model
from trainer.config.loss import Loss
from trainer.data.shapes10 import draw_shapes10
from trainer.errors import ConfigError
from trainer.training.losses import build_loss, build_penalty

N, K = 7, 5


def config_of(**knobs: Any) -> Loss:
    return TypeAdapter(Loss).validate_python(knobs)


def logits_and_labels() -> tuple[Tensor, Tensor]:
    draw = torch.Generator().manual_seed(0)
    logits = torch.randn(N, K, generator=draw, dtype=torch.float64, requires_grad=True)
    return logits, torch.randint(K, (N,), generator=draw)


def one_hot(labels: Tensor) -> Tensor:
    return F.one_hot(labels, K).double()


def focal(logits: Tensor, labels: Tensor) -> Tensor:
    p = logits.softmax(1)[torch.arange(N), labels]
    return (-0.5 * (1 - p) ** 3 * p.log()).mean()


@pytest.mark.parametrize(
    ("knobs", "reference"),
    [
        ({"name": "cross_entropy"}, F.cross_entropy),
        ({"name": "cross_entropy", "label_smoothing": 0.2}, lambda x, y: F.cross_entropy(x, y, label_smoothing=0.2)),
        ({"name": "focal", "gamma": 3, "alpha": 0.5}, focal),
        ({"name": "focal", "gamma": 0}, F.cross_entropy),
        ({"name": "bce_with_logits"}, lambda x, y: F.binary_cross_entropy_with_logits(x, one_hot(y))),
        ({"name": "multilabel_soft_margin"}, lambda x, y: F.multilabel_soft_margin_loss(x, one_hot(y))),
        ({"name": "mse"}, lambda x, y: F.mse_loss(x, one_hot(y))),
        ({"name": "mse", "scores": "softmax"}, lambda x, y: F.mse_loss(x.softmax(1), one_hot(y))),
        ({"name": "huber", "delta": 0.3}, lambda x, y: F.huber_loss(x, one_hot(y), delta=0.3)),
        ({"name": "smooth_l1", "beta": 0.3}, lambda x, y: F.smooth_l1_loss(x, one_hot(y), beta=0.3)),
        (
            {"name": "smooth_l1", "scores": "softmax"},
            lambda x, y: F.smooth_l1_loss(x.softmax(1), one_hot(y)),
        ),
    ],
    ids=lambda each: str(each) if isinstance(each, dict) else "",
)
def test_value_and_gradient_equal_the_reference(
    knobs: dict[str, Any], reference: Callable[[Tensor, Tensor], Tensor]
) -> None:
    logits, labels = logits_and_labels()
    loss_fn = build_loss(config_of(**knobs), K)
    for targets in (labels, one_hot(labels)):  # soft targets that are sure say the same
        losses = loss_fn(logits, targets)
        assert losses.shape == (N,)
        expected = reference(logits, labels)
        torch.testing.assert_close(losses.mean(), expected)
        ours, theirs = (torch.autograd.grad(value, logits)[0] for value in (losses.mean(), expected))
        torch.testing.assert_close(ours, theirs)


@pytest.mark.parametrize("name", ["cross_entropy", "focal", "bce_with_logits", "mse"])
def test_a_mixed_target_gives_the_mixed_loss_where_the_loss_is_linear_in_it(name: str) -> None:
    logits, labels = logits_and_labels()
    loss_fn, other = build_loss(config_of(name=name), K), labels.roll(1)
    mixed = loss_fn(logits, 0.3 * one_hot(labels) + 0.7 * one_hot(other))
    apart = 0.3 * loss_fn(logits, labels) + 0.7 * loss_fn(logits, other)
    if name == "mse":  # a square is not: it is less by the variance of the target
        assert (mixed <= apart + 1e-12).all()
    else:
        torch.testing.assert_close(mixed, apart)


@pytest.mark.parametrize("name", ["cross_entropy", "focal"])
def test_class_weights_multiply_the_loss_of_their_class(name: str) -> None:
    logits, labels = logits_and_labels()
    weights = (0.0, 1.0, 2.0, 3.0, 4.0)
    weighted, plain = (build_loss(config_of(name=name, **w), K).double() for w in ({"class_weights": weights}, {}))
    torch.testing.assert_close(weighted(logits, labels), plain(logits, labels) * labels)


def test_class_weights_that_are_not_one_a_class_are_refused() -> None:
    with pytest.raises(ConfigError, match=r"loss.class_weights: 2 weights, but the data has 5 classes"):
        build_loss(config_of(name="mse", class_weights=[1, 2]), K)


@pytest.mark.parametrize(("label", "expected"), [(0, 0.0), (1, 200.0)])
def test_a_focal_loss_of_a_sure_network_is_finite_with_its_gradient(label: int, expected: float) -> None:
    logits = torch.tensor([[200.0, 0.0]], requires_grad=True)
    loss = build_loss(config_of(name="focal", gamma=0.5), 2)(logits, torch.tensor([label])).sum()
    loss.backward()
    assert loss.item() == pytest.approx(expected, abs=1e-6)
    assert logits.grad is not None and logits.grad.isfinite().all()


@pytest.mark.slow
@pytest.mark.parametrize(
    "knobs",
    [
        {"name": "cross_entropy", "label_smoothing": 0.1},
        {"name": "focal"},
        {"name": "bce_with_logits"},
        {"name": "multilabel_soft_margin"},
        {"name": "mse"},
        {"name": "mse", "scores": "softmax"},
        {"name": "huber"},
        {"name": "smooth_l1"},
        {"name": "smooth_l1", "scores": "softmax"},
    ],
    ids=str,
)
def test_every_loss_trains_shapes10_above_chance(knobs: dict[str, Any]) -> None:
    torch.manual_seed(0)
    net, image_set = build_model("resnet9", width=8).train(), draw_shapes10(9600, 500)
    loss_fn, train, test = build_loss(config_of(**knobs), 10), image_set.train, image_set.test
    optimizer = torch.optim.AdamW(net.parameters(), lr=3e-3)
    for step in range(300):
        now = slice(32 * step, 32 * (step + 1))
        optimizer.zero_grad()
        loss_fn(net(train.images[now] / 128 - 1), train.labels[now]).mean().backward()
        optimizer.step()
    with torch.no_grad():
        accuracy = (net.eval()(test.images / 128 - 1).argmax(1) == test.labels).float().mean().item()
    print(f"{knobs}: {accuracy:.1%}")
    assert accuracy > 0.2  # 0.1 is chance; 500 images leave it an error of 0.014


def test_the_penalty_is_that_of_weights_alone() -> None:
    net = nn.Sequential(nn.Linear(3, 2), nn.BatchNorm1d(2))
    weight = net[0].get_parameter("weight")
    penalty = build_penalty(config_of(name="mse", l1=0.1, l2=0.01), net)
    assert penalty is not None
    torch.testing.assert_close(penalty(), 0.1 * weight.abs().sum() + 0.01 * (weight**2).sum())
    penalty().backward()
    torch.testing.assert_close(weight.grad, 0.1 * weight.sign() + 0.02 * weight.detach())
    assert net[0].get_parameter("bias").grad is None
    assert build_penalty(config_of(name="mse"), net) is None
