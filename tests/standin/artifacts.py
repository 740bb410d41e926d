"""Artifacts as the stand-in's server answers for them: their versions by collection and alias, and their files."""

import json
from collections.abc import Mapping
from typing import Any

from standin.records import ENTITY

Artifact = dict[str, Any]  # the client's description of it, its state, and its files by name

_MANIFEST = "wandb_manifest.json"


def version_of(artifacts: Mapping[str, Artifact], name: str) -> tuple[str, Artifact] | None:
    """Return (id, artifact) of COLLECTION:ALIAS, `latest` or `v0`. Only whole ones count."""
    collection, _, alias = name.partition(":")
    found = [
        (id, each)
        for id, each in artifacts.items()
        if each["artifactCollectionName"] == collection and each["state"] in ("COMMITTED", "DELETED")
    ]
    there = [(id, each) for id, each in found if each["state"] == "COMMITTED"]
    if alias in ("", "latest"):
        return there[-1] if there else None
    number = int(alias.removeprefix("v"))
    return found[number] if number < len(found) and found[number] in there else None


def membership_of(artifacts: Mapping[str, Artifact], name: str, url: str) -> dict[str, Any] | None:
    """Return the answer for COLLECTION:ALIAS of any project."""
    known = version_of(artifacts, name)
    if known is None:
        return None
    id, artifact = known
    node = node_of(artifacts, id, url)
    files = [
        {"node": {"__typename": "File", "name": file, "directUrl": f"{url}/download/{id}/{file}"}}
        for file in artifact["files"]
        if file != _MANIFEST
    ]
    page = {"__typename": "PageInfo", "hasNextPage": False, "endCursor": None}
    return {
        "__typename": "ArtifactCollectionMembership",
        "id": f"membership-{id}",
        "versionIndex": node["versionIndex"],
        "createdAt": node["createdAt"],
        "aliases": [{"__typename": "ArtifactAlias", "id": "1", "alias": "latest"}],
        "artifactCollection": {**node["artifactSequence"], "__typename": "ArtifactSequence"},
        "artifact": node,
        "files": lambda **_: {"pageInfo": page, "edges": files},
    }


def node_of(artifacts: Mapping[str, Artifact], id: str, url: str) -> dict[str, Any]:
    artifact = artifacts[id]
    project = {"id": "1", "internalId": "1", "name": artifact["projectName"], "entity": {"name": ENTITY}}
    collection = artifact["artifactCollectionName"]
    same = [key for key, each in artifacts.items() if each["artifactCollectionName"] == collection]
    return {
        "__typename": "Artifact",
        "id": id,
        "artifactSequence": {"__typename": "ArtifactSequence", "name": collection, "project": project},
        "versionIndex": same.index(id),
        "artifactType": {"name": artifact["artifactTypeName"]},
        "metadata": artifact.get("metadata") or json.dumps({}),
        "ttlDurationSeconds": 0,
        "ttlIsInherited": False,
        "tags": [],
        "state": artifact["state"],
        "size": sum(map(len, artifact["files"].values())),
        "digest": artifact["digest"],
        "fileCount": len(artifact["files"]),
        "createdAt": "2026-01-01T00:00:00",
        "aliases": [],
        "currentManifest": {"file": {"directUrl": f"{url}/download/{id}/{_MANIFEST}"}},
    }
