"""Every network by name: its published size, its shape, its gradient, and that it can be trained."""

import copy
import inspect
import re
import shutil
from typing import Any, get_args

import pytest
import torch
from torch import nn
from twins import EACH_CODE, TWINS

from models import Network, build_model, entry, model_names, parameters_of, registry, sketch_model
from models.layers import GhostBatchNorm, HandmadeBatchNorm, activation
from trainer.data.shapes10 import draw_shapes10

EVERY = pytest.mark.parametrize("name", model_names())
AT_LEAST = {"airbench": 16, "alexnet": 32, "lenet5": 16, "vgg": 32}  # pixels, by the start of a name; others take 8

EXACT = {
    "airbench94": 1_972_792,
    "airbench95": 4_606_520,
    "airbench96": 9_918_776,
    "alexnet": 2_472_266,
    "basic_cnn": 1_147_466,
    "densenet100_bc": 769_162,
    "densenet121": 6_956_298,
    "fastresnet9": 6_573_849,
    "ge_resnext29_8x64d": 36_329_802,
    "handmade_cnn": 157_962,
    "handmade_mlp": 1_579_530,
    "improved_cnn": 12_906_250,
    "lenet5": 62_006,
    "res9": 2_274_986,
    "residual_cnn": 2_816_074,
    "resnet110": 1_727_962,
    "resnet18": 11_173_962,
    "resnet20": 269_722,
    "resnet34": 21_282_122,
    "resnet50": 23_520_842,
    "resnet56": 853_018,
    "resnet9": 6_573_120,
    "resnext29_2x32d": 2_297_418,
    "resnext29_2x64d": 9_128_778,
    "resnext29_32x4d": 4_774_218,
    "simp_res9": 887_082,
    "vgg_a": 9_750_922,
    "vgg_a_bn": 9_756_426,
    "vgg_b": 9_935_434,
    "vgg_d": 15_245_130,
    "vgg_e": 20_554_826,
    "wide_resnet16x8": 10_965_866,
    "wide_resnet28x10": 36_489_290,
}
NARROW: dict[str, dict[str, Any]] = {  # fewer channels, where the network has an argument for them
    "airbench94": {"widths": (16, 32, 32)},
    "fastresnet9": {"width": 8},
    "resnet9": {"width": 8},
    "vgg_a": {"width": 8},
    "vgg_a_bn": {"width": 8},
}
WIDE = ("ge_resnext29_8x64d", "improved_cnn", "residual_cnn", "resnet18", "resnet50", "wide_resnet16x8")
IN_BFLOAT16: list[Any] = [pytest.param(name, marks=pytest.mark.slow) if name in WIDE else name for name in EACH_CODE]
"""A wide one takes 2 to 9 s in bfloat16 without hardware for it. Its layers are in the others, or are tried alone."""
NORMS: dict[str, type[nn.Module]] = {
    "batch": nn.BatchNorm2d,
    "ghost": GhostBatchNorm,
    "group": nn.GroupNorm,
    "layer": nn.GroupNorm,
    "handmade": HandmadeBatchNorm,
}


@EVERY
def test_the_parameter_count_is_the_published_one(name: str) -> None:
    """Compare exact counts if a report prints one, else the printed digits."""
    count, published = sum(p.numel() for p in sketch_model(name).parameters()), entry(name).published
    assert count == EXACT[name]
    if in_millions := re.fullmatch(r"\d+\.(\d+)M", published):
        assert f"{count / 1e6:.{len(in_millions[1])}f}M" == published
    elif published and entry(name).settled:
        assert f"{count:,}" == published


@pytest.mark.parametrize(("name", "printed"), [("resnet18", "42.7"), ("res9", "8.7"), ("simp_res9", "3.41")])
def test_the_saved_weights_are_as_large_as_report_f2d6_prints(name: str, printed: str) -> None:
    """Sizes are in MiB and include the file's 295 bytes or so a tensor, which vary with the names in it."""
    state = sketch_model(name).state_dict().values()
    mib = sum(value.nbytes + 295 for value in state) / 2**20
    assert f"{mib:.{len(printed.split('.')[1])}f}" == printed
    assert f"{printed} MB" in entry(name).published + entry(name).note


def shell(name: str, **arguments: Any) -> nn.Module:
    """Return a network without initial weights: all are zero. Shapes are faster to see so than on the meta device."""
    net = sketch_model(name, image_size=size_for(name), **arguments).to_empty(device="cpu")
    for value in net.state_dict().values():
        value.zero_()
    return net


def size_for(name: str) -> int:
    """Return how large the images are that a network is tried with: a sixteenth of the pixels where it takes them."""
    return next((pixels for start, pixels in AT_LEAST.items() if name.startswith(start)), 8)


@EVERY
@pytest.mark.parametrize("number", [1, 3, 10])
@torch.no_grad()
def test_any_number_of_channels_and_classes(name: str, number: int) -> None:
    net = shell(name, in_channels=number, num_classes=number)
    assert net.eval()(torch.zeros(1, number, size_for(name), size_for(name))).shape == (1, number)


@EVERY
@torch.no_grad()
def test_features_then_head_is_the_network(name: str) -> None:
    net, images = shell(name).eval(), torch.zeros(2, 3, size_for(name), size_for(name))
    assert isinstance(net, Network)
    *_, last = net.feature_maps(images).values()
    assert last.shape == net.forward_features(images).shape
    net.head = nn.Flatten()  # a new head
    assert net(images).shape == (2, last.numel() // 2)


@pytest.mark.parametrize("name", EACH_CODE)
@torch.no_grad()
def test_its_choices_by_name_change_what_is_built(name: str) -> None:
    takes = parameters_of(name)
    kinds = _kinds(sketch_model(name, act="prelu"))
    assert nn.PReLU in kinds
    assert type(activation(takes["act"].default)) not in kinds
    for norm in get_args(takes["norm"].annotation) if "norm" in takes else ():
        net = shell(name, norm=norm)
        assert net(torch.zeros(2, 3, size_for(name), size_for(name))).shape == (2, 10)
        assert _kinds(net) & set(NORMS.values()) == {kind for key, kind in NORMS.items() if key == norm}


@pytest.mark.parametrize(("name", "twin"), TWINS.items())
def test_a_network_and_its_twin_differ_in_numbers_alone(name: str, twin: str) -> None:
    """So arguments that build the one build the other."""
    one, other = (inspect.getclosurevars(registry._BUILDERS[each]).nonlocals for each in (name, twin))
    assert one["build"] is other["build"]
    assert one["variant"].keys() == other["variant"].keys()
    assert parameters_of(name).keys() == parameters_of(twin).keys()
    for key, ours in one["variant"].items():
        theirs = other["variant"][key]
        assert ours == theirs or _is_numbers(ours, like=theirs)


def _is_numbers(value: object, *, like: object) -> bool:
    """Return whether two values are whole numbers, or lists of them."""
    if isinstance(value, tuple) and isinstance(like, tuple):
        return all(map(_is_int, value + like))
    return _is_int(value) and _is_int(like)


def _is_int(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def _kinds(net: nn.Module) -> set[type[nn.Module]]:
    """Kinds of its layers, without those of gather-excite's bottleneck, whose ReLU is not a choice."""
    return {type(layer) for name, layer in net.named_modules() if ".excite." not in name}


@pytest.mark.parametrize("name", EACH_CODE)
def test_gradient_evaluation_and_state(name: str) -> None:
    """Gradient reaches every trainable parameter, also channels last. Evaluation gives the same logits again, for one
    image alone and channels last too. A state dict carries over."""
    torch.manual_seed(0)
    images = torch.randn(4, 3, size_for(name), size_for(name))
    net = build_model(name, image_size=size_for(name))
    assert _without_gradient(net, images, torch.float32) == []
    net.eval()
    other = sketch_model(name, image_size=size_for(name)).eval()
    other.load_state_dict(net.state_dict(), assign=True)  # a number that is in no state dict would stay on meta
    with torch.no_grad():
        logits = net(images)
        torch.testing.assert_close(net(images), logits, rtol=0, atol=0)
        torch.testing.assert_close(other(images), logits, rtol=0, atol=0)
        torch.testing.assert_close(net(images[:1]), logits[:1], rtol=1e-4, atol=1e-4)
        net.to(memory_format=torch.channels_last)  # pyright: ignore[reportCallIssue]
        images = images.contiguous(memory_format=torch.channels_last)
        torch.testing.assert_close(net(images), logits, rtol=1e-3, atol=1e-3)
    assert _without_gradient(net, images, torch.float32) == []


@pytest.mark.parametrize("name", IN_BFLOAT16)
def test_gradient_reaches_every_parameter_in_bfloat16(name: str) -> None:
    torch.manual_seed(0)
    images = torch.randn(4, 3, size_for(name), size_for(name))
    net = build_model(name, image_size=size_for(name), **NARROW.get(name, {}))
    assert _without_gradient(net, images, torch.bfloat16) == []


def _without_gradient(net: nn.Module, images: torch.Tensor, dtype: torch.dtype) -> list[str]:
    """Return the trainable parameters that a training step does not reach."""
    net.train().zero_grad()
    with torch.autocast("cpu", dtype, enabled=dtype != torch.float32):
        logits = net(images)
    assert logits.isfinite().all()
    nn.functional.cross_entropy(logits.float(), torch.arange(4)).backward()
    trained = [(key, p.grad) for key, p in net.named_parameters() if p.requires_grad]
    return [key for key, grad in trained if grad is None or not grad.any()]


@pytest.mark.slow
@EVERY
def test_it_compiles_as_one_graph_to_the_same_numbers(name: str) -> None:
    """Trace autograd's graph and run it as it is, without compiled kernels."""
    torch.manual_seed(0)
    torch.compiler.reset()
    net, images = build_model(name).eval(), torch.randn(2, 3, 32, 32)
    compiled = torch.compile(net, backend="aot_eager", fullgraph=True)
    torch.testing.assert_close(compiled(images), net(images), rtol=1e-4, atol=1e-4)
    net.train()
    compiled(images).sum().backward()
    assert all(p.grad is not None for p in net.parameters() if p.requires_grad)


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("g++") is None, reason="Inductor's kernels for a CPU are C++")
@pytest.mark.parametrize(("name", "arguments"), [("fastresnet9", {"width": 8, "ghost_size": 2}), ("resnet18", {})])
def test_inductors_kernels_train_to_the_same_numbers(name: str, arguments: dict[str, int]) -> None:
    """Use double precision, where rounding explains no difference."""
    torch.manual_seed(0)
    torch.compiler.reset()
    net, images = build_model(name, **arguments).double().train(), torch.randn(4, 3, 32, 32, dtype=torch.float64)
    plain = copy.deepcopy(net)
    compiled = torch.compile(net, fullgraph=True)
    for each in (compiled, plain):
        nn.functional.cross_entropy(each(images), torch.arange(4)).backward()
    for ours, theirs in zip(net.parameters(), plain.parameters(), strict=True):
        torch.testing.assert_close(ours.grad, theirs.grad, rtol=1e-6, atol=1e-9)
    torch.testing.assert_close(net.state_dict(), plain.state_dict(), rtol=1e-6, atol=1e-9)  # the running statistics
    net.eval()
    torch.testing.assert_close(compiled(images), plain.eval()(images), rtol=1e-6, atol=1e-9)


@pytest.mark.slow
@EVERY
def test_a_hundred_steps_on_shapes10_lower_the_loss(name: str) -> None:
    torch.manual_seed(0)
    net, train = build_model(name).train(), draw_shapes10(800, 10).train
    optimizer = torch.optim.AdamW(net.parameters(), lr=1e-3)
    losses: list[float] = []
    for step in range(100):
        now = slice(8 * step, 8 * (step + 1))
        loss = nn.functional.cross_entropy(net(train.images[now] / 128 - 1), train.labels[now])
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    first, last = sum(losses[:20]) / 20, sum(losses[-20:]) / 20
    print(f"{name}: {first:.3f} -> {last:.3f}")
    assert last < first
