"""Failures: whose they are, what is tried again, and that nothing is ever loaded twice."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import dagster as dg
import dagster_jobs
import pytest
from dagster_shop import Shop, failures, materialized
from rest_support import Answer, serving

from floe_ingest.integrations.dagster import definitions

if TYPE_CHECKING:
    from collections.abc import Iterator

    from rest_support import Api

SOON = dg.RetryPolicy(max_retries=2, delay=0.01)


@pytest.fixture
def api() -> Iterator[Api]:
    with serving() as served:
        yield served


def posts(api: Api, **settings: Any) -> dict[str, Any]:
    return {
        "name": "api",
        "source_type": "rest_api",
        "source_config": {
            "client": {"base_url": api.url, "paginator": "single_page"},
            "resources": ["posts"],
            "max_retries": 0,
            **settings,
        },
        "destination_table": "raw.{resource}",
    }


def load(defs: dg.Definitions, **arguments: Any) -> Any:
    job = defs.resolve_implicit_global_asset_job_def()
    return job.execute_in_process(raise_on_error=False, **arguments)


def test_a_failing_source_fails_its_own_assets(shop: Shop, api: Api) -> None:
    api.routes["/posts"] = [Answer({"error": "gone"}, 403)]
    result = load(shop.definitions(posts(api)))
    assert not result.success
    assert set(materialized(result)) == {"shop__orders", "shop__customers"}
    [failure] = failures(result)
    assert failure.user_failure_data is not None
    told = failure.user_failure_data
    assert told.metadata["category"].value == "permanent"
    assert told.metadata["advice"].value in str(told.description)
    assert "/posts" in str(told.description)


def test_what_may_pass_is_tried_again_by_dagster(shop: Shop, api: Api) -> None:
    # The probe before each load asks first.
    api.routes["/posts"] = [Answer({}, 503), Answer({}, 503), Answer([{"id": 1}, {"id": 2}])]
    result = load(definitions(shop.write(posts(api)), retry_policy=SOON))
    assert result.success
    retries = [event for event in result.all_events if event.event_type == dg.DagsterEventType.STEP_RESTARTED]
    assert len(retries) == 1
    assert shop.ids("raw.posts") == [1, 2]
    assert len(shop.lake.table("raw.posts").snapshots()) == 1


def test_a_configuration_that_cannot_work_is_not_tried_again(shop: Shop) -> None:
    settings = {"url": "sqlite:///shop.db", "tables": ["ordrs"]}
    result = load(definitions(shop.write(source_config=settings), retry_policy=SOON))
    [failure] = failures(result)
    assert failure.user_failure_data.metadata["category"].value == "configuration"
    assert "orders" in failure.user_failure_data.description
    events = {event.event_type for event in result.all_events}
    assert dg.DagsterEventType.STEP_UP_FOR_RETRY not in events


def test_no_secret_is_in_a_failure(shop: Shop, api: Api) -> None:
    api.routes["/posts"] = [Answer({"error": "no"}, 401)]
    auth = {"type": "bearer", "token": "tok-53cr3t"}
    client = {"base_url": api.url, "auth": auth, "paginator": "single_page"}
    result = load(shop.definitions(posts(api, client=client)))
    assert failures(result)
    assert "tok-53cr3t" not in repr(result.all_events)


@pytest.mark.parametrize("strategy", ["ALL_STEPS", "FROM_FAILURE"])
def test_a_run_that_is_executed_again_never_doubles_an_append(
    shop: Shop, instance: dg.DagsterInstance, strategy: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(shop.folder)
    monkeypatch.setenv("PYTHONPATH", str(Path(dagster_jobs.__file__).parent))
    shop.write()  # append, without cursor or key: only the run's id can tell
    job = dg.reconstructable(dagster_jobs.everything)
    first = dg.execute_job(job, instance)
    assert not first.success
    assert len(shop.ids("bronze.shop_orders")) == 30

    (shop.folder / "may-pass").touch()
    if strategy == "FROM_FAILURE":
        again = dg.ReexecutionOptions.from_failure(first.run_id, instance)
    else:
        again = dg.ReexecutionOptions(parent_run_id=first.run_id)
    second = dg.execute_job(job, instance, reexecution_options=again)
    assert second.success
    assert len(shop.ids("bronze.shop_orders")) == 30

    third = dg.execute_job(job, instance)
    assert third.success
    assert len(shop.ids("bronze.shop_orders")) == 60, "another run is another load"
