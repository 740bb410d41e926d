"""Convolutions as matrix products: values, both gradients, and which layers become one."""

import copy
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from torch import nn
from torch.autograd import gradcheck, gradgradcheck

from models import build_model
from trainer.training import matrix_convolution
from trainer.training.matrix_convolution import convolve, with_matrix_products

shapes = st.fixed_dictionaries({
    "n": st.integers(1, 3),
    "c": st.sampled_from([1, 3, 16, 20, 33]),
    "o": st.sampled_from([1, 5, 16, 40]),
    "height": st.integers(3, 9),
    "width": st.integers(3, 9),
    "kernel": st.integers(1, 3),
    "stride": st.integers(1, 3),
    "padding": st.integers(0, 2),
    "last": st.booleans(),
})  # fmt: skip


def tensors(n: int, c: int, o: int, height: int, width: int, kernel: int, last: bool) -> tuple[torch.Tensor, ...]:
    draw = torch.Generator().manual_seed(n + 10 * c + 1000 * o + height * width)
    images = torch.randn(n, c, height, width, generator=draw, dtype=torch.float64)
    weight = torch.randn(o, c, kernel, kernel, generator=draw, dtype=torch.float64)
    if last:
        images = images.contiguous(memory_format=torch.channels_last)
    return images, weight


@given(shapes)
def test_value_and_gradients_are_those_of_conv2d(shape: dict[str, Any]) -> None:
    stride, padding = shape.pop("stride"), min(shape.pop("padding"), shape["kernel"] - 1)
    images, weight = tensors(**shape)
    grad = torch.randn_like(F.conv2d(images, weight, stride=stride, padding=padding))
    true = outcome(lambda x, w: F.conv2d(x, w, stride=stride, padding=padding), images, weight, grad)
    exact = outcome(lambda x, w: convolve(x, w, stride=stride, padding=padding), images, weight, grad)
    for ours, theirs in zip(exact, true, strict=True):
        assert torch.allclose(ours, theirs, rtol=1e-10, atol=1e-10)
    rounded = [tensor.bfloat16() for tensor in (images, weight, grad)]
    true = outcome(
        lambda x, w: F.conv2d(x, w, stride=stride, padding=padding), *(tensor.double() for tensor in rounded)
    )
    ours = outcome(lambda x, w: convolve(x, w, stride=stride, padding=padding), *rounded)
    for found, wanted in zip(ours, true, strict=True):
        # One rounding of the result, and of each of the few products that an image's gradient is summed from.
        assert (found.double() - wanted).abs().max() <= 2**-7 * wanted.abs().max() + 1e-6


@settings(max_examples=40)
@given(
    n=st.sampled_from([1, 2, 5]),
    channels=st.sampled_from([(64, 64), (64, 1), (70, 33), (96, 10), (129, 40)]),
    size=st.integers(2, 8),
    kernel=st.integers(1, 3),
    stride=st.integers(1, 2),
    bias=st.booleans(),
    data=st.data(),
)
def test_a_layer_is_a_float64_convolution_within_rounding(
    n: int, channels: tuple[int, int], size: int, kernel: int, stride: int, bias: bool, data: st.DataObject
) -> None:
    padding = data.draw(st.integers(0, kernel - 1))
    assume(size + 2 * padding >= kernel)
    torch.manual_seed(size)
    plain = nn.Conv2d(*channels, kernel, stride=stride, padding=padding, bias=bias)
    layer = with_matrix_products(copy.deepcopy(plain))
    exact = plain.double()
    images = torch.randn(n, channels[0], size, size).bfloat16().float()
    with torch.no_grad():
        for parameter, rounded in zip(exact.parameters(), layer.parameters(), strict=True):
            parameter.copy_(rounded.bfloat16())
    ours, theirs = images.clone().requires_grad_(), images.double().requires_grad_()
    with torch.autocast("cpu", torch.bfloat16):
        value = layer(ours)
    wanted = exact(theirs)
    grad = torch.randn_like(wanted).bfloat16()
    value.backward(grad)
    wanted.backward(grad.double())
    pairs = [(value, wanted), (ours.grad, theirs.grad)]
    pairs += [(a.grad, b.grad) for a, b in zip(layer.parameters(), exact.parameters(), strict=True)]
    for found, true in pairs:
        assert found is not None and true is not None
        assert (found.double() - true).abs().max() <= 2**-6 * true.abs().max() + 1e-6  # of the product, and of the bias


def outcome(convolution, images: torch.Tensor, weight: torch.Tensor, grad: torch.Tensor) -> list[torch.Tensor]:
    """Return the value and the gradients of images and weights."""
    leaves = [tensor.clone().requires_grad_() for tensor in (images, weight)]
    value = convolution(*leaves)
    return [value.detach(), *torch.autograd.grad(value, leaves, grad)]


@pytest.mark.parametrize(("stride", "padding"), [(1, 1), (2, 1), (1, 0)])
def test_it_can_be_differentiated_twice(stride: int, padding: int) -> None:
    images, weight = tensors(2, 3, 4, 4, 5, 3, True)
    leaves = (images.requires_grad_(), weight.requires_grad_())
    assert gradcheck(lambda x, w: convolve(x, w, stride=stride, padding=padding), leaves)
    assert gradgradcheck(lambda x, w: convolve(x, w, stride=stride, padding=padding), leaves)


def test_the_value_can_be_changed_in_place() -> None:
    """Before: it was a view that autograd knew of, so a ReLU in place behind a layer without a bias could not train."""
    images, weight = tensors(2, 3, 4, 4, 5, 3, True)
    convolve(images, weight.requires_grad_()).relu_().sum().backward()
    assert weight.grad is not None


def test_layers_are_chosen_by_their_shape() -> None:
    chosen, left = nn.Conv2d(64, 8, 3, stride=2, padding=1), nn.Conv2d(63, 8, 3)
    others = [
        nn.Conv2d(64, 64, 3, groups=2), nn.Conv2d(64, 8, 3, dilation=2), nn.Conv2d(64, 8, (3, 1)),
        nn.Conv2d(64, 8, 3, stride=3), nn.Conv2d(64, 8, 3, padding="same"), nn.Conv2d(64, 8, 1, padding=1),
        nn.Conv2d(64, 8, 3, padding=1, padding_mode="reflect"),
    ]  # fmt: skip
    with_matrix_products(nn.ModuleList([chosen, left, *others]))
    assert type(chosen) is matrix_convolution.Conv2d and {type(each) for each in (left, *others)} == {nn.Conv2d}
    assert str(chosen).startswith("Conv2d(64, 8")


def test_a_network_of_them_has_the_same_state_and_nearly_the_same_gradient() -> None:
    torch.manual_seed(0)
    plain = build_model("vgg_a_bn", width=32)
    product = with_matrix_products(copy.deepcopy(plain))
    assert sum(type(layer) is matrix_convolution.Conv2d for layer in product.modules()) >= 5
    assert all(
        torch.equal(a, b) for a, b in zip(plain.state_dict().values(), product.state_dict().values(), strict=True)
    )
    images = torch.randn(4, 3, 32, 32)
    with torch.no_grad():  # float32 is left alone
        assert torch.equal(plain.eval()(images), product.eval()(images))
    gradients: list[torch.Tensor] = []
    for net in (plain.train(), product.train()):
        with torch.autocast("cpu", torch.bfloat16):
            loss = net(images).float().square().mean()
        gradients.append(torch.cat([g.flatten() for g in torch.autograd.grad(loss, [*net.parameters()])]))
    assert torch.cosine_similarity(*gradients, dim=0) > 0.99
