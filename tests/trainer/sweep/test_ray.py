"""A sweep on a Ray cluster on this machine: the results of the local engine, whatever is lost."""

import hashlib
import json
import os
import random
import signal
import socket
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from tempfile import gettempdir
from typing import Any

import pytest
from pretend.controller import run
from pretend.ray import cluster_at, nodes
from pretend.train import accuracy, main
from pretend.watch import children_of, controller, noted, wait_for, write_sweep

from trainer.errors import SweepError
from trainer.runs.private import public_provenance
from trainer.runs.provenance import NODE, provenance
from trainer.statistics.sequential import Design
from trainer.sweep import engine, local, ray_cluster
from trainer.sweep.decided import Decided, design_of, plan_for, run_until_decided
from trainer.sweep.file import read_sweep
from trainer.sweep.local import LocalSweep, open_sweep, progress_here
from trainer.sweep.order import Plan
from trainer.sweep.points import points_of
from trainer.sweep.ray_cluster import connected
from trainer.sweep.status import Progress

CLI = [sys.executable, "-m", "trainer.cli", "sweep", "run"]

pytestmark = [
    pytest.mark.filterwarnings("ignore:unclosed file:ResourceWarning"),  # logs of the processes of Ray's own Cluster
    pytest.mark.filterwarnings("ignore:subprocess .* is still running:ResourceWarning"),  # its nodes, when killed
    pytest.mark.filterwarnings("ignore:Tip. In future versions of Ray:FutureWarning"),  # of ray.init, about GPUs
]


@pytest.fixture(scope="module")
def two() -> Iterator[Any]:
    """A head and a node, with one CPU each, to which this process stays connected: that saves Ray's own starts."""
    with nodes(1, 1) as cluster, connected(cluster.address):
        yield cluster


@pytest.fixture(scope="module")
def three() -> Iterator[Any]:
    with nodes(1, 1, 1) as cluster, connected(cluster.address):
        yield cluster


def rows_of(runs: Path) -> dict[str, bytes]:
    return {path.parent.name: path.read_bytes() for path in sorted(runs.glob("s/*/metrics.jsonl"))}


def states(progress: Progress) -> list[Counter[str]]:
    return [Counter(attempt.state for attempt in status.attempts) for status in progress.points]


def workers_of(sweep: Path) -> list[int]:
    """Ids of the actors that hold a child of a sweep: parents of the servers that forked them."""
    return [_parent(_parent(child)) for child in children_of(sweep)]


def _parent(process: int) -> int:
    return int(Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[1])


@pytest.mark.slow  # as all here that starts a cluster, whose dozen processes take a minute of a core
def test_a_grid_and_a_sequential_sweep_have_the_results_of_the_local_engine(
    tmp_path: Path, two: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    here, there = tmp_path / "here", tmp_path / "there"
    for folder in (here, there):
        folder.mkdir()
    monkeypatch.setenv("PRETEND_NOISE", "0.1")
    monkeypatch.setattr(local, "Engine", partial(engine.Engine, target=main))
    path = write_sweep(tmp_path)
    run(path, here)
    undisturbed = decided(opened(here))
    with cluster_at(two.address, there) as cluster:
        progress, stopped_by = run(path, there, cluster=cluster)
        end = decided(opened(there, cluster))
        assert cluster.threads == 1
        assert cluster.room() == 2
    assert progress.complete
    assert stopped_by is None
    assert end.as_json() == undisturbed.as_json()
    assert end.decisions
    assert rows_of(there) == rows_of(here)


def opened(folder: Path, cluster: Any = None) -> LocalSweep:
    path = write_sweep(folder, {"optimizer.lr": {"values": [0.9, 0.4, 0.41]}, "seed": {"values": [0, 1]}})
    path = path.rename(folder / "sequential.yaml")
    found = open_sweep(path, runs=folder, plan=plan_for(Plan(), Design(at_most=4)))
    return LocalSweep(**{**vars(found), "cluster": cluster})


def decided(sweep: LocalSweep) -> Decided:
    design = design_of(sweep, "all-pairs", Design(at_least=3, at_most=4))
    return run_until_decided(sweep, design, jobs=2, devices=["auto"], watch=lambda _: None, say=lambda _: None)


@pytest.mark.slow
def test_runs_whose_actor_or_node_is_lost_go_on_elsewhere_under_the_same_command(
    tmp_path: Path, three: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PRETEND_SECONDS", "0.4")
    path = write_sweep(tmp_path, {"seed": {"values": [*range(6)]}})
    more = three.add_node(num_cpus=1)
    killed: list[str] = []

    def disturb(_: engine.Snapshot) -> None:
        if not killed and (found := workers_of(tmp_path / "s")):
            os.kill(found[0], signal.SIGKILL)
            killed.append("actor")
        elif len(killed) == 1 and len(noted(tmp_path)) >= 2:
            three.remove_node(more, allow_graceful=False)
            killed.append("node")

    with cluster_at(three.address, tmp_path) as cluster:
        monkeypatch.setattr(engine, "_WATCH_SECONDS", 0.2)
        progress, _ = run(path, tmp_path, cluster=cluster, watch=disturb)
    assert killed == ["actor", "node"]
    assert progress.complete
    assert sorted(noted(tmp_path)) == [f"s{seed}" for seed in range(6)]
    assert noted(tmp_path, "twice.log") == []
    assert {status.point.values["seed"]: status.value for status in progress.points} == {
        point.values["seed"]: accuracy(point.overrides, epoch=5) for point in points_of(read_sweep(path))
    }
    assert 1 <= sum(found["interrupted"] for found in states(progress)) <= 2
    lost = [a.message for status in progress.points for a in status.attempts if a.state == "interrupted"]
    assert all(message.startswith("lost on ") for message in lost), lost
    wait_for(lambda: not children_of(tmp_path / "s"), 30)


@pytest.mark.slow
def test_a_killed_driver_leaves_no_training_behind_and_the_same_command_goes_on(tmp_path: Path, three: Any) -> None:
    path = write_sweep(tmp_path, {"seed": {"values": [0, 1, 2]}})
    asked = {"PRETEND_RAY": three.address, "PRETEND_SECONDS": "4"}  # none ends before the last one begins
    with controller(path, tmp_path, **asked) as process:
        wait_for(lambda: len(list(tmp_path.glob("s/*/checkpoint.json"))) == 3)
        process.kill()
        process.wait()
    wait_for(lambda: not children_of(tmp_path / "s"), 30)
    saved = [json.loads(path.read_text())["status"] for path in tmp_path.glob("s/*/summary.json")]
    assert saved == ["interrupted"] * 3
    with cluster_at(three.address, tmp_path) as cluster:
        progress, _ = run(path, tmp_path, cluster=cluster)
    assert progress.complete
    assert states(progress) == [Counter(finished=1, interrupted=1)] * 3
    assert sorted(noted(tmp_path)) == ["s0", "s1", "s2"]
    assert {len(body.splitlines()) for body in rows_of(tmp_path).values()} == {5}, "they went on from checkpoints"


@pytest.mark.slow
def test_run_folders_come_home_from_nodes_that_do_not_share_them_and_go_on_there(
    tmp_path: Path, two: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ray_cluster, "_mark", lambda runs: runs / ".ray-hidden")  # and there is no such file
    path = write_sweep(tmp_path, {"seed": {"values": [0, 1, 13]}})
    early = tmp_path / "s" / "s1"
    early.mkdir(parents=True)
    (early / "config.yaml").write_text(json.dumps(["seed=1"]))  # as an earlier attempt left it
    (early / "checkpoint.json").write_text("3")
    (early / "metrics.jsonl").write_text('{"epoch": 1}\n{"epoch": 2}\n{"epoch": 3}\n')
    with cluster_at(two.address, tmp_path) as cluster:
        progress, _ = run(path, tmp_path, cluster=cluster)
        place = Path(gettempdir()) / f"cifar-sweeps-{(tmp_path / 's' / '.ray-id').read_text()}"
        assert place.is_dir()
        wait_for(lambda: not list(place.glob("s[01]/*")), 10)
    assert [status.state for status in progress.points] == ["finished", "finished", "crashed"]
    assert progress.points[2].attempts[0].message == "RuntimeError: thirteen"
    assert [json.loads(row)["epoch"] for row in (early / "metrics.jsonl").read_text().splitlines()] == [1, 2, 3, 4, 5]
    assert json.loads((early / "metrics.jsonl").read_text().splitlines()[3])["test/accuracy"] > 0
    assert json.loads((tmp_path / "s" / "s0" / "summary.json").read_text())["status"] == "finished"
    assert noted(tmp_path) == [], "it was noted beside the runs over there"


@pytest.mark.slow
def test_a_run_has_its_share_of_a_gpu_that_ray_gave_out(tmp_path: Path, three: Any) -> None:
    """The GPU exists in Ray's accounts only."""
    import ray

    path = write_sweep(tmp_path, {"seed": {"values": [0, 1]}})
    node = three.add_node(num_cpus=2, num_gpus=1)
    free: list[float] = []
    try:
        with cluster_at(three.address, tmp_path, per_device=2) as cluster:
            assert (cluster.threads, cluster.room()) == (1, 2), "two runs on the GPU, and none on the other nodes"
        with cluster_at(three.address, tmp_path, per_device=2, jobs=1) as cluster:
            assert cluster.room() == 1
            run(path, tmp_path, cluster=cluster, watch=lambda _: free.append(ray.available_resources().get("GPU", 0)))
    finally:
        three.remove_node(node)
    assert 0.5 in free
    assert set(free) <= {0.5, 1.0}


@pytest.mark.parametrize(
    ("address", "said"),
    [("127.0.0.1:1", "Connection refused. Is a Ray"), ("ray://127.0.0.1:1", "Connection"), ("here", "expected auto,")],
)
def test_no_cluster_is_one_line(address: str, said: str) -> None:
    with pytest.raises(SweepError, match=rf"--ray: '?{address}'?: {said}"):
        ray_cluster._connect(address)


def test_without_ray_one_line_names_the_extra(tmp_path: Path) -> None:
    write_sweep(tmp_path)
    hidden = "import sys; sys.modules['ray'] = None; from trainer.cli.main import main; main()"
    command = [sys.executable, "-c", hidden, "sweep", "run", str(tmp_path / "s.yaml"), "--ray", "auto"]
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=tmp_path)
    assert done.returncode == 2
    assert done.stderr.splitlines()[-1] == "error: --ray: needs Ray: pip install 'cifar-sweeps[ray]'"
    assert [path.name for path in tmp_path.iterdir()] == ["s.yaml"], "nothing was started"


def test_provenance_names_the_node_and_an_archive_does_not(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(NODE, '{"name": "n7", "gpus": ["3"]}')
    info = provenance(device="cuda", precision="bfloat16", ranks=1, command=["trainer"], seed=0)
    assert info["node"] == {"name": "n7", "gpus": ["3"]}
    assert "n7" not in json.dumps(public_provenance(info)["machine"])
    assert "node" not in public_provenance(info)


@pytest.mark.slow
def test_after_twenty_kills_of_actors_nodes_and_drivers_all_is_finished_once(tmp_path: Path, three: Any) -> None:
    seeds = range(200, 240)
    path = write_sweep(tmp_path, {"seed": {"values": [*seeds]}})
    draw = random.Random(0)
    asked = {"PRETEND_RAY": three.address, "PRETEND_SECONDS": "0.4"}
    kills, drivers = Counter[str](), 0
    while sum(kills.values()) < 20:
        drivers += 1
        more = three.add_node(num_cpus=1)
        with controller(path, tmp_path, **asked) as process:
            for kill in draw.sample(["actor", "node", "actor"], 3):
                wait_for(lambda: children_of(tmp_path / "s") or process.poll() is not None)
                time.sleep(draw.uniform(0, 1.5))
                if kill == "node" and more in three.list_all_nodes():
                    three.remove_node(more, allow_graceful=False)
                elif victims := workers_of(tmp_path / "s"):
                    os.kill(draw.choice(victims), signal.SIGKILL)
                else:
                    continue
                kills[kill] += 1
            assert process.poll() is None, f"all was done after {kills}"
            process.kill()
            kills["driver"] += 1
    with cluster_at(three.address, tmp_path) as cluster:
        progress, _ = run(path, tmp_path, cluster=cluster)
    print(kills, drivers, sum(found["interrupted"] for found in states(progress)))
    assert min(kills[kind] for kind in ("actor", "node", "driver")) >= 3
    assert progress.complete
    assert sorted(noted(tmp_path)) == [f"s{seed}" for seed in seeds]
    assert noted(tmp_path, "twice.log") == []
    assert [found["finished"] for found in states(progress)] == [1] * len(seeds)
    assert {status.point.values["seed"]: status.value for status in progress.points} == {
        point.values["seed"]: accuracy(point.overrides, epoch=5) for point in points_of(read_sweep(path))
    }
    wait_for(lambda: not children_of(tmp_path / "s"), 60)


@pytest.mark.slow
def test_real_networks_have_the_bits_of_the_local_engine(tmp_path: Path, three: Any) -> None:
    """The smoke sweep, and a sequential one, as a person types them."""
    env = {**os.environ, "OMP_NUM_THREADS": "1"}
    smoke = Path(__file__).parents[3] / "sweeps" / "smoke.yaml"
    sequential = tmp_path / "sequential.yaml"
    sequential.write_text(smoke.read_text().replace("name: smoke\n", "name: sequential\n"))
    wish = ["--until", "decided", "--question", "all-pairs", "--at-most", "4", "data.train_size=500"]
    bits: dict[str, Any] = {}
    for where in ("here", "there"):
        place = ["--ray", three.address] if where == "there" else ["--jobs", "2"]
        for file, words in ((smoke, []), (sequential, wish)):
            command = [*CLI, str(file), "--runs", str(tmp_path / where), *place, "--json", *words]
            said = json.loads(subprocess.run(command, env=env, check=True, stdout=subprocess.PIPE).stdout)
            bits[f"{file.stem} {where}"] = {key: said.get(key) for key in ("decisions", "open", "failed", "runs")}
        bits[where] = weights_and_rows(tmp_path / where)
    assert bits["here"] == bits["there"]
    assert len(bits["here"]) >= 4 + 6
    assert bits["smoke here"] == bits["smoke there"]
    assert bits["sequential here"] == bits["sequential there"]
    assert bits["sequential here"]["decisions"]
    assert progress_here(smoke, runs=tmp_path / "there", storage=None).complete


def weights_and_rows(runs: Path) -> dict[str, Any]:
    """A hash of each run's weights, and its rows without what a clock says."""
    import torch

    found: dict[str, Any] = {}
    for path in sorted(runs.glob("*/*/checkpoint.pt")):
        weights = torch.load(path, weights_only=True)["model"]
        digest = hashlib.sha256(b"".join(weights[key].numpy().tobytes() for key in sorted(weights)))
        rows = [json.loads(row) for row in (path.parent / "metrics.jsonl").read_text().splitlines()]
        timeless = [{k: v for k, v in row.items() if not k.startswith(("time/", "memory/"))} for row in rows]
        found[f"{path.parent.parent.name}/{path.parent.name}"] = digest.hexdigest(), timeless
    return found


@pytest.mark.slow
def test_ray_takes_less_than_a_fiftieth_of_the_time_at_points_of_a_minute(
    tmp_path: Path, three: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """From the end of the first point to that of the fourth: Ray's own start, and the actor's, are once a sweep."""
    monkeypatch.setenv("PRETEND_SECONDS", "12")  # five of them a point
    ends: dict[int, float] = {}
    begun = time.monotonic()

    def note(snapshot: engine.Snapshot) -> None:
        ends.setdefault(snapshot.progress.count("finished"), time.monotonic())

    path = write_sweep(tmp_path, {"seed": {"values": [0, 1, 2, 3]}})
    with cluster_at(three.address, tmp_path, jobs=1) as cluster:
        run(path, tmp_path, cluster=cluster, watch=note)
    wall = ends[4] - ends[1]
    print(f"three points of a minute took {wall:.2f} s; until the first one ended {ends[1] - begun:.2f} s")
    assert wall < 1.02 * 180


@pytest.mark.slow
def test_a_driver_outside_of_the_cluster_is_a_client_of_it(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = probe.getsockname()[1]
    path = write_sweep(tmp_path)
    with nodes(1, 1, client_port=port), controller(path, tmp_path, PRETEND_RAY=f"ray://127.0.0.1:{port}") as process:
        assert process.wait() == 0, (tmp_path / "controller.log").read_text()
    assert len(noted(tmp_path)) == 6
    assert noted(tmp_path, "twice.log") == []
