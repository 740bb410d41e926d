"""Before the runs: the smallest difference that n seeds find with 80 % power, and the seeds that a difference needs.

Each test is one that a report's page makes (docs/statistics.md), at the table's correction.
"""

from typing import Literal

from trainer.statistics.power import difference_needed, lead_needed, smallest_n
from trainer.statistics.seedwise import smallest_found

Test = Literal["best", "control", "pairs"]
"""best: the best one against each other, Hsu's and Welch's tests. control: each against one, Dunnett's and Welch's.
pairs: each against one seed by seed, the t-test after Bonferroni."""


def smallest_difference(test: Test, std: float, n: int, *, others: int) -> float | None:
    """Return the smallest true difference that n seeds of each configuration find in 80 % of sweeps.

    `others` is the number of configurations without the best one or the control. `std` is the standard deviation of a
    run, or of a pair's difference for `pairs`. None below three seeds, which have no verdict, and without spread.
    """
    match test:
        case "best":
            return lead_needed((std,) * (others + 1), n)
        case "control":
            return difference_needed((std,) * (others + 1), n)
        case "pairs":
            return smallest_found(std, n, comparisons=others)


def seeds_for(test: Test, std: float, difference: float, *, others: int) -> int | None:
    """Return the smallest number of seeds that find a difference in 80 % of sweeps.

    None without spread, or if more than 10,000 would be needed.
    """
    if not std:
        return None
    unit = difference / std

    def enough(n: int) -> bool:
        found = smallest_difference(test, 1.0, n, others=others)
        return found is not None and found <= unit

    return smallest_n(enough)
