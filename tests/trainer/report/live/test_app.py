"""What the server of a page answers, and what it refuses."""

from pathlib import Path

import pytest
from PIL import Image
from starlette.testclient import TestClient

from trainer.report.live.app import HEADERS, application, read_picture
from trainer.report.live.keeper import Keeper
from trainer.report.sources import Source

HOST = {"Host": "127.0.0.1:8321"}


@pytest.fixture
def folder(write_schedules) -> Path:
    found = write_schedules({"cosine": [0.9, 0.91]})
    picture = found / "cosine-s0" / "inspect" / "grad_cam.png"
    picture.parent.mkdir()
    Image.new("RGB", (8, 8)).save(picture)
    return found


@pytest.fixture
def client(folder: Path) -> TestClient:
    keeper = Keeper(Source(folder))
    return TestClient(application(keeper, ["127.0.0.1", "localhost"]), base_url="http://127.0.0.1:8321")


def test_the_page_and_all_that_it_names_are_served(client: TestClient) -> None:
    page = client.get("/")
    assert page.status_code == 200 and "2 of 30 points are done" in page.text
    for name, kind in {
        "vega.js": "text/javascript",
        "page.js": "text/javascript",
        "live.js": "text/javascript",
        "results.json": "application/json",
        "results.csv": "text/csv",
        "pictures/cosine-s0/grad_cam.png": "image/png",
    }.items():
        answer = client.get(f"/{name}")
        assert answer.status_code == 200 and answer.headers["content-type"].startswith(kind)
        assert name in page.text


@pytest.mark.parametrize("path", ["/", "/results.json", "/results.csv"])
def test_whoever_reads_only_one_of_them_has_it_kept_up_to_date(folder: Path, path: str) -> None:
    """Before: a program that reads results.json alone got the first one for ever."""
    keeper = Keeper(Source(folder))
    asked: list[str] = []
    keeper.ask = lambda: asked.append(path)
    TestClient(application(keeper, ["127.0.0.1"]), base_url="http://127.0.0.1:8321").get(path)
    assert asked == [path]


def test_what_the_browser_has_is_not_sent_again(client: TestClient) -> None:
    for path in ("/", "/vega.js", "/pictures/cosine-s0/grad_cam.png"):
        tag = client.get(path).headers["etag"]
        for known in (tag, f'W/{tag}, "other"'):
            again = client.get(path, headers={"If-None-Match": known})
            assert (again.status_code, again.content, again.headers["etag"]) == (304, b"", tag)
        assert client.get(path, headers={"If-None-Match": '"other"'}).status_code == 200


@pytest.mark.parametrize("host", ["evil.example", "127.0.0.1.evil.example", "evil.example:8321", "", "[::2]", "a@b:c"])
def test_a_foreign_host_gets_nothing(client: TestClient, host: str) -> None:
    answer = client.get("/", headers={"Host": host})
    assert answer.status_code == 400 and "points" not in answer.text


@pytest.mark.parametrize(
    "path",
    [
        "/config.yaml",
        "/cosine-s0/config.yaml",
        "/lr_scheduler.yaml",
        "/ledger.db",
        "/pictures/cosine-s0/config.yaml",
        "/pictures/cosine-s0/inspect.json",
        "/pictures/cosine-s1/grad_cam.png",
        "/pictures/../lr_scheduler.yaml",
        "/pictures/cosine-s0/..%2fconfig.yaml",
        "/pictures/..%2f..%2f..%2fetc/passwd",
        "/pictures/%2e%2e/%2e%2e/etc/passwd",
        "/pictures/cosine-s0/%00grad_cam.png",
        "/pictures/cosine-s0/grad_cam.png%00.html",
        "/..%5c..%5cetc/passwd",
        "//etc/passwd",
        "/pictures//etc/passwd",
        "/page.css",
        "/nothing",
    ],
)
def test_no_other_file_is_served(client: TestClient, path: str) -> None:
    answer = client.get(path)
    assert (answer.status_code, answer.text) == (404, "Not Found")


@pytest.mark.parametrize("path", ["/", "/nothing", "/vega.js"])
def test_every_answer_has_the_headers(client: TestClient, path: str) -> None:
    for answer in (client.get(path), client.get(path, headers={"Host": "evil.example"})):
        assert HEADERS.items() <= {name: answer.headers.get(name) for name in HEADERS}.items()


def test_nothing_can_be_sent(client: TestClient) -> None:
    for method in ("POST", "PUT", "DELETE", "OPTIONS", "TRACE"):
        assert client.request(method, "/").status_code == 405


def test_only_a_png_inside_of_its_run_is_a_picture(folder: Path, tmp_path: Path) -> None:
    inside = folder / "cosine-s0" / "inspect"
    secret = tmp_path / "secret.png"
    Image.new("RGB", (8, 8)).save(secret)
    assert read_picture(inside / "grad_cam.png", folder) is not None
    (inside / "link.png").symlink_to(secret)
    (inside / "text.png").write_text("a text")
    (inside / "folder.png").mkdir()
    (folder / "cosine-s1" / "inspect").symlink_to(inside)
    (folder / "linked").symlink_to(folder / "cosine-s0")
    for path in (inside / "link.png", inside / "text.png", inside / "folder.png", inside / "gone.png",
                 folder / "cosine-s1" / "inspect" / "grad_cam.png", folder / "linked" / "inspect" / "grad_cam.png",
                 secret):  # fmt: skip
        assert read_picture(path, folder) is None


def test_runs_may_lie_behind_a_link(folder: Path, tmp_path: Path) -> None:
    """Folders of runs are often links to a larger disk."""
    (tmp_path / "elsewhere").symlink_to(folder)
    there = tmp_path / "elsewhere"
    assert read_picture(there / "cosine-s0" / "inspect" / "grad_cam.png", there) is not None
