"""How far a sweep is: means with their spread and n, and what is missing, failed or there twice."""

from pathlib import Path
from typing import Any

import pytest
from command_line import run_here
from pretend.watch import write_sweep

from trainer.sweep.file import Sweep, parse_sweep
from trainer.sweep.ledger import Ledger
from trainer.sweep.local import open_sweep
from trainer.sweep.points import Point, points_of
from trainer.sweep.status import Attempt, Progress, as_text, progress, rows

POINTS = [Point({"model.act": act, "seed": seed}) for act in ("relu", "gelu") for seed in (0, 1, 2)]


def sweep(metric: str = "test/accuracy", goal: str = "maximize", method: str = "grid") -> Sweep:
    """It varies what POINTS vary."""
    text = f"""
    method: {method}
    run_cap: 10
    metric: {{name: {metric}, goal: {goal}}}
    parameters: {{model.act: {{values: [relu, gelu]}}, seed: {{values: [0, 1, 2]}}}}
    """
    return parse_sweep(text, Path("s.yaml"))


def of(*attempts: Attempt) -> Progress:
    return progress(POINTS, attempts, sweep=sweep())


def test_a_table_has_means_deviations_of_n_minus_1_and_n() -> None:
    found = of(*(Attempt(POINTS[i], "finished", value, f"r{i}") for i, value in enumerate((0.90, 0.92, 0.94, 0.5))))
    assert rows(found) == [
        ("act=relu", "92.00 ± 2.00% (n=3)", "3 finished"),
        ("act=gelu", "50.00% (n=1)", "1 finished, 2 missing"),
    ]
    assert found.best
    assert found.best.point == POINTS[2]
    assert not found.complete


def test_a_run_at_chance_is_in_no_mean_where_another_has_learned() -> None:
    """Before: `63.33 ± 46.19% (n=3)`."""
    reached = (0.90, 0.10, 0.90, 0.1, 0.1)
    found = of(*(Attempt(POINTS[i], "finished", value, f"r{i}") for i, value in enumerate(reached)))
    assert rows(found) == [
        ("act=relu", "90.00 ± 0.00% (n=2)", "3 finished (1 at chance)"),
        ("act=gelu", "-", "2 finished, 1 missing (2 at chance)"),
    ]
    short = of(Attempt(POINTS[0], "finished", 0.1, "r"), Attempt(POINTS[1], "finished", 0.12, "r"))
    assert [value for _, value, _ in rows(short)] == ["11.00 ± 1.41% (n=2)", "-"]  # too short for anything


def test_what_chance_is_follows_the_data_of_the_command() -> None:
    text = """
    method: grid
    metric: {name: test/accuracy, goal: maximize}
    command: [trainer, train, data.name=cifar100, "${args}"]
    parameters: {model.act: {values: [relu, gelu]}, seed: {values: [0, 1, 2]}}
    """
    reached = (0.3, 0.3, 0.3, 0.1, 0.1, 0.1)
    attempts = [Attempt(POINTS[i], "finished", value, f"r{i}") for i, value in enumerate(reached)]
    found = progress(POINTS, attempts, sweep=parse_sweep(text, Path("s.yaml")))
    assert [value for _, value, _ in rows(found)] == ["30.00 ± 0.00% (n=3)", "10.00 ± 0.00% (n=3)"]


def test_shapes10_has_its_own_chance_and_a_run_tells_that_of_other_data() -> None:
    """Before: nothing but CIFAR was known, so the terminal averaged what the page of the same runs passed over."""
    text = """
    method: grid
    metric: {name: test/accuracy, goal: maximize}
    command: [trainer, train, data.name=DATA, "${args}"]
    parameters: {model.act: {values: [relu, gelu]}, seed: {values: [0, 1, 2]}}
    """
    reached = (0.9, 0.104, 0.9)
    of_data = {
        name: progress(
            POINTS,
            [Attempt(POINTS[i], "finished", value, f"r{i}", tests=tests) for i, value in enumerate(reached)],
            sweep=parse_sweep(text.replace("DATA", name), Path("s.yaml")),
        )
        for name, tests in {"shapes10": None, "npz": None, "folder": (500, 10), "svhn": (100, 5)}.items()
    }
    first = {name: rows(found)[0][1:] for name, found in of_data.items()}
    without = ("90.00 ± 0.00% (n=2)", "3 finished (1 at chance)")
    assert first["shapes10"] == first["folder"] == first["svhn"] == without
    assert first["npz"] == ("63.47 ± 45.96% (n=3)", "3 finished")  # nobody says how many images and classes


def test_a_loss_is_no_percentage_and_nothing_is_a_dash() -> None:
    attempts = [Attempt(POINTS[i], "finished", value, "r") for i, value in enumerate((0.25, 0.75))]
    values = [value for _, value, _ in rows(progress(POINTS, attempts, sweep=sweep("test/loss")))]
    assert values == ["0.5000 ± 0.3536 (n=2)", "-"]


def test_the_best_of_several_attempts_counts_and_a_second_finished_one_is_reported() -> None:
    found = of(
        Attempt(POINTS[0], "crashed", None, "a", "RuntimeError: no"),
        Attempt(POINTS[0], "finished", 0.5, "b"),
        Attempt(POINTS[1], "finished", 0.5, "c"),
        Attempt(POINTS[1], "finished", 0.6, "d"),
        Attempt(POINTS[2], "diverged", None, "e", "loss is not finite"),
        Attempt(Point({"model.act": "silu", "seed": 0}), "finished", 0.9, "f"),
    )
    assert [status.state for status in found.points[:3]] == ["finished", "finished", "diverged"]
    assert [status.duplicated for status in found.points[:3]] == [False, True, False]
    assert as_text(found).splitlines()[3:] == [
        "run 2 times: act=relu, seed=1, c, d",
        "diverged: act=relu, seed=2, e: loss is not finite",
        "no longer in the file: act=silu, seed=0",
        "2 of 6 points are done",
    ]
    plain = found.as_json()
    assert plain["states"] == {"finished": 2, "diverged": 1, "missing": 3}
    assert plain["points"][1]["duplicated"]


@pytest.mark.parametrize(("goal", "best"), [("maximize", 2), ("minimize", 0)])
def test_the_goal_says_which_is_best(goal: str, best: int) -> None:
    attempts = [Attempt(POINTS[i], "finished", float(i), "r") for i in range(3)]
    found = progress(POINTS, attempts, sweep=sweep("test/loss", goal)).best
    assert found
    assert found.point == POINTS[best]


def test_a_search_is_complete_when_it_has_come_to_all_its_points() -> None:
    attempts = [Attempt(point, "finished", 0.5, "r") for point in POINTS]
    found = progress([], attempts[:5], sweep=sweep(method="bayes"))
    assert [status.point for status in found.points] == POINTS[:5]
    assert not found.complete
    assert as_text(found).endswith("5 of 6 points are done"), "run_cap is 10, and the space has six points"
    assert progress([], attempts, sweep=sweep(method="bayes")).complete


def test_a_random_search_is_complete_when_its_space_has_no_other_point() -> None:
    """Before: `3 of 10 points are done`, for good."""
    steps = "{distribution: q_log_uniform_values, min: 1, max: 3, q: 1}"
    text = f"method: random\nrun_cap: 10\nparameters: {{train.epochs: {steps}}}"
    search = parse_sweep(text, Path("s.yaml"))
    points = points_of(search)
    found = progress(points, [Attempt(point, "finished", None, "r") for point in points], sweep=search)
    assert (len(points), found.total, found.complete) == (3, 3, True)
    assert progress([], found.points[0].attempts, sweep=search).total == 10, "W&B draws them as it runs"


def killed_in(folder: Path, name: str) -> None:
    """Leave a sweep whose controller was killed during its only run."""
    path = write_sweep(folder, {"seed": {"values": [0]}}).rename(folder / f"{name}.yaml")
    sweep = open_sweep(path, runs=folder / "runs")
    with Ledger(sweep.checked.sweep, sweep.folder, None, overrides=[]) as ledger:
        ledger.enqueue(sweep.entries)
        assert ledger.claim(lambda _: sweep.entries[0])
        (life,) = sweep.folder.glob(".controller-*.lock")
    life.touch()
    path.rename(sweep.folder / path.name)


@pytest.mark.parametrize("name", [".ledger.lock", ".controller-"])
def test_a_folder_that_may_only_be_read_is_one_line(
    tmp_path: Path, name: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Before: a traceback, and no later sweep of `list`. Modes do not bind root, so the file itself refuses."""
    for folder in ("a", "b"):
        killed_in(tmp_path, folder)
    opened = Path.open

    def guarded(path: Path, *how: Any, **more: Any) -> Any:
        if path.parent.name == "a" and path.name.startswith(name):
            raise PermissionError(13, "Permission denied")
        return opened(path, *how, **more)

    monkeypatch.setattr(Path, "open", guarded)
    runs = str(tmp_path / "runs")
    assert run_here(["sweep", "status", f"{runs}/a/a.yaml", "--runs", runs]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith(f"error: {runs}/a/{name}") and line.endswith("Permission denied")
    assert run_here(["sweep", "list", "--runs", runs]) == 0
    first, second = capsys.readouterr().out.splitlines()
    assert "Permission denied" in first and second == f"{runs}/b  0 of 1 points are done"
