"""Networks by name, their sizes, and any of timm's."""

import pytest
import torch
from torch import nn

from models import build_model, measure, register, sketch_model
from models.measure import count_macs


def test_a_name_registered_twice_is_refused() -> None:
    def resnet9() -> nn.Module:
        return nn.Identity()

    with pytest.raises(ValueError, match="resnet9"):
        register(source="nowhere")(resnet9)


def test_an_unknown_name_or_argument_is_refused() -> None:
    with pytest.raises(KeyError, match="fastresnet"):
        build_model("fastresnet")
    with pytest.raises(TypeError, match="widht"):
        build_model("resnet9", widht=8)


def test_any_timm_network_can_be_built() -> None:
    net = build_model("timm/resnet10t", num_classes=7, in_channels=1)
    assert net.eval()(torch.zeros(1, 1, 32, 32)).shape == (1, 7)


@pytest.mark.parametrize(
    ("name", "parameters"),
    [("timm/resnet18", 11_173_962), ("timm/densenet121", 6_956_426)],  # the second counts a norm in its stem, as timm's
)
def test_a_timm_stem_can_be_made_for_small_images(name: str, parameters: int) -> None:
    net = sketch_model(name, stem="cifar")
    assert measure(net, (3, 32, 32))["parameters"] == parameters
    assert net.forward_features(torch.zeros(1, 3, 32, 32, device="meta")).shape[-1] == 4  # pyright: ignore[reportCallIssue]


@pytest.mark.parametrize("name", ["timm/vit_tiny_patch16_224", "timm/convnext_atto"])
def test_a_stem_that_cuts_patches_is_refused(name: str) -> None:
    with pytest.raises(ValueError, match=r"stem=cifar: .* does not begin with an overlapping convolution of stride 2"):
        sketch_model(name, stem="cifar")


def test_macs_of_one_convolution_are_its_closed_form() -> None:
    conv = nn.Conv2d(3, 8, 3, padding=1, bias=False).to("meta")
    assert count_macs(conv, torch.empty(1, 3, 32, 32, device="meta")) == 3 * 8 * 9 * 32 * 32


def test_a_sketch_leaves_the_random_state_alone() -> None:
    before = torch.get_rng_state()
    measure(sketch_model("fastresnet9"), (3, 32, 32))
    assert torch.equal(torch.get_rng_state(), before)
