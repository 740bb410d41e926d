"""AlexNet (Krizhevsky, Sutskever & Hinton 2012) cut down for 32x32 images."""

from torch import nn

from models.layers import Act, activation
from models.network import Network
from models.registry import register


@register(
    source="Krizhevsky et al. 2012, section 3.5, and report b35c, table 7",
    init="torch",
    published="2.47M",
    note="The published count has room for one linear layer as head, where the paper has three and dropout. One path"
    " instead of two, no response normalisation, 2x2 pooling, for maps this small. `init=paper` is torch's,"
    " as in the report. The paper, section 5, draws from N(0, 0.01), with biases of 1 in convolutions 2, 4 and 5 and in"
    " the hidden linear layers.",
)
def alexnet(
    *,
    act: Act = "relu",
    num_classes: int = 10,
    in_channels: int = 3,
    image_size: int = 32,
) -> Network:
    """AlexNet's five convolutions and a linear head."""
    side = (image_size + 3) // 4 // 8  # a stride of 4, then three poolings
    if side < 1:
        raise ValueError(f"image_size={image_size}: should be at least 29 for a stride of 4 and three poolings")
    features = {
        "stage1": nn.Sequential(
            nn.Conv2d(in_channels, 64, kernel_size=11, stride=4, padding=5), activation(act), nn.MaxPool2d(2)
        ),
        "stage2": nn.Sequential(nn.Conv2d(64, 192, kernel_size=5, padding=2), activation(act), nn.MaxPool2d(2)),
        "stage3": nn.Sequential(nn.Conv2d(192, 384, kernel_size=3, padding=1), activation(act)),
        "stage4": nn.Sequential(nn.Conv2d(384, 256, kernel_size=3, padding=1), activation(act)),
        "stage5": nn.Sequential(nn.Conv2d(256, 256, kernel_size=3, padding=1), activation(act), nn.MaxPool2d(2)),
    }
    return Network(features, nn.Sequential(nn.Flatten(), nn.Linear(256 * side**2, num_classes)))
