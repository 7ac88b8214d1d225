"""Schedules, and the sensor on new files."""

from __future__ import annotations

import traceback
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import dagster as dg
import pytest

if TYPE_CHECKING:
    from dagster_shop import Shop

AT = datetime(2024, 1, 10, 0, 5, tzinfo=UTC)


def tick(defs: dg.Definitions, instance: dg.DagsterInstance, name: str = "schedule_shop") -> Any:
    repository = defs.get_repository_def()
    schedule = repository.get_schedule_def(name)
    context = dg.build_schedule_context(
        instance=instance, scheduled_execution_time=AT, repository_def=repository
    )
    return schedule.evaluate_tick(context)


@pytest.mark.requirement("FR-065")
def test_a_schedule_loads_its_source(shop: Shop, instance: dg.DagsterInstance) -> None:
    defs = shop.definitions(schedule="5 * * * *")
    schedule = defs.get_repository_def().get_schedule_def("schedule_shop")
    assert (schedule.cron_schedule, schedule.execution_timezone) == ("5 * * * *", "UTC")
    [request] = tick(defs, instance).run_requests
    job = defs.get_repository_def().get_job(schedule.job_name)
    assert job.execute_in_process(tags=dict(request.tags)).success
    assert shop.ids("bronze.shop_customers") == [1, 2]


def test_a_partitioned_source_loads_the_last_whole_partition(
    shop: Shop, instance: dg.DagsterInstance
) -> None:
    days = {"every": "day", "start": "2024-01-01"}
    settings = {"url": "sqlite:///shop.db", "tables": ["orders"]}
    defs = shop.definitions(source_config=settings, schedule="5 0 * * *", partitions=days, cursor_field="day")
    [request] = tick(defs, instance).run_requests
    assert request.partition_key == "2024-01-09"


def test_ranges_are_loaded_one_by_one(shop: Shop, instance: dg.DagsterInstance) -> None:
    defs = shop.definitions(
        schedule="5 0 * * *", partitions={"ranges": {"low": [1, 11], "high": [11, 31]}}, cursor_field="id"
    )
    requests = tick(defs, instance).run_requests
    assert [request.partition_key for request in requests] == ["low", "high"]


@pytest.mark.requirement("FR-065")
def test_a_new_file_asks_for_a_load_once(shop: Shop, instance: dg.DagsterInstance) -> None:
    files = {
        "name": "files",
        "source_type": "filesystem",
        "source_config": {"path": "inbox", "allow_empty": True},
        "destination_table": "raw.files",
    }
    inbox = shop.folder / "inbox"
    inbox.mkdir()
    repository = shop.definitions(files).get_repository_def()
    sensor = repository.get_sensor_def("new_files_files")

    def look(cursor: str | None) -> Any:
        context = dg.build_sensor_context(instance=instance, cursor=cursor, repository_def=repository)
        return sensor.evaluate_tick(context)

    assert not look(None).run_requests
    (inbox / "a.csv").write_text("id\n1\n")
    first = look(None)
    assert len(first.run_requests) == 1
    assert not look(first.cursor).run_requests
    (inbox / "b.csv").write_text("id\n2\n")
    second = look(first.cursor)
    assert len(second.run_requests) == 1
    assert second.run_requests[0].run_key != first.run_requests[0].run_key


def test_a_sensor_that_fails_tells_no_secret(shop: Shop, instance: dg.DagsterInstance) -> None:
    files = {
        "name": "files",
        "source_type": "filesystem",
        "source_config": {"bucket_url": "http://ada:s3cr3t-w0rd@127.0.0.1:1/files", "file_glob": "a.csv"},
        "destination_table": "raw.files",
    }
    repository = shop.definitions(files).get_repository_def()
    sensor = repository.get_sensor_def("new_files_files")
    context = dg.build_sensor_context(instance=instance, repository_def=repository)
    with pytest.raises(Exception, match=r"127\.0\.0\.1:1") as raised:
        sensor.evaluate_tick(context)
    told = "".join(traceback.format_exception(raised.value))
    assert "SourceConnectionError" in told
    assert "s3cr3t-w0rd" not in told
