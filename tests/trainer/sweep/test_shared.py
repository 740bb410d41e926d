"""One study for several machines: two controllers with folders of their own on a real PostgreSQL."""

import os
import shutil
import socket
import subprocess
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest
from pretend.controller import run
from pretend.watch import controller, noted, write_sweep

INITDB = shutil.which("initdb") or next(map(str, Path("/usr/lib/postgresql").glob("*/bin/initdb")), None)


@pytest.fixture
def postgres() -> Iterator[str]:
    """The URL of an empty database, on a loopback port, of a server that ends with the test."""
    if INITDB is None:
        pytest.skip("no PostgreSQL here; Debian's package is called postgresql")
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = probe.getsockname()[1]
    folder = Path(f"/tmp/pretend-postgres-{port}")  # tmp_path is closed to the user that the server runs as
    folder.mkdir()
    as_user: Sequence[str] = ()
    if os.getuid() == 0:  # it refuses to run as root
        shutil.chown(folder, "postgres", "postgres")
        as_user = ("runuser", "-u", "postgres", "--")
    bin = Path(INITDB).resolve().parent
    quiet = {"check": True, "stdout": subprocess.DEVNULL, "cwd": folder}
    subprocess.run([*as_user, bin / "initdb", "-D", folder / "data", "-A", "trust", "-U", "sweeper"], **quiet)
    options = f"-p {port} -c listen_addresses=127.0.0.1 -c unix_socket_directories={folder}"
    ctl = [*as_user, str(bin / "pg_ctl"), "-D", str(folder / "data"), "-w"]
    subprocess.run([*ctl, "-o", options, "-l", str(folder / "log"), "start"], **quiet)
    try:
        yield f"postgresql://sweeper@127.0.0.1:{port}/postgres"
    finally:
        subprocess.run([*ctl, "-m", "immediate", "stop"], **quiet)
        shutil.rmtree(folder)


@pytest.mark.slow
def test_two_machines_on_one_study_run_no_point_twice(tmp_path: Path, postgres: str) -> None:
    path = write_sweep(tmp_path, {"seed": {"values": list(range(100, 130))}})
    one, other = tmp_path / "one", tmp_path / "other"
    with (
        controller(path, one, jobs=2, PRETEND_STORAGE=postgres) as first,
        controller(path, other, jobs=2, PRETEND_STORAGE=postgres) as second,
    ):
        codes = first.wait(timeout=300), second.wait(timeout=300)
    logs = [(runs / "controller.log").read_text() for runs in (one, other)]
    assert set(codes) <= {0, 1}, logs
    assert noted(one), "both had their share"
    assert noted(other), "both had their share"
    assert sorted(noted(one) + noted(other)) == [f"s{seed}" for seed in range(100, 130)]
    progress, _ = run(path, one, storage=postgres)
    assert progress.complete
    assert {len(status.attempts) for status in progress.points} == {1}
