"""``floe-ingest check``: validate a configuration and probe what it names."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from floe_ingest.cli.exits import ExitCode
from floe_ingest.cli.options import Command, global_options, json_option
from floe_ingest.cli.streams import reserved_stdout, write_json

if TYPE_CHECKING:
    from floe_ingest.engine.check import CheckReport


@click.command("check", cls=Command, short_help="Validate and probe a configuration; load nothing.")
@click.argument("config", type=click.Path(path_type=Path))
@json_option
@global_options()
def check(config: Path, as_json: bool) -> ExitCode:
    """Validate CONFIG, probe its catalog and every source; load nothing."""
    with reserved_stdout():
        report = _probe(config)
    from floe_ingest.cli import render

    if as_json:
        write_json(report.as_dict())
    else:
        render.show_check(report)
    render.tell_check_failures(report)
    return _exit_code(report)


def _probe(path: Path) -> CheckReport:
    from floe_ingest.config import load_config
    from floe_ingest.plugins import load_plugins

    plugins = load_plugins()
    config = load_config(path, plugins=plugins)
    from floe_ingest import engine
    from floe_ingest.cli.render import count, stderr_console

    with stderr_console().status(f"Probing the catalog and {count(len(config.sources), 'source')}"):
        return engine.check(config, plugins=plugins)


def _exit_code(report: CheckReport) -> ExitCode:
    from floe_ingest.errors import ErrorCategory

    if report.success:
        return ExitCode.DONE
    categories = {error.category for source in report.sources for error in source.errors}
    return ExitCode.WRONG if ErrorCategory.CONFIGURATION in categories else ExitCode.FAILED
