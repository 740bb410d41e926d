"""The server as a process: its address, its mistakes in a line, its end."""

import os
import signal
import socket
import subprocess
import sys
import threading
import urllib.request
from collections.abc import Callable
from pathlib import Path

import pytest
from command_line import run_here

from trainer.errors import UserError
from trainer.report.live.keeper import Keeper
from trainer.report.live.serve import listen, names_of, server_of
from trainer.report.sources import Source


def test_a_port_in_use_is_a_line(write_schedules: Callable[..., Path], capsys: pytest.CaptureFixture[str]) -> None:
    runs = write_schedules({"cosine": [0.9]}).parent
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        assert run_here(["report", "lr_scheduler", "--runs", str(runs), "--serve", "--port", str(port)]) == 2
    said = f"error: --port {port}: in use on 127.0.0.1; give another one, or 0 for any free one\n"
    assert capsys.readouterr().err == said


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--serve"], "--serve: shows one sweep, or one folder of runs; name it"),
        (["a", "b", "--serve"], "--serve: shows one sweep, or one folder of runs; name it"),
    ],
)
def test_a_mistake_is_a_line(words: list[str], said: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert run_here(["report", *words]) == 2
    assert capsys.readouterr().err == f"error: {said}\n"


def test_without_the_extra_a_line_says_what_to_install(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(sys.modules, "uvicorn", None)
    assert run_here(["report", "lr_scheduler", "--serve"]) == 2
    assert capsys.readouterr().err == (
        "error: --serve: needs Starlette and uvicorn: pip install 'cifar-sweeps[serve]'\n"
    )


def test_an_address_of_another_machine_is_a_line() -> None:
    for host in ("192.0.2.1", "no such name"):
        with pytest.raises(UserError, match=f"--host {host}"):
            listen(host, 0)


def test_it_answers_under_its_own_names_only() -> None:
    assert names_of("127.0.0.1") == ["127.0.0.1", "localhost", "::1"]
    assert names_of("192.0.2.7") == ["192.0.2.7", "127.0.0.1", "localhost", "::1"]
    assert {socket.gethostname(), "localhost"} <= set(names_of("0.0.0.0")) and "*" not in names_of("0.0.0.0")


def test_it_answers_at_an_address_with_colons(write_schedules: Callable[..., Path]) -> None:
    """Before: 400 to every request, since a browser puts brackets around ::1."""
    try:
        listening = listen("::1", 0)
    except UserError:
        pytest.skip("this machine has no IPv6")  # as in some containers: nothing there can ask for such an address
    server = server_of(Keeper(Source(write_schedules({"cosine": [0.9]}))), names_of("::1"))
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listening]})
    thread.start()
    try:
        with urllib.request.urlopen(f"http://[::1]:{listening.getsockname()[1]}/", timeout=60) as answer:
            assert b"1 of 30 points are done" in answer.read()
    finally:
        server.should_exit = True
        thread.join()
        listening.close()


@pytest.mark.slow
def test_it_serves_at_low_priority_until_ctrl_c(write_schedules: Callable[..., Path]) -> None:
    runs = write_schedules({"cosine": [0.9]}).parent
    command = [sys.executable, "-m", "trainer", "report", "lr_scheduler", "--runs", str(runs), "--serve", "--port", "0"]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as server:
        try:
            assert server.stderr
            address = next(line.strip() for line in server.stderr if line.startswith("http"))
            with urllib.request.urlopen(address, timeout=600) as answer:  # at the lowest priority
                assert b"1 of 30 points are done" in answer.read()
            assert os.getpriority(os.PRIO_PROCESS, server.pid) == 19
            server.send_signal(signal.SIGINT)
            rest = server.stderr.read()
            assert server.wait(60) == 0
        finally:
            server.kill()  # else a failed test would wait for it for ever
    assert "Traceback" not in rest and "Ctrl-C ends this page and no run" in rest
