"""Who is decayed, at what rate; updates against torch's own, Muon's promise and Lookahead's rule."""

from collections.abc import Callable
from typing import Any

import pytest
import torch
from pydantic import TypeAdapter
from torch import Tensor, nn

from trainer.config.optimizer import Optimizer, Sgd
from trainer.errors import ConfigError
from trainer.training.optimizers import build_optimizer, parameter_groups
from trainer.training.optimizers.muon import orthogonalise


def small() -> nn.Sequential:
    torch.manual_seed(0)
    net = nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.Flatten(), nn.Linear(4, 2))
    net[1].get_parameter("weight").requires_grad_(False)
    return net


def config_of(name: str, **knobs: Any) -> Optimizer:
    return TypeAdapter(Optimizer).validate_python({"name": name, **knobs})


def steps(net: nn.Module, optimizer: torch.optim.Optimizer, numbers: range) -> None:
    net.eval()  # in training the norm cancels the bias before it, whose gradient is then rounding alone
    for step in numbers:
        optimizer.zero_grad()
        net(torch.linspace(-1, 1 + step, 54).view(2, 3, 3, 3)).square().sum().backward()
        optimizer.step()


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


TORCHS: list[tuple[str, dict[str, Any], Callable[..., torch.optim.Optimizer]]] = [
    ("sgd", {"lr": 0.1, "nesterov": True}, lambda p: torch.optim.SGD(p, 0.1, 0.9, 0, 5e-4, True)),
    ("sgd", {"momentum": 0.8, "dampening": 0.3}, lambda p: torch.optim.SGD(p, 0.1, 0.8, 0.3, 5e-4)),
    ("adam", {"weight_decay": 0.1}, lambda p: torch.optim.Adam(p, weight_decay=0.1)),
    ("adamw", {"beta1": 0.8}, lambda p: torch.optim.AdamW(p, betas=(0.8, 0.999), weight_decay=1e-2)),
    ("adamax", {"eps": 1e-3}, lambda p: torch.optim.Adamax(p, eps=1e-3)),
    ("nadam", {"momentum_decay": 0.1}, lambda p: torch.optim.NAdam(p, momentum_decay=0.1)),
    ("adadelta", {"rho": 0.7}, lambda p: torch.optim.Adadelta(p, rho=0.7)),
    ("adagrad", {"lr_decay": 0.2}, lambda p: torch.optim.Adagrad(p, lr_decay=0.2)),
    ("rmsprop", {"centered": True, "momentum": 0.5}, lambda p: torch.optim.RMSprop(p, centered=True, momentum=0.5)),
]


@pytest.mark.parametrize(("name", "knobs", "reference"), TORCHS, ids=[case[0] for case in TORCHS])
def test_three_steps_equal_torchs(name: str, knobs: dict[str, Any], reference: Callable[..., Any]) -> None:
    ours, theirs = small(), small()
    steps(ours, build_optimizer(ours, config_of(name, decay_norm_and_bias=True, **knobs), fused=False), range(3))
    steps(theirs, reference([p for p in theirs.parameters() if p.requires_grad]), range(3))
    torch.testing.assert_close(ours.state_dict(), theirs.state_dict())


@pytest.mark.parametrize("shape", [(16, 16), (40, 12), (12, 40), (64, 576)])
def test_an_orthogonalised_matrix_is_orthogonal_and_keeps_its_directions(shape: tuple[int, int]) -> None:
    matrix = torch.randn(*shape, generator=torch.Generator().manual_seed(0))
    out = orthogonalise(matrix)
    small_side = out @ out.T if shape[0] <= shape[1] else out.T @ out
    if shape[0] != shape[1]:  # a square random matrix has singular values near 0, which no few steps bring to 1
        torch.testing.assert_close(small_side, torch.eye(min(shape)), atol=1e-2, rtol=0)
    left, values, right = torch.linalg.svd(matrix, full_matrices=False)
    large = values > 0.01 * values.norm()
    expected = left[:, large] @ right[large]
    torch.testing.assert_close((left[:, large] @ left[:, large].T) @ out, expected, atol=1e-2, rtol=0)


def test_muon_moves_weights_by_orthogonal_matrices_and_the_rest_as_sgd_does() -> None:
    net, twin = small(), small()
    muon = build_optimizer(net, config_of("muon", lr=0.1, weight_decay=0.5), fused=False)
    sgd = torch.optim.SGD(twin.parameters(), 0.1, 0.95, nesterov=True)
    before = {name: p.clone() for name, p in net.named_parameters()}
    steps(net, muon, range(1))
    steps(twin, sgd, range(1))
    for name in ("0.bias", "1.bias", "3.bias"):
        torch.testing.assert_close(net.get_parameter(name), twin.get_parameter(name))
    for name in ("0.weight", "3.weight"):  # the first step's momentum is the gradient, once more by Nesterov
        grad = net.get_parameter(name).grad
        assert grad is not None
        matrix = grad.reshape(len(grad), -1)
        scale = max(1, matrix.shape[0] / matrix.shape[1]) ** 0.5
        moved = 0.95 * before[name] - 0.1 * scale * orthogonalise(1.95 * matrix).view_as(before[name])
        torch.testing.assert_close(net.get_parameter(name), moved)


@pytest.mark.parametrize("knobs", [{"name": "muon"}, {"name": "muon", "rest": "adamw"}, {"name": "adamw"}])
@pytest.mark.parametrize("lookahead", [{"steps": 0}, {"steps": 2, "alpha": 0.3}])
def test_a_resumed_optimizer_goes_on_to_the_same_bits(knobs: dict[str, Any], lookahead: dict[str, Any]) -> None:
    config = config_of(**knobs, lookahead=lookahead, lr=0.01)
    unbroken = small()
    steps(unbroken, build_optimizer(unbroken, config, fused=False), range(5))
    first = small()
    optimizer = build_optimizer(first, config, fused=False)
    steps(first, optimizer, range(3))
    second = small()
    second.load_state_dict(first.state_dict())
    resumed = build_optimizer(second, config, fused=False)
    resumed.load_state_dict(optimizer.state_dict())
    steps(second, resumed, range(3, 5))
    torch.testing.assert_close(second.state_dict(), unbroken.state_dict(), rtol=0, atol=0)


def test_a_rate_set_on_the_groups_reaches_the_inner_optimizers() -> None:
    net = small()
    optimizer = build_optimizer(net, config_of("muon", lookahead={"steps": 2}), fused=False)
    for group in optimizer.param_groups:
        group["lr"] = 0.0
    before = [p.clone() for p in net.parameters()]
    steps(net, optimizer, range(3))
    assert all(torch.equal(now, old) for now, old in zip(net.parameters(), before, strict=True))


def test_lookahead_is_its_rule_written_out() -> None:
    ours, theirs = small(), small()
    config = config_of("sgd", lookahead={"steps": 2, "alpha": 0.25}, decay_norm_and_bias=True)
    steps(ours, build_optimizer(ours, config, fused=False), range(4))
    fast = [p for p in theirs.parameters() if p.requires_grad]
    slow: list[Tensor] = [p.detach().clone() for p in fast]
    sgd = torch.optim.SGD(fast, 0.1, 0.9, weight_decay=5e-4)
    for step in range(4):
        steps(theirs, sgd, range(step, step + 1))
        if step % 2 == 1:
            for p, kept in zip(fast, slow, strict=True):
                kept += 0.25 * (p.detach() - kept)
                p.data.copy_(kept)
    torch.testing.assert_close(ours.state_dict(), theirs.state_dict())


def test_timms_optimizers_are_built_and_their_mistakes_are_one_line() -> None:
    net = small()
    steps(net, build_optimizer(net, config_of("timm/lamb"), fused=False), range(2))
    for config, said in [
        (config_of("timm/lam"), "optimizer.name: timm has no optimizer 'lam'; did you mean 'timm/lamb'?"),
        (config_of("timm/lamb", arguments={"foo": 1}), "optimizer.arguments: lamb cannot be built with these: "),
    ]:
        with pytest.raises(ConfigError) as caught:
            build_optimizer(net, config, fused=False)
        assert caught.value.problems[0].startswith(said)
