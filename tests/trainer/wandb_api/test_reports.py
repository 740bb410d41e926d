"""A report published on W&B: what wandb-workspaces sends of it, to a stand-in of the server."""

import importlib
import json
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml
from standin import ENTITY, Run, Standin

from trainer.errors import SweepError, UserError
from trainer.report.pack import pack
from trainer.report.pages.answer import finding
from trainer.report.table import Table
from trainer.report.tables import read_table
from trainer.wandb_api.reports import WORKSPACE, publish

GRID = """# Which rate is best?
method: grid
metric: {name: test/accuracy, goal: maximize}
command: ["${env}", trainer, train, "${args_no_hyphens}"]
parameters: {optimizer.lr: {values: [0.1, 1.0]}, seed: {values: [0, 1]}}
"""


@pytest.fixture
def server(server: Standin) -> Standin:
    """The stand-in with a project `p`."""
    server.runs["there"] = Run("there", "p", upserts=1)
    return server


@pytest.fixture
def table(tmp_path: Path) -> Table:
    """A sweep of four runs."""
    folder = tmp_path / "runs" / "rates"
    for number, (lr, seed) in enumerate([(0.1, 0), (0.1, 1), (1.0, 0), (1.0, 1)]):
        path = folder / f"run{number}"
        path.mkdir(parents=True)
        sink = {"wandb": {"entity": None, "project": "p", "panels": None}}
        config = {"seed": seed, "model": {"name": "lenet5"}, "optimizer": {"lr": lr}, "sink": sink}
        (path / "config.yaml").write_text(yaml.safe_dump(config))
        row = {"epoch": 1, "step": 10, "train/accuracy": 0.5, "test/accuracy": 0.5 + lr / 10 + seed / 100,
               "optimizer/lr": lr}  # fmt: skip
        (path / "metrics.jsonl").write_text(json.dumps(row) + "\n")
        (path / "summary.json").write_text(json.dumps({"status": "finished", **row}))
    (folder / "rates.yaml").write_text(GRID)
    return read_table(folder)


def sent(server: Standin, kind: str) -> dict[str, Any]:
    """The only view of a kind, with what was sent as its content."""
    (view,) = (view for view in server.store.views.values() if view["type"] == kind)
    return {**view, "spec": json.loads(view["spec"])}


def grids(report: dict[str, Any]) -> list[tuple[dict[str, Any], list[dict[str, Any]]]]:
    """Of each grid its set of runs and its panels."""
    found = [block["metadata"] for block in report["spec"]["blocks"] if block["type"] == "panel-grid"]
    return [(each["runSets"][0], each["panelBankSectionConfig"]["panels"]) for each in found]


def test_a_report_has_the_question_the_answer_and_the_table(server: Standin, table: Table) -> None:
    page, _ = publish([table])
    report = sent(server, "runs")
    assert (report["entityName"], report["projectName"]) == (ENTITY, "p")
    assert report["displayName"] == "rates: Which rate is best?"
    assert report["description"] == finding(table).text
    (text,) = (block["content"] for block in report["spec"]["blocks"] if block["type"] == "markdown-block")
    assert text.startswith(f"**{report['description']}**")
    low, high = table.configurations
    assert f"| {low.label} | 51.50 ± 0.71 (n=2) |" in text and f"| {high.label} | 60.50 ± 0.71 (n=2) |" in text
    assert "results.json" not in text
    assert page == f"{server.url}/{ENTITY}/p/reports/rates:-Which-rate-is-best%3F--{report['id']}"


def test_its_panels_are_of_the_tables_runs_by_their_flat_keys(server: Standin, table: Table) -> None:
    list(publish([table]))
    (grouped, curves), (single, choices), (_, charts) = grids(sent(server, "runs"))
    (filter,) = single["filters"]["filters"]
    assert (filter["key"]["name"], filter["value"]) == ("displayName", ["run0", "run1", "run2", "run3"])
    assert single["project"]["name"] == "p" and single["grouping"] == []
    assert [(key["section"], key["name"]) for key in grouped["grouping"]] == [("config", "optimizer.lr.value")]
    assert [(panel["config"]["metrics"], panel["config"]["xAxis"]) for panel in curves] == [
        (["test/accuracy"], "epoch"),
        (["train/loss"], "epoch"),
    ]
    parallel, importance, comparer = choices
    columns = [column["accessor"] for column in parallel["config"]["columns"]]
    assert columns == ["config:optimizer.lr.value", "config:seed.value", "summary:test/accuracy"]
    assert importance["config"]["targetKey"] == "test/accuracy"
    assert comparer["viewType"] == "Run Comparer" and comparer["config"]["diffOnly"] == "split"
    names = [panel["config"]["panelDefId"] for panel in charts]
    assert names == ["wandb/lineseries/v0", "wandb/line/v0"]  # of curves and rates: nothing else was measured


def test_runs_that_are_only_in_an_archive_have_no_panels(server: Standin, table: Table, tmp_path: Path) -> None:
    """Before: the report was written, and then an error."""
    pack([str(table.folder)], tmp_path / "rates.jsonl.gz", tmp_path / "runs")
    list(publish([read_table(tmp_path / "rates.jsonl.gz")], "standin/p"))
    assert "rates" in sent(server, "runs")["displayName"]


def test_a_chart_asks_for_the_table_and_the_spec_that_the_runs_were_given(server: Standin, table: Table) -> None:
    for run in table.runs:
        run.history.config["sink.wandb.panels"] = "lab"
    list(publish([table]))
    *_, (_, charts) = grids(sent(server, "runs"))
    config = charts[0]["config"]
    assert config["panelDefId"] == "lab/cifar-sweeps-learning-curves-v1"
    assert config["fieldSettings"]["accuracy"] == "accuracy" and config["stringSettings"]["title"]
    (query,) = config["userQuery"]["queryFields"]
    (asked,) = (each for each in query["fields"] if each["name"] == "summaryTable")
    assert asked["args"] == [{"name": "tableKey", "value": "panels/learning_curves_table"}]


def test_runs_that_came_from_wandb_are_told_by_their_ids_and_published_where_they_are(
    server: Standin, table: Table
) -> None:
    for run in table.runs:
        mark = {"id": f"id-{run.name}", "url": f"https://x.org/wandb/{ENTITY}/p/runs/id-{run.name}"}
        vars(run.result)["provenance"] = {"wandb": mark}
        run.history.config["sink.wandb.project"] = "elsewhere"
    list(publish([table]))
    report = sent(server, "runs")
    assert (report["entityName"], report["projectName"]) == (ENTITY, "p")
    (filter,) = grids(report)[0][0]["filters"]["filters"]
    assert (filter["key"]["name"], filter["value"]) == ("name", [f"id-run{number}" for number in range(4)])


def test_a_second_time_both_are_updated_and_those_of_other_names_left_alone(server: Standin, table: Table) -> None:
    first = list(publish([table]))
    views = {"projectName": "p", "entityName": ENTITY, "displayName": "mine", "name": "mine", "spec": "{}"}
    server.store.views |= {kind: {**views, "id": kind, "type": kind} for kind in ("runs", "project-view")}
    before = {id: view["displayName"] for id, view in server.store.views.items()}
    assert list(publish([table], f"{ENTITY}/p")) == first
    assert {id: view["displayName"] for id, view in server.store.views.items()} == before
    assert sorted(before.values()) == [WORKSPACE, "mine", "mine", "rates: Which rate is best?"]


def test_the_workspace_has_the_curves_and_the_panels(server: Standin, table: Table) -> None:
    *_, page = publish([table])
    view = sent(server, "project-view")
    assert view["displayName"] == WORKSPACE and page.startswith(f"{server.url}/{ENTITY}/p?nw=")
    section = view["spec"]["section"]
    curves, panels = section["panelBankConfig"]["sections"]
    assert section["settings"]["xAxis"] == "epoch"
    assert curves["panels"][0]["config"]["metrics"] == ["test/accuracy"]
    assert [panel["viewType"] for panel in panels["panels"]] == ["Vega2", "Vega2"]


def test_a_table_without_runs_is_published_as_text(server: Standin, tmp_path: Path) -> None:
    folder = tmp_path / "runs" / "rates"
    folder.mkdir(parents=True)
    (folder / "rates.yaml").write_text(GRID)
    list(publish([read_table(folder)], f"{ENTITY}/p"))
    assert grids(sent(server, "runs")) == []


@pytest.mark.parametrize("trouble", ["project", "place", "no place", "no login"])
def test_what_is_in_the_way_is_one_line(
    server: Standin, table: Table, monkeypatch: pytest.MonkeyPatch, trouble: str
) -> None:
    place, said = f"{ENTITY}/p", "W&B: "
    match trouble:
        case "project":
            server.store.unknown_projects.add("p")
            said = f"W&B: Could not find project {ENTITY}/p"
        case "place":
            place, said = "p", "--wandb-project: p: expected ENTITY/PROJECT"
        case "no place":
            place, said = None, "W&B: no run says where it is; give --wandb-project ENTITY/PROJECT"
        case _:
            monkeypatch.delenv("WANDB_API_KEY")
    tables = [] if trouble == "no place" else [table]
    with pytest.raises(UserError) as error:
        list(publish(tables, place))
    (line,) = error.value.problems
    assert line.startswith(said) and "\n" not in line
    assert not server.store.views
    assert isinstance(error.value, SweepError) or trouble == "place"


def test_without_the_extra_one_line_names_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(sys.modules, "trainer.wandb_api.reports")
    for name in [name for name in sys.modules if name.startswith("wandb_workspaces")]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "wandb_workspaces", None)
    with pytest.raises(UserError, match=r"pip install 'cifar-sweeps\[report\]'"):
        importlib.import_module("trainer.wandb_api.reports")
