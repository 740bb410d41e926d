"""What a sweep's child does, in a fraction of a second, and without torch.

A run is EPOCHS short sleeps and a number made of its words. It resumes from its checkpoint, stops on SIGTERM, and notes
in `finished.log` beside the run folders that it came to its end, and in `twice.log` where it found another process
training the same run. Seed 13 crashes, seed 66 diverges. With PRETEND_NOISE from 0 to 1 the number is the rate, and so
much noise. With PRETEND_HOLD it waits after so many epochs until it is told to stop, however long that takes.
"""

import fcntl
import hashlib
import json
import os
import sys
import time
from pathlib import Path

from trainer.files import write_whole
from trainer.signals import StopRequest

EPOCHS = 5


def accuracy(words: list[str], epoch: int) -> float:
    """Between 0 and 1, rising with the epoch, and a function of the words alone."""
    share = int(hashlib.sha256(json.dumps(sorted(words)).encode()).hexdigest()[:8], 16) / 2**32
    if (part := os.environ.get("PRETEND_NOISE")) is not None:
        rate = next(float(word.removeprefix("optimizer.lr=")) for word in words if word.startswith("optimizer.lr="))
        share = (1 - float(part)) * rate + float(part) * share
    return share * epoch / EPOCHS


def main(arguments: list[str]) -> None:
    """In the place of `trainer.sweep.child.train`."""
    sys.exit(run(arguments))


def run(arguments: list[str]) -> int:
    if arguments[0] == "--resume":
        folder = Path(arguments[1])
    else:
        *words, _, runs, _, name = arguments
        folder = Path(runs) / name
        folder.mkdir(exist_ok=True)  # killed before it had a config
        write_whole(folder / "config.yaml", json.dumps(words).encode())
    words = json.loads((folder / "config.yaml").read_text())
    with (folder / ".lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            note(folder, "twice.log")
            return 9
        return train(folder, words)


def train(folder: Path, words: list[str]) -> int:
    seed = next((int(word.removeprefix("seed=")) for word in words if word.startswith("seed=")), 0)
    checkpoint = folder / "checkpoint.json"
    epoch = json.loads(checkpoint.read_text()) if checkpoint.exists() else 0
    rows = [row for row in lines(folder / "metrics.jsonl") if json.loads(row)["epoch"] <= epoch]
    (folder / "metrics.jsonl").write_text("".join(f"{row}\n" for row in rows))
    (folder / "summary.json").unlink(missing_ok=True)
    hold = int(os.environ.get("PRETEND_HOLD", EPOCHS))
    with StopRequest() as stop:
        while epoch < EPOCHS:
            while epoch >= hold and not stop():
                time.sleep(0.02)
            if stop():
                end(folder, "interrupted", {})
                return 128 + (stop.signal or 0)
            if seed == 13:
                print("RuntimeError: thirteen", file=sys.stderr)
                return 1
            if seed == 66:
                end(folder, "diverged", {})
                return 3
            time.sleep(float(os.environ.get("PRETEND_SECONDS", "0.02")))
            epoch += 1
            with (folder / "metrics.jsonl").open("a") as file:
                file.write(json.dumps({"epoch": epoch, "test/accuracy": accuracy(words, epoch)}) + "\n")
            write_whole(checkpoint, json.dumps(epoch).encode())
        end(folder, "finished", {"test/accuracy": accuracy(words, epoch)})
    note(folder, "finished.log")
    return 0


def end(folder: Path, status: str, summary: dict[str, float]) -> None:
    write_whole(folder / "summary.json", json.dumps({"status": status, **summary}).encode())


def note(folder: Path, name: str) -> None:
    with (folder.parent / name).open("a") as file:
        file.write(f"{folder.name}\n")


def lines(path: Path) -> list[str]:
    return path.read_text().splitlines() if path.exists() else []
