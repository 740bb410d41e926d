"""Size of a network without running it, and its layers in the order in which images pass through them."""

from typing import Any, NamedTuple, cast

import torch
from torch import Tensor, nn
from torch.autograd.function import Function, FunctionCtx
from torch.autograd.graph import saved_tensors_hooks
from torch.overrides import TorchFunctionMode


def measure(model: nn.Module, image_shape: tuple[int, int, int], *, batch_size: int = 128) -> dict[str, int]:
    """Return parameters, trainable_parameters, macs (of one image [C, H, W]), activation_bytes (of a batch, float32).

    `model` may be on the meta device, as `sketch_model` returns it. There nothing is computed.
    """
    device = next(model.parameters()).device
    return {
        "parameters": sum(p.numel() for p in model.parameters()),
        "trainable_parameters": sum(p.numel() for p in model.parameters() if p.requires_grad),
        "macs": count_macs(model, torch.zeros(1, *image_shape, device=device)),
        "activation_bytes": saved_bytes(model, torch.zeros(batch_size, *image_shape, device=device)),
    }


def count_macs(model: nn.Module, images: Tensor) -> int:
    """Return the multiply-adds of convolutions and matrix products in one forward pass of `images` [N, C, H, W]."""
    from torch.utils.flop_counter import FlopCounterMode  # imports triton, which takes half a second

    counter = FlopCounterMode(display=False)
    trained = [parameter for parameter in model.parameters() if parameter.requires_grad]
    try:
        for parameter in trained:  # a layer that takes a view of one would have no gradient for the counter to hook
            parameter.requires_grad_(False)
        with counter, torch.no_grad(), _OutlinedBatchNorm():
            model.eval()(images)
    finally:
        for parameter in trained:
            parameter.requires_grad_(True)
    return counter.get_total_flops() // 2


def saved_bytes(model: nn.Module, images: Tensor) -> int:
    """Return the bytes that training keeps for the backward pass, without parameters. Each storage counts once."""
    own = {p.untyped_storage()._cdata for p in model.parameters()}  # storages: a linear layer keeps a view of its own
    kept: dict[int, int] = {}

    def note(tensor: Tensor) -> Tensor:
        storage = tensor.untyped_storage()
        if storage._cdata not in own:
            kept[storage._cdata] = storage.nbytes()
        return tensor

    with saved_tensors_hooks(note, lambda tensor: tensor), _OutlinedBatchNorm():
        logits = model.train()(images)  # alive until here, so that no storage's id is used twice
    del logits
    return sum(kept.values())


class LayerUse(NamedTuple):
    name: str
    layer: nn.Module
    shape: tuple[int, ...]  # of its output, or of the first of several


def layers_in_use(net: nn.Module, images: Tensor) -> list[LayerUse]:
    """Return the layers without sublayers, in the order in which `images` pass through them in evaluation.

    Leaves the network as it was. Raises the network's own errors for images that it does not take.
    """
    used: list[LayerUse] = []

    def note(name: str) -> Any:
        def hook(layer: nn.Module, _: Any, output: Any) -> None:
            while isinstance(output, tuple | list):
                output = output[0]
            used.append(LayerUse(name, layer, tuple(output.shape)))

        return hook

    lowest = [(name, layer) for name, layer in net.named_modules() if not any(True for _ in layer.children())]
    hooks = [layer.register_forward_hook(note(name)) for name, layer in lowest]
    training = net.training
    try:
        with torch.no_grad(), _OutlinedBatchNorm():
            net.eval()(images)
    finally:
        net.train(training)
        for hook in hooks:
            hook.remove()
    return used


class _OutlinedBatchNorm(TorchFunctionMode):
    """Inside it, BatchNorm on the meta device gives its shape and keeps what torch keeps, and computes nothing.

    torch's own rule for it is the whole computation, operation by operation in Python.
    """

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        if func is nn.functional.batch_norm and args[0].is_meta and (outline := _outlined(*args, **kwargs)) is not None:
            return outline
        return func(*args, **kwargs)


def _outlined(
    images: Tensor, mean: Tensor | None, variance: Tensor | None, weight: Tensor | None = None, *_: Any, **__: Any
) -> Tensor | None:
    """Take the arguments of `torch.nn.functional.batch_norm`. Return None where it may raise an error of its own."""
    others = [each for each in (weight, mean, variance) if each is not None]
    if images.numel() <= images.shape[1] or any(each.shape != images.shape[1:2] for each in others):
        return None
    return cast("Tensor", _Outline.apply(images, *others))


class _Outline(Function):
    """A BatchNorm of which only shapes are known: it keeps its images, and a mean and a scale of each channel."""

    @staticmethod
    def forward(ctx: FunctionCtx, images: Tensor, *others: Tensor) -> Tensor:
        statistics = images.new_empty(2, images.shape[1]).unbind()
        ctx.save_for_backward(images, *others, *statistics)
        return torch.empty_like(images)
