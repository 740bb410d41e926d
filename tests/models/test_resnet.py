"""ResNet and ResNeXt against torchvision's and against plain functional forwards with the same weights."""

from collections.abc import Iterator
from itertools import islice

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torchvision.models.resnet import BasicBlock, Bottleneck, ResNet

from models import Network, build_model, sketch_model
from models.layers import GatherExcite
from models.resnet import PaddedIdentity, residual_network

SMALL = {"act": "relu", "norm": "batch", "num_classes": 3, "in_channels": 2}


def test_gather_excite_without_parameters_leaves_the_count_of_resnext29_8x64d() -> None:
    net = sketch_model("ge_resnext29_8x64d", theta="minus")
    assert sum(p.numel() for p in net.parameters()) == 34_426_698  # Xie et al. 2017, table 7: 34.4M


@pytest.mark.parametrize("name", ["resnet18", "resnet50", "resnext29_32x4d"])
def test_outputs_and_statistics_equal_torchvisions(name: str) -> None:
    reference = _torchvisions(name)
    _draw_norms(reference)
    net = build_model(name)
    _carry_over(reference, net)
    images = torch.randn(2, 3, 16, 16)
    for training in (True, False):
        with torch.no_grad():
            expected, logits = reference.train(training)(images), net.train(training)(images)
        torch.testing.assert_close(logits, expected, rtol=1e-5, atol=1e-5)
    for ours, theirs in zip(net.buffers(), reference.buffers(), strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-5, atol=1e-5)


def test_a_padded_identity_takes_every_second_pixel_and_adds_empty_channels() -> None:
    maps = torch.randn(2, 3, 5, 4)
    out = PaddedIdentity(3, 5, 2)(maps)
    assert out.shape == (2, 5, 3, 2)
    for y, x in [(0, 0), (2, 1)]:
        torch.testing.assert_close(out[:, :3, y, x], maps[:, :, 2 * y, 2 * x], rtol=0, atol=0)
    assert not out[:, 3:].any()


def test_thin_resnets_equal_a_plain_forward_with_parameter_free_shortcuts() -> None:
    net = residual_network((2, 2), planes=4, stem_width=4, padded_shortcuts=True, **SMALL).eval()
    _draw_norms(net)
    images = torch.randn(2, 2, 8, 8)
    weights = iter(net.state_dict().values())
    x = _conv_norm(images, weights, padding=1).relu()
    for stride, c_in in [(1, 4), (1, 4), (2, 4), (1, 8)]:
        shortcut = x[:, :, ::stride, ::stride]
        x = _conv_norm(x, weights, stride=stride, padding=1).relu()
        x = _conv_norm(x, weights, padding=1)
        x[:, :c_in] += shortcut
        x = x.relu()
    torch.testing.assert_close(net(images), _head(x, weights), rtol=1e-5, atol=1e-5)


def test_gated_resnext_equals_a_plain_forward() -> None:
    net = residual_network(
        (1, 2),
        bottleneck=True,
        planes=4,
        stem_width=4,
        cardinality=2,
        base_width=64,
        gate=lambda channels, stage: GatherExcite(channels, size=8 // 2**stage),
        **SMALL,
    ).eval()
    _draw_norms(net)
    images = torch.randn(2, 2, 8, 8)
    weights = iter(net.state_dict().values())
    x = _conv_norm(images, weights, padding=1).relu()
    for stride, projected in [(1, True), (2, True), (1, False)]:
        block = _conv_norm(x, weights).relu()
        block = _conv_norm(block, weights, stride=stride, padding=1, groups=2).relu()
        block = _conv_norm(block, weights)
        gate = _conv_norm(block, weights, groups=block.shape[1])
        gate = F.conv2d(F.conv2d(gate, next(weights)).relu(), next(weights)).sigmoid()
        shortcut = _conv_norm(x, weights, stride=stride) if projected else x
        x = (block * gate + shortcut).relu()
    torch.testing.assert_close(net(images), _head(x, weights), rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize(
    ("name", "grouped"),
    [
        ("resnext29_2x32d", [(64, 2), (128, 2), (256, 2)]),
        ("resnext29_2x64d", [(128, 2), (256, 2), (512, 2)]),
        ("resnext29_32x4d", [(128, 32), (256, 32), (512, 32)]),
        ("ge_resnext29_8x64d", [(512, 8), (1024, 8), (2048, 8)]),
    ],
)
def test_groups_are_those_of_the_name(name: str, grouped: list[tuple[int, int]]) -> None:
    net = sketch_model(name)
    convs = [net.get_submodule(f"features.stage{stage}.2.conv2") for stage in (1, 2, 3)]
    assert [(conv.out_channels, conv.groups) for conv in convs if isinstance(conv, nn.Conv2d)] == grouped


@pytest.mark.parametrize(
    ("name", "shapes"),
    [
        ("resnet18", [(64, 32), (64, 32), (128, 16), (256, 8), (512, 4)]),
        ("resnet50", [(64, 32), (256, 32), (512, 16), (1024, 8), (2048, 4)]),
        ("resnet20", [(16, 32), (16, 32), (32, 16), (64, 8)]),
        ("resnext29_2x32d", [(64, 32), (128, 32), (256, 16), (512, 8)]),
        ("ge_resnext29_8x64d", [(64, 32), (256, 32), (512, 16), (1024, 8)]),
    ],
)
def test_stages_halve_the_maps(name: str, shapes: list[tuple[int, int]]) -> None:
    net = sketch_model(name)
    assert isinstance(net, Network)
    maps = net.feature_maps(torch.empty(2, 3, 32, 32, device="meta"))
    assert list(maps) == ["stem", *(f"stage{i}" for i in range(1, len(shapes)))]
    assert [each.shape[1:] for each in maps.values()] == [(c, size, size) for c, size in shapes]


@pytest.mark.parametrize("image_size", [28, 31])
def test_global_gathering_fits_images_of_any_size(image_size: int) -> None:
    net = sketch_model("ge_resnext29_8x64d", image_size=image_size)
    assert net(torch.empty(2, 3, image_size, image_size, device="meta")).shape == (2, 10)


def test_no_activation_works_in_place() -> None:
    assert not [module for module in sketch_model("resnet50").modules() if getattr(module, "inplace", False)]


def test_weights_start_as_in_he_et_al_2015() -> None:
    net = build_model("resnet20")
    weight = net.get_parameter("features.stage3.1.conv1.weight")
    assert weight.std().item() == pytest.approx((2 / (9 * 64)) ** 0.5, rel=0.02)
    assert not net.get_parameter("head.2.bias").any()


def _torchvisions(name: str) -> ResNet:
    """torchvision's network with our stem, and without the fourth stage of ResNeXt."""
    match name:
        case "resnet18":
            net = ResNet(BasicBlock, [2, 2, 2, 2], num_classes=10)
        case "resnet50":
            net = ResNet(Bottleneck, [3, 4, 6, 3], num_classes=10)
        case _:
            net = ResNet(Bottleneck, [3, 3, 3, 1], groups=32, width_per_group=4)
            net.layer4, net.fc = nn.Sequential(), nn.Linear(1024, 10)
    kernel = 1 if name.startswith("resnext") else 3
    net.conv1 = nn.Conv2d(3, 64, kernel, padding=kernel // 2, bias=False)
    net.maxpool = nn.MaxPool2d(1)
    return net


def _carry_over(source: nn.Module, target: nn.Module) -> None:
    """Weights and buffers in their order, which is the same in both."""
    target.load_state_dict(dict(zip(target.state_dict(), source.state_dict().values(), strict=True)))


def _draw_norms(net: nn.Module) -> None:
    for norm in net.modules():
        if isinstance(norm, nn.BatchNorm2d):
            nn.init.uniform_(norm.weight, 0.5, 1.5)
            nn.init.normal_(norm.bias, std=0.1)


def _conv_norm(x: Tensor, weights: Iterator[Tensor], *, stride: int = 1, padding: int = 0, groups: int = 1) -> Tensor:
    """The next convolution and BatchNorm of a state dict, in evaluation."""
    x = F.conv2d(x, next(weights), None, stride, padding, groups=groups)
    weight, bias, mean, var, _ = islice(weights, 5)
    return F.batch_norm(x, mean, var, weight, bias)


def _head(x: Tensor, weights: Iterator[Tensor]) -> Tensor:
    weight, bias = weights
    return x.mean((2, 3)) @ weight.T + bias


def test_stochastic_depth_grows_linearly_and_leaves_evaluation_alone() -> None:
    """Huang et al. 2016, equation 4: block l of L is left out with probability l / L times the last one's."""
    net = build_model("resnet20", stochastic_depth=0.5)
    rates = [layer.drop_prob for layer in net.modules() if type(layer).__name__ == "DropPath"]
    assert rates == pytest.approx([0.5 * block / 9 for block in range(1, 10)])
    plain = build_model("resnet20")
    plain.load_state_dict(net.state_dict())
    images = torch.randn(2, 3, 16, 16)
    with torch.no_grad():
        torch.testing.assert_close(net.eval()(images), plain.eval()(images), rtol=0, atol=0)
    with pytest.raises(ValueError, match=r"stochastic_depth=1\.5"):
        build_model("resnet20", stochastic_depth=1.5)
