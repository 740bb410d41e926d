"""Mistakes that a user can correct. Each is shown as one clear line per problem, with exit code 2."""

_LONGEST = 1000  # characters of a line; a value in it may be a whole file


class UserError(Exception):
    """A mistake outside the program. It prints `problems`, a line each, and never a traceback."""

    def __init__(self, *problems: str) -> None:
        self.problems = tuple(map(_shortened, problems))
        super().__init__("\n".join(self.problems))


class ConfigError(UserError):
    """A config value that cannot be used: the key, the value, the nearest right one."""


class DataError(UserError):
    """A data set that is missing, damaged or unreadable: the file and the ways out."""


class CheckpointError(UserError):
    """A checkpoint or run folder that cannot be read or resumed."""


class ArchiveError(UserError):
    """An archive of runs that is damaged, foreign or of another format: the file and the line."""


class ExportError(UserError):
    """A network that a format cannot express, or whose copy gives other logits."""


class DiskError(UserError):
    """A file or folder that cannot be written or read: no space, no permission."""


class SweepError(UserError):
    """A sweep file that W&B or the local engine could not run."""


def _shortened(line: str) -> str:
    line = line.replace("\n", "\\n")  # of a value
    return line if len(line) <= _LONGEST else f"{line[:600]} ... {line[-300:]}"


def first_line(error: BaseException) -> str:
    """Return the first line of an exception's message, or its type if it has none."""
    return next(iter(str(error).splitlines()), "") or type(error).__name__
