"""`trainer sweep submit`, with a program in the place of sbatch."""

import os
import shlex
import stat
import subprocess
import sys
from pathlib import Path

import pytest
from command_line import run_here

from trainer.wandb_api.sweeps import PATIENT

SWEEP = """project: p
command: ["${env}", trainer, train, "${args_no_hyphens}"]
method: grid
metric: {name: test/accuracy, goal: maximize}
parameters:
  model.name: {value: lenet5}
  loss.name: {values: [cross_entropy, mse]}
  seed: {values: [0, 1]}
"""
SBATCH = """#!/bin/sh
cat > "$SUBMITTED"
[ -n "$REFUSED" ] && { echo "sbatch: error: invalid partition specified: $REFUSED" >&2; exit 1; }
echo "Submitted batch job 17"
"""


@pytest.fixture
def file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A sweep of four points in a folder with a space in its name, which is the working directory."""
    folder = tmp_path / "my sweeps"
    folder.mkdir()
    monkeypatch.chdir(folder)
    path = folder / "losses.yaml"
    path.write_text(SWEEP)
    return path


@pytest.fixture
def submitted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The file that a stand-in of sbatch, on the PATH, writes its script to."""
    binaries, script = tmp_path / "bin", tmp_path / "submitted.sh"
    binaries.mkdir()
    program = binaries / "sbatch"
    program.write_text(SBATCH)
    program.chmod(program.stat().st_mode | stat.S_IXUSR)
    monkeypatch.setenv("PATH", str(binaries), prepend=os.pathsep)
    monkeypatch.setenv("SUBMITTED", str(script))
    monkeypatch.delenv("REFUSED", raising=False)
    return script


def submit(*words: str) -> int:
    return run_here(["sweep", "submit", "losses.yaml", "--slurm", "--array", "4", *words])


def test_the_script_reaches_sbatch_and_its_answer_the_user(
    file: Path, submitted: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    asked = ["--gres", "gpu:1", "--time", "12:00:00", "--partition", "long", "--sbatch", "--account=me"]
    assert submit("train.epochs=3", "--runs", "shared runs", *asked) == 0
    assert capsys.readouterr().out == "Submitted batch job 17\n"
    lines = submitted.read_text().splitlines()
    options = {line.removeprefix("#SBATCH ") for line in lines if line.startswith("#SBATCH")}
    assert options >= {"--array=0-3", "--gres=gpu:1", "--time=12:00:00", "--partition=long", "--account=me"}
    assert options >= {"--signal=B:TERM@120", "--job-name=losses"}
    assert lines[-1] == "exec trainer sweep run losses.yaml train.epochs=3 --runs 'shared runs'"
    assert submit("--print", "train.epochs=3", "--runs", "shared runs", *asked) == 0
    assert capsys.readouterr().out == submitted.read_text()


def test_the_script_is_clean_for_shellcheck_and_runs_the_command_of_this_environment(
    file: Path, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    script = tmp_path / "job.sh"
    for shape in ("--nodes", "--array"):
        assert run_here(["sweep", "submit", "losses.yaml", "--slurm", shape, "4", "--gres", "gpu:1", "--print"]) == 0
        script.write_text(capsys.readouterr().out)
        checked = subprocess.run(["shellcheck", str(script)], capture_output=True, text=True, env=os.environ | {
            "PATH": f"{Path(sys.prefix) / 'bin'}{os.pathsep}{os.environ['PATH']}"})  # fmt: skip
        assert (checked.stdout, checked.returncode) == ("", 0)
    script.write_text(script.read_text().replace("exec trainer sweep run", "exec trainer sweep check"))
    ran = subprocess.run(["bash", str(script)], cwd="/", capture_output=True, text=True)
    assert ran.stdout == "losses.yaml: 4 points\n"


STAND_INS = {  # of Slurm's commands, and of Ray's and the trainer's, which say what they were given
    "scontrol": '[ "$*" = "show hostnames two-[1-2]" ] && printf "two-1\\ntwo-2\\n"',
    "srun": 'shift; "$@"',  # its --cpus-per-task
    "ray": '[ "$1" = status ] && { [ -f up ]; exit; }\necho "ray $*" >> said; touch up; shift 6; exec "$@"',
    "sleep": "[ $1 = infinity ] && exec /bin/sleep 1; true",
    "trainer": 'echo "trainer $*" >> said; exit 4',
}


def test_a_cluster_of_ray_on_the_nodes_of_one_job(
    file: Path, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    asked = ["sweep", "submit", "losses.yaml", "--slurm", "--nodes", "2", "--per-device", "2", "--print"]
    assert run_here(asked) == 0
    text = capsys.readouterr().out
    assert (
        "#SBATCH --nodes=2\n#SBATCH --ntasks-per-node=1\n" in text
        and "#SBATCH --exclusive\n" in text
        and "--array" not in text
    )
    for name, does in STAND_INS.items():
        program = tmp_path / name
        program.write_text(f"#!/bin/bash\n{does}\n")
        program.chmod(0o755)
    script = tmp_path / "job.sh"
    script.write_text(text.replace(str(Path(sys.prefix) / "bin"), str(tmp_path)))
    of_slurm = {"SLURM_JOB_NODELIST": "two-[1-2]", "SLURM_JOB_ID": "170003", "SLURM_CPUS_PER_TASK": "4"}
    ran = subprocess.run(["bash", str(script)], env=os.environ | of_slurm, check=False)
    assert ran.returncode == 4  # the driver's
    assert (file.parent / "said").read_text().splitlines() == [
        "ray symmetric-run --address two-1:20003 --num-cpus 4 -- sleep infinity",
        "trainer sweep run losses.yaml --ray two-1:20003 --per-device 2",
    ]


def test_a_sweep_of_wandb_gets_agents(file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for target in ("me/cifar/abc123", "https://wandb.ai/me/cifar/sweeps/abc123"):
        assert run_here(["sweep", "submit", target, "--slurm", "--print"]) == 0
        *_, last = capsys.readouterr().out.splitlines()
        patient = [f"{name}={value}" for name, value in PATIENT.items()]
        assert last == shlex.join(["exec", "env", *patient]) + " wandb agent -f -t 60 me/cifar/abc123"


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--array", "5"], "error: --array 5: losses.yaml has 4 points; --array 4 is enough"),
        (["--per-device", "2"], "error: --array 4: losses.yaml has 4 points; --array 2 is enough"),
        (["--nodes", "2"], "error: --array and --nodes: an array has tasks that do not know each other; take one"),
        (
            ["--time", "4h"],
            "error: --time 4h: Slurm reads MINUTES, HOURS:MINUTES:SECONDS or DAYS-HOURS, such as 4:00:00",
        ),
        (["--sbatch", "account=me"], "error: --sbatch account=me: not an option of sbatch; did you mean --account=me?"),
        (["--partition", "a\nb"], r"error: 'a\nb': an option of sbatch is one line"),
        (["optimizer.lrr=1"], "error: losses.yaml: optimizer.lrr: "),
        (
            ["--storage", "postgresql://me:secret@host/db"],
            "error: --storage: the job's script would show its password; set TRAINER_STORAGE instead",
        ),
    ],
)
def test_a_mistake_is_one_line_and_submits_nothing(
    words: list[str], said: str, file: Path, submitted: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert submit(*words) == 2
    out, err = capsys.readouterr()
    assert out == "" and err.startswith(said) and err.count("\n") == 1
    assert not submitted.exists()


def test_what_slurm_refuses_is_one_line(
    file: Path, submitted: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("REFUSED", "nowhere")
    assert submit("--partition", "nowhere") == 2
    assert capsys.readouterr().err == (
        "error: sbatch refused the job: sbatch: error: invalid partition specified: nowhere\n"
    )
    monkeypatch.setenv("PATH", "")
    assert submit() == 2
    assert capsys.readouterr().err == (
        "error: sbatch: not found. Submit where Slurm is installed, or take the script: --print\n"
    )
    assert run_here(["sweep", "submit", "losses.yaml"]) == 2
    assert capsys.readouterr().err == "error: sweep submit: to what? Give --slurm\n"
