"""Commands whose console is lost: real processes, each on a terminal, a pipe or a disk of its own."""

import contextlib
import json
import os
import pty
import subprocess
import sys
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import pytest
from forked import start
from same_numbers import compare_run

from trainer.config import load_config
from trainer.training.run import start_run

TESTS = Path(__file__).parents[2]
NULL, FULL, CLOSED = "/dev/null", "/dev/full", None
TTY, PIPE = "a terminal", "a pipe"  # each is closed by its reader in the middle of the run
LOST = {
    "closed terminal": (TTY, TTY, TTY),
    "closed terminal, a line per epoch": (TTY, TTY, TTY),
    "reader that leaves": (NULL, PIPE, PIPE),
    "stderr on a full disk": (NULL, NULL, FULL),
    "stderr closed": (NULL, NULL, CLOSED),
    "all closed": (CLOSED, CLOSED, CLOSED),
    "log on a full disk": (NULL, FULL, FULL),
}
EPOCHS = "train.epochs=5"  # enough for a reader to leave in the middle


class Ended(NamedTuple):
    code: int
    folder: Path


def started(how: str, commands: Sequence[tuple[list[str], Sequence[str | None]]]) -> list[int]:
    """The exit codes of `trainer` commands on the given streams, each forked (`warm`) or started anew (`cold`)."""
    if how == "warm":
        processes = [start(*command) for command in commands]
        for process in processes:
            process.join(300)
        return [-1 if process.exitcode is None else process.exitcode for process in processes]
    env = {**os.environ, "PYTHONPATH": str(TESTS.parent)}
    words = [sys.executable, str(TESTS / "on_streams.py"), json.dumps(commands)]
    said = subprocess.run(words, env=env, stdout=subprocess.PIPE, check=True, timeout=300).stdout
    return json.loads(said.splitlines()[-1])


def read_and_leave(path: Path, handle: int | None, word: bytes) -> None:
    """Read what a run says until `word`, and close."""
    console, said = os.open(path, os.O_RDONLY) if handle is None else handle, b""
    with contextlib.suppress(OSError):  # a terminal that nobody writes to any more
        while word not in said and (new := os.read(console, 1000)):
            said += new
    os.close(console)


def train_all(how: str, words: list[str], runs: Path) -> dict[str, Ended]:
    """Train a run for each case, all at once."""
    commands: list[tuple[list[str], list[str | None]]] = []
    readers: list[threading.Thread] = []
    ttys: list[int] = []
    for number, (case, streams) in enumerate(LOST.items()):
        path, handle = runs / f"pipe{number}", None
        if TTY in streams:
            handle, tty = pty.openpty()
            path = Path(os.ttyname(tty))
            ttys.append(tty)
        elif PIPE in streams:
            os.mkfifo(path)
        if handle is not None or PIPE in streams:
            readers.append(threading.Thread(target=read_and_leave, args=(path, handle, b"epoch 1/"), daemon=True))
        mode = "sink.console.mode=lines" if "line" in case else "sink.console.mode=auto"
        put = [str(path) if stream in (TTY, PIPE) else stream for stream in streams]
        commands.append((["train", *words, mode, EPOCHS, "--runs", str(runs), "--name", f"r{number}"], put))
    for reader in readers:
        reader.start()
    codes = started(how, commands)
    for tty in ttys:
        os.close(tty)
    return {case: Ended(code, runs / f"r{number}") for number, (case, code) in enumerate(zip(LOST, codes, strict=True))}


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory, small_run: list[str]) -> Path:
    config = load_config([*small_run, EPOCHS, "sink.console.mode=off"]).config
    return start_run(config, runs=tmp_path_factory.mktemp("undisturbed"), name="r").folder


@pytest.fixture(scope="module")
def lost(tmp_path_factory: pytest.TempPathFactory, small_run: list[str]) -> dict[str, Ended]:
    return train_all("warm", small_run, tmp_path_factory.mktemp("lost"))


@pytest.fixture(scope="module")
def lost_offline(tmp_path_factory: pytest.TempPathFactory, small_run: list[str]) -> dict[str, Ended]:
    """As a person starts them: Python anew, with W&B's client."""
    return train_all("cold", [*small_run, "sink.wandb.mode=offline"], tmp_path_factory.mktemp("lost_offline"))


def assert_as_undisturbed(run: Ended, undisturbed: Path) -> None:
    assert (run.code, json.loads((run.folder / "run.json").read_text())["status"]) == (0, "finished")
    assert not compare_run(undisturbed, run.folder)


@pytest.mark.parametrize("case", LOST)
def test_a_run_that_loses_its_console_ends_as_undisturbed(case: str, lost: dict[str, Ended], undisturbed: Path) -> None:
    assert_as_undisturbed(lost[case], undisturbed)


@pytest.mark.slow
@pytest.mark.parametrize("case", LOST)
def test_so_does_one_with_wandb_from_its_start(case: str, lost_offline: dict[str, Ended], undisturbed: Path) -> None:
    assert_as_undisturbed(lost_offline[case], undisturbed)


@pytest.mark.slow
def test_a_sweep_whose_terminal_is_closed_runs_every_point(tmp_path: Path, small_run: list[str]) -> None:
    file = tmp_path / "s.yaml"
    goal = "metric: {name: test/loss, goal: minimize}"
    file.write_text(f"method: grid\n{goal}\nparameters: {{seed: {{values: [0, 1, 2]}}}}\n")
    master, tty = pty.openpty()
    reader = threading.Thread(target=read_and_leave, args=(tmp_path, master, b"1 of 3 done"), daemon=True)
    reader.start()
    streams = [os.ttyname(tty)] * 3
    assert started("cold", [(["sweep", "run", str(file), *small_run, "--runs", str(tmp_path)], streams)]) == [0]
    reader.join()
    os.close(tty)
    states = [json.loads(path.read_text())["status"] for path in (tmp_path / "s").glob("*/run.json")]
    assert states == ["finished"] * 3


SHELL = ["sh", "-c"]
RECIPES = f"{sys.executable} -m trainer.cli recipes"  # many lines, and no torch


def test_a_printing_command_ends_quietly_when_its_reader_has_enough() -> None:
    ended = subprocess.run([*SHELL, f"({RECIPES}; echo code $? >&2) | head -0"], capture_output=True, text=True)
    assert (ended.stdout, ended.stderr) == ("", "code 0\n")


def test_a_printing_command_on_a_full_disk_says_that_its_output_is_lost() -> None:
    ended = subprocess.run([*SHELL, f"{RECIPES} >/dev/full"], capture_output=True, text=True)
    assert (ended.returncode, ended.stderr) == (2, "error: stdout: cannot be written: No space left on device\n")


SPEAKER = """
import os, signal, subprocess, sys
os.kill(os.getpid(), signal.SIGHUP)
print("lost", file=sys.stderr, flush=True)
code = subprocess.run([sys.executable, "-c", "import os; os.kill(os.getpid(), 1); assert os.fstat(2)"]).returncode
open(sys.argv[1], "w").write(f"{code} {sys.argv[2:]} {__name__}")
"""


def test_another_program_and_its_children_outlive_the_console_too(tmp_path: Path) -> None:
    (tmp_path / "speaker.py").write_text(SPEAKER)
    command = f"{sys.executable} -m trainer.cli.streams speaker said 1 -f 2>&-"
    env = {**os.environ, "PYTHONPATH": str(TESTS.parent)}
    assert subprocess.run([*SHELL, command], cwd=tmp_path, env=env).returncode == 0
    assert (tmp_path / "said").read_text() == "0 ['1', '-f'] __main__"


def test_a_file_opened_later_does_not_become_a_closed_stream() -> None:
    code = "from trainer.cli.streams import outlive_the_console as f; f(); print(open('/dev/null').fileno() > 2)"
    said = subprocess.run([*SHELL, f'{sys.executable} -c "{code}" <&- 2>&-'], capture_output=True, cwd=TESTS.parent)
    assert said.stdout == b"True\n"


def test_a_line_is_out_at_once_where_python_is_told_so() -> None:
    code = "from trainer.cli.streams import outlive_the_console as f; f(); print('x'); import os; os._exit(0)"
    env = {**os.environ, "PYTHONUNBUFFERED": "1"}
    said = subprocess.run([sys.executable, "-c", code], capture_output=True, cwd=TESTS.parent, env=env).stdout
    assert said == b"x\n"


def test_a_stream_that_must_not_wait_loses_nothing() -> None:
    """A terminal or pipe that another program has set to not block."""
    code = "from trainer.cli.streams import outlive_the_console as f; f(); print('x' * 500_000)"
    reading, writing = os.pipe()
    os.set_blocking(writing, False)
    with subprocess.Popen([sys.executable, "-c", code], stdout=writing, cwd=TESTS.parent) as process:
        os.close(writing)
        with os.fdopen(reading, "rb") as file:
            assert len(file.read()) == 500_001
    assert process.returncode == 0
