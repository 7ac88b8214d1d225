"""What a probe of files finds: how many, how large, and the columns that the beginnings of some show."""

from __future__ import annotations

import time
from contextlib import ExitStack
from typing import TYPE_CHECKING, Any

from floe_ingest import FoundResource, IngestionError, SourceConfigurationError
from floe_ingest_sources.filesystem.delimited import header_in
from floe_ingest_sources.filesystem.json_look import Keys, look_at
from floe_ingest_sources.filesystem.staging import open_plain

if TYPE_CHECKING:
    from floe_ingest_sources.filesystem.config import FilesystemConfig
    from floe_ingest_sources.filesystem.files import Listing
    from floe_ingest_sources.filesystem.listing import FoundFile

_SECONDS = 5.0
_LOOKED_INTO = 20
_HEAD = 1 << 18


def found_in(listing: Listing, config: FilesystemConfig) -> FoundResource:
    """Return what is known of a group of files after looking into some of them, for a few seconds.

    Raises:
        SourceConfigurationError, SourceConnectionError: a file cannot be read, or is not of its format.
    """
    files = listing.files
    step = max(1, len(files) // _LOOKED_INTO)
    chosen = list(dict.fromkeys([*files[:1], *files[-1:], *files[::step]]))[:_LOOKED_INTO]
    columns: dict[str, None] = {}
    rows: list[tuple[int, int]] = []
    ends = time.monotonic() + _SECONDS
    for file in chosen:
        names, count = _look_into(listing, file, config)
        columns.update(dict.fromkeys(names))
        if count is not None and file.size:
            rows.append((count, file.size))
        if time.monotonic() > ends:
            break
    return FoundResource(listing.name, tuple(columns), _estimate(listing, rows), _detail(listing))


def _estimate(listing: Listing, rows: list[tuple[int, int]]) -> int | None:
    """Return the number of rows: that of the files that were looked into, scaled up by size."""
    if not rows:
        return None
    counted, size = sum(count for count, _ in rows), sum(size for _, size in rows)
    if len(rows) == len(listing.files):
        return counted
    return round(counted * sum(file.size or 0 for file in listing.files) / size)


def _detail(listing: Listing) -> str:
    count = len(listing.files)
    if not count:
        return f"no file in {listing.storage.label}"
    size: float = sum(file.size or 0 for file in listing.files)
    unit = "B"
    for larger in ("kB", "MB", "GB", "TB"):
        if size < 1000:
            break
        size, unit = size / 1000, larger
    amount = f"{size:.0f}" if unit == "B" or size >= 10 else f"{size:.1f}"
    return f"{count} {listing.format} file{'s' if count != 1 else ''}, {amount} {unit}"


def _look_into(
    listing: Listing, file: FoundFile, config: FilesystemConfig
) -> tuple[tuple[str, ...], int | None]:
    """Return the columns of a file, and its number of rows where that costs nothing."""
    shown = f"{listing.storage.label}/{file.name}"
    readers = {"csv": _csv, "jsonl": _jsonl, "arrow": _arrow, "parquet": _parquet}
    try:
        with ExitStack() as stack:
            stream = open_plain(listing.storage, file, stack, unpack=listing.format in ("csv", "jsonl"))
            return readers[listing.format](stream, shown, config)
    except IngestionError:
        raise
    except Exception as error:  # each storage and format has errors of its own
        if type(error).__module__.startswith("pyarrow") or isinstance(error, ValueError):
            raise SourceConfigurationError(
                f"{shown} is not a whole {listing.format.title()} file: {listing.storage.told(error)}"
            ) from error
        raise listing.storage.failure(f"{shown} cannot be read", error) from error


def _csv(stream: Any, shown: str, config: FilesystemConfig) -> tuple[tuple[str, ...], None]:
    return header_in(stream.read, shown, config.csv), None


def _jsonl(stream: Any, shown: str, config: FilesystemConfig) -> tuple[tuple[str, ...], None]:
    data = stream.read(_HEAD)
    if data.lstrip()[:1] != b"{":
        return (), None  # an array: its objects are read by the load
    whole = data[: data.rfind(b"\n") + 1] if len(data) == _HEAD else data
    found = Keys()
    try:
        look_at(whole, shown, 1, found)
    except SourceConfigurationError:
        if config.on_bad_row == "fail" and not shown.lower().endswith(".json"):
            raise
    return tuple(found.keys), None


def _arrow(stream: Any, shown: str, config: FilesystemConfig) -> tuple[tuple[str, ...], None]:  # noqa: ARG001
    from floe_ingest_sources.filesystem.arrow_ipc import schema_of

    return tuple(schema_of(stream).names), None


def _parquet(stream: Any, shown: str, config: FilesystemConfig) -> tuple[tuple[str, ...], int]:  # noqa: ARG001
    from pyarrow import parquet

    with parquet.ParquetFile(stream) as opened:
        return tuple(opened.schema_arrow.names), opened.metadata.num_rows
