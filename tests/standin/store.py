"""What the stand-in knows: runs, artifacts, sweeps, and the answers that the client's queries are walked over."""

import itertools
import json
import threading
from collections.abc import Iterable, Mapping
from typing import Any

from standin import artifacts
from standin.records import ENTITY, Run, Sweep


class Refused(Exception):  # noqa: N818 - what the server answers, no mistake of its own
    """A mutation that the server answers with an error."""


class Store:
    """The server's memory and the roots of its GraphQL answers. Use under `lock`."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.lock = threading.RLock()
        self.runs: dict[str, Run] = {}
        self.sweeps: dict[str, Sweep] = {}
        self.artifacts: dict[str, dict[str, Any]] = {}  # the client's description of each, by id
        self.charts: dict[str, dict[str, Any]] = {}  # the client's input for each custom chart, by ENTITY/NAME
        self.agents: dict[str, str] = {}  # agent id -> sweep id
        self.views: dict[str, dict[str, Any]] = {}  # reports and workspaces as they were last sent, by id
        self.unknown_projects: set[str] = set()  # all others are there
        self._ids = itertools.count(1)

    @property
    def roots(self) -> dict[str, Any]:
        project = {"model": self._project, "project": self._project}
        fields = {name: getattr(self, f"_{_snake(name)}") for name in _MUTATIONS}
        viewer = {"id": ENTITY, "entity": ENTITY, "username": ENTITY, "flags": "{}", "teams": {"edges": []}}
        server = {"features": [], "cliVersionInfo": "{}", "latestLocalVersionInfo": None}
        entity = {"id": ENTITY, "name": ENTITY}
        models = {"models": lambda **_: _connection(self._projects())}
        fields["artifact"] = lambda id, **_: artifacts.node_of(self.artifacts, id, self.url)
        return {**project, **models, **fields, "viewer": viewer, "serverInfo": server, "entity": lambda **_: entity}

    def run(self, id: str) -> Run:
        return self.runs.setdefault(id, Run(id))

    def give_up(self, id: str) -> None:
        """What the server does minutes after the last word of a run: it has crashed, and nobody gets it again."""
        with self.lock:
            self.runs[id].state = "crashed"

    def files_of(self, owner: str) -> dict[str, bytes]:
        """What was uploaded for an artifact or a run."""
        return self.artifacts[owner]["files"] if owner in self.artifacts else self.run(owner).files

    def file_stream(self, id: str, body: Mapping[str, Any]) -> dict[str, Any]:
        """Take what a run streams: rows, its summary, its end. The answer says whether it is to stop."""
        run = self.run(id)
        for name, chunk in (body.get("files") or {}).items():
            if name == "wandb-summary.json":
                run.summary = json.loads(chunk["content"][-1])
            else:
                run.write(name, chunk["offset"], chunk["content"])
        if body.get("preempting"):
            run.state = "preempting"
        if body.get("complete"):
            run.exit_code = body.get("exitcode", 0)
            run.state = _end_state(run)
        return {"exitcode": run.exit_code, "limits": {}, "stopped": run.stop}

    # Fields of the query roots.

    def _project(self, name: str | None = None, **_: Any) -> dict[str, Any] | None:
        if name in self.unknown_projects:
            return None
        return {
            "id": name,
            "internalId": "1",
            "name": name,
            "entityName": ENTITY,
            "entity": {"id": ENTITY, "name": ENTITY},
            "bucket": self._node,
            "run": self._node,
            "runs": lambda filters=None, **_: self._connection({**json.loads(filters or "{}"), "project": name}),
            "runCount": lambda filters=None, **_: len(self._matching({**json.loads(filters or "{}"), "project": name})),
            "sweep": self._sweep,
            "allViews": lambda viewType="runs", **_: _connection(  # noqa: N803 - the server's spelling
                view for view in self.views.values() if (view["projectName"], view["type"]) == (name, viewType)
            ),
            "artifactCollectionMembership": self._membership,
            "artifactCollection": lambda name, **_: {  # pyright: ignore[reportUnknownLambdaType]
                "__typename": "ArtifactSequence",
                "artifactMembership": lambda aliasName, **_: self._membership(f"{name}:{aliasName}"),  # noqa: N803 - the server's spelling
            },
            "totalSweeps": len(self._sweeps_of(name)),
            "sweeps": lambda **_: _connection(self._node_of(sweep) for sweep in self._sweeps_of(name)),
        }

    def _membership(self, name: str, **_: Any) -> dict[str, Any] | None:
        return artifacts.membership_of(self.artifacts, name, self.url)

    def _projects(self) -> list[dict[str, Any]]:
        names = sorted({each.project for each in [*self.runs.values(), *self.sweeps.values()]})
        return [
            {"__typename": "Project", "id": name, "name": name, "entityName": ENTITY, "isBenchmark": False,
             "createdAt": "2026-01-01T00:00:00"}
            for name in names
        ]  # fmt: skip

    def _node(self, name: str, **_: Any) -> dict[str, Any] | None:
        run = self.runs.get(name)
        return self._node_of_run(run) if run and run.upserts else None

    def _node_of_run(self, run: Run) -> dict[str, Any]:
        def files(names: Iterable[str] = (), **_: Any) -> dict[str, Any]:
            found = [(name, body) for name, body in run.files.items() if not names or name in names]
            return _connection(
                {
                    "id": name,
                    "name": name,
                    "url": f"{self.url}/download/{run.id}/{name}",
                    "sizeBytes": len(body),
                    "mimetype": "application/octet-stream",
                }
                for name, body in found
            )

        return {**run.node(), "fileCount": len(run.files), "files": files}

    def _matching(self, filters: Mapping[str, Any]) -> list[Run]:
        """The runs of a project, a sweep or a group; other filters are not understood and let everything through."""
        filters = {**filters, **{key: each[key] for each in filters.get("$and", []) for key in each}}
        wanted = {key: filters[key] for key in ("project", "sweep", "group") if key in filters}
        return [run for run in self.runs.values() if all(getattr(run, key) == wanted[key] for key in wanted)]

    def _connection(self, filters: Mapping[str, Any]) -> dict[str, Any]:
        return _connection(self._node_of_run(run) for run in self._matching(filters))

    def _sweeps_of(self, project: str | None) -> list[Sweep]:
        return [sweep for sweep in self.sweeps.values() if sweep.project == project]

    def _sweep(self, sweepName: str, **_: Any) -> dict[str, Any] | None:  # noqa: N803 - the server's spelling
        sweep = self.sweeps.get(sweepName)
        return sweep and self._node_of(sweep)

    def _node_of(self, sweep: Sweep) -> dict[str, Any]:
        runs = {"runs": lambda **_: self._connection({"sweep": sweep.id})}
        return {**sweep.node("FINISHED" if self._next(sweep) is None else "RUNNING"), **runs}

    # Mutations. Each takes GraphQL's one argument, `input`.

    def _upsert_bucket(self, input: Mapping[str, Any]) -> dict[str, Any]:
        run = self.run(input.get("name") or input["id"])
        inserted, run.upserts = not run.upserts, run.upserts + 1
        if run.state not in ("preempting", "finished", "failed"):
            run.state = "running"
        for ours, theirs in (("project", "modelName"), ("name", "displayName"), ("group", "groupName"),
                             ("sweep", "sweep"), ("tags", "tags")):  # fmt: skip
            if input.get(theirs) is not None:
                setattr(run, ours, input[theirs])
        run.raw_config.update(json.loads(input.get("config") or "{}"))
        run.summary.update(json.loads(input.get("summaryMetrics") or "{}"))
        return {"bucket": run.node(), "inserted": inserted}

    def _create_run_files(self, input: Mapping[str, Any]) -> dict[str, Any]:
        run = input["runName"]
        files = [{"name": name, "uploadUrl": f"{self.url}/upload/{run}/{name}"} for name in input["files"]]
        return {"runID": run, "uploadHeaders": [], "files": files}

    def _create_artifact(self, input: Mapping[str, Any]) -> dict[str, Any]:
        id = f"artifact-{next(self._ids)}"
        self.artifacts[id] = {**input, "state": "PENDING", "files": {}}
        return {"artifact": {"id": id, "state": "PENDING", "artifactSequence": {"latestArtifact": None}}}

    def _create_artifact_manifest(self, input: Mapping[str, Any]) -> dict[str, Any]:
        url = f"{self.url}/upload/{input['artifactID']}/{input['name']}"
        file = {"id": input["name"], "uploadUrl": url, "uploadHeaders": []}
        return {"artifactManifest": {"id": f"manifest-{next(self._ids)}", "file": file}}

    def _create_artifact_files(self, input: Mapping[str, Any]) -> dict[str, Any]:
        nodes = [
            {
                "storagePath": file["name"],
                "uploadUrl": f"{self.url}/upload/{file['artifactID']}/{file['name']}",
                "uploadHeaders": [],
                "artifact": {"id": file["artifactID"]},
            }
            for file in input["artifactFiles"]
        ]
        return {"files": {"edges": [{"node": node} for node in nodes]}}

    def _commit_artifact(self, input: Mapping[str, Any]) -> dict[str, Any]:
        artifact = self.artifacts[input["artifactID"]]
        artifact["state"] = "COMMITTED"
        return {"artifact": {"id": input["artifactID"], "digest": artifact.get("digest")}}

    def _delete_artifact(self, input: Mapping[str, Any]) -> dict[str, Any]:
        self.artifacts[input["artifactID"]] |= {"state": "DELETED", "files": {}}
        return {"artifact": {"id": input["artifactID"]}}

    def _create_custom_chart(self, input: Mapping[str, Any]) -> dict[str, Any]:
        id = f"{input['entity']}/{input['name']}"
        if id in self.charts:
            raise Refused(f"{id} already exists")
        self.charts[id] = dict(input)
        return {"chart": {"id": id}}

    def _upsert_sweep(self, input: Mapping[str, Any]) -> dict[str, Any]:
        id = input.get("id") or f"sweep{next(self._ids)}"
        if id not in self.sweeps:
            self.sweeps[id] = Sweep(id, input["projectName"], input["config"])
        project = {"id": self.sweeps[id].project, "name": self.sweeps[id].project, "entity": {"name": ENTITY}}
        return {"sweep": {"id": id, "name": id, "project": project}, "configValidationWarnings": []}

    def _upsert_view(self, input: Mapping[str, Any]) -> dict[str, Any]:
        """A report or a workspace: by its id, or a new one."""
        id = input.get("id") or f"view{next(self._ids)}"
        inserted = id not in self.views
        project = {"id": "1", "name": input["projectName"], "entityName": input["entityName"]}
        self.views[id] = {**input, "id": id, "project": project, "updatedAt": "2026-01-01T00:00:00"}
        return {"view": self.views[id], "inserted": inserted}

    def _create_agent(self, input: Mapping[str, Any]) -> dict[str, Any]:
        id = f"agent-{next(self._ids)}"
        self.agents[id] = input["sweep"]
        return {"agent": {"id": id}}

    def _agent_heartbeat(self, input: Mapping[str, Any]) -> dict[str, Any]:
        busy = json.loads(input.get("runState") or "{}")
        if busy:
            commands = [{"type": "stop", "run_id": id} for id in busy if self.runs[id].stop]
        else:
            commands = [self._next(self.sweeps[self.agents[input["id"]]]) or {"type": "exit"}]
        for command in commands:
            self._hand_out(command)
        return {"agent": {"id": input["id"]}, "commands": json.dumps(commands)}

    def _next(self, sweep: Sweep) -> dict[str, Any] | None:
        """What an idle agent of this sweep does next: a preempted run first, then the next point of the grid. Nothing
        else is handed out twice: what has crashed is lost to the sweep, as it is to W&B's."""
        numbered = [(f"{sweep.id}r{number}", point) for number, point in enumerate(sweep.points)]
        preempted = [(id, point) for id, point in numbered if id in self.runs and self.runs[id].state == "preempted"]
        fresh = [(id, point) for id, point in numbered if id not in sweep.handed_out]
        for id, point in preempted or fresh:
            args = {key: {"value": value} for key, value in point.items()}
            common = {"run_id": id, "args": args, "program": sweep.config.get("program"), "sweep_id": sweep.id}
            return {**common, "type": "resume" if preempted else "run"}
        return None

    def _hand_out(self, command: Mapping[str, Any]) -> None:
        match command["type"]:
            case "run":
                sweep = self.sweeps[command["sweep_id"]]
                sweep.handed_out.append(command["run_id"])
                self.runs[command["run_id"]] = Run(command["run_id"], sweep=sweep.id, project=sweep.project)
            case "resume":
                self.runs[command["run_id"]].state = "pending"


def _connection(nodes: Iterable[Mapping[str, Any]]) -> dict[str, Any]:
    page = {"__typename": "PageInfo", "hasNextPage": False, "endCursor": None}
    return {"edges": [{"node": node, "cursor": node["id"]} for node in nodes], "pageInfo": page}


_MUTATIONS = (
    "upsertBucket",
    "createRunFiles",
    "createArtifact",
    "createArtifactManifest",
    "createArtifactFiles",
    "commitArtifact",
    "deleteArtifact",
    "createCustomChart",
    "upsertSweep",
    "upsertView",
    "createAgent",
    "agentHeartbeat",
)


def _snake(name: str) -> str:
    return "".join(f"_{c.lower()}" if c.isupper() else c for c in name)


def _end_state(run: Run) -> str:
    if run.exit_code == 0:
        return "finished"
    return "preempted" if run.state == "preempting" else "failed"
