"""A job that the processes of steps find by name; they know installed packages alone."""

from __future__ import annotations

from pathlib import Path

import dagster as dg

from floe_ingest.integrations.dagster import definitions


def everything() -> dg.JobDefinition:
    """The shop's assets, and one downstream that fails; the process of a step calls it by name."""

    @dg.asset(deps=["ingestion__shop__orders"])
    def report() -> None:
        if not Path("may-pass").exists():
            raise ValueError("the report broke")

    own = dg.Definitions(assets=[report], jobs=[dg.define_asset_job("everything")])
    return dg.Definitions.merge(definitions("ingest.yaml"), own).resolve_job_def("everything")
