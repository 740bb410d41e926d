"""Every form in which W&B's agent writes a run's values, as words that `trainer train` is given by W&B's own code."""

import json
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml
from wandb.sdk.launch.sweeps.utils import create_sweep_command_args

from trainer.cli.main import main

VALUES: dict[str, Any] = {
    "model.name": "vgg_a",
    "model.width": 8,
    "seed": 7,
    "optimizer": {"lr": 0.03, "weight_decay": 0.0},
    "optimizer.nesterov": True,
    "train.keep_best": False,
    "train.max_steps": None,
    "sink.wandb.tags": ["a b", "c"],
}
FORMS = "args args_no_hyphens args_no_boolean_flags args_no_equals args_json args_append_hydra args_override_hydra"


@pytest.mark.parametrize("form", [*FORMS.split(), "args_json_file"])
@pytest.mark.parametrize("swept", [["model.name", "seed"], list(VALUES)], ids=["two", "many"])
def test_each_form_of_wandb_s_arguments_is_understood(
    form: str, swept: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    values = {key: VALUES[key] for key in swept}
    made = create_sweep_command_args({"args": {key: {"value": value} for key, value in values.items()}})
    if form == "args_json_file":
        (tmp_path / "c.json").write_text(made["args_json"][0])
        words = [str(tmp_path / "c.json")]
    else:
        words = made[form]
    (tmp_path / "p.yaml").write_text(yaml.safe_dump({key: {"value": value} for key, value in values.items()}))
    monkeypatch.setenv("WANDB_SWEEP_PARAM_PATH", str(tmp_path / "p.yaml"))
    monkeypatch.setattr(sys, "argv", ["trainer", "train", *words, "--dry-run", "--json", "train.epochs=1"])
    with pytest.raises(SystemExit) as ended:
        main()
    said = capsys.readouterr()
    assert not ended.value.code, said.err
    config = json.loads(said.out)["config"]
    assert (config["model"]["name"], config["seed"]) == ("vgg_a", 7)
    if len(swept) > 2:
        assert (config["optimizer"]["lr"], config["optimizer"]["nesterov"], config["train"]["max_steps"]) == (
            0.03,
            True,
            None,
        )
        assert config["sink"]["wandb"]["tags"] == ["a b", "c"]


@pytest.mark.parametrize(
    "words", [["+seed=8"], ["--seed", "8"], ['{"seed": 8}'], ["c.json"], ["--train.epochs", "9", "seed=8"]]
)
def test_a_form_that_says_another_value_is_refused(
    words: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("c.json").write_text('{"seed": 8}')
    Path("p.yaml").write_text("seed: {value: 7}")
    monkeypatch.setenv("WANDB_SWEEP_PARAM_PATH", "p.yaml")
    monkeypatch.setattr(sys, "argv", ["trainer", "train", *words, "--dry-run"])
    with pytest.raises(SystemExit) as ended:
        main()
    said = capsys.readouterr().err
    assert ended.value.code == 2
    assert "seed: the sweep says 7 and the command 8" in said or "'--train.epochs': expected KEY=VALUE" in said
