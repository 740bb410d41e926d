"""Refusals of what cannot run on a Ray cluster as it is asked for, before anything starts."""

from collections.abc import Sequence

from trainer.config import RunConfig
from trainer.errors import SweepError
from trainer.sweep.check import remembered, resolve
from trainer.sweep.local import LocalSweep
from trainer.sweep.ray_cluster import RayCluster
from trainer.training.network_arguments import complete_parts

_GIB = 2**30
_BESIDE = _GIB  # of a process on a GPU: CUDA's context and its libraries
_OVER = 1.3  # times what a run holds for certain: the allocator's rest, and what kernels need for a while


def refuse_what_does_not_fit(sweeps: Sequence[LocalSweep], cluster: RayCluster, *, per_device: int) -> None:
    """Raise SweepError with a line for each configuration with several devices, or that needs more memory than its
    share of the smallest GPU has. A search is judged by the points that are known."""
    problems: list[str] = []
    for sweep in sweeps:
        for label, config in _configs(sweep):
            if config.train.devices > 1:
                problems.append(f"--ray: {label}: train.devices={config.train.devices}: a run has one device there")
            elif smallest := cluster.smallest_gpu():
                problems += _too_large(label, config, *smallest, per_device)
    if problems:
        raise SweepError(*problems)


def _configs(sweep: LocalSweep) -> list[tuple[str, RunConfig]]:
    """Return a label and the config of each configuration that is known."""
    complete = remembered(complete_parts)
    first = {entry.point.configuration_key: entry for entry in reversed(sweep.entries)}
    return [(entry.run, resolve(entry.point, sweep.checked.sweep, complete)) for entry in reversed(first.values())]


def _too_large(label: str, config: RunConfig, node: str, has: int, per_device: int) -> list[str]:
    from trainer.training.dry_run import plan_run  # imports torch

    precision = {"auto": "bfloat16", "float16": "bfloat16", "tf32": "float32"}.get(
        asked := config.train.precision, asked
    )
    here = config.train.model_copy(update={"device": "cpu", "precision": precision})  # planned where there is no GPU
    needs = int(_OVER * plan_run(config.model_copy(update={"train": here}))["memory/total"]) + _BESIDE
    most = has // needs
    if most >= per_device:
        return []
    advice = f"at most {most}" if most else "too large for it"
    share = f"{needs / _GIB:.1f} GiB, and a GPU of node {node} has {has / _GIB:.0f}"
    return [f"--per-device {per_device}: {label} needs about {share}: {advice}"]
