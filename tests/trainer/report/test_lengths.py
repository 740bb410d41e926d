"""What something is worth in seconds at equal accuracy: a table of arms and lengths whose answer is known."""

import math
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import MappingProxyType

import numpy as np
import pytest
from command_line import run_here
from scipy import stats

from trainer.errors import UserError
from trainer.report.asked import siblings_of
from trainer.report.pages import lengths, outcome
from trainer.report.pages.answer import finding
from trainer.report.pages.write import write_report
from trainer.report.siblings import Siblings
from trainer.report.table import Table
from trainer.report.tables import read_table
from trainer.runs.outcomes import read_outcome

SWEEP = """# What is each idea worth?
# Outcome:  lengths/seconds@0.94, lower
# Control:  vgg_adam
project: test
name: ideas
method: grid
metric: {name: test/accuracy, goal: maximize}
command: ["${env}", trainer, train, "${args_no_hyphens}"]
parameters:
  recipe: {values: [vgg_adam, vgg_sgd, vgg_adagrad]}
  train.epochs: {values: [8, 10, 14]}
  seed: {values: [0, 1, 2]}
"""


@pytest.fixture
def write_arms(tmp_path: Path, write_run):
    """`write_arms({recipe: (epochs at 94%, seconds of an epoch)})`: accuracies on a line over log epochs.

    `only` has the lengths of those that have not all of them.
    """

    def write(
        arms: Mapping[str, tuple[float, float]],
        text: str = SWEEP,
        only: Mapping[str, Sequence[int]] = MappingProxyType({}),
    ) -> Table:
        folder = tmp_path / "runs" / "ideas"
        folder.mkdir(parents=True)
        (folder / "ideas.yaml").write_text(text)
        for recipe, (at, per_epoch) in arms.items():
            for epochs in only.get(recipe, (8, 10, 14)):
                for seed in range(3):
                    # Each seed is 1% slower to learn than the one before, the same in every arm.
                    accuracy = 0.94 + 0.02 * math.log(epochs / (at * (1 + seed / 100)))
                    words = [f"recipe={recipe}", f"train.epochs={epochs}", f"seed={seed}"]
                    name = f"{recipe}-{epochs}-{seed}"
                    write_run(folder / name, words, accuracy=accuracy, epochs=epochs, seconds=epochs * per_epoch)
        return read_table(folder)

    return write


def test_an_idea_is_worth_the_difference_in_seconds_at_the_accuracy(write_arms) -> None:
    """9 epochs of 10 s without the idea, 12 epochs of 10 s with: 30 s more, times 1, 1.01 and 1.02 for the seeds."""
    table = write_arms({"vgg_adam": (9, 10), "vgg_sgd": (12, 10), "vgg_adagrad": (9.5, 12)})
    assert table.control == "vgg_adam"
    assert table.samples["vgg_sgd"] == pytest.approx({0: 120, 1: 121.2, 2: 122.4})
    found = table.asked and table.asked.contrasts["vgg_sgd"]
    assert found and found.estimate == pytest.approx(30.3)
    oracle = stats.dunnett(
        *([*table.samples[arm].values()] for arm in ("vgg_sgd", "vgg_adagrad")),
        control=[*table.samples["vgg_adam"].values()],
        rng=np.random.default_rng(0),
    ).confidence_interval()
    assert (found.low, found.high) == pytest.approx((oracle.low[0], oracle.high[0]), abs=0.05)
    grid = outcome.outcome(table)
    assert grid.header[:7] == (
        "configuration", "outcome (s)", "epochs", "difference in epochs", "accuracy after 14 epochs (%)",
        "difference in accuracy", "difference from vgg_adam",
    )  # fmt: skip
    rows = {row[0]: row[1:] for row in grid.rows}
    assert rows["vgg_sgd"][:2] == ("121.2 ± 1.2 (n=3)", "12.12 ± 0.12 (n=3)")
    assert rows["vgg_sgd"][2].startswith("+3.03 (+2.")
    assert rows["vgg_sgd"][5] == "+30.3"
    assert rows["vgg_sgd"][9] == "worse, higher"
    said = finding(table).text
    assert "After 14 epochs" not in said, "the costs say it"
    assert said.startswith("Cost of 94% test accuracy in charged seconds is lowest for vgg_adam, 90.9 ± 0.9 (n=3)")
    assert "Compared with the control, vgg_adam: vgg_sgd and vgg_adagrad are significantly higher." in said


def test_an_arm_that_does_not_reach_it_says_how_much_longer_it_would_take(write_arms, tmp_path: Path) -> None:
    table = write_arms({"vgg_adam": (9, 10), "vgg_sgd": (21, 10), "vgg_adagrad": (7, 10)})
    assert table.samples["vgg_sgd"] == table.samples["vgg_adagrad"] == {}
    below = 94 + 2 * math.log(14 / (21 * (1.01 * 1.02) ** (1 / 3)))
    longer = f"94% is not reached, {below:.2f}% after 14 epochs; extrapolated, it takes about 21.2, 1.5 times as many"
    rows = {row[0]: row[1:] for row in outcome.outcome(table).rows}
    behind = [2 * math.log(9 / at) for at in (21, 7)]  # percent, at 14 epochs, the longest that all have
    assert rows["vgg_sgd"][:3] == ("-", "-", "-")
    assert rows["vgg_sgd"][3].startswith(f"{below:.2f} ± 0.02 (n=3)")
    assert rows["vgg_sgd"][4].startswith(f"{behind[0]:.3g} (")
    assert rows["vgg_adagrad"][4].startswith(f"+{behind[1]:.3g} (")
    assert rows["vgg_sgd"][5:] == ("-", "-", "-", "-", longer)
    said = finding(table).text
    assert f"For vgg_sgd, {longer}." in said
    assert "After 14 epochs, the test accuracy of vgg_sgd is significantly lower than that of vgg_adam." in said
    assert "After 14 epochs, the test accuracy of vgg_adagrad is significantly higher than that of vgg_adam." in said
    assert "For vgg_adagrad, 94% is passed by the shortest runs, 94.25% after 8 epochs; run shorter ones." in said
    page = write_report(table, tmp_path / "out")[0].read_text()
    assert longer in page


def test_the_others_need_one_length_where_the_control_has_several(write_arms, tmp_path: Path) -> None:
    """The same costs as with all lengths. It is marked interim, since the file asks for the rest."""
    of = {"vgg_adam": (9, 10), "vgg_sgd": (12, 10), "vgg_adagrad": (9.5, 12)}
    table = write_arms(of, only={"vgg_sgd": [8], "vgg_adagrad": [8]})
    assert table.samples["vgg_adam"] == pytest.approx({0: 90, 1: 90.9, 2: 91.8})
    assert table.samples["vgg_sgd"] == pytest.approx({0: 120, 1: 121.2, 2: 122.4})
    grid = outcome.outcome(table)
    rows = {row[0]: row[1:] for row in grid.rows}
    assert grid.header[4] == "accuracy after 8 epochs (%)"
    assert rows["vgg_sgd"][9] == "worse, higher"
    page = write_report(table, tmp_path / "out")[0].read_text()
    assert (
        "So all are read at 8 epochs, which all have, along one slope, that of those with several: 1.39 points" in page
    )
    assert "Each configuration minus the control, vgg_adam: the larger p of Dunnett&#x27;s comparison" in page
    assert "So far, compared with the control, vgg_adam: vgg_sgd and vgg_adagrad are" in finding(table).text


def test_two_arms_are_compared_by_all_their_runs_and_not_seed_by_seed(write_arms, tmp_path: Path) -> None:
    """Before: by pairs of runs of one seed, which an accuracy does not make."""
    table = write_arms({"vgg_adam": (9, 10), "vgg_sgd": (12, 10)})
    assert table.asked is not None
    welch = stats.ttest_ind([120, 121.2, 122.4], [90, 90.9, 91.8], equal_var=False)
    assert table.asked.contrasts["vgg_sgd"].p == pytest.approx(welch[1], rel=1e-4)
    page = write_report(table, tmp_path / "out")[0].read_text()
    assert "and the interval of differences by Welch&#x27;s test, of all runs: seeds make no pairs here" in page
    assert "Noise floor: the seed alone gives a standard deviation of 1.06" in page


def test_one_reason_of_several_is_said_once_and_they_are_compared_by_accuracy(write_arms) -> None:
    """Before: the answer had the same sentence for each configuration."""
    of = {"vgg_adam": (9, 10), "vgg_sgd": (12, 10), "vgg_adagrad": (9.1, 12)}
    said = finding(write_arms(of, only={"vgg_adam": [8], "vgg_sgd": [8], "vgg_adagrad": [8]})).text
    assert said.startswith(
        "No configuration has the cost that is asked for. For all 3 of them, runs of one length only; give train.epochs"
        " more values. After 8 epochs, the test accuracy of vgg_sgd is so far significantly lower than that of"
        " vgg_adam."
    )


def test_without_a_control_seconds_and_accuracies_have_each_their_own_best(write_arms) -> None:
    """Before: accuracies were compared with the arm of the fewest seconds, as if that had been named before the runs.

    So the test was of that arm alone, and not one of the best among all.
    """
    of = {"vgg_adam": (9, 20), "vgg_sgd": (10, 10), "vgg_adagrad": (9.1, 20)}
    table = write_arms(of, SWEEP.replace("# Control:  vgg_adam\n", ""))
    assert table.asked and table.asked.reference == "vgg_sgd"
    _, accuracy = lengths.at_one_length(table) or (0, None)
    assert accuracy and accuracy.reference == "vgg_adam" and not accuracy.families
    header = outcome.outcome(table).header
    assert "difference from vgg_sgd" in header and "difference in accuracy from vgg_adam" in header


def test_without_a_control_an_arm_out_of_reach_is_said_to_be_not_the_best(write_arms) -> None:
    of = {"vgg_adam": (9, 20), "vgg_sgd": (30, 10), "vgg_adagrad": (9.1, 20)}
    table = write_arms(of, SWEEP.replace("# Control:  vgg_adam\n", ""))
    assert "the test accuracy of vgg_sgd is not the best, at the 5% level." in finding(table).text


def test_nothing_is_called_lower_while_another_arm_has_too_few_runs(write_arms, tmp_path: Path) -> None:
    """The correction is for the arms that are tested. Before: the first one with three runs had none."""
    of = {"vgg_adam": (9, 10), "vgg_sgd": (12, 10), "vgg_adagrad": (9.1, 12)}
    write_arms(of, only={"vgg_adam": [8], "vgg_sgd": [8], "vgg_adagrad": [8]})
    shutil.rmtree(tmp_path / "runs" / "ideas" / "vgg_adagrad-8-2")
    assert "significantly" not in finding(read_table(tmp_path / "runs" / "ideas")).text


def test_an_answer_says_how_many_arms_can_be_tested_against_the_control(write_arms, tmp_path: Path) -> None:
    """Before: `no configuration differs significantly` of arms that had too few runs for a test."""
    write_arms({"vgg_adam": (9, 10), "vgg_sgd": (9.01, 10), "vgg_adagrad": (9.1, 12)})
    folder = tmp_path / "runs" / "ideas"
    for gone, said in (
        ("vgg_adagrad", "of 1 that can be tested, none differs significantly"),
        ("vgg_sgd", "none can be tested yet"),
    ):
        for epochs in (8, 10, 14):
            shutil.rmtree(folder / f"{gone}-{epochs}-2")
        table = read_table(folder)
        assert f"compared with the control, vgg_adam: {said}, interim." in finding(table).text
        assert "control, vgg_adam: Welch&#x27;s test" in write_report(table, tmp_path / "out")[0].read_text()


def test_without_any_cost_the_page_says_so_and_not_that_runs_failed(write_arms) -> None:
    said = finding(write_arms({"vgg_adam": (50, 10), "vgg_sgd": (100, 10)}))
    assert said.certainty == "no such number"
    assert said.text.startswith("No configuration has the cost that is asked for. For vgg_adam, 94% is not reached, ")
    assert "extrapolated, it takes about 50.5, 3.6 times as many" in said.text
    assert "it takes more than 4 times as many" in said.text


def test_a_sweep_of_one_length_is_warned_and_a_wrong_accuracy_is_one_line(tmp_path: Path, capsys) -> None:
    path = tmp_path / "ideas.yaml"
    path.write_text(SWEEP.replace("values: [8, 10, 14]", "value: 8"))
    run_here(["sweep", "check", str(path)])
    said = "# Outcome: lengths/seconds@0.94 is of several lengths; give train.epochs more than one value"
    assert said in "".join(capsys.readouterr())
    for name in ("lengths/seconds", "lengths/epochs@94", "lengths/seconds@early"):
        with pytest.raises(UserError, match=r"it needs an accuracy between 0 and 1 after @, such as lengths/\w+@0\.94"):
            read_outcome(name)
    with pytest.raises(UserError, match="did you mean 'lengths/seconds'"):
        read_outcome("lengths/second@0.94")


CUT = "train.early_stop.patience: {value: 2}\n  seed"


@pytest.fixture
def write_cut(tmp_path: Path, write_run):
    """`write_cut({recipe: [epochs after which early stopping ends its run of 16, a seed each]})`, with whole ones of 4
    and 8 epochs. Those that end after 3 epochs do so at every length."""

    def write(arms: Mapping[str, Sequence[int]]) -> Table:
        folder = tmp_path / "runs" / "ideas"
        folder.mkdir(parents=True)
        text = SWEEP.replace("8, 10, 14", "4, 8, 16").replace("vgg_adam, vgg_sgd, vgg_adagrad", ", ".join(arms))
        (folder / "ideas.yaml").write_text(text.replace("  seed", f"  {CUT}"))
        for recipe, ends in arms.items():
            for epochs in (4, 8, 16):
                for seed, ended in enumerate(ends):
                    words = [
                        f"recipe={recipe}",
                        f"train.epochs={epochs}",
                        "train.early_stop.patience=2",
                        f"seed={seed}",
                    ]
                    trained = ended if epochs == 16 or ended == 3 else epochs
                    whole = 0.94 + 0.02 * math.log(epochs / (6 + seed / 100))
                    accuracy, seconds = whole if trained == epochs else 0.5, 10 * trained
                    name = f"{recipe}-{epochs}-{seed}"
                    write_run(folder / name, words, accuracy=accuracy, epochs=trained, seconds=seconds)
        return read_table(folder)

    return write


def test_a_run_that_ended_before_its_last_epoch_is_no_run_of_that_length(write_cut, tmp_path: Path) -> None:
    """Before: the cost of an accuracy was read off 16 epochs of which 5 were trained."""
    table = write_cut({"vgg_adam": [5, 16, 9], "vgg_sgd": [16, 16, 16]})
    assert table.samples["vgg_adam"] == pytest.approx({0: 60, 1: 60.1, 2: 60.2})
    why = "so it is no whole run and in no cost at equal accuracy"
    assert [(each.kind, Path(each.where).name, each.message) for each in table.problems] == [
        ("cut short", f"vgg_adam-16-{seed}", f"ended after epoch {ended} of 16, {why}")
        for seed, ended in ((0, 5), (2, 9))
    ]
    adam, sgd = siblings_of(table.configurations)
    assert (adam.marks, sgd.marks) == (("survivors only",), ())
    said = finding(table)
    assert "The cost for vgg_adam is without 2 runs that ended before train.epochs." in said.text
    assert "ended after epoch 5 of 16" in write_report(table, tmp_path / "out")[0].read_text()


def test_without_whole_runs_of_several_lengths_there_is_no_cost_and_the_answer_says_why(write_cut) -> None:
    said = finding(write_cut({"vgg_adam": [3, 3, 3], "vgg_sgd": [3, 3, 3]}))
    assert said.certainty == "no such number"
    assert "For vgg_adam, too few lengths, without 9 runs that ended before train.epochs." in said.text


@pytest.mark.parametrize(
    "stopper", ["train.early_stop.patience=2", "train.target_accuracy=0.9", "train.max_steps=5", "train.max_seconds=9"]
)
def test_a_sweep_over_lengths_is_warned_of_what_ends_runs_before(tmp_path: Path, capsys, stopper: str) -> None:
    path, (key, value) = tmp_path / "ideas.yaml", stopper.split("=")
    path.write_text(SWEEP.replace("seed:", f"{key}: {{value: {value}}}\n  seed:"))
    run_here(["sweep", "check", str(path)])
    said = f"# Outcome: lengths/seconds@0.94 is of whole runs, but {stopper} may end one before; leave it out"
    assert said in "".join(capsys.readouterr())


@pytest.mark.parametrize(("asked", "percent"), [("0.55", 55), ("0.57", 57), ("0.94", 94)])
def test_a_run_that_is_exactly_at_the_accuracy_reaches_it(asked: str, percent: float) -> None:
    """Before: 100 times 0.55 is more than 55 in binary."""
    assert Siblings("a", (), ()).lengths(read_outcome(f"lengths/epochs@{asked}")).target == percent


def test_a_plan_reads_the_noise_by_the_file_that_is_planned(
    write_arms, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Before: by the copy beside the runs. Here that asked for no cost, so the noise was not known."""
    _, _, rest = SWEEP.partition("# Control:  vgg_adam\n")
    write_arms({"vgg_adam": (9, 10), "vgg_sgd": (12, 10), "vgg_adagrad": (9.5, 12)}, rest)
    (tmp_path / "ideas.yaml").write_text(SWEEP)
    monkeypatch.setattr("trainer.sweep.child.warm_up", lambda: None)
    monkeypatch.setattr("trainer.sweep.pilot.Pilot.seconds", lambda *_: 60.0)
    assert run_here(["sweep", "plan", str(tmp_path / "ideas.yaml"), "--runs", str(tmp_path / "runs")]) == 0
    std = f"{math.sqrt((0.9**2 + 1.2**2 + 1.14**2) / 3):.3g}"  # a hundredth of each arm's seconds
    assert f"standard deviation of a seed {std}," in capsys.readouterr().out
