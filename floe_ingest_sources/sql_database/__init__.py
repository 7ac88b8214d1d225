"""The ``sql_database`` source: tables and queries of any database that SQLAlchemy knows."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from floe_ingest import Requirement, SourceCheck, SourceType, hookimpl
from floe_ingest_sources.sql_database.config import SqlDatabaseConfig

if TYPE_CHECKING:
    from floe_ingest import SourceRequest

__all__ = ["SqlDatabaseConfig"]


@hookimpl
def floe_ingest_source_types() -> list[SourceType]:
    """Declare ``sql_database``."""
    return [
        SourceType(
            "sql_database",
            SqlDatabaseConfig,
            "Tables and queries of a SQL database, by its SQLAlchemy URL",
            requires=(Requirement("sqlalchemy", "pip install 'floe-ingest[sql]'"),),
            capabilities=("bulk", "check", "keys"),
        )
    ]


@hookimpl
def floe_ingest_build_source(request: SourceRequest) -> Any:
    """Build one resource for each table, or one for the query.

    A connection is opened here in one case alone: where neither tables nor a query are named, the
    database must tell which tables there are.

    Raises:
        SourceConfigurationError, SourceConnectionError, MissingPackageError.
    """
    from floe_ingest_sources.sql_database.reading import build

    return build(request)


@hookimpl
def floe_ingest_check_source(request: SourceRequest) -> SourceCheck:
    """Connect, and find each table with its columns and about how many rows it has.

    Raises:
        SourceConfigurationError, SourceConnectionError, MissingPackageError.
    """
    from floe_ingest_sources.sql_database.reading import check

    return check(request)
