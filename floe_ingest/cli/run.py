"""``floe-ingest run``: load the sources of a configuration."""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING

import click

from floe_ingest.cli.exits import ExitCode
from floe_ingest.cli.options import Command, global_options, json_option
from floe_ingest.cli.streams import reserved_stdout, write_json

if TYPE_CHECKING:
    from floe_ingest_hookspecs import RunResult


def _written(_ctx: click.Context, param: click.Parameter, value: str | None) -> str | None:
    # An unset shell variable gives "", and a run without a name of its own is not what was meant.
    if value is not None and not value.strip():
        raise click.BadParameter("it is empty; leave the option out to have an id made", param=param)
    return value


@click.command("run", cls=Command, short_help="Load the sources of a configuration.")
@click.argument("config", type=click.Path(path_type=Path))
@click.option(
    "--source", "names", multiple=True, metavar="NAME", help="Load this source only; may be repeated."
)
@click.option(
    "--run-id",
    metavar="ID",
    callback=_written,
    help="Names this run: repeating it with the same id skips the tables that already hold its load.",
)
@click.option("--full-refresh", is_flag=True, help="Start tables and cursors anew.")
@click.option(
    "--jobs",
    type=click.IntRange(min=1),
    metavar="N",
    help="Load N sources at once; as many as there are cores where it is left out.",
)
@json_option
@global_options()
def run(
    config: Path,
    names: tuple[str, ...],
    run_id: str | None,
    full_refresh: bool,
    jobs: int | None,
    as_json: bool,
) -> ExitCode:
    """Load the sources of CONFIG, a YAML file, into their Iceberg tables.

    Each table is committed in one snapshot or stays as it was, so that an interrupted or failed run is
    completed by running the same command again.
    """
    started = time.monotonic()
    with reserved_stdout():
        result = _load(config, names, run_id, full_refresh=full_refresh, jobs=jobs)
    from floe_ingest.cli import render

    if as_json:
        write_json(result.as_dict())
    else:
        render.show_run(result, time.monotonic() - started)
    render.tell_failures(result)
    return _exit_code(result)


def _exit_code(result: RunResult) -> ExitCode:
    """Tell a load that failed from a configuration whose fault showed only when it was built."""
    from floe_ingest_hookspecs import ErrorCategory

    if result.success:
        return ExitCode.DONE
    begun = any(table.committed for source in result.sources for table in source.tables)
    errors = [error for source in result.sources for error in source.errors]
    if not begun and all(error.category is ErrorCategory.CONFIGURATION for error in errors):
        return ExitCode.WRONG
    return ExitCode.FAILED


def _load(
    path: Path, names: tuple[str, ...], run_id: str | None, *, full_refresh: bool, jobs: int | None
) -> RunResult:
    from floe_ingest.config import load_config
    from floe_ingest.plugins import load_plugins

    plugins = load_plugins()
    config = load_config(path, plugins=plugins)
    # After the configuration: its errors need not wait for dlt to be imported.
    from floe_ingest import engine
    from floe_ingest.cli.progress import reporter
    from floe_ingest.engine.libraries import import_at_once

    with reporter() as progress:
        import_at_once()
        return engine.run(
            config,
            sources=tuple(dict.fromkeys(names)) or None,
            run_id=run_id,
            full_refresh=full_refresh,
            jobs=jobs,
            plugins=plugins,
            progress=progress,
        )
