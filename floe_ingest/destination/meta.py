"""dlt's schemas and the list of a pipeline's tables, in the properties of one small table.

A property costs a few milliseconds to read and one commit to write, and only when a schema changes;
a table of rows costs three times that at every load.
"""

from __future__ import annotations

import base64
import json
import zlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from tenacity import retry, retry_if_exception_type, stop_after_attempt, wait_random_exponential

if TYPE_CHECKING:
    from collections.abc import Mapping

    from pyiceberg.catalog import Catalog
    from pyiceberg.table import Table

META_TABLE = "_dlt_meta"
# Schemas are kept by pipeline: two pipelines whose sources have the same name would take the tables of each
# other's schema for their own, and empty them where they replace. A pipeline
# is a folder to dlt, so its name holds no slash.
_SCHEMAS = "dlt.schema."


@dataclass(frozen=True, slots=True)
class StoredSchema:
    """A dlt schema as it is kept: the arguments of dlt's ``StorageSchemaInfo``."""

    version_hash: str
    schema_name: str
    version: int
    engine_version: int
    inserted_at: str
    schema: str


class MetaTable:
    """The ``_dlt_meta`` table of one namespace, as one look at it found it. Make a new one to look again.

    Arguments:
        catalog: an open catalog.
        namespace: the namespace of the data tables.
    """

    def __init__(self, catalog: Catalog, namespace: tuple[str, ...]) -> None:
        self._catalog = catalog
        self._identifier = (*namespace, META_TABLE)
        self._looked = False
        self._properties: Mapping[str, str] | None = None

    def properties(self) -> Mapping[str, str] | None:
        """Return all properties, or None where nothing was ever stored in this namespace."""
        if not self._looked:
            table = self._load()
            self._properties = table.metadata.properties if table else None
            self._looked = True
        return self._properties

    def schema(self, name: str | None, pipeline: str | None = None) -> StoredSchema | None:
        """Return the stored schema of this name, or the newest of all.

        Arguments:
            name: of the schema; any where None.
            pipeline: whose schema goes before one of the same name that another pipeline stored.
        """
        found = self._schemas(name, pipeline) if pipeline is not None else []
        return max(found or self._schemas(name), key=lambda schema: schema.inserted_at, default=None)

    def schema_by_hash(self, version_hash: str) -> StoredSchema | None:
        """Return the stored schema with this version hash."""
        return next((schema for schema in self._schemas() if schema.version_hash == version_hash), None)

    def resources_of_tables(self, pipeline: str) -> dict[str, str]:
        """Return which resource feeds each root table of a pipeline, by the schemas that it stored."""
        return {
            name: table["resource"]
            for schema in self._schemas(None, pipeline)
            for name, table in json.loads(schema.schema)["tables"].items()
            if table.get("resource")
        }

    def _schemas(self, name: str | None = None, pipeline: str | None = None) -> list[StoredSchema]:
        prefix = _SCHEMAS if pipeline is None else f"{_SCHEMAS}{pipeline}/"
        stored = [
            _decode(value) for key, value in (self.properties() or {}).items() if key.startswith(prefix)
        ]
        return [schema for schema in stored if name is None or schema.schema_name == name]

    def root_tables(self, pipeline: str) -> tuple[str, ...]:
        """Return the root tables that a pipeline has loaded into."""
        text = (self.properties() or {}).get(_tables_key(pipeline), "[]")
        return tuple(json.loads(text))

    def store(self, schema: StoredSchema, pipeline: str, root_tables: set[str]) -> None:
        """Store a schema and a pipeline's root tables, in one commit, if anything is new."""
        known = self.properties() or {}
        tables = sorted({*json.loads(known.get(_tables_key(pipeline), "[]")), *root_tables})
        schema_key = f"{_SCHEMAS}{pipeline}/{schema.schema_name}"
        wanted = {_tables_key(pipeline): json.dumps(tables)}
        current = known.get(schema_key)
        if not current or _decode(current).version_hash != schema.version_hash:
            wanted[schema_key] = _encode(schema)
        if changed := {key: value for key, value in wanted.items() if known.get(key) != value}:
            self._set(changed)

    def _load(self) -> Table | None:
        from pyiceberg.exceptions import NoSuchNamespaceError, NoSuchTableError

        try:
            return self._catalog.load_table(self._identifier)
        except (NoSuchTableError, NoSuchNamespaceError):
            return None

    def _set(self, properties: dict[str, str]) -> None:
        from pyiceberg.exceptions import CommitFailedException, TableAlreadyExistsError
        from pyiceberg.schema import Schema
        from pyiceberg.types import NestedField, StringType

        @retry(
            retry=retry_if_exception_type((CommitFailedException, TableAlreadyExistsError)),
            wait=wait_random_exponential(multiplier=0.05, max=2),
            stop=stop_after_attempt(20),
            reraise=True,
        )
        def attempt() -> None:
            table = self._load()
            if table is None:
                # A table needs a column; this one never gets rows.
                empty = Schema(NestedField(1, "unused", StringType(), required=False))
                self._catalog.create_table(self._identifier, empty, properties=properties)
                return
            with table.transaction() as transaction:
                transaction.set_properties(properties)

        attempt()
        self._looked = False


def _tables_key(pipeline: str) -> str:
    return f"dlt.tables.{pipeline}"


def _encode(schema: StoredSchema) -> str:
    document: dict[str, Any] = {
        "version_hash": schema.version_hash,
        "schema_name": schema.schema_name,
        "version": schema.version,
        "engine_version": schema.engine_version,
        "inserted_at": schema.inserted_at,
        "schema": base64.b64encode(zlib.compress(schema.schema.encode(), 9)).decode("ascii"),
    }
    return json.dumps(document)


def _decode(text: str) -> StoredSchema:
    document = json.loads(text)
    document["schema"] = zlib.decompress(base64.b64decode(document["schema"])).decode()
    return StoredSchema(**document)
