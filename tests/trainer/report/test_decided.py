"""A page of a sweep whose seeds were added until it was decided: decisions are replayed, and verdicts are marked."""

import json
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest
from command_line import run_here

from trainer.errors import SweepError
from trainer.report.pages import grids, significance
from trainer.report.pages.answer import finding
from trainer.report.pages.export import as_json
from trainer.report.pages.sentences import floor_text, verdict_of
from trainer.report.pages.write import write_report
from trainer.report.sources import sweep_text
from trainer.report.table import Table
from trainer.report.tables import read_table
from trainer.sweep.file import read_sweep
from trainer.sweep.header import Until, read_header, read_until, seeds_until, with_until

RUNS = Path(__file__).parents[3] / "docs" / "results" / "runs"
NEAR = [0.900, 0.902, 0.901, 0.899, 0.903]
FileOf = Callable[..., Path]


@pytest.fixture
def decided(write_schedules) -> FileOf:
    """`decided("best, 3 to 5 seeds", cosine=[...])`: the folder of lr_scheduler with these runs, and that design."""

    def make(said: str, **values: Sequence[float | None]) -> Path:
        folder = write_schedules(values)
        path = folder / "lr_scheduler.yaml"
        text = path.read_text().replace(
            "reduce_on_plateau, step, linear, exponential, cosine, constant", ", ".join(values)
        )
        path.write_text(with_until(text.replace("# Control:  constant\n", ""), said))
        return folder

    return make


def missing(table: Table) -> list[tuple[str, str]]:
    return [(each.where, each.message) for each in table.problems if each.kind == "missing"]


def test_a_beaten_configuration_is_not_interim_and_its_seeds_are_not_missing(decided) -> None:
    """Before: a page took all seeds as planned ones, and said *significant at the 5% level* of a test at many looks."""
    table = read_table(
        decided("best, 3 to 5 seeds", cosine=NEAR, step=[each - 0.001 for each in NEAR], linear=[0.6, 0.62, 0.61])
    )
    assert table.decided is not None and table.decided.open == ()
    assert (missing(table), table.interim, table.expected) == ([], False, 13)
    verdicts = {(each.a, each.b): (each.verdict, each.higher, each.seeds) for each in table.decided.decisions}
    assert verdicts["cosine", "linear"] == ("different", "cosine", 3)
    assert verdicts["cosine", "step"] == ("open", None, 5)
    said = finding(table)
    assert said.certainty == "undecided after the last seed"
    assert "Seeds were added until decided, 3 to 5 of each configuration." in said.text
    assert "The sequential test finds it higher than linear. It leaves open whether it differs from step." in said.text
    assert "significant" not in said.text and "power" not in floor_text(table)
    for grid in (significance.with_best(table), grids.configurations(table), significance.pairs(table)):
        assert "errs more often than at 5%" in grid.caption
    assert len(significance.decisions(table).rows) == 3


def test_verdicts_on_published_rows_are_marked(decided, tmp_path: Path) -> None:
    table = read_table(decided("best, 3 to 5 seeds", cosine=NEAR, linear=[0.6, 0.62, 0.61]))
    heads = {each.answer.name: verdict_of(each) for each in table.comparisons if each.headline and each.sample}
    assert all("seeds until decided" in said and "interim" not in said for said in heads.values()) and len(heads) == 2
    assert "2 of these are seeds until decided." in finding(table).text
    assert finding(table).certainty == "decided"
    assert as_json(table)["decided"]["until"]["question"] == "best"
    page, *_ = write_report(table, tmp_path / "out")
    assert 'class="sure good">decided' in page.read_text()


def test_what_two_seeds_decide_is_not_called_untestable(decided) -> None:
    """Before: `too few runs`, of the test of a fixed number of seeds, which needs three."""
    table = read_table(decided("best, 2 to 5 seeds", cosine=[0.95, 0.9501], linear=[0.9, 0.9001]))
    said = finding(table)
    assert said.certainty == "decided" and "The sequential test finds it higher than linear." in said.text


def test_seeds_beyond_the_decisions_are_not_counted(decided) -> None:
    """Before: *It took 13 runs*, also where an archive had them and the design looked at 3 and 4 of each."""
    long, short = [0.62, 0.61, 0.6, 0.61, 0.62, 0.61], [0.9, 0.902, 0.1, 0.901, 0.9, 0.899, 0.9]
    table = read_table(decided("best, 3 to 4 seeds", cosine=short, linear=long))
    assert table.decided is not None and [each.seeds for each in table.decided.decisions] == [3]
    assert "It took 7 runs. 4 seeds for each of 2 are 8" in significance.decisions(table).caption


def test_what_is_in_question_is_interim_and_needs_the_next_seed(decided) -> None:
    table = read_table(decided("best, 3 to 5 seeds", cosine=NEAR[:4], step=NEAR[:4], linear=[0.6, 0.62, 0.61]))
    assert table.decided is not None and set(table.decided.open) == {"cosine", "step"}
    assert sorted(missing(table)) == [(name, "seed 4, because it is in question") for name in ("cosine", "step")]
    assert finding(table).certainty == "interim" and "So far it leaves open" in finding(table).text


def test_the_question_may_be_about_a_control_and_equivalence(decided) -> None:
    table = read_table(
        decided("against=step, 3 to 4 seeds, margin 2", step=NEAR[:4], cosine=NEAR[:4], linear=[0.6, 0.62, 0.61])
    )
    said = finding(table)
    assert (
        "The sequential test tells apart step and linear." in said.text
        and "Equivalent within 2 points are step and cosine." in said.text
    )
    assert said.certainty == "decided"
    assert table.decided is not None
    assert {(each.a, each.b) for each in table.decided.decisions} == {("step", "cosine"), ("step", "linear")}


def test_the_control_of_a_question_may_be_a_choice(tmp_path: Path, write_run) -> None:
    """As the sweep itself has it: each network's other rate with its own first one, and no other pair."""
    folder = tmp_path / "runs" / "twice"
    folder.mkdir(parents=True)
    (folder / "twice.yaml").write_text(
        "# Q?\n# Decided:  against=lr=0.01, 3 to 4 seeds\nmethod: grid\n"
        "metric: {name: test/accuracy, goal: maximize}\n"
        'command: ["${env}", trainer, train, "${args_no_hyphens}"]\nparameters:\n'
        "  model.name: {values: [resnet18, resnet34]}\n  optimizer.lr: {values: [0.01, 0.02]}\n"
        "  seed: {values: [0, 1, 2]}\n"
    )
    for network, level in (("resnet18", 0.5), ("resnet34", 0.9)):
        for rate, gain in ((0.01, 0.0), (0.02, 0.03)):
            for seed, value in enumerate(NEAR[:3]):
                words = [f"model.name={network}", f"optimizer.lr={rate}", f"seed={seed}"]
                write_run(folder / f"{network}-{rate}-s{seed}", words, accuracy=value - 0.9 + level + gain)
    table = read_table(folder)
    assert table.decided is not None
    assert {(each.a, each.b, each.higher) for each in table.decided.decisions} == {
        (f"{network}, lr=0.01", f"{network}, lr=0.02", f"{network}, lr=0.02") for network in ("resnet18", "resnet34")
    }
    assert finding(table).certainty == "decided" and missing(table) == []


def test_a_diverged_seed_is_passed_over_and_so_is_one_at_chance(decided) -> None:
    """As the sweep itself has it."""
    folder = decided("best, 3 to 5 seeds", cosine=[0.9, 0.9, 0.902, 0.901], linear=[0.1, 0.62, 0.61, 0.6])
    path = folder / "cosine-s0" / "summary.json"
    path.write_text(path.read_text().replace('"finished"', '"diverged"'))
    table = read_table(folder)
    assert table.decided is not None
    (decision,) = table.decided.decisions
    assert (decision.verdict, decision.seeds) == ("different", 3)
    assert {each.label: len(each.failed) for each in table.configurations if each.runs} == {"cosine": 1, "linear": 1}


def test_an_outcome_beside_the_metric_is_not_what_was_decided(decided) -> None:
    folder = decided("best, 3 to 5 seeds", cosine=NEAR, step=[each - 0.1 for each in NEAR], linear=[0.6, 0.62, 0.61])
    path = folder / "lr_scheduler.yaml"
    path.write_text(
        with_until(
            "# Q?\n# Outcome:  test/accuracy_best, higher\n" + path.read_text().partition("\n")[2], "best, 3 to 5 seeds"
        )
    )
    assert finding(read_table(folder)).certainty == "seeds until decided"


def test_archives_carry_the_design(decided, tmp_path: Path) -> None:
    folder = decided("best, 3 to 5 seeds", cosine=NEAR, linear=[0.6, 0.62, 0.61])
    assert run_here(["report", "pack", str(folder), "--to", str(tmp_path / "lr_scheduler.jsonl.gz")]) == 0
    packed, there = read_table(tmp_path / "lr_scheduler.jsonl.gz"), read_table(folder)
    assert packed.decided == there.decided is not None and finding(packed) == finding(there)
    plain = with_until((folder / "lr_scheduler.yaml").read_text(), "")
    kept = (folder / "lr_scheduler.yaml").read_text()
    assert sweep_text([plain, kept]) == sweep_text([kept, plain]) == kept
    newer = plain.replace("# Time:", "# Control:  cosine\n# Time:")
    assert newer < plain and sweep_text([plain, newer]) == sweep_text([newer, plain]) == newer


def test_the_real_one_is_decided_as_it_was() -> None:
    table = read_table(RUNS / "lenet5_loss.jsonl.gz")
    assert table.decided is not None
    found = [(each.a, each.b, each.verdict, each.seeds) for each in table.decided.decisions]
    assert found == [
        ("cross_entropy", "focal", "open", 8),
        ("cross_entropy", "mse", "different", 3),
        ("focal", "mse", "different", 3),
    ]
    assert "Decisions of the sequential test" in (RUNS / "lenet5_loss.md").read_text()


@pytest.mark.parametrize(
    ("said", "until"),
    [
        ("best, 3 to 10 seeds", Until("best", "", 3, 10, None)),
        ("all-pairs, 2 to 4 seeds, margin 0.3", Until("all-pairs", "", 2, 4, 0.3)),
        ("against=vgg_a, lr=0.1, 3 to 10 seeds", Until("against", "vgg_a, lr=0.1", 3, 10, None)),
        ("against, 3 to 10 seeds", None),
        ("best=cosine, 3 to 10 seeds", None),
        ("until it is", None),
    ],
)
def test_the_design_in_a_header(said: str, until: Until | None, tmp_path: Path) -> None:
    assert read_until(said) == until and (until is None or str(until) == said)
    header, problems = read_header(f"# Q?\n# Decided:  {said}\nmethod: grid\n")
    assert (header.until, len(problems)) == (until, int(until is None))
    text = (RUNS.parents[2] / "sweeps" / "lr_scheduler.yaml").read_text()
    (tmp_path / "lr_scheduler.yaml").write_text(with_until(text, said))
    if until is None:
        with pytest.raises(SweepError, match=r"# Decided: .*expected words such as best, 3 to 10 seeds"):
            read_sweep(tmp_path / "lr_scheduler.yaml")


def test_a_design_is_written_below_the_question_and_once() -> None:
    assert with_until("# Q?\na: 1\n", "x") == "# Q?\n# Decided:  x\na: 1\n"
    assert with_until("# Q?\n# Decided:  x\na: 1\n", "y") == "# Q?\n# Decided:  y\na: 1\n"
    assert with_until("a: 1\n", "x") == "# Decided:  x\na: 1\n"
    assert with_until("# Q?\n# Decided:  x\na: 1\n", "") == "# Q?\na: 1\n"
    assert read_header("# Decided:  best, 3 to 4 seeds\na: 1\n")[0].question == ""  # it is none
    assert with_until("a: 1\nb: 2\n", "") == "a: 1\nb: 2\n"
    assert (seeds_until([7, 3], 4), seeds_until([], 2), seeds_until([0, 1, 2], 2)) == ((7, 3, 8, 9), (0, 1), (0, 1))
    assert json.dumps(seeds_until([0, 0, 1], 3)) == "[0, 1, 2]"
