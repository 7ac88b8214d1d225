"""The hooks. Their signatures and docstrings are the contract; ``docs/hooks.md`` explains them at length.

Hooks about one source (``build_source``, ``check_source``) are called on the plugin that declared its
type, and on no other. All other hooks are called on every plugin, in pluggy's order (last registered
first, ``tryfirst`` and ``trylast`` respected).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from floe_ingest_hookspecs.markers import hookspec

if TYPE_CHECKING:
    from collections.abc import Mapping

    from floe_ingest_hookspecs.types import (
        CatalogRequest,
        DefinitionsRequest,
        ErrorCategory,
        RunContext,
        RunResult,
        SourceCheck,
        SourceRequest,
        SourceResult,
        SourceType,
    )


@hookspec
def floe_ingest_source_types() -> list[SourceType]:  # type: ignore[empty-body]
    """Declare the source types that this plugin brings.

    When: once, right after all plugins are loaded. Must be quick, and import nothing heavy.

    Returns:
        A list of ``SourceType``. Two plugins that claim one name are an error that names both.

    Example::

        @hookimpl
        def floe_ingest_source_types():
            return [SourceType("dns_zone", ZoneConfig, "Records of a DNS zone file")]
    """


@hookspec(firstresult=True)
def floe_ingest_build_source(request: SourceRequest) -> Any:
    """Build the dlt source or resource of a request.

    When: once for each try of a load, so that a retry starts from a fresh generator. It should open no
    connection: reading begins when the resource is iterated.

    Arguments:
        request: ``request.config`` is a validated instance of the type's ``config_model``.

    Returns:
        A dlt ``DltSource`` or ``DltResource``. Its items may be rows, lists of rows, Arrow tables or
        record batches, or ``BulkScan`` objects.

    Raises:
        SourceConfigurationError: the configuration cannot work; names the key and what would.
        Exception: any other reaches the user with the plugin's and the hook's name.

    Example::

        @hookimpl
        def floe_ingest_build_source(request):
            import dlt
            return dlt.resource(read_zone(request.config.path), name="records")
    """


@hookspec(firstresult=True)
def floe_ingest_check_source(request: SourceRequest) -> SourceCheck | None:
    """Probe a source, within 10 seconds, without loading.

    When: ``floe-ingest check``, and before the first load of a run. Several sources are probed at once, each
    in a thread of its own. A probe that has not ended after 10 seconds is given up, so one that bounds itself
    a little below can say more about why.

    Returns:
        What was found, and in ``missing`` what was not. None (or no such hook) means that this type has no
        probe.

    Raises:
        SourceConnectionError: it cannot be reached or read; the message says what to do.

    Example::

        @hookimpl
        def floe_ingest_check_source(request):
            if not request.resolve_path(request.config.path).is_file():
                raise SourceConnectionError(f"There is no file {request.config.path}")
            return SourceCheck((FoundResource("records"),))
    """


@hookspec(firstresult=True)
def floe_ingest_destination_config(catalog: CatalogRequest) -> Mapping[str, str] | None:
    """Turn a catalog of the configuration into PyIceberg catalog properties.

    When: once for a run or check, before the catalog is opened.

    Returns:
        The properties with which PyIceberg's ``load_catalog`` opens it (``type`` or ``py-catalog-impl``
        among them); None for a catalog type that this plugin does not know.

    Raises:
        CatalogConfigurationError: a property is missing or wrong.

    Example::

        @hookimpl
        def floe_ingest_destination_config(catalog):
            if catalog.type == "acme":
                return {**catalog.properties, "py-catalog-impl": "acme.catalog.AcmeCatalog"}
            return None
    """


@hookspec
def floe_ingest_enrich_result(  # type: ignore[empty-body]
    context: RunContext, result: SourceResult
) -> Mapping[str, Any]:
    """Add facts to the finished result of one source.

    When: after each source, whether it succeeded or not.

    Returns:
        A mapping of JSON-like values, merged over all plugins into ``SourceResult.extra``. Where two
        plugins give the same key, the plugin called later wins.

    Example::

        @hookimpl
        def floe_ingest_enrich_result(context, result):
            return {"cost_estimate": result.bytes_written * 1e-12}
    """


@hookspec(firstresult=True)
def floe_ingest_categorize_error(error: BaseException, context: RunContext) -> ErrorCategory | None:
    """Name the category of an exception that this plugin knows.

    When: for a failure of a source, once for each exception of its cause chain, outermost first, before
    the built-in rules.

    Returns:
        The category, or None for an exception that this plugin does not know.

    Example::

        @hookimpl
        def floe_ingest_categorize_error(error, context):
            return ErrorCategory.TRANSIENT if isinstance(error, AcmeThrottled) else None
    """


@hookspec
def floe_ingest_before_run(context: RunContext) -> None:
    """Called once before the first source of a run. An exception stops the run before it loads.

    Example::

        @hookimpl
        def floe_ingest_before_run(context):
            log.info("run %s begins", context.run_id)
    """


@hookspec
def floe_ingest_after_run(context: RunContext, result: RunResult) -> None:
    """Called once after the last source of a run, also when sources failed.

    An exception here is logged and does not change the result: the tables are committed by then.

    Example::

        @hookimpl
        def floe_ingest_after_run(context, result):
            post_to_webhook(result.as_dict())
    """


@hookspec(firstresult=True)
def floe_ingest_build_definitions(orchestrator: str, request: DefinitionsRequest) -> Any:
    """Build an orchestrator's definitions from a configuration.

    When: an orchestrator loads its code. Must open no connection.

    Arguments:
        orchestrator: which one is asked for, such as ``dagster``.
        request: the configuration and the orchestrator's options.

    Returns:
        The orchestrator's own object, or None for an orchestrator that this plugin does not know.

    Example::

        @hookimpl
        def floe_ingest_build_definitions(orchestrator, request):
            return build_dag(request) if orchestrator == "airflow" else None
    """
