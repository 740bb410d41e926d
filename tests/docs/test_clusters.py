"""The files of docs/clusters have no key that their readers do not know, and name commands and folders that exist.

The schemas are extracts, written from the field lists of Kubernetes (batch/v1, core/v1), KubeRay (ray.io/v1,
`rayjob_types.go`) and SkyPilot (`sky/utils/schemas.py`), of the fields that the files may use.
"""

import re
import shlex
from pathlib import Path
from typing import Any

import pytest
import yaml
from jsonschema import Draft202012Validator
from jsonschema.exceptions import ValidationError

ROOT = Path(__file__).parents[2]
FILES = ROOT / "docs" / "clusters"


def fields(required: str = "", **properties: Any) -> dict[str, Any]:
    return {
        "type": "object",
        "properties": properties,
        "required": required.split(),
        "additionalProperties": False,
    }


def many(item: dict[str, Any]) -> dict[str, Any]:
    return {"type": "array", "items": item, "minItems": 1}


TEXT, COUNT, YES = {"type": "string", "minLength": 1}, {"type": "integer", "minimum": 0}, {"type": "boolean"}
TEXTS = {"type": "object", "additionalProperties": TEXT}
NAME = {"type": "string", "pattern": r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?$"}  # RFC 1123, as Kubernetes asks
AMOUNTS = {"type": "object", "additionalProperties": {"anyOf": [COUNT, TEXT]}}
SECRET = fields("name key", name=NAME, key=TEXT)
CONTAINER = fields(
    "name image",
    name=NAME,
    image=TEXT,
    workingDir=TEXT,
    command=many(TEXT),
    env=many(fields("name", name=TEXT, value=TEXT, valueFrom=fields(secretKeyRef=SECRET))),
    resources=fields(limits=AMOUNTS, requests=AMOUNTS),
    volumeMounts=many(fields("name mountPath", name=NAME, mountPath=TEXT)),
)
POD = fields(
    "spec",
    spec=fields(
        "containers",
        containers=many(CONTAINER),
        volumes=many(fields("name", name=NAME, persistentVolumeClaim=fields("claimName", claimName=NAME))),
        restartPolicy={"enum": ["OnFailure", "Never"]},
        terminationGracePeriodSeconds=COUNT,
        securityContext=fields("fsGroup", fsGroup=COUNT),
    ),
)
META = fields("name", name=NAME, labels=TEXTS)
SCHEMAS = {
    "kubernetes": fields(
        "apiVersion kind metadata spec",
        apiVersion={"const": "batch/v1"},
        kind={"const": "Job"},
        metadata=META,
        spec=fields("template", parallelism=COUNT, completions=COUNT, backoffLimit=COUNT, template=POD),
    ),
    "rayjob": fields(
        "apiVersion kind metadata spec",
        apiVersion={"const": "ray.io/v1"},
        kind={"const": "RayJob"},
        metadata=META,
        spec=fields(
            "entrypoint rayClusterSpec",
            entrypoint=TEXT,
            backoffLimit=COUNT,
            shutdownAfterJobFinishes=YES,
            ttlSecondsAfterFinished=COUNT,
            rayClusterSpec=fields(
                "headGroupSpec",
                headGroupSpec=fields("template", rayStartParams=TEXTS, template=POD),
                workerGroupSpecs=many(
                    fields(
                        "groupName template",
                        groupName=NAME,
                        replicas=COUNT,
                        minReplicas=COUNT,
                        maxReplicas=COUNT,
                        rayStartParams=TEXTS,
                        template=POD,
                    )
                ),
            ),
        ),
    ),
    "skypilot": fields(
        "run",
        name=TEXT,
        num_nodes=COUNT,
        workdir=TEXT,
        resources=fields(accelerators=TEXT, use_spot=YES, cpus={"anyOf": [COUNT, TEXT]}, infra=TEXT),
        file_mounts={
            "type": "object",
            "additionalProperties": fields("name", name=NAME, mode={"enum": ["MOUNT", "MOUNT_CACHED", "COPY"]}),
        },
        envs=TEXTS,
        setup=TEXT,
        run=TEXT,
    ),
}


def read(name: str) -> Any:
    return yaml.safe_load((FILES / f"{name}.yaml").read_text(encoding="utf-8"))


def test_each_file_has_a_schema() -> None:
    assert {path.stem for path in FILES.iterdir()} == set(SCHEMAS)


@pytest.mark.parametrize("name", SCHEMAS)
def test_the_file_fits_its_schema_and_a_misspelt_one_does_not(name: str) -> None:
    content = read(name)
    Draft202012Validator(SCHEMAS[name]).validate(content)
    for place in (content, content.get("spec", content.get("resources"))):
        place["paralelism"] = 8
        with pytest.raises(ValidationError, match="paralelism"):
            Draft202012Validator(SCHEMAS[name]).validate(content)
        del place["paralelism"]


@pytest.mark.parametrize("name", ["rayjob", "skypilot"])
def test_the_commands_are_ours(name: str) -> None:
    from typer.core import TyperGroup
    from typer.main import get_command

    from trainer.cli.sweep import app

    text = (FILES / f"{name}.yaml").read_text(encoding="utf-8")
    found = re.search(r"trainer sweep run ([^'\n]*)", text)
    assert found
    words = shlex.split(found[1].replace("$head", "10.0.0.1"))
    assert (ROOT / words[0]).is_file()
    group = get_command(app)
    assert isinstance(group, TyperGroup)
    flags = {flag for param in group.commands["run"].params for flag in param.opts}
    assert {word for word in words if word.startswith("--")} <= flags


def test_the_agents_do_not_give_up_on_runs_that_diverge() -> None:
    from trainer.wandb_api.sweeps import PATIENT

    (agent,) = read("kubernetes")["spec"]["template"]["spec"]["containers"]
    assert PATIENT.items() <= {each["name"]: each.get("value") for each in agent["env"]}.items()


def test_every_mounted_folder_is_a_volume() -> None:
    job = read("rayjob")["spec"]["rayClusterSpec"]
    pods = [job["headGroupSpec"], *job["workerGroupSpecs"], read("kubernetes")["spec"]]
    for pod in (each["template"]["spec"] for each in pods):
        mounted = {mount["name"] for container in pod["containers"] for mount in container["volumeMounts"]}
        assert mounted == {volume["name"] for volume in pod["volumes"]}
