"""The plugin by which Dagster's definitions are built: it enters by the door that every plugin uses."""

from __future__ import annotations

from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

from floe_ingest.errors import MissingPackageError
from floe_ingest_hookspecs import hookimpl

if TYPE_CHECKING:
    from floe_ingest_hookspecs import DefinitionsRequest


@hookimpl
def floe_ingest_build_definitions(orchestrator: str, request: DefinitionsRequest) -> Any:
    """Build Dagster's definitions; None for another orchestrator.

    Raises:
        MissingPackageError: dagster or dagster-dlt is not installed.
        ConfigurationError: what an orchestrator is told in the configuration cannot work.
    """
    if orchestrator != "dagster":
        return None
    for package in ("dagster", "dagster_dlt"):
        if find_spec(package) is None:
            raise MissingPackageError(
                "The Dagster integration", package, "pip install 'floe-ingest[dagster]'"
            )
    from floe_ingest.integrations.dagster.assembly import build

    return build(request)
