"""No flag of `trainer report` is ignored: what has no use for one says where it goes."""

import pytest
from command_line import run_here

from trainer.cli.report_flags import refuse_unfit

WRITES = "`trainer report` without --serve writes the page"


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["a", "--serve", "--json"], f"--serve: goes without --json; {WRITES}"),
        (["a", "--serve", "--out", "x"], f"--serve: goes without --out; {WRITES}"),
        (["a", "--serve", "--expect", "a > b"], f"--serve: goes without --expect; {WRITES}"),
        (["a", "--port", "0"], "--port goes with --serve"),
        (["a", "--host", "::1"], "--host goes with --serve"),
        (["a", "--storage", "sqlite:///a.db"], "--storage goes with --serve"),
        (["a", "--to", "a.jsonl.gz"], "--to goes with `trainer report pack`"),
        (["index", "--margin", "0.3"], "--margin goes with the report of a sweep"),
        (["index", "--from-wandb", "a/b"], "--from-wandb goes with the report of a sweep"),
        (["pack", "a", "--to", "a.jsonl.gz", "--expect", "a > b"], "--expect goes with the report of a sweep"),
        (["pack", "a", "--to", "a.jsonl.gz", "--out", "b"], "--out goes with the report of a sweep"),
    ],
)
def test_a_flag_without_use_is_a_line(words: list[str], said: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert run_here(["report", *words]) == 2
    assert capsys.readouterr().err == f"error: {said}\n"


def test_a_storage_of_the_environment_is_for_other_commands_too(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TRAINER_STORAGE", "sqlite:///a.db")
    refuse_unfit("a sweep", {"--storage": "sqlite:///a.db"})
