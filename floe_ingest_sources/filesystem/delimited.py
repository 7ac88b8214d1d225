"""CSV files as one scan.

DuckDB's own detection is not used: on a wrong delimiter it takes whole lines for one column, on ragged
files it may take a row for the header, it reads ambiguous dates day first and long numbers as doubles. The
files are parsed once by Arrow, in bounded memory, which finds ragged rows, cut-off archives and the type of
every column; DuckDB then gets every file's exact columns.
"""

from __future__ import annotations

import codecs
import csv
import io
from collections import defaultdict
from typing import TYPE_CHECKING, Any

from floe_ingest import BulkScan, SourceConfigurationError
from floe_ingest_sources._resources import listed, nearest
from floe_ingest_sources._sql import (
    boolean,
    call,
    columns_argument,
    identifier,
    literal,
    select_from,
    text_as,
)
from floe_ingest_sources.filesystem.files import blocks, compression_of, duckdb_path, unreadable
from floe_ingest_sources.filesystem.text_types import TextColumn

if TYPE_CHECKING:
    from pathlib import Path

    from floe_ingest_sources.filesystem.config import CsvOptions, ReaderOptions
    from floe_ingest_sources.filesystem.files import FileGroup

_BLOCK = 1 << 24


def scan_csv(
    group: FileGroup, options: CsvOptions, reader: ReaderOptions, further: tuple[str, ...]
) -> BulkScan | None:
    """Return the scan over the files of a group; None where no file has a row.

    Arguments:
        group: the files.
        options: how they are written.
        reader: options of the reader.
        further: names of columns that the reader adds (file name, partition folders).

    Raises:
        SourceConfigurationError: a header or row does not fit; names the file.
        SourceConnectionError: a file cannot be read.
    """
    headers = {file: header_of(file, options) for file in group.files}
    names = _all_names(headers, further)
    _known(options, names)
    states = {name: TextColumn(date_format=options.date_format) for name in names}
    rows = sum(_look(file, header, options, states) for file, header in headers.items())
    if rows == 0:
        return None
    by_header: dict[tuple[str, ...], list[str]] = defaultdict(list)
    for file, header in headers.items():
        by_header[header].append(duckdb_path(file))
    reads = " UNION ALL BY NAME ".join(_read(header, options, reader) for header in by_header)
    chosen = [_expression(name, states[name].kind, options) for name in names]
    chosen += [identifier(name) for name in further]
    return BulkScan(select_from(chosen, f"({reads})"), tuple(by_header.values()), origin=group.origin)


def header_of(file: Path, options: CsvOptions) -> tuple[str, ...]:
    """Return the names of a file's columns.

    Raises:
        SourceConfigurationError: the file is empty, or its header cannot be one.
        SourceConnectionError: it cannot be read.
    """
    first = _first_row(file, options)
    if not first:
        raise SourceConfigurationError(f"{file} is empty: a CSV file needs at least its header line")
    _one_delimiter(file, first, options)
    names = options.names or tuple(first)
    if len(names) != len(first):
        raise SourceConfigurationError(
            f"csv.names has {len(names)} names, and the first line of {file} has {len(first)} fields"
        )
    seen: set[str] = set()
    for position, name in enumerate(names, start=1):
        if not name.strip():
            raise SourceConfigurationError(
                f"{file}: column {position} has no name. Correct the header, or give csv.names"
            )
        if name.casefold() in seen:
            raise SourceConfigurationError(
                f"{file}: the header has {name!r} twice (letter case does not count). "
                f"Correct it, or give csv.names"
            )
        seen.add(name.casefold())
    return names


def _first_row(file: Path, options: CsvOptions) -> list[str]:
    encoding = "utf-8-sig" if options.encoding == "utf-8" else options.encoding
    decoder = codecs.getincrementaldecoder(encoding)()
    try:
        text = decoder.decode(next(iter(blocks(file)), b""))
    except UnicodeDecodeError as error:
        raise _not_decodable(file, options, error) from error
    lines = csv.reader(io.StringIO(text, newline=""), delimiter=options.delimiter, quotechar=options.quote)
    return next((row for row in lines if row), [])


def _one_delimiter(file: Path, first: list[str], options: CsvOptions) -> None:
    if len(first) > 1:
        return
    for other in (",", ";", "\t", "|"):
        if other != options.delimiter and other in first[0]:
            raise SourceConfigurationError(
                f"{file}: with the delimiter {options.delimiter!r} the first line is one single column, "
                f"{first[0][:60]!r}. It looks as if the delimiter were {other!r}; "
                f"write csv: {{delimiter: {other!r}}}"
            )


def _all_names(headers: dict[Path, tuple[str, ...]], further: tuple[str, ...]) -> list[str]:
    spelled: dict[str, tuple[str, Path]] = {}
    for file, header in headers.items():
        for name in header:
            known, where = spelled.setdefault(name.casefold(), (name, file))
            if known != name:
                raise SourceConfigurationError(
                    f"{where} calls a column {known!r} and {file} calls it {name!r}; "
                    f"letter case must be the same"
                )
    for name in further:
        if name.casefold() in spelled:
            raise SourceConfigurationError(
                f"reader_options adds a column {name!r}, and {spelled[name.casefold()][1]} has one already"
            )
    return [name for name, _ in spelled.values()]


def _known(options: CsvOptions, names: list[str]) -> None:
    for name in options.types:
        if name not in names:
            raise SourceConfigurationError(
                f"csv.types: there is no column {name!r}.{nearest(name, names)} There are: {listed(names)}"
            )


def _look(file: Path, header: tuple[str, ...], options: CsvOptions, states: dict[str, TextColumn]) -> int:
    """Parse a file to its end, and let each column see its values. Return the number of rows."""
    import pyarrow as pa

    rows = 0
    try:
        for batch in _batches(file, header, options):
            rows += batch.num_rows
            for name, values in zip(header, batch.columns, strict=True):
                if name not in options.types:
                    states[name].see(values)
    except pa.ArrowInvalid as error:
        raise SourceConfigurationError(
            f"{file} is not a CSV file of {len(header)} columns with delimiter {options.delimiter!r} and "
            f"encoding {options.encoding}: {error}"
        ) from error
    except UnicodeDecodeError as error:
        raise _not_decodable(file, options, error) from error
    except OSError as error:
        raise unreadable(file, error) from error
    return rows


def _batches(file: Path, header: tuple[str, ...], options: CsvOptions) -> Any:
    import pyarrow as pa
    from pyarrow import csv as arrow_csv

    with (
        pa.input_stream(str(file), compression=compression_of(file)) as stream,
        arrow_csv.open_csv(
            stream,
            read_options=arrow_csv.ReadOptions(
                block_size=_BLOCK,
                column_names=list(header),
                skip_rows=1 if options.header else 0,
                encoding={"utf-8": "utf8"}.get(options.encoding, options.encoding),
            ),
            parse_options=arrow_csv.ParseOptions(
                delimiter=options.delimiter, quote_char=options.quote, newlines_in_values=True
            ),
            convert_options=arrow_csv.ConvertOptions(
                column_types=dict.fromkeys(header, pa.string()),
                null_values=list(options.null_values),
                strings_can_be_null=True,
            ),
        ) as batches,
    ):
        yield from batches


def _not_decodable(file: Path, options: CsvOptions, error: UnicodeDecodeError) -> SourceConfigurationError:
    return SourceConfigurationError(
        f"{file} is not written in {options.encoding} (byte {error.start}: {error.reason}); "
        f"set csv.encoding to utf-8, utf-16 or latin-1"
    )


def _read(header: tuple[str, ...], options: CsvOptions, reader: ReaderOptions) -> str:
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
        filename=boolean(reader.filename),
        hive_partitioning=boolean(reader.hive_partitioning),
        hive_types_autocast="false",
    )
    return select_from(["*"], read)


def _expression(name: str, seen: str, options: CsvOptions) -> str:
    given = options.types.get(name)
    column = identifier(name)
    kind = given or seen
    if kind == "VARCHAR":
        return column
    if kind == "DATE" and options.date_format:
        cast = f"CAST(strptime({column}, {literal(options.date_format)}) AS DATE)"
    else:
        cast = text_as(name, kind) if given else f"CAST({column} AS {kind})"
    return f"{cast} AS {column}"
