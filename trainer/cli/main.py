"""The application: which commands there are, in which order `--help` shows them, and how a mistake is shown."""

import errno
import sys
from typing import Annotated, Any, cast

import typer
from typer.core import TyperGroup

from trainer.cli import (
    bench,
    compare,
    evaluate,
    export,
    inspect,
    landscape,
    lr_find,
    panels,
    preview,
    report,
    show,
    sweep,
    train,
)
from trainer.cli.examples import examples
from trainer.cli.slow_start import slow_start_told
from trainer.cli.streams import check_output, outlive_the_console
from trainer.errors import UserError
from trainer.threads import let_waiting_threads_sleep

_UsageError = cast(
    "type[typer.BadParameter]", typer.BadParameter.__mro__[1]
)  # typer brings a click of its own, unnamed


class _ByPurpose(TyperGroup):
    """Lists the commands under their `rich_help_panel`, which typer shows only with rich's boxes."""

    def format_commands(self, ctx: Any, formatter: Any) -> None:
        panels: dict[str, list[tuple[str, str]]] = {}
        for name, command in self.commands.items():
            help_text = command.get_short_help_str(limit=formatter.width - 16)
            panels.setdefault(getattr(command, "rich_help_panel", None) or "Commands", []).append((name, help_text))
        for title, rows in panels.items():
            with formatter.section(title):
                formatter.write_dl(rows)


app = typer.Typer(
    cls=_ByPurpose,
    no_args_is_help=True,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    help="Train CIFAR-sized image classifiers, one run or a whole ablation at a time.",
)


@app.callback()
def _options(
    version: Annotated[
        bool, typer.Option("--version", help="Print the version.", callback=show.version, is_eager=True)
    ] = False,
) -> None:
    """Take what stands before a command."""


_TRAIN, _ASK, _LOOK, _LIST = "Train a network", "Answer a question", "Look inside", "List what there is"
app.command(rich_help_panel=_TRAIN, **train.SETTINGS)(train.train)
app.command(rich_help_panel=_TRAIN, epilog=examples("evaluate"))(evaluate.evaluate)
app.command(rich_help_panel=_TRAIN, epilog=examples("export"))(export.export)
app.command("lr-find", rich_help_panel=_TRAIN, **lr_find.SETTINGS)(lr_find.lr_find)
app.add_typer(preview.app, name="preview", rich_help_panel=_TRAIN)
app.add_typer(bench.app, name="bench", rich_help_panel=_TRAIN)
app.add_typer(sweep.app, name="sweep", rich_help_panel=_ASK)
app.command(rich_help_panel=_ASK, **report.SETTINGS)(report.report)
app.command(rich_help_panel=_ASK, epilog=examples("compare"))(compare.compare)
app.command(rich_help_panel=_LOOK, epilog=examples("inspect"))(inspect.inspect)
app.add_typer(landscape.app, name="landscape", rich_help_panel=_LOOK)
app.add_typer(panels.app, name="panels", rich_help_panel=_LOOK)
app.command("models", rich_help_panel=_LIST, epilog=examples("models"))(show.list_models)
app.command("recipes", rich_help_panel=_LIST, epilog=examples("recipes"))(show.list_recipes)
app.command("config", rich_help_panel=_LIST, **show.CONFIG_SETTINGS)(show.show_config)


def main() -> None:
    """Run the command line. A user's mistake is a line each on stderr and exit code 2; a bug keeps its traceback."""
    outlive_the_console()
    let_waiting_threads_sleep()
    try:
        with slow_start_told():
            code = app(standalone_mode=False)
        if code is None:  # of a command whose result is what it prints; `train` has its folder, and returns 0
            check_output()
    except UserError as error:
        for problem in error.problems:
            typer.echo(f"error: {problem}", err=True)
        code = 2
    except OSError as error:
        if error.errno != errno.ENAMETOOLONG:
            raise
        typer.echo(f"error: {error.filename}: {error.strerror}", err=True)  # wherever a command first looks for it
        code = 2
    except _UsageError as error:  # `trainer` alone asks for help
        typer.echo(f"error: {error.format_message()}" if sys.argv[1:] else error.format_message(), err=True)
        code = 2
    except (KeyboardInterrupt, typer.Abort):
        code = 130
    sys.exit(code if isinstance(code, int) else 0)
