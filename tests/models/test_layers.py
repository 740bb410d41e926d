"""Ghost BatchNorm, patch whitening and layers by name against plain second implementations."""

import copy
from collections.abc import Callable
from typing import Any, get_args

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from torch import nn
from torch.nn import functional as F
from torch.utils._python_dispatch import TorchDispatchMode

from models.layers import (
    Act,
    GhostBatchNorm,
    HandmadeBatchNorm,
    HandmadeDropout,
    PatchWhitening,
    activation,
    dropout_layer,
    initialise,
)
from models.layers.running import move_running_statistics


@pytest.mark.parametrize("ghost_size", [8, 0])
@pytest.mark.parametrize(("shape", "kind"), [((8, 5), nn.BatchNorm1d), ((8, 5, 4, 4), nn.BatchNorm2d)])
def test_ghost_norm_of_one_group_is_batch_norm(shape: tuple[int, ...], kind: type[nn.Module], ghost_size: int) -> None:
    ghost, batch = GhostBatchNorm(5, ghost_size=ghost_size), kind(5)
    for training in (True, False):
        inputs, upstream = torch.randn(shape), torch.randn(shape)
        results: list[tuple[torch.Tensor, ...]] = []
        for norm in (ghost, batch):
            x = inputs.clone().requires_grad_()
            out = norm.train(training)(x)
            results.append((out, *torch.autograd.grad(out, [x, *norm.parameters()], upstream)))
        torch.testing.assert_close(results[0], results[1], rtol=0, atol=0)
        torch.testing.assert_close(ghost.state_dict(), batch.state_dict(), rtol=0, atol=0)


def test_each_group_is_normalised_by_its_own_statistics() -> None:
    images = torch.randn(12, 3, 4, 4) * torch.arange(1, 13).view(-1, 1, 1, 1)
    out = GhostBatchNorm(3, ghost_size=4).train()(images)
    for group, source in zip(out.split(4), images.split(4), strict=True):
        mean, var = source.mean((0, 2, 3), keepdim=True), source.var((0, 2, 3), correction=0, keepdim=True)
        torch.testing.assert_close(group, (source - mean) / (var + 1e-5).sqrt(), rtol=1e-5, atol=1e-5)


def test_running_statistics_equal_one_set_a_group_averaged_at_the_end() -> None:
    """FastResNet9's published code keeps a set per group. That is the same, as exponential averages are linear."""
    ghost = GhostBatchNorm(3, ghost_size=4).train()
    sets = [nn.BatchNorm2d(3).train() for _ in range(3)]
    for _ in range(5):
        images = torch.randn(12, 3, 2, 2)
        ghost(images)
        for norm, group in zip(sets, images.split(4), strict=True):
            norm(group)
    for name in ("running_mean", "running_var"):
        averaged = torch.stack([norm.get_buffer(name) for norm in sets]).mean(0)
        torch.testing.assert_close(ghost.get_buffer(name), averaged)


def test_groups_of_unequal_size_count_alike_in_the_running_statistics() -> None:
    images = torch.randn(11, 3, 2, 2) * torch.arange(1, 12).view(-1, 1, 1, 1)
    ghost = GhostBatchNorm(3, ghost_size=4).train()
    ghost(images)
    groups = images.split([4, 4, 3])
    mean = torch.stack([group.mean((0, 2, 3)) for group in groups]).mean(0)
    var = torch.stack([group.var((0, 2, 3)) for group in groups]).mean(0)
    torch.testing.assert_close(ghost.running_mean, 0.1 * mean)
    torch.testing.assert_close(ghost.running_var, 0.9 + 0.1 * var)


@pytest.fixture
def at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let layers choose the form that a GPU and torch.compile get."""
    monkeypatch.setattr(torch.compiler, "is_compiling", lambda: True)


@pytest.mark.usefixtures("at_once")
@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    groups=st.integers(2, 5),
    size=st.integers(2, 6),
    maps=st.sampled_from([(3,), (1, 2, 2), (5, 4, 3), (2, 1, 1)]),  # [C] or [C, H, W]
    momentum=st.sampled_from([0.1, None]),
    layout=st.sampled_from([torch.channels_last, torch.contiguous_format]),
    fixed_scale=st.booleans(),
    seed=st.integers(0, 99),
)
def test_groups_at_once_equal_groups_in_turn(
    groups: int,
    size: int,
    maps: tuple[int, ...],
    momentum: float | None,
    layout: torch.memory_format,
    fixed_scale: bool,
    seed: int,
) -> None:
    """In float64, since a group of two vectors that are nearly one has a gradient of rounding errors in float32."""
    layout = layout if len(maps) == 3 else torch.contiguous_format
    once = GhostBatchNorm(maps[0], ghost_size=size, fixed_scale=fixed_scale).double()
    once.momentum = momentum
    found, expected = in_both_forms(once, groups, (size, *maps), layout, seed)
    torch.testing.assert_close(found, expected, rtol=1e-9, atol=1e-9)


@pytest.mark.usefixtures("at_once")
@pytest.mark.parametrize("shape", [(32, 7), (16, 4, 3, 3), (32, 3, 8, 8)])
def test_groups_at_once_round_as_groups_in_turn_do(shape: tuple[int, ...]) -> None:
    norm = GhostBatchNorm(shape[1], ghost_size=shape[0])
    for seed in range(5):
        found, expected = in_both_forms(norm, 4, shape, torch.contiguous_format, seed)
        for ours, theirs in zip(found, expected, strict=True):
            torch.testing.assert_close(ours, theirs, rtol=0, atol=2e-6 * max(1.0, theirs.abs().max().item()))


def in_both_forms(
    norm: GhostBatchNorm, groups: int, shape: tuple[int, ...], layout: torch.memory_format, seed: int
) -> list[tuple[torch.Tensor, ...]]:
    """Return output, gradients and buffers after two steps on groups of `shape`: (at once, in turn)."""
    draw, dtype = torch.Generator().manual_seed(seed), norm.weight.dtype
    shape = (groups * shape[0], *shape[1:])
    images, upstream = (torch.randn(shape, dtype=dtype, generator=draw) for _ in range(2))
    images = (2 * images + 1).to(memory_format=layout)
    with torch.no_grad():
        norm.weight.uniform_(0.5, 1.5, generator=draw)
        norm.bias.normal_(generator=draw)
    once, turn = copy.deepcopy(norm), copy.deepcopy(norm)
    results: list[tuple[torch.Tensor, ...]] = []
    for each, form in ((once, once.forward), (turn, lambda x: turn._one_by_one(x, [len(x) // groups] * groups))):
        x = images.clone().requires_grad_()
        form(x + 1)
        out = form(x)
        trained = [p for p in each.parameters() if p.requires_grad]
        results.append((out, *torch.autograd.grad(out, [x, *trained], upstream), *each.buffers()))
        assert out.is_contiguous(memory_format=layout)
    return results


@pytest.mark.usefixtures("at_once")
def test_groups_at_once_of_bfloat16_have_statistics_in_float32() -> None:
    norm = GhostBatchNorm(1, ghost_size=2048).train()
    images = torch.full((4096, 1), 100.0, dtype=torch.bfloat16)
    images[0] = 101
    with torch.autocast("cpu", torch.bfloat16):
        out = norm(images)
    assert out.dtype == torch.bfloat16
    torch.testing.assert_close(norm.running_mean, torch.tensor([0.1 * (100 + 1 / 4096)]))
    assert norm.bfloat16()(images).dtype == torch.bfloat16


@pytest.mark.usefixtures("at_once")
def test_groups_at_once_of_bfloat16_round_once() -> None:
    images = torch.randn(16, 3, 4, 4).bfloat16()
    once, turn = (GhostBatchNorm(3, ghost_size=4).train() for _ in range(2))
    exact = turn._one_by_one(images.float(), [4] * 4)
    torch.testing.assert_close(once(images).float(), exact, rtol=2**-8, atol=1e-6)
    torch.testing.assert_close(once.state_dict(), turn.state_dict())


@pytest.mark.usefixtures("at_once")
def test_groups_of_one_value_a_channel_have_no_variance() -> None:
    with pytest.raises(ValueError, match="more than 1 value"):
        GhostBatchNorm(3, ghost_size=1).train()(torch.randn(4, 3))


class NoNumbers(TorchDispatchMode):
    """Inside it nobody reads a number from a tensor, for which a GPU would be waited for."""

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        assert func is not torch.ops.aten._local_scalar_dense.default
        return func(*args, **kwargs or {})


@pytest.mark.parametrize("norm", [GhostBatchNorm(3, ghost_size=2), HandmadeBatchNorm(3)])
def test_a_mean_over_batches_reads_no_number(norm: GhostBatchNorm | HandmadeBatchNorm) -> None:
    norm.momentum = None
    with NoNumbers():
        norm.train()(torch.randn(4, 3))


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_the_share_of_a_batch_in_a_mean_has_the_bits_of_a_number(dtype: torch.dtype) -> None:
    draw = torch.Generator().manual_seed(0)
    for channels in (1, 3, 8, 17, 64):
        for count in (0, 1, 2, 3, 6, 48, 390, 99_999):
            mean, batch = (torch.randn(channels, dtype=dtype, generator=draw) for _ in range(2))
            expected = torch.lerp(mean, batch, 1 / (count + 1))
            batches = torch.tensor(count)
            move_running_statistics((mean, mean.clone()), (batch, batch), batches, None)
            assert torch.equal(mean, expected)
            assert batches == count + 1


def test_a_negative_ghost_size_is_refused() -> None:
    with pytest.raises(ValueError, match=r"^ghost_size=-4: should be at least 0[^\n]*$"):
        GhostBatchNorm(3, ghost_size=-4)


@pytest.mark.parametrize("rate", [-0.1, 1.0])
@pytest.mark.parametrize("layer", [dropout_layer, HandmadeDropout])
def test_a_dropout_that_leaves_nothing_is_refused(layer: Callable[[float], nn.Module], rate: float) -> None:
    with pytest.raises(ValueError, match=f"^dropout={rate}: should be at least 0 and less than 1$"):
        layer(rate)


@pytest.mark.parametrize(("n", "sizes"), [(11, [4, 4, 3]), (5, [5]), (13, [5, 4, 4])])
def test_a_batch_that_does_not_divide_makes_groups_of_nearly_one_size(n: int, sizes: list[int]) -> None:
    images = torch.randn(n, 2, 3, 3)
    out = GhostBatchNorm(2, ghost_size=4).train()(images)
    for group in out.split(sizes):
        torch.testing.assert_close(group.mean((0, 2, 3)), torch.zeros(2), atol=1e-5, rtol=0)


def test_a_fixed_scale_gets_no_gradient_and_the_shift_does() -> None:
    norm = GhostBatchNorm(2, ghost_size=2, fixed_scale=True).train()
    norm(torch.randn(4, 2, 3, 3)).square().sum().backward()
    assert norm.weight.grad is None
    assert norm.bias.grad is not None


def test_whitened_patches_have_unit_covariance() -> None:
    torch.manual_seed(0)
    images = F.avg_pool2d(torch.randn(200, 3, 34, 34), 3, stride=1)  # neighbouring pixels alike, as in pictures
    layer = PatchWhitening()
    layer.fit(images)
    rows = F.conv2d(images, layer.weight).permute(0, 2, 3, 1).reshape(-1, 27).double()
    variances = (rows.T @ rows / len(rows)).diagonal()
    values = torch.linalg.eigvalsh(_patch_gram(images)).flip(0)
    torch.testing.assert_close(variances, values / (values + 1e-2), rtol=1e-3, atol=1e-4)
    off = rows.T @ rows / len(rows) - torch.diag(variances)
    assert off.abs().max() < 1e-3


def test_signed_whitening_has_the_negative_of_each_filter_and_a_trained_bias() -> None:
    torch.manual_seed(0)
    images = F.avg_pool2d(torch.randn(200, 3, 34, 34), 3, stride=1)
    layer = PatchWhitening(kernel_size=2, signed=True, bias=True, eps=5e-4)
    layer.fit(images)
    out = layer(images)
    assert out.shape == (200, 24, 31, 31)
    torch.testing.assert_close(out[:, :12], -out[:, 12:])
    rows = out[:, :12].permute(0, 2, 3, 1).reshape(-1, 12).double()
    values = torch.linalg.eigvalsh(_patch_gram(images, side=2)).flip(0)
    torch.testing.assert_close((rows.T @ rows / len(rows)).diagonal(), values / (values + 5e-4), rtol=1e-3, atol=1e-4)
    assert not layer.weight.requires_grad
    assert layer.bias is not None and layer.bias.requires_grad and not layer.bias.any()


@pytest.mark.parametrize(("c_in", "c_out", "groups"), [(3, 8, 1), (8, 3, 1), (4, 12, 2), (6, 6, 6)])
def test_dirac_filters_pass_their_input_channels_on_and_others_are_drawn(c_in: int, c_out: int, groups: int) -> None:
    torch.manual_seed(0)
    conv = nn.Conv2d(c_in, c_out, 3, padding=1, groups=groups)
    drawn = conv.weight.clone()
    initialise(conv, "dirac")
    images = torch.randn(2, c_in, 5, 5)
    out = F.conv2d(images, conv.weight, padding=1, groups=groups)
    of_group = min(c_in, c_out) // groups
    for inputs, made in zip(images.chunk(groups, 1), out.chunk(groups, 1), strict=True):
        torch.testing.assert_close(made[:, :of_group], inputs[:, :of_group])
    for before, after in zip(drawn.chunk(groups), conv.weight.chunk(groups), strict=True):
        assert torch.equal(before[of_group:], after[of_group:])


@pytest.mark.parametrize("name", get_args(Act))
def test_every_activation_is_a_function_of_each_value_that_keeps_its_input(name: Act) -> None:
    values = torch.linspace(-3, 3, 13)
    kept = values.clone()
    out = activation(name).eval()(values)
    assert torch.equal(values, kept)
    assert out.shape == values.shape
    assert not torch.equal(out, values)


def test_initial_weights_have_the_variance_of_their_scheme() -> None:
    torch.manual_seed(0)
    net = nn.Sequential(nn.Conv2d(32, 64, 3), nn.Linear(500, 300))
    expected = {"kaiming": (2 / (64 * 9), 2 / 500), "xavier": (2 / (96 * 9), 2 / 800), "torch": (1 / 864, 1 / 1500)}
    for init in ("torch", "kaiming", "xavier"):  # torch's first: it leaves the weights as the layers drew them
        initialise(net, init)
        for layer, variance in zip(net, expected[init], strict=True):
            assert layer.get_parameter("weight").var().item() == pytest.approx(variance, rel=0.05)
            assert (init == "torch") == bool(layer.get_parameter("bias").any())


def test_a_grouped_convolution_starts_kaiming_with_a_part_of_the_variance() -> None:
    torch.manual_seed(0)
    conv = nn.Conv2d(64, 64, 3, groups=4)
    initialise(conv, "kaiming")
    assert conv.weight.var().item() == pytest.approx(2 / (9 * 64), rel=0.05)  # of a fan out of 9 * 16


def _patch_gram(images: torch.Tensor, side: int = 3) -> torch.Tensor:
    patches = F.unfold(images, side).transpose(1, 2).reshape(-1, 3 * side**2).double()
    return patches.T @ patches / (len(patches) - 1)
