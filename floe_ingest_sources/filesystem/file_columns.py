"""Columns that come from the file of a row: its name, its time, the folders of its path."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from floe_ingest import BulkScan
from floe_ingest_sources._sql import identifier, select_from
from floe_ingest_sources.filesystem.files import hive_keys, hive_values

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from floe_ingest_sources.filesystem.config import FilesystemConfig
    from floe_ingest_sources.filesystem.files import FileGroup, Listing
    from floe_ingest_sources.filesystem.listing import FoundFile

FILE = "_floe_ingest_file"
"""The column in which a reader tells the local path of each row's file."""


@dataclass(frozen=True, slots=True)
class FileColumns:
    """Further columns of a group of files.

    Arguments:
        names: of the columns.
        types: their DuckDB types.
        values: for each column, its value for each file.
        paths: the local paths of the files, in the same order.
    """

    names: tuple[str, ...]
    types: tuple[str, ...]
    values: tuple[list[Any], ...]
    paths: list[str]

    def joined(self, scan: BulkScan) -> BulkScan:
        """Return a scan that has ``FILE`` as one that has these columns instead."""
        keys = [FILE, *self.names]
        given = [
            f"unnest(?::{kind}[]) AS {identifier(key)}" for key, kind in zip(keys, self._kinds(), strict=True)
        ]
        chosen = [f"s.* EXCLUDE ({identifier(FILE)})", *(f"f.{identifier(name)}" for name in self.names)]
        files = f"({' '.join(['SELECT', ', '.join(given)])}) AS f"
        select = select_from(chosen, f"({scan.select}) AS s JOIN {files} USING ({identifier(FILE)})")
        otherwise = scan.otherwise
        return replace(
            scan,
            select=select,
            files=(),  # they lack these columns
            parameters=(*scan.parameters, self.paths, *self.values),
            otherwise=None if otherwise is None else lambda error: self.added(otherwise(error)),
        )

    def added(self, items: Iterable[Any]) -> Iterator[Any]:
        """Yield items, with these columns in every scan."""
        for item in items:
            yield self.joined(item) if isinstance(item, BulkScan) else item

    def _kinds(self) -> list[str]:
        return ["VARCHAR", *self.types]


def file_columns(
    listing: Listing, files: Sequence[FoundFile], group: FileGroup, config: FilesystemConfig
) -> FileColumns | None:
    """Return the columns that a configuration asks for; None where it asks for none.

    Raises:
        SourceConfigurationError: the files do not all have the same partition folders.
    """
    columns: dict[str, tuple[str, list[Any]]] = {}
    if config.reader_options.filename:
        columns["filename"] = ("VARCHAR", [f"{listing.storage.label}/{file.name}" for file in files])
    if config.reader_options.hive_partitioning:
        values = [hive_values(file.name) for file in files]
        for key in hive_keys((file.name for file in files), listing.storage.label):
            columns[key] = ("VARCHAR", [found[key] for found in values])
    if "_file_name" in config.file_columns:
        columns["_file_name"] = ("VARCHAR", [file.name for file in files])
    if "_file_modified" in config.file_columns:
        columns["_file_modified"] = ("TIMESTAMPTZ", [_time(file.modified_ns) for file in files])
    if not columns:
        return None
    kinds, lists = zip(*columns.values(), strict=True)
    return FileColumns(tuple(columns), kinds, lists, [str(path) for path in group.files])


def _time(modified_ns: int | None) -> datetime | None:
    if modified_ns is None:
        return None
    whole, rest = divmod(modified_ns, 1_000_000_000)
    return datetime.fromtimestamp(whole, UTC).replace(microsecond=rest // 1000)
