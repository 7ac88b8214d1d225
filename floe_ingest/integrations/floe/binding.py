"""The deployment binding: which catalog and storage floe has composed, without a secret in it.

It is written when floe compiles a product, and comes back at run time as ``IngestionConfig.runtime_binding``.
Its ``iceberg_catalog_env`` and ``env_refs`` name environment variables as PyIceberg reads them
(``PYICEBERG_CATALOG__<NAME>__S3__ENDPOINT`` is ``s3.endpoint``). They are turned into catalog properties
here; the process environment stays as it is.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from floe_ingest.errors import PipelineConfigurationError
from floe_ingest_hookspecs import CatalogRequest

if TYPE_CHECKING:
    from pathlib import Path

    from floe_core.composition.models import PluginRequirements
    from floe_core.schemas.compiled_artifacts import (
        CatalogDeploymentBinding,
        IcebergRestCatalogBinding,
        IngestionDeploymentBinding,
        StorageDeploymentBinding,
    )

_CATALOG_NAME = "ICEBERG_CATALOG__ICEBERG_CATALOG_NAME"
_PREFIX = "PYICEBERG_CATALOG__"
_CLIENT_ID, _CLIENT_SECRET = "oauth2.client-id", "oauth2.client-secret"
_AWS = (
    ("AWS_ACCESS_KEY_ID", "s3.access-key-id"),
    ("AWS_SECRET_ACCESS_KEY", "s3.secret-access-key"),
    ("AWS_SESSION_TOKEN", "s3.session-token"),
    ("AWS_REGION", "s3.region"),
)


def requirements(plugin: str) -> PluginRequirements:
    """Return what the plugin asks of the storage and catalog that a platform selects."""
    from floe_core.composition.models import PluginRequirements, RequirementSet

    return PluginRequirements(
        plugin_type="ingestion",
        plugin_name=plugin,
        requirements=RequirementSet(
            protocols=["s3-compatible", "s3"],
            credential_modes=["kubernetes-secret", "environment", "workload-identity"],
            catalog_providers=["iceberg-rest"],
            table_formats=["iceberg"],
        ),
    )


def deployment_binding(
    plugin: str, storage: StorageDeploymentBinding, catalog: CatalogDeploymentBinding
) -> IngestionDeploymentBinding:
    """Return the binding of composed storage and catalog: addresses, and names of environment variables.

    Raises:
        PipelineConfigurationError: there is no warehouse, or no Iceberg REST catalog.
    """
    from floe_core.schemas.compiled_artifacts import DltIngestionBinding, IngestionDeploymentBinding

    if storage.warehouse is None:
        raise PipelineConfigurationError(
            "The storage binding has no warehouse. Give the storage plugin a bucket for tables."
        )
    if catalog.iceberg_rest is None:
        raise PipelineConfigurationError(
            f"The catalog {catalog.provider!r} brings no Iceberg REST binding, which ingestion loads through."
        )
    endpoint = storage.endpoint
    style = "path" if endpoint.path_style_access else "virtual"
    address = {
        "endpoint_url": endpoint.internal_url,
        "region_name": endpoint.region,
        "s3_url_style": style,
    }
    return IngestionDeploymentBinding(
        provider="dlt",
        dlt=DltIngestionBinding(
            plugin_name=plugin,
            destination="filesystem",  # the only value that floe-core knows; ours goes by the catalog alone
            table_format="iceberg",
            source_filesystem=dict(address),
            destination_filesystem={"bucket_url": storage.warehouse.uri, "credentials": address},
            iceberg_catalog_env=_catalog_env(storage, catalog.iceberg_rest),
            env_refs=_env_refs(storage, catalog.iceberg_rest),
        ),
    )


def _catalog_env(storage: StorageDeploymentBinding, rest: IcebergRestCatalogBinding) -> dict[str, str]:
    properties = {
        **{key: str(value) for key, value in storage.runtime.pyiceberg_properties.items()},
        **rest.properties,
        "type": "rest",
        "uri": rest.uri,
        "warehouse": rest.warehouse,
        "s3.endpoint": storage.endpoint.internal_url,
        "s3.region": storage.endpoint.region,
    }
    if storage.endpoint.path_style_access:
        properties["s3.path-style-access"] = "true"
    if rest.oauth2 is not None and rest.oauth2.oauth2_scope_default is not None:
        properties["scope"] = rest.oauth2.oauth2_scope_default
    return {
        _CATALOG_NAME: rest.catalog_name,
        "ICEBERG_CATALOG__ICEBERG_CATALOG_TYPE": "rest",
        **{_variable(rest.catalog_name, key): value for key, value in properties.items()},
    }


def _env_refs(storage: StorageDeploymentBinding, rest: IcebergRestCatalogBinding) -> dict[str, str]:
    env_name = _env_name(rest.catalog_name)
    refs = {
        "credential": f"{env_name}_CREDENTIAL",
        "scope": f"{env_name}_SCOPE",
        "oauth2-server-uri": f"{env_name}_OAUTH2_SERVER_URI",
    }
    if (oauth2 := rest.oauth2) is not None:
        refs |= {
            _CLIENT_ID: oauth2.client_id_env,
            _CLIENT_SECRET: oauth2.client_secret_env,
            "oauth2-server-uri": oauth2.oauth2_server_uri_env,
        }
        if oauth2.oauth2_scope_env is not None:
            refs["scope"] = oauth2.oauth2_scope_env
    found = {_variable(rest.catalog_name, key): source for key, source in refs.items()}
    runtime = storage.runtime.env_refs
    for target, other in (
        ("AWS_ACCESS_KEY_ID", "accessKeyId"),
        ("AWS_SECRET_ACCESS_KEY", "secretAccessKey"),
        ("AWS_SESSION_TOKEN", "sessionToken"),
    ):
        if source := runtime.get(other) or runtime.get(target):
            found[target] = str(source)
    return found


def bound_catalog(binding: Any, folder: Path, environ: Mapping[str, str] | None = None) -> CatalogRequest:
    """Return the catalog that a runtime binding names, with the secrets of the environment filled in.

    Arguments:
        binding: a mapping, or a pydantic model of one.
        folder: of the configuration.
        environ: ``os.environ`` by default. A variable that is not set is left out: which of them a catalog
            needs, only the catalog knows.

    Raises:
        PipelineConfigurationError: it is no binding, or names no catalog.
    """
    environ = os.environ if environ is None else environ
    document = binding if isinstance(binding, Mapping) else binding.model_dump(mode="python")
    if isinstance(document.get("dlt"), Mapping):  # the whole deployment binding
        document = document["dlt"]
    given: dict[str, str] = {str(k): str(v) for k, v in (document.get("iceberg_catalog_env") or {}).items()}
    for target, source in (document.get("env_refs") or {}).items():
        if (value := environ.get(str(source))) is not None:
            given[str(target)] = value
    name = given.get(_CATALOG_NAME) or _only_name(given)
    if name is None:
        raise PipelineConfigurationError(
            f"The runtime binding names no catalog: its iceberg_catalog_env has no {_CATALOG_NAME} and no "
            f"{_PREFIX}<NAME>__URI."
        )
    prefix = f"{_PREFIX}{_env_name(name)}__"
    properties = {
        _property(variable.removeprefix(prefix)): value
        for variable, value in given.items()
        if variable.upper().startswith(prefix)
    }
    for variable, key in _AWS:
        if variable in given:
            properties.setdefault(key, given[variable])
    client_id, secret = properties.pop(_CLIENT_ID, None), properties.pop(_CLIENT_SECRET, None)
    if client_id and secret:
        properties.setdefault("credential", f"{client_id}:{secret}")
    kind = properties.pop("type", given.get("ICEBERG_CATALOG__ICEBERG_CATALOG_TYPE", "rest"))
    return CatalogRequest(name, kind, properties, folder)


def _only_name(given: Mapping[str, str]) -> str | None:
    names = {key.split("__")[1] for key in given if key.startswith(_PREFIX) and key.count("__") >= 2}
    return names.pop().lower().replace("_", "-") if len(names) == 1 else None


def _variable(catalog: str, key: str) -> str:
    return f"{_PREFIX}{_env_name(catalog)}__{key.upper().replace('.', '__').replace('-', '_')}"


def _property(variable: str) -> str:
    return variable.lower().replace("__", ".").replace("_", "-")


def _env_name(catalog: str) -> str:
    return catalog.upper().replace("-", "_")


# -- catalog_config as floe's earlier interface passes it

_FLOE_KEYS = (
    ("s3_endpoint", "s3.endpoint"),
    ("s3_region", "s3.region"),
    ("s3_access_key", "s3.access-key-id"),
    ("s3_secret_key", "s3.secret-access-key"),
    ("s3_session_token", "s3.session-token"),
    ("s3_path_style_access", "s3.path-style-access"),
    ("path_style_access", "s3.path-style-access"),
    ("catalog_name", "name"),
    ("catalog_type", "type"),
    ("catalog_uri", "uri"),
    ("oauth2_server_uri", "oauth2-server-uri"),
)


def pyiceberg_keys(catalog_config: Mapping[str, Any]) -> dict[str, Any]:
    """Return a catalog's settings under PyIceberg's names, where floe has names of its own."""
    names = dict(_FLOE_KEYS)
    settings = {names.get(key, key): value for key, value in catalog_config.items()}
    client_id, secret = settings.pop("client_id", None), settings.pop("client_secret", None)
    if client_id and secret:
        settings.setdefault("credential", f"{client_id}:{secret}")
    return settings
