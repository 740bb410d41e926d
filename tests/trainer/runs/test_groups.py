"""Which keys change a run's numbers: `data.root` only where it says which images those are."""

from pathlib import Path

import pytest

from trainer.config import load_config
from trainer.errors import ConfigError
from trainer.runs.folder import config_hash, same_run
from trainer.sweep.check import check
from trainer.sweep.file import parse_sweep

FILES = ["folder", "npz", "huggingface"]


def hash_with(name: str, root: str) -> str:
    return config_hash(load_config([f"data.name={name}", f"data.root={root}"]).config)


@pytest.mark.parametrize("name", FILES)
def test_other_files_are_other_images_and_another_place_is_not(name: str) -> None:
    assert hash_with(name, "/here/a.npz") != hash_with(name, "/here/b.npz")
    assert hash_with(name, "/here/a.npz") == hash_with(name, "there/a.npz")


def test_where_a_set_is_downloaded_to_changes_no_number() -> None:
    assert hash_with("cifar10", "/here/a") == hash_with("cifar10", "b")


def test_a_root_of_an_own_set_is_an_argument_like_others(tmp_path: Path) -> None:
    own = tmp_path / "own.py"
    own.write_text("def images(root: str = 'a'):\n    ...\n")  # only its arguments are read
    assert hash_with(f"{own}:images", "here/a") != hash_with(f"{own}:images", "there/a")


@pytest.mark.parametrize("name", FILES)
def test_images_that_have_moved_are_no_other_run(name: str) -> None:
    config = load_config([f"data.name={name}", "data.root=a"]).config
    assert str(same_run(config, {"data": {"root": "b"}}).data.model_dump()["root"]) == "b"
    with pytest.raises(ConfigError, match=r"optimizer.lr: the run has"):
        same_run(config, {"data": {"root": "b"}, "optimizer": {"lr": 7.0}})


@pytest.mark.parametrize(("second", "warned"), [("./b.npz", False), ("./a.npz", True), ("there/a.npz", True)])
def test_points_on_other_files_are_no_twins(second: str, warned: bool) -> None:
    text = f"method: grid\nparameters:\n  data.name: {{value: npz}}\n  data.root: {{values: [a.npz, {second}]}}\n"
    warnings = check(parse_sweep(text, Path("s.yaml"))).warnings
    assert any("are the same run" in each for each in warnings) == warned


def test_a_key_that_the_run_lacks_is_mistyped_and_another_choice_is_one_line() -> None:
    """Before: `the run has None, not 'gelu'`, and a line for each key of either network."""
    config = load_config(["model.name=lenet5", "model.act=relu"]).config
    with pytest.raises(ConfigError) as found:
        same_run(config, {"model": {"actt": "gelu"}})
    assert found.value.problems == ("model.actt: the run has no such key; did you mean 'model.act'?",)
    with pytest.raises(ConfigError) as found:
        same_run(config, {"model": {"name": "vgg_a", "norm": "none"}})
    (line,) = found.value.problems
    assert line.startswith("model.name: the run has 'lenet5', not 'vgg_a'; ")
