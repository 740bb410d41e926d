"""Who is decayed, at what rate; updates against torch's own, Muon's promise and Lookahead's rule."""

import sys
from collections.abc import Callable
from typing import Any

import pytest
import torch
from pydantic import TypeAdapter
from timm.optim.muon import Muon, zeropower_via_newtonschulz
from torch import Tensor, nn

from trainer.config import load_config
from trainer.config.optimizer import Optimizer, Sgd
from trainer.config.schedule import Linear
from trainer.data.sources import load_image_set
from trainer.data.steps import Steps
from trainer.errors import ConfigError
from trainer.training.device import choose_compute
from trainer.training.optimizers import build_optimizer, fused_on, parameter_groups
from trainer.training.optimizers.muon import orthogonalise
from trainer.training.optimizers.wrappers import Lookahead, Together
from trainer.training.run import build_parts
from trainer.training.schedules import RateSchedule


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


@pytest.mark.parametrize("name", ["adam", "adamw"])
def test_one_kernel_of_adam_equals_all_tensors_at_once_for_channels_last(name: str) -> None:
    """torch's takes a gradient that lies in memory otherwise than its weight for another gradient."""
    ours, theirs = (small().to(memory_format=torch.channels_last) for _ in range(2))  # pyright: ignore[reportCallIssue]
    optimizer, reference = (build_optimizer(net, config_of(name), fused=False) for net in (ours, theirs))
    for group in reference.param_groups:
        group |= {"fused": False, "foreach": True}
    steps(ours, optimizer, range(3))
    again = build_optimizer(ours, config_of(name), fused=False)
    again.load_state_dict(optimizer.state_dict())
    steps(ours, again, range(3, 6))
    steps(theirs, reference, range(6))
    assert {group["fused"] for group in again.param_groups} == {True}
    torch.testing.assert_close(ours.state_dict(), theirs.state_dict())


def test_the_head_and_the_first_bias_get_a_rate_a_decay_and_an_end_of_their_own() -> None:
    net = small()
    own = {"head": {"lr_scale": 3, "weight_decay": 0.7}, "first_bias": {"end_epoch": 2.5}}
    config = config_of("sgd", lr=0.5, weight_decay=0.1, norm_and_bias_lr_scale=64, decay_norm_and_bias=0.02, **own)
    groups = {group["name"]: group for group in parameter_groups(net, config)}
    names = {id(p): name for name, p in net.named_parameters()}
    assert {name: [names[id(p)] for p in group["params"]] for name, group in groups.items()} == {
        "weights": ["0.weight"],
        "norm_and_bias": ["1.bias", "3.bias"],
        "head": ["3.weight"],
        "first_bias": ["0.bias"],
    }
    assert {name: (group["lr"], group["weight_decay"]) for name, group in groups.items()} == {
        "weights": (0.5, 0.1),
        "norm_and_bias": (32.0, 0.02),
        "head": (1.5, 0.7),
        "first_bias": (32.0, 0.02),
    }
    optimizer = build_optimizer(net, config, fused=False)
    schedule = RateSchedule(Linear(final_factor=0.5), optimizer, epochs=10, steps=Steps(4, 1))
    for step, factor, end in [(0, 1, 1), (5, 1 - 0.5 * 5 / 40, 0.5), (10, 1 - 0.5 * 10 / 40, 0), (30, 0.625, 0)]:
        schedule.set_rate(step)
        rates = [group["lr"] for group in optimizer.param_groups]
        assert rates == pytest.approx([0.5 * factor, 32 * factor, 1.5 * factor, 32 * end])


def test_biases_and_norms_can_end_before_the_weights_and_the_first_bias_with_them() -> None:
    net = small()
    config = config_of("sgd", lr=0.5, norm_and_bias_end_epoch=2, first_bias={"lr_scale": 3})
    optimizer = build_optimizer(net, config, fused=False)
    assert [group["name"] for group in optimizer.param_groups] == ["weights", "norm_and_bias", "first_bias"]
    schedule = RateSchedule(Linear(), optimizer, epochs=10, steps=Steps(4, 1))
    for step, factor, end in [(0, 1, 1), (4, 0.9, 0.5), (8, 0.8, 0), (30, 0.25, 0)]:
        schedule.set_rate(step)
        rates = [group["lr"] for group in optimizer.param_groups]
        assert rates == pytest.approx([0.5 * factor, 0.5 * end, 1.5 * end])


@pytest.mark.parametrize(
    ("net", "key", "said"),
    [
        (nn.Conv2d(3, 4, 3), "head", "the network has no linear layer that is trained"),
        (nn.Conv2d(3, 4, 3, bias=False), "first_bias", "the network's first layer has no bias that is trained"),
    ],
)
def test_a_group_that_the_network_does_not_have_is_refused_in_a_line(net: nn.Module, key: str, said: str) -> None:
    with pytest.raises(ConfigError, match=f"^optimizer.{key}: {said}; set optimizer.{key}.lr_scale=null$"):
        build_optimizer(net, config_of("sgd", **{key: {"lr_scale": 2}}), fused=False)


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


def test_muon_leaves_linear_layers_to_the_rest_if_only_filters_are_orthogonalised() -> None:
    net, twin = small(), small()
    knobs = {"orthogonalise": "filters", "rest_momentum": 0.5, "head": {"lr_scale": 3.0}}
    steps(net, build_optimizer(net, config_of("muon", lr=0.1, **knobs), fused=False), range(2))
    conv, norm, linear = twin[0], twin[1], twin[3]
    muon = build_optimizer(nn.Sequential(conv), config_of("muon", lr=0.1, rest_momentum=0.5), fused=False)
    rest = [
        {"params": [norm.get_parameter("bias"), linear.get_parameter("bias")], "lr": 0.1},
        {"params": [linear.get_parameter("weight")], "lr": 0.3},
    ]
    sgd = torch.optim.SGD(rest, 0.1, 0.5, nesterov=True)
    both = Together([muon, sgd])
    steps(twin, both, range(2))
    torch.testing.assert_close(net.state_dict(), twin.state_dict())


@pytest.mark.parametrize("shape", [(40, 12), (3, 12, 40)])
def test_newton_schulz_steps_are_timms(shape: tuple[int, ...]) -> None:
    torch.manual_seed(0)
    matrices = torch.randn(*shape)
    theirs = zeropower_via_newtonschulz(matrices, 3, [(3.4445, -4.7750, 2.0315)], dtype=torch.float32)
    torch.testing.assert_close(orthogonalise(matrices, expand=3, settle=0), theirs)


def test_muon_in_bfloat16_and_in_batches_is_timms() -> None:
    """timm's, on matrices of three shapes, two of them alike. Its `original` scale is ours."""
    torch.manual_seed(0)
    ours = nn.ParameterList([torch.randn(*shape) for shape in [(16, 8, 3, 3), (16, 8, 3, 3), (40, 12), (12, 40)]])
    theirs = nn.ParameterList([p.detach().clone() for p in ours])
    config = config_of("muon", lr=0.1, weight_decay=0.1, expand=3, settle=0, format="bfloat16")
    optimizer = build_optimizer(ours, config, fused=False)
    peer = Muon(theirs, lr=0.1, weight_decay=0.1, nesterov=True, ns_steps=3, adjust_lr_fn="original",
                           normalize_spatial=False, ns_coefficients="original")  # fmt: skip
    for _ in range(3):
        for a, b in zip(ours, theirs, strict=True):
            a.grad = torch.randn_like(a)
            b.grad = a.grad.clone()
        optimizer.step()
        peer.step()
    for a, b in zip(ours, theirs, strict=True):
        torch.testing.assert_close(a, b, atol=6e-3, rtol=0)  # the updates are of 0.1, in steps of 1/256


@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
def test_muon_takes_the_format_of_the_run_with_auto(precision: str, small_run: list[str]) -> None:
    def moved(format: str) -> torch.Tensor:
        knobs = ["optimizer.name=muon", f"optimizer.format={format}", f"train.precision={precision}"]
        config = load_config([*small_run, *knobs]).config
        parts = build_parts(config, choose_compute(config.train), load_image_set(config.data, seed=0))
        draw = torch.Generator().manual_seed(0)
        for p in parts.model.parameters():
            p.grad = torch.randn(p.shape, generator=draw)
        parts.optimizer.step()
        return torch.cat([p.detach().flatten() for p in parts.model.parameters()])

    auto = moved("auto")
    assert {format: torch.equal(moved(format), auto) for format in ("float32", "bfloat16")} == {
        "float32": precision == "float32",
        "bfloat16": precision == "bfloat16",
    }


def test_muon_never_takes_float16() -> None:
    ours, theirs = (nn.ParameterList([torch.linspace(-1, 1, 96).view(12, 8)]) for _ in range(2))
    for net, dtype in ((ours, torch.float16), (theirs, torch.float32)):
        net[0].grad = torch.linspace(1, 2, 96).sin().view(12, 8)
        build_optimizer(net, config_of("muon", format="auto"), fused=False, dtype=dtype).step()
    assert torch.equal(ours[0], theirs[0])


def test_a_renormalised_weight_has_the_norm_sqrt_of_its_filters_before_each_update() -> None:
    torch.manual_seed(0)
    net = nn.Conv2d(4, 16, 3, bias=False)
    optimizer = build_optimizer(net, config_of("muon", lr=0.25, renormalise=True), fused=False)
    before = net.weight.detach().clone()
    net.weight.grad = torch.randn_like(before)
    optimizer.step()
    update = orthogonalise(1.95 * net.weight.grad.reshape(16, -1)).view_as(before)
    torch.testing.assert_close(net.weight.detach(), before * 4 / before.norm() - 0.25 * update)


def test_renormalising_leaves_a_weight_of_zeros_as_it_is() -> None:
    """Before: NaN, of 0 times infinity."""
    net = nn.Linear(3, 2, bias=False)
    nn.init.zeros_(net.weight)
    net.weight.grad = torch.tensor([[1.0, 0, 0], [0, 2.0, 0]])
    build_optimizer(net, config_of("muon", lr=0.25, renormalise=True), fused=False).step()
    torch.testing.assert_close(net.weight.detach(), -0.25 * orthogonalise(1.95 * net.weight.grad))


@pytest.mark.parametrize(
    "knobs",
    [
        {"name": "muon"},
        {"name": "muon", "rest": "adamw"},
        {"name": "muon", "orthogonalise": "filters", "renormalise": True, "format": "bfloat16", "settle": 0},
        {"name": "adamw", "head": {"lr_scale": 2}, "first_bias": {"end_epoch": 1}},
    ],
)
@pytest.mark.parametrize("lookahead", [{"steps": 0}, {"steps": 2, "alpha": 0.3, "ramp_power": 3}])
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


def test_the_share_of_lookahead_falls_over_the_run() -> None:
    net = small()
    knobs = {"steps": 5, "alpha": 0.25, "ramp_power": 3}
    optimizer = build_optimizer(net, config_of("sgd", lookahead=knobs), fused=False, total_steps=20)
    assert isinstance(optimizer, Lookahead)
    assert [optimizer.share(step) for step in (0, 5, 10, 20)] == pytest.approx([1, 1 - 0.75 / 64, 1 - 0.75 / 8, 0.25])


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


_GROUPS = "timm would make groups of parameters with it, which are made here; remove it"


@pytest.mark.parametrize(
    ("name", "key", "value", "said"),
    [
        ("adamw", "layer_decay", 0.1, _GROUPS),
        ("adamw", "layer_decay_min_scale", 0.1, _GROUPS),
        ("adamw", "layer_decay_no_opt_scale", 0.1, _GROUPS),
        ("adamw", "filter_bias_and_bn", False, _GROUPS),
        ("adamw", "fallback_list", ["*"], _GROUPS),
        ("muon", "fallback_no_weight_decay", True, _GROUPS),
        ("adamw", "param_group_fn", "f", _GROUPS),
        ("adamw", "momentum", 0.5, "timm/adamw has none, but betas and eps; remove it"),
        ("sgd", "betas", [0.9, 0.99], "timm/sgd has none, but momentum; remove it"),
        ("sgd", "eps", 1e-8, "timm/sgd has none, but momentum; remove it"),
    ],
)
def test_an_argument_that_timm_would_drop_is_refused(name: str, key: str, value: Any, said: str) -> None:
    with pytest.raises(ConfigError) as caught:
        build_optimizer(small(), config_of(f"timm/{name}", arguments={key: value}), fused=False)
    assert caught.value.problems == (f"optimizer.arguments.{key}: {said}",)


@pytest.mark.parametrize("arguments", [{}, {"eps": 1e-6}])
@pytest.mark.parametrize(
    ("name", "cuda", "said"),
    [
        ("bnbadam", False, "CUDA required for bitsandbytes optimizers"),
        ("bnbadam", True, "bitsandbytes optimizers require bitsandbytes to be installed"),
        ("fusedadam", True, "APEX optimizers require apex to be installed"),
    ],
)
def test_an_optimizer_of_a_package_that_is_not_there_is_refused_by_its_name(
    monkeypatch: pytest.MonkeyPatch, name: str, cuda: bool, said: str, arguments: dict[str, Any]
) -> None:
    """Before: the arguments were blamed, or the ImportError was not caught."""
    monkeypatch.setattr(torch.cuda, "is_available", lambda: cuda)
    for package in ("bitsandbytes", "apex"):
        monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(ConfigError) as caught:
        build_optimizer(small(), config_of(f"timm/{name}", arguments=arguments), fused=False)
    assert caught.value.problems == (f"optimizer.name: 'timm/{name}' cannot be built here: {said}",)


@pytest.mark.parametrize("name", ["adamc", "sgdc", "lionc"])
def test_corrected_decay_of_a_group_is_by_the_rate_of_that_group(name: str) -> None:
    """It is rate^2 / largest rate, so at the largest rate it is that of decay times rate. Before: 4 times that."""
    net = small()
    knobs = {"lr": 0.1, "weight_decay": 0.5, "decay_norm_and_bias": True, "norm_and_bias_lr_scale": 4}
    optimizer = build_optimizer(net, config_of(f"timm/{name}", **knobs), fused=False)
    nn.init.ones_(net[3].get_parameter("bias"))
    before = {key: p.detach().clone() for key, p in net.named_parameters()}
    for p in net.parameters():
        p.grad = torch.zeros_like(p)
    optimizer.step()
    for key, rate in (("0.weight", 0.1), ("3.bias", 0.4)):
        torch.testing.assert_close(net.get_parameter(key).detach(), (1 - 0.5 * rate) * before[key])


@pytest.mark.parametrize("wrapped", [False, True])
@pytest.mark.parametrize(("wrote_it", "here"), [(True, False), (False, True)])
@pytest.mark.parametrize("name", ["sgd", "adamw", "muon", "timm/lion"])
def test_a_state_from_another_machine_leaves_how_an_optimizer_computes(
    name: str, wrote_it: bool, here: bool, wrapped: bool
) -> None:
    """Kernels that do all in one are a GPU's. What is loaded is all else: decay, momentum, the state."""
    config = config_of(name, weight_decay=0.01, **({"lookahead": {"steps": 2}} if wrapped else {}))
    net = small()
    theirs, ours = (build_optimizer(net, config, fused=fused) for fused in (wrote_it, here))
    own = [{key: group.get(key) for key in ("fused", "foreach", "capturable")} for group in ours.param_groups]
    steps(net, theirs, range(2))
    for group in theirs.param_groups:
        group["weight_decay"] = 0.5
    ours.load_state_dict(theirs.state_dict())
    assert [{key: group.get(key) for key in flags} for group, flags in zip(ours.param_groups, own, strict=True)] == own
    assert {group["weight_decay"] for group in ours.param_groups} == {0.5}
    steps(net, ours, range(2, 3))


@pytest.mark.parametrize(
    ("device", "dtype", "fused"),
    [("cuda", torch.bfloat16, True), ("cuda", torch.float32, True), ("cuda", torch.float16, False),
     ("cpu", torch.float32, False)],
)  # fmt: skip
def test_the_update_is_one_kernel_on_a_gpu_but_not_in_float16(device: str, dtype: torch.dtype, fused: bool) -> None:
    assert fused_on(torch.device(device), dtype) is fused
