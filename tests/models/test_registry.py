"""Networks by name, and the mistakes that a name or an argument can hold."""

import pytest
import torch
from torch import nn

from models import build_model, check_arguments, measure, model_names
from models.registry import register


def test_a_name_registered_twice_is_refused() -> None:
    def resnet9() -> nn.Module:
        return nn.Identity()

    with pytest.raises(ValueError, match="resnet9"):
        register(resnet9)


@pytest.mark.parametrize(
    ("name", "arguments", "said"),
    [
        ("fastresnet", {}, "did you mean 'fastresnet9'?"),
        ("resnet9", {"widht": 8}, "did you mean 'width'?"),
        ("resnet9", {"width": "wide"}, "a whole number"),
        ("resnet9", {"width": True}, "a whole number"),
        ("fastresnet9", {"logit_scale": "x"}, "a number"),
        ("timm/resnet18x", {}, "did you mean 'timm/resnet18'?"),
    ],
)
def test_a_wrong_name_or_argument_is_one_line_with_the_nearest(
    name: str, arguments: dict[str, object], said: str
) -> None:
    (line,) = check_arguments(name, arguments)
    assert said in line
    with pytest.raises(ValueError, match="model"):
        build_model(name, **arguments)  # pyright: ignore[reportArgumentType]


def test_any_timm_network_can_be_built() -> None:
    net = build_model("timm/resnet10t", num_classes=7, in_channels=1)
    assert net.eval()(torch.zeros(1, 1, 32, 32)).shape == (1, 7)


@pytest.mark.parametrize(
    ("name", "parameters", "trainable"),
    [  # report b35c: 11.17M, 6.57M, 6.57M; the last digits are those of the layer lists
        ("resnet18", 11_173_962, 11_173_962),
        ("resnet9", 6_573_120, 6_573_120),
        ("fastresnet9", 6_573_849, 6_570_880),
    ],
)
def test_parameter_counts_are_the_published_ones(name: str, parameters: int, trainable: int) -> None:
    size = measure(name)
    assert (size["parameters"], size["trainable_parameters"]) == (parameters, trainable)


@pytest.mark.parametrize("name", model_names())
def test_every_network_takes_channels_and_classes(name: str) -> None:
    arguments = {} if name == "resnet18" else {"width": 4}
    net = build_model(name, num_classes=3, in_channels=1, **arguments).eval()
    images = torch.rand(2, 1, 32, 32)
    with torch.no_grad():
        logits = net(images)
        torch.testing.assert_close(net(images), logits, rtol=0, atol=0)
    assert logits.shape == (2, 3)


@pytest.mark.parametrize("name", model_names())
def test_a_gradient_reaches_every_trainable_parameter(name: str) -> None:
    net = build_model(name, **({} if name == "resnet18" else {"width": 4})).train()
    net(torch.rand(8, 3, 32, 32)).logsumexp(1).sum().backward()
    without = [key for key, p in net.named_parameters() if p.requires_grad and (p.grad is None or not p.grad.any())]
    assert without == []


def test_macs_of_one_convolution_are_its_closed_form() -> None:
    conv = nn.Conv2d(3, 8, 3, padding=1, bias=False).to("meta")
    from models.measure import count_macs

    assert count_macs(conv, torch.empty(1, 3, 32, 32, device="meta")) == 3 * 8 * 9 * 32 * 32


def test_measuring_leaves_the_random_state_alone() -> None:
    before = torch.get_rng_state()
    measure("resnet9", width=4)
    assert torch.equal(torch.get_rng_state(), before)


def test_what_the_data_sets_is_not_set_by_hand() -> None:
    assert check_arguments("resnet9", {"num_classes": 5}) == ["model.num_classes: set by the data, not by hand"]
