"""Convolutions of 3 by 3 pixels by Winograd's method, in float32 on a CPU.

N images, C channels in, O out. The output is cut into tiles of m by m pixels. Each needs q = m + 2 by q of the input.
Three fixed linear maps turn the convolution into q² products of matrices, [tiles, C] by [C, O]: one of the input's
tiles, one of the weights, and one back to pixels. These have q² products of numbers for m² pixels, where the sum over
the kernel has 9 m²: a quarter, for m = 4. The gradients are the same maps, transposed (Lavin and Gray 2015, "Fast
Algorithms for Convolutional Neural Networks", arXiv 1509.09308). Shapes and the number format decide,
and no clock, so the same run has the same bits each time. docs/lab-notes.md has the errors, the ratios and the limits
(2026-11-30).
"""

import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cache
from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd import forward_ad
from torch.nn.grad import conv2d_input, conv2d_weight

_SIDES = (2, 3, 4, 5, 6)  # m
_POINTS = (0.0, 1.0, -1.0, 2.0, -0.5, -2.0, 0.5)  # a point and minus its inverse round less than a point and minus it
_FEWEST_CHANNELS, _FEWEST_PAIRS = 64, 96 * 96  # of each kind, and of one with the other: with fewer, the maps cost more
_FEWEST_TILES = 64  # of a batch: with fewer, the map of the weights does
_TILES_AT_ONCE = 128  # so that what is between two maps stays in the caches


class Conv2d(nn.Conv2d):  # the same name, since people choose layers by it
    """torch's Conv2d, computed by Winograd's method if the batch is large enough, in float32 and channels last."""

    def _conv_forward(self, input: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
        if not _fits(input, weight):
            return super()._conv_forward(input, weight, bias)
        output = convolve(input, weight)
        return output if bias is None else output + bias[:, None, None]


def with_winograd(model: nn.Module) -> nn.Module:
    """Let each layer of a network that may be faster by Winograd's method use it. Return the network.

    These are plain convolutions of 3 by 3 at stride 1 that keep an image's size, of many channels.
    """
    for layer in model.modules():
        if type(layer) is nn.Conv2d and _suits(layer):
            layer.__class__ = Conv2d  # the same parameters, hooks and state
    return model


def convolve(images: Tensor, weight: Tensor, *, side: int | None = None) -> Tensor:
    """Convolve [N, C, H, W] with [O, C, 3, 3], padded by a zero on each side: [N, O, H, W], channels last.

    Value and gradients are those of `F.conv2d`, up to rounding. `side` is the tiles', or else the one of least work.
    """
    side = side or _side_of_least_work(*images.shape[1:], len(weight))
    return _Convolution.apply(images, weight, side)  # pyright: ignore[reportReturnType]


def _suits(layer: nn.Conv2d) -> bool:
    sizes = (layer.kernel_size, layer.stride, layer.padding, layer.dilation)
    plain = sizes == ((3, 3), (1, 1), (1, 1), (1, 1)) and layer.groups == 1 and layer.padding_mode == "zeros"
    channels = (layer.in_channels, layer.out_channels)
    return plain and min(channels) >= _FEWEST_CHANNELS and math.prod(channels) >= _FEWEST_PAIRS


def _fits(images: Tensor, weight: Tensor) -> bool:
    # A compiler, an exporter and torch.func see torch's own convolution, whose derivatives of all kinds they know.
    if torch.compiler.is_compiling() or type(images) is not Tensor or images.device.type != "cpu" or _is_transformed():
        return False
    single = images.dtype == weight.dtype == torch.float32 and not torch.is_autocast_enabled("cpu")
    if not single or images.ndim != 4 or images.stride(1) != 1:
        return False
    side = _side_of_least_work(*images.shape[1:], len(weight))
    return len(images) * math.prod(-(-pixels // side) for pixels in images.shape[2:]) >= _FEWEST_TILES


def _is_transformed() -> bool:
    """Return whether torch.func or forward-mode differentiation looks on."""
    return torch._C._are_functorch_transforms_active() or forward_ad._current_level >= 0


@cache
def _side_of_least_work(channels: int, height: int, width: int, out_channels: int) -> int:
    def products(side: int) -> int:  # of numbers, for an image
        tiles, points = -(-height // side) * -(-width // side), (side + 2) ** 2
        return tiles * points * (channels * out_channels + points * channels + side**2 * out_channels)

    return min(_SIDES, key=products)


class _Convolution(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, images: Tensor, weight: Tensor, side: int) -> Tensor:
        grid, factors = _Grid(images, side), _maps(side, images.dtype).of_weight(weight)
        ctx.save_for_backward(images, weight, factors)
        ctx.side = side
        output = grid.image_of(len(weight))
        for part in grid.parts():
            tiles = grid.tiles(images[part])
            products = torch.bmm(tiles, factors, out=grid.room("products", *tiles.shape[:2], len(weight)))
            grid.write_pixels(products, output[part].permute(0, 2, 3, 1))
        return output

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, ...]:
        images, weight, factors = ctx.saved_tensors
        if not torch.is_grad_enabled():
            return *_gradients(images, factors, grads[0], ctx.side, *ctx.needs_input_grad[:2]), None
        # They will be differentiated again, which torch's own can be.
        return (
            conv2d_input(images.shape, weight, grads[0], padding=1) if ctx.needs_input_grad[0] else None,
            conv2d_weight(images, weight.shape, grads[0], padding=1) if ctx.needs_input_grad[1] else None,
            None,
        )


def _gradients(
    images: Tensor, factors: Tensor, grad: Tensor, side: int, of_images: bool, of_weight: bool
) -> tuple[Tensor | None, Tensor | None]:
    """Return the gradients of images [N, C, H, W] and weights [O, C, 3, 3], of which `factors` are, if wanted."""
    grid, maps = _Grid(images, side), _maps(side, images.dtype)
    for_images = grid.image_of(images.shape[1]) if of_images else None
    for_factors: Tensor | None = None
    for part in grid.parts():
        products = grid.products_of(grad[part])
        if of_weight:
            pair = (products.transpose(1, 2), grid.tiles(images[part]))
            for_factors = torch.bmm(*pair) if for_factors is None else for_factors.baddbmm_(*pair)
        if for_images is not None:
            for_images[part] = _of_images(grid, products, factors.transpose(1, 2)).permute(0, 3, 1, 2)
    return for_images, None if for_factors is None else maps.weight_of(for_factors)


# `trainer bench step` tells the two gradients apart by this function's name.
def _of_images(grid: "_Grid", products: Tensor, factors: Tensor) -> Tensor:
    """Return the gradient of some images, [n, H, W, C], from that of products [q², tiles, O] with [q², O, C]."""
    tiles = torch.bmm(products, factors, out=grid.room("gradient of tiles", *products.shape[:2], factors.shape[2]))
    return grid.images_of(tiles)


class _Grid:
    """The tiles of images [N, C, H, W], a few images at a time, in memory that is used again for the next few."""

    def __init__(self, images: Tensor, side: int) -> None:
        self._count, _, height, width = images.shape
        self._size = (height, width)
        self._side, self._rows, self._columns = side, -(-height // side), -(-width // side)
        self._maps = _maps(side, images.dtype)
        self._at_once = max(1, _TILES_AT_ONCE // (self._rows * self._columns))
        self._rooms: dict[str, Tensor] = {}
        self._images = images

    def image_of(self, channels: int) -> Tensor:
        """Return new memory for images of so many channels, [N, channels, H, W], channels last."""
        shape = (self._count, channels, *self._size)
        return torch.empty(shape, dtype=self._maps.input.dtype, memory_format=torch.channels_last)

    def parts(self) -> Iterator[slice]:
        for start in range(0, self._count, self._at_once):
            yield slice(start, start + self._at_once)

    def room(self, name: str, *shape: int, zeros: bool = False) -> Tensor:
        """Return memory of a shape, `zeros` at first, or what the part before left. The first part is the longest."""
        size = math.prod(shape)
        if name not in self._rooms:
            self._rooms[name] = (self._images.new_zeros if zeros else self._images.new_empty)(size)
        return self._rooms[name][:size].view(shape)

    def tiles(self, images: Tensor) -> Tensor:
        """Return the mapped tiles, [q², tiles, C], of some images [n, C, H, W]."""
        count, channels, height, width = images.shape
        padded = self.room("padded", count, *self._whole(2), channels, zeros=True)  # its border stays zero
        padded[:, 1 : height + 1, 1 : width + 1] = images.permute(0, 2, 3, 1)
        n, h, w, c = padded.stride()
        m, q = self._side, self._side + 2
        windows = padded.as_strided((q, q, count, self._rows, self._columns, channels), (h, w, n, m * h, m * w, c))
        apart = self.room("apart", *windows.shape).copy_(windows)
        return self._mapped(self._maps.input, "tiles", apart, channels)

    def write_pixels(self, products: Tensor, pixels: Tensor) -> None:
        """Write the `pixels`, [n, H, W, O], of products [q², tiles, O]."""
        m, channels = self._side, products.shape[2]
        apart = self._mapped(self._maps.output, "pixels", products, channels)
        joined = apart.view(m, m, -1, self._rows, self._columns, channels).permute(2, 3, 0, 4, 1, 5)
        if pixels.shape[1:3] == self._whole(0):
            pixels.view(joined.shape).copy_(joined)
        else:
            whole = joined.reshape(-1, *self._whole(0), channels)
            pixels.copy_(whole[:, : pixels.shape[1], : pixels.shape[2]])

    def products_of(self, pixels: Tensor) -> Tensor:
        """Return the products, [q², tiles, O], that `pixels` gives a gradient [n, O, H, W]: its transpose."""
        m, (count, channels, height, width) = self._side, pixels.shape
        joined = self.room(
            "joined", count, *self._whole(0), channels, zeros=True
        )  # what is beyond the image stays zero
        joined[:, :height, :width] = pixels.permute(0, 2, 3, 1)
        tiles = joined.view(count, self._rows, m, self._columns, m, channels).permute(2, 4, 0, 1, 3, 5)
        apart = self.room("pixels apart", *tiles.shape).copy_(tiles)
        return self._mapped(self._maps.output.t(), "gradient of products", apart, channels)

    def images_of(self, tiles: Tensor) -> Tensor:
        """Return the images, [n, H, W, C], that `tiles` gives a gradient [q², tiles, C]: its transpose."""
        m, q, channels, (rows, columns) = self._side, self._side + 2, tiles.shape[2], (self._rows, self._columns)
        apart = self._mapped(self._maps.input.t(), "images apart", tiles, channels)
        apart = apart.view(q, q, -1, rows, columns, channels).permute(2, 3, 0, 4, 1, 5)  # [n, rows, q, columns, q, C]
        sums = self.room("sums", len(apart), rows + 1, m, columns + 1, m, channels)
        sums[:, :rows, :, :columns] = apart[:, :, :m, :, :m]
        sums[:, rows:], sums[:, :, :, columns:] = 0, 0
        # The last two rows and columns of a tile are the first of the next.
        sums[:, 1:, :2, :columns] += apart[:, :, m:, :, :m]
        sums[:, :rows, :, 1:, :2] += apart[:, :, :m, :, m:]
        sums[:, 1:, :2, 1:, :2] += apart[:, :, m:, :, m:]
        return sums.view(len(apart), *self._whole(m), channels)[:, 1 : self._size[0] + 1, 1 : self._size[1] + 1]

    def _whole(self, more: int) -> tuple[int, int]:
        """Return the sides of an image of whole tiles, and `more` pixels."""
        return self._rows * self._side + more, self._columns * self._side + more

    def _mapped(self, linear: Tensor, name: str, apart: Tensor, channels: int) -> Tensor:
        apart = apart.view(linear.shape[1], -1)
        return torch.mm(linear, apart, out=self.room(name, len(linear), apart.shape[1])).view(len(linear), -1, channels)


@dataclass(frozen=True)
class _Maps:
    """The maps of a tile: of the input [q², q²], of the weights [q², 9], and of products to pixels [m², q²]."""

    input: Tensor
    weight: Tensor
    output: Tensor

    def of_weight(self, weight: Tensor) -> Tensor:
        """Return the factors [q², C, O] of weights [O, C, 3, 3]."""
        flat = weight.permute(2, 3, 1, 0).reshape(9, -1)
        return (self.weight @ flat).view(len(self.weight), weight.shape[1], weight.shape[0])

    def weight_of(self, factors: Tensor) -> Tensor:
        """Return the gradient of weights, [O, C, 3, 3], from that of factors [q², O, C]: the transpose.

        C is the last there, as in memory for weights in channels last. To copy any other order takes twice as long.
        """
        return (self.weight.t() @ factors.flatten(1)).view(3, 3, *factors.shape[1:]).permute(2, 3, 0, 1)


@cache
def _maps(side: int, dtype: torch.dtype) -> _Maps:
    """Return the maps for tiles of `side`, by the method of Toom and Cook.

    The product of two polynomials, of degree m - 1 and 2, follows from its values at m + 1 points and its highest
    coefficient. A convolution of one dimension is the transpose of that, and of two dimensions one within another.
    """
    points = _POINTS[: side + 1]
    others = [[other for other in points if other != point] for point in points]
    scales = [math.prod(point - other for other in rest) for point, rest in zip(points, others, strict=True)]
    output = [[point**i for point in points] + [float(i == side - 1)] for i in range(side)]
    weight = [[point**i / scale for i in range(3)] for point, scale in zip(points, scales, strict=True)]
    input = [[*_with_roots(rest), 0.0] for rest in others]
    one_way = (
        torch.tensor(rows, dtype=torch.float64)
        for rows in ([*input, _with_roots(points)], [*weight, [0, 0, 1]], output)
    )
    return _Maps(*(torch.kron(rows, rows).to(dtype) for rows in one_way))


def _with_roots(roots: Iterable[float]) -> list[float]:
    """Return the coefficients of the polynomial with these roots and the highest coefficient 1, that one last."""
    coefficients = [1.0]
    for root in roots:
        coefficients = [low - root * high for low, high in zip([0.0, *coefficients], [*coefficients, 0.0], strict=True)]
    return coefficients
