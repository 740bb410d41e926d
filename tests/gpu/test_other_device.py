"""A run's network is evaluated alike on a GPU and on a CPU. Its training stays where it began."""

from pathlib import Path

import pytest
from on_device import DEFAULT, config_of, only_on_cuda, write_images
from run_ends import broken_at

from trainer.errors import UserError
from trainer.training.run import resume_run, start_run
from trainer.training.trained import evaluate_trained

pytestmark = pytest.mark.gpu

CHANGES: dict[str, object] = {"train.precision": "float32"}
OTHERS: dict[str, object] = CHANGES | {"train.device": "cpu", "train.channels_last": False}  # other sums on a CPU, too


@pytest.fixture(scope="module")
def words(tmp_path_factory: pytest.TempPathFactory, few_images: list[str]) -> list[str]:
    """Twenty steps, and 1,000 images for testing: each is a thousandth of the accuracy."""
    path = write_images(tmp_path_factory.mktemp("many") / "images.npz", train=640, test=1000)
    return [*few_images, *DEFAULT, f"data.root={path}", "train.epochs=1", "train.batch_size=32"]


@pytest.mark.parametrize("trained_on", ["device", "cpu"])
def test_a_checkpoint_has_the_same_loss_and_accuracy_on_both(
    tmp_path: Path, words: list[str], device: str, trained_on: str
) -> None:
    place = device if trained_on == "device" else "cpu"
    folder = start_run(config_of([*words, f"train.device={place}"]), runs=tmp_path, name="run").folder
    here, on_cpu = (evaluate_trained(folder, each) for each in (CHANGES | {"train.device": device}, OTHERS))
    assert here["test/loss"] == pytest.approx(on_cpu["test/loss"], rel=1e-3)
    assert here["test/accuracy"] == pytest.approx(on_cpu["test/accuracy"], abs=1.01e-3)


# The rule of `choose_compute`. What it says of the precision is tested without a GPU, in tests/trainer/training.
@only_on_cuda("there is no other kind of device")
@pytest.mark.parametrize(("begun_on", "resumed_on"), [("cuda", "cpu"), ("cpu", "cuda")])
def test_a_resume_on_another_kind_of_device_is_refused_in_one_line(
    tmp_path: Path, words: list[str], device: str, begun_on: str, resumed_on: str
) -> None:
    with broken_at(9):
        config = config_of([*words, f"train.device={begun_on}", "train.precision=float32"])
        folder = start_run(config, runs=tmp_path, name="run").folder
    with pytest.raises(UserError, match=r"^train\.device: the run has steps on ") as caught:
        resume_run(folder, {"train": {"device": resumed_on}})
    assert len(caught.value.problems) == 1
