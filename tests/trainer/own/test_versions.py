"""Two versions of a text are never mixed: in a config's hash, at a resume, in a report, in a sweep."""

from dataclasses import replace
from pathlib import Path

import pytest
from command_line import run_here
from own_parts import NET, SMALL, TINY, load, problems

from trainer.config import load_config
from trainer.errors import CheckpointError, ConfigError, SweepError
from trainer.own import parts as own
from trainer.own import source
from trainer.own.source import Source, find, hash_of
from trainer.runs.folder import config_hash, read_config
from trainer.runs.groups import grouped
from trainer.runs.have import runs_in_archives
from trainer.runs.history import read_history
from trainer.sweep.check import check
from trainer.sweep.file import parse_sweep
from trainer.sweep.own_parts import held, keep_texts, pins
from trainer.training.network_arguments import complete_parts
from trainer.training.run import resume_run, start_run
from trainer.training.trained import evaluate_trained


def test_a_byte_order_mark_is_no_part_of_a_text(here: Path) -> None:
    (here / "nets.py").write_text(NET, encoding="utf-8-sig")
    assert load("model.name=nets.py:Net").model.arguments["code"] == hash_of(NET)


def test_runs_without_own_parts_keep_the_hash_that_they_had_before_there_were_any() -> None:
    """Reckoned by the trainer before. The new key `augment.extra.name` is not in it."""
    assert config_hash(load_config(["model.name=lenet5"], complete=complete_parts).config) == "3f7dbf53"


def test_a_changed_file_is_refused_on_resume_by_name_and_one_that_is_gone_is_taken_from_the_run(here: Path) -> None:
    (here / "nets.py").write_text(NET)
    config = load("model.name=nets.py:Net", "train.epochs=3", "train.max_steps=2")
    folder = start_run(config, name="a").folder
    (folder / "summary.json").unlink()  # as of a run that was killed
    (here / "nets.py").write_text(NET.replace("mean((2, 3))", "amax((2, 3))"))
    with pytest.raises(CheckpointError, match=r"nets.py has changed since this run began: .*runs/a/own/nets.py"):
        resume_run(folder)
    expected = evaluate_trained(folder)  # looks at the run with the run's own text
    (here / "nets.py").unlink()
    assert resume_run(folder).status == "finished"
    assert evaluate_trained(folder) == expected


def test_a_label_names_the_hash_only_if_two_versions_meet(here: Path) -> None:
    for name, text in (("a", NET), ("b", NET + "# 2\n")):
        (here / "nets.py").write_text(text)
        start_run(load("model.name=nets.py:Net", "train.max_steps=1"), name=name)
    start_run(load(*SMALL, "train.max_steps=1"), name="c")
    a, b, c = (read_history(Path("runs") / name) for name in "abc")
    assert list(grouped([a, c])) == ["nets.py:Net", "fastresnet9"]
    hashes = [hash_of(NET), hash_of(NET + "# 2\n")]
    assert list(grouped([a, b])) == [f"nets.py:Net, code={each}" for each in hashes]


SWEEP = """
method: grid
parameters:
  model.name: {values: ["nets.py:Net", resnet20]}
  data.name: {value: folder}
  data.root: {value: images}
"""


def test_the_points_of_a_sweep_are_held_to_the_text_it_began_with(here: Path) -> None:
    (here / "nets.py").write_text(NET)
    folder = here / "runs" / "s"
    sweep = held(parse_sweep(SWEEP, Path("s.yaml")), folder)
    entries = check(sweep).entries
    keep_texts(sweep, folder)
    assert [pins(entry.point, sweep) for entry in entries] == [[f"model.code={hash_of(NET)}"], []]
    for text in (f"{NET}\n", "def ("):
        (here / "nets.py").write_text(text)
        keep_texts(sweep, folder)  # before: its next round was refused, and a search ended without a word
        assert check(sweep).entries == entries
    (here / "nets.py").write_text(f"{NET}\n")
    with pytest.raises(SweepError, match=r"nets.py has changed since this sweep began: bring back .*/s/own/nets.py"):
        keep_texts(held(sweep, folder), folder)
    words = [*entries[0].point.overrides, *pins(entries[0].point, sweep)]
    assert run_here(["train", *TINY, *words, "--runs", "runs/s", "--name", "p"]) == 0  # as a child does
    assert (here / "runs" / "s" / "p" / "own" / "nets.py").read_text() == NET
    assert read_config(Path("runs/s/p")).model.arguments["code"] == hash_of(NET)


def test_a_run_of_a_part_in_a_home_directory_is_found_in_its_archive(
    here: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Before: an archive has its name with `~`, so `--have` ran it again."""
    monkeypatch.setenv("HOME", str(here))
    (here / "nets.py").write_text(NET)
    for number, name in enumerate((f"{here}/nets.py:Net", "~/nets.py:Net", f"{here}//nets.py:Net")):
        runs = here / f"runs{number}"
        assert run_here(["train", *TINY, f"model.name={name}", "--runs", str(runs), "--name", "p"]) == 0
        archive = here / f"{runs.name}.jsonl.gz"
        assert run_here(["report", "pack", str(runs), "--to", str(archive)]) == 0
        found = {run.hash for _, run in runs_in_archives([archive], ("finished",))}
        assert config_hash(read_config(runs / "p")) in found


def test_the_status_of_a_sweep_whose_file_is_gone_is_by_the_text_it_kept(here: Path) -> None:
    (here / "nets.py").write_text(NET)
    folder = here / "runs" / "s"
    sweep = held(parse_sweep(SWEEP, Path("s.yaml")), folder)
    keep_texts(sweep, folder)
    (here / "nets.py").unlink()
    assert check(held(parse_sweep(SWEEP, Path("s.yaml")), folder)).entries == check(sweep).entries
    (here / "nets.py").write_text("def (")
    assert check(held(parse_sweep(SWEEP, Path("s.yaml")), folder, as_begun=True)).entries == check(sweep).entries
    (here / "nets.py").unlink()
    with pytest.raises(SweepError, match=r"nets.py: no such file"):
        check(held(parse_sweep(SWEEP, Path("s.yaml")), here / "elsewhere"))


def test_the_home_of_nobody_is_one_line(here: Path) -> None:
    """Before: a traceback."""
    for name in ("~nobody-at-all/nets.py:Net", "~nets.py:Net"):
        (line,) = problems(f"model.name={name}")
        assert line.startswith(f"model.name: {name.partition(':')[0]}: ")


def test_a_text_whose_lines_end_as_on_windows_has_not_changed(here: Path) -> None:
    """Before: a module's was refused in the next round, since its copy was read with other line ends."""
    text = "def f(logits, targets):\r\n    return logits.sum(1)\r\n"
    module = Source("loss", "pkg.losses:f", "f", "pkg/losses.py", "pkg.losses", text, hash_of(text))
    sweep = replace(parse_sweep(SWEEP, Path("s.yaml")), texts=(module,))
    for _ in range(2):
        keep_texts(sweep, here / "runs" / "s")


def test_two_files_of_one_name_cannot_both_be_kept(here: Path) -> None:
    for folder in ("a", "b"):
        (here / folder).mkdir()
        (here / folder / "x.py").write_text(f"def {folder}(logits, targets): return logits.sum(1)\n")
    sources = [find("loss", "a/x.py:a"), find("loss", "b/x.py:b")]
    with pytest.raises(ConfigError, match=r"a/x.py has the same name and another text; rename one of them"):
        own.keep(sources, here)


def test_a_package_has_the_same_hash_while_an_editor_has_a_file_of_it_open(
    here: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Before: the link to nothing by which Emacs locks a file was a FileNotFoundError."""
    monkeypatch.syspath_prepend(here)
    (here / "edited").mkdir()
    (here / "edited" / "nets.py").write_text(NET)
    before = source._texts.__wrapped__("edited.nets", "edited")
    (here / "edited" / ".#nets.py").symlink_to("me@here.1")
    assert source._texts.__wrapped__("edited.nets", "edited") == before


def test_a_library_of_the_trainer_s_has_the_hash_of_its_release_whatever_the_build(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Its texts are 50 MB, and some differ between the builds for CPU and CUDA."""

    def hash_at(said: str) -> str:
        monkeypatch.setattr(source, "version", lambda package: said)
        source._texts.cache_clear()
        return source._texts("torch.optim.rprop", "torch")[1]

    try:
        assert hash_at("2.11.0+cpu") == hash_at("2.11.0+cu128") == hash_at("2.11.0") != hash_at("2.11.1")
    finally:
        source._texts.cache_clear()
