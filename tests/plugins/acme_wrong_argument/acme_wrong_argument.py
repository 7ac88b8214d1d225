"""Sample plugin: a hook takes an argument that the contract does not have."""

from typing import Any

from floe_ingest import SourceRequest, hookimpl


@hookimpl
def floe_ingest_build_source(requests: SourceRequest) -> Any:
    return [{"id": requests.name}]
