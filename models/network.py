"""Base of all hand-written networks: features, then a head."""

from collections import OrderedDict
from collections.abc import Mapping

from torch import Tensor, nn


class Network(nn.Module):
    """Images [N, C, H, W] -> `features`, maps [N, F, h, w] -> `head`, logits [N, K].

    `features` is a sequence of named parts, whose outputs are the network's feature maps. You may replace `head`.
    """

    def __init__(self, features: Mapping[str, nn.Module], head: nn.Module) -> None:
        super().__init__()
        self.features = nn.Sequential(OrderedDict(features))
        self.head = head

    def forward(self, images: Tensor) -> Tensor:
        return self.head(self.forward_features(images))

    def forward_features(self, images: Tensor) -> Tensor:
        """Return the last feature maps, before the head pools or flattens them."""
        return self.features(images)

    def feature_maps(self, images: Tensor) -> dict[str, Tensor]:
        """Return the output of each part of `features` by its name, first to last."""
        maps: dict[str, Tensor] = {}
        for name, part in self.features.named_children():
            images = maps[name] = part(images)
        return maps


class Scale(nn.Module):
    """Multiplication by a constant."""

    def __init__(self, factor: float) -> None:
        super().__init__()
        self.factor = factor

    def forward(self, input: Tensor) -> Tensor:
        return input * self.factor

    def extra_repr(self) -> str:
        return f"{self.factor:g}"
