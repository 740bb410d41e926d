"""Archives of runs: nothing that a report reads is lost, no order of merging shows, and damage is named."""

import gzip
import json
import random
import re
from collections.abc import Callable, Sequence
from importlib import resources
from itertools import permutations
from pathlib import Path
from shutil import rmtree
from threading import Thread

import pytest
from command_line import run_here

from trainer.files import alone_in
from trainer.report.pack import pack as pack_archives
from trainer.report.pages.export import as_csv, as_json_text
from trainer.report.pages.index import catalogue
from trainer.report.pages.write import write_report
from trainer.report.tables import read_table, read_tables
from trainer.runs.archive import read_archive
from trainer.runs.bits import pack_bits
from trainer.runs.outcomes import BAND_KEYS, STANDARD, read_outcome
from trainer.runs.results import read_result

SWEEP = """# Which rate is best?
method: grid
metric: {name: test/accuracy, goal: maximize}
command: ["${env}", trainer, train, "${args_no_hyphens}"]
parameters:
  optimizer.lr: {values: [0.01, 0.02, 0.03, 0.04, 0.05]}
  seed: {values: [SEEDS]}
"""


def measured(run: Path, *, draw: random.Random, epochs: int = 2, images: int = 100) -> Path:
    """Give a run figures of full length, rows of steps, a confusion matrix and its correct images."""
    rows: list[dict[str, float | None]] = []
    for epoch in range(1, epochs + 1):
        steps = {"runs/grad_cosine": draw.random(), "runs/lipschitz": 20 * draw.random()}
        rows += [{"epoch": epoch - 0.5, "step": 100 * epoch - 50, "train/loss": draw.random(), **steps}]
        keys = ("train/loss", "train/accuracy", "val/loss", "val/accuracy", "test/loss", "test/accuracy",
                "test/accuracy_best", "optimizer/lr", "time/train_seconds", "time/images_per_second")  # fmt: skip
        rows += [{"epoch": float(epoch), "step": 100 * epoch, **{key: draw.random() for key in keys}}]
    (run / "metrics.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    counts = [[draw.randrange(images) for _ in range(10)] for _ in range(10)]
    correct = pack_bits([draw.random() < 0.93 for _ in range(images)])
    names = ["plane", "car", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck"]
    (run / "confusion.json").write_text(json.dumps({"counts": counts, "classes": names, "correct": correct}))
    return run


@pytest.fixture
def sweep_of(tmp_path: Path, write_run) -> Callable[..., Path]:
    """`sweep_of(count)`: the folder of a sweep with that many runs of five rates, some of which did not finish."""

    def make(count: int, *, epochs: int = 2, images: int = 100, place: str = "runs") -> Path:
        draw = random.Random(count)
        folder = tmp_path / place / "rates"
        folder.mkdir(parents=True)
        (folder / "rates.yaml").write_text(SWEEP.replace("SEEDS", ", ".join(map(str, range(-(-count // 5))))))
        for number in range(count):
            rate, seed = (number % 5 + 1) / 100, number // 5
            status = {7: "diverged", 8: "running", 9: "interrupted"}.get(number, "finished")
            words = [f"optimizer.lr={rate}", f"seed={seed}"]
            accuracy = 0.5 + rate + 0.1 * draw.random()
            run = write_run(folder / f"{rate}-s{seed}", words, accuracy=accuracy, status=status, seconds=draw.random())
            measured(run, draw=draw, epochs=epochs, images=images)
        return folder

    return make


def pack(*targets: Path, to: Path) -> int:
    return run_here(["report", "pack", *map(str, targets), "--to", str(to)])


def lines_of(archive: Path) -> list[str]:
    return gzip.decompress(archive.read_bytes()).decode().splitlines(keepends=True)


def write_lines(archive: Path, lines: Sequence[str]) -> Path:
    archive.parent.mkdir(parents=True, exist_ok=True)
    archive.write_bytes(gzip.compress("".join(lines).encode(), mtime=0))
    return archive


@pytest.mark.parametrize("count", [50, pytest.param(500, marks=pytest.mark.slow)])
def test_many_runs_give_the_same_report_from_their_archive(sweep_of, tmp_path: Path, count: int) -> None:
    folder = sweep_of(count)
    archive = tmp_path / "rates.jsonl.gz"
    assert pack(folder, to=archive) == 0
    there, back = read_table(folder), read_table(archive)
    assert len(there.runs) > 0.98 * count
    assert any("lipschitz" in run.values and "gradient_cosine" in run.values for run in back.runs)
    assert as_json_text(back) == as_json_text(there)
    assert as_csv(back) == as_csv(there)


def test_the_pages_and_pictures_of_an_archive_are_those_of_the_folder(sweep_of, tmp_path: Path) -> None:
    folder = sweep_of(15)
    archive = tmp_path / "rates.jsonl.gz"
    pack(folder, to=archive)
    for from_folder, from_archive in zip(
        write_report(read_table(folder), tmp_path / "a"), write_report(read_table(archive), tmp_path / "b"), strict=True
    ):
        assert from_archive.read_bytes() == from_folder.read_bytes(), from_folder.name


def test_a_run_of_25_epochs_and_10000_test_images_takes_less_than_5_kb(sweep_of, tmp_path: Path) -> None:
    archive = tmp_path / "rates.jsonl.gz"
    pack(sweep_of(20, epochs=25, images=10_000), to=archive)
    assert archive.stat().st_size / 20 < 5000


@pytest.mark.parametrize("asked", ["runs/grad_cosine/mean@late", "runs/lipschitz/min", "runs/lipschitz/width"])
def test_what_a_sweep_asks_is_kept(asked: str, sweep_of, tmp_path: Path) -> None:
    """Before: only what every page shows. So `--have` ran it all again, and a page had no answer."""
    folder, archive = sweep_of(3), tmp_path / "rates.jsonl.gz"
    pack(folder, to=archive)
    (folder / "rates.yaml").write_text(
        SWEEP.replace("SEEDS", "0").replace("method", f"# Outcome: {asked}, lower\nmethod")
    )
    assert pack(folder, to=archive) == 0  # the richer state of each run replaces what was there
    outcome, kept = read_outcome(asked), [entry.result for entry in read_archive(archive).entries]
    assert len(kept) == 3
    assert all(result.answers(outcome) for result in kept)
    assert pack(folder / kept[0].name, to=archive) == 0  # a run alone does not know what is asked, and the archive does
    (folder / "rates.yaml").write_text(
        SWEEP.replace("SEEDS", "0").replace("method", "# Outcome: runs/beta/max, lower\nmethod")
    )
    assert pack(folder, to=archive) == 0
    assert all(entry.result.answers(outcome) for entry in read_archive(archive).entries)
    if not outcome.over_rates:
        (first, *_) = [read_result(folder / result.name) for result in kept]
        assert kept[0].measures[asked] == outcome.of_run(first.traces)


def test_an_archive_keeps_every_measure_of_a_run_that_a_conclusion_is_about() -> None:
    """Before: the variance of the gradient was lost, and the conclusion about it undecided for ever."""
    text = resources.files("trainer").joinpath("published.yaml").read_text(encoding="utf-8")
    named = {read_outcome(name) for name in re.findall(r"(?:above_)?measure: ([a-z_]+/[\w/@-]+)", text)}
    assert len(named) > 10
    lost = [
        each.name for each in named if each.name not in STANDARD and not (each.over_rates and each.key in BAND_KEYS)
    ]
    assert not lost


def test_no_order_of_merging_shows_in_the_bytes(sweep_of, tmp_path: Path) -> None:
    pack(sweep_of(12), to=tmp_path / "whole" / "rates.jsonl.gz")
    header, *lines = lines_of(tmp_path / "whole" / "rates.jsonl.gz")
    parts = [
        write_lines(tmp_path / f"part{n}" / "rates.jsonl.gz", [header, *lines[n::3], lines[0]][: 5 + n])
        for n in range(3)
    ]
    write_lines(parts[1], [header, *lines[2:9]])
    found = set[bytes]()
    for number, order in enumerate(permutations(parts)):
        to = tmp_path / f"order{number}" / "rates.jsonl.gz"
        for part in order:
            assert pack(part, to=to) == 0
        assert pack(*order, tmp_path / "runs" / "rates", to=to) == 0
        before = to.stat().st_mtime_ns
        assert pack(to, *parts, to=to) == 0
        assert to.stat().st_mtime_ns == before  # nothing new, so nothing was written
        found.add(to.read_bytes())
    assert found == {(tmp_path / "whole" / "rates.jsonl.gz").read_bytes()}


def test_two_that_pack_at_once_both_keep_their_runs(sweep_of, tmp_path: Path) -> None:
    pack(sweep_of(6), to=tmp_path / "theirs" / "rates.jsonl.gz")
    header, *lines = lines_of(tmp_path / "theirs" / "rates.jsonl.gz")
    mine = write_lines(tmp_path / "mine" / "rates.jsonl.gz", [header, *lines[:2]])
    to = write_lines(tmp_path / "both" / "rates.jsonl.gz", [header, lines[2]])
    with alone_in(to.parent):
        packing = Thread(target=pack_archives, args=([str(mine)], to, tmp_path))
        packing.start()
        packing.join(0.5)  # it waits, however long
        assert packing.is_alive()
        write_lines(to, [header, *lines[2:]])  # as another process does that packs at the same time
    packing.join()
    assert sorted(lines_of(to)) == sorted([header, *lines])


def test_a_later_state_of_a_run_replaces_an_earlier_one_in_any_order(sweep_of, tmp_path: Path) -> None:
    folder = sweep_of(10)
    early, late = tmp_path / "early" / "rates.jsonl.gz", tmp_path / "late" / "rates.jsonl.gz"
    pack(folder, to=early)
    unfinished = folder / "0.05-s1"  # interrupted, and now continued
    rows = (unfinished / "metrics.jsonl").read_text().splitlines()
    more = {**json.loads(rows[-1]), "epoch": 3.0, "step": 300}
    (unfinished / "metrics.jsonl").write_text("\n".join([*rows, json.dumps(more)]) + "\n")
    for name in ("summary.json", "run.json"):
        content = json.loads((unfinished / name).read_text())
        (unfinished / name).write_text(json.dumps({**content, "status": "finished"}))
    pack(folder, to=late)
    both, turned = tmp_path / "both" / "rates.jsonl.gz", tmp_path / "turned" / "rates.jsonl.gz"
    pack(early, late, to=both)
    pack(late, early, to=turned)
    assert both.read_bytes() == turned.read_bytes() == late.read_bytes()
    assert len(lines_of(late)) == 11


def test_two_results_of_one_config_and_seed_are_told_and_the_same_one_counts(
    sweep_of, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = sweep_of(5)
    run = folder / "0.01-s0"
    here, there = tmp_path / "here" / "rates.jsonl.gz", tmp_path / "there" / "rates.jsonl.gz"
    pack(folder, to=here)
    provenance = json.loads((run / "run.json").read_text())
    (run / "run.json").write_text(json.dumps({**provenance, "started": "2025-01-01T00:00:00+00:00", "device": "H100"}))
    measured(run, draw=random.Random(99))
    pack(folder, to=there)
    capsys.readouterr()
    tables = []
    for number, order in enumerate(((here, there), (there, here))):
        to = tmp_path / str(number) / "rates.jsonl.gz"
        assert pack(*order, to=to) == 0
        (said,) = [line for line in capsys.readouterr().err.splitlines() if line.startswith("warning: ")]
        assert "on H100" in said and "on a test" in said and "has two results" in said
        tables.append(read_table(to))
    tables.append(read_tables([str(folder), str(here)], tmp_path / "runs")[0])
    for table in tables:
        (told,) = [problem for problem in table.problems if problem.kind == "repeated seed"]
        assert "with other figures" in told.message and "on H100" in told.message and "on a test" in told.message
        (counts,) = next(each.runs for each in table.configurations if each.label == "lr=0.01")
        assert counts.provenance["device"] == "H100"  # of one name, it started first


def test_a_run_in_a_folder_and_in_an_archive_counts_once(sweep_of, tmp_path: Path) -> None:
    folder = sweep_of(10)
    archive = tmp_path / "docs/results/runs/rates.jsonl.gz"
    pack(folder, to=archive)
    alone = as_json_text(read_table(archive))
    assert as_json_text(read_tables([str(folder), str(archive)], tmp_path / "runs")[0]) == alone
    for run in list(folder.glob("*-s0")):
        run.rename(tmp_path / run.name)  # these are in the archive only
    (table,) = read_tables(["rates"], tmp_path / "runs", archive.parent)
    assert len(table.runs) == 10
    assert len(read_table(folder).runs) == 5


def test_the_catalogue_reads_archives_beside_folders(write_schedules, tmp_path: Path) -> None:
    folder = write_schedules({"cosine": [0.91, 0.92, 0.93], "step": [0.89, 0.9, 0.91]})
    archives = tmp_path / "docs/results/runs"
    pack(folder, to=archives / "lr_scheduler.jsonl.gz")
    for run in folder.glob("step-*"):
        run.rename(tmp_path / run.name)
    beside, packed = (
        {
            line.comparison.answer.name: (line.state, len(line.comparison.sample))
            for line in lines
            if line.sweep == folder.name
        }
        for lines in (catalogue(tmp_path / "runs", archives)[0], catalogue(tmp_path / "none", archives)[0])
    )
    assert beside == packed
    assert (packed["cosine"][1], packed["step"][1], packed["linear"]) == (3, 3, ("no runs", 0))
    assert run_here(["report", "index", "--runs", str(tmp_path / "runs"), "--out", str(tmp_path / "out")]) == 0
    assert (tmp_path / "out" / "claims.md").is_file()


def test_a_run_by_its_name_a_link_and_from_inside_is_one(
    write_run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = measured(write_run(tmp_path / "runs" / "a"), draw=random.Random(0))
    (tmp_path / "runs" / "latest").symlink_to("a")
    by_name, elsewhere = tmp_path / "one.jsonl.gz", tmp_path / "two.jsonl.gz"
    assert pack(run, to=by_name) == 0
    monkeypatch.chdir(run)
    for targets in (["."], ["../latest"], ["../latest", ".", run], [".."]):
        elsewhere.unlink(missing_ok=True)
        assert pack(*map(Path, targets), to=elsewhere) == 0
        assert lines_of(elsewhere) == lines_of(by_name)


def test_nothing_private_is_packed(write_run, tmp_path: Path) -> None:
    words = ["data.root=/home/ann/data", "sink.wandb.entity=anns-team"]
    run = write_run(tmp_path / "runs" / "one", words)
    content = json.loads((run / "run.json").read_text())
    typed = [*words, "api_key=k3y", "--runs", "/Users/ann/r", "--token", "t0k", "lr=1"]
    command = f"trainer train {' '.join(typed)}"
    more = {"command": command, "wandb": {"url": "https://wandb.ai/anns-team/p/runs/1"}, "host": "anns-laptop"}
    (run / "run.json").write_text(json.dumps({**content, **more, "resumed": [{**content, **more}]}))
    pack(run, to=tmp_path / "one.jsonl.gz")
    (text,) = lines_of(tmp_path / "one.jsonl.gz")[1:]
    assert not [word for word in ("anns", "/ann", "k3y", "t0k", "laptop", "wandb.ai") if word in text]
    assert json.loads(text)["provenance"]["command"] == "trainer train 'data.root=~/data' --runs '~/r' lr=1"


def test_what_cannot_be_packed_is_named_and_the_rest_is_packed(
    sweep_of, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = sweep_of(5)
    (folder / "0.01-s0" / "config.yaml").write_text("{")
    (folder / "0.02-s0" / "confusion.json").write_text('{"counts": [["many"]]}')
    assert pack(folder, to=tmp_path / "rates.jsonl.gz") == 0
    told = capsys.readouterr().err.splitlines()
    assert [line.partition(": ")[0] for line in told] == ["not packed"] * 2
    assert len(read_archive(tmp_path / "rates.jsonl.gz").entries) == 3
    assert pack(folder, to=tmp_path / "other.jsonl.gz") == 2  # the sweep is not called that
    assert pack(folder, to=tmp_path / "rates.zip") == 2


def changed(line: str, **keys: object) -> str:
    return json.dumps({**json.loads(line), **keys}) + "\n"


def without(line: str, key: str) -> str:
    return json.dumps({name: value for name, value in json.loads(line).items() if name != key}) + "\n"


def other_seed(line: str) -> str:
    return changed(line, config={**json.loads(line)["config"], "seed": 77})


Lines = list[str]
OF_LINES: dict[str, tuple[Callable[[Lines], Lines], str]] = {
    "no JSON": (lambda lines: [*lines[:2], "{oops\n", *lines[3:]], "line 3: not JSON"),
    "too deep": (lambda lines: [*lines[:2], "[" * 200_000 + "\n", *lines[3:]], "line 3: not JSON (nested too deeply)"),
    "another format": (lambda lines: [*lines[:2], changed(lines[2], format=4)], "line 3: format 4: this trainer reads"),
    "header of another format": (lambda lines: [changed(lines[0], format=9), *lines[1:]], "line 1: format 9"),
    "missing key": (lambda lines: [lines[0], without(lines[1], "summary"), *lines[2:]], "line 2: summary: missing"),
    "unknown key": (lambda lines: [*lines[:2], changed(lines[2], more=1)], "line 3: more: format 3 has no such key"),
    "hash": (lambda lines: [*lines[:2], other_seed(lines[2])], "does not fit its config"),
    "NaN": (lambda lines: [*lines[:2], lines[2].replace('"step":[100', '"step":[NaN')], "NaN is not"),
    "infinite": (lambda lines: [*lines[:2], changed(lines[2], measures={"x": 1}).replace("1}", "1e999}")], "1e999"),
    "duplicate": (lambda lines: [*lines, lines[1]], "the same run as in line 2"),
    "foreign": (lambda lines: [*lines[:2], '{"epoch": 1.0, "step": 8}\n'], "line 3: not a run of an archive"),
    "foreign header": (lambda lines: lines[1:], "line 1: not the header"),
    "a list": (lambda lines: [*lines, "[]\n"], "not a run of an archive"),
    "a word for a number": (
        lambda lines: [*lines[:2], changed(lines[2], rows={"epoch": ["one"]})],
        "line 3: rows.epoch",
    ),
    "columns": (lambda lines: [*lines[:2], changed(lines[2], rows={"epoch": [1], "step": []})], "different lengths"),
    "epoch": (
        lambda lines: [*lines[:2], changed(lines[2], rows={"epoch": [None], "step": [1]})],
        "line 3: metrics.jsonl",
    ),
    "correct images": (lambda lines: [*lines[:2], changed(lines[2], correct="9:AA==")], "line 3: correct: 1 bytes"),
    "a path for a name": (lambda lines: [*lines[:2], changed(lines[2], name="../x")], "line 3: name"),
    "cut in a line": (lambda lines: [*lines, lines[1][:50]], "it has no end"),
}
OF_BYTES: dict[str, tuple[Callable[[bytes], bytes], str]] = {
    "truncated": (lambda body: body[: len(body) // 2], "truncated"),
    "not gzip": (lambda body: gzip.decompress(body), "line 1: not gzip"),
    "empty": (lambda body: b"", "line 1: the file is empty"),
    "nothing packed": (lambda body: gzip.compress(b""), "line 1: no header"),
    "a flipped bit": (lambda body: body[:-6] + bytes([body[-6] ^ 1]) + body[-5:], "damaged here or before"),
    "two of them": (lambda body: body + body, "more data after the end"),
    "not UTF-8": (lambda body: gzip.compress(gzip.decompress(body).replace(b"a test", b"a t\xffst", 1)), "not UTF-8"),
}


@pytest.mark.parametrize("kind", [*OF_LINES, *OF_BYTES])
def test_damage_is_named_in_one_line_and_nothing_is_lost(
    kind: str, sweep_of, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = sweep_of(3)
    archive = tmp_path / "docs/results/runs/rates.jsonl.gz"
    pack(folder, to=archive)
    if kind in OF_LINES:
        damage, said = OF_LINES[kind]
        write_lines(archive, damage(lines_of(archive)))
    else:
        spoil, said = OF_BYTES[kind]
        archive.write_bytes(spoil(archive.read_bytes()))
    body = archive.read_bytes()
    capsys.readouterr()
    commands = [
        ["report", "pack", str(folder), "--to", str(archive)],
        ["report", "pack", str(archive), "--to", str(tmp_path / "new" / "rates.jsonl.gz")],
        ["report", str(archive), "--out", str(tmp_path / "out")],
        ["report", "rates", "--runs", str(tmp_path / "runs"), "--out", str(tmp_path / "out")],
    ]
    for command in commands:
        assert run_here(command) == 2
        (line,) = capsys.readouterr().err.splitlines()
        assert line.startswith(f"error: {archive}: line ") and said in line
    assert archive.read_bytes() == body
    assert not (tmp_path / "new").exists() and not (tmp_path / "out").exists()
    assert len(list(folder.glob("*/config.yaml"))) == 3


def test_every_damaged_line_is_named(sweep_of, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    archive = tmp_path / "rates.jsonl.gz"
    pack(sweep_of(5), to=archive)
    lines = lines_of(archive)
    write_lines(archive, [lines[0], "{\n", lines[2], "[1]\n", *lines[4:]])
    capsys.readouterr()
    assert run_here(["report", str(archive)]) == 2
    told = capsys.readouterr().err.splitlines()
    assert [line.split(": ")[2] for line in told] == ["line 2", "line 4"]


@pytest.mark.parametrize("home", ["of the reader", "of another"])
@pytest.mark.parametrize("asked", ["by the sweep's file", "by nobody"])
def test_a_run_on_files_in_a_home_directory_is_the_same_in_a_folder_and_an_archive(
    write_run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, asked: str, home: str
) -> None:
    """Before: an archive has `~/cats` for `/home/ann/cats`, so its seeds were of another configuration."""
    monkeypatch.setenv("HOME", "/home/ann" if home == "of the reader" else "/home/bob")
    folder, archives = tmp_path / "runs" / "rates", tmp_path / "archives"
    (tmp_path / "cats.py").write_text("def images(root: str = 'a'):\n    ...\n")
    for animal, accuracy in (("cats", 0.6), ("dogs", 0.7)):
        for seed in (0, 1):
            words = [f"data.name={tmp_path}/cats.py:images", f"data.root=/home/ann/{animal}", f"seed={seed}"]
            write_run(folder / f"{animal}-s{seed}", words, accuracy=accuracy + 0.01 * seed)
    if asked == "by the sweep's file":
        rates = "  optimizer.lr: {values: [0.01, 0.02, 0.03, 0.04, 0.05]}"
        animals = f"  data.name: {{value: {tmp_path}/cats.py:images}}\n"
        animals += "  data.root: {values: [/home/ann/cats, /home/ann/dogs]}"
        (folder / "rates.yaml").write_text(SWEEP.replace("SEEDS", "0, 1").replace(rates, animals))
    assert pack(folder, to=archives / "rates.jsonl.gz") == 0
    alone = read_table(folder)
    for animal in ("cats", "dogs"):
        rmtree(folder / f"{animal}-s0")
    (both,) = read_tables(["rates"], folder.parent, archives)
    assert (
        [len(each.runs) for each in both.configurations] == [len(each.runs) for each in alone.configurations] == [2, 2]
    )
    assert not both.problems and not alone.problems
