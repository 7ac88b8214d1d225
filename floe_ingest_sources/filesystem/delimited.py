"""CSV files as one scan.

DuckDB's own detection is not used: on a wrong delimiter it takes whole lines for one column, on ragged
files it may take a row for the header, it reads ambiguous dates day first and long numbers as doubles; and
its ``columns`` go by position, so files with their columns in another order would load wrongly. Each file's
header tells its columns here, and a sample of the files the types.

The scan holds every value against these types (``csv_types``). Where one does not fit, or a row is broken,
every value is looked at (``csv_look``), and the rows are read by the types that all of them have.
"""

from __future__ import annotations

import codecs
import csv
import io
from collections import defaultdict
from itertools import groupby
from typing import TYPE_CHECKING, Any

from floe_ingest import BulkScan, SourceConfigurationError
from floe_ingest_sources._resources import listed, nearest
from floe_ingest_sources._sql import boolean, call, columns_argument, identifier, literal, select_from
from floe_ingest_sources.filesystem.csv_lines import rows_of
from floe_ingest_sources.filesystem.csv_look import CsvFile, look, not_decodable
from floe_ingest_sources.filesystem.csv_types import seen_as, settled_as
from floe_ingest_sources.filesystem.files import duckdb_path, unreadable
from floe_ingest_sources.filesystem.text_types import TextColumn

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from pathlib import Path

    from floe_ingest_sources.filesystem.config import CsvOptions
    from floe_ingest_sources.filesystem.text_files import TextFiles

_HEADER = 1 << 16
_LONGEST_HEADER = 1 << 24
_SAMPLE = 1 << 19
_SAMPLED_FILES = 32
_MANY_READS = 64


def scan_csv(read: TextFiles, options: CsvOptions) -> Iterator[Any]:
    """Yield the scan over the files of a group.

    Arguments:
        read: the files.
        options: how they are written.

    Raises:
        SourceConfigurationError: a header does not fit; names the file.
        SourceConnectionError: a file cannot be read.
    """
    group, file_column = read.group, read.file_column
    files = [
        CsvFile(path, group.shown(path), header_of(path, group.shown(path), options)) for path in group.files
    ]
    names = _all_names(files, read.further)
    _known(options, names)

    def all_values(_: Exception | None = None) -> Iterator[Any]:
        return _looked_at(read, files, names, options)

    sampled = _sample(files, _states(names, options, read), options)
    reads = _reads(files, ordered=read.ordered)
    if sampled is None or len(reads) > _MANY_READS:
        yield from all_values()
        return
    seen = any(state.seen for state in sampled.values()) or options.types.keys() >= set(names)
    if not seen and not _are_bare(files, options):
        yield from all_values()
        return
    chosen = [seen_as(name, sampled[name].kind, options, seen=sampled[name].seen) for name in names]
    chosen += [identifier(file_column)] if file_column else []
    united = " UNION ALL BY NAME ".join(_read_csv(header, options, file_column) for header, _ in reads)
    yield BulkScan(
        select_from(chosen, f"({united})"),
        tuple(paths for _, paths in reads),
        origin=group.origin,
        otherwise=all_values,
    )


def _reads(files: list[CsvFile], *, ordered: bool) -> list[tuple[tuple[str, ...], list[str]]]:
    """Return which files can be read at once, since they have the same header: in order, if need be."""
    if ordered:
        return [
            (header, [duckdb_path(file.path) for file in run])
            for header, run in groupby(files, key=lambda file: file.header)
        ]
    by_header: dict[tuple[str, ...], list[str]] = defaultdict(list)
    for file in files:
        by_header[file.header].append(duckdb_path(file.path))
    return list(by_header.items())


def _are_bare(files: list[CsvFile], options: CsvOptions) -> bool:
    """Tell whether files, unless they are many, have no row below their headers: all columns are text."""
    if len(files) > _SAMPLED_FILES:
        return False
    return all(next(rows_of(file.path, options, len(file.header)), None) is None for file in files)


def header_of(file: Path, shown: str, options: CsvOptions) -> tuple[str, ...]:
    """Return the names of a file's columns.

    Raises:
        SourceConfigurationError: the file is empty, or its header cannot be one.
        SourceConnectionError: it cannot be read.
    """
    try:
        with file.open("rb") as stream:
            return header_in(stream.read, shown, options)
    except OSError as error:
        raise unreadable(shown, error) from error


def header_in(read: Callable[[int], bytes], shown: str, options: CsvOptions) -> tuple[str, ...]:
    """Return the names of the columns of a file that is being read from its beginning.

    Arguments:
        read: gives up to so many bytes more, and none at the end.
        shown: what messages call the file.
        options: how it is written.

    Raises:
        SourceConfigurationError: see ``header_of``.
    """
    first = _first_row(read, shown, options)
    if not first:
        raise SourceConfigurationError(f"{shown} is empty: a CSV file needs at least its header line")
    _one_delimiter(shown, first, options)
    names = options.names or tuple(first)
    if len(names) != len(first):
        raise SourceConfigurationError(
            f"csv.names has {len(names)} names, and the first line of {shown} has {len(first)} fields"
        )
    seen: set[str] = set()
    for position, name in enumerate(names, start=1):
        if not name.strip():
            raise SourceConfigurationError(
                f"{shown}: column {position} has no name. Correct the header, or give csv.names"
            )
        if name.casefold() in seen:
            raise SourceConfigurationError(
                f"{shown}: the header has {name!r} twice (letter case does not count). "
                f"Correct it, or give csv.names"
            )
        seen.add(name.casefold())
    return names


def _first_row(read: Callable[[int], bytes], shown: str, options: CsvOptions) -> list[str]:
    encoding = "utf-8-sig" if options.encoding == "utf-8" else options.encoding
    decoder = codecs.getincrementaldecoder(encoding)()
    text, size = "", 0
    while size < _LONGEST_HEADER:
        block = read(_HEADER)
        size += len(block)
        try:
            text += decoder.decode(block, final=not block)
        except UnicodeDecodeError as error:
            raise not_decodable(shown, options, error) from error
        # A quoted name may hold a line break: the first row is whole once a second one follows, or the end.
        rows = csv.reader(io.StringIO(text, newline=""), delimiter=options.delimiter, quotechar=options.quote)
        found = [row for row, _ in zip((row for row in rows if row), range(2), strict=False)]
        if not block or len(found) == 2:
            return found[0] if found else []
    raise SourceConfigurationError(f"{shown} has no line that ends within {_LONGEST_HEADER >> 20} MB")


def _one_delimiter(shown: str, first: list[str], options: CsvOptions) -> None:
    if len(first) > 1:
        return
    for other in (",", ";", "\t", "|"):
        if other != options.delimiter and other in first[0]:
            raise SourceConfigurationError(
                f"{shown}: with the delimiter {options.delimiter!r} the first line is one single column, "
                f"{first[0][:60]!r}. It looks as if the delimiter were {other!r}; "
                f"write csv: {{delimiter: {other!r}}}"
            )


def _all_names(files: list[CsvFile], further: tuple[str, ...]) -> list[str]:
    spelled: dict[str, tuple[str, str]] = {}
    first: dict[tuple[str, ...], CsvFile] = {}
    for file in files:
        first.setdefault(file.header, file)
    for header, file in first.items():
        for name in header:
            known, where = spelled.setdefault(name.casefold(), (name, file.shown))
            if known != name:
                raise SourceConfigurationError(
                    f"{where} calls a column {known!r} and {file.shown} calls it {name!r}; "
                    f"letter case must be the same"
                )
    for name in further:
        if name.casefold() in spelled:
            raise SourceConfigurationError(
                f"the configuration adds a column {name!r}, and {spelled[name.casefold()][1]} has one already"
            )
    # In the order in which the files, by name, have them.
    return list(dict.fromkeys(name for header in first for name in header))


def _known(options: CsvOptions, names: list[str]) -> None:
    for name in options.types:
        if name not in names:
            raise SourceConfigurationError(
                f"csv.types: there is no column {name!r}.{nearest(name, names)} There are: {listed(names)}"
            )


def _states(names: list[str], options: CsvOptions, read: TextFiles) -> dict[str, TextColumn]:
    return {
        name: TextColumn(
            date_format=options.date_format, decimal=options.decimal, known=read.known_type(name)
        )
        for name in names
    }


def _sample(
    files: list[CsvFile], states: Mapping[str, TextColumn], options: CsvOptions
) -> Mapping[str, TextColumn] | None:
    """Return what the beginnings of some files show; None where a row of them is broken already."""
    import pyarrow as pa

    step = max(1, len(files) // _SAMPLED_FILES)
    chosen = {id(file): file for file in [*files[::step][:_SAMPLED_FILES], files[-1]]}
    size = _SAMPLE // len(chosen)
    try:
        for file in chosen.values():
            for name, values in _beginning(file, options, size):
                if name not in options.types:
                    states[name].see(values)
    except (pa.ArrowInvalid, UnicodeDecodeError, csv.Error):
        return None
    return states


def _beginning(file: CsvFile, options: CsvOptions, size: int) -> Iterator[tuple[str, Any]]:
    import pyarrow as pa

    try:
        with file.path.open("rb") as stream:
            data = stream.read(size)
            text = codecs.getincrementaldecoder(options.encoding)().decode(data, final=len(data) < size)
    except OSError as error:
        raise unreadable(file.shown, error) from error
    text = text.removeprefix("\ufeff")
    rows = list(
        csv.reader(io.StringIO(text, newline=""), delimiter=options.delimiter, quotechar=options.quote)
    )
    if len(data) == size and rows:
        rows.pop()  # it may be cut off
    rows = [row for row in rows[1 if options.header else 0 :] if row]
    if any(len(row) != len(file.header) for row in rows):
        raise csv.Error("a row has more or fewer fields than the header")
    nulls = set(options.null_values)
    for name, column in zip(file.header, zip(*rows, strict=True), strict=False):
        yield name, pa.array([None if value in nulls else value for value in column], pa.string())


def _read_csv(header: tuple[str, ...], options: CsvOptions, file_column: str | None) -> str:
    read = call(
        "read_csv",
        auto_detect="false",
        columns=columns_argument(dict.fromkeys(header, "VARCHAR")),
        header=boolean(options.header),
        delim=literal(options.delimiter),
        quote=literal(options.quote),
        escape=literal(options.quote),
        nullstr=f"[{', '.join(literal(value) for value in options.null_values)}]",
        encoding=literal(options.encoding),
        filename=literal(file_column) if file_column else "false",
        hive_partitioning="false",
    )
    return select_from(["*"], read)


def _looked_at(read: TextFiles, files: list[CsvFile], names: list[str], options: CsvOptions) -> Iterator[Any]:
    """Look at every value, and yield the scan over the rows that were kept, and the rejected rows."""
    import pyarrow as pa
    from pyarrow import parquet

    states = _states(names, options, read)
    file_column, rejects = read.file_column, read.rejects
    folder = read.kept()
    schema = pa.schema([(name, pa.string()) for name in [*names, *([file_column] if file_column else [])]])
    paths: list[str] = []
    rows = 0
    for number, file in enumerate(files):
        path = folder / f"{number:06d}.parquet"
        with parquet.ParquetWriter(path, schema, compression="lz4") as writer:

            def keep(batch: pa.RecordBatch, file: CsvFile = file, writer: Any = writer) -> None:
                nonlocal rows
                rows += batch.num_rows
                columns = dict(zip(file.header, batch.columns, strict=True))
                if file_column:
                    columns[file_column] = pa.repeat(pa.scalar(str(file.path), pa.string()), batch.num_rows)
                missing = pa.nulls(batch.num_rows, pa.string())
                arrays = [columns.get(field.name, missing) for field in schema]
                writer.write_batch(pa.record_batch(arrays, schema=schema))

            found = look(file, options, states, keep, skip=rejects is not None)
        paths.append(str(path))
        if rejects is not None:
            rejects.add(found)
    if rows:
        chosen = [settled_as(name, states[name].kind, options) for name in names]
        chosen += [identifier(file_column)] if file_column else []
        yield BulkScan(select_from(chosen, call("read_parquet")), (paths,), origin=read.group.origin)
    if rejects is not None:
        yield from rejects.items()
