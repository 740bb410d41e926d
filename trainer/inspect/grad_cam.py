"""Grad-CAM (Selvaraju et al. 2017, arXiv 1610.02391, section 3): the parts of an image that a class depends on."""

import torch
from torch import Tensor, nn
from torch.nn import functional as F


def grad_cam(net: nn.Module, images: Tensor, layer: str, classes: Tensor) -> Tensor:
    """Return maps [N, H, W] >= 0 of images [N, C, H, W] and one class each [N].

    With A the maps of `layer`, [N, F, h, w], and y the class's logit: alpha_f = 1/(h w) sum_ij dy / dA_fij (eq. 1), and
    the map is ReLU(sum_f alpha_f A_f) (eq. 2), enlarged bilinearly and not scaled. The network is put into evaluation
    mode. Its weights and their `.grad` do not change.
    """
    kept: list[Tensor] = []

    def cut_here(_: nn.Module, __: object, output: Tensor) -> Tensor:
        kept[:] = [output.detach().requires_grad_()]  # the last use of a layer that is used twice
        return kept[0].clone()  # the next layer may work in place

    hook = net.get_submodule(layer).register_forward_hook(cut_here)
    try:
        with torch.enable_grad():
            logits = net.eval()(images)
            score = logits.gather(1, classes[:, None]).sum()  # in evaluation, images do not affect each other
            (gradient,) = torch.autograd.grad(score, kept[0])
    finally:
        hook.remove()
    alpha = gradient.float().mean((2, 3), keepdim=True)
    maps = (alpha * kept[0].detach().float()).sum(1, keepdim=True).relu()
    return F.interpolate(maps, size=images.shape[2:], mode="bilinear", align_corners=False)[:, 0]
