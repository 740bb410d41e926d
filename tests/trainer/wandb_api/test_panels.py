"""Panels pushed to a stand-in for W&B's server with the real client, and runs that use them."""

import json
from pathlib import Path
from typing import Any

import pytest
import wandb
from standin import ENTITY, Standin

from trainer.config import load_config
from trainer.errors import ConfigError
from trainer.panels.panel import Panel, holes
from trainer.panels.registry import PANELS, panel
from trainer.runs.groups import grouped
from trainer.runs.history import read_history
from trainer.training.run import start_run
from trainer.wandb_api.panels import push_panels

PROBED = ["probe.walk.at=[1,7]", "probe.drift.every=1", "probe.shift.at=[1]", "sink.wandb.mode=auto"]


def charts_of(server: Standin) -> dict[str, dict[str, Any]]:
    """Return the run's settings of each of its custom charts, by key."""
    shown = server.only_run.raw_config["_wandb"]["value"]["visualize"]
    return {key: chart["panel_config"] for key, chart in shown.items()}


def key_of(shown: Panel) -> str:
    return f"panels/{shown.name}"


def columns_of(server: Standin, key: str) -> list[str]:
    """Return the columns of the table that was logged under a key."""
    (row,) = (row for row in server.only_run.history if key in row)
    return json.loads(server.only_run.files[row[key]["path"]])["columns"]


def test_all_are_pushed_under_versioned_names_and_a_second_time_they_are_there(server: Standin) -> None:
    first, second = list(push_panels("us", [])), list(push_panels("us", []))
    names = [f"us/{each.pushed_name}" for each in PANELS]
    assert first == [f"{name}: pushed" for name in names]
    assert second == [f"{name}: is there already" for name in names]
    assert list(server.store.charts) == names


def test_a_server_that_refuses_is_one_line(server: Standin) -> None:
    server.fail("graphql", 403)
    with pytest.raises(ConfigError, match=r"W&B: .* 403"):
        list(push_panels("us", ["beta"]))


def test_a_missing_entity_is_not_mistaken_for_an_existing_chart(monkeypatch: pytest.MonkeyPatch) -> None:
    class Api:
        def create_custom_chart(self, **_: Any) -> None:
            raise ValueError("entity nobody does not exist")

    monkeypatch.setattr("trainer.wandb_api.panels.wandb.Api", Api)
    with pytest.raises(ConfigError, match="entity nobody does not exist"):
        list(push_panels("nobody", ["beta"]))


def test_an_unknown_panel_is_refused_with_the_nearest_before_anything_is_sent(server: Standin) -> None:
    with pytest.raises(ConfigError, match="did you mean 'beta'"):
        list(push_panels("us", ["loss_band", "betta"]))
    assert not server.store.charts


def test_the_pushed_spec_the_logged_table_and_the_registry_have_the_same_fields(
    server: Standin, tmp_path: Path, small_run: list[str]
) -> None:
    list(push_panels(ENTITY, []))
    config = load_config([*small_run, *PROBED, f"sink.wandb.panels={ENTITY}"]).config
    start_run(config, runs=tmp_path / "runs", name="a")
    wandb.teardown()
    charts = charts_of(server)
    groups = grouped([read_history(tmp_path / "runs" / "a")])
    single = [each for each in PANELS if each.preset and each.rows(groups)]
    assert len(single) >= 9
    assert charts.keys() == {key_of(each) for each in single}
    for each in single:
        chart = charts[key_of(each)]
        pushed = json.loads(server.store.charts[chart["panelDefId"]]["spec"])
        assert set(chart["fieldSettings"]) == set(each.columns) >= holes(pushed, "field")
        assert set(chart["stringSettings"]) == holes(pushed, "string")
        assert {column: column for column in columns_of(server, f"{key_of(each)}_table")} == chart["fieldSettings"]


def test_without_a_push_the_tables_are_those_of_the_presets(
    server: Standin, tmp_path: Path, small_run: list[str]
) -> None:
    start_run(load_config([*small_run, *PROBED]).config, runs=tmp_path / "runs", name="a")
    wandb.teardown()
    for key, chart in charts_of(server).items():
        preset = panel(key.removeprefix("panels/")).preset
        assert preset is not None and chart["panelDefId"] == preset.name
        assert set(chart["fieldSettings"].values()) == set(columns_of(server, f"{key}_table"))


def test_an_offline_run_has_its_tables(
    server: Standin, tmp_path: Path, small_run: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    result = start_run(load_config([*small_run, "sink.wandb.mode=offline"]).config, runs=tmp_path / "runs", name="a")
    wandb.teardown()
    assert server.requests == []
    found = {path.name.split(".")[0].rpartition("_table")[0] for path in result.folder.rglob("*.table.json")}
    assert found == {"learning_curves", "loss_curves", "rate_curve", "confusion_matrix"}


def test_tables_that_cannot_be_made_are_one_line_and_do_not_end_the_run(
    server: Standin,
    tmp_path: Path,
    small_run: list[str],
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr(wandb, "plot_table", lambda **_: 1 / 0)
    result = start_run(load_config([*small_run, "sink.wandb.mode=auto"]).config, runs=tmp_path / "runs", name="a")
    assert result.status == "finished"
    assert "wandb: the tables of the panels are not sent: division by zero\n" in capfd.readouterr().err
    assert server.only_run.summary["status"] == "finished"
