"""A table's report as a W&B report, and a saved workspace of the project. Needs the extra `report`."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote, urlsplit

from trainer.errors import ConfigError, SweepError, UserError
from trainer.report.pages.answer import finding
from trainer.report.pages.markdown import body
from trainer.report.table import Table
from trainer.sinks.tables import PanelTable, panel_tables
from trainer.wandb_api.client import asking, graphql

try:
    from wandb_workspaces.reports.v2 import interface as wr
    from wandb_workspaces.reports.v2.internal import Column
    from wandb_workspaces.workspaces import interface as ws
except ModuleNotFoundError as error:
    raise UserError("--wandb: wandb-workspaces is not installed: pip install 'cifar-sweeps[report]'") from error

WORKSPACE = "cifar-sweeps"
"""Name of the project's saved view."""

_LONGEST_TITLE = 128  # that W&B takes
_REPORT, _SAVED_VIEW = "runs", "project-view"  # W&B's own names for the kinds of view
_COLUMNS = 24  # of a report's grid

_VIEWS = """query Views($entity: String!, $project: String!, $kind: String!, $cursor: String) {
  project(name: $project, entityName: $entity) {
    allViews(viewType: $kind, first: 100, after: $cursor) {
      edges { node { id name displayName } }
      pageInfo { endCursor hasNextPage }
    }
  }
}"""


@dataclass(frozen=True)
class _Place:
    entity: str
    project: str


def publish(tables: Sequence[Table], place: str | None = None) -> Iterator[str]:
    """Create or update a W&B report of each table and a workspace. Yield the page of each.

    `place` is ENTITY/PROJECT, by default where the runs are. Raises SweepError if W&B cannot be asked or does not have
    the project.
    """
    with asking() as api:
        where = _read_place(place) if place else _place_of(tables, api.default_entity)
        there = {view["displayName"]: view for view in _views(api, where, _REPORT)}
        panels: dict[str, PanelTable] = {}
        for table in tables:
            drawn = list(_panels_of(table))
            panels |= {panel.key: panel for panel in drawn}
            report = _report(table, where, drawn)
            if report.title in there:
                report.id = there[report.title]["id"]
            yield quote(report.save().url, safe=":/")  # a question's own mark would end the path
        workspace = _workspace(where, list(panels.values()))
        for view in _views(api, where, _SAVED_VIEW):
            if view["displayName"] == WORKSPACE:
                workspace._internal_id, workspace._internal_name = view["id"], view["name"]
        yield workspace.save().url


def _read_place(text: str) -> _Place:
    parts = text.split("/")
    if len(parts) != 2 or not all(parts):
        raise ConfigError(f"--wandb-project: {text}: expected ENTITY/PROJECT")
    return _Place(*parts)


def _place_of(tables: Iterable[Table], account: str | None) -> _Place:
    """Return where the runs were fetched from, or else where their configs send them."""
    runs = [run for table in tables for run in table.runs]
    for run in runs:
        if url := run.provenance.get("wandb", {}).get("url"):
            *_, entity, project, _, _ = urlsplit(url).path.split("/")
            return _Place(entity, project)
    for run in runs:
        if owner := run.config.get("sink.wandb.entity") or account:
            return _Place(owner, str(run.config["sink.wandb.project"]))
    raise SweepError("W&B: no run says where it is; give --wandb-project ENTITY/PROJECT")


def _views(api: Any, where: _Place, kind: str) -> Iterator[Mapping[str, Any]]:
    """`id`, `name`, `displayName` of a project's reports or saved views."""
    cursor: str | None = None
    while True:
        variables = {"entity": where.entity, "project": where.project, "kind": kind, "cursor": cursor}
        # The client has no public call for views without their contents, nor for saved ones.
        found = graphql(api, _VIEWS, variables)["project"]
        if found is None:
            raise SweepError(f"W&B: Could not find project {where.entity}/{where.project}")
        yield from (edge["node"] for edge in found["allViews"]["edges"])
        if not found["allViews"]["pageInfo"]["hasNextPage"]:
            return
        cursor = found["allViews"]["pageInfo"]["endCursor"]


def _panels_of(table: Table) -> Iterable[PanelTable]:
    """Return the panels for which the first counting run with a folder has logged a table. An archive has none."""
    runs = (run for configuration in table.configurations for run in configuration.runs)
    first = next((run for run in runs if run.history.folder.is_dir()), None)
    return panel_tables(first.history.folder, first.config.get("sink.wandb.panels")) if first else []


def _report(table: Table, where: _Place, panels: Sequence[PanelTable]) -> wr.Report:
    title = f"{table.name}: {table.question}"
    blocks: list[Any] = [wr.MarkdownBlock("\n".join(body(table, [], {})))]
    if table.runs:
        swept = [*table.varied, "seed"]
        lines: list[Any] = [_line("Test accuracy", "test/accuracy"), _line("Training loss", "train/loss")]
        one_by_one: list[Any] = [
            wr.ParallelCoordinatesPlot(
                columns=[*map(_FlatColumn, swept), wr.ParallelCoordinatesPlotColumn(wr.SummaryMetric(table.metric))],
                layout=wr.Layout(w=_COLUMNS, h=8),
            ),
            wr.ParameterImportancePlot(with_respect_to=table.metric, layout=wr.Layout(w=_COLUMNS // 2, h=8)),
            wr.RunComparer(diff_only="split", layout=wr.Layout(w=_COLUMNS // 2, h=8)),
        ]
        blocks += [
            wr.H2("Curves"),
            wr.PanelGrid(runsets=[_runset(table, where, grouped=True)], panels=lines),
            wr.H2("Choices"),
            wr.PanelGrid(runsets=[_runset(table, where)], panels=one_by_one),
        ]
    if panels:
        charts: list[Any] = [_custom_chart(panel) for panel in panels]
        blocks += [wr.H2("Panels"), wr.PanelGrid(runsets=[_runset(table, where)], panels=charts)]
    return wr.Report(
        entity=where.entity,
        project=where.project,
        title=title[:_LONGEST_TITLE],
        description=finding(table).text,
        blocks=blocks,
        width="fluid",
    )


def _workspace(where: _Place, panels: Sequence[PanelTable]) -> ws.Workspace:
    axes = {"Test accuracy": "test/accuracy", "Validation accuracy": "val/accuracy", "Training loss": "train/loss",
            "Learning rate": "optimizer/lr"}  # fmt: skip
    filled: dict[str, list[Any]] = {
        "Curves": [_line(*axis) for axis in axes.items()],
        "Panels": [_custom_chart(panel) for panel in panels],
    }
    return ws.Workspace(
        entity=where.entity,
        project=where.project,
        name=WORKSPACE,
        sections=[ws.Section(name=name, panels=each, is_open=True) for name, each in filled.items() if each],
        settings=ws.WorkspaceSettings(x_axis="epoch"),
    )


def _runset(table: Table, where: _Place, *, grouped: bool = False) -> wr.Runset:
    """Return the table's runs and no others, grouped by configuration or one by one."""
    ids = [run.provenance.get("wandb", {}).get("id") for run in table.runs]
    names = [run.name for run in table.runs]
    return wr.Runset(
        entity=where.entity,
        project=where.project,
        name=table.name,
        filters=f"ID in {ids}" if all(ids) else f"Name in {names}",
        groupby=[f"config.{_in_config(key)}" for key in table.varied] if grouped else [],
    )


def _in_config(key: str) -> str:
    """Return a key as W&B addresses it. W&B wraps each value, and the dots in our flat keys are no levels."""
    return f"{key}.value"


class _FlatColumn(wr.ParallelCoordinatesPlotColumn):
    """The column of a flat dotted key. The library's own takes the first dot for a level."""

    def _to_model(self) -> Column:
        return Column(accessor=f"config:{_in_config(str(self.metric))}", display_name=str(self.metric))


def _line(title: str, metric: str) -> wr.LinePlot:
    """Return a line plot by epoch. A group is its mean, with a band from the lowest run to the highest."""
    return wr.LinePlot(
        title=title,
        x="epoch",
        y=[metric],
        groupby_aggfunc="mean",
        groupby_rangefunc="minmax",
        layout=wr.Layout(w=_COLUMNS // 2, h=8),
    )


def _custom_chart(panel: PanelTable) -> wr.CustomChart:
    """Return the chart that each run's page shows this table with."""
    return wr.CustomChart(
        query={"summaryTable": {"tableKey": f"{panel.key}_table"}},
        chart_name=panel.chart,
        chart_fields=panel.fields,
        chart_strings=panel.strings,
        layout=wr.Layout(w=_COLUMNS // 2, h=10),
    )
