"""VGG against torchvision's layers and a head written out."""

from typing import Literal

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torchvision.models.vgg import cfgs, make_layers

from models import build_model, entry, sketch_model
from models.network import Network


def test_batch_norm_adds_less_than_the_report_prints() -> None:
    """Report a0b5 prints 0.067 percent, which the eight BatchNorm2d are not; one more BatchNorm1d(512) would be."""
    plain, normed = _parameters(sketch_model("vgg_a")), _parameters(sketch_model("vgg_a_bn"))
    assert normed == _parameters(sketch_model("vgg_a", norm="batch"))
    assert normed - plain == 2 * (64 + 128 + 2 * 256 + 4 * 512)
    assert f"{(normed - plain) / plain:+.4%}" == "+0.0564%"
    assert f"{(normed - plain + 2 * 512) / plain:+.3%}" == entry("vgg_a_bn").published == "+0.067%"
    assert not entry("vgg_a_bn").settled


@pytest.mark.parametrize("norm", ["none", "batch"])
@pytest.mark.parametrize("column", ["A", "E"])
def test_features_equal_torchvisions(column: str, norm: Literal["none", "batch"]) -> None:
    theirs = make_layers(cfgs[column], batch_norm=norm == "batch").train()
    ours = build_model(f"vgg_{column.lower()}", norm=norm, head_width=1).train()
    assert isinstance(ours, Network)
    _carry(theirs, ours.features)
    images = torch.randn(2, 3, 32, 32)
    torch.testing.assert_close(ours.forward_features(images), theirs(images), rtol=1e-5, atol=1e-5)
    torch.testing.assert_close(  # with the running statistics that the batch left
        ours.eval().forward_features(images), theirs.eval()(images), rtol=1e-5, atol=1e-5
    )


@pytest.mark.parametrize(("column", "name"), [("A", "vgg_a_bn"), ("B", "vgg_b"), ("D", "vgg_d")])
def test_the_other_columns_have_torchvisions_layers(column: str, name: str) -> None:
    with torch.device("meta"):
        theirs = make_layers(cfgs[column], batch_norm=name.endswith("_bn"))
    kinds = [(type(layer), layer.extra_repr()) for layer in theirs if not isinstance(layer, nn.ReLU)]
    features = sketch_model(name).get_submodule("features")
    ours = [layer for layer in features.modules() if isinstance(layer, nn.Conv2d | nn.BatchNorm2d | nn.MaxPool2d)]
    assert [(type(layer), layer.extra_repr()) for layer in ours] == kinds


def test_the_head_is_three_linear_layers_with_dropout_between() -> None:
    head = build_model("vgg_a", head_width=8, dropout=0.5, image_size=64).get_submodule("head")
    maps = torch.randn(2, 512, 2, 2)
    w = list(head.parameters())
    hidden = F.relu(F.linear(F.relu(F.linear(maps.flatten(1), w[0], w[1])), w[2], w[3]))
    torch.testing.assert_close(head.eval()(maps), F.linear(hidden, w[4], w[5]))
    places = [type(layer) for layer in head.children()]
    assert places == [nn.Flatten, *(nn.Linear, nn.ReLU, nn.Dropout) * 2, nn.Linear]


def test_the_papers_initialisation_is_xaviers() -> None:
    weight = build_model("vgg_a", head_width=8).get_parameter("features.stage4.0.weight")
    assert weight.std().item() == pytest.approx((2 / (9 * (256 + 512))) ** 0.5, rel=0.01)


def test_images_that_the_poolings_use_up_are_refused() -> None:
    with pytest.raises(ValueError, match=r"^image_size=31: should be at least 32[^\n]*$"):
        sketch_model("vgg_a", image_size=31)


def _parameters(net: nn.Module) -> int:
    return sum(p.numel() for p in net.parameters())


def _carry(source: nn.Module, target: nn.Module) -> None:
    """Copy weights and buffers in their order, with new random ones for the norms so that they matter."""
    for p in source.parameters():
        if p.ndim == 1:
            nn.init.uniform_(p, 0.5, 1.5)
    tensors: list[Tensor] = list(source.state_dict().values())
    target.load_state_dict(dict(zip(target.state_dict(), tensors, strict=True)))
