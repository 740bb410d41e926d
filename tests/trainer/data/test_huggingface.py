"""Folders of Hugging Face `datasets`, saved and as on the Hub."""

import json
import shutil
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from data_refused import load, refusal

from trainer.config import load_config
from trainer.config.data import HuggingFace
from trainer.data.sources import shape_of
from trainer.errors import UserError

SAVED = Path(__file__).parent / "huggingface"  # written by `datasets` itself, see make.py there


def huggingface(root: Path, **keys: Any) -> HuggingFace:
    return HuggingFace(name="huggingface", root=root, image_size=8, **keys)


@pytest.mark.parametrize("kind", ["saved", "hub"])
def test_folders_that_datasets_wrote_are_read(tmp_path: Path, kind: str) -> None:
    root = tmp_path / kind
    shutil.copytree(SAVED / kind, root)
    ours = load(huggingface(root))
    assert ours.class_names == ("dark", "bright")
    assert ours.train.labels.tolist() == [0, 1] * 6 and ours.test.labels.tolist() == [0, 1] * 3
    draw = np.random.default_rng(0)  # as make.py draws them
    expected = np.stack(
        [draw.integers(136 * (i % 2), 136 * (i % 2) + 120, (8, 8, 3), dtype=np.uint8) for i in range(12)]
    )
    assert torch.equal(ours.train.images.permute(0, 2, 3, 1), torch.from_numpy(expected))
    written = (root / ".cifar-sweeps-8.pt").stat().st_mtime_ns
    assert torch.equal(load(huggingface(root)).test.images, ours.test.images)
    assert (root / ".cifar-sweeps-8.pt").stat().st_mtime_ns == written
    shape = shape_of(huggingface(root))
    assert (shape.num_classes, shape.train_size, shape.image_size) == (2, 12, 8)


def parquet(folder: Path, **columns: Any) -> Path:
    """A folder with the splits train and test of these columns."""
    folder.mkdir()
    for split in ("train", "test"):
        pq.write_table(pa.table(columns), folder / f"{split}-00000-of-00001.parquet")
    return folder


def test_columns_without_notes_are_found_or_asked_for(tmp_path: Path) -> None:
    table = pq.ParquetFile(SAVED / "hub" / "data" / "test-00000-of-00001.parquet").read()
    images = table.column("img").to_pylist()
    texts = ["b", "a"] * 3
    root = parquet(tmp_path / "set", image=images, other=images, label=texts, weight=[0.5] * 6)
    assert "data.image: image and other both have images; name one of image, other" in refusal(huggingface(root))
    ours = load(huggingface(root, image="other"))
    assert ours.class_names == ("a", "b") and ours.train.labels.tolist() == [1, 0] * 3
    for key, said in (
        ("weight", "has 0.5, which is no class"),
        ("lable", "no column of train is called 'lable'; there are image"),
    ):
        assert said in refusal(huggingface(root, image="other", label=key))
    assert "the column 'label' of train has no encoded images; these have: image, other" in refusal(
        huggingface(root, image="label")
    )


def test_what_is_wrong_with_a_folder_of_datasets_is_one_line(tmp_path: Path) -> None:
    table = pq.ParquetFile(SAVED / "hub" / "data" / "test-00000-of-00001.parquet").read()
    images, labels = table.column("img").to_pylist(), [0, 1] * 3
    assert "nowhere is not there; expected is a folder that `save_to_disk`" in refusal(
        huggingface(tmp_path / "nowhere")
    )
    for kind in ("saved", "hub"):
        line = refusal(huggingface(SAVED / kind, test_split="validation"))
        assert "has no split 'validation', but test, train (data.train_split, data.test_split)" in line
    elsewhere = parquet(tmp_path / "paths", image=[{"bytes": None, "path": "a.png"}] * 6, label=labels)
    assert "train: row 0 has only the path of its image (6 rows so)" in refusal(huggingface(elsewhere))
    broken = parquet(tmp_path / "broken", image=[*images[:5], {"bytes": b"no image", "path": "a.png"}], label=labels)
    with pytest.raises(UserError) as caught:
        load(huggingface(broken))
    assert [*caught.value.problems] == [
        f"huggingface: row 5 of {split} is not an image that Pillow knows" for split in ("train", "test")
    ]
    hidden = parquet(tmp_path / "hidden", image=images, label=[-1] * 6)  # as the Hub has test sets without classes
    assert "the column 'label' has -1, which is no class" in refusal(huggingface(hidden))
    (hidden / "train-00000-of-00001.parquet").write_bytes(b"PAR1")
    assert "train-00000-of-00001.parquet cannot be read" in refusal(huggingface(hidden))
    for name in ("one", "two"):
        shutil.copytree(SAVED / "hub" / "data", tmp_path / "several" / name)
    assert "has several data sets, in" in refusal(huggingface(tmp_path / "several"))


@pytest.fixture
def images() -> list[dict[str, Any]]:
    table = pq.ParquetFile(SAVED / "hub" / "data" / "test-00000-of-00001.parquet").read()
    return table.column("img").to_pylist()


ODD: dict[str, tuple[list[Any], str]] = {
    "text and nothing": (["a", None] * 3, "the column 'label' has None, which is no class"),
    "text and number": (["a", 1] * 3, "the column 'label' has 1, which is no class"),
    "lists": ([[0], [1]] * 3, "the column 'label' has [0], which is no class"),
    "years": ([2001, 2002] * 3, "a label is 2002, but there are 12 images; number the classes from 0"),
    "one": ([0] * 6, "huggingface: only one class"),
}


@pytest.mark.parametrize("case", ODD)
def test_columns_that_number_no_classes_are_one_line(tmp_path: Path, images: list[Any], case: str) -> None:
    labels, said = ODD[case]
    if case == "text and number":  # one in each split, since a column has one type
        root = parquet(tmp_path / "set", image=images, label=["a", "b"] * 3)
        pq.write_table(pa.table({"image": images, "label": [1] * 6}), root / "test-00000-of-00001.parquet")
    else:
        root = parquet(tmp_path / "set", image=images, label=labels)
    assert said in refusal(huggingface(root))


def test_parts_and_splits_that_do_not_belong_together_are_one_line(tmp_path: Path, images: list[Any]) -> None:
    labels = [0, 1] * 3
    root = parquet(tmp_path / "set", image=images, label=labels)
    other = root / "test-00000-of-00001.parquet"
    for columns, said in (
        ({"image": images}, "data.label: no column of test is called 'label'; there are image"),
        ({"label": labels}, "data.image: no column of test is called 'image'; there are label"),
        ({"image": ["a.png"] * 6, "label": labels}, "the column 'image' of test has no encoded images"),
    ):
        pq.write_table(pa.table(columns), other)
        assert said in refusal(huggingface(root))
    pq.write_table(_noted(images, labels, names=["dark", "bright"]), root / "train-00000-of-00001.parquet")
    pq.write_table(_noted(images, labels, names=["bright", "dark"]), other)
    assert refusal(huggingface(root)) == "huggingface: train and test number their classes differently"
    (root / "train-00000-of-00001.parquet").rename(root / "train-00000-of-00002.parquet")
    for read in (load, shape_of):  # before: half of the images, without a word
        line = refusal(huggingface(root), read)
        assert line == f"huggingface: {root} has 1 of 2 files of 'train'; bring the others"
    pq.write_table(pa.table({"image": images}), root / "train-00001-of-00002.parquet")
    line = refusal(huggingface(root))
    assert "train-00001-of-00002.parquet and train-00000-of-00002.parquet have different columns" in line
    (tmp_path / "saved" / "train").mkdir(parents=True)
    (tmp_path / "saved" / "train" / "state.json").write_text('{"_data_files": []}')
    assert "state.json is damaged" in refusal(huggingface(tmp_path / "saved"), shape_of)
    (tmp_path / "saved" / "train" / "state.json").write_text("[" * 200_000)
    assert "state.json is damaged" in refusal(huggingface(tmp_path / "saved"), shape_of)


def test_notes_of_other_columns_are_left_alone(tmp_path: Path, images: list[Any]) -> None:
    """`datasets` notes a list of values as a list."""
    root = parquet(tmp_path / "set", image=images, label=[0, 1] * 3)
    for split in ("train", "test"):
        table = _noted(images, [0, 1] * 3, names=["dark", "bright"], boxes=[{"dtype": "int64", "_type": "Value"}])
        pq.write_table(table, root / f"{split}-00000-of-00001.parquet")
    assert load(huggingface(root)).class_names == ("dark", "bright")


def _noted(images: list[Any], labels: list[int], *, names: list[str], **more: Any) -> pa.Table:
    features = {"image": {"_type": "Image"}, "label": {"names": names, "_type": "ClassLabel"}, **more}
    notes = {"huggingface": json.dumps({"info": {"features": features}})}
    return pa.table({"image": images, "label": labels}).replace_schema_metadata(notes)


@pytest.mark.parametrize(
    ("word", "said"),
    [
        ("data.test_split=train", "train_split and test_split are both 'train'; test on other images"),
        ("data.test_split=*", "data.test_split: '*': string should match pattern"),  # before: every file, also train's
        ("data.test_split=", "data.test_split: '': string should match pattern"),
    ],
)
def test_a_split_is_one_and_another_than_that_of_training(word: str, said: str) -> None:
    with pytest.raises(UserError) as caught:
        load_config(["data.name=huggingface", "data.root=x", word])
    (line,) = caught.value.problems
    assert said in line


def test_without_pyarrow_one_line_says_what_to_install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    monkeypatch.delitem(sys.modules, "trainer.data.huggingface", raising=False)
    assert refusal(huggingface(tmp_path)) == (
        "data.name=huggingface: needs pyarrow: pip install 'cifar-sweeps[huggingface]'"
    )
