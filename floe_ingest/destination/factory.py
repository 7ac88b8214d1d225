"""The destination as dlt users name it: ``dlt.pipeline(destination=floe_ingest.iceberg(...))``."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, Any, Final

from dlt.common.configuration import configspec
from dlt.common.destination import Destination, DestinationCapabilitiesContext
from dlt.common.destination.client import DestinationClientDwhConfiguration
from dlt.common.destination.configuration import ParquetFormatConfiguration

if TYPE_CHECKING:
    from dlt.common.normalizers.naming import NamingConvention

    from floe_ingest.destination.client import IcebergClient


class SecretProperties(dict[str, Any]):
    """Catalog properties that show their keys alone."""

    def __repr__(self) -> str:
        return f"<catalog properties: {', '.join(sorted(self)) or 'none'}>"

    __str__ = __repr__


@configspec
class IcebergConfiguration(DestinationClientDwhConfiguration):
    """Settings of the destination, from code or from dlt's configuration (``[destination.iceberg]``).

    Arguments:
        catalog_name: the catalog's name.
        catalog_properties: PyIceberg catalog properties.
        run_id: names one logical execution; tables that carry it are skipped.
        memory_limit: of DuckDB.
        scratch_folder: where files on their way and spilled data go; the system's temporary folder by
            default.
    """

    destination_type: Final[str] = dataclasses.field(  # type: ignore[misc]
        default="floe_ingest.destination.factory.iceberg", init=False, repr=False, compare=False
    )
    catalog_name: str = "default"
    catalog_properties: dict[str, Any] | None = None
    run_id: str | None = None
    memory_limit: str = "512MB"
    scratch_folder: str | None = None

    def __str__(self) -> str:
        return f"iceberg catalog {self.catalog_name}"

    def fingerprint(self) -> str:
        """Return nothing: dlt would send it away, and a catalog's address is the user's."""
        return ""


class iceberg(Destination[IcebergConfiguration, "IcebergClient"]):  # noqa: N801 (dlt's destinations are named so)
    """Load into Apache Iceberg tables of a catalog: one snapshot per table and load, exactly once.

    Arguments:
        catalog_name: the catalog's name; PyIceberg's own configuration under that name fills in what is
            missing.
        run_id: names one logical execution. A load of the same pipeline with the same id is skipped by
            tables that carry it already.
        memory_limit: of DuckDB, as "512MB".
        scratch_folder: for files on their way and spilled data.
        destination_name: dlt's name for this configuration.
        environment: dlt's environment.
        **catalog_properties: PyIceberg catalog properties: ``type``, ``uri``, ``warehouse``, ``credential``,
            ``s3.endpoint`` (pass names with dots and dashes by ``**{...}``). Without any, an embedded
            catalog (SQLite, with its data beside it) in ``./warehouse``.

    Example:
        >>> import dlt, floe_ingest
        >>> destination = floe_ingest.iceberg(type="sql", uri="sqlite:///lake/catalog.db", warehouse="file:///lake")
        >>> pipeline = dlt.pipeline("shop", destination=destination, dataset_name="bronze")  # doctest: +SKIP
    """

    spec = IcebergConfiguration

    def __init__(
        self,
        *,
        catalog_name: str = "default",
        run_id: str | None = None,
        memory_limit: str = "512MB",
        scratch_folder: str | None = None,
        enable_dataset_name_normalization: bool = True,
        destination_name: str | None = None,
        environment: str | None = None,
        **catalog_properties: Any,
    ) -> None:
        properties = dict(catalog_properties.pop("catalog_properties", None) or {}) | catalog_properties
        # Given as None, it would hide what dlt's configuration says.
        given = {"catalog_properties": SecretProperties(properties)} if properties else {}
        super().__init__(
            catalog_name=catalog_name,
            run_id=run_id,
            memory_limit=memory_limit,
            scratch_folder=scratch_folder,
            enable_dataset_name_normalization=enable_dataset_name_normalization,
            destination_name=destination_name,
            environment=environment,
            **given,
        )

    @property
    def client_class(self) -> type[IcebergClient]:
        """The job client."""
        from floe_ingest.destination.client import IcebergClient

        return IcebergClient

    def capabilities(
        self, config: IcebergConfiguration | None = None, naming: NamingConvention | None = None
    ) -> DestinationCapabilitiesContext:
        """Return what this destination can do.

        Arguments:
            config: makes no difference. dlt would resolve one, two dozen times a load, where none is given.
            naming: dlt's naming convention.
        """
        return super().capabilities(config or self.spec(), naming)

    def _raw_capabilities(self) -> DestinationCapabilitiesContext:
        caps = DestinationCapabilitiesContext.generic_capabilities(preferred_loader_file_format="parquet")
        caps.supported_loader_file_formats = ["parquet", "reference"]
        caps.supported_table_formats = ["iceberg"]
        caps.supported_merge_strategies = ["delete-insert", "upsert", "scd2", "insert-only"]
        caps.supported_replace_strategies = ["truncate-and-insert"]
        caps.has_case_sensitive_identifiers = True
        caps.supports_nested_types = True
        caps.enforces_nulls_on_alter = False
        caps.max_identifier_length = 255
        caps.max_column_identifier_length = 255
        caps.timestamp_precision = 6
        caps.max_timestamp_precision = 6
        caps.sqlglot_dialect = "duckdb"
        # What lands is zstd, and these files land as they are where that reads right.
        caps.parquet_format = ParquetFormatConfiguration(
            flavor=None, compression="zstd", coerce_timestamps="us"
        )
        return caps


iceberg.register()
