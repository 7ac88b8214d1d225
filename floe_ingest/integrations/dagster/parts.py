"""The tables of a source by what the configuration names: no connection is opened to find them."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from floe_ingest.engine.resources import Destination

if TYPE_CHECKING:
    from floe_ingest.config import SourceConfig

WHOLE = "all"
"""The name of the one asset of a source whose resources are known at run time alone."""


@dataclass(frozen=True, slots=True)
class Part:
    """What one asset stands for.

    Arguments:
        source: the source.
        name: in the asset's key.
        resource: the resource that is loaded; None for all that the source has.
    """

    source: SourceConfig
    name: str
    resource: str | None

    @property
    def destination_table(self) -> str:
        """The full name of the table; with ``{resource}`` in it where the asset stands for several."""
        if self.name == WHOLE and self.resource is None:
            return self.source.destination_table
        destination = Destination.parse(self.source.destination_table)
        return f"{destination.namespace}.{destination.table_of(self.name)}"

    @property
    def table(self) -> str | None:
        """The table's name in its namespace, as dlt normalises it; None where there are several."""
        from dlt.common.normalizers.naming.snake_case import NamingConvention

        if "{resource}" in self.destination_table:
            return None
        name = self.destination_table.rpartition(".")[2]
        return str(NamingConvention().normalize_table_identifier(name))

    def owns(self, table: str) -> bool:
        """Return whether a table, by its full name, is this one's or a child of it."""
        own = self.table
        name = table.rpartition(".")[2]
        return own is None or name == own or name.startswith(f"{own}__")


def parts_of(source: SourceConfig) -> tuple[Part, ...]:
    """Return what a source's assets stand for.

    Names are those below ``tables``, ``table`` or ``resources`` of ``source_config``, where these are no
    patterns; else those of the source's own ``resources``; else one asset stands for all.
    """
    names = _named(source.source_config) or tuple(source.resources)
    if "{resource}" not in source.destination_table:
        return (Part(source, names[0] if len(names) == 1 else source.name, None),)
    if not names and _is_one(source):
        return (Part(source, source.name, None),)
    if not names:
        return (Part(source, WHOLE, None),)
    return tuple(Part(source, name, name) for name in names)


def _named(settings: Mapping[str, Any]) -> tuple[str, ...]:
    found: list[str] = []
    for key in ("table", "tables", "resources"):
        written = settings.get(key) or ()
        items = [written] if isinstance(written, str) else list(written)
        found += [item.get("name", "") if isinstance(item, Mapping) else str(item) for item in items]
    if any(not name or re.search(r"[*?$]", name) for name in found):
        return ()
    return tuple(dict.fromkeys(found))


def _is_one(source: SourceConfig) -> bool:
    """Return whether a source of a built-in type has one resource, by the source's own name."""
    settings = source.source_config
    return source.source_type == "filesystem" or (
        source.source_type == "sql_database" and settings.get("query") is not None
    )


def safe(name: str) -> str:
    """Return a name of which Dagster makes groups, ops and schedules."""
    return re.sub(r"[^A-Za-z0-9_]", "_", name)
