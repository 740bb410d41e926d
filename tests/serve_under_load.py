"""Speed of a training while its page gets 1,000 requests a second: `python tests/serve_under_load.py [PAIRS]`.

A real sweep trains, and `trainer report --serve` serves its page. Windows with and without requests take turns, so that
a slow minute of a shared machine is in both. Each pair of neighbours gives a ratio of steps a second. The requests are
for the whole page, from h2load (Debian's package nghttp2-client) at the lowest priority: it stands for other machines.
"""

import os
import random
import re
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

RATE = 1000  # requests a second
CLIENTS = 20
SECONDS = 1.5  # of a window
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


def processor_seconds(process: int) -> float:
    """Return the processor time that a process has used, that of all its threads."""
    fields = Path(f"/proc/{process}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def ratio_with_interval(pairs: list[tuple[float, float]]) -> tuple[float, float, float]:
    """Return (ratio of the sums, its 95% interval by 2,000 bootstrap samples of pairs)."""
    draw = random.Random(0)
    samples = [draw.choices(pairs, k=len(pairs)) for _ in range(2000)]
    ratios = sorted(sum(busy for _, busy in each) / sum(calm for calm, _ in each) for each in samples)
    return sum(busy for _, busy in pairs) / sum(calm for calm, _ in pairs), ratios[50], ratios[1949]


def main(pairs: int) -> None:
    with tempfile.TemporaryDirectory(prefix="load-") as place:
        home = Path(place)
        (home / "load.yaml").write_text(SWEEP, encoding="utf-8")
        trainer = [sys.executable, "-m", "trainer"]
        quiet = subprocess.DEVNULL
        sweep = subprocess.Popen([*trainer, "sweep", "run", "load.yaml"], cwd=home, stdout=quiet, stderr=quiet)
        server = flood = None
        try:
            while not (rows := [*home.glob("runs/load/*/metrics.jsonl")]):
                time.sleep(0.5)
            command = [*trainer, "report", "load", "--serve", "--port", "0"]
            server = subprocess.Popen(command, cwd=home, stderr=subprocess.PIPE, text=True)
            assert server.stderr
            address = server.stderr.readline().strip()
            steps = Steps(rows[0])
            steps.rate(10)  # the start is no part of it
            most = int(2 * pairs * SECONDS) + 15
            asked = [f"--rps={RATE // CLIENTS}", f"--clients={CLIENTS}", f"--duration={most}"]
            command = ["nice", "-n", "19", "h2load", "--h1", *asked, address]
            flood = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
            time.sleep(5)  # what the server has saved up is spent
            rates, used = list[tuple[float, float]](), 0.0
            for number in range(pairs):
                windows = dict[bool, float]()
                for flooded in (True, False) if number % 2 else (False, True):
                    flood.send_signal(signal.SIGCONT if flooded else signal.SIGSTOP)
                    before = processor_seconds(server.pid)
                    windows[flooded] = steps.rate(SECONDS)
                    used += (processor_seconds(server.pid) - before) * flooded
                rates.append((windows[False], windows[True]))
            flood.send_signal(signal.SIGCONT)
            began = time.monotonic()
            said = flood.communicate()[0]  # it says how many answers it got when its time is over
            active = 5 + pairs * SECONDS + time.monotonic() - began
            good = re.search(r"status codes: (\d+) 2xx, (.*)", said)
            assert good, said
            ratio, low, high = ratio_with_interval(rates)
            calm = sum(each for each, _ in rates) / pairs
            print(f"{calm:.1f} steps/s without requests, {ratio:.3f} times that with them, 95% interval {low:.3f} to"
                  f" {high:.3f}, n = {pairs} pairs of windows of {SECONDS} s")  # fmt: skip
            print(f"the server used {100 * used / (pairs * SECONDS):.1f}% of one core in windows with requests")
            print(f"{int(good[1]) / active:.0f} pages a second were answered, of {RATE} that were asked for; {good[2]}")
        finally:
            for process in filter(None, (flood, server, sweep)):
                process.send_signal(signal.SIGCONT)
                process.terminate()
                process.wait()


if __name__ == "__main__":
    main(int(sys.argv[1]) if sys.argv[1:] else 100)
