"""Which sinks a config has."""

from pathlib import Path

from trainer.config.sink import Sink
from trainer.sinks.build import build_sinks


def all_local() -> Sink:
    return Sink.model_validate({name: {"mode": "local"} for name in ("trackio", "tensorboard")})


def test_the_folder_comes_first_and_others_only_if_they_are_on(tmp_path: Path) -> None:
    off = Sink.model_validate({"wandb": {"mode": "disabled"}})
    assert [sink.name for sink in build_sinks(off, tmp_path)] == ["folder", "console"]
    on = [sink.name for sink in build_sinks(all_local(), tmp_path)]
    assert on == ["folder", "console", "wandb", "trackio", "tensorboard"]
