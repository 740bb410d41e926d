"""The served page in Debian's Chromium: `make test-browser`. Playwright drives it and brings no browser of its own."""

import shutil
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import product
from pathlib import Path

import pytest
from axe_playwright_python.sync_playwright import Axe
from PIL import Image
from playwright.sync_api import Browser, ConsoleMessage, Page, Response, expect, sync_playwright

from trainer.report.live.keeper import Keeper
from trainer.report.live.serve import listen, names_of, server_of
from trainer.report.sources import Source

pytestmark = pytest.mark.browser

OF_THE_SWEEP = ["recipe=resnet18", "optimizer.lr=0.01", "train.epochs=25", "model.act=relu"]
GROUNDS = {"light": "rgb(255, 255, 255)", "dark": "rgb(17, 17, 17)"}
MEANS = {"reduce_on_plateau": 0.905, "step": 0.906, "cosine": 0.92, "constant": 0.90}


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    chromium = shutil.which("chromium")
    assert chromium, "needs Chromium: apt-get install chromium"
    with sync_playwright() as driver:
        launched = driver.chromium.launch(executable_path=chromium)
        yield launched
        launched.close()


@pytest.fixture
def folder(write_schedules) -> Path:
    """A sweep in the middle: verdicts, a diverged run, one that runs, pictures of a network."""
    found = write_schedules({name: [mean - 0.002, mean, mean + 0.002] for name, mean in MEANS.items()})
    summary = found / "constant-s2" / "summary.json"
    summary.write_text(summary.read_text().replace('"finished"', '"diverged"'))
    (found / "step-s2" / "summary.json").unlink()
    origin = found / "step-s2" / "run.json"
    origin.write_text(origin.read_text().replace('"finished"', '"running"'))
    pictures = found / "cosine-s0" / "inspect"
    pictures.mkdir()
    for name in ("grad_cam", "mistakes"):
        Image.new("RGB", (640, 480), "gray").save(pictures / f"{name}.png")
    return found


@contextmanager
def served(folder: Path) -> Iterator[str]:
    """Serve a folder in a thread, under the address that this yields."""
    keeper = Keeper(Source(folder))
    with listen("127.0.0.1", 0) as listening:
        server = server_of(keeper, names_of("127.0.0.1"))
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listening]})
        thread.start()
        keeper.start()
        try:
            yield f"http://127.0.0.1:{listening.getsockname()[1]}/"
        finally:
            server.should_exit = True
            thread.join()
            keeper.end()


@contextmanager
def opened(browser: Browser, address: str, **looks: object) -> Iterator[Page]:
    """Open a page, and see to it that nothing was complained about in its console when it is left."""
    complaints: list[str] = []

    def heard(message: ConsoleMessage) -> None:
        if message.type == "error":
            complaints.append(message.text)

    def answered(answer: Response) -> None:
        if answer.status >= 400 or not answer.url.startswith((address, "data:")):
            complaints.append(f"{answer.url}: {answer.status}")

    context = browser.new_context(**looks)  # pyright: ignore[reportArgumentType] - names are checked by Playwright
    page = context.new_page()
    page.on("console", heard)
    page.on("pageerror", lambda error: complaints.append(str(error)))
    page.on("response", answered)
    page.goto(address)
    all_drawn(page)
    yield page
    assert not complaints
    context.close()


def all_drawn(page: Page) -> None:
    page.wait_for_function(
        "document.querySelector('.chart') && !document.querySelector('.chart:not([data-drawn=yes])')"
    )


def test_it_loads_and_updates_itself_when_a_run_ends(browser: Browser, folder: Path, write_run: Callable) -> None:
    with served(folder) as address, opened(browser, address) as page:
        said = page.locator("#progress p").first
        expect(said).to_contain_text("10 of 30 points are done, 1 failed, 1 running")
        expect(page.get_by_role("status")).to_have_text("Live: this page updates itself.")
        expect(page.locator("#progress")).to_contain_text("a test")  # where it runs
        page.locator("summary", has_text="Every setting").click()
        table = page.locator("#every-configuration .scroll")
        table.focus()
        page.evaluate("scrollTo(0, 400)")
        write_run(folder / "linear-s0", [*OF_THE_SWEEP, "schedule.name=linear", "seed=0"], accuracy=0.91)
        expect(said).to_contain_text("11 of 30 points are done", timeout=20_000)
        expect(page.locator("#every-configuration")).to_contain_text("91.00 (n=1)")
        all_drawn(page)
        assert "linear (n=1)" in page.locator("#charts .chart").first.inner_text()
        expect(page.locator("details", has_text="Every setting")).to_have_attribute("open", "")
        expect(table).to_be_focused()
        assert page.evaluate("scrollY") == 400


def test_it_says_when_the_server_has_ended(browser: Browser, folder: Path) -> None:
    with served(folder) as address:
        context = browser.new_context()
        page = context.new_page()
        page.goto(address)
        expect(page.get_by_role("status")).to_have_text("Live: this page updates itself.")
    expect(page.get_by_role("status")).to_contain_text("The server has ended", timeout=20_000)
    context.close()


def test_every_region_is_reached_by_keyboard(browser: Browser, folder: Path) -> None:
    with served(folder) as address, opened(browser, address, viewport={"width": 1280, "height": 900}) as page:
        wanted = page.locator("[tabindex='0']:visible, summary:visible").count()
        reached = set[str]()
        for _ in range(wanted + 2):
            page.keyboard.press("Tab")
            reached.add(page.evaluate("document.activeElement.getAttribute('aria-label') ?? ''"))
        names = "all => all.map(each => each.getAttribute('aria-label'))"
        regions = page.locator("[tabindex='0']:visible").evaluate_all(names)
        assert wanted > 5 and set(regions) <= reached
        summary = page.locator("#pictures-of-the-networks summary")
        summary.focus()
        page.keyboard.press("Enter")
        picture = page.get_by_role("img", name="Grad cam of cosine-s0")
        expect(picture).to_be_visible()
        page.wait_for_function("document.querySelector('.pictures img').naturalWidth === 640")


def test_it_is_accessible_and_fits(browser: Browser, folder: Path) -> None:
    """Light and dark, on a telephone and on a desk, each time with everything unfolded."""
    with served(folder) as address, opened(browser, address) as page:
        for summary in page.locator("summary").all():
            summary.click()
        for scheme, width in product(GROUNDS, (400, 1280)):
            page.set_viewport_size({"width": width, "height": 900})
            page.emulate_media(color_scheme=scheme)  # pyright: ignore[reportArgumentType] - of GROUNDS
            all_drawn(page)
            assert page.evaluate("getComputedStyle(document.body).backgroundColor") == GROUNDS[scheme]
            assert page.evaluate("document.documentElement.scrollWidth") <= width, scheme
            found = Axe().run(page).response
            said = [(each["id"], [node["html"][:200] for node in each["nodes"]]) for each in found["violations"]]
            assert not said, (scheme, width)
            assert len(found["passes"]) > 15  # it has looked


def test_a_long_look_keeps_one_drawing_in_each_place(browser: Browser, folder: Path) -> None:
    """Vega leaves what it drew before in memory unless it is told."""
    with served(folder) as address, opened(browser, address) as page:
        for number in range(2):
            before = page.locator("#progress").inner_text()
            with (folder / "step-s2" / "metrics.jsonl").open("a") as file:
                file.write(f'{{"epoch": {4.0 + number}, "step": {40 + number}, "test/accuracy": 0.9}}\n')
            deadline = time.monotonic() + 20
            while page.locator("#progress").inner_text() == before and time.monotonic() < deadline:
                page.wait_for_timeout(100)
        all_drawn(page)
        assert page.evaluate("views.size") == page.locator(".chart").count()
        assert page.locator(".chart").evaluate_all("all => all.every(e => e.querySelectorAll('svg').length === 1)")
