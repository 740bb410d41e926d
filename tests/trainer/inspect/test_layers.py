"""Maps, Grad-CAM, filters and statistics of networks that are small enough to be worked out otherwise."""

import copy
import math
from collections.abc import Callable
from typing import Any

import pytest
import timm
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from models import build_model
from models.network import Network
from trainer.errors import ConfigError
from trainer.inspect.grad_cam import grad_cam
from trainer.inspect.layers import (
    check_layers,
    feature_maps,
    first_filters,
    has_maps,
    last_maps,
    output_shapes,
    stages,
    statistics,
)


def drawn(*shape: int) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(0))


def small(name: str, **arguments: Any) -> nn.Module:
    torch.manual_seed(0)
    return build_model(name, **arguments).eval()


def averaging_network() -> Network:
    """Two convolutions, then the mean over positions and one linear layer: the network that CAM is made for."""
    torch.manual_seed(0)
    conv = nn.Sequential(nn.Conv2d(8, 6, 3, padding=1), nn.ReLU(inplace=True))
    features = {"one": nn.Conv2d(3, 8, 3, stride=2), "two": conv}
    return Network(features, nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(6, 4))).eval()


def test_grad_cam_of_an_averaging_network_is_its_class_activation_map() -> None:
    net, images, classes = averaging_network(), drawn(5, 3, 12, 12), torch.tensor([0, 1, 2, 3, 1])
    maps = net.features(images)
    weights = net.head[2].weight[classes]  # pyright: ignore[reportIndexIssue]  # [N, F]
    cam = torch.einsum("nf,nfhw->nhw", weights, maps).relu() / maps[0, 0].numel()  # Selvaraju et al. 2017, section 3.1
    enlarged = F.interpolate(cam[:, None], size=(12, 12), mode="bilinear")[:, 0]
    torch.testing.assert_close(grad_cam(net, images, "features.two", classes), enlarged.detach())


def test_grad_cam_equals_a_plain_second_implementation_by_finite_differences() -> None:
    net, image = small("lenet5", image_size=16).double(), drawn(1, 3, 16, 16).double()
    maps = net.features(image).detach()  # pyright: ignore[reportCallIssue]
    assert isinstance(net, Network)
    slope = torch.zeros_like(maps)
    for place in range(maps.numel()):
        nudge = torch.zeros_like(maps).flatten()
        nudge[place] = 1e-6
        up, down = net.head(maps + nudge.view_as(maps)), net.head(maps - nudge.view_as(maps))
        slope.view(-1)[place] = (up[0, 7] - down[0, 7]) / 2e-6
    cam = sum((slope[0, f].mean() * maps[0, f] for f in range(maps.shape[1])), torch.zeros(1)).relu()
    enlarged = F.interpolate(cam[None, None], size=(16, 16), mode="bilinear")[0]
    found = grad_cam(net, image, "features", torch.tensor([7]))
    torch.testing.assert_close(found, enlarged.float().detach(), rtol=1e-4, atol=1e-6)


def test_grad_cam_leaves_the_network_as_it_was() -> None:
    net = small("fastresnet9", width=4)
    before = copy.deepcopy(net.state_dict())
    grad_cam(net, drawn(1, 3, 32, 32), "features.block1", torch.tensor([0]))
    torch.testing.assert_close(net.state_dict(), before, rtol=0, atol=0)
    assert all(parameter.grad is None for parameter in net.parameters())


def test_feature_maps_are_those_that_the_network_itself_names() -> None:
    net, images = small("vgg_a_bn", width=4), drawn(2, 3, 32, 32)
    assert isinstance(net, Network)
    with torch.no_grad():
        own = net.feature_maps(images)
    found = feature_maps(net, images, [f"features.{name}" for name in own])
    torch.testing.assert_close(list(found.values()), list(own.values()))


def test_a_map_is_the_output_of_its_layer_even_if_the_next_works_in_place() -> None:
    net, images = averaging_network(), drawn(1, 3, 8, 8)
    found = feature_maps(net, images, ["features.two.0"])["features.two.0"]
    assert found.min() < 0  # the ReLU after it has not reached it


@pytest.mark.parametrize(
    ("name", "shown", "last"),
    [
        ("vgg_a_bn", ["stage1", "stage2", "stage3", "stage4"], "features.stage5.5"),  # the last pooling leaves 1x1
        ("lenet5", ["stage1", "stage2"], "features.stage2"),
        ("resnet20", ["stem", "stage1", "stage2", "stage3"], "features.stage3.2"),
    ],
)
def test_the_layers_that_are_shown_by_default(name: str, shown: list[str], last: str) -> None:
    net = small(name)
    shapes = output_shapes(net, drawn(1, 3, 32, 32))
    assert stages(net, shapes) == [f"features.{each}" for each in shown]
    assert (last_maps(net, shapes) or "").startswith(last)


@pytest.mark.parametrize("name", ["timm/test_resnet", "timm/test_convnext", "timm/test_efficientnet"])
def test_networks_of_timm_have_maps_and_filters_too(name: str) -> None:
    net, images = small(name), drawn(1, 3, 64, 64)
    shapes = output_shapes(net, images)
    layer = last_maps(net, shapes)
    assert stages(net, shapes) and layer
    assert grad_cam(net, images, layer, torch.tensor([3])).shape == (1, 64, 64)
    filters = first_filters(net, shapes, channels=3)
    assert filters is not None and filters.weights.shape[1] == 3


def test_a_vision_transformer_has_no_convolutional_features() -> None:
    net, images = small("timm/test_vit", img_size=32), drawn(1, 3, 32, 32)
    shapes = output_shapes(net, images)
    assert (stages(net, shapes), last_maps(net, shapes)) == ([], None)
    filters = first_filters(net, shapes, channels=3)
    assert filters is not None and filters.layer == "patch_embed.proj"


def test_filters_come_in_the_order_of_the_layer() -> None:
    net = averaging_network()
    conv = net.features.get_submodule("one")
    assert isinstance(conv, nn.Conv2d)
    with torch.no_grad():
        conv.weight.copy_(torch.arange(8.0).view(8, 1, 1, 1).expand_as(conv.weight))
    filters = first_filters(net, output_shapes(net, drawn(1, 3, 8, 8)), channels=3)
    assert filters is not None
    assert (filters.layer, filters.weights[:, 0, 0, 0].tolist()) == ("features.one", [0, 1, 2, 3, 4, 5, 6, 7])


def test_a_network_that_begins_with_a_linear_layer_has_no_filters() -> None:
    net = small("handmade_mlp", image_size=8)
    shapes = output_shapes(net, drawn(1, 3, 8, 8))
    assert first_filters(net, shapes, channels=3) is None and last_maps(net, shapes) is None


def test_statistics_of_a_layer_that_is_known() -> None:
    layer = nn.Conv2d(1, 2, 1, bias=False)
    net = nn.Sequential(layer, nn.ReLU())
    with torch.no_grad():
        layer.weight.copy_(torch.tensor([3.0, -4.0]).view(2, 1, 1, 1))
    conv, relu = statistics(net, torch.tensor([1.0, 2.0]).view(2, 1, 1, 1))  # outputs 3 6 and -4 -8, then 3 6 and 0 0
    assert conv["weight_norm"] == 5 and conv["weight_mean"] == -0.5 and conv["weight_std"] == 3.5
    assert conv["activation_mean"] == -0.75 and conv["dead"] == 0
    assert conv["activation_std"] == pytest.approx(math.sqrt((9 + 36 + 16 + 64) / 4 - 0.75**2))
    assert relu["dead"] == 0.5 and relu["weight_norm"] is None


def swin() -> tuple[nn.Module, nn.Module]:
    sizes = {"depths": (1, 1, 1, 1), "embed_dim": 24, "num_heads": (1, 2, 3, 4)}
    net: Any = timm.create_model("swin_tiny_patch4_window7_224", img_size=32, num_classes=10, **sizes).eval()
    return net, net.layers[0].blocks[0].norm1


def convnext() -> tuple[nn.Module, nn.Module]:
    net: Any = timm.create_model("convnext_tiny", depths=(1, 1, 1, 1), dims=(10, 12, 16, 20), num_classes=10).eval()
    return net, net.stages[0].blocks[0].norm


@pytest.mark.parametrize("build", [swin, convnext])
def test_dead_channels_of_outputs_with_channels_last_are_those_of_the_last_axis(
    build: Callable[[], tuple[nn.Module, Any]],
) -> None:
    """Before: their second axis was taken, which is the height, and none was dead."""
    net, norm = build()
    with torch.no_grad():
        norm.weight[: len(norm.weight) // 2] = 0
        norm.bias[: len(norm.weight) // 2] = 0
    (name,) = [name for name, layer in net.named_modules() if layer is norm]
    rows = {row["layer"]: row for row in statistics(net, drawn(4, 3, 32, 32))}
    assert rows[name]["dead"] == 0.5
    assert {row["dead"] for other, row in rows.items() if other != name and row["kind"] != "Identity"} == {0}


def test_maps_inside_a_block_with_channels_last_are_no_maps() -> None:
    """Before: a linear layer's output [N, 1, 1, C] was the last one with maps, of one channel, for Grad-CAM."""
    net, _ = convnext()
    shapes = output_shapes(net, drawn(2, 3, 32, 32))
    assert shapes["stages.0.blocks.0.mlp.act"] == (2, 64, 40)
    assert shapes["stages.0"] == (2, 10, 8, 8) and shapes["stages.1.blocks.0.conv_dw"] == (2, 12, 4, 4)
    last = last_maps(net, shapes)
    assert last and has_maps(shapes[last]) and "mlp" not in last


def test_statistics_of_a_network_of_nan_are_null() -> None:
    layer = nn.Conv2d(1, 2, 1)
    nn.init.constant_(layer.weight, math.nan)
    (row,) = statistics(nn.Sequential(layer), torch.ones(1, 1, 2, 2))
    assert row["activation_mean"] is None and row["weight_norm"] is None and row["dead"] == 0


def test_an_unknown_layer_is_one_line_with_the_nearest() -> None:
    shapes = output_shapes(small("lenet5"), drawn(1, 3, 32, 32))
    with pytest.raises(ConfigError) as raised:
        check_layers(["features.stage3", "features.stage1", "head"], shapes)
    assert raised.value.problems == (
        "--layers: no layer is called 'features.stage3'; did you mean 'features.stage2'?",
        "--layers: 'head' has no maps of more than one pixel: its output is 10",
    )
