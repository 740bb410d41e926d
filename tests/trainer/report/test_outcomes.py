"""What a page says of runs that failed, of seeds that are still to come, and of figures that runs cannot answer."""

import json
from dataclasses import replace
from pathlib import Path
from shutil import copytree
from typing import Any

import pytest

from trainer.published import experiments
from trainer.report.configurations import Configuration, with_siblings
from trainer.report.folders import Run
from trainer.report.pages import beside, grids, significance
from trainer.report.pages import outcome as outcomes
from trainer.report.pages.answer import finding
from trainer.report.pages.index import catalogue
from trainer.report.pages.sentences import best_epoch_of, floor_text, two_humps_of, verdict_of
from trainer.report.pages.write import write_report
from trainer.report.published.comparisons import Comparison, answers_of, compared
from trainer.report.table import Table
from trainer.report.tables import read_table
from trainer.runs import chance
from trainer.runs.bits import pack_bits
from trainer.runs.history import History
from trainer.runs.outcomes import decades
from trainer.runs.results import Result
from trainer.statistics.comparisons import with_control
from trainer.statistics.power import difference_needed, lead_needed
from trainer.sweep.file import read_sweep

NAMES = ["reduce_on_plateau", "step", "linear", "exponential", "cosine", "constant"]
SEEDS = [-0.002, 0.0, 0.002, -0.001, 0.001]


def accuracies(**means: float) -> dict[str, list[float | None]]:
    return {name: [means.get(name, 0.9) + step for step in SEEDS] for name in NAMES}


def diverge(folder: Path, *runs: str) -> None:
    for run in runs:
        path = folder / run / "summary.json"
        path.write_text(path.read_text().replace('"finished"', '"diverged"'))


def runs_of(tmp_path: Path, write_run: Any, **values: list[float]) -> Table:
    """A plain folder with a run per value, grouped by learning rate: `r0_1=[...]`."""
    for name, each in values.items():
        for seed, accuracy in enumerate(each):
            words = [f"optimizer.lr={name[1:].replace('_', '.')}", f"seed={seed}"]
            write_run(tmp_path / "runs" / f"{name}-s{seed}", words, accuracy=accuracy)
    return read_table(tmp_path / "runs")


def a_run(seed: int, status: str, values: dict[str, float], *rows: dict[str, Any]) -> Run:
    return Run(Result(History(Path(f"s{seed}"), {"seed": seed}, [*rows], {"status": status}, []), {}, {}), {}, values)


def a_comparison(id: str, row: int, figure: str, *runs: dict[str, float], failed: int = 0) -> Comparison:
    """A published figure beside runs with these measures."""
    own = next(each for each in experiments() if each.id == id)
    counting = [a_run(n, "finished", each) for n, each in enumerate(runs)]
    lost = [a_run(10 + n, "diverged", {}) for n in range(failed)]
    answers = answers_of([own], [])
    ours = Configuration("ours", {}, {}, tuple(counting), failed=tuple(lost))
    answers[row] = type(answers[row])(own, own.rows[row], answers[row].name, ours, (ours,), (), ())
    return next(each for each in compared(answers) if each.answer is answers[row] and each.figure.name == figure)


# Failure is an outcome.


def test_a_run_at_chance_is_counted_and_is_in_no_mean(tmp_path: Path, write_run) -> None:
    """Before: `54.38 ± 40.51`, interval [-68.85, 177.61]."""
    table = runs_of(tmp_path, write_run, r0_1=[0.1, 0.91, 0.92, 0.915], r0_01=[0.8, 0.81, 0.805, 0.8])
    assert table.samples["lr=0.1"] == {1: 91.0, 2: 92.0, 3: 91.5}
    (chance,) = (problem for problem in table.problems if problem.kind == "at chance")
    assert chance.message == "10.00% of 10,000 test images; guessing gets 10%"
    said = finding(table)
    assert "Runs that diverged or stayed at chance, and are in no mean: lr=0.1 (1 of 4)." in said.text
    assert "Every run trained for lr=0.01." in said.text
    assert said.certainty == "survivors only"
    assert [row[:3] for row in grids.trained(table).rows] == [
        ("lr=0.01", "0 of 4", "[0%, 60%]"),
        ("lr=0.1", "1 of 4", "[1%, 81%]"),
    ]


def test_where_no_run_learns_none_has_failed(tmp_path: Path, write_run) -> None:
    table = runs_of(tmp_path, write_run, r0_1=[0.1, 0.105, 0.1], r0_01=[0.1, 0.11, 0.1])
    assert not any(each.failed for each in table.configurations)
    assert grids.trained(table).rows == ()


def test_the_size_of_the_test_set_is_that_of_the_confusion_matrix(tmp_path: Path, write_run) -> None:
    """Of 100 images 15 right ones are at chance, of 10,000 they are not."""
    for seed, accuracy in enumerate((0.15, 0.9, 0.91)):
        run = write_run(tmp_path / "runs" / str(seed), [f"seed={seed}"], accuracy=accuracy)
        (run / "confusion.json").write_text(json.dumps({"classes": [*"abcdefghij"], "counts": [[1] * 10] * 10}))
    (configuration,) = read_table(tmp_path / "runs").configurations
    assert [run.seed for run in configuration.failed] == [0]


def test_of_more_classes_than_a_matrix_is_kept_of_runs_are_at_chance_too(tmp_path: Path, write_run) -> None:
    """Before: none was, since only the matrix said how many classes there are."""
    for seed, accuracy in enumerate((0.005, 0.4, 0.41)):
        words = [f"seed={seed}", "data.name=folder", "data.root=d"]
        run = write_run(tmp_path / "runs" / str(seed), words, accuracy=accuracy)
        told = {"classes": [str(number) for number in range(200)], "correct": pack_bits([False] * 1000)}
        (run / "confusion.json").write_text(json.dumps(told))
        assert chance.tests_in(run) == (1000, 200)
    (configuration,) = read_table(tmp_path / "runs").configurations
    assert [run.seed for run in configuration.failed] == [0]


def test_two_of_five_diverged_is_said_wherever_the_others_are_judged(write_schedules) -> None:
    """Before: the verdict and the claim held, and one line below said that two runs are not counted."""
    folder = write_schedules(accuracies(cosine=0.92))
    diverge(folder, "cosine-s0", "cosine-s3")
    table = read_table(folder)
    head = next(each for each in table.comparisons if each.headline and each.answer.name == "cosine")
    assert verdict_of(head).startswith("consistent, survivors only, ")
    said = finding(table)
    assert said.certainty == "survivors only" and "1 of these is survivors only." in said.text
    shares = {each.name: (each.failed, each.n) for each in table.failures}
    assert shares["cosine"] == (2, 5) and shares["step"] == (0, 5)
    grid = grids.configurations(table)
    assert dict(zip(grid.header, grid.rows[0], strict=True))["failed"] == "2 of 5"


def test_all_diverged_is_not_no_run_yet(write_schedules) -> None:
    """Before: `1 has no run yet`, and the verdict `no runs`."""
    folder = write_schedules(accuracies())
    diverge(folder, *(f"linear-s{seed}" for seed in range(5)))
    table = read_table(folder)
    said = finding(table).text
    assert "no run yet" not in said and "linear (5 of 5)" in said
    head = next(each for each in table.comparisons if each.headline and each.answer.name == "linear")
    assert verdict_of(head) == "all runs failed"
    states = {line.comparison.answer.name: line.state for line in catalogue(folder.parent)[0]}
    assert states["linear"] == "all runs failed"
    p = next(each.p for each in table.failures if each.name == "linear")
    assert p is not None and p < 0.05


def test_a_table_of_nothing_but_failures_says_so(write_schedules) -> None:
    folder = write_schedules(accuracies())
    diverge(folder, *(path.name for path in folder.iterdir() if path.is_dir()))
    found = finding(read_table(folder))
    assert found.certainty == "all runs failed" and found.text.startswith("Every run failed.")


def test_a_diverged_run_whose_seed_was_run_again_has_not_failed(write_schedules) -> None:
    folder = write_schedules(accuracies(cosine=0.92))
    copytree(folder / "step-s0", folder / "step-s0-first")
    diverge(folder, "step-s0-first")
    assert finding(read_table(folder)).certainty == "significant at the 5% level"


def test_a_sweep_over_rates_says_which_rates_train(tmp_path: Path, write_run) -> None:
    good = [0.80, 0.81, 0.805]
    table = runs_of(tmp_path / "a", write_run, r0_1=good, r1=[0.1, 0.1, 0.1], r0_01=good)
    said = finding(table).text
    assert "are in no mean: lr=1 (3 of 3)." in said and "Every run trained for lr=0.01 and lr=0.1." in said
    table = runs_of(tmp_path / "b", write_run, r0_1=good, r0_01=good)
    assert "Every run trained, at each learning rate." in finding(table).text


def test_runs_in_two_groups_are_flagged(tmp_path: Path, write_run) -> None:
    table = runs_of(tmp_path, write_run, r0_1=[0.45, 0.452, 0.91, 0.913, 0.911])
    assert two_humps_of(table).startswith("Runs in two groups, with a wide gap between them: resnet18.")
    _, markdown, *_ = write_report(table, tmp_path / "out")
    assert "Runs in two groups" in markdown.read_text()
    steady = runs_of(tmp_path / "b", write_run, r0_1=[0.9, 0.901, 0.903, 0.902, 0.905])
    assert two_humps_of(steady) == ""


# Until the planned seeds are there.


def test_an_answer_before_the_planned_seeds_is_interim(write_schedules) -> None:
    """Before: `significant at the 5% level` from the first seeds at which it was."""
    some = {name: values[:4] if name == "step" else values for name, values in accuracies(cosine=0.92).items()}
    table = read_table(write_schedules(some))
    found = finding(table)
    assert (table.interim, found.certainty) == (True, "interim") and "So far the difference" in found.text
    assert "So far, compared with the control, constant: cosine is significantly higher, interim." in found.text
    headlines = [each for each in table.comparisons if each.headline]
    heads = {each.answer.name: verdict_of(each).partition(", settings")[0] for each in headlines}
    assert (heads["cosine"], heads["step"]) == ("consistent", "lower, interim")


# Comparisons.


def test_all_pairs_are_shown_only_where_asked(write_schedules, tmp_path: Path) -> None:
    """The page folds them away. The Markdown has the comparisons with the best alone."""
    page, markdown, *_ = write_report(read_table(write_schedules(accuracies(cosine=0.92))), tmp_path)
    assert "for a question about two of them" not in markdown.read_text()
    assert "for a question about two of them" in page.read_text()
    assert "Each configuration minus the best, cosine" in markdown.read_text()


def test_a_control_that_the_file_names_is_compared_with_each(write_schedules) -> None:
    table = read_table(write_schedules(accuracies(cosine=0.92, step=0.85)))
    assert table.control == "constant"
    found = {each.name: each.finding for each in table.against_control}
    assert (found["cosine"], found["step"], found["linear"]) == ("higher", "lower", "identical")
    said = finding(table).text
    assert "with the control, constant: cosine is significantly higher and step is significantly lower." in said


def test_the_power_beside_a_control_is_that_of_its_test(write_schedules) -> None:
    """Before: only the lead of a best one, which is another test's."""
    table = read_table(write_schedules(accuracies(cosine=0.92, step=0.85)))
    said = floor_text(table)
    assert table.floor is not None
    std = table.floor.std
    lead, difference = lead_needed((std,) * 6, 5), difference_needed((std,) * 6, 5)
    assert f"a best one that leads the 5 others by {lead:.2f} points is found with 80% power" in said
    assert f"One that differs from the control, constant, by {difference:.2f} points is found different from it" in said
    without = floor_text(replace(table, control=""))
    assert "control" not in without and "a best one that leads" in without


@pytest.mark.parametrize(
    ("sweep", "control"),
    [
        ("cnn_family", "basic_cnn"),
        ("architecture_res9", "resnet18"),
        ("combination_vgg", "vgg_adam"),
        ("bn_accuracy", "vgg_a"),
        ("handmade", "order=[linear,norm,act,dropout]"),
    ],
)
def test_a_sweep_that_asks_what_a_change_gains_names_what_it_is_a_change_of(sweep: str, control: str) -> None:
    """Before: `How much do residual connections gain over a plain CNN?` was answered by comparisons with the best."""
    file = read_sweep(Path(__file__).parents[3] / "sweeps" / f"{sweep}.yaml")
    assert file.header.control == control


@pytest.mark.parametrize("outcome", ["", "# Outcome: test/accuracy, higher\n"])
def test_a_control_that_is_one_choice_makes_a_family_of_each_network(tmp_path: Path, write_run, outcome: str) -> None:
    """Before: the file of `handmade` named its first order as the reference, and each was compared with the best of
    both networks. Then a file with an outcome was compared so, still."""
    folder = tmp_path / "runs" / "twice"
    folder.mkdir(parents=True)
    (folder / "twice.yaml").write_text(
        f"# Q?\n{outcome}# Control:  lr=0.01\nmethod: grid\nmetric: {{name: test/accuracy, goal: maximize}}\n"
        'command: ["${env}", trainer, train, "${args_no_hyphens}"]\nparameters:\n'
        "  model.name: {values: [resnet18, resnet34]}\n  optimizer.lr: {values: [0.01, 0.02, 0.03]}\n"
        "  seed: {values: [0, 1, 2, 3, 4]}\n"
    )
    for network, level in (("resnet18", 0.5), ("resnet34", 0.9)):
        for rate, gain in ((0.01, 0.0), (0.02, 0.03), (0.03, -0.03)):
            for seed, step in enumerate(SEEDS):
                words = [f"model.name={network}", f"optimizer.lr={rate}", f"seed={seed}"]
                write_run(folder / f"{network}-{rate}-s{seed}", words, accuracy=level + gain + step)
    table = read_table(folder)
    found = {each.name: (each.finding, round(each.difference, 3)) for each in table.against_control}
    assert found == {
        f"{network}, lr={rate}": finding
        for network in ("resnet18", "resnet34")
        for rate, finding in ((0.02, ("higher", 3.0)), (0.03, ("lower", -3.0)))
    }
    family = {name: table.samples[name] for name in (f"resnet18, lr=0.0{n}" for n in (1, 2, 3))}
    assert table.against_control[:2] == with_control(family, "resnet18, lr=0.01")
    assert {each.word for each in table.verdicts_on_control.values()} == {"different"}
    assert {row[0]: row[-1] for row in significance.with_control(table).rows} == {
        f"{network}, lr={rate}": f"different, {side}"
        for network in ("resnet18", "resnet34")
        for rate, side in ((0.02, "higher"), (0.03, "lower"))
    }
    if outcome:
        said = outcomes.outcome(table)
        assert said.header[2] == "difference from its control" and "lr=0.01 with the same model" in said.caption
        assert {row[0] for row in said.rows if row[2] == "-"} == {"resnet18, lr=0.01", "resnet34, lr=0.01"}
    assert "Compared with the control, lr=0.01 with the same model: " in finding(table).text
    assert table.floor is not None
    difference = difference_needed((table.floor.std,) * 3, 5)
    assert f"from the control, lr=0.01 with the same model, by {difference:.2f} points" in floor_text(table)


def test_every_control_is_a_configuration_of_its_sweep() -> None:
    from trainer.report.configurations import of_sweep
    from trainer.report.controls import control_among
    from trainer.runs.groups import SEED

    for path in sorted((Path(__file__).parents[3] / "sweeps").glob("*.yaml")):
        if "# Control:" in path.read_text():
            sweep = read_sweep(path)
            configurations, _, _ = of_sweep(sweep, [key for key in sweep.varied if key != SEED], [])
            assert control_among(sweep.header.control, with_siblings(configurations)), path.name


def test_a_noise_floor_does_not_contradict_its_table(tmp_path: Path, write_run) -> None:
    """Before: one pooled standard deviation of 3.5 points, of runs that vary by 0.1 and by 5."""
    wide, narrow = [0.70, 0.80, 0.75, 0.72, 0.78], [0.9, 0.901, 0.902, 0.9005, 0.9015]
    said = floor_text(runs_of(tmp_path, write_run, r0_1=wide, r0_01=narrow))
    assert "The noise differs between configurations" in said and "from 0.08 to 4.12 points" in said
    assert "One pooled figure would mislead." in said and "the largest of these spreads for all" in said
    same = floor_text(runs_of(tmp_path / "b", write_run, r0_1=narrow, r0_01=[each - 0.01 for each in narrow[::-1]]))
    assert "Noise floor: the seed alone" in same and "Bartlett's test does not contradict" in same


# Published figures that runs cannot answer plainly.


def test_beside_the_verdict_on_the_last_epoch_is_that_on_the_best(write_schedules) -> None:
    """Before: only the first, though a report that printed its best epoch cannot be met by a last one."""
    folder = write_schedules(accuracies(linear=0.9, cosine=0.9))
    for path in folder.glob("*/summary.json"):
        content = json.loads(path.read_text())
        path.write_text(json.dumps({**content, "test/accuracy_best": content["test/accuracy"] + 0.02}))
    table = read_table(folder)
    heads = {each.answer.name: each for each in table.comparisons if each.headline}
    assert (heads["cosine"].verdict, heads["cosine"].on_best_epoch) == ("lower", "consistent")
    said = best_epoch_of(table, table.experiments[0])
    assert "cosine (lower by the last epoch, consistent by the best)" in said
    grid = beside.published(table, table.experiments[0], headlines=True)
    assert grid.header[-1] == "verdict on our best epochs" and grid.rows[0][-1] == "higher"


def test_above_88_is_no_about_88() -> None:
    runs = [{"test_acc": 93.0 + n / 10} for n in range(3)]
    at = [
        a_run(n, "finished", each, {"epoch": 20.0, "test/accuracy": 0.93 + n / 1000})
        for n, each in enumerate(runs)
    ]  # fmt: skip
    own = next(each for each in experiments() if each.id == "dfbc-s2-vgg-bn")
    answers = answers_of([own], [])
    ours = Configuration("ours", {}, {}, tuple(at))
    answers[1] = type(answers[1])(own, own.rows[1], answers[1].name, ours, (ours,), (), ())
    figure = next(each for each in compared(answers) if each.figure.name == "test accuracy, epoch 20")
    assert (figure.figure.printed, figure.verdict) == ("above 88%", "consistent")


def test_about_100_epochs_is_read_to_ten() -> None:
    runs = [{"convergence_epochs": 91.0 + n / 10} for n in range(3)]
    found = a_comparison("dfbc-s2-vgg-bn", 0, "epochs to convergence", *runs)
    assert (found.figure.printed, found.figure.rounding, found.verdict) == ("about 100", 10.0, "consistent")


@pytest.mark.parametrize(
    ("id", "figure", "measure"),
    [
        ("a0b5-s9-lipschitz", "largest gradient difference over distance", "lipschitz"),
        ("a0b5-s8-convergence", "epochs to convergence", "convergence_epochs"),
    ],
)
def test_what_the_report_does_not_define_has_no_plain_verdict(id: str, figure: str, measure: str) -> None:
    """Before: a maximum over a run was a plain verdict, and our convergence counted among the reproduced figures."""
    found = a_comparison(id, 0, figure, *({measure: 90.0 + n} for n in range(3)))
    assert verdict_of(found) == "by our definition: higher" and not found.reproduced


def test_another_number_of_parameters_is_another_network_and_no_verdict() -> None:
    """Before: `higher`, as if a count of ours could refute theirs."""
    same = a_comparison("b35c-t7-models", 0, "parameters", {"params": 62_006.0})
    other = a_comparison("b35c-t7-models", 0, "parameters", {"params": 70_000.0})
    assert verdict_of(same) == "consistent"
    assert verdict_of(other) == "not compared: our network has another count" and not other.reproduced


def test_a_figure_that_our_runs_do_not_have_is_not_waited_for() -> None:
    """Before: `no runs`, for ever."""
    runs = [{"test_acc": 90.0 + n} for n in range(3)]
    found = a_comparison("a0b5-s9-gradient-cosine", 0, "cosine of successive gradients", *runs)
    assert verdict_of(found) == "not compared: our runs have no such figure"
    never = a_comparison("b35c-t7-models", 0, "time per epoch")
    assert verdict_of(never) == "not compared"
    waiting = a_comparison("a0b5-s9-gradient-cosine", 0, "cosine of successive gradients")
    assert verdict_of(waiting) == "no runs"


def test_an_error_of_images_that_came_out_at_zero_is_not_printed_as_none(write_schedules) -> None:
    """Before: `-0.01 ± 0.00`, of an estimate of variance that was below 0 and clipped."""
    folder = write_schedules({"cosine": [0.9, 0.9, 0.9], "step": [0.9, 0.9, 0.89]})
    for run in folder.glob("*-s*"):
        right = [image % 10 > 0 for image in range(1000)]  # the same images in every run
        (run / "confusion.json").write_text(json.dumps({"counts": [], "classes": [], "correct": pack_bits(right)}))
    noises = significance.two_noises(read_table(folder))
    (step,) = (row for row in noises.rows if row[0] == "step")
    assert step[2] == "0.95" and step[3].endswith(", none seen") and "None seen" in noises.caption


@pytest.mark.parametrize(
    ("trained", "expected"),
    [({0.1: True, 1: True, 10: False}, 1), ({0.1: True, 1: False}, 0), ({0.1: False, 1: False}, 0)],
)
def test_a_seed_at_which_no_rate_trains_spans_no_decade(trained: dict[float, bool], expected: float) -> None:
    assert decades(trained) == pytest.approx(expected)
