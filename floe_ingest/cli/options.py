"""Options that several commands share, and the command class that turns errors into exit codes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeVar

import click
from click.core import ParameterSource

from floe_ingest.cli import exits

if TYPE_CHECKING:
    from collections.abc import Callable

Function = TypeVar("Function", bound="Callable[..., Any]")

LOG_LEVELS = ("debug", "info", "warning", "error")
_META = "floe_ingest.cli."


@dataclass(frozen=True, slots=True)
class Settings:
    """What holds for every command.

    Arguments:
        debug: whether errors show the full chain of causes.
        log_level: the lowest level that is logged.
    """

    debug: bool = False
    log_level: str = "warning"

    @classmethod
    def of(cls, ctx: click.Context) -> Settings:
        """Return what was written before the command's name, or after it, where the latter wins."""
        return cls(
            debug=bool(ctx.meta.get(f"{_META}debug", False)),
            log_level=str(ctx.meta.get(f"{_META}log_level", "warning")),
        )


def global_options(*, environment: bool = False) -> Callable[[Function], Function]:
    """Give a command ``--debug`` and ``--log-level``.

    They stand on the group and on each command, since both places are natural to write them in.

    Arguments:
        environment: whether their variables are read. Only the group does, so that what is written on
            the command line is never overridden by a variable.
    """

    def decorate(function: Function) -> Function:
        log_level = click.option(
            "--log-level",
            type=click.Choice(LOG_LEVELS, case_sensitive=False),
            envvar="FLOE_INGEST_LOG_LEVEL" if environment else None,
            show_envvar=environment,
            expose_value=False,
            callback=_keep,
            help="Log this and above to stderr (default: warning).",
        )
        debug = click.option(
            "--debug",
            is_flag=True,
            envvar="FLOE_INGEST_DEBUG" if environment else None,
            show_envvar=environment,
            expose_value=False,
            callback=_keep,
            help="Show the full chain of causes of an error.",
        )
        return debug(log_level(function))

    return decorate


def _keep(ctx: click.Context, param: click.Parameter, value: object) -> None:
    if param.name and ctx.get_parameter_source(param.name) is not ParameterSource.DEFAULT:
        ctx.meta[f"{_META}{param.name}"] = value


def json_option(function: Function) -> Function:
    """Give a command ``--json`` as the parameter ``as_json``."""
    return click.option(
        "--json", "as_json", is_flag=True, help="Print one JSON document on stdout and nothing else there."
    )(function)


class Command(click.Command):
    """A command whose function returns an ``ExitCode``, and whose errors become one."""

    def invoke(self, ctx: click.Context) -> None:
        """Set up logging, run the command's function, and exit with its code."""
        settings = Settings.of(ctx)
        try:
            from floe_ingest.cli import logs

            logs.configure(settings.log_level)
            code = super().invoke(ctx)
        except (click.ClickException, click.Abort, click.exceptions.Exit):
            raise
        except KeyboardInterrupt:
            code = exits.present_interruption(command=self.name, as_json=ctx.params.get("as_json", False))
        except Exception as error:  # noqa: BLE001  the end of the program: every error is shown here
            code = exits.present(error, debug=settings.debug, as_json=ctx.params.get("as_json", False))
        ctx.exit(int(code))
