"""The wheel in an environment of its own: nothing there but it and its dependencies, no extra and no checkout.

The dependencies are not installed a second time, since torch alone is gigabytes. Their files are linked from this
environment: those that the wheel asks for, and what these ask for. pip then checks them against the wheel and the
constraints, without an index.
"""

import os
import signal
import subprocess
import sys
import time
from importlib.metadata import Distribution, distribution
from pathlib import Path

import pytest
from own_page import commands, save_files
from packaging.requirements import Requirement

ROOT = Path(__file__).parents[1]
LESS = ["data.train_size=60", "train.max_steps=2", "train.batch_size=30", "sink.wandb.mode=disabled"]
PATIENCE = 1200  # seconds of a command, on a busy machine

pytestmark = pytest.mark.slow


class Installed:
    """Commands of an environment, from a folder."""

    def __init__(self, environment: Path, folder: Path) -> None:
        self.binaries, self.folder = environment / "bin", folder
        unsafe = ("PYTHON", "VIRTUAL_ENV", "PIP_", "WANDB_")
        self.env = {key: value for key, value in os.environ.items() if not key.startswith(unsafe)}
        self.env["PATH"] = f"{self.binaries}:/usr/bin:/bin"

    def __call__(self, command: str, *words: str, code: int = 0) -> subprocess.CompletedProcess[str]:
        said = subprocess.run(
            [self.binaries / command, *words],
            cwd=self.folder, env=self.env, capture_output=True, text=True, timeout=PATIENCE, check=False,
        )  # fmt: skip
        assert said.returncode == code, (words, said.stdout, said.stderr)
        return said


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Installed:
    """The wheel in a new environment, and an empty folder."""
    base = tmp_path_factory.mktemp("installed")
    build = [sys.executable, "-m", "hatchling", "build", "--target", "wheel", "--directory", str(base)]
    subprocess.run(build, cwd=ROOT, check=True, capture_output=True)
    (wheel,) = base.glob("*.whl")
    assert wheel.stat().st_size < 1e6
    subprocess.run([sys.executable, "-m", "venv", base / "env"], check=True, capture_output=True)
    (base / "work").mkdir()
    here = Installed(base / "env", base / "work")
    here.env["PIP_CONFIG_FILE"] = os.devnull
    here("python", "-m", "pip", "uninstall", "--yes", "setuptools")  # Python 3.11 brings one that is not ours
    (site,) = base.glob("env/lib/python*/site-packages")
    link_dependencies(site)
    here("python", "-m", "pip", "install", "--no-index", "--constraint", str(ROOT / "constraints.txt"), str(wheel))
    return here


def link_dependencies(site: Path) -> None:
    """Link the files of every distribution that the trainer needs without extras, and of those that these need."""
    waiting, known = [Requirement("cifar-sweeps")], set[str]()
    while waiting:
        asked = waiting.pop()
        for needed in map(Requirement, distribution(asked.name).requires or []):
            wanted = [needed.marker is None or needed.marker.evaluate({"extra": each}) for each in ("", *asked.extras)]
            key = f"{needed.name} {sorted(needed.extras)}"
            if any(wanted) and key not in known:
                known.add(key)
                waiting.append(needed)
                link(distribution(needed.name), site)


def link(package: Distribution, site: Path) -> None:
    """Link what a distribution has in its site-packages, folder by folder."""
    for top in {file.parts[0] for file in package.files or []} - {"..", "__pycache__", "bin"}:
        place = site / top
        if not place.exists():
            place.symlink_to(Path(str(package.locate_file(top))).resolve())


def test_it_is_the_wheel_that_runs_and_it_has_no_extras(installed: Installed) -> None:
    code = "import trainer, models; print(trainer.__file__); print(models.__file__)"
    for line in installed("python", "-c", code).stdout.split():
        assert Path(line).is_relative_to(installed.binaries.parent)
        assert Path(line).with_name("py.typed").is_file()  # so that a type checker takes our annotations
    for extra in ("pytest", "ray", "onnx", "starlette", "pyarrow"):
        assert "No module named" in installed("python", "-c", f"import {extra}", code=1).stderr


def test_version_and_catalogue(installed: Installed) -> None:
    assert installed("trainer", "--version").stdout.strip().endswith(distribution("cifar-sweeps").version)
    listed = installed("trainer", "sweep", "list", "--catalogue").stdout
    assert all(path.stem in listed for path in (ROOT / "sweeps").glob("*.yaml"))


def test_write_your_own_trains_sweeps_reports_and_resumes(installed: Installed) -> None:
    folder = installed.folder
    save_files(folder)
    for words in commands("train"):
        installed("trainer", *words, *([] if "--resume" in words else LESS))
    for words in [*commands("evaluate"), *commands("models"), *commands("preview"), *commands("sweep", "check")]:
        installed("trainer", *words)
    installed("trainer", "sweep", "run", "mine.yaml", *LESS)
    installed("trainer", "report", "mine.yaml")
    assert "my_nets.py:MyNet" in (folder / "runs" / "mine" / "report" / "mine.md").read_text(encoding="utf-8")


def test_a_changed_file_is_refused_by_its_name(installed: Installed) -> None:
    folder = installed.folder
    save_files(folder)
    words = ["train", "model.name=my_nets.py:MyNet", "--data", "shapes10", "--name", "broken", "train.epochs=200",
             "train.evaluate_every=1000", *(word for word in LESS if "max_steps" not in word)]  # fmt: skip
    run, checkpoint = folder / "runs" / "broken", folder / "runs" / "broken" / "checkpoint.pt"
    with subprocess.Popen(
        [installed.binaries / "trainer", *words], cwd=folder, env=installed.env, stderr=subprocess.DEVNULL
    ) as training:
        while not checkpoint.exists():
            assert training.poll() is None
            time.sleep(0.02)
        training.send_signal(signal.SIGTERM)
        assert training.wait(PATIENCE) == 128 + signal.SIGTERM
    path, text = folder / "my_nets.py", (folder / "my_nets.py").read_text(encoding="utf-8")
    path.write_text(text.replace("kernel_size=5", "kernel_size=3"), encoding="utf-8")
    assert (
        "my_nets.py has changed since this run began"
        in installed("trainer", "train", "--resume", str(run), code=2).stderr
    )
    path.write_text(text, encoding="utf-8")
    installed("trainer", "train", "--resume", str(run))
    assert '"finished"' in (run / "summary.json").read_text(encoding="utf-8")
