"""Puts the definitions together: for each source a step with its assets, checks, schedule and sensor."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from dagster import (
    BackfillPolicy,
    DagsterInvalidDefinitionError,
    Definitions,
    multi_asset,
)
from dagster_shared.check import CheckError

from floe_ingest.errors import ConfigProblem, InvalidConfigError
from floe_ingest.integrations.dagster.checks import check_specs
from floe_ingest.integrations.dagster.faults import retry_policy
from floe_ingest.integrations.dagster.loading import Step
from floe_ingest.integrations.dagster.partitions import partitions_of
from floe_ingest.integrations.dagster.parts import parts_of, safe
from floe_ingest.integrations.dagster.timing import schedule_of, sensor_of
from floe_ingest.integrations.dagster.translator import FloeIngestionTranslator, IngestionResourceData
from floe_ingest.plugins import load_plugins

if TYPE_CHECKING:
    from collections.abc import Iterator

    from dagster import AssetsDefinition, AssetSpec, RetryPolicy, ScheduleDefinition, SensorDefinition

    from floe_ingest.config import SourceConfig
    from floe_ingest.integrations.dagster.parts import Part
    from floe_ingest_hookspecs import DefinitionsRequest


def build(request: DefinitionsRequest) -> Definitions:
    """Return the definitions of a configuration; see the hook.

    Raises:
        InvalidConfigError: an owner, a tag, a schedule or partitions cannot work; or there is no such source.
    """
    options = request.options
    config = request.config
    plugins = options.get("plugins") or load_plugins()
    translator = options.get("translator") or FloeIngestionTranslator()
    policy = options.get("retry_policy") or retry_policy(config.retry_config)
    observes = bool(options.get("observe_unchanged", True))
    assets: list[AssetsDefinition] = []
    schedules: list[ScheduleDefinition] = []
    sensors: list[SensorDefinition] = []
    for where, source in _chosen(request):
        with _as_ours(where):
            described = [(_spec(part, translator, skippable=observes), part) for part in parts_of(source)]
            step = Step(config, source, {spec.key: part for spec, part in described}, plugins, observes)
            loaded = _assets(step, [spec for spec, _ in described], policy, where)
            assets.append(loaded)
            schedules += schedule_of(source, loaded)
            sensors += sensor_of(config, source, loaded, plugins)
    return Definitions(assets=assets, schedules=schedules, sensors=sensors)


def _chosen(request: DefinitionsRequest) -> Iterator[tuple[str, SourceConfig]]:
    """Yield the sources that are taken, each after its place in the configuration."""
    known = [source.name for source in request.config.sources]
    for name in request.sources:
        if name not in known:
            message = f"there is no source {name!r}. There is: {', '.join(known) or 'none'}."
            raise InvalidConfigError([ConfigProblem("sources", message)])
    for number, source in enumerate(request.config.sources):
        if not request.sources or source.name in request.sources:
            yield f"sources[{number}]", source


@contextmanager
def _as_ours(where: str) -> Iterator[None]:
    """Tell what Dagster refuses, an owner or a cron expression, by its place in the configuration."""
    try:
        yield
    except (CheckError, DagsterInvalidDefinitionError) as error:
        raise InvalidConfigError([ConfigProblem(where, str(error).replace("\n", " "))]) from error


def _spec(part: Part, translator: FloeIngestionTranslator, *, skippable: bool) -> AssetSpec:
    import dlt

    # It stands for the resource, which is built when it is loaded: some types ask their source then.
    resource: Any = dlt.resource([], name=part.name)
    data = IngestionResourceData(resource, part.source, part)
    spec = translator.get_asset_spec(data)
    return spec.replace_attributes(skippable=skippable and part.source.partitions is None)


def _assets(step: Step, specs: list[AssetSpec], policy: RetryPolicy | None, where: str) -> AssetsDefinition:
    partitions = partitions_of(step.source, where)

    @multi_asset(
        name=f"load_{safe(step.source.name)}",
        specs=specs,
        check_specs=check_specs(step.parts),
        can_subset=True,
        partitions_def=partitions,
        backfill_policy=BackfillPolicy.multi_run() if partitions else None,
        retry_policy=policy,
        op_tags={"floe_ingest/source": step.source.name},
    )
    def load(context):  # type: ignore[no-untyped-def]  # Dagster resolves annotations at run time
        yield from step.load(context)

    return load
