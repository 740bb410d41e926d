"""The page of a sweep, kept as bytes and made again when files change."""

import json
import os
import re
import shutil
from pathlib import Path

import pytest
from PIL import Image
from starlette.testclient import TestClient

from trainer.errors import CheckpointError
from trainer.report.live import keeper as module
from trainer.report.live import reading
from trainer.report.live.app import application
from trainer.report.live.keeper import Keeper
from trainer.report.pages.write import write_report
from trainer.report.sources import Source, source_to_watch
from trainer.report.tables import read_table


@pytest.fixture
def folder(write_schedules) -> Path:
    return write_schedules({"cosine": [0.9, 0.91]})


def test_the_page_is_made_again_when_a_run_ends(folder: Path, write_run) -> None:
    keeper = Keeper(Source(folder))
    before = keeper.version
    assert "2 of 30 points are done" in before.page.content.decode()
    assert not keeper.look() and keeper.version is before
    words = ["recipe=resnet18", "optimizer.lr=0.01", "train.epochs=25", "schedule.name=step", "model.act=relu"]
    write_run(folder / "step-s0", [*words, "seed=0"], accuracy=0.8)
    assert keeper.look()
    assert "3 of 30 points are done" in keeper.version.page.content.decode()
    assert keeper.version.page.tag != before.page.tag


def test_only_a_run_that_has_changed_is_read_again(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    keeper = Keeper(Source(folder))
    read: list[str] = []
    whole = reading.read_result
    monkeypatch.setattr(reading, "read_result", lambda path: read.append(path.name) or whole(path))
    with (folder / "cosine-s1" / "metrics.jsonl").open("a") as file:
        file.write(json.dumps({"epoch": 4.0, "step": 40, "test/accuracy": 0.92}) + "\n")
    keeper.look()
    assert read == ["cosine-s1"]


def test_a_page_that_cannot_be_made_leaves_the_last_one(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    said: list[str] = []
    keeper = Keeper(Source(folder), complain=said.append)
    before = keeper.version
    monkeypatch.setattr(module, "read_table_of", lambda *_: 1 / 0)
    for number in range(2):
        (folder / "cosine-s0" / "metrics.jsonl").write_text(" " * number)
        assert keeper.look()
    assert keeper.version is before and said == ["the page stays as it was: ZeroDivisionError: division by zero"]


def test_a_folder_that_is_briefly_away_leaves_the_last_page_and_the_next_look_makes_it_again(
    folder: Path,
) -> None:
    """Before: the thread that keeps the page ended at the first such look."""
    said: list[str] = []
    keeper = Keeper(Source(folder), complain=said.append)
    before = keeper.version
    away = folder.with_name("away")
    for _ in range(2):
        folder.rename(away)
        for _ in range(2):
            assert keeper.look() and keeper.version is before
        away.rename(folder)
        assert keeper.look() and not keeper.look()
        before = keeper.version
    assert ["cannot be read: No such file" in each for each in said] == [True, True]


def test_a_page_grows_old_without_a_change_of_files(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A controller that was killed changes no file, and its runs are no longer running."""
    keeper = Keeper(Source(folder))
    monkeypatch.setattr(module, "STALE_SECONDS", 0.0)
    tag = keeper.version.page.tag
    assert keeper.look() and keeper.version.page.tag == tag


def test_a_run_whose_name_is_not_utf8_has_its_pictures(folder: Path) -> None:
    """Before: no page, since an address cannot be made of such a name."""
    run = (folder / "cosine-s0").rename(folder / os.fsdecode(b"caf\xe9"))
    (run / "inspect").mkdir()
    Image.new("RGB", (8, 8)).save(run / "inspect" / "a b.png")
    keeper = Keeper(Source(folder))
    (address,) = re.findall(r'<img src="(pictures/[^"]*)"', keeper.version.page.content.decode())
    client = TestClient(application(keeper, ["127.0.0.1"]), base_url="http://127.0.0.1:8321")
    assert client.get(f"/{address}").headers["content-type"] == "image/png"


def test_what_is_private_is_on_no_page(folder: Path) -> None:
    origin = folder / "cosine-s0" / "run.json"
    content = json.loads(origin.read_text())
    secret = {"command": "trainer train api_key=swordfish seed=0", "node": {"name": "swordfish"}, "wandb": "swordfish"}
    origin.write_text(json.dumps({**content, **secret}))
    config = folder / "cosine-s0" / "config.yaml"
    text = config.read_text().replace("entity: null", "entity: swordfish")
    config.write_text(text.replace("root: data", "root: /home/ann/d"))
    assert "swordfish" in config.read_text() and "/home/ann" in config.read_text()
    version = Keeper(Source(folder)).version
    for body in (version.page, version.results, version.lines):
        assert b"swordfish" not in body.content and b"/home/ann" not in body.content


def test_the_page_is_the_written_one_with_a_section_on_top(folder: Path, tmp_path: Path) -> None:
    written = write_report(read_table(folder), tmp_path / "out")[0].read_text()
    served = Keeper(Source(folder)).version.page.content.decode()

    def sections(page: str) -> list[str]:
        return re.findall(r"<section.*?</section>", page, re.DOTALL)

    first, *rest = sections(served)
    assert 'id="progress"' in first and rest == sections(written)
    head = re.search(r"<header>.*?</header>", written, re.DOTALL)
    assert head and head[0] in served


def test_a_sweep_that_has_just_begun_has_a_page(folder: Path) -> None:
    for run in folder.glob("cosine-*"):
        shutil.rmtree(run)
    page = Keeper(source_to_watch("lr_scheduler", folder.parent, None)).version.page.content.decode()
    assert "0 of 30 points are done, 30 waiting" in page


def test_a_file_that_is_named_is_served_as_it_is_now(folder: Path, tmp_path: Path) -> None:
    """Before: the copy beside the runs was, whatever the file said."""
    file = tmp_path / "lr_scheduler.yaml"
    copy = (folder / "lr_scheduler.yaml").read_text()
    file.write_text(copy.replace("[0, 1, 2, 3, 4]", "[0, 1]"))
    said: list[str] = []
    keeper = Keeper(source_to_watch(str(file), folder.parent, None), complain=said.append)
    assert "2 of 12 points are done" in keeper.version.page.content.decode()
    file.write_text(copy.replace("[0, 1, 2, 3, 4]", "[0, 1, 2]"))
    assert keeper.look() and "2 of 18 points are done" in keeper.version.page.content.decode()
    file.write_text("method: [")
    assert keeper.look() and said[0].startswith(f"the page stays as it was: {file}: ")
    assert "2 of 18 points are done" in keeper.version.page.content.decode()
    for run in folder.glob("cosine-*"):
        shutil.rmtree(run)
    file.write_text(copy.replace("[0, 1, 2, 3, 4]", "[0, 1]"))
    page = Keeper(source_to_watch(str(file), folder.parent, None)).version.page.content.decode()
    assert "0 of 12 points are done" in page
    with pytest.raises(CheckpointError, match="no such file"):
        source_to_watch(str(tmp_path / "none" / "lr_scheduler.yaml"), folder.parent, None)


@pytest.mark.parametrize("target", ["nothing", "lr_scheduler/cosine-s0"])
def test_what_is_no_sweep_is_refused(folder: Path, target: str) -> None:
    with pytest.raises(CheckpointError):
        source_to_watch(str(folder.parent / target), folder.parent, None)
