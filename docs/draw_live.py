"""Photograph a served page during a real sweep, into docs/pictures/: `make live-pictures`.

Twelve points of LeNet-5 on the embedded images, two at a time. At the highest learning rate two of the
three seeds stay at chance, on one thread of an AMD EPYC. The browser is Debian's Chromium. It takes about four minutes.
"""

import io
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from PIL import Image
from playwright.sync_api import Page, sync_playwright

PICTURES = Path(__file__).parent / "pictures"
CHROMIUM = "/usr/bin/chromium"
SWEEP = """# Which learning rate suits LeNet-5 on the embedded images?
#
# Answers:  nothing published: it is the sweep of the pictures in docs/sweeps.md
# Margin:   1
project: cifar-sweeps-live
name: live
method: grid
metric: {name: test/accuracy, goal: maximize}
command: ["${env}", trainer, train, "${args_no_hyphens}"]
parameters:
  data.name: {value: shapes10}
  data.train_size: {value: 4000}
  model.name: {value: lenet5}
  model.act: {value: relu}
  train.epochs: {value: 8}
  train.batch_size: {value: 64}
  optimizer.lr: {values: [0.35, 0.15, 0.04, 0.01]}
  sink.wandb.mode: {value: disabled}
  seed: {values: [0, 1, 2]}
"""


def wait_until(page: Page, is_so: Callable[[int, int], bool], seconds: float = 900) -> None:
    """Wait until the page says so of (points done, points failed)."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        said = page.locator("#progress p").first.inner_text()
        done, failed = (re.search(pattern, said) for pattern in (r"^(\d+) of", r"(\d+) failed"))
        if is_so(int(done[1]) if done else 0, int(failed[1]) if failed else 0):
            return
        page.wait_for_timeout(500)
    raise TimeoutError(page.locator("#progress").inner_text())


def photograph(page: Page, name: str) -> None:
    """Write what the window shows as live-NAME.png, of few colours."""
    page.wait_for_function("!document.querySelector('.chart:not([data-drawn=yes])')")
    picture = Image.open(io.BytesIO(page.screenshot())).convert("RGB")
    small = picture.quantize(128, method=Image.Quantize.MEDIANCUT, dither=Image.Dither.NONE)
    small.save(PICTURES / f"live-{name}.png", optimize=True)


def main() -> None:
    with tempfile.TemporaryDirectory(prefix="live-") as place:
        home = Path(place)
        (home / "live.yaml").write_text(SWEEP, encoding="utf-8")
        trainer = [sys.executable, "-m", "trainer"]
        sweep = subprocess.Popen([*trainer, "sweep", "run", "live.yaml", "--jobs", "2"], cwd=home)
        while not (home / "runs/live/live.yaml").is_file():
            time.sleep(0.2)
        server = subprocess.Popen(
            [*trainer, "report", "live", "--serve", "--port", "0"], cwd=home, stderr=subprocess.PIPE, text=True
        )
        try:
            assert server.stderr
            address = server.stderr.readline().strip()
            with sync_playwright() as playwright:
                browser = playwright.chromium.launch(executable_path=CHROMIUM)
                page = browser.new_page(viewport={"width": 1280, "height": 1300})
                page.set_default_timeout(300_000)  # a busy machine is slow
                page.goto(address)
                curves = page.locator("#progress figure").first
                curves.wait_for()  # two epochs have ended
                photograph(page, "start")
                wait_until(page, lambda done, failed: done + failed >= 4)
                curves.wait_for()
                photograph(page, "middle")
                sweep.wait(timeout=1200)
                inspected = sorted((home / "runs/live").glob("0.04-s0-*"))[0]
                subprocess.run([*trainer, "inspect", str(inspected)], cwd=home, check=True, stdout=subprocess.DEVNULL)
                wait_until(page, lambda done, failed: done + failed == 12)
                photograph(page, "end")
                browser.close()
        finally:
            for process in (server, sweep):
                process.terminate()
                process.wait()


if __name__ == "__main__":
    main()
