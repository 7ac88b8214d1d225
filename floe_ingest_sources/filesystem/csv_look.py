"""Looks at every value of CSV files: for the type of each column, and for rows that are none.

This is what a load falls back on where a value is not what the sample showed, or a row is broken. Arrow
parses the files in bounded memory, and leaves their values as text in Parquet beside the load, so that they
need not be parsed again.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from floe_ingest import SourceConfigurationError
from floe_ingest_sources.filesystem.csv_lines import first_ragged, numbered
from floe_ingest_sources.filesystem.files import unreadable
from floe_ingest_sources.filesystem.given_types import misfits
from floe_ingest_sources.filesystem.rejected import Rejected

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from pathlib import Path

    import pyarrow as pa

    from floe_ingest_sources.filesystem.config import CsvOptions
    from floe_ingest_sources.filesystem.text_types import TextColumn

_BLOCK = 1 << 24


@dataclass(frozen=True, slots=True)
class CsvFile:
    """A file to look at.

    Arguments:
        path: where it is.
        shown: what messages call it.
        header: the names of its columns.
    """

    path: Path
    shown: str
    header: tuple[str, ...]


def look(
    file: CsvFile,
    options: CsvOptions,
    states: Mapping[str, TextColumn],
    keep: Callable[[pa.RecordBatch], object],
    *,
    skip: bool,
) -> list[Rejected]:
    """Parse a file to its end, let each column see its values, and keep the good rows.

    Arguments:
        file: which.
        options: how it is written.
        states: by column: narrows its type down.
        keep: takes each batch of good rows, all columns as text.
        skip: whether bad rows are left out and returned; otherwise the first one raises.

    Raises:
        SourceConfigurationError: a row cannot be read; names file, line and reason.
        SourceConnectionError: the file cannot be read.
    """
    import pyarrow as pa

    bad: dict[int, str] = {}
    try:
        _look(file, options, states, keep, bad, skip=skip)
    except pa.ArrowInvalid as error:
        raise _ragged(file, options, error) from error
    except UnicodeDecodeError as error:
        raise not_decodable(file.shown, options, error) from error
    except OSError as error:
        raise unreadable(file.shown, error) from error
    return list(_rejected(file, options, bad))


def not_decodable(shown: str, options: CsvOptions, error: UnicodeDecodeError) -> SourceConfigurationError:
    """Return the error about a file that is not written in its encoding."""
    return SourceConfigurationError(
        f"{shown} is not written in {options.encoding} (byte {error.start}: {error.reason}); "
        f"set csv.encoding to utf-8, utf-16 or latin-1"
    )


def _look(
    file: CsvFile,
    options: CsvOptions,
    states: Mapping[str, TextColumn],
    keep: Callable[[pa.RecordBatch], object],
    bad: dict[int, str],
    *,
    skip: bool,
) -> None:
    import pyarrow.compute as pc

    width = len(file.header)
    ragged: list[int] = []

    def leave_out(row: Any) -> str:
        # Counted from 1, the header with them, blank lines without.
        ordinal = row.number - (2 if options.header else 1)
        bad[ordinal] = f"{row.actual_columns} fields, and the file has {width} columns"
        ragged.append(ordinal)
        return "skip"

    done = passed = 0
    for batch in _batches(file, options, leave_out if skip else None):
        wrong = misfits(batch, file.header, options)
        for position, reason in wrong.items():
            # Rows that Arrow left out before this one count as well.
            ordinal = done + position + passed
            while passed < len(ragged) and ragged[passed] <= ordinal:
                passed += 1
                ordinal += 1
            bad[ordinal] = reason
            if not skip:
                raise next(_errors(file, options, bad))
        done += batch.num_rows
        good = batch
        if wrong:
            good = batch.filter(pc.invert(_mask(wrong, batch.num_rows)))
        for name, values in zip(file.header, good.columns, strict=True):
            if name not in options.types:
                states[name].see(values)
        keep(good)


def _mask(positions: Mapping[int, str], length: int) -> pa.Array:
    import pyarrow as pa
    import pyarrow.compute as pc

    return pc.is_in(pa.array(range(length), pa.int64()), value_set=pa.array(list(positions), pa.int64()))


def _batches(file: CsvFile, options: CsvOptions, invalid: Callable[[Any], str] | None) -> Iterator[Any]:
    import pyarrow as pa
    from pyarrow import csv as arrow_csv

    with (
        pa.OSFile(str(file.path)) as stream,
        arrow_csv.open_csv(
            stream,
            read_options=arrow_csv.ReadOptions(
                block_size=_BLOCK,
                column_names=list(file.header),
                skip_rows=1 if options.header else 0,
                encoding={"utf-8": "utf8"}.get(options.encoding, options.encoding),
                use_threads=invalid is None,  # only one thread tells which row it leaves out
            ),
            parse_options=arrow_csv.ParseOptions(
                delimiter=options.delimiter,
                quote_char=options.quote,
                newlines_in_values=True,
                ignore_empty_lines=len(file.header) > 1,
                invalid_row_handler=invalid,
            ),
            convert_options=arrow_csv.ConvertOptions(
                column_types=dict.fromkeys(file.header, pa.string()),
                null_values=list(options.null_values),
                strings_can_be_null=True,
            ),
        ) as batches,
    ):
        yield from batches


def _rejected(file: CsvFile, options: CsvOptions, bad: Mapping[int, str]) -> Iterator[Rejected]:
    if bad:
        for ordinal, line, text in numbered(file.path, options, len(file.header), set(bad)):
            yield Rejected(file.shown, line, bad[ordinal], text)


def _errors(file: CsvFile, options: CsvOptions, bad: Mapping[int, str]) -> Iterator[SourceConfigurationError]:
    for row in _rejected(file, options, bad):
        yield _error(row.file, row.line, row.reason, row.text)


def _error(shown: str, line: int, reason: str, text: str) -> SourceConfigurationError:
    return SourceConfigurationError(
        f"{shown}, line {line}: {reason}. The row: {text[:200]!r}. No row was loaded; correct the file, or "
        f"write on_bad_row: skip"
    )


def _ragged(file: CsvFile, options: CsvOptions, error: Exception) -> SourceConfigurationError:
    if found := first_ragged(file.path, options, len(file.header)):
        line, count, text = found
        return _error(file.shown, line, f"{count} fields, and the file has {len(file.header)} columns", text)
    return SourceConfigurationError(
        f"{file.shown} is not a CSV file of {len(file.header)} columns with delimiter {options.delimiter!r} "
        f"and encoding {options.encoding}: {error}"
    )
