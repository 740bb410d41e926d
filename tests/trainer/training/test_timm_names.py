"""Names of timm's that are refused without it."""

import json
from pathlib import Path

import pytest

from trainer.errors import ConfigError
from trainer.training import timm_names


def test_another_version_of_timm_is_asked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    kept = json.loads(timm_names.TIMM_TABLE.read_text(encoding="utf-8"))
    table = tmp_path / "timm.json"
    table.write_text(json.dumps({"version": "0.1", "names": {"networks": ["old"]}}))
    monkeypatch.setattr(timm_names, "TIMM_TABLE", table)
    timm_names._names.cache_clear()
    assert set(timm_names.timm_networks()) >= {"resnet18", "vit_tiny_patch16_224"}
    table.write_text(json.dumps({"version": kept["version"], "names": {"networks": ["known"]}}))
    timm_names._names.cache_clear()
    assert timm_names.timm_networks() == ["known"]
    timm_names._names.cache_clear()


@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("timm/lambb", "timm has no optimizer 'lambb'; did you mean 'timm/lamb'?"),
        ("timm/adahessian", "'timm/adahessian' needs second derivatives"),
    ],
)
def test_an_optimizer_of_timm_that_cannot_be_used_is_refused(name: str, says: str) -> None:
    with pytest.raises(ConfigError, match=says.replace("?", r"\?")):
        timm_names.refuse_unknown_optimizer(name)
