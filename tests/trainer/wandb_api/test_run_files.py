"""Rows of a run on W&B as its folder would hold them."""

from trainer.wandb_api.run_files import rows_of

REPEATED = [
    {"epoch": 0.5, "step": 5, "train/loss_running": 2.0},
    {"epoch": 1, "step": 10, "train/loss_running": 1.5},
    {"epoch": 1, "step": 10, "train/accuracy": 0.1},  # its checkpoint
    {"epoch": 1, "step": 10, "probe/beta": 3.0},
    {"epoch": 1.5, "step": 15, "train/loss_running": 1.0},
    {"epoch": 1, "step": 10, "probe/beta": 3.5},  # resumed
    {"epoch": 1.5, "step": 15, "train/loss_running": 1.25},
    {"epoch": 2, "step": 20, "train/loss_running": 0.75},
    {"epoch": 2, "step": 20, "train/accuracy": 0.2},
]


def test_what_a_resumed_run_measured_again_counts_once_as_in_its_folder() -> None:
    assert rows_of(REPEATED) == REPEATED[:3] + REPEATED[5:]


def test_a_run_begun_again_from_the_start_has_its_last_attempt() -> None:
    assert rows_of(REPEATED + REPEATED[:2]) == REPEATED[:2]


def test_a_first_part_that_was_sent_last_comes_first() -> None:
    assert rows_of([*REPEATED[7:], *REPEATED[:2]]) == [*REPEATED[:2], *REPEATED[7:]]


def test_what_is_measured_again_differently_is_cut_where_its_step_begins() -> None:
    other = {"epoch": 1.2, "step": 12, "val/loss": 0.5}
    assert rows_of([*REPEATED[:5], other]) == [*REPEATED[:4], other]


def test_what_is_no_number_is_null_and_what_is_not_of_the_folder_is_left_out() -> None:
    told = [
        {"epoch": 1, "step": 5, "_step": 0, "_runtime": 3.5, "a": float("nan"), "b": "Infinity", "c": "NaN", "d": None},
        {"epoch": 1, "step": 6, "a": 1.5, "picture": {"_type": "image-file"}, "panels/x": {"_type": "table-file"}},
        {"panels/y": {"_type": "table-file"}, "_step": 2},
        {"epoch": 1, "step": 6, "inspect/accuracy": 0.5},
    ]
    assert rows_of(told) == [
        {"epoch": 1, "step": 5, "a": None, "b": None, "c": None},
        {"epoch": 1, "step": 6, "a": 1.5},
    ]
