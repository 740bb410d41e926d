"""Comments of a sweep's file that say something to a report, however they are spaced."""

import pytest

from trainer.sweep.header import Until, read_header, read_until, with_until


@pytest.mark.parametrize("line", ["# Margin: 0.3", "#Margin: 0.3", "# Margin:0.3", "#  Margin: 0.3", "# Margin : 0.3"])
def test_a_margin_is_read_in_any_spacing(line: str) -> None:
    header, problems = read_header(f"# Which is better?\n{line}\nmethod: grid\n")
    assert (header.question, header.margin, problems) == ("Which is better?", 0.3, [])


@pytest.mark.parametrize("line", ["#Margin:0", "# Seeds:1", "#Outcome :test/loss", "# Decided:now"])
def test_a_mistake_is_one_in_any_spacing(line: str) -> None:
    assert len(read_header(f"# Which is better?\n{line}\n")[1]) == 1


def test_a_first_line_with_a_key_is_no_question() -> None:
    assert read_header("#Control:relu\n")[0].question == ""


@pytest.mark.parametrize("margin", [None, 0.3, 1e-7, 1e6, 2.5e12])
def test_a_design_is_read_as_it_was_written(margin: float | None) -> None:
    """Before: a margin of a million could not be read."""
    for until in (Until("best", "", 3, 10, margin), Until("against", "lr=0.1", 3, 10, margin)):
        assert read_until(str(until)) == until


def test_an_older_line_of_decided_goes_in_any_spacing() -> None:
    assert with_until("# Which?\n#Decided:best, 3 to 4 seeds\nmethod: grid\n", "") == "# Which?\nmethod: grid\n"
