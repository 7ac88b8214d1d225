"""``floe-ingest clean``: remove what loads that died have left in storage."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from floe_ingest.cli.exits import ExitCode
from floe_ingest.cli.options import Command, global_options, json_option
from floe_ingest.cli.streams import reserved_stdout, write_json

if TYPE_CHECKING:
    from floe_ingest.engine.clean import CleanReport


@click.command("clean", cls=Command, short_help="Remove data files that no snapshot references.")
@click.argument("config", type=click.Path(path_type=Path))
@click.option("--dry-run", is_flag=True, help="List the files and remove none.")
@click.option(
    "--older-than",
    "hours",
    type=click.FloatRange(min=1),
    default=24.0,
    show_default=True,
    metavar="HOURS",
    help="Leave files that are younger: a load may be about to commit them.",
)
@json_option
@global_options()
def clean(config: Path, dry_run: bool, hours: float, as_json: bool) -> ExitCode:
    """Remove data files of CONFIG's tables that no snapshot references: what loads that died have left."""
    with reserved_stdout():
        report = _clean(config, hours, dry_run=dry_run)
    from floe_ingest.cli import render

    if as_json:
        write_json(report.as_dict())
    else:
        render.show_clean(report)
    return ExitCode.DONE


def _clean(path: Path, hours: float, *, dry_run: bool) -> CleanReport:
    from datetime import timedelta

    from floe_ingest.config import load_config
    from floe_ingest.plugins import load_plugins

    plugins = load_plugins()
    config = load_config(path, plugins=plugins)
    from floe_ingest import engine

    return engine.clean(config, older_than=timedelta(hours=hours), dry_run=dry_run, plugins=plugins)
