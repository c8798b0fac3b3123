"""The `recolor` program: which commands there are, and the one place where errors become text.

A command is one line in `COMMANDS`; its module is imported only when the command runs or the list
of commands is shown, and must not import torch, cv2 or numpy before its function is called.
"""

from __future__ import annotations

import io
import os
import signal
import sys
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from importlib import import_module
from typing import TYPE_CHECKING, Annotated, Any, NamedTuple, cast

import typer
from typer.core import TyperGroup

from recolor_cli.cli.config_file import CHOICE
from recolor_cli.cli.configured import configure, prepare
from recolor_cli.cli.console import discard_stdout
from recolor_cli.errors import RecolorError

if TYPE_CHECKING:
    from typing import NoReturn


class Entry(NamedTuple):
    """Where a command lives: `attribute` is a function, or a `typer.Typer` with subcommands."""

    module: str
    attribute: str
    panel: str


PHOTOS, NETWORKS, MATERIAL = "Photographs", "Networks", "Weights, data, recipes"

HELP = "recolor_cli.help"  # in the context: whether the command is to explain itself

COMMANDS: dict[str, Entry] = {
    "colorize": Entry("recolor_cli.cli.colorize", "colorize", PHOTOS),
    "gallery": Entry("recolor_cli.cli.gallery", "gallery", PHOTOS),
    "compare": Entry("recolor_cli.cli.compare", "compare", PHOTOS),
    "benchmark": Entry("recolor_cli.cli.benchmark", "benchmark", PHOTOS),
    "train": Entry("recolor_cli.cli.train", "train", NETWORKS),
    "eval": Entry("recolor_cli.cli.eval", "evaluate", NETWORKS),
    "models": Entry("recolor_cli.cli.models", "app", MATERIAL),
    "data": Entry("recolor_cli.cli.data", "app", MATERIAL),
    "recipes": Entry("recolor_cli.cli.recipes", "recipes", MATERIAL),
    "config": Entry("recolor_cli.cli.config", "config", MATERIAL),
}


class LazyGroup(TyperGroup):
    """A group whose commands are imported when they are asked for."""

    def list_commands(self, ctx: Any) -> list[str]:  # noqa: ARG002  Typer passes it
        """The names in the order of `COMMANDS`."""
        return list(COMMANDS)

    def get_command(self, ctx: Any, cmd_name: str) -> Any:  # noqa: ARG002
        """Import one command; None if there is no such name."""
        entry = COMMANDS.get(cmd_name)
        if entry is None:
            return None
        module = import_module(entry.module)
        target = getattr(module, entry.attribute)
        group = typer.Typer(add_completion=False)
        group.callback()(lambda: None)  # keeps it a group, so that the command can be taken out
        if isinstance(target, typer.Typer):
            group.add_typer(target, name=cmd_name, rich_help_panel=entry.panel)
        else:
            epilog = getattr(module, "EPILOG", None)  # examples, each its own paragraph
            group.command(cmd_name, rich_help_panel=entry.panel, epilog=epilog)(target)
        outer: Any = typer.main.get_command(group)
        command = outer.commands[cmd_name]
        prepare(command, (cmd_name,))
        return command

    def invoke(self, ctx: Any) -> Any:
        """As Typer does; whether help is wanted must be known before the command is."""
        ctx.meta[HELP] = bool({"-h", "--help"} & set(ctx.args))
        return super().invoke(ctx)

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:
        """As Typer does, with the lazy names known to its "did you mean"."""
        names: Any = dict.fromkeys(self.list_commands(ctx))
        self.commands = names
        return super().resolve_command(ctx, args)


app = typer.Typer(
    name="recolor",
    cls=LazyGroup,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode="rich",
    context_settings={"help_option_names": ["-h", "--help"]},
    epilog="Examples:  [bold]recolor colorize photos/ -o colored/[/]   "
    "[bold]recolor colorize --help[/]",
)


def _print_version(value: bool) -> None:
    if value:
        from recolor_cli import __version__

        typer.echo(f"recolor {__version__}")
        raise typer.Exit


@app.callback()
def recolor(
    ctx: typer.Context,
    version: Annotated[  # noqa: ARG001  its callback has done all
        bool,
        typer.Option("--version", callback=_print_version, is_eager=True, help="Show the version."),
    ] = False,
    config: Annotated[
        str | None,
        typer.Option(
            "--config",
            envvar=CHOICE,
            metavar="FILE|none",
            help="Settings from this file, instead of the nearest recolor.toml and your own.",
        ),
    ] = None,
) -> None:
    """Colour for black-and-white photographs; train and evaluate the networks that do it."""
    ctx.obj = config
    name, group = ctx.invoked_subcommand, cast("LazyGroup", ctx.command)
    if name is None or name == "config" or ctx.meta[HELP]:
        return  # help is there also for those who want to mend a file
    configure(ctx, group.get_command(ctx, name), (name,), config)


def main(argv: Sequence[str] | None = None) -> NoReturn:
    """Run `recolor` and leave with its exit status; foreseen errors become one line on stderr.

    Status: 0 done, 1 some photographs failed, 2 wrong usage, 3 weights, 4 output, 130 interrupted,
    143 terminated. Unforeseen errors keep their traceback.
    """
    if sys.stderr is None:  # closed by who started us: words go nowhere, and files not there
        sys.stderr = open(os.devnull, "w")  # noqa: SIM115  until the process ends
    if isinstance(sys.stdout, io.TextIOWrapper):  # as stderr is: not every console knows all signs
        sys.stdout.reconfigure(errors="backslashreplace")
    try:
        with _sigterm_as_interrupt():
            app(args=None if argv is None else list(argv), prog_name="recolor")
    except RecolorError as error:
        _say(f"recolor: {error}")
        raise SystemExit(error.exit_code) from None
    except KeyboardInterrupt:
        raise SystemExit(130) from None
    except PermissionError as error:
        if error.filename is None:
            raise
        _say(f"recolor: {os.fspath(error.filename)!r} cannot be used: permission denied")
        raise SystemExit(4) from None
    except BrokenPipeError:  # the reader of stdout has gone (`| head`)
        discard_stdout()
        raise SystemExit(1) from None
    raise SystemExit(0)


@contextmanager
def _sigterm_as_interrupt() -> Iterator[None]:
    """Let SIGTERM, as from a batch system at its time limit, end the work as Ctrl-C does.

    Status 143 instead of 130 tells them apart. A second SIGTERM acts at once.
    """
    number = signal.SIGTERM
    before = signal.getsignal(number)
    if before is not signal.SIG_DFL or threading.current_thread() is not threading.main_thread():
        yield  # whoever started us has other wishes
        return
    came = threading.Event()

    def hear(_number: int, _frame: object) -> None:
        signal.signal(number, signal.SIG_DFL)
        came.set()
        raise KeyboardInterrupt

    signal.signal(number, hear)
    try:
        yield
    except (KeyboardInterrupt, SystemExit):  # Typer makes a SystemExit of the former
        if came.is_set():
            raise SystemExit(128 + number) from None
        raise
    finally:
        signal.signal(number, before)


def _say(text: str) -> None:
    safe = text.encode("utf-8", "backslashreplace").decode()
    sys.stderr.write(safe.replace("\n", "\\n") + "\n")
