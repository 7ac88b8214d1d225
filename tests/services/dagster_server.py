"""``dagster dev`` on loopback: a web server, a daemon and a run launcher, asked by GraphQL as its UI does."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

SETTINGS = """
telemetry: {enabled: false}
nux: {enabled: false}
concurrency: {runs: {max_concurrent_runs: 4}}
"""
LOCATION = {"repositoryLocationName": "definitions.py", "repositoryName": "__repository__"}


@dataclass(frozen=True)
class Server:
    """A server that runs."""

    url: str

    def ask(self, query: str, **variables: Any) -> dict[str, Any]:
        body = json.dumps({"query": query, "variables": variables}).encode()
        asked = urllib.request.Request(  # noqa: S310
            f"{self.url}/graphql", body, {"Content-Type": "application/json"}
        )
        with urllib.request.urlopen(asked, timeout=60) as answer:  # noqa: S310
            document = json.loads(answer.read())
        assert "errors" not in document, document["errors"]
        data: dict[str, Any] = document["data"]
        return data

    def launch(self, *assets: str) -> str:
        """Ask for a run over assets; return its id."""
        params = {
            "selector": {
                **LOCATION,
                "pipelineName": "__ASSET_JOB",
                "assetSelection": [{"path": [name]} for name in assets],
            },
            "mode": "default",
            "runConfigData": {},
        }
        asked = self.ask(
            "mutation($p: ExecutionParams!) { launchPipelineExecution(executionParams: $p) "
            "{ __typename ... on LaunchRunSuccess { run { runId } } ... on PythonError { message } } }",
            p=params,
        )["launchPipelineExecution"]
        assert asked["__typename"] == "LaunchRunSuccess", asked
        return str(asked["run"]["runId"])

    def status(self, run: str) -> str:
        found = self.ask("query($r: ID!) { runOrError(runId: $r) { ... on Run { status } } }", r=run)
        return str(found["runOrError"]["status"])

    def runs(self) -> list[str]:
        """Return the status of each run, the newest first."""
        return [run["status"] for run in self.told_of_runs()]

    def told_of_runs(self) -> list[dict[str, Any]]:
        """Return what the server keeps of each run, the newest first."""
        found = self.ask("{ runsOrError { ... on Runs { results { runId status startTime endTime } } } }")
        return list(found["runsOrError"]["results"])

    def execute_again(self, run: str, strategy: str) -> str:
        """Ask for a run over again, ALL_STEPS or FROM_FAILURE; return the new one's id."""
        asked = self.ask(
            "mutation($p: ReexecutionParams!) { launchRunReexecution(reexecutionParams: $p) "
            "{ __typename ... on LaunchRunSuccess { run { runId } } ... on PythonError { message } } }",
            p={"parentRunId": run, "strategy": strategy},
        )["launchRunReexecution"]
        assert asked["__typename"] == "LaunchRunSuccess", asked
        return str(asked["run"]["runId"])

    def events(self, run: str) -> list[str]:
        """Return the types of what happened in a run, in order."""
        found = self.ask(
            "query($r: ID!) { logsForRun(runId: $r) { ... on EventConnection { events { __typename } } } }",
            r=run,
        )
        return [event["__typename"] for event in found["logsForRun"]["events"]]

    def backfill(self, partitions: list[str], *assets: str) -> str:
        params = {"assetSelection": [{"path": [name]} for name in assets], "partitionNames": partitions}
        asked = self.ask(
            "mutation($p: LaunchBackfillParams!) { launchPartitionBackfill(backfillParams: $p) "
            "{ __typename ... on LaunchBackfillSuccess { backfillId } ... on PythonError { message } } }",
            p=params,
        )["launchPartitionBackfill"]
        assert asked["__typename"] == "LaunchBackfillSuccess", asked
        return str(asked["backfillId"])

    def backfill_status(self, backfill: str) -> str:
        found = self.ask(
            "query($b: String!) { partitionBackfillOrError(backfillId: $b) "
            "{ ... on PartitionBackfill { status } } }",
            b=backfill,
        )
        return str(found["partitionBackfillOrError"]["status"])

    def terminate(self, run: str) -> None:
        asked = self.ask("mutation($r: String!) { terminateRun(runId: $r) { __typename } }", r=run)[
            "terminateRun"
        ]
        assert asked["__typename"] == "TerminateRunSuccess", asked


def until(holds: Callable[[], bool], seconds: float, what: str) -> None:
    end = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < end, f"{what} did not happen within {seconds} s"
        time.sleep(0.3)


@contextmanager
def dagster_dev(folder: Path) -> Iterator[Server]:
    """Serve ``definitions.py`` of a folder for as long as the context lasts."""
    home = folder / "dagster-home"
    home.mkdir()
    (home / "dagster.yaml").write_text(SETTINGS)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [
        str(Path(sys.executable).parent / "dagster"),
        "dev",
        "-f",
        "definitions.py",
        "-h",
        "127.0.0.1",
        "-p",
        str(port),
    ]
    with (folder / "dagster.log").open("wb") as log:
        process = subprocess.Popen(
            command,
            cwd=folder,
            env={
                **os.environ,
                "DAGSTER_HOME": str(home),
                "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
            },
            stdout=log,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    server = Server(f"http://127.0.0.1:{port}")

    def answers() -> bool:
        assert process.poll() is None, (folder / "dagster.log").read_text()[-3000:]
        try:
            found = server.ask("{ assetNodes { id } }")
        except OSError:
            return False
        return bool(found["assetNodes"])

    try:
        until(answers, 120, "a server that answers")
        yield server
    finally:
        process.send_signal(signal.SIGINT)
        try:
            process.wait(30)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()
