"""Speed of a training while its page gets 1,000 requests a second: `python tests/serve_under_load.py [PAIRS]`.

A real sweep trains, and `trainer report --serve` serves its page. Windows with and without requests take turns, so that
a slow minute of a shared machine is in both. Each pair of neighbours gives a ratio of steps a second. The requests are
for the whole page, from h2load (Debian's package nghttp2-client) at the lowest priority: it stands for other machines.
"""

import re
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from statistics import median, quantiles

RATE = 1000  # requests a second
CLIENTS = 20
SECONDS = 8  # of a window
SWEEP = """# How fast is a training while its page is served?
project: cifar-sweeps-load
name: load
method: grid
command: ["${env}", trainer, train, "${args_no_hyphens}"]
parameters:
  data.name: {value: shapes10}
  model.name: {value: lenet5}
  train.epochs: {value: 1000}
  train.batch_size: {value: 64}
  train.log_every: {value: 1}
  sink.wandb.mode: {value: disabled}
  seed: {values: [0]}
"""


class Steps:
    """Counts the steps of a run by the rows of its metrics.jsonl."""

    def __init__(self, path: Path) -> None:
        self._file = path.open("rb")
        self._count = 0

    def rate(self, seconds: float) -> float:
        """Return steps a second from now on."""
        before, began = self._now(), time.monotonic()
        time.sleep(seconds)
        return (self._now() - before) / (time.monotonic() - began)

    def _now(self) -> int:
        self._count += self._file.read().count(b"\n")
        return self._count


def flooded(address: str, steps: Steps) -> tuple[float, float, int]:
    """Return (steps a second, answers a second, answers that were no page) of a window with requests."""
    asked = [f"--rps={RATE // CLIENTS}", f"--clients={CLIENTS}", f"--duration={SECONDS + 1}"]
    command = ["nice", "-n", "19", "h2load", "--h1", *asked, address]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as flood:
        time.sleep(0.5)
        rate = steps.rate(SECONDS)
        said = flood.communicate()[0]
    total, good = re.search(r"requests: (\d+) total", said), re.search(r"status codes: (\d+) 2xx", said)
    assert total and good, said
    return rate, int(good[1]) / (SECONDS + 1), int(total[1]) - int(good[1])


def main(pairs: int) -> None:
    with tempfile.TemporaryDirectory(prefix="load-") as place:
        home = Path(place)
        (home / "load.yaml").write_text(SWEEP, encoding="utf-8")
        trainer = [sys.executable, "-m", "trainer"]
        quiet = subprocess.DEVNULL
        sweep = subprocess.Popen([*trainer, "sweep", "run", "load.yaml"], cwd=home, stdout=quiet, stderr=quiet)
        server = None
        try:
            while not (rows := [*home.glob("runs/load/*/metrics.jsonl")]):
                time.sleep(0.5)
            command = [*trainer, "report", "load", "--serve", "--port", "0"]
            server = subprocess.Popen(command, cwd=home, stderr=subprocess.PIPE, text=True)
            assert server.stderr
            address = server.stderr.readline().strip()
            steps = Steps(rows[0])
            steps.rate(10)  # the start is no part of it
            ratios = list[float]()
            for number in range(pairs):
                calm = steps.rate(SECONDS) if number % 2 else 0.0
                busy, answers, others = flooded(address, steps)
                time.sleep(0.5)
                calm = calm or steps.rate(SECONDS)
                ratios.append(busy / calm)
                print(f"pair {number + 1}: {calm:.1f} steps/s without, {busy:.1f} with {answers:.0f} pages/s"
                      f" ({others} other answers): ratio {busy / calm:.3f}", flush=True)  # fmt: skip
            low, _, high = quantiles(ratios, n=4)
            print(f"median ratio {median(ratios):.3f}, quartiles {low:.3f} and {high:.3f}, n = {len(ratios)} pairs")
        finally:
            for process in filter(None, (server, sweep)):
                process.terminate()
                process.wait()


if __name__ == "__main__":
    main(int(sys.argv[1]) if sys.argv[1:] else 20)
