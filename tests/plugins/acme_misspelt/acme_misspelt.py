"""Sample plugin: one letter of a hook's name is missing."""

from typing import Any

from floe_ingest import SourceRequest, hookimpl


@hookimpl
def floe_ingest_build_sorce(request: SourceRequest) -> Any:
    return [{"id": request.name}]
