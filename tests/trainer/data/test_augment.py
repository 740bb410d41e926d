"""Each augmentation against torchvision's functional one on one image after another, with the same drawn parameters."""

import math
from collections.abc import Callable, Sequence
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor
from torchvision.transforms import v2
from torchvision.transforms.v2 import functional as T

from trainer.config.augment import (
    Augment,
    ColorJitter,
    Cutmix,
    Cutout,
    Mixup,
    RandAugment,
    RandomErasing,
    TrivialAugmentWide,
)
from trainer.data.augment.auto import OPERATIONS, _sharpen, amount_table, auto_augment, draw_operations
from trainer.data.augment.color import ADJUST, adjust_in_turn, color_jitter, draw_jitter
from trainer.data.augment.compiled_color import CHANGES, change_colors
from trainer.data.augment.erase import draw_boxes, erasing
from trainer.data.augment.mix import cut_box, draw_mix, mixing
from trainer.data.augment.stage import Epoch
from trainer.data.batches import TrainingBatches
from trainer.data.images import Split
from trainer.data.steps import Steps
from trainer.errors import ConfigError

SIZE, MEAN = 16, (0.5, 0.4, 0.3)
JITTER = ColorJitter(brightness=0.4, contrast=0.4, saturation=0.4, hue=0.2)


def some_images(n: int, channels: int = 3, size: int = SIZE) -> Tensor:
    """Channels last, as a batch is; every second one smooth, so that neighbouring pixels and channels are alike."""
    draw = torch.Generator().manual_seed(5)
    noise = torch.randint(256, (n, size, size, channels), dtype=torch.uint8, generator=draw)
    ramp = torch.arange(size).view(-1, 1, 1) * 9 + torch.arange(size).view(-1, 1) * 5 + torch.arange(channels) * 4
    noise[::2] = (ramp + torch.randint(30, (len(noise[::2]), 1, 1, channels), generator=draw)).to(torch.uint8)
    return noise.permute(0, 3, 1, 2)


def an_epoch(n: int, batch_size: int, seed: int = 0, size: int = SIZE) -> Epoch:
    return Epoch(torch.Generator().manual_seed(seed), n, batch_size, size, size, torch.device("cpu"))


def in_batches(images: Tensor, batch_size: int) -> Sequence[tuple[int, Tensor]]:
    """Copies, because a change may write into what it is given."""
    return [(at, part.clone()) for at, part in enumerate(images.split(batch_size))]


def difference(found: Tensor, expected: Tensor) -> Tensor:
    assert found.dtype == expected.dtype == torch.uint8
    return (found.int() - expected.int()).abs()


# --- colour


@pytest.mark.parametrize("adjusted", [adjust_in_turn, change_colors])
@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("name", list(ADJUST))
def test_an_adjustment_of_a_batch_equals_torchvision_s_of_each_image(
    name: str, channels: int, adjusted: Callable[[Tensor, list[str], list[Tensor]], Tensor]
) -> None:
    images = some_images(64, channels)
    factors = torch.linspace(-0.5, 0.5, 64) if name == "hue" else torch.linspace(0, 2, 64)
    adjust = getattr(T, f"adjust_{name}")
    expected = torch.stack([adjust(image, f.item()) for image, f in zip(images, factors, strict=True)])
    apart = difference(adjusted(images, [name], [factors]), expected)
    # One level, where float32 rounding puts a value on the other side of a whole number before its fraction is cut.
    assert apart.max() <= 1
    assert apart.count_nonzero() < 1e-3 * apart.numel()


def test_jitter_equals_torchvision_s_adjustments_in_the_drawn_order() -> None:
    images, expected = some_images(40), []
    factors, orders = draw_jitter(JITTER, an_epoch(40, 16))
    for i, image in enumerate(images):
        for name in orders[i // 16]:
            image = getattr(T, f"adjust_{name}")(image, factors[name][i].item())
        expected.append(image)
    change = color_jitter(JITTER, an_epoch(40, 16))
    found = torch.cat([change(at, part) for at, part in in_batches(images, 16)])
    apart = difference(found, torch.stack(expected))
    assert apart.max() <= 2  # a level's difference after one adjustment, times the factor of the next
    assert apart.count_nonzero() < 1e-3 * apart.numel()


@given(
    st.lists(st.sampled_from(CHANGES), unique=True),
    st.sampled_from([(1, 3), (3, 1), (5, 3), (7, 1)]),
    st.sampled_from([(1, 1), (3, 5), (16, 16), (17, 9)]),
    st.integers(0, 2**31),
)
def test_compiled_changes_are_those_of_a_gpu(
    names: list[str], batch: tuple[int, int], sides: tuple[int, int], seed: int
) -> None:
    """In any order, of images of any size. A GPU has those of `adjust_in_turn`."""
    draw = torch.Generator().manual_seed(seed)
    (count, channels), (height, width) = batch, sides
    images = torch.randint(256, (count, height, width, channels), dtype=torch.uint8, generator=draw).permute(0, 3, 1, 2)
    factors = [torch.rand(count, generator=draw) * (1 if name == "hue" else 2) - (name == "hue") / 2 for name in names]
    expected = adjust_in_turn(images, names, factors)
    found = change_colors(images.clone(memory_format=torch.preserve_format), names, factors)
    assert difference(found, expected).max() <= 4  # a level, times three factors of at most 2
    assert difference(found, expected).count_nonzero() <= max(3, 1e-2 * images.numel())


def test_compiled_changes_write_into_a_batch_s_own_memory() -> None:
    images = some_images(4)
    found = change_colors(images, ["brightness"], [torch.zeros(4)])
    assert found.data_ptr() == images.data_ptr()
    assert not images.any()


def test_brightness_is_for_any_number_of_channels() -> None:
    found = change_colors(some_images(4, channels=5), ["brightness"], [torch.tensor([0, 0.5, 1, 2])])
    levels = some_images(4, channels=5).int()
    assert torch.equal(
        found.int(), torch.stack([levels[0] * 0, levels[1] // 2, levels[2], (levels[3] * 2).clip(max=255)])
    )


def test_jitter_draws_from_torchvision_s_ranges_and_all_orders() -> None:
    config = ColorJitter(brightness=0.3, contrast=1.5, saturation=0, hue=0.1)
    factors, orders = draw_jitter(config, an_epoch(4000, 8))
    theirs = v2.ColorJitter(0.3, 1.5, 0, 0.1)
    assert set(factors) == {"brightness", "contrast", "hue"}
    for name, drawn in factors.items():
        least, most = getattr(theirs, name)
        assert least <= drawn.min() < least + 0.01 * (most - least)
        assert most - 0.01 * (most - least) < drawn.max() <= most
        assert drawn.mean().item() == pytest.approx((least + most) / 2, abs=0.03 * (most - least))
    assert len({tuple(order) for order in orders}) == math.factorial(3)
    assert not torch.equal(factors["brightness"], factors["contrast"])


@pytest.mark.parametrize("channels", [2, 4])
@pytest.mark.parametrize(
    ("augment", "keys"),
    [
        ({"color_jitter": {"brightness": 0.1, "contrast": 0.2}}, ["augment.color_jitter.contrast: 0.2"]),
        ({"color_jitter": {"saturation": 0.2, "hue": 0.1}}, ["augment.color_jitter.saturation: 0.2",
                                                              "augment.color_jitter.hue: 0.1"]),
        ({"auto": {"name": "trivial_augment_wide"}}, ["augment.auto.name: trivial_augment_wide"]),
        ({"auto": {"name": "rand_augment"}}, ["augment.auto.name: rand_augment"]),
        ({"color_jitter": {"brightness": 0.1}}, []),
        ({"intensity": {"contrast": 0.1}, "erasing": {"name": "cutout"}, "mix": {"name": "mixup"}}, []),
    ],
)  # fmt: skip
def test_changes_of_colour_are_refused_for_images_without_colours(
    augment: dict[str, Any], keys: list[str], channels: int
) -> None:
    split, levels = Split(some_images(8, channels), torch.arange(8)), (0.5,) * channels

    def first() -> Tensor:
        batches = TrainingBatches(
            split, Augment.model_validate(augment), steps=Steps(8, 8), seed=0, num_classes=8, mean=levels, std=levels
        )
        return next(batches.epoch(0))[0]

    if not keys:
        assert first().shape == split.images.shape
        return
    with pytest.raises(ConfigError) as caught:
        first()
    said = [f"{key} needs images of 1 or 3 channels, not {channels}; set it to " for key in keys]
    assert len(caught.value.problems) == len(said)
    assert all(line.startswith(start) for line, start in zip(caught.value.problems, said, strict=True))


# --- erasing


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("fill", ["mean", "zero"])
@pytest.mark.parametrize("kind", [RandomErasing, Cutout])
def test_erasing_a_batch_equals_torchvision_s_of_each_image(kind: type, fill: str, channels: int) -> None:
    config = kind(probability=0.7, fill=fill)
    images, mean = some_images(50, channels), MEAN[:channels]
    value = torch.tensor([round(255 * share) if fill == "mean" else 0 for share in mean], dtype=torch.uint8)
    expected = [
        T.erase(image, top, left, bottom - top, right - left, value.view(-1, 1, 1))
        for image, (top, left, bottom, right) in zip(
            images, draw_boxes(config, an_epoch(50, 16)).T.tolist(), strict=True
        )
    ]
    change = erasing(config, mean, an_epoch(50, 16))
    found = torch.cat([change(at, part) for at, part in in_batches(images, 16)])
    assert torch.equal(found, torch.stack(expected))
    assert not torch.equal(found, images)


def test_random_erasing_draws_rectangles_as_torchvision_does() -> None:
    config = RandomErasing(probability=0.25, scale=(0.1, 0.3), ratio=(0.5, 3))
    boxes = draw_boxes(config, an_epoch(20000, 100, size=32))
    top, left, bottom, right = boxes[:, (boxes[2] > 0)]
    height, width = (bottom - top).double(), (right - left).double()
    assert boxes.shape[1] * 0.23 < len(top) < boxes.shape[1] * 0.27
    assert (top >= 0).all() and (left >= 0).all() and (bottom <= 32).all() and (right <= 32).all()
    theirs = v2.RandomErasing(1, config.scale, config.ratio)
    torch.manual_seed(0)
    drawn = [theirs.make_params([torch.empty(3, 32, 32)]) for _ in range(4000)]
    for ours, key in ((height, "h"), (width, "w"), (top.double(), "i"), (left.double(), "j")):
        values = torch.tensor([float(each[key]) for each in drawn])
        error = (ours.var() / len(ours) + values.var() / len(values)).sqrt()
        assert (ours.mean() - values.mean()).abs() < 4 * error
        assert (ours.min() - values.min()).abs() <= 1 and (ours.max() - values.max()).abs() <= 1


def test_a_rectangle_that_never_fits_leaves_the_image_whole() -> None:
    config = RandomErasing(probability=1, scale=(1, 1), ratio=(1, 1))
    assert not draw_boxes(config, an_epoch(100, 10)).any()


@pytest.mark.parametrize("size", [1, 4, 5, 40])
def test_cutout_s_centre_lies_anywhere_and_its_edges_are_cut_off(size: int) -> None:
    boxes = draw_boxes(Cutout(size=size), an_epoch(3000, 100))
    uncut = {(y - size // 2, x - size // 2) for y in range(SIZE) for x in range(SIZE)}
    clip = range(SIZE + 1)
    expected = {(max(y, 0), max(x, 0), clip[min(y + size, SIZE)], clip[min(x + size, SIZE)]) for y, x in uncut}
    assert {tuple(box) for box in boxes.T.tolist()} == expected


# --- TrivialAugmentWide, RandAugment


def torchvision_s(name: str, image: Tensor, amount: float) -> Tensor:
    """One operation by torchvision's public functions; what the amount means is from its documentation."""

    def affine(*, translate: tuple[int, int] = (0, 0), shear: tuple[float, float] = (0, 0), **where: Any) -> Tensor:
        return T.affine(image, angle=0, translate=list(translate), scale=1, shear=list(shear), **where)

    slope = math.degrees(math.atan(amount))
    match name:
        case "identity":
            return image
        case "shear_x":
            return affine(shear=(slope, 0), center=[0, 0])
        case "shear_y":
            return affine(shear=(0, slope), center=[0, 0])
        case "translate_x":
            return affine(translate=(int(amount), 0))
        case "translate_y":
            return affine(translate=(0, int(amount)))
        case "rotate":
            return T.rotate(image, amount)
        case "brightness":
            return T.adjust_brightness(image, 1 + amount)
        case "color":
            return T.adjust_saturation(image, 1 + amount)
        case "contrast":
            return T.adjust_contrast(image, 1 + amount)
        case "sharpness":
            return T.adjust_sharpness(image, 1 + amount)
        case "posterize":
            return T.posterize(image, int(amount))
        case "solarize":
            return T.solarize(image, 255 * amount)
        case "autocontrast":
            return T.autocontrast(image)
        case "equalize":
            return T.equalize(image)
        case _:
            raise AssertionError(name)


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("config", [TrivialAugmentWide(), RandAugment(num_ops=1), RandAugment(num_ops=3, magnitude=23)])
def test_each_image_s_operations_equal_torchvision_s(config: TrivialAugmentWide | RandAugment, channels: int) -> None:
    n, images = 600, some_images(600, channels)
    operations, amounts = draw_operations(config, an_epoch(n, 128))
    expected = list(images)
    for names, strengths in zip(operations.tolist(), amounts.tolist(), strict=True):
        expected = [
            torchvision_s(OPERATIONS[name], image, amount)
            for image, name, amount in zip(expected, names, strengths, strict=True)
        ]
    change = auto_augment(config, an_epoch(n, 128))
    found = torch.cat([change(at, part) for at, part in in_batches(images, 128)])
    apart = difference(found, torch.stack(expected)).flatten(1)
    turned = (operations == OPERATIONS.index("rotate")).any(0)
    later = config.num_ops > 1 if isinstance(config, RandAugment) else False
    if not later:
        assert apart[~turned].max() <= 1
    # A pixel halfway between two others is either, by the last bit of its place: at 45 degrees, on the diagonals.
    assert (apart > 1).double().mean() < 2e-3
    assert (apart > 0).double().mean() < 4e-3


@pytest.mark.parametrize(
    ("ours", "theirs"), [(TrivialAugmentWide(), v2.TrivialAugmentWide()), (RandAugment(), v2.RandAugment())]
)
def test_operations_and_strengths_are_torchvision_s(
    ours: TrivialAugmentWide | RandAugment, theirs: v2.TrivialAugmentWide | v2.RandAugment
) -> None:
    space = theirs._AUGMENTATION_SPACE
    assert [name.replace("_", "") for name in OPERATIONS] == [name.lower() for name in space]
    for (amounts_of, signed), row in zip(space.values(), amount_table(ours, 24, 40), strict=True):
        amounts = amounts_of(31, 24, 40)
        assert torch.equal(row, torch.zeros(31) if amounts is None else amounts.float())
        assert not signed or row[0] == 0
    operations, amounts = draw_operations(ours, an_epoch(5000, 100))
    counts = operations.flatten().bincount(minlength=14)
    assert (counts - counts.sum() / 14).abs().max() < 5 * (counts.sum() / 14).sqrt()  # drawn alike
    for index, (_, signed) in enumerate(space.values()):
        of_this = amounts[operations == index]
        assert of_this.ge(0).all() or signed
        if signed:
            assert of_this.lt(0).sum() > 0.4 * of_this.ne(0).sum() < 2 * of_this.gt(0).sum()


@pytest.mark.parametrize("size", [1, 2, 3])
def test_the_smallest_images_are_sharpened_as_torchvision_does(size: int) -> None:
    images, amounts = some_images(8, size=size), torch.linspace(-0.9, 0.9, 8)
    found = _sharpen(images.clone(), amounts.view(-1, 1, 1, 1))
    expected = [torchvision_s("sharpness", image, x.item()) for image, x in zip(images, amounts, strict=True)]
    assert difference(found, torch.stack(expected)).max() <= 1
    assert torch.equal(found, images) == (size < 3)


@pytest.mark.parametrize("size", [1, 2])
@pytest.mark.parametrize("config", [TrivialAugmentWide(), RandAugment()])
def test_images_without_an_inner_pixel_get_every_operation(config: TrivialAugmentWide | RandAugment, size: int) -> None:
    change = auto_augment(config, an_epoch(100, 100, size=size))
    assert change(0, some_images(100, size=size)).shape == (100, 3, size, size)


def test_rand_augment_draws_its_operations_one_apart_from_the_other() -> None:
    (first, second), amounts = draw_operations(RandAugment(magnitude=7), an_epoch(5000, 100))
    assert (first == second).double().mean().item() == pytest.approx(1 / 14, abs=0.02)
    table = amount_table(RandAugment(), SIZE, SIZE)[:, 7].double()
    assert torch.equal(amounts[0].abs(), table[first])


# --- mixup, cutmix


@pytest.mark.parametrize("probability", [0.5, 1.0])
def test_mixup_is_the_weighted_mean_with_the_image_before(probability: float) -> None:
    config, n, k = Mixup(alpha=0.8, probability=probability), 60, 7
    images, labels = some_images(n), torch.arange(n) % k
    shares, _ = draw_mix(config, an_epoch(n, 8))
    change = mixing(config, k, an_epoch(n, 8))
    for at, part in in_batches(images, 8):
        classes, s = labels.split(8)[at], shares[at]
        mixed, targets = change(at, part.clone(), classes)
        assert mixed.dtype == targets.dtype == torch.float32
        for i in range(len(part)):
            plain = s * part[i].double() + (1 - s) * part[i - 1].double()
            torch.testing.assert_close(mixed[i].double(), plain, rtol=0, atol=1e-4)
            target = torch.zeros(k, dtype=torch.float64)
            target[classes[i]] += s
            target[classes[i - 1]] += 1 - s
            torch.testing.assert_close(targets[i].double(), target, rtol=0, atol=1e-6)
    assert (1.0 in shares) == (probability < 1)


def test_cutmix_pastes_one_box_and_its_area_is_the_other_class_s_share() -> None:
    config, n, k = Cutmix(), 400, 400
    images, labels = some_images(n), torch.arange(n)
    images[:] = labels.view(-1, 1, 1, 1) % 251  # each image in a colour of its own
    change = mixing(config, k, an_epoch(n, 8))
    areas: list[float] = []
    for at, part in in_batches(images, 8):
        classes = labels.split(8)[at]
        mixed, targets = change(at, part.clone(), classes)
        assert (mixed.dtype, targets.dtype) == (torch.uint8, torch.float32)
        for i in range(len(part)):
            foreign = mixed[i, 0] == part[i - 1, 0, 0, 0]
            height, width = (int(side.sum()) for side in (foreign.any(1), foreign.any(0)))
            assert foreign.sum() == height * width  # one rectangle
            assert torch.equal(mixed[i], torch.where(foreign, part[i - 1], part[i]))
            assert targets[i, classes[i - 1]].item() == pytest.approx(foreign.double().mean().item(), abs=1e-6)
            assert targets[i].sum().item() == pytest.approx(1)
            areas.append(foreign.double().mean().item())
    assert min(areas) < 0.05 and max(areas) > 0.5


@pytest.mark.parametrize("share", [0.0, 0.3, 0.9, 1.0])
def test_the_cut_box_is_torchvision_s(share: float, monkeypatch: pytest.MonkeyPatch) -> None:
    theirs = v2.CutMix(num_classes=2)
    monkeypatch.setattr(theirs._dist, "sample", lambda _: torch.tensor(share))
    for y, x in ((0, 0), (3, 17), (11, 19), (5, 10)):
        places = iter([x, y])
        monkeypatch.setattr(torch, "randint", lambda *_, places=places, **__: torch.tensor([next(places)]))
        left, top, right, bottom = theirs.make_params([torch.empty(1, 3, 12, 20)])["box"]
        at = ((y + 0.5) / 12, (x + 0.5) / 20)
        assert cut_box(torch.tensor(share).item(), at, 12, 20) == (top, left, bottom, right)


@pytest.mark.parametrize("alpha", [0.2, 1.0, 4.0])
def test_shares_follow_the_beta_distribution(alpha: float) -> None:
    shares = torch.tensor(draw_mix(Mixup(alpha=alpha), an_epoch(20000, 1))[0]).double()
    variance = torch.distributions.Beta(alpha, alpha).variance
    assert shares.mean().item() == pytest.approx(0.5, abs=0.01)
    assert shares.var().item() == pytest.approx(float(variance), rel=0.05)
