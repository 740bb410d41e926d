"""Every optimizer, loss and schedule takes three steps on the device, and so do the other parts of a step."""

import pytest
import torch
from on_device import NARROW, as_in_a_run, assert_finite, choices_of, loop_of, only_on_cuda, trained

pytestmark = pytest.mark.gpu

CLOSED = [f"{section}.name={name}" for section in ("optimizer", "loss", "schedule") for name in choices_of(section)]
OTHERS = {
    "timm's optimizer": ["optimizer.name=timm/lamb"],
    "Muon in bfloat16, of filters": [
        "optimizer.name=muon", "optimizer.orthogonalise=filters", "optimizer.format=bfloat16",
        "optimizer.renormalise=true", "optimizer.rest=adamw",
    ],
    "lookahead": ["optimizer.lookahead.steps=2"],
    "groups of their own": [
        "model.name=airbench94", "model.widths=[4,4,4]", "optimizer.head.lr_scale=3",
        "optimizer.first_bias.end_epoch=1",
    ],
    "clip": ["train.clip_grad_norm=0.1"],
    "accumulate": ["train.accumulate=3"],
    "penalties": ["loss.l1=1e-4", "loss.l2=1e-3"],
    "weights of classes": ["loss.class_weights=[1,2,1,2,1,2,1,2,1,2]"],
    "targets that are probabilities": ["augment.mix.name=mixup"],
    "EMA, views": ["train.ema.decay=0.9", "train.tta=hflip_translate", "train.tta_share=0.5"],
    "SWA": ["train.ema.decay=0", "train.epochs=1", "train.swa.epochs=1"],
    "channels first": ["train.channels_last=false"],
    "deterministic": ["train.deterministic=true"],
}  # fmt: skip


def three_steps(device_run: list[str], words: list[str]) -> None:
    network = [] if any(word.startswith("model.name=") for word in words) else NARROW
    loop = trained([*device_run, *network, "train.batch_size=32", "train.max_steps=3", *words])
    assert loop.counters.step == 3
    assert_finite(loop)


@pytest.mark.parametrize("word", CLOSED)
def test_three_steps_with_a_choice_are_finite(word: str, device_run: list[str]) -> None:
    three_steps(device_run, [word])


@pytest.mark.parametrize("words", OTHERS.values(), ids=OTHERS.keys())
def test_three_steps_with_something_else_in_them_are_finite(words: list[str], device_run: list[str]) -> None:
    three_steps(device_run, words)


@only_on_cuda("CUDA alone has TF32")
@pytest.mark.parametrize(("precision", "exact"), [("float32", True), ("tf32", False)])
def test_float32_is_not_rounded_to_tf32_unless_asked(precision: str, exact: bool, device_run: list[str]) -> None:
    """TF32 has ten bits after the point, so it takes 1 + 2^-12 for 1."""
    loop = loop_of([*device_run, *NARROW, f"train.precision={precision}"])
    ones = torch.ones(64, 64, device="cuda")
    kernel = torch.full((64, 64, 1, 1), 1 + 2.0**-12, device="cuda")
    with as_in_a_run(loop):
        product = ones @ (ones + 2.0**-12)
        convolved = torch.nn.functional.conv2d(torch.ones(8, 64, 8, 8, device="cuda"), kernel)
    for found in (product, convolved):
        assert bool((found == 64 * (1 + 2.0**-12)).all()) == exact


@only_on_cuda("Inductor compiles for a CPU elsewhere")
@pytest.mark.parametrize("words", [["train.compile=default"], ["train.compile=default", "train.graphs=true"],
                                   ["train.cudnn_benchmark=true"]], ids=" ".join)  # fmt: skip
def test_a_short_run_with_other_kernels_is_finite(words: list[str], device_run: list[str]) -> None:
    loop = trained([*device_run, *NARROW, "train.batch_size=30", "train.epochs=1", *words])
    assert_finite(loop)


@only_on_cuda("float16 needs a GPU")
@pytest.mark.parametrize("name", ["sgd", "adam", "adamax", "muon"])  # two with fused kernels, two without
@pytest.mark.parametrize("more", [[], ["train.clip_grad_norm=0.1", "train.accumulate=2"]], ids=["plain", "clipped"])
def test_three_steps_in_float16_are_finite(name: str, more: list[str], device_run: list[str]) -> None:
    three_steps(device_run, [f"optimizer.name={name}", "train.precision=float16", *more])
