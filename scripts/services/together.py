"""All servers in one place, each started when it is first asked for."""

from __future__ import annotations

from contextlib import ExitStack
from functools import cached_property
from typing import TYPE_CHECKING, Self

from services import catalogs, databases, storage

if TYPE_CHECKING:
    from services.catalogs import RestCatalogServer
    from services.databases import MariaServer, PostgresServer
    from services.storage import AzureStore, GcsStore, S3Store


class Services:
    """Starts each server at first use, and ends those that were started, last first.

    Example:
        >>> with Services() as services:  # doctest: +SKIP
        ...     services.rest_minio.properties
    """

    def __init__(self) -> None:
        self._stack = ExitStack()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    @cached_property
    def postgres(self) -> PostgresServer:
        """PostgreSQL."""
        return self._stack.enter_context(databases.postgres_server())

    @cached_property
    def mariadb(self) -> MariaServer:
        """MariaDB."""
        return self._stack.enter_context(databases.mariadb_server())

    @cached_property
    def minio(self) -> S3Store:
        """MinIO."""
        return self._stack.enter_context(storage.minio())

    @cached_property
    def gcs(self) -> GcsStore:
        """fake-gcs-server."""
        return self._stack.enter_context(storage.fake_gcs())

    @cached_property
    def azurite(self) -> AzureStore:
        """Azurite."""
        return self._stack.enter_context(storage.azurite())

    @cached_property
    def rest_files(self) -> RestCatalogServer:
        """Iceberg's reference REST server, with tables in local files."""
        return self._stack.enter_context(catalogs.iceberg_rest())

    @cached_property
    def rest_minio(self) -> RestCatalogServer:
        """Iceberg's reference REST server, with tables on MinIO."""
        return self._stack.enter_context(catalogs.iceberg_rest(self.minio))

    @cached_property
    def nessie(self) -> RestCatalogServer:
        """Nessie, with tables on MinIO."""
        return self._stack.enter_context(catalogs.nessie(self.minio))
