"""Own parts on W&B: a sweep carries their texts, so that an agent without the file trains the same network."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from command_line import run_here
from standin import ENTITY, Run, Standin, Sweep

from trainer.config.overrides import flatten
from trainer.errors import SweepError
from trainer.own.source import hash_of
from trainer.own.travel import as_parameters
from trainer.runs.folder import read_config
from trainer.sweep.file import parse_sweep, read_sweep
from trainer.sweep.own_parts import sources_in
from trainer.sweep.points import points_of
from trainer.wandb_api import sweeps as remote
from trainer.wandb_api.fetch import bring

NET = '''"""A network: it's "mine"."""
from torch import nn


def net(width: int = 2, *, num_classes: int):
    layers = nn.Conv2d(3, width, 3), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(width, num_classes)
    return nn.Sequential(*layers)
'''
SWEEP = """# Which width?
project: p
name: widths
method: grid
metric: {name: test/accuracy, goal: maximize}
command: ["${env}", trainer, train, "${args_no_hyphens}"]
parameters:
  model.name: {value: "my_nets.py:net"}
  model.width: {values: [2, 3]}
  data.name: {value: folder}
  data.root: {value: ROOT}
  data.image_size: {value: 8}
  augment.crop.padding: {value: 1}
  train.epochs: {value: 1}
  seed: {value: 0}
"""


@pytest.fixture
def sweep(tmp_path: Path, image_folder: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "my_nets.py").write_text(NET)
    (tmp_path / "widths.yaml").write_text(SWEEP.replace("ROOT", str(image_folder)))
    return tmp_path / "widths.yaml"


def registered(sweep: Path) -> dict[str, object]:
    """The sweep as W&B has it after `trainer sweep start`."""
    config = yaml.safe_load(sweep.read_text())
    config["parameters"] |= as_parameters(sources_in(read_sweep(sweep)))
    return config


def test_a_run_of_an_agent_uses_the_text_of_the_sweep_whatever_its_own_file_says(
    sweep: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    on_wandb = parse_sweep(yaml.safe_dump(registered(sweep)), sweep)
    values = points_of(on_wandb)[1].values
    for id, there in (("gone", None), ("other", NET.replace("3, width, 3", "3, width, 1"))):
        Path("my_nets.py").unlink(missing_ok=True)
        if there:
            Path("my_nets.py").write_text(there)
        Path("values.yaml").write_text(yaml.safe_dump({key: {"value": value} for key, value in values.items()}))
        for name, value in (("PARAM_PATH", "values.yaml"), ("ID", "s1")):
            monkeypatch.setenv(f"WANDB_SWEEP_{name}", value)
        monkeypatch.setenv("WANDB_RUN_ID", id)
        words = [f"{key}={value}" for key, value in values.items()]  # as `${args_no_hyphens}` writes them
        assert run_here(["train", *words, "sink.wandb.mode=disabled", "--runs", "elsewhere"]) == 0
        folder = Path("elsewhere") / f"s1-{id}"
        assert read_config(folder).model.arguments == {"width": 3, "code": hash_of(NET)}
        assert (folder / "own" / "my_nets.py").read_text() == NET


@pytest.mark.filterwarnings("ignore:Read the `app_url` setting:DeprecationWarning")  # of `wandb.sweep`, to itself
def test_start_registers_the_text_and_a_fetch_brings_it_back(
    server: Standin, sweep: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    started: list[object] = []
    monkeypatch.setattr(remote, "_run_all", lambda tasks, slots: started.append(tasks))
    remote.start(sweep, agents=1, devices=["cpu"])
    (id,) = server.store.sweeps
    config = server.store.sweeps[id].config
    assert config["parameters"]["own.my_nets"] == {"value": NET}
    assert config["parameters"].keys() - yaml.safe_load(sweep.read_text())["parameters"].keys() == {"own.my_nets"}
    own = {"model.name": "my_nets.py:net", "model.width": 2, "model.code": hash_of(NET), "own.my_nets": NET, "seed": 0}
    raw = {key: {"value": value} for key, value in own.items()}
    summary = {"status": "finished"}
    server.runs["a"] = Run("a", "p", sweep=id, state="finished", raw_config=raw, summary=summary, upserts=1)
    (folder,) = bring(f"{ENTITY}/p/{id}", sweep.parent / "fetched")
    assert (folder / "own" / "my_nets.py").read_text() == NET
    fetched = read_sweep(folder / "widths.yaml")
    assert not any(key.startswith("own.") for key in fetched.space)
    (run,) = folder.glob("*/config.yaml")
    stored = flatten(yaml.safe_load(run.read_text()))
    assert stored["model.code"] == hash_of(NET) and not any(key.startswith("own.") for key in stored)
    assert "own.my_nets" not in (run.parent / "run.json").read_text()


def test_a_text_that_cannot_travel_is_refused_before_anything_is_registered(sweep: Path) -> None:
    Path("my_nets.py").write_text(f"{NET}# {'x' * 100_000}\n")
    with pytest.raises(SweepError, match=r"my_nets.py: longer than 100,000 bytes"):
        as_parameters(sources_in(read_sweep(sweep)))
    Path("my-nets.py").write_text(NET)
    sweep.write_text(sweep.read_text().replace("my_nets.py", "my-nets.py"))
    with pytest.raises(SweepError, match=r"my-nets.py: W&B needs a name of letters, digits and _"):
        as_parameters(sources_in(read_sweep(sweep)))


@pytest.mark.slow
def test_an_agent_in_a_folder_without_the_file_trains_every_point(server: Standin, sweep: Path, tmp_path: Path) -> None:
    server.store.sweeps["s1"] = Sweep("s1", "p", yaml.safe_dump(registered(sweep)))
    away = tmp_path / "away"
    away.mkdir()
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    agent = [sys.executable, "-m", "wandb", "agent", "-f", f"{ENTITY}/p/s1"]
    subprocess.run(agent, cwd=away, env={**os.environ, "PATH": path}, check=True, timeout=300, capture_output=True)
    configs = [read_config(folder.parent) for folder in away.glob("runs/*/config.yaml")]
    assert sorted(config.model.arguments["width"] for config in configs) == [2, 3]
    assert {config.model.arguments["code"] for config in configs} == {hash_of(NET)}
    assert {run.state for run in server.runs.values()} == {"finished"}
