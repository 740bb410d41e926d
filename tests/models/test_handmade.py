"""BatchNorm and dropout of report 44da, against torch's and their definitions, and their networks."""

from itertools import permutations

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from models import build_model, sketch_model
from models.layers import HandmadeBatchNorm, HandmadeDropout
from models.network import Network

SHAPES = pytest.mark.parametrize("shape", [(6, 5), (6, 5, 4, 3)], ids=["1d", "2d"])
DROPOUTS = pytest.mark.parametrize("kind", [HandmadeDropout, nn.Dropout])  # what holds for torch's holds for ours


@SHAPES
def test_batch_norm_equals_torchs_forward_backward_and_buffers(shape: tuple[int, ...]) -> None:
    torch.manual_seed(0)
    ours, theirs = _pair_of_norms(shape)
    for _ in range(3):
        inputs = 2 * torch.randn(shape) + 1
        _check_same_outputs_and_gradients(ours.train(), theirs.train(), inputs)
        for name in ("running_mean", "running_var"):
            torch.testing.assert_close(ours.get_buffer(name), theirs.get_buffer(name), rtol=1e-6, atol=1e-6)
    _check_same_outputs_and_gradients(ours.eval(), theirs.eval(), torch.randn(shape))


@SHAPES
def test_the_biased_running_variance_is_a_weighted_sum_of_the_batches_own(shape: tuple[int, ...]) -> None:
    torch.manual_seed(0)
    norm = HandmadeBatchNorm(5, momentum=0.25).train()
    batches = [torch.randn(shape) * scale for scale in (1, 3)]
    for batch in batches:
        norm(batch)
    over = [0, *range(2, len(shape))]
    first, second = (batch.var(over, correction=0) for batch in batches)
    torch.testing.assert_close(norm.running_var, 0.75**2 + 0.75 * 0.25 * first + 0.25 * second, rtol=1e-6, atol=1e-6)


@SHAPES
def test_the_two_options_differ_only_in_the_running_variance(shape: tuple[int, ...]) -> None:
    biased, unbiased = HandmadeBatchNorm(5).train(), HandmadeBatchNorm(5, unbiased_running_variance=True).train()
    inputs = torch.randn(shape)
    torch.testing.assert_close(biased(inputs), unbiased(inputs), rtol=0, atol=0)
    torch.testing.assert_close(biased.running_mean, unbiased.running_mean, rtol=0, atol=0)
    count = inputs.numel() / 5
    expected = 0.9 + (biased.running_var - 0.9) * count / (count - 1)
    torch.testing.assert_close(unbiased.running_var, expected, rtol=1e-6, atol=1e-6)


def test_without_a_momentum_the_running_statistics_are_means_over_the_batches() -> None:
    torch.manual_seed(0)
    norm, batches = HandmadeBatchNorm(5, momentum=None).train(), torch.randn(3, 6, 5)
    for batch in batches:
        norm(batch)
    torch.testing.assert_close(norm.running_mean, batches.mean((0, 1)))
    torch.testing.assert_close(norm.running_var, batches.var(1, correction=0).mean(0))


def test_the_variance_of_many_halves_stays_finite() -> None:
    norm = HandmadeBatchNorm(3).half().train()
    norm(torch.randn(70_000, 3, dtype=torch.float16))
    torch.testing.assert_close(norm.running_var, torch.ones(3, dtype=torch.float16), rtol=0.01, atol=0)


def test_batch_norm_of_doubles_is_as_exact_as_torchs() -> None:
    ours, theirs = (norm.double().train() for norm in _pair_of_norms((6, 5)))
    inputs = torch.randn(6, 5, dtype=torch.float64)
    torch.testing.assert_close(ours(inputs), theirs(inputs), rtol=1e-13, atol=1e-13)


def test_batch_norm_of_half_precision_sums_in_single() -> None:
    norm = HandmadeBatchNorm(1).train()
    inputs = torch.full((4096, 1), 100.0, dtype=torch.bfloat16)
    inputs[0] = 101
    assert norm(inputs).dtype == torch.bfloat16
    torch.testing.assert_close(norm.running_mean, torch.tensor([0.1 * (100 + 1 / 4096)]))


@pytest.mark.parametrize("training", [True, False])
def test_batch_norm_put_in_half_precision_is_torchs(training: bool) -> None:
    ours, theirs = (norm.bfloat16().train(training) for norm in _pair_of_norms((6, 5, 4, 3)))
    images = torch.randn(6, 5, 4, 3, dtype=torch.bfloat16)
    torch.testing.assert_close(ours(images), theirs(images), rtol=0.02, atol=0.02)
    for name in ("running_mean", "running_var"):
        torch.testing.assert_close(ours.get_buffer(name), theirs.get_buffer(name), rtol=0.01, atol=0.01)


def test_batch_norm_of_one_value_a_channel_has_no_variance() -> None:
    with pytest.raises(ValueError, match="more than 1 value"):
        HandmadeBatchNorm(5).train()(torch.randn(1, 5))
    assert HandmadeBatchNorm(5).eval()(torch.randn(1, 5)).shape == (1, 5)


@DROPOUTS
@pytest.mark.parametrize("p", [0.2, 0.5])
def test_dropout_divides_kept_units_and_their_gradient(kind: type[nn.Module], p: float) -> None:
    torch.manual_seed(0)
    inputs = torch.rand(8, 50).add(1).requires_grad_()
    out = kind(p).train()(inputs)
    (gradient,) = torch.autograd.grad(out.sum(), inputs)
    mask = (out != 0).float()
    assert 0 < mask.mean() < 1
    torch.testing.assert_close(out, inputs * mask / (1 - p), rtol=1e-6, atol=1e-6)
    torch.testing.assert_close(gradient, mask / (1 - p), rtol=1e-6, atol=1e-6)


@DROPOUTS
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_dropout_keeps_the_expectation(kind: type[nn.Module], dtype: torch.dtype) -> None:
    torch.manual_seed(0)
    out = kind(0.2).train()(torch.ones(2**22, dtype=dtype))
    assert out.float().mean().item() == pytest.approx(1, abs=5 * (0.2 / 0.8 / 2**22) ** 0.5)  # 5 standard deviations


@DROPOUTS
@pytest.mark.parametrize(("p", "training"), [(0.5, False), (0.0, True)])
def test_dropout_leaves_inputs_alone_in_evaluation_and_at_rate_0(
    kind: type[nn.Module], p: float, training: bool
) -> None:
    inputs = torch.randn(4, 5)
    torch.testing.assert_close(kind(p).train(training)(inputs), inputs, rtol=0, atol=0)


def test_layers_keep_channels_last() -> None:
    images = torch.randn(2, 3, 4, 4).to(memory_format=torch.channels_last)
    for layer in (HandmadeBatchNorm(3), HandmadeDropout()):
        assert layer.train()(images).is_contiguous(memory_format=torch.channels_last)


@pytest.mark.parametrize("order", list(permutations(("linear", "norm", "act", "dropout"))), ids="-".join)
def test_an_mlp_has_its_layers_in_any_order(order: tuple[str, ...]) -> None:
    net = build_model("handmade_mlp", order=order, hidden=(7,), in_channels=1, image_size=4)
    theirs = {"linear": nn.Linear, "norm": HandmadeBatchNorm, "act": nn.ReLU, "dropout": HandmadeDropout}
    assert [type(layer) for layer in net.get_submodule("features.block1").children()] == [theirs[o] for o in order]
    assert net(torch.randn(3, 1, 4, 4)).shape == (3, 10)


@pytest.mark.parametrize(
    "order",
    [
        ("linear", "norm", "act", "dropout"),
        ("linear", "norm", "dropout", "act"),  # report 44da, bonus 1
        ("linear", "dropout", "norm", "act"),
        ("linear", "act", "dropout", "norm"),
        ("norm", "act", "linear"),
        ("linear", "act"),
        ("linear",),
    ],
    ids="-".join,
)
def test_a_cnn_equals_torchs_layers_in_the_written_order(order: tuple[str, ...]) -> None:
    torch.manual_seed(0)
    net = build_model("handmade_cnn", order=order, channels=(4, 6), dropout=0.0, image_size=8).train()
    images = torch.randn(3, 3, 8, 8)
    left = iter(list(net.parameters()))
    x = images
    for _ in range(2):
        for word in order:
            if word == "linear":
                x = F.conv2d(x, next(left), next(left), padding=1)
            elif word == "norm":
                x = F.batch_norm(x, None, None, next(left), next(left), training=True)
            elif word == "act":
                x = F.relu(x)
        x = F.max_pool2d(x, 2)
    torch.testing.assert_close(net(images), F.linear(x.flatten(1), next(left), next(left)), rtol=1e-5, atol=1e-5)
    assert next(left, None) is None


def test_an_mlp_equals_its_forward_pass_written_out() -> None:
    torch.manual_seed(0)
    net = build_model("handmade_mlp", hidden=(9, 7), dropout=0.0, act="tanh", in_channels=2, image_size=4).train()
    images = torch.randn(3, 2, 4, 4)
    w = list(net.parameters())
    x = F.batch_norm(F.linear(images.flatten(1), w[0], w[1]), None, None, w[2], w[3], training=True).tanh()
    x = F.batch_norm(F.linear(x, w[4], w[5]), None, None, w[6], w[7], training=True).tanh()
    torch.testing.assert_close(net(images), F.linear(x, w[8], w[9]), rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("name", ["handmade_mlp", "handmade_cnn"])
def test_options_reach_every_layer_made_by_hand(name: str) -> None:
    net = sketch_model(name, dropout=0.1, unbiased_running_variance=True)
    assert isinstance(net, Network)
    norms = [layer for layer in net.modules() if isinstance(layer, HandmadeBatchNorm)]
    dropouts = [layer for layer in net.modules() if isinstance(layer, HandmadeDropout)]
    assert len(norms) == len(dropouts) == sum(part.startswith("block") for part, _ in net.features.named_children())
    assert all(norm.unbiased_running_variance for norm in norms)
    assert all(dropout.p == 0.1 for dropout in dropouts)


@pytest.mark.parametrize(
    ("name", "arguments", "said"),
    [
        ("handmade_mlp", {"order": ("norm", "act")}, r"order=\['norm', 'act'\]: should name 'linear' exactly once"),
        ("handmade_mlp", {"order": ()}, r"order=\[\]: should name 'linear' exactly once"),
        ("handmade_cnn", {"order": ("linear", "act", "linear")}, r"order=.*: should name 'linear' exactly once"),
        ("handmade_cnn", {"channels": (8,) * 6}, r"channels=.*: 6 poolings leave nothing of 32 pixels"),
    ],
)
def test_an_impossible_value_is_named(name: str, arguments: dict[str, object], said: str) -> None:
    with pytest.raises(ValueError, match=f"^{said}[^\n]*$"):
        sketch_model(name, **arguments)


def _pair_of_norms(shape: tuple[int, ...]) -> tuple[HandmadeBatchNorm, nn.Module]:
    """Our norm with torch's running variance, and torch's, with the same scale and shift."""
    ours = HandmadeBatchNorm(5, unbiased_running_variance=True)
    theirs = nn.BatchNorm1d(5) if len(shape) == 2 else nn.BatchNorm2d(5)
    nn.init.uniform_(ours.weight, 0.5, 1.5)
    nn.init.normal_(ours.bias)
    theirs.load_state_dict({**ours.state_dict(), "num_batches_tracked": torch.tensor(0)})
    return ours, theirs


def _check_same_outputs_and_gradients(ours: nn.Module, theirs: nn.Module, inputs: Tensor) -> None:
    upstream = torch.randn_like(inputs)
    results: list[tuple[Tensor, ...]] = []
    for norm in (ours, theirs):
        x = inputs.clone().requires_grad_()
        out = norm(x)
        results.append((out, *torch.autograd.grad(out, [x, *norm.parameters()], upstream)))
    torch.testing.assert_close(results[0], results[1], rtol=1e-6, atol=1e-6)
