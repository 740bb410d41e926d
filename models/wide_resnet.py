"""Wide residual networks for 32x32 images (Zagoruyko & Komodakis 2016, arXiv 1605.07146)."""

from functools import partial

from torch import Tensor, nn

from models.bounds import Rate
from models.layers import Act, Norm, NormLayer, activation, dropout_layer, norm_layer
from models.network import Network
from models.registry import register


class WideBlock(nn.Module):  # [N, c_in, H, W] -> [N, c_out, H/stride, W/stride]
    """Norm and activation before each convolution, dropout before the second. A 1x1 shortcut shares the first two."""

    def __init__(self, c_in: int, c_out: int, stride: int, dropout: float, norm: NormLayer, act: Act) -> None:
        super().__init__()
        self.activate = nn.Sequential(norm(c_in), activation(act))
        self.residual = nn.Sequential(
            nn.Conv2d(c_in, c_out, kernel_size=3, stride=stride, padding=1),
            norm(c_out),
            activation(act),
            dropout_layer(dropout),
            nn.Conv2d(c_out, c_out, kernel_size=3, padding=1),
        )
        self.shortcut = nn.Conv2d(c_in, c_out, kernel_size=1, stride=stride) if c_in != c_out else None

    def forward(self, input: Tensor) -> Tensor:
        active = self.activate(input)
        return self.residual(active) + (input if self.shortcut is None else self.shortcut(active))


_variant = partial(
    register,
    source="Zagoruyko & Komodakis 2016, arXiv 1605.07146, table 1 and section 2.4, and report b35c, table 7",
    init="kaiming",
    note="Biases in the convolutions, which the published count demands. The authors' code has none. Dropout of 0.3 is"
    " the paper's for CIFAR. The report gives no rate.",
)


@_variant(
    "wide_resnet16x8", depth=2, k=8, published="10.97M", about="WRN-16-8: 16 layers, 8 times as wide as ResNet-20."
)
@_variant(
    "wide_resnet28x10", depth=4, k=10, published="36.49M", about="WRN-28-10: 28 layers, 10 times as wide as ResNet-20."
)
def wide_resnet(
    depth: int,
    k: int,
    *,
    dropout: Rate = 0.3,
    act: Act = "relu",
    norm: Norm = "batch",
    num_classes: int = 10,
    in_channels: int = 3,
) -> Network:
    """Wide ResNet: three stages of `depth` blocks, `k` times as wide as 16-32-64 channels."""
    new_norm = norm_layer(norm)
    features: dict[str, nn.Module] = {"stem": nn.Conv2d(in_channels, 16, kernel_size=3, padding=1)}
    c_in = 16
    for stage, stride in enumerate((1, 2, 2)):
        c_out = 16 * k * 2**stage
        first = WideBlock(c_in, c_out, stride, dropout, new_norm, act)
        others = [WideBlock(c_out, c_out, 1, dropout, new_norm, act) for _ in range(depth - 1)]
        features[f"stage{stage + 1}"] = nn.Sequential(first, *others)
        c_in = c_out
    features["norm"] = nn.Sequential(new_norm(c_in), activation(act))
    return Network(features, nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(c_in, num_classes)))
