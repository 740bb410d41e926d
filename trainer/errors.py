"""Mistakes that a user can correct. Each is shown as one clear line per problem, with exit code 2."""


class UserError(Exception):
    """A mistake outside the program. It prints `problems`, a line each, and never a traceback."""

    def __init__(self, *problems: str) -> None:
        super().__init__("\n".join(problems))
        self.problems = problems


class ConfigError(UserError):
    """A config value that cannot be used: the key, the value, the nearest right one."""


class DataError(UserError):
    """A data set that is missing, damaged or unreadable: the file and the ways out."""


class CheckpointError(UserError):
    """A checkpoint or run folder that cannot be read or resumed."""


class DiskError(UserError):
    """A file or folder that cannot be written or read: no space, no permission."""


class SweepError(UserError):
    """A sweep file that W&B or the local engine could not run."""


def first_line(error: BaseException) -> str:
    """Return the first line of an exception's message, or its type if it has none."""
    return next(iter(str(error).splitlines()), "") or type(error).__name__
