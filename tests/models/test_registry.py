"""Networks by name, their sizes, and any of timm's."""

from typing import Any

import pytest
import torch
from torch import nn

from models import build_model, entry, layers_in_use, measure, model_names, parameters_of, register, sketch_model
from models.layers import batch_norms
from models.measure import count_macs, saved_bytes


def test_a_name_registered_twice_is_refused() -> None:
    def resnet9() -> nn.Module:
        return nn.Identity()

    with pytest.raises(ValueError, match="resnet9"):
        register(source="nowhere", init="torch")(resnet9)


def test_an_unknown_name_or_argument_is_refused() -> None:
    with pytest.raises(KeyError, match="fastresnet"):
        build_model("fastresnet")
    with pytest.raises(TypeError, match="widht"):
        build_model("resnet9", widht=8)


@pytest.mark.parametrize(
    ("name", "bound"),
    [("resnet18", {"depths": (1, 1)}), ("vgg_a_bn", {"norm": "layer"}), ("resnext29_2x32d", {"gate": None})],
)
def test_an_argument_that_makes_the_variant_cannot_be_given(name: str, bound: dict[str, Any]) -> None:
    assert not bound.keys() & parameters_of(name).keys()
    with pytest.raises(TypeError, match=next(iter(bound))):
        sketch_model(name, **bound)


def test_a_variant_that_the_builder_does_not_take_is_refused() -> None:
    with pytest.raises(TypeError, match="depht"):
        register("new", source="nowhere", init="torch", depht=1)(lambda *, depth=2: nn.Identity())


def test_a_network_is_described_by_whole_sentences() -> None:
    assert [name for name in model_names() if not entry(name).about.endswith(".")] == []


def test_any_timm_network_can_be_built() -> None:
    net = build_model("timm/resnet10t", num_classes=7, in_channels=1)
    assert net.eval()(torch.zeros(1, 1, 32, 32)).shape == (1, 7)


@pytest.mark.parametrize("name", ["resnet20", "fastresnet9", "handmade_cnn", "timm/test_resnet"])
def test_every_batch_norm_gets_a_momentum(name: str) -> None:
    momenta = {layer.momentum for layer in batch_norms(sketch_model(name, norm_momentum=0.4))}
    own = {layer.momentum for layer in batch_norms(sketch_model(name))}
    assert (momenta, own) == ({0.4}, {0.1})


@pytest.mark.parametrize("name", ["lenet5", "resnet20", "vgg_a"])
def test_weights_start_by_the_papers_scheme_or_another(name: str) -> None:
    assert parameters_of(name)["init"].default == "paper"
    papers = entry(name).init

    def first_weight(**arguments: Any) -> torch.Tensor:
        torch.manual_seed(0)
        return next(build_model(name, **arguments).parameters())

    torch.testing.assert_close(first_weight(init=papers), first_weight(), rtol=0, atol=0)
    for other in {"torch", "kaiming", "xavier", "dirac"} - {papers}:
        assert not torch.equal(first_weight(init=other), first_weight())


@pytest.mark.parametrize(
    ("name", "parameters"),
    [("timm/resnet18", 11_173_962), ("timm/densenet121", 6_956_426)],  # the second counts a norm in its stem, as timm's
)
def test_a_timm_stem_can_be_made_for_small_images(name: str, parameters: int) -> None:
    net = sketch_model(name, stem="cifar")
    assert measure(net, (3, 32, 32))["parameters"] == parameters
    assert net.forward_features(torch.zeros(1, 3, 32, 32, device="meta")).shape[-1] == 4  # pyright: ignore[reportCallIssue]


@pytest.mark.parametrize(
    "name",
    [
        "legacy_seresnet18",  # its pooling has a name of its own
        "dpn48b",
        "resnetblur50",  # a pooling of stride 1, then a blur of stride 2
        "resnet26t",  # two more convolutions before the pooling
    ],
)
def test_a_small_stem_keeps_no_pooling(name: str) -> None:
    net, image = sketch_model(f"timm/{name}", stem="cifar"), torch.empty(1, 3, 32, 32, device="meta")
    sides = [use.shape[-1] for use in layers_in_use(net, image) if len(use.shape) == 4 and use.shape[-1] > 1]
    assert (sides[0], sides[-1]) == (32, 4)


@pytest.mark.parametrize(
    "name",
    [
        "vit_tiny_patch16_224",  # cuts patches
        "convnext_atto",
        "resnetv2_50x1_bit",  # standardises the weights of its convolutions
        "nf_resnet26",
        "vgg11",  # stride 1: its stem is small already
        "dla34",
    ],
)
def test_a_stem_that_is_no_plain_convolution_of_stride_2_is_refused(name: str) -> None:
    with pytest.raises(ValueError, match=rf"^stem=cifar: {name} does not begin with an overlapping plain convolution"):
        sketch_model(f"timm/{name}", stem="cifar")


@pytest.mark.parametrize("name", ["levit_128s", "coatnet_0_rw_224"])  # attention over maps of one size
def test_a_network_that_small_images_do_not_fit_is_refused(name: str) -> None:
    with pytest.raises(ValueError, match=f"^stem=cifar: {name} does not take images of 32x32: "):
        sketch_model(f"timm/{name}", stem="cifar")


def test_macs_of_one_convolution_are_its_closed_form() -> None:
    conv = nn.Conv2d(3, 8, 3, padding=1, bias=False).to("meta")
    assert count_macs(conv, torch.empty(1, 3, 32, 32, device="meta")) == 3 * 8 * 9 * 32 * 32


def test_a_layer_may_take_a_view_of_a_parameter_where_products_are_counted() -> None:
    """Such as the class token of timm's pit and cait."""

    class Token(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.token, self.frozen = nn.Parameter(torch.zeros(1, 4)), nn.Parameter(torch.zeros(1), requires_grad=False)
            self.layer = nn.Linear(4, 5, bias=False)

        def forward(self, images: torch.Tensor) -> torch.Tensor:
            return self.layer(self.token.expand(len(images), -1))

    net = Token().to("meta")
    assert count_macs(net, torch.empty(1, 3, 32, 32, device="meta")) == 4 * 5
    assert [name for name, each in net.named_parameters() if not each.requires_grad] == ["frozen"]


def test_what_a_backward_pass_keeps_is_counted_once_and_without_weights() -> None:
    """Two linear layers keep the inputs of each, though they save a view of their weights too."""
    net = nn.Sequential(nn.Linear(1000, 1000), nn.Linear(1000, 1000)).to("meta")
    assert saved_bytes(net, torch.empty(1, 1000, device="meta")) == 2 * 1000 * 4


@pytest.mark.parametrize("norm", [nn.BatchNorm2d(8), nn.BatchNorm2d(8, affine=False, track_running_stats=False)])
def test_a_batch_norm_keeps_as_much_on_the_meta_device_as_in_memory(norm: nn.Module) -> None:
    """There its shapes alone are followed."""
    net = nn.Sequential(nn.Conv2d(3, 8, 3), norm, nn.ReLU())
    sizes = [saved_bytes(net.to_empty(device=each), torch.zeros(4, 3, 8, 8, device=each)) for each in ("cpu", "meta")]
    assert sizes[0] == sizes[1] > 2 * 4 * 8 * 6 * 6 * 4


@pytest.mark.parametrize(("channels", "side", "said"), [(7, 4, "7"), (8, 1, "more than 1 value per channel")])
def test_a_batch_norm_that_does_not_fit_is_an_error_of_torch(channels: int, side: int, said: str) -> None:
    net = nn.Sequential(nn.BatchNorm2d(channels)).to("meta")
    with pytest.raises((RuntimeError, ValueError), match=said):
        saved_bytes(net, torch.zeros(1, 8, side, side, device="meta"))


def test_layers_are_listed_in_the_order_of_use_and_left_as_they_were() -> None:
    class Backwards(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.last, self.first = nn.GRU(4, 5), nn.Linear(3, 4)

        def forward(self, input: torch.Tensor) -> torch.Tensor:
            return self.last(self.first(input))[0]

    net = Backwards().train()
    used = layers_in_use(net, torch.zeros(2, 3))
    assert [(use.name, use.shape) for use in used] == [("first", (2, 4)), ("last", (2, 5))]  # a GRU's is a pair
    assert net.training and net.last.training
    assert not net.last._forward_hooks


def test_a_sketch_leaves_the_random_state_alone() -> None:
    before = torch.get_rng_state()
    measure(sketch_model("fastresnet9"), (3, 32, 32))
    assert torch.equal(torch.get_rng_state(), before)
