"""Catalogs with storage for tests, read back by others than our own code: embedded, and on real servers."""

from __future__ import annotations

import shutil
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from readers import read_by_duckdb
from secret_scan import FINDS

from floe_ingest.destination.nessie import adapt_commits

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    import pyarrow as pa
    import pyarrow.parquet as pq
    from pyiceberg.catalog import Catalog
    from pyiceberg.table import Table
    from services.storage import S3Store
    from services.together import Services

SERVED = ("sql-postgres", "rest-files", "rest-minio", "nessie-minio")
"""Lakes on real servers, by the names that ``--lake`` takes."""


def dealt_to(number: int, lakes: Sequence[str]) -> str:
    """Return the one lake that runs a test's case of a number, where its cases do not depend on the lake.

    Each round begins one lake further: of cases that take turns in two ways, every lake has both.
    """
    round_, place = divmod(number, len(lakes))
    return lakes[(round_ + place) % len(lakes)]


@dataclass(frozen=True)
class Lake:
    """An embedded catalog in a temporary folder."""

    folder: Path

    shows_history = True
    """Whether ``load_table`` shows every snapshot of a table, or only the newest."""

    flaky = "flaky.FlakySqlCatalog"
    """The class of a catalog like this one whose answers go wrong as told."""

    @property
    def properties(self) -> dict[str, str]:
        return {
            "type": "sql",
            "uri": f"sqlite:///{self.folder / 'catalog.db'}",
            "warehouse": self.folder.as_uri(),
        }

    def catalog(self) -> Catalog:
        from pyiceberg.catalog import load_catalog

        self.folder.mkdir(parents=True, exist_ok=True)
        return load_catalog("default", **self.properties)

    def table(self, name: str) -> Table:
        return self.catalog().load_table(name)

    def rows(self, name: str) -> list[dict[str, Any]]:
        """Read a table with pyiceberg."""
        return self.table(name).scan().to_arrow().to_pylist()

    def duckdb(self, name: str, select: str = "SELECT * FROM t") -> pa.Table:
        """Read a table with DuckDB's Iceberg extension; ``t`` is the table."""
        return read_by_duckdb(self.table(name).metadata_location, select)

    def snapshots(self, name: str) -> int:
        """Return how many snapshots a table has had."""
        return len(self.table(name).snapshots())

    def expire(self, namespace: str = "bronze") -> None:
        """Expire every snapshot but the newest of each table, unless no other is shown anyway."""
        if not self.shows_history:
            return
        for identifier in self.catalog().list_tables(namespace):
            table = self.catalog().load_table(identifier)
            old = {snapshot.snapshot_id for snapshot in table.snapshots()} - {
                table.metadata.current_snapshot_id
            }
            if old:
                table.maintenance.expire_snapshots().by_ids(sorted(old)).commit()

    def shown(self, made: list[Any]) -> list[Any]:
        """Return what ``load_table`` shows of snapshots, given one item for each that was made."""
        return made if self.shows_history else made[-1:]

    def parquet(self, name: str, location: str) -> pq.ParquetFile:
        """Open a data file of a table."""
        import pyarrow.parquet as pq

        return pq.ParquetFile(self.table(name).io.new_input(location).open())

    def stored_files(self, name: str) -> set[str]:
        """Return the locations of all Parquet files that stand in a table's storage."""
        folder = self.folder.joinpath(*name.split("."), "data")
        return {path.as_uri() for path in folder.rglob("*.parquet")}

    def put(self, file: Path) -> str:
        """Put a file into storage, outside of every table, and return its location."""
        return file.as_uri()


@dataclass(frozen=True)
class ServedLake(Lake):
    """A catalog and storage on real servers."""

    given: Mapping[str, str] = field(repr=False, default_factory=dict)
    shows_history: bool = True
    flaky: str = "flaky.FlakyRestCatalog"
    store: S3Store | None = None

    @property
    def properties(self) -> dict[str, str]:
        return dict(self.given)

    @cached_property
    def _catalog(self) -> Catalog:
        from pyiceberg.catalog import load_catalog

        catalog = load_catalog("default", **self.properties)
        adapt_commits(catalog)  # what stands for another writer has to be one that Nessie understands
        return catalog

    def catalog(self) -> Catalog:
        return self._catalog

    def duckdb(self, name: str, select: str = "SELECT * FROM t") -> pa.Table:
        secret = {"s3": self.store.properties} if self.store else {}
        return read_by_duckdb(self.table(name).metadata_location, select, **secret)

    def snapshots(self, name: str) -> int:
        if self.shows_history:
            return super().snapshots(name)
        return self.table(name).metadata.last_sequence_number

    def stored_files(self, name: str) -> set[str]:
        place = f"{self.table(name).location()}/data/"
        if self.store is None:
            root = Path(urlsplit(place).path)
            return {f"{place}{path.relative_to(root)}" for path in root.rglob("*.parquet")}
        parts = urlsplit(place)
        listed = self.store.client().list_objects_v2(Bucket=parts.netloc, Prefix=parts.path.lstrip("/"))
        assert not listed["IsTruncated"]
        return {
            f"s3://{parts.netloc}/{found['Key']}"
            for found in listed.get("Contents", [])
            if found["Key"].endswith(".parquet")
        }

    def put(self, file: Path) -> str:
        if self.store is None:
            return file.as_uri()
        bucket = urlsplit(self.store.warehouse).netloc
        self.store.client().upload_file(str(file), bucket, f"foreign/{file.name}")
        return f"s3://{bucket}/foreign/{file.name}"

    def empty(self) -> None:
        """Remove every table and namespace, with all files."""
        for namespace in self._catalog.list_namespaces():
            tables = self._catalog.list_tables(namespace)
            # All before the first is removed: two tables may share a location.
            locations = {self._catalog.load_table(identifier).location() for identifier in tables}
            for location in locations:
                self._search(location)
            for identifier in tables:
                self._catalog.drop_table(identifier)
            for location in locations:
                self._remove(location)
            self._catalog.drop_namespace(namespace)
        self._catalog.close()

    def _search(self, location: str) -> None:
        """Look for secrets in all files of a place, which are gone when the session ends."""
        parts = urlsplit(location)
        if self.store is None:
            for file in Path(parts.path).rglob("*"):
                if file.is_file():
                    FINDS.look_at(file.as_posix(), file.read_bytes())
        else:
            for key, data in self.store.contents(f"{parts.path.lstrip('/')}/"):
                FINDS.look_at(f"s3://{parts.netloc}/{key}", data)

    def _remove(self, location: str) -> None:
        parts = urlsplit(location)
        if self.store is None:
            shutil.rmtree(parts.path, ignore_errors=True)  # the server removes some by itself
        else:
            self.store.remove(f"{parts.path.lstrip('/')}/")


@contextmanager
def served_lake(kind: str, services: Services, folder: Path) -> Iterator[ServedLake]:
    """Give an empty lake on real servers, and empty it afterwards."""
    lake = _made(kind, services, folder)
    try:
        yield lake
    finally:
        lake.empty()


def _made(kind: str, services: Services, folder: Path) -> ServedLake:
    if kind == "sql-postgres":
        from uuid import uuid4

        name = f"lake_{uuid4().hex}"
        services.postgres.create_database(name)
        uri = services.postgres.url(database=name).replace("postgresql:", "postgresql+psycopg:")
        properties = {"type": "sql", "uri": uri, "warehouse": folder.as_uri()}
        return ServedLake(folder, properties, flaky="flaky.FlakySqlCatalog")
    if kind == "rest-files":
        return ServedLake(folder, services.rest_files.properties)
    if kind == "rest-minio":
        return ServedLake(folder, services.rest_minio.properties, store=services.minio)
    if kind == "nessie-minio":
        return ServedLake(folder, services.nessie.properties, shows_history=False, store=services.minio)
    raise ValueError(f"{kind!r} is not one of {', '.join(SERVED)}")
