"""The device and a few images for the tests of `make test-gpu`.

A GPU machine may lack what tests/conftest.py imports, so `make test-gpu` does without it, and nothing here needs it.
"""

import pytest
import torch
from on_device import ON_CPU, write_images

torch.set_num_threads(1)  # what is compared with a GPU is small, and several processes compare


@pytest.fixture(scope="session")
def device() -> str:
    """The device that is tested, as `train.device` names it."""
    if ON_CPU:
        return "cpu"
    if not torch.cuda.is_available():
        cure = "TRAINER_GPU_TESTS_ON=cpu tries the tests themselves on a CPU"
        pytest.fail(f"torch {torch.__version__} sees no CUDA device here; {cure}", pytrace=False)
    return "cuda"


@pytest.fixture(scope="session")
def few_images(tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    """Words of a run of a few 32x32 images that prints nothing: 640 for training, 200 for testing."""
    path = write_images(tmp_path_factory.mktemp("images") / "images.npz", train=640, test=200)
    return ["data.name=npz", f"data.root={path}", "sink.wandb.mode=disabled", "sink.console.mode=off"]


@pytest.fixture(scope="session")
def device_run(device: str, few_images: list[str]) -> list[str]:
    """Words of a run on the device that is tested."""
    return [*few_images, f"train.device={device}"]
