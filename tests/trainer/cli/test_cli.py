"""The command line as a person or a sweep agent meets it: words, exit codes, what goes where."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
import typer
from command_line import run_here
from forked import start
from pretend.watch import wait_for
from run_ends import rows_of

from trainer.cli.main import app
from trainer.cli.options import run_folder

TRAIN_FLAGS = {
    "--model", "--epochs", "--lr", "--batch-size", "--seed", "--data", "--device", "--offline", "--recipe", "--config",
    "--runs", "--name", "--resume", "--dry-run", "--json", "--help",
}  # fmt: skip


def test_the_flags_of_train_are_few_and_frozen() -> None:
    command = typer.main.get_command(app).commands["train"]  # pyright: ignore[reportAttributeAccessIssue]
    flags = {flag for parameter in command.params for flag in parameter.opts if flag.startswith("--")}
    assert flags | {"--help"} == TRAIN_FLAGS


def test_help_loads_nothing_heavy() -> None:
    code = (
        "import sys; sys.argv = ['trainer', '--help']\n"
        "import trainer.cli.main\n"
        "try: trainer.cli.main.main()\n"
        "except SystemExit: pass\n"
        "heavy = ('torch', 'wandb', 'timm', 'torchvision', 'numpy', 'pydantic')\n"
        "print([name for name in heavy if name in sys.modules])"
    )
    said = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert said.splitlines()[-1] == "[]"


def test_a_config_is_resolved_without_torch_or_wandb() -> None:
    code = "import sys, trainer.config; print([n for n in ('torch', 'wandb', 'timm', 'numpy') if n in sys.modules])"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True).stdout.strip() == "[]"


def test_the_last_line_on_stdout_is_the_run_folder(
    tmp_path: Path, small_run: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert run_here(["train", *small_run, "--runs", str(tmp_path), "--name", "a"]) == 0
    out, err = capsys.readouterr()
    assert out.splitlines()[-1] == str(tmp_path / "a")
    assert "epoch 3/3" in err
    assert run_here(["evaluate", str(tmp_path / "a"), "--json"]) == 0
    measured = json.loads(capsys.readouterr().out)
    summary = json.loads((tmp_path / "a" / "summary.json").read_text())
    assert measured == {key: summary[key] for key in measured}
    assert "test/accuracy" in measured


def test_json_is_one_object_and_nothing_else(
    tmp_path: Path, small_run: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    words = [f"--{word}" for word in small_run]  # the other form a W&B agent may send
    assert run_here(["train", *words, "--runs", str(tmp_path), "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert Path(found["run_dir"]).is_dir()
    assert found["status"] == "finished"


@pytest.mark.parametrize(("number", "code"), [(signal.SIGTERM, 143), (signal.SIGINT, 130)])
def test_a_signal_finishes_the_step_saves_and_exits_as_shells_expect(
    tmp_path: Path, small_run: list[str], number: signal.Signals, code: int
) -> None:
    words = [*small_run, "train.epochs=10000", "--runs", str(tmp_path), "--name", "a"]
    console = tmp_path / "console"
    console.touch()
    process = start(["train", *words], [os.devnull, os.devnull, str(console)])
    wait_for(lambda: (tmp_path / "a" / "metrics.jsonl").exists() and len(rows_of(tmp_path / "a")) > 0)
    os.kill(process.pid or 0, number)
    process.join(60)
    said = console.read_text()
    assert process.exitcode == code
    assert f"trainer train --resume {tmp_path / 'a'}" in said
    assert json.loads((tmp_path / "a" / "summary.json").read_text())["status"] == "interrupted"
    assert json.loads((tmp_path / "a" / "run.json").read_text())["status"] == "interrupted"


def test_a_diverged_run_exits_with_3(tmp_path: Path, small_run: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    words = ["train", *small_run, "--lr", "1e8", "schedule.name=constant", "train.epochs=9", "--runs", str(tmp_path)]
    assert run_here(words) == 3
    err = capsys.readouterr().err
    assert "diverged: the training loss stopped being finite at step" in err
    assert "last good checkpoint" in err


def _truncated(folder: Path) -> None:
    path = folder / "checkpoint.pt"
    path.write_bytes(path.read_bytes()[:1000])
    (folder / "summary.json").unlink()


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["train", "optimizer.lrr=1"], "optimizer.lrr: sgd has no such field; did you mean 'lr'?"),
        (
            ["train", "--model", "fastresnet"],
            "model.name: no network is called 'fastresnet'; did you mean 'fastresnet9'?",
        ),
        (["train", "--lr", "fast"], "optimizer.lr: 'fast'"),
        (["train", "--epochs", "0"], "train.epochs: 0"),
        (["train", "--runs", "/nowhere", "--epochs"], "requires an argument"),
        (["train", "--epocs", "3"], "'--epocs': expected KEY=VALUE"),
        (["train", "--data", "places"], "data.name: no data is called 'places'"),
        (["train", "--data", "cifar10", "data.root=/nowhere", "data.download=false"], "/nowhere"),
        (["train", "--data", "folder", "data.root=/nowhere"], "/nowhere"),
        (["train", "--device", "cuda:99"], "train.device: 'cuda:99'"),
        (["train", "train.precision=float16", "--device", "cpu"], "train.precision: 'float16' needs a CUDA device"),
        (["train", "--recipe", "resnet"], "did you mean 'resnet9'?"),
        (["train", "--config", "/nowhere.yaml"], "/nowhere.yaml: No such file"),
        (["train", "--resume", "/nowhere"], "/nowhere: there is no such run or checkpoint"),
        (["train", "SMALL", "--runs", "/proc/runs"], "/proc/runs"),
        (["train", "SMALL", "--name", "a/b"], "--name: 'a/b'"),
        (["train", "SMALL", "--name", "done"], "continue it with"),
        (["train", "--resume", "CUT"], "checkpoint.pt: damaged or not a checkpoint"),
        (["evaluate", "/nowhere"], "/nowhere"),
        (["evaluate", "CUT"], "checkpoint.pt: damaged or not a checkpoint"),
        (["evaluate", "DONE", "--tta", "vflip"], "train.tta: 'vflip' is not a choice"),
        (["train", "SMALL", "data.train_size=100000"], "data.train_size"),
        (["recipes", "nope"], "no recipe is called 'nope'"),
        (["trian"], "trian"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_a_bad_input_is_one_clear_line_and_exit_code_2(
    tmp_path: Path,
    small_run: list[str],
    capsys: pytest.CaptureFixture[str],
    words: list[str],
    said: str,
) -> None:
    places = {"CUT": tmp_path / "done", "DONE": tmp_path / "done"}
    if {"CUT", "DONE", "done"} & set(words):
        assert run_here(["train", *small_run, "--runs", str(tmp_path), "--name", "done"]) == 0
    if "CUT" in words:
        _truncated(tmp_path / "done")
    capsys.readouterr()
    before = _tree(tmp_path)
    filled = [part for word in words for part in (small_run if word == "SMALL" else [str(places.get(word, word))])]
    runs = [] if "--runs" in words or words[0] not in ("train", "evaluate") else ["--runs", str(tmp_path)]
    assert run_here([*filled, *runs]) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert said in err
    assert all(line.startswith("error: ") for line in err.splitlines())
    assert len(err.splitlines()) <= 2  # `--epocs 3` is two words that say nothing
    assert _tree(tmp_path) == before


@pytest.mark.parametrize("beside", [None, "folder", "file", "checkpoint"])
def test_a_run_is_found_by_name_whatever_else_is_called_so_here(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, beside: str | None
) -> None:
    """Before: any file or folder of that name hid the run."""
    monkeypatch.chdir(tmp_path)
    run, here = Path("runs", "z"), Path("z")
    run.mkdir(parents=True)
    (run / "checkpoint.pt").touch()
    if beside in ("folder", "checkpoint"):
        here.mkdir()
    if beside == "file":
        here.touch()
    if beside == "checkpoint":
        (here / "checkpoint.pt").touch()
    assert run_folder(Path("z"), Path("runs")) == (here if beside == "checkpoint" else run)


def test_a_checkpoint_is_a_file_that_no_run_is_called_after(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("z", "z.pt"):
        Path(name).touch()
        assert run_folder(Path(name), Path("runs")) == Path(name)
    Path("runs", "z.pt").mkdir(parents=True)
    Path("runs", "z.pt", "checkpoint.pt").touch()
    assert run_folder(Path("z.pt"), Path("runs")) == Path("z.pt")


def _tree(folder: Path) -> set[Path]:
    return set(folder.rglob("*"))


@pytest.mark.skipif(os.geteuid() != 0 or sys.platform != "linux", reason="mounting a small disk takes root on Linux")
def test_a_full_disk_is_one_clear_line_and_no_half_file(tmp_path: Path, small_run: list[str]) -> None:
    disk = tmp_path / "disk"
    disk.mkdir()
    if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", str(disk)], capture_output=True).returncode:
        pytest.skip("this sandbox does not let root mount a tmpfs")
    try:
        words = [*small_run, "model.width=8", "--runs", str(disk), "--name", "a"]
        console = tmp_path / "console"
        console.touch()
        ended = start(["train", *words], [os.devnull, os.devnull, str(console)])
        ended.join(300)
        left = {path.name for path in (disk / "a").iterdir()}
    finally:
        subprocess.run(["umount", str(disk)], check=True)
    said = console.read_text()
    errors = [line for line in said.splitlines() if line.startswith("error: ")]
    assert ended.exitcode == 2, said
    assert len(errors) == 1 and "No space left on device" in errors[0]
    assert "Traceback" not in said
    assert "checkpoint.pt" not in left and not any(name.endswith(".part") for name in left)


def test_a_dry_run_shows_the_size_and_trains_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    assert run_here(["train", "--model", "fastresnet9", "--dry-run", "--json"]) == 0
    plan = json.loads(capsys.readouterr().out)
    assert plan["model/parameters"] == 6_573_849
    assert plan["memory/images"] == 50_000 * 2 * 40 * 40 * 3
    assert plan["config"]["train"]["batch_size"] == 512
    assert _tree(tmp_path) == set()


def test_a_dry_run_has_no_batch_of_more_images_than_there_are(capsys: pytest.CaptureFixture[str]) -> None:
    plans: list[dict[str, int]] = []
    for size in ("50000", "99999999999999999999999"):
        assert run_here(["train", "--model", "lenet5", "--dry-run", "--json", "--batch-size", size]) == 0
        plans.append(json.loads(capsys.readouterr().out))
    assert plans[0]["memory/total"] == plans[1]["memory/total"]


def test_previews_write_what_they_say(tmp_path: Path, image_folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    data = ["data.name=folder", f"data.root={image_folder}", "data.image_size=8"]
    plain, changed, curve = (tmp_path / name for name in ("plain.png", "changed.png", "curve.svg"))
    assert run_here(["preview", "data", *data, "--out", str(plain)]) == 0
    assert run_here(["preview", "data", *data, "augment.erasing.name=cutout", "--out", str(changed)]) == 0
    words = ["preview", "schedule", *data, "schedule.name=one_cycle", "--epochs", "3", "--out", str(curve)]
    assert run_here(words) == 0
    assert capsys.readouterr().out.split() == [str(plain), str(changed), str(curve)]
    assert plain.read_bytes() != changed.read_bytes()
    assert "one_cycle, 3 epochs" in curve.read_text()


def test_a_headline_chosen_on_the_test_set_is_called_so(
    tmp_path: Path, small_run: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert run_here(["train", *small_run, "protocol=best_test", "--runs", str(tmp_path)]) == 0
    assert "headline, of the best epoch: a choice made on the test set" in capsys.readouterr().out


def test_models_shows_sizes_and_one_network_s_arguments_and_layers(capsys: pytest.CaptureFixture[str]) -> None:
    assert run_here(["models", "--json"]) == 0
    found = {row["name"]: row for row in json.loads(capsys.readouterr().out)}
    assert (found["basic_cnn"]["parameters"], found["basic_cnn"]["published"]) == (1_147_466, "1,147,466")
    assert run_here(["models", "simp_res9"]) == 0
    shown = capsys.readouterr().out
    assert "model.stem" in shown and "AdaptiveAvgPool2d" in shown
    assert run_here(["models", "simp_res8"]) == 2
    assert "did you mean 'simp_res9'?" in capsys.readouterr().err
