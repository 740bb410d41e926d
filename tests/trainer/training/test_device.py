"""What a device is asked to do, seen from outside."""

import platform
import subprocess
import sys

import pytest
import torch

from trainer.config.train import Train
from trainer.errors import CheckpointError, ConfigError
from trainer.training import precision
from trainer.training.device import AUTO_PRECISION, Compute, choose_compute

_FAULTS_OF_A_STEP = """
import os, resource, torch
from trainer.training.device import keep_freed_memory
def step():
    kept = [torch.ones(8 << 20) for _ in range(4)]  # 32 MiB each
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt
for mode in ("keep", "leave"):
    if not os.fork():  # a process of its own for each, with one import of torch
        if mode == "keep":
            keep_freed_memory(torch.device("cpu"))
        for _ in range(30 if mode == "keep" else 1):  # until holes have the right sizes, which took from 2 to 6 steps
            warm = step()
        for _ in range(10):
            last = step()
        print(last - warm, flush=True)
        os._exit(0)
    os.wait()
"""


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="glibc's malloc")
def test_steps_reuse_the_memory_of_the_steps_before() -> None:
    done = subprocess.run([sys.executable, "-c", _FAULTS_OF_A_STEP], capture_output=True, text=True)
    assert not done.stderr
    keep, leave = map(int, done.stdout.split())
    pages = 10 * 4 * (32 << 20) // 4096
    assert keep < pages // 20
    assert leave > pages // 2  # else this test shows nothing


@pytest.mark.parametrize("forced", ["float32", "bfloat16"])
def test_what_auto_is_can_be_forced_and_a_named_precision_stays(monkeypatch: pytest.MonkeyPatch, forced: str) -> None:
    monkeypatch.setenv(AUTO_PRECISION, forced)
    assert choose_compute(Train(device="cpu")).precision == forced
    assert choose_compute(Train(device="cpu", precision="float32")).precision == "float32"


def test_an_unknown_forced_precision_is_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(AUTO_PRECISION, "bf16")
    with pytest.raises(ConfigError, match=f"{AUTO_PRECISION}: 'bf16' is not a choice; expected float32 or bfloat16"):
        choose_compute(Train(device="cpu"))


def test_a_resumed_run_keeps_what_auto_was_and_the_kind_of_its_device(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(AUTO_PRECISION, "float32")
    begun = {"device": "cpu", "precision": "bfloat16"}
    assert choose_compute(Train(device="cpu"), begun=begun).precision == "bfloat16"
    assert choose_compute(Train(device="cpu", precision="float32"), begun=begun).precision == "float32"
    with pytest.raises(CheckpointError, match=r"^train.device: the run has steps on cuda .* on cpu; resume it with"):
        choose_compute(Train(device="cpu"), begun={"device": "cuda", "precision": "bfloat16"})


def test_tf32_needs_a_gpu_that_has_it() -> None:
    with pytest.raises(ConfigError, match=r"^train.precision: 'tf32' needs .* 8.0, not cpu; try float32$"):
        choose_compute(Train(device="cpu", precision="tf32"))


def test_float16_is_refused_before_torch_is_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    """On `auto`, only where the kernel shows no GPU."""
    monkeypatch.setattr(precision, "may_have_cuda", lambda: False)
    for device in ("cpu", "mps", "auto"):
        with pytest.raises(ConfigError, match=r"'float16' needs a CUDA device, not (cpu|mps)"):
            precision.refuse_float16(Train(precision="float16", device=device))
    precision.refuse_float16(Train(precision="float16", device="cuda:0"))
    monkeypatch.setattr(precision, "may_have_cuda", lambda: True)
    precision.refuse_float16(Train(precision="float16", device="auto"))


def test_what_a_measurement_was_on_is_a_gpu_with_its_libraries_or_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda _: "NVIDIA H200")
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda _: (9, 0))
    monkeypatch.setattr(torch.version, "cuda", "13.0")
    monkeypatch.setattr(torch.backends.cudnn, "version", lambda: 91000)
    found = Compute(torch.device("cuda", 0), torch.bfloat16, channels_last=True).measured_on
    assert found == {"gpu": "NVIDIA H200", "cuda": "13.0", "cudnn": "91000", "capability": "9.0"}
    assert choose_compute(Train(device="cpu")).measured_on == {}
