"""A Ray cluster on this machine, and pretended training on it."""

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from unittest.mock import patch

from pretend import server, train
from trainer.sweep import ray_cluster
from trainer.sweep.ray_cluster import RayCluster, connected

_ENVIRONMENT = ("PRETEND_SECONDS", "PRETEND_NOISE")


@contextlib.contextmanager
def nodes(*cpus: int, client_port: int | None = None) -> Iterator[Any]:
    """Yield a cluster of nodes with so many CPUs, the head first. Its nodes find this package.

    With a port, it takes clients.
    """
    from ray.cluster_utils import Cluster

    with patch.dict(os.environ, PYTHONPATH=server.path()):
        head: dict[str, Any] = {"num_cpus": cpus[0], "include_dashboard": False}
        if client_port:
            head["ray_client_server_port"] = client_port
        made = Cluster(initialize_head=True, head_node_args=head)
        try:
            for count in cpus[1:]:
                made.add_node(num_cpus=count)
            yield made
        finally:
            made.shutdown()


@contextlib.contextmanager
def cluster_at(address: str, runs: Path, *, per_device: int = 1, jobs: int | None = None) -> Iterator[RayCluster]:
    said = patch.object(ray_cluster, "_PASSED_ON", _ENVIRONMENT)
    looks = patch.object(ray_cluster, "_NODES_SECONDS", 0.5)
    with said, looks, connected(address):
        cluster = RayCluster(
            runs, per_device=per_device, jobs=jobs, say=print, target=train.main, modules=["pretend.train"]
        )
        with contextlib.closing(cluster):
            yield cluster
