"""``python -m services up | down | status | fetch``: the servers of ``Services``, kept running to try out.

``fetch`` starts nothing: it gets the programs of these and of all other tests, so that no test waits for it.
``up`` starts one process in the background that runs them all, and writes their addresses into ``.env``, as
``export NAME=value`` lines. ``down`` asks that process to end them. No other process is touched.
"""

from __future__ import annotations

import json
import os
import shlex
import signal
import subprocess
import sys
import tempfile
import threading
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import psutil

from services import programs
from services.processes import ServiceError
from services.together import Services

NAMES = ("postgres", "mariadb", "minio", "gcs", "azurite", "rest_files", "rest_minio", "nessie")
_UP_SECONDS = 1800  # the first time, programs are fetched and built
_DOWN_SECONDS = 120


@dataclass(frozen=True, slots=True)
class Started:
    """A process, told from a later one with the same number by the second of its start."""

    pid: int
    created: float

    @classmethod
    def of(cls, pid: int) -> Started:
        """Return this process as it is now."""
        return cls(pid, psutil.Process(pid).create_time())

    @property
    def is_alive(self) -> bool:
        """Whether it still runs."""
        try:
            process = psutil.Process(self.pid)
            return process.create_time() == self.created and process.status() != psutil.STATUS_ZOMBIE
        except psutil.NoSuchProcess:
            return False


def folder() -> Path:
    """Return the folder of the servers that ``up`` started."""
    given = os.environ.get("FLOE_INGEST_SERVICES_STATE")
    return Path(given) if given else Path(tempfile.gettempdir()) / f"floe-ingest-services-{os.getuid()}"


def up() -> int:
    """Start what is not running; return an exit code."""
    if _runner() is not None:
        return status()
    place = folder()
    place.mkdir(mode=0o700, exist_ok=True)
    if place.stat().st_uid != os.getuid():
        print(f"{place} belongs to somebody else", file=sys.stderr)
        return 1
    for name in ("state.json", ".env"):
        (place / name).unlink(missing_ok=True)
    log = place / "log"
    with log.open("wb") as output:
        runner = subprocess.Popen(
            [sys.executable, "-m", "services", "serve"],
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    print("Starting; the first time, programs are fetched and built, which takes minutes", flush=True)
    end = time.monotonic() + _UP_SECONDS
    while not (place / ".env").exists():
        if runner.poll() is not None or time.monotonic() > end:
            print(log.read_text(errors="replace"), file=sys.stderr)
            runner.terminate()
            return 1
        time.sleep(0.2)
    return status()


def serve() -> int:
    """Run the servers until a signal comes."""
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    place = folder()
    state: dict[str, Any] = {"runner": asdict(Started.of(os.getpid())), "servers": {}}
    with Services() as services:
        for name in NAMES:
            if stop.is_set():
                return 0
            server = getattr(services, name)
            state["servers"][name] = asdict(Started.of(server.pid))
            _write(place / "state.json", json.dumps(state, indent=2))
        _write(place / ".env", environment_of(services))
        stop.wait()
    return 0


def environment_of(services: Services) -> str:
    """Return what a shell needs to reach the servers, as lines to source."""
    minio = services.minio
    values = {
        "FLOE_POSTGRES_URL": services.postgres.url(),
        "FLOE_MARIADB_URL": services.mariadb.url(),
        "FLOE_S3_ENDPOINT": minio.endpoint,
        "FLOE_S3_WAREHOUSE": minio.warehouse,
        "AWS_ACCESS_KEY_ID": minio.access_key,
        "AWS_SECRET_ACCESS_KEY": minio.secret_key,
        "AWS_REGION": minio.properties["s3.region"],
        "FLOE_GCS_ENDPOINT": services.gcs.endpoint,
        "FLOE_GCS_WAREHOUSE": services.gcs.warehouse,
        "AZURE_STORAGE_CONNECTION_STRING": services.azurite.connection_string,
        "FLOE_AZURE_WAREHOUSE": services.azurite.warehouse,
        "FLOE_REST_FILES_URI": services.rest_files.uri,
        "FLOE_REST_URI": services.rest_minio.uri,
        "FLOE_NESSIE_URI": services.nessie.uri,
    }
    return "".join(f"export {name}={shlex.quote(value)}\n" for name, value in values.items())


def down() -> int:
    """End what ``up`` started; return an exit code."""
    runner = _runner()
    if runner is None:
        print("Nothing is running")
        left = _servers()
    else:
        os.kill(runner.pid, signal.SIGTERM)
        end = time.monotonic() + _DOWN_SECONDS
        while runner.is_alive and time.monotonic() < end:
            time.sleep(0.2)
        left = _servers()
    # Left only where the runner itself was killed.
    for name, server in left.items():
        if server.is_alive:
            print(f"Ending {name}, process {server.pid}")
            os.kill(server.pid, signal.SIGTERM)
    for name in ("state.json", ".env"):
        (folder() / name).unlink(missing_ok=True)
    if runner is not None:
        print("Stopped")
    return 0


def fetch() -> int:
    """Fetch the programs that are missing; return 0."""
    programs.fetch_all()
    return 0


def status() -> int:
    """Print what is running; return 0 if all is."""
    servers = _servers()
    for name in NAMES:
        server = servers.get(name)
        running = server is not None and server.is_alive
        print(f"{name:12}{'running, process ' + str(server.pid) if running and server else 'not running'}")
    if _runner() is None or not (folder() / ".env").exists():
        return 1
    print(f"\nsource {folder() / '.env'}")
    return 0 if all(server.is_alive for server in servers.values()) else 1


def _state() -> dict[str, Any]:
    file = folder() / "state.json"
    return dict(json.loads(file.read_text(encoding="utf-8"))) if file.exists() else {}


def _runner() -> Started | None:
    state = _state()
    runner = Started(**state["runner"]) if state else None
    return runner if runner is not None and runner.is_alive else None


def _servers() -> dict[str, Started]:
    return {name: Started(**server) for name, server in _state().get("servers", {}).items()}


def _write(file: Path, text: str) -> None:
    """Write a file that only its owner can read, whole or not at all."""
    beside = file.with_name(f"{file.name}.new")
    beside.unlink(missing_ok=True)
    beside.touch(mode=0o600)
    beside.write_text(text, encoding="utf-8")
    beside.replace(file)


COMMANDS = {"up": up, "down": down, "status": status, "fetch": fetch, "serve": serve}

if __name__ == "__main__":
    if sys.argv[1:2] and sys.argv[1] in COMMANDS and len(sys.argv) == 2:
        try:
            sys.exit(COMMANDS[sys.argv[1]]())
        except ServiceError as error:
            sys.exit(str(error))
    sys.exit("usage: python -m services up|down|status|fetch")
