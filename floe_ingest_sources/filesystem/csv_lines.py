"""Finds the lines of CSV rows that were found to be wrong.

Files are read by DuckDB or Arrow; this looks only into a file that has such a row.
"""

from __future__ import annotations

import csv
import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from floe_ingest_sources.filesystem.config import CsvOptions


def codec_of(options: CsvOptions) -> str:
    """Return Python's name of the files' encoding; a byte order mark is no data."""
    return "utf-8-sig" if options.encoding == "utf-8" else options.encoding


def rows_of(file: Path, options: CsvOptions, width: int) -> Iterator[tuple[int, list[str], str]]:
    """Yield the rows of a file below its header: first line, fields, and the row as it stands there."""
    single = width == 1
    csv.field_size_limit(sys.maxsize)
    with file.open(encoding=codec_of(options), errors="replace", newline="") as stream:
        taken: list[str] = []

        def lines() -> Iterator[str]:
            for line in stream:
                taken.append(line)
                yield line

        reader = csv.reader(lines(), delimiter=options.delimiter, quotechar=options.quote)
        number, header = 1, options.header
        for fields in reader:
            # A blank line is a row where there is one column alone.
            if fields or (single and not header):
                if not header:
                    yield number, fields or [""], "".join(taken).rstrip("\r\n")
                header = False
            number += len(taken)
            taken.clear()


def numbered(
    file: Path, options: CsvOptions, width: int, ordinals: set[int]
) -> Iterator[tuple[int, int, str]]:
    """Yield ordinal, line and text of some rows of a file.

    Arguments:
        file: which.
        options: how it is written.
        width: how many columns it has.
        ordinals: which rows below the header, counted from 0; lines without any field do not count.
    """
    last = max(ordinals)
    for ordinal, (line, _, text) in enumerate(rows_of(file, options, width)):
        if ordinal in ordinals:
            yield ordinal, line, text
        if ordinal >= last:
            return


def first_ragged(file: Path, options: CsvOptions, width: int) -> tuple[int, int, str] | None:
    """Return line, number of fields and text of the first row that has not ``width`` fields."""
    for line, fields, text in rows_of(file, options, width):
        if len(fields) != width:
            return line, len(fields), text
    return None
