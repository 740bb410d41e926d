"""LeNet-5 (LeCun, Bottou, Bengio & Haffner 1998, "Gradient-Based Learning Applied to Document Recognition")."""

from torch import nn

from models.layers import Act, activation
from models.network import Network
from models.registry import register


@register(
    source="LeCun et al. 1998, section II.B, and report b35c, table 7",
    init="torch",
    published="0.06M",
    note="As it is taught today, with torch's layers, which meet the published count. The paper has tanh, trained"
    " subsampling instead of max pooling, a partly connected second convolution, radial basis functions as output and"
    " uniform weights within 2.4 / fan in.",
)
def lenet5(
    *,
    act: Act = "relu",
    num_classes: int = 10,
    in_channels: int = 3,
    image_size: int = 32,
) -> Network:
    """LeNet-5 with max pooling and a linear output."""
    side = ((image_size - 4) // 2 - 4) // 2
    if side < 1:
        raise ValueError(f"image_size={image_size}: should be at least 16 for two unpadded convolutions and poolings")
    features = {
        "stage1": nn.Sequential(nn.Conv2d(in_channels, 6, kernel_size=5), activation(act), nn.MaxPool2d(2)),
        "stage2": nn.Sequential(nn.Conv2d(6, 16, kernel_size=5), activation(act), nn.MaxPool2d(2)),
    }
    head = nn.Sequential(
        nn.Flatten(),
        nn.Linear(16 * side**2, 120),
        activation(act),
        nn.Linear(120, 84),
        activation(act),
        nn.Linear(84, num_classes),
    )
    return Network(features, head)
