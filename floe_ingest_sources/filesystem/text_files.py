"""What reading text files takes beside the files themselves."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from floe_ingest_sources._resources import known_type

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    from floe_ingest_sources.filesystem.files import FileGroup
    from floe_ingest_sources.filesystem.rejected import Rejects


@dataclass(frozen=True, slots=True)
class TextFiles:
    """CSV or JSON files, and how a resource reads them.

    Arguments:
        group: the files.
        kept: gives an empty folder for rows that were looked at.
        rejects: takes rows that cannot be read; None where such a row stops the load.
        further: names of columns that are added later (file name, partition folders).
        file_column: the column that shall tell each row's file; None for none.
        known: dlt's types of the columns that the table has already.
        ordered: whether the rows have to come in the order of the files.
    """

    group: FileGroup
    kept: Callable[[], Path]
    rejects: Rejects | None = None
    further: tuple[str, ...] = ()
    file_column: str | None = None
    known: Mapping[str, str] = field(default_factory=dict)
    ordered: bool = False

    def known_type(self, column: str) -> str | None:
        """Return dlt's type of the table's column for one of the files; None where there is none yet."""
        return known_type(self.known, column)
