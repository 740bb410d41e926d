"""The GPUs of this machine, before a sweep runs on them.

A child sees one device only. Without it, its config's `auto` would be the CPU.
"""

import os
from collections.abc import Sequence
from multiprocessing.connection import Connection

from trainer.errors import SweepError
from trainer.sweep.child import CONTEXT, ensure_server
from trainer.training.precision import may_have_cuda

_VISIBLE = "CUDA_VISIBLE_DEVICES"


def devices_of(text: str) -> list[str]:
    """Return the devices of `--devices`. `auto` is every GPU that torch sees here, if there are several."""
    if text != "auto" or not may_have_cuda() or (count := count_gpus()) < 2:
        return text.split(",")
    return [f"cuda:{number}" for number in range(count)]


def refuse_missing_gpus(devices: Sequence[str]) -> None:
    """Raise SweepError for each GPU of `--devices` that torch does not see here."""
    asked = {device: int(device.partition(":")[2]) for device in devices if device.startswith("cuda:")}
    if not asked:
        return
    count = count_gpus()
    if missing := [device for device, number in asked.items() if number >= count]:
        raise SweepError(*(f"--devices: {device}: torch sees {count} CUDA devices here" for device in missing))


def count_gpus() -> int:
    """Return how many GPUs torch sees. A child counts them: the process that forks the others must touch none.

    Raises SweepError if that child dies.
    """
    ours, theirs = CONTEXT.Pipe(duplex=False)
    process = CONTEXT.Process(target=_count, args=(theirs, os.environ.get(_VISIBLE)), daemon=True)
    if CONTEXT.get_start_method() == "forkserver":
        ensure_server()
    process.start()
    theirs.close()
    with ours:
        try:
            return ours.recv()
        except EOFError:
            process.join()
            raise SweepError(f"--devices: counting the GPUs here ended with exit code {process.exitcode}") from None
        finally:
            process.join()


def _count(answer: Connection, visible: str | None) -> None:
    os.environ.pop(_VISIBLE, None)  # the server's, as it was when the server began
    if visible is not None:
        os.environ[_VISIBLE] = visible
    import torch

    answer.send(torch.cuda.device_count())
