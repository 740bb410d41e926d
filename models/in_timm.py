"""Our networks as one architecture of timm's. Import this file, then call `timm.create_model`.

It builds a folder of `trainer export RUN --to timm`, with its weights, by "local-dir:FOLDER" and pretrained=True. It
builds a network without them by "cifar_sweeps", network="resnet20", num_classes=10.
"""

from collections.abc import Mapping
from typing import Any

from timm.models import build_model_with_cfg, register_model
from torch import nn

from models import build_model
from models.from_timm import OURS


@register_model
def cifar_sweeps(
    pretrained: bool = False,
    *,
    network: str = "resnet20",
    arguments: Mapping[str, Any] | None = None,
    **timms: Any,
) -> nn.Module:
    """Return the network of a name, with `arguments` of `build_model`. `timms` are num_classes, in_chans, img_size, ...

    Raises the errors of `build_model`.
    """

    def build(*, num_classes: int = 10, in_chans: int = 3, img_size: int | tuple[int, int] = 32) -> nn.Module:
        side = img_size if isinstance(img_size, int) else img_size[0]
        built = build_model(
            network, num_classes=num_classes, in_channels=in_chans, image_size=side, **dict(arguments or {})
        )
        built.num_classes = num_classes  # pyright: ignore[reportArgumentType] - where timm looks for it
        return built

    return build_model_with_cfg(build, OURS, pretrained, kwargs_filter=("global_pool",), **timms)
