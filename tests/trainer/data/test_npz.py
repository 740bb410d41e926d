"""Images in .npz files, and what is wrong with others."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from command_line import run_here
from data_refused import levels, load, refusal
from numpy.typing import NDArray

from trainer.config.data import Npz
from trainer.data.images import class_names
from trainer.data.sources import shape_of
from trainer.errors import DataError

Arrays = dict[str, NDArray[Any]]


def keras(**changes: NDArray[Any]) -> Arrays:
    """The arrays of Keras's cifar10.npz, in small: labels are a column."""
    labels = (np.arange(12) % 3)[:, None].astype(np.uint8)
    whole: Arrays = {"x_train": levels(12, 32, 32, 3), "y_train": labels, "x_test": levels(6, 32, 32, 3, seed=1)}
    return whole | {"y_test": labels[:6]} | changes


def npz(path: Path, **arrays: NDArray[Any]) -> Npz:
    np.savez(path, **arrays)  # pyright: ignore[reportArgumentType] - its stub takes a flag for a name
    return Npz(name="npz", root=path)


@pytest.mark.parametrize(
    ("given", "names"),
    [
        (["a", "a", "b"], ("a (0)", "a (1)", "b")),
        (["a", "a", "a (0)"], ("a (0) (0)", "a (1)", "a (0) (2)")),
        (["a", "b", "c"], ("a", "b", "c")),
    ],
)
def test_classes_of_one_name_have_their_number_beside_it(given: list[str], names: tuple[str, ...]) -> None:
    """Before: a table and a chart by name mixed them up, and only the first could be asked for."""
    assert class_names(given, torch.tensor([0, 1, 2]), DataError) == names


def test_arrays_as_keras_has_them_are_read_without_a_change(tmp_path: Path) -> None:
    arrays = keras()
    ours = load(npz(tmp_path / "set.npz", **arrays))
    assert torch.equal(ours.train.images.permute(0, 2, 3, 1), torch.from_numpy(arrays["x_train"]))
    assert torch.equal(ours.test.images.permute(0, 2, 3, 1), torch.from_numpy(arrays["x_test"]))
    assert ours.train.labels.tolist() == [0, 1, 2] * 4
    assert ours.class_names == ("0", "1", "2")
    shape = shape_of(Npz(name="npz", root=tmp_path / "set.npz"))
    assert (shape.num_classes, shape.train_size, shape.image_size) == (3, 12, 32)


def test_greys_of_another_side_and_two_files_are_read_too(tmp_path: Path) -> None:
    labels = np.array([0, 1] * 3)
    white = np.full((6, 28, 28), 200, np.uint8)
    np.savez(tmp_path / "train.npz", x=white, y=labels, class_names=np.array(["cat", "dog"]))
    np.savez(tmp_path / "test.npz", x=white[:2, None], y=labels[:2])
    ours = load(Npz(name="npz", root=tmp_path))
    assert ours.train.images.shape == (6, 3, 32, 32) and ours.test.images.shape == (2, 3, 32, 32)
    assert ours.train.images.unique().tolist() == [200]
    assert ours.class_names == ("cat", "dog")
    np.savez(tmp_path / "train.npz", x=np.stack([white] * 3, 1), y=labels, class_names=np.array([b"cat", b"dog"]))
    again = load(Npz(name="npz", root=tmp_path))
    assert torch.equal(again.train.images, ours.train.images) and again.class_names == ours.class_names
    assert shape_of(Npz(name="npz", root=tmp_path)).num_classes == 2
    medmnist = npz(tmp_path / "m.npz", **{f"{s}_{k}": v for s in ("train", "val", "test")
                                          for k, v in (("images", white), ("labels", labels[:, None]))})  # fmt: skip
    assert load(medmnist.model_copy(update={"image_size": 28})).train.images.shape == (6, 3, 28, 28)


BAD: dict[str, tuple[Arrays, str]] = {
    "float": (keras(x_train=levels(12, 32, 32, 3) / 255), "float64 [12, 32, 32, 3], not uint8 in 0..255; multiply by"),
    "channels": (keras(x_train=levels(12, 32, 32, 4)), "uint8 [12, 32, 32, 4], not [N, H, W], [N, H, W, C] or"),
    "lengths": (keras(y_train=np.arange(11)), "12 images, but 11 labels"),
    "one-hot": (keras(y_train=np.eye(12)), "labels are float64 [12, 12], not whole numbers [N]"),
    "negative": (keras(y_train=np.arange(12) - 1), "a label is -1; the first class is 0"),
    "one class": (keras(y_train=np.zeros(12, int), y_test=np.zeros(6, int)), "only one class"),
    "new class": (keras(y_test=np.arange(6)), "a test label is 5, but the training set has 3 classes"),
    "names": (keras(class_names=np.array(["a", "b"])), "2 classes, but a label is 2"),
    "one name": (keras(class_names=np.array("cat")), "class_names are <U3 [], not text [K]"),
    "years": (
        keras(y_train=np.arange(12) + 2001),
        "a label is 2012, but there are 12 images; number the classes from 0",
    ),
    "unsigned": (keras(y_train=np.full(12, 2**63, np.uint64)), "a label is 9223372036854775808, which is no class"),
    "none": (keras(x_train=levels(0, 32, 32, 3), y_train=np.arange(0)), "x_train, y_train: no labels"),
    "no side": (keras(x_train=levels(12, 0, 0, 3)), "images are uint8 [12, 3, 0, 0], not [N, H, W]"),
    "pickle": (keras(y_train=np.array([{}] * 12, dtype=object)), "has Python objects, which are not unpickled"),
}


@pytest.mark.parametrize("case", BAD)
def test_bad_arrays_are_one_line(tmp_path: Path, case: str) -> None:
    arrays, said = BAD[case]
    path = tmp_path / "set.npz"
    line = refusal(npz(path, **arrays))
    assert said in line and str(path) in line


def test_a_missing_or_foreign_npz_is_one_line(tmp_path: Path) -> None:
    path = tmp_path / "set.npz"
    for read in (load, shape_of):
        line = refusal(Npz(name="npz", root=path), read)
        assert f"npz: {path} is not there; set data.root to a file with x_train" in line
    path.write_bytes(b"no zip")
    assert "is damaged, or no .npz file" in refusal(Npz(name="npz", root=path))
    np.savez(path, images=levels(3, 8, 8))
    assert "has images; expected are x_train and y_train" in refusal(Npz(name="npz", root=path))
    np.savez(path, x=levels(3, 8, 8), y=np.arange(3))  # before: both the training set and the test set
    for read in (load, shape_of):
        line = refusal(Npz(name="npz", root=path), read)
        assert line == f"{path}: has {'x, y' if read is load else 'nothing'}; expected are x_train and y_train"
    np.save(tmp_path / "one.npy", levels(3, 8, 8))
    assert "or no .npz file of several arrays" in refusal(Npz(name="npz", root=tmp_path / "one.npy"))


def test_a_network_gets_the_classes_of_the_data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    data = npz(tmp_path / "set.npz", **keras())
    words = [f"data.root={data.root}", "model.name=lenet5", "train.epochs=1", "train.batch_size=6"]
    assert run_here(["train", "data.name=npz", *words, "sink.wandb.mode=disabled", "--name", "run"]) == 0
    assert '"classes": ["0", "1", "2"]' in (tmp_path / "runs" / "run" / "confusion.json").read_text()
