"""Convolutions as matrix products, on CPUs with AMX where oneDNN's own are slower.

N images, C channels in, O out, a kernel of k by k, P = H' W' pixels of the output. The input is copied into columns
[N P, k k C] (im2col). The output is then one product with the weights, and so is each of the two gradients. oneDNN's
gradients of layers with many channels and few pixels reach a third of the speed of a product of the same size on AMX
(docs/lab-notes.md, 2026-11-28). A layer is chosen by its shape alone, so the same run has the same bits each time.
"""

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

_FEWEST_CHANNELS = 64
_MOST_PIXELS = {1: 16, 2: 64}  # of the output, by stride


class Conv2d(nn.Conv2d):  # the same name, since people choose layers by it
    """torch's Conv2d, whose bfloat16 form is a matrix product where the output has few pixels."""

    def _conv_forward(self, input: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
        in_bfloat16 = torch.is_autocast_enabled("cpu") and torch.get_autocast_dtype("cpu") == torch.bfloat16
        stride, padding = self.stride[0], int(self.padding[0])
        height, width = (_outputs(size, self.kernel_size[0], stride, padding) for size in input.shape[-2:])
        if not in_bfloat16 or input.ndim != 4 or height * width > _MOST_PIXELS[stride]:
            return super()._conv_forward(input, weight, bias)
        output = convolve(input.bfloat16(), weight.bfloat16(), stride=stride, padding=padding)
        return output if bias is None else output + bias.bfloat16()[:, None, None]


def with_matrix_products(model: nn.Module) -> nn.Module:
    """Let each layer of a network that may be faster as a matrix product be one. Return the network.

    These are square, ungrouped, undilated convolutions of at least 64 channels, at stride 1 or 2.
    """
    for layer in model.modules():
        if type(layer) is nn.Conv2d and _suits(layer):
            layer.__class__ = Conv2d  # the same parameters, hooks and state
    return model


def _suits(layer: nn.Conv2d) -> bool:
    alike = all(len(set(pair)) == 1 for pair in (layer.kernel_size, layer.stride, layer.padding, layer.dilation))
    plain = layer.groups == 1 and layer.dilation[0] == 1 and layer.padding_mode == "zeros"
    numbers = not isinstance(layer.padding, str) and int(layer.padding[0]) < layer.kernel_size[0]
    return alike and plain and numbers and layer.stride[0] in _MOST_PIXELS and layer.in_channels >= _FEWEST_CHANNELS


def convolve(images: Tensor, weight: Tensor, *, stride: int = 1, padding: int = 0) -> Tensor:
    """Convolve [N, C, H, W] with [O, C, k, k], padded by less than k: [N, O, H', W'], channels last.

    Value and gradients are those of `F.conv2d`, up to the rounding of sums in another order.
    """
    return _Convolution.apply(images, weight, stride, padding)  # pyright: ignore[reportReturnType]


class _Convolution(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, images: Tensor, weight: Tensor, stride: int, padding: int) -> Tensor:
        ctx.save_for_backward(images, weight)
        ctx.stride, ctx.padding = stride, padding
        kernel = weight.shape[-1]
        columns, height, width = _columns(_channels_inside(images), kernel, stride, padding)
        shape = (len(images), len(weight), height, width)
        # No view of another tensor, since people write to it in place.
        output = torch.empty(shape, dtype=images.dtype, device=images.device, memory_format=torch.channels_last)
        torch.mm(
            columns, _channels_inside(weight).flatten(1).t(), out=output.permute(0, 2, 3, 1).view(len(columns), -1)
        )
        return output

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, ...]:
        images, weight = ctx.saved_tensors
        stride, padding, kernel = ctx.stride, ctx.padding, weight.shape[-1]
        grad = _channels_inside(grads[0])  # [N, H', W', O]
        of_images = of_weight = None
        if ctx.needs_input_grad[0]:
            of_images = _of_images(grad, weight, images.shape, stride, padding)
        if ctx.needs_input_grad[1]:
            columns, _, _ = _columns(_channels_inside(images), kernel, stride, padding)
            flat = grad.flatten(0, 2).t() @ columns  # [O, k k C]
            of_weight = flat.view(len(weight), kernel, kernel, -1).permute(0, 3, 1, 2)
        return of_images, of_weight, None, None


def _of_images(grad: Tensor, weight: Tensor, shape: torch.Size, stride: int, padding: int) -> Tensor:
    """Return the gradient of images of a `shape` [N, C, H, W] from that of the output, [N, H', W', O]."""
    count, _, height, width = shape
    kernel = weight.shape[-1]
    if stride == 1:  # a convolution of the gradient with the mirrored kernel
        mirrored = weight.flip(2, 3).permute(2, 3, 0, 1).flatten(0, 2)  # [k k O, C]
        columns, _, _ = _columns(grad, kernel, 1, kernel - 1 - padding)
        return (columns @ mirrored).view(count, height, width, -1).permute(0, 3, 1, 2)
    columns = grad.flatten(0, 2) @ _channels_inside(weight).flatten(1)  # [N P, k k C]
    parts = columns.view(*grad.shape[:3], kernel, kernel, -1)
    parts = parts.to(torch.promote_types(parts.dtype, torch.float32))  # a sum of several is rounded once
    padded = parts.new_zeros(count, height + 2 * padding, width + 2 * padding, shape[1])
    rows, places = stride * grad.shape[1], stride * grad.shape[2]
    for i in range(kernel):
        for j in range(kernel):
            padded[:, i : i + rows : stride, j : j + places : stride] += parts[:, :, :, i, j]
    inside = padded[:, padding : padding + height, padding : padding + width]
    return inside.to(grad.dtype).permute(0, 3, 1, 2)


def _columns(images: Tensor, kernel: int, stride: int, padding: int) -> tuple[Tensor, int, int]:
    """Return (columns [N P, k k C] of images [N, H, W, C], H', W')."""
    if padding:
        images = F.pad(images, (0, 0, padding, padding, padding, padding))
    count, channels = images.shape[0], images.shape[3]
    height, width = (_outputs(size, kernel, stride, 0) for size in images.shape[1:3])
    n, h, w, c = images.stride()
    windows = images.as_strided((count, height, width, kernel, kernel, channels), (n, h * stride, w * stride, h, w, c))
    return windows.reshape(count * height * width, -1), height, width


def _channels_inside(tensor: Tensor) -> Tensor:
    """Return [A, B, H, W] as [A, H, W, B], contiguous."""
    return tensor.permute(0, 2, 3, 1).contiguous()


def _outputs(size: int, kernel: int, stride: int, padding: int) -> int:
    return (size + 2 * padding - kernel) // stride + 1
