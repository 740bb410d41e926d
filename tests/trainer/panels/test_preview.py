"""`trainer panels list` and `trainer preview panel`, as typed."""

import json
from pathlib import Path

import pytest
from command_line import run_here

from trainer.panels.registry import PANELS


@pytest.fixture
def run(tmp_path: Path) -> Path:
    """A run folder of two epochs, whose name would end a script on a careless page."""
    folder = tmp_path / "sweep" / "a<!--b"
    folder.mkdir(parents=True)
    (folder / "config.yaml").write_text("seed: 0\nmodel: {name: vgg_a}\n")
    rows = [{"epoch": epoch, "step": 9 * epoch, "test/accuracy": epoch / 4} for epoch in (1, 2)]
    (folder / "metrics.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    return folder


def test_the_list_names_every_panel_with_its_columns(capsys: pytest.CaptureFixture[str]) -> None:
    assert run_here(["panels", "list"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in lines if not line.startswith(" ")] == [shown.name for shown in PANELS]
    assert len(lines) == sum(1 + len(shown.columns) for shown in PANELS)


def test_a_preview_without_runs_shows_example_data_and_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    assert run_here(["preview", "panel", "beta"]) == 0
    assert capsys.readouterr().out == "beta.png\n"
    assert (tmp_path / "beta.png").read_bytes().startswith(b"\x89PNG")
    assert run_here(["preview", "panel", "beta", "--out", "beta.svg"]) == 0
    assert "Example data: " in (tmp_path / "beta.svg").read_text(encoding="utf-8")


def test_a_page_is_self_contained(run: Path, tmp_path: Path) -> None:
    page = tmp_path / "page.html"
    typed = ["preview", "panel", "learning_curves", str(run.parent), "--theme", "dark", "--out", str(page)]
    assert run_here(typed) == 0
    text = page.read_text(encoding="utf-8")
    assert '<html lang="en">' in text and "<title>Accuracy by epoch</title>" in text
    assert "background: #111111" in text and "vegaEmbed" in text
    assert "<script src" not in text and "cdn." not in text
    assert "a<!--b" not in text and '"accuracy":50' in text.replace(" ", "")


@pytest.mark.parametrize(
    ("typed", "said"),
    [
        (["betta"], "no panel is called 'betta'; did you mean 'beta'?"),
        (["beta", "--theme", "drak"], "--theme: no theme is called 'drak'; did you mean 'dark'?"),
        (["beta", "--out", "beta.pdf"], "beta.pdf: '.pdf': a chart is written as .png, .svg or .html"),
        (["beta", "nowhere"], "nowhere: no such folder"),
        (["beta", "{run}"], "{run}: nothing for beta in 1 run; it needs a run trained with probe.walk.every=30"),
    ],
)
def test_a_mistake_is_one_line(
    typed: list[str],
    said: str,
    run: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    assert run_here(["preview", "panel", *(text.format(run=run) for text in typed)]) == 2
    assert capsys.readouterr().err == f"error: {said.format(run=run)}\n"
    assert not list(tmp_path.glob("*.p*"))
