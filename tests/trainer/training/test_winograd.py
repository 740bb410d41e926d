"""Convolutions by Winograd's method: values, both gradients, which layers are computed so, and whole runs."""

import copy
from collections.abc import Callable

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn
from torch._subclasses import FakeTensorMode
from torch.autograd import forward_ad, gradcheck, gradgradcheck

from models import build_model
from trainer.training import winograd
from trainer.training.winograd import convolve, with_winograd

SIDES = st.integers(2, 6)


def tensors(n: int, c: int, o: int, height: int, width: int, *, last: bool = True) -> tuple[Tensor, Tensor]:
    draw = torch.Generator().manual_seed(n + 10 * c + 1000 * o + height * width)
    images = torch.randn(n, c, height, width, generator=draw, dtype=torch.float64)
    weight = torch.randn(o, c, 3, 3, generator=draw, dtype=torch.float64)
    return images.contiguous(memory_format=torch.channels_last) if last else images, weight


def outcome(convolution: Callable[..., Tensor], images: Tensor, weight: Tensor, grad: Tensor) -> list[Tensor]:
    """Return the value and the gradients of images and weights."""
    leaves = [tensor.clone().requires_grad_() for tensor in (images, weight)]
    value = convolution(*leaves)
    return [value.detach(), *torch.autograd.grad(value, leaves, grad)]


def plain(images: Tensor, weight: Tensor) -> Tensor:
    return F.conv2d(images, weight, padding=1)


@given(
    st.integers(1, 5),
    st.sampled_from([1, 3, 16, 33]),
    st.sampled_from([1, 5, 16, 40]),
    st.integers(1, 13),
    st.integers(1, 13),
    SIDES,
    st.sampled_from([1, 7, 128]),
    st.booleans(),
)
def test_value_and_gradients_are_those_of_conv2d(
    n: int, c: int, o: int, height: int, width: int, side: int, at_once: int, last: bool
) -> None:
    images, weight = tensors(n, c, o, height, width, last=last)
    grad = torch.randn_like(plain(images, weight))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(winograd, "_TILES_AT_ONCE", at_once)
        ours = outcome(lambda x, w: convolve(x, w, side=side), images, weight, grad)
    for found, true in zip(ours, outcome(plain, images, weight, grad), strict=True):
        assert torch.allclose(found, true, rtol=1e-10, atol=1e-10)


@settings(max_examples=20)
@given(st.integers(2, 16), st.sampled_from([(64, 160), (96, 96), (130, 71)]), SIDES)
def test_in_float32_it_is_within_200_roundings_of_float64(size: int, channels: tuple[int, int], side: int) -> None:
    images, weight = tensors(4, *channels, size, size)
    single = [tensor.float() for tensor in (images, weight, torch.randn_like(plain(images, weight)))]
    exact = outcome(plain, *(tensor.double() for tensor in single))
    ours = outcome(lambda x, w: convolve(x, w, side=side), *single)
    for found, true in zip(ours, exact, strict=True):
        assert float((found - true).norm()) <= 200 * 2**-24 * float(true.norm())


@pytest.mark.parametrize("wanted", [(True, False), (False, True)])
def test_only_the_gradients_that_are_wanted_are_computed(wanted: tuple[bool, bool]) -> None:
    leaves = [tensor.requires_grad_(want) for tensor, want in zip(tensors(2, 3, 4, 6, 5), wanted, strict=True)]
    convolve(*leaves).sum().backward()
    assert [leaf.grad is not None for leaf in leaves] == list(wanted)


def test_it_can_be_differentiated_twice() -> None:
    leaves = tuple(tensor.requires_grad_() for tensor in tensors(2, 2, 3, 3, 4))
    assert gradcheck(convolve, leaves)
    assert gradgradcheck(convolve, leaves)


def test_the_side_of_the_tiles_is_the_one_of_least_work() -> None:
    quickest = {(64, 15, 256): 5, (256, 7, 256): 4, (256, 6, 256): 6, (256, 3, 256): 3, (512, 2, 512): 2}
    for (channels, size, out), side in quickest.items():
        assert winograd._side_of_least_work(channels, size, size, out) == side


def test_layers_are_chosen_by_their_shape() -> None:
    chosen = [nn.Conv2d(64, 144, 3, padding=1), nn.Conv2d(96, 96, 3, padding=1, bias=False)]
    others = [
        nn.Conv2d(64, 64, 3, padding=1), nn.Conv2d(63, 512, 3, padding=1), nn.Conv2d(128, 128, 3),
        nn.Conv2d(128, 128, 3, padding=1, stride=2), nn.Conv2d(128, 128, 3, padding=1, groups=2),
        nn.Conv2d(128, 128, 3, padding=2, dilation=2), nn.Conv2d(128, 128, 5, padding=2),
        nn.Conv2d(128, 128, 3, padding="same"), nn.Conv2d(128, 128, 3, padding=1, padding_mode="reflect"),
    ]  # fmt: skip
    with_winograd(nn.ModuleList([*chosen, *others]))
    assert {type(layer) for layer in chosen} == {winograd.Conv2d} and {type(layer) for layer in others} == {nn.Conv2d}
    assert str(chosen[0]).startswith("Conv2d(64, 144")


@pytest.fixture
def noted(monkeypatch: pytest.MonkeyPatch) -> list[tuple[int, ...]]:
    """The shapes of the images that were convolved by this method."""
    shapes: list[tuple[int, ...]] = []
    convolve = winograd.convolve

    def noting(images: Tensor, weight: Tensor) -> Tensor:
        shapes.append(tuple(images.shape))
        return convolve(images, weight)

    monkeypatch.setattr(winograd, "convolve", noting)
    return shapes


def wide_layer() -> tuple[nn.Conv2d, Tensor]:
    """Return a layer and images that are just enough for it."""
    layer = nn.Conv2d(96, 96, 3, padding=1, bias=False)
    with_winograd(layer)
    return layer, torch.randn(16, 96, 8, 8).contiguous(memory_format=torch.channels_last)


def test_a_layer_leaves_to_torch_what_it_is_no_faster_at(noted: list[tuple[int, ...]]) -> None:
    layer, images = wide_layer()
    assert torch.allclose(layer(images), F.conv2d(images, layer.weight, padding=1), atol=1e-4)
    assert noted == [(16, 96, 8, 8)]
    layer(images[:15])  # too few tiles
    layer(images.contiguous())
    layer(images[0])
    with torch.autocast("cpu", torch.bfloat16):
        layer(images)
    copy.deepcopy(layer).double()(images.double())
    copy.deepcopy(layer).to("meta")(images.to("meta"))
    assert len(noted) == 1


@pytest.mark.filterwarnings("ignore:`torch.jit.script` is deprecated:FutureWarning")  # torch's own, of forward mode
def test_a_layer_leaves_to_torch_what_looks_into_it(noted: list[tuple[int, ...]]) -> None:
    layer, images = wide_layer()
    torch.export.export(layer, (images,))
    with FakeTensorMode(allow_non_fake_inputs=True) as fake:
        layer(fake.from_tensor(images))
    torch.func.grad(lambda weight: torch.func.functional_call(layer, {"weight": weight}, images).sum())(layer.weight)
    with forward_ad.dual_level():
        layer(forward_ad.make_dual(images, images))
    assert not noted
    layer(images)
    assert noted


def test_the_value_can_be_changed_in_place() -> None:
    """Before: it was a view that autograd knew of, so a ReLU in place behind a layer without a bias could not train."""
    layer, images = wide_layer()
    layer(images).relu_().sum().backward()
    assert layer.weight.grad is not None and layer.weight.grad.isfinite().all()


def test_a_network_of_them_has_the_same_state_and_nearly_the_same_gradient(noted: list[tuple[int, ...]]) -> None:
    torch.manual_seed(0)
    plain = build_model("vgg_a_bn").to(memory_format=torch.channels_last)
    ours = with_winograd(copy.deepcopy(plain))
    assert [*plain.state_dict()] == [*ours.state_dict()]
    images = torch.randn(64, 3, 32, 32).contiguous(memory_format=torch.channels_last)
    with torch.inference_mode():
        assert torch.allclose(plain.eval()(images), ours.eval()(images), atol=1e-3)
    assert len(noted) >= 6
    gradients: list[Tensor] = []
    for net in (plain.train(), ours.train()):
        loss = net(images).square().mean()
        gradients.append(torch.cat([g.flatten() for g in torch.autograd.grad(loss, [*net.parameters()])]))
    assert torch.cosine_similarity(*gradients, dim=0) > 0.999
