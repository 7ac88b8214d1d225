"""The types that pass through hooks. All are frozen, and validated where they are made."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from pydantic import BaseModel

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from datetime import datetime

    from floe_ingest_hookspecs.cursors import Cursor

WriteMode = Literal["append", "replace", "merge"]

_TYPE_NAME = re.compile(r"[a-z][a-z0-9_]*")


class ErrorCategory(StrEnum):
    """What a failure calls for.

    - ``transient``: the same run may succeed later (timeouts, refused connections, 429, 5xx, lost races).
    - ``permanent``: it will not, until something outside the configuration changes (permissions, a
      missing table).
    - ``partial``: some tables of the load were committed, others not; a re-run completes it.
    - ``configuration``: what the user wrote must change (unknown keys, wrong types, missing packages).
    """

    TRANSIENT = "transient"
    PERMANENT = "permanent"
    PARTIAL = "partial"
    CONFIGURATION = "configuration"


@dataclass(frozen=True, slots=True)
class Requirement:
    """An import that a source type needs, and the pip line that brings it.

    Example:
        >>> Requirement("sqlalchemy", "pip install 'floe-ingest[sql]'").import_name
        'sqlalchemy'
    """

    import_name: str
    install: str


@dataclass(frozen=True, slots=True)
class SourceType:
    """A source type that a plugin brings.

    Arguments:
        name: what users write as ``source_type``: lower case, digits and underscores.
        config_model: the pydantic model of ``source_config``. It should forbid extra keys, so that a
            misspelt key is an error and not a setting that does nothing.
        summary: one line for lists.
        requires: imports that this type needs beyond the core installation.
        capabilities: free words for lists, such as ``bulk``, ``incremental``, ``check``, and ``keys`` for a
            type whose resources find their primary key when they are read.

    Raises:
        ValueError, TypeError: where a field is not as described.
    """

    name: str
    config_model: type[BaseModel]
    summary: str
    requires: tuple[Requirement, ...] = ()
    capabilities: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if not isinstance(self.name, str) or not _TYPE_NAME.fullmatch(self.name):
            raise ValueError(
                f"SourceType.name must be lower-case letters, digits and underscores, starting with a "
                f"letter, got {self.name!r}"
            )
        if not (isinstance(self.config_model, type) and issubclass(self.config_model, BaseModel)):
            raise TypeError(
                f"SourceType.config_model of {self.name!r} must be a pydantic model class, "
                f"got {self.config_model!r}"
            )
        if not isinstance(self.summary, str) or not self.summary.strip() or "\n" in self.summary:
            raise ValueError(f"SourceType.summary of {self.name!r} must be one line of text")
        for requirement in self.requires:
            if not isinstance(requirement, Requirement):
                raise TypeError(
                    f"SourceType.requires of {self.name!r} must hold Requirement(import_name, install), "
                    f"got {requirement!r}"
                )


@dataclass(frozen=True, slots=True)
class SourceRequest:
    """One source of a configuration, validated, as handed to the plugin that declared its type.

    Arguments:
        name: the source's name in the configuration.
        source_type: the declared type.
        config: the instance of that type's ``config_model``.
        destination_table: as written; may hold ``{resource}``.
        write_mode: append, replace or merge where the user wrote it; None leaves the resource's own hint in
            force.
        primary_key: its columns where the user wrote them; empty leaves the resource's own hint in force.
        cursor_field: the column where the user wrote one; None leaves the resource's own hint in force.
        config_folder: the folder against which relative paths in ``config`` are resolved.
        work_folder: where this load may keep files while it lasts; emptied after it. None in a probe.
        cursor: ``cursor_field`` with the options beside it.
        resource_cursors: by resource, where the user wrote other options for one; None for no cursor.
    """

    name: str
    source_type: str
    config: Any
    destination_table: str
    write_mode: WriteMode | None = None
    primary_key: tuple[str, ...] = ()
    cursor_field: str | None = None
    config_folder: Path = field(default_factory=Path.cwd)
    work_folder: Path | None = None
    cursor: Cursor | None = None
    resource_cursors: Mapping[str, Cursor | None] = field(default_factory=dict)

    def cursor_of(self, resource: str) -> Cursor | None:
        """Return how a resource is read in parts; None for one that is read whole."""
        return self.resource_cursors.get(resource, self.cursor)

    def resolve_path(self, path: str) -> Path:
        """Return ``path`` as an absolute path: relative ones are relative to the configuration file."""
        return (self.config_folder / Path(path).expanduser()).resolve()


@dataclass(frozen=True, slots=True)
class FoundResource:
    """A table, file group or endpoint that a probe found.

    Arguments:
        name: the resource's name, as it will fill ``{resource}``.
        columns: names of its columns, where the probe could see them.
        estimated_rows: None where unknown.
        detail: a few words, such as "3 CSV files".
    """

    name: str
    columns: tuple[str, ...] = ()
    estimated_rows: int | None = None
    detail: str = ""


@dataclass(frozen=True, slots=True)
class MissingPart:
    """Something that a source needs and that its probe did not find.

    Arguments:
        kind: ``package``: a driver that is not installed; ``permission``: one that the login lacks;
            ``resource``: a table, file or endpoint that the configuration names and the source lacks.
        name: which one, as the configuration writes it.
        advice: what to do, in a sentence: the pip line, the grant, the nearest name that is there.

    Raises:
        ValueError: the kind is another, or the name is empty.

    Example:
        >>> MissingPart("resource", "ordrs", "Did you mean 'orders'?").kind
        'resource'
    """

    kind: Literal["package", "permission", "resource"]
    name: str
    advice: str = ""

    def __post_init__(self) -> None:
        kinds = ("package", "permission", "resource")
        if self.kind not in kinds:
            raise ValueError(f"MissingPart.kind must be one of {', '.join(kinds)}, got {self.kind!r}")
        if not self.name:
            raise ValueError("MissingPart.name must say what is missing")


@dataclass(frozen=True, slots=True)
class SourceCheck:
    """What a probe found. A source that cannot be reached at all raises ``SourceConnectionError`` instead.

    Arguments:
        resources: what is there.
        message: a few words about the source as a whole, such as its version.
        missing: what is not there; with any, the check has failed, and a run does not begin unless a
            permission alone is missing, which the load then tells.
    """

    resources: tuple[FoundResource, ...] = ()
    message: str = ""
    missing: tuple[MissingPart, ...] = ()


@dataclass(frozen=True, slots=True)
class RunContext:
    """The run at hand.

    Arguments:
        run_id: names one logical execution; a re-run with the same id goes on with it.
        started_at: in UTC.
        sources: names of the sources of this run.
        full_refresh: whether tables and state start anew.
        source: the source at hand, in hooks about one source; None in hooks about the whole run.
    """

    run_id: str
    started_at: datetime
    sources: tuple[str, ...]
    full_refresh: bool = False
    source: SourceRequest | None = None


@dataclass(frozen=True, slots=True)
class LoadError:
    """A failure as results report it. Secrets are already removed from ``message``.

    Arguments:
        category: what it calls for.
        type: the exception's class name.
        message: what happened and what to do.
        resource: the resource that failed; empty where it was none, or is not known.
        rows: how many of its rows had been read by then, none of which is in its table.
    """

    category: ErrorCategory
    type: str
    message: str
    resource: str = ""
    rows: int | None = None


@dataclass(frozen=True, slots=True)
class TableResult:
    """What one load did to one table.

    Arguments:
        table: the full name, ``namespace.table``.
        rows_loaded: rows that this load committed.
        bytes_written: bytes of data files that this load added.
        snapshot_id: the snapshot of this load; None where nothing was new.
        committed: whether the table now holds this load (also where an earlier try had committed it).
    """

    table: str
    rows_loaded: int
    bytes_written: int
    snapshot_id: int | None
    committed: bool


@dataclass(frozen=True, slots=True)
class SourceResult:
    """What became of one source.

    Arguments:
        name: the source's name.
        success: whether every table of it was committed.
        duration_seconds: wall time of this source.
        tables: one entry a table.
        errors: empty on success.
        extra: facts added by ``floe_ingest_enrich_result``.
    """

    name: str
    success: bool
    duration_seconds: float
    tables: tuple[TableResult, ...] = ()
    errors: tuple[LoadError, ...] = ()
    extra: Mapping[str, Any] = field(default_factory=dict)

    @property
    def rows_loaded(self) -> int:
        """Rows committed over all tables."""
        return sum(table.rows_loaded for table in self.tables)

    @property
    def bytes_written(self) -> int:
        """Bytes of data files added over all tables."""
        return sum(table.bytes_written for table in self.tables)


@dataclass(frozen=True, slots=True)
class RunResult:
    """What became of a run: one entry a source, in the order of the configuration."""

    run_id: str
    success: bool
    sources: tuple[SourceResult, ...]

    def as_dict(self) -> dict[str, Any]:
        """Return the document that ``floe-ingest run --json`` prints: plain JSON types only."""
        return {
            "run_id": self.run_id,
            "success": self.success,
            "sources": [_source_as_dict(source) for source in self.sources],
        }


def _source_as_dict(source: SourceResult) -> dict[str, Any]:
    document: dict[str, Any] = {
        "name": source.name,
        "success": source.success,
        "duration_seconds": round(source.duration_seconds, 3),
        "tables": [
            {
                "table": table.table,
                "rows_loaded": table.rows_loaded,
                "bytes_written": table.bytes_written,
                "snapshot_id": table.snapshot_id,
                "committed": table.committed,
            }
            for table in source.tables
        ],
        "errors": [_error_as_dict(error) for error in source.errors],
    }
    if source.extra:
        document["extra"] = dict(source.extra)
    return document


def _error_as_dict(error: LoadError) -> dict[str, Any]:
    document: dict[str, Any] = {
        "category": str(error.category),
        "type": error.type,
        "message": error.message,
    }
    if error.resource:
        document |= {"resource": error.resource, "rows": error.rows}
    return document


@dataclass(frozen=True, slots=True)
class CatalogRequest:
    """The catalog of a configuration, as handed to ``floe_ingest_destination_config``.

    Arguments:
        name: the catalog's name.
        type: rest, sql, glue, hive, or what a plugin brings.
        properties: PyIceberg catalog properties as the user wrote them, environment filled in.
        config_folder: the folder of the configuration file.
    """

    name: str
    type: str
    properties: Mapping[str, str] = field(repr=False)
    config_folder: Path = field(default_factory=Path.cwd)


@dataclass(frozen=True, slots=True)
class DefinitionsRequest:
    """What an orchestrator's wiring is built from.

    Arguments:
        config: the validated configuration (a ``DltIngestionConfig``).
        config_path: its file; None where it came from Python.
        sources: names of sources to take; empty for all.
        options: what the orchestrator's own entry function was given.
    """

    config: Any
    config_path: Path | None = None
    sources: Sequence[str] = ()
    options: Mapping[str, Any] = field(default_factory=dict)
