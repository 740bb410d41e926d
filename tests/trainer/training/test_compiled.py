"""Kernels are compiled before the first training step, and a run is the same as without."""

from pathlib import Path

import pytest
import torch
from run_ends import differing
from torch import Tensor, nn

from trainer.config import load_config
from trainer.errors import ConfigError
from trainer.training.compiled import compiled
from trainer.training.run import start_run


def test_each_shape_is_seen_before_the_first_step_and_changes_no_bit(
    tmp_path: Path, small_run: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """48 images in batches of 20 leave one of 8, and an epoch of 4 pixels comes first."""
    seen: list[tuple[bool, tuple[int, ...]]] = []

    def compiled(model: nn.Module, *, mode: str, dynamic: bool):
        assert mode == "default" and not dynamic

        def forward(images: Tensor) -> Tensor:
            seen.append((model.training, tuple(images.shape)))
            return model(images)

        return forward

    words = [*small_run, "train.epochs=2", "train.batch_size=20", "sink.console.mode=off"]
    words += ["augment.side.pixels=[8,8]", "augment.side.from_epochs=[0,1]", "train.accumulate=2"]
    plain = start_run(load_config(words).config, runs=tmp_path, name="plain")
    monkeypatch.setattr(torch, "compile", compiled)
    ahead = start_run(load_config([*words, "train.compile=true"]).config, runs=tmp_path, name="compiled")
    steps = [(True, (10, 3, 8, 8))] * 4 + [(True, (4, 3, 8, 8))] * 2
    first = [(True, (10, 3, 8, 8))] * 2 + [(True, (4, 3, 8, 8))] * 2
    assert seen == [*first, *steps, *steps]
    assert not differing(plain.folder, ahead.folder, apart_from=("/config/train/compile",))
    assert plain.summary["time/compile_seconds"] == 0 < ahead.summary["time/compile_seconds"]
    assert min(plain.summary["time/build_seconds"], plain.summary["time/prepare_seconds"]) > 0


@pytest.mark.parametrize(
    ("asked", "device", "steps", "mode"),
    [
        ("true", "cpu", 1, "default"),
        ("default", "cuda", 1, "default"),
        ("max-autotune", "cuda", 1, "max-autotune-no-cudagraphs"),
        ("auto", "cuda", 50_000, "default"),
        ("auto", "cuda", 49_999, None),
        ("auto", "cpu", 10**6, None),
        ("false", "cuda", 10**6, None),
        ("off", "cuda", 10**6, None),
    ],
)
def test_what_is_compiled_and_how(
    monkeypatch: pytest.MonkeyPatch, asked: str, device: str, steps: int, mode: str | None
) -> None:
    network = nn.Identity()
    monkeypatch.setattr(torch, "compile", lambda _, *, mode, dynamic: (mode, dynamic))
    train = load_config([f"train.compile={asked}"]).config.train
    for shapes, dynamic in ((1, False), (4, False), (5, None)):
        made = compiled(network, train, torch.device(device), steps, shapes)
        assert made == (mode, dynamic) or (mode is None and made is network)


def test_a_mode_that_torch_lacks_and_one_that_contradicts_are_a_line_each() -> None:
    with pytest.raises(ConfigError, match=r"^train.compile: 'defalt' is not a choice; did you mean 'default'\?$"):
        load_config(["train.compile=defalt"])
    with pytest.raises(ConfigError, match=r"^train.compile: 'on' is not a choice; one of .*'?auto.*false"):
        load_config(["train.compile='on'"])
    with pytest.raises(ConfigError, match=r"^train: deterministic is true, but with compile=max-autotune bits vary"):
        load_config(["train.deterministic=true", "train.compile=max-autotune"])


def test_without_compiling_a_config_has_the_hash_that_it_had() -> None:
    """When `train.compile` was true or false."""
    assert load_config([]).config.model_dump(mode="json")["train"]["compile"] is False


def test_no_compiler_is_a_line_before_there_is_a_run_folder(tmp_path: Path, small_run: list[str]) -> None:
    """Before: a traceback of Inductor and a failed run."""
    from torch._inductor import config as inductor  # at the top, its bindings complain when pytest ends

    said = r"^train.compile: No working C\+\+ compiler .*; set train.compile=false$"
    with inductor.patch({"cpp.cxx": (None, "/nonexistent/g++")}), pytest.raises(ConfigError, match=said):
        start_run(load_config([*small_run, "train.compile=default"]).config, runs=tmp_path, name="a")
    assert not (tmp_path / "a").exists()


@pytest.mark.parametrize(("fails", "said"), [("compiler", "C\\+\\+ compile error"), ("backend", "no kernel")])
def test_kernels_that_cannot_be_compiled_are_a_line(
    tmp_path: Path, small_run: list[str], monkeypatch: pytest.MonkeyPatch, fails: str, said: str
) -> None:
    """A compiler that is there may still fail."""
    from torch._inductor.exc import CppCompileError

    error = CppCompileError(["g++"], "no header") if fails == "compiler" else no_backend()

    def broken(*_: object, **__: object):
        def forward(images: Tensor) -> Tensor:
            raise error

        return forward

    monkeypatch.setattr(torch, "compile", broken)
    with pytest.raises(ConfigError, match=rf"^train.compile: {said}; set train.compile=false$") as caught:
        start_run(load_config([*small_run, "train.compile=default"]).config, runs=tmp_path, name="a")
    assert len(caught.value.problems) == 1


def no_backend() -> Exception:
    from torch._dynamo.exc import BackendCompilerFailed

    def backend() -> None: ...

    return BackendCompilerFailed(backend, ValueError("no kernel"), None)
