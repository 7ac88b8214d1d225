"""Finds the tables that workloads left behind, whatever catalog they were written through."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import unquote, urlparse

if TYPE_CHECKING:
    from pyiceberg.table import Table


def folder_of(table: Table) -> Path:
    """Return the folder of a table on local storage."""
    return Path(unquote(urlparse(table.location()).path))


def table_below(folder: Path, name: str) -> Table:
    """Open the newest version of a table by its files alone.

    Arguments:
        folder: of the warehouse.
        name: of the table, and of its folder.

    Raises:
        FileNotFoundError: there is none.
    """
    from pyiceberg.table import StaticTable

    found = [
        file
        for file in folder.rglob("*.metadata.json")
        if file.parent.name == "metadata" and file.parent.parent.name == name
    ]
    if not found:
        raise FileNotFoundError(f"No table {name!r} below {folder}")
    newest = max(found, key=lambda file: (file.stat().st_mtime_ns, file.name))
    return StaticTable.from_metadata(newest.as_uri())
