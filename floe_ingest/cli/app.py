"""The root of the command line: its commands, its signals, and the one place where it ends."""

from __future__ import annotations

import contextlib
import signal
import sys
import threading
from typing import TYPE_CHECKING

import click

from floe_ingest.cli import exits
from floe_ingest.cli.check import check
from floe_ingest.cli.clean import clean
from floe_ingest.cli.init import init
from floe_ingest.cli.listing import plugins, schema, sources
from floe_ingest.cli.new_source import new_source
from floe_ingest.cli.options import global_options
from floe_ingest.cli.run import run

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

PROGRAM = "floe-ingest"


def _print_version(ctx: click.Context, _param: click.Parameter, wanted: bool) -> None:
    if not wanted or ctx.resilient_parsing:
        return
    from floe_ingest_hookspecs import __version__

    click.echo(f"{PROGRAM} {__version__}")
    ctx.exit()


class _InOrder(click.Group):
    """Lists its commands in the order of their use, not of the alphabet."""

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002  click's signature
        return list(self.commands)


@click.group(
    cls=_InOrder,
    context_settings={"help_option_names": ["-h", "--help"]},
    epilog="Exit codes: 0 done; 1 a load failed; 2 the configuration or the command line is wrong; "
    "130 interrupted.",
)
@click.option(
    "--version",
    is_flag=True,
    is_eager=True,
    expose_value=False,
    callback=_print_version,
    help="Show the version and exit.",
)
@global_options(environment=True)
def cli() -> None:
    """Load REST APIs, SQL databases and files into Apache Iceberg tables.

    Results go to stdout, progress and logs to stderr.
    """


for _command in (init, check, run, clean, sources, plugins, schema, new_source):
    cli.add_command(_command)


def main(args: Sequence[str] | None = None) -> int:
    """Run the command line and return its exit code; see ``floe_ingest.cli.main``."""
    words = list(sys.argv[1:] if args is None else args)
    with _encodable_stdout(), _terminate_like_interrupt():
        try:
            code = cli.main(args=words, prog_name=PROGRAM, standalone_mode=False)
        except click.ClickException as error:
            return exits.present_usage_error(error, as_json=_wants_json(words))
        except click.Abort:
            return exits.present_interruption(command=None, as_json=_wants_json(words))
    return int(code or 0)


def _wants_json(words: Sequence[str]) -> bool:
    """Tell whether ``--json`` was written, for errors that end the parsing before options have values."""
    options = words[: words.index("--")] if "--" in words else words
    return "--json" in options


@contextlib.contextmanager
def _terminate_like_interrupt() -> Iterator[None]:
    """Make SIGTERM unwind the stack as Ctrl-C does, so that connections and files are closed."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


@contextlib.contextmanager
def _encodable_stdout() -> Iterator[None]:
    """Let a name that the terminal's encoding lacks show as an escape, instead of failing a finished run."""
    stream = sys.stdout
    reconfigure = getattr(stream, "reconfigure", None)
    if reconfigure is None:
        yield
        return
    before = stream.errors
    reconfigure(errors="backslashreplace")
    try:
        yield
    finally:
        reconfigure(errors=before)
