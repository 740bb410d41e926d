"""The weights that a run keeps during training."""

from pathlib import Path
from typing import Any

import torch
from run_ends import broken_at

from trainer.config import load_config
from trainer.data.sources import load_image_set
from trainer.runs.checkpoint import load_checkpoint
from trainer.training.networks import drawn_network, fit_whitening
from trainer.training.run import resume_run, start_run


def kept(folder: Path) -> dict[str, dict[str, Any]]:
    return {path.stem: load_checkpoint(path) for path in (folder / "path").iterdir()}


def test_first_last_and_every_second_epoch_are_kept_as_they_were_evaluated(
    tmp_path: Path, small_run: list[str]
) -> None:
    config = load_config([*small_run, "train.max_steps=16", "probe.path.every_epochs=2"]).config
    folder = start_run(config, runs=tmp_path).folder
    epochs = kept(folder)
    assert epochs.keys() == {"0", "2", "2.6666666666666665"}  # 16 steps of 6 an epoch
    assert [epochs[name]["epoch"] for name in sorted(epochs)] == [0, 2, 2 + 4 / 6]
    image_set = load_image_set(config.data, seed=config.seed)
    initial = drawn_network(config.model, image_set, seed=config.seed)
    fit_whitening(initial, image_set)
    for found, expected in (
        (epochs["0"]["evaluated"], initial.state_dict()),
        (epochs["2.6666666666666665"]["evaluated"], load_checkpoint(folder / "checkpoint.pt")["evaluated"]),
    ):
        torch.testing.assert_close(found, dict(expected), rtol=0, atol=0)


def test_keeping_weights_leaves_no_trace_in_the_run(tmp_path: Path, small_run: list[str]) -> None:
    states = []
    for every in (0, 1):
        config = load_config([*small_run, f"probe.path.every_epochs={every}"]).config
        folder = start_run(config, runs=tmp_path, name=f"every{every}").folder
        states.append(load_checkpoint(folder / "checkpoint.pt"))
    without, with_path = ([each[part] for part in ("model", "evaluated")] for each in states)
    torch.testing.assert_close(with_path, without, rtol=0, atol=0)
    without, with_path = (each["random"] for each in states)
    assert torch.equal(with_path.pop("cpu"), without.pop("cpu"))
    assert with_path == without  # NumPy's and Python's, in plain values
    without, with_path = (each["optimizer"]["state"] for each in states)
    torch.testing.assert_close(with_path, without, rtol=0, atol=0)


def test_a_resumed_run_keeps_the_same_weights(tmp_path: Path, small_run: list[str]) -> None:
    config = load_config([*small_run, "probe.path.every_epochs=1"]).config
    unbroken = kept(start_run(config, runs=tmp_path).folder)
    with broken_at(8):
        folder = start_run(config, runs=tmp_path, name="broken").folder
    assert kept(folder).keys() == {"0", "1"}
    resume_run(folder)
    broken = kept(folder)
    assert broken.keys() == unbroken.keys() == {"0", "1", "2", "3"}
    for epoch, content in unbroken.items():
        torch.testing.assert_close(broken[epoch]["evaluated"], content["evaluated"], rtol=0, atol=0)
