"""What people read: rich tables on stdout, failures on stderr."""

from __future__ import annotations

import json
import sys
from typing import TYPE_CHECKING, Any

from rich import box
from rich.console import Console, Group
from rich.filesize import decimal
from rich.table import Table
from rich.text import Text

from floe_ingest.cli.exits import advice
from floe_ingest.cli.streams import Stderr, as_text_io, write_out

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from typing import TextIO

    from rich.console import RenderableType

    from floe_ingest.engine.check import CheckReport, SourceReport
    from floe_ingest.engine.clean import CleanReport
    from floe_ingest_hookspecs import LoadError, RunResult, SourceResult, TableResult

# Where the output goes to a file or a pipe there is no width to keep to: a name is never cut or folded.
_UNBOUNDED = 10_000


def console_for(stream: TextIO) -> Console:
    """Return a console on ``stream``: as wide as its terminal, or without a limit elsewhere.

    Names and messages are shown as they are: neither markup nor emoji codes in them are read.
    """
    # Both are needed: rich looks at COLUMNS where one of them is missing.
    width, height = (None, None) if stream.isatty() else (_UNBOUNDED, 100)
    return Console(file=stream, width=width, height=height, markup=False, emoji=False, highlight=False)


def stderr_console() -> Console:
    """Return a console on the stderr of now, which survives a reader that went away."""
    return console_for(as_text_io(Stderr(sys.stderr)))


def _show(*parts: RenderableType) -> None:
    console = console_for(sys.stdout)
    with console.capture() as captured:
        console.print(*parts, sep="\n")
    # One writer for stdout: rich ends the process where a pipe is closed, whatever the load's outcome.
    write_out(captured.get())


def _table(*columns: str, right: Sequence[str] = (), folding: Sequence[str] = ()) -> Table:
    """Return a table. In a narrow terminal the ``folding`` columns give way, and the others stay whole."""
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, show_edge=False)
    for column in columns:
        table.add_column(
            column,
            justify="right" if column in right else "left",
            overflow="fold",
            no_wrap=column not in folding,
        )
    return table


def count(number: int, noun: str, plural: str | None = None) -> str:
    """Return ``1 row``, ``2 rows``, ``12,000 rows``."""
    return f"{number:,} {noun if number == 1 else plural or noun + 's'}"


def seconds(value: float) -> str:
    """Return a duration as ``0.84 s``, ``12.3 s``, ``2 min 5 s``."""
    if value < 10:
        return f"{value:.2f} s"
    if value < 100:
        return f"{value:.1f} s"
    minutes, rest = divmod(round(value), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes} min" if hours else f"{minutes} min {rest} s"


def show_run(result: RunResult, elapsed: float) -> None:
    """Print what a run loaded: a line for each table, then the total.

    Arguments:
        result: of the run.
        elapsed: its wall time in seconds. The sources' own times do not add up to it where they were
            loaded side by side.
    """
    table = _table(
        *("source", "table", "rows", "bytes", "snapshot", "seconds"),
        right=("rows", "bytes", "seconds"),
        folding=("source", "table"),
    )
    for source in result.sources:
        for cells in _run_rows(source):
            table.add_row(*cells)
    _show(table, *_extra_lines(result), Text(), _total(result, elapsed))


def _run_rows(source: SourceResult) -> list[tuple[RenderableType, ...]]:
    name = Text(source.name, style="bold" if source.success else "bold red")
    duration = f"{source.duration_seconds:.2f}"
    if not source.tables:
        return [(name, "no table" if source.success else Text("failed", style="red"), "", "", "", duration)]
    rows: list[tuple[RenderableType, ...]] = []
    for position, table in enumerate(source.tables):
        first = position == 0
        rows.append(
            (
                name if first else "",
                table.table,
                f"{table.rows_loaded:,}",
                decimal(table.bytes_written),
                _snapshot(table),
                duration if first else "",
            )
        )
    return rows


def _snapshot(table: TableResult) -> Text:
    if not table.committed:
        return Text("not committed", style="red")
    return Text("nothing new", style="dim") if table.snapshot_id is None else Text(str(table.snapshot_id))


def _extra_lines(result: RunResult) -> list[Text]:
    return [
        Text(f"{source.name}  {key}: {value}")
        for source in result.sources
        for key, value in sorted(source.extra.items())
    ]


def _total(result: RunResult, elapsed: float) -> Text:
    committed = sum(table.committed for source in result.sources for table in source.tables)
    rows = sum(source.rows_loaded for source in result.sources)
    size = sum(source.bytes_written for source in result.sources)
    failed = sum(not source.success for source in result.sources)
    text = (
        f"{count(committed, 'table')}, {count(rows, 'row')}, {decimal(size)} in {seconds(elapsed)} "
        f"(run {result.run_id})"
    )
    if not failed:
        return Text(text, style="bold green")
    return Text(f"{text}: {failed} of {count(len(result.sources), 'source')} failed", style="bold red")


def tell_failures(result: RunResult) -> None:
    """Print to stderr why sources failed, and what to do about each."""
    for source in result.sources:
        if not source.success:
            _tell_errors(source.name, source.errors)


def _tell_errors(name: str, errors: Sequence[LoadError]) -> None:
    console = stderr_console()
    if not errors:
        console.print(Text(f"{name} failed without saying why.", style="red"))
    for error in errors:
        head = Text.assemble((f"{name} failed", "bold red"), f" ({error.category}, {error.type}):")
        console.print(Text.assemble(head, f" {error.message}"))
        console.print(Text(f"  {advice(error.category)}", style="dim"))


def show_clean(report: CleanReport) -> None:
    """Show which files were removed, or would be."""
    table = _table("table", "file", folding=("file",))
    for cleaned in report.tables:
        for number, file in enumerate(cleaned.files):
            table.add_row("" if number else cleaned.table, file)
    files = sum(len(cleaned.files) for cleaned in report.tables)
    size = decimal(sum(cleaned.bytes for cleaned in report.tables))
    verb = "removed" if report.removed else "would be removed"
    total = Text(f"{count(files, 'file')}, {size} {verb}" if files else "No file is left over.")
    _show(*((table, Text(), total) if files else (total,)))


def show_check(report: CheckReport) -> None:
    """Print what a check found: the catalog, then each source with its resources."""
    catalog = report.catalog
    table = _table(
        *("source", "type", "state", "resource", "columns", "rows", "detail"),
        right=("rows",),
        folding=("source", "resource", "columns", "detail"),
    )
    for source in report.sources:
        for cells in _check_rows(source):
            table.add_row(*cells)
    head = Text.assemble("catalog ", (catalog.name, "bold"), f" ({catalog.type}): ", _state(catalog.success))
    if catalog.message:
        head.append(f", {catalog.message}")
    failed = sum(not source.success for source in report.sources) + (not catalog.success)
    tail = Text("All is well; nothing was loaded.", style="bold green")
    if failed:
        tail = Text(f"{count(failed, 'probe')} failed; nothing was loaded.", style="bold red")
    _show(head, Text(), table, Text(), tail)


def _state(success: bool) -> Text:
    return Text("ok", style="green") if success else Text("failed", style="red")


def _check_rows(source: SourceReport) -> list[tuple[RenderableType, ...]]:
    lead: tuple[RenderableType, ...] = (
        Text(source.name, style="bold"),
        source.source_type,
        _state(source.success),
    )
    cells: list[tuple[RenderableType, ...]] = [
        (
            found.name,
            ", ".join(found.columns),
            "" if found.estimated_rows is None else f"{found.estimated_rows:,}",
            found.detail or (source.message if position == 0 else ""),
        )
        for position, found in enumerate(source.resources)
    ]
    cells += [
        (Text(part.name, style="red"), Text(f"missing {part.kind}", style="red"), "", part.advice)
        for part in source.missing
    ]
    if not cells:
        cells = [("", "", "", source.message)]
    return [(*(lead if position == 0 else ("", "", "")), *rest) for position, rest in enumerate(cells)]


def tell_check_failures(report: CheckReport) -> None:
    """Print to stderr why probes failed, and what to do about each."""
    if not report.catalog.success:
        stderr_console().print(
            Text.assemble(
                (f"catalog {report.catalog.name} failed", "bold red"), f": {report.catalog.message}"
            )
        )
    for source in report.sources:
        if not source.success:
            _tell_errors(source.name, source.errors)


def show_sources(rows: Sequence[Mapping[str, Any]]) -> None:
    """Print the source types, and the pip lines of what they still need."""
    if not rows:
        _show(
            Text("No source type is installed, or FLOE_INGEST_PLUGINS leaves none. See: floe-ingest plugins")
        )
        return
    columns = ("source_type", "summary", "capabilities", "brought by")
    table = _table(*columns, folding=columns[1:])
    missing = []
    for row in rows:
        table.add_row(
            Text(row["name"], style="bold"),
            row["summary"],
            ", ".join(row["capabilities"]),
            _origin(row["distribution"], row["version"], row["plugin"]),
        )
        missing += _needs(row)
    _show(table, *([Text(), *missing] if missing else []))


def _needs(row: Mapping[str, Any]) -> list[Text]:
    return [
        Text(f"{row['name']} needs {need['import_name']}: {need['install']}", style="yellow")
        for need in row["missing"]
    ]


def show_source(row: Mapping[str, Any]) -> None:
    """Print one source type: where it comes from, what it still needs, and the options of its settings."""
    table = _table("option", "takes", "default", "meaning", folding=("takes", "default", "meaning"))
    for option in row["options"]:
        default = "required" if option["required"] else _as_written(option["default"])
        table.add_row(Text(option["name"], style="bold"), option["type"], default, option["description"])
    brought_by = _origin(row["distribution"], row["version"], row["plugin"])
    head = Text.assemble((row["name"], "bold"), f": {row['summary']} (brought by {brought_by})")
    _show(head, *_needs(row), Text(), table)


def _as_written(value: Any) -> str:
    """Return a default as it stands in YAML; nothing for one that is not there."""
    return "" if value is None else value if isinstance(value, str) else json.dumps(value)


def _origin(distribution: str | None, version: str | None, plugin: str) -> str:
    return f"{distribution} {version or ''}".rstrip() if distribution else plugin


def show_plugins(rows: Sequence[Mapping[str, Any]], conflicts: Sequence[str] = ()) -> None:
    """Print the plugins, then the cause for each that failed to load, then what several of them claim."""
    if not rows:
        _show(Text("No plugin is installed, or FLOE_INGEST_PLUGINS leaves none."))
        return
    columns = ("plugin", "state", "brought by", "source types", "hooks")
    table = _table(*columns, folding=columns[2:])
    for row in rows:
        table.add_row(
            Text(row["name"], style="bold"),
            _state(row["error"] is None),
            _origin(row["distribution"], row["version"], ""),
            "\n".join(row["source_types"]),
            "\n".join(hook.removeprefix("floe_ingest_") for hook in row["hooks"]),
        )
    failed = [f"{row['name']}: {row['error']}" for row in rows if row["error"] is not None]
    wrong = [Text(line, style="red") for line in (*failed, *conflicts)]
    _show(Group(table, *([Text(), *wrong] if wrong else [])))
