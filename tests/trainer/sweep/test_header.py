"""Comments of a sweep's file that say something to a report, however they are spaced."""

import pytest

from trainer.sweep.header import read_header, with_until


@pytest.mark.parametrize("line", ["# Margin: 0.3", "#Margin: 0.3", "# Margin:0.3", "#  Margin: 0.3", "# Margin : 0.3"])
def test_a_margin_is_read_in_any_spacing(line: str) -> None:
    header, problems = read_header(f"# Which is better?\n{line}\nmethod: grid\n")
    assert (header.question, header.margin, problems) == ("Which is better?", 0.3, [])


@pytest.mark.parametrize("line", ["#Margin:0", "# Seeds:1", "#Outcome :test/loss", "# Decided:now"])
def test_a_mistake_is_one_in_any_spacing(line: str) -> None:
    assert len(read_header(f"# Which is better?\n{line}\n")[1]) == 1


def test_a_first_line_with_a_key_is_no_question() -> None:
    assert read_header("#Control:relu\n")[0].question == ""


def test_an_older_line_of_decided_goes_in_any_spacing() -> None:
    assert with_until("# Which?\n#Decided:best, 3 to 4 seeds\nmethod: grid\n", "") == "# Which?\nmethod: grid\n"
