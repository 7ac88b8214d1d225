"""``python -m chaos.worker FOLDER``: load batch after batch into the shared table, until told to stop.

A batch is given up by nobody: a load that fails is run again, and so is the one in which this process was
killed. What was begun and what is done stands in ``begun`` and ``done``.
"""

from __future__ import annotations

import json
import sys
import time
from dataclasses import dataclass
from pathlib import Path

import floe_ingest
from chaos.world import NAMESPACE

TABLE = f"{NAMESPACE}.shared"
BATCH = 20
SHARED_IDS = 10
_OWN_IDS = 60
_RANGE = 1_000_000


@dataclass(frozen=True)
class Worker:
    """One of the processes.

    Arguments:
        number: from 0; even ones append, odd ones upsert.
        folder: its own.
    """

    number: int
    folder: Path

    @property
    def appends(self) -> bool:
        """Whether it appends; else it upserts."""
        return self.number % 2 == 0

    @property
    def begun(self) -> int:
        """The number of the newest batch that was begun, from 1; 0 for none."""
        return _count(self.folder / "begun")

    @property
    def done(self) -> int:
        """The number of the newest batch whose load ended well."""
        return _count(self.folder / "done")

    def batch(self, number: int) -> dict[int, int]:
        """Return the ids and versions of a batch's rows. An upsert's first ids are those of all workers."""
        base = (self.number + 1) * _RANGE
        if self.appends:
            return {base + number * BATCH + row: number for row in range(BATCH)}
        own = {base + (number * 7 + row) % _OWN_IDS: number for row in range(BATCH)}
        return dict.fromkeys(range(SHARED_IDS), number * 100 + self.number) | own

    def prepare(self, catalog: dict[str, str]) -> None:
        """Write the configuration."""
        (self.folder / "data").mkdir(parents=True)
        source = {
            "name": f"worker_{self.number}",
            "source_type": "filesystem",
            "source_config": {"path": "./data"},
            "destination_table": TABLE,
            **({} if self.appends else {"write_mode": "merge", "primary_key": "id"}),
        }
        retries = {"max_retries": self.number % 3, "initial_delay_seconds": 0.3}
        document = {"catalog_config": catalog, "retry_config": retries, "sources": [source]}
        (self.folder / "ingest.yaml").write_text(json.dumps(document), encoding="utf-8")

    def run(self) -> None:
        """Load until the file ``stop`` is there, and to the end what was begun."""
        while True:
            if self.begun == self.done:
                if (self.folder / "stop").exists():
                    return
                self._begin(self.begun + 1)
            if self._load():
                _write(self.folder / "done", str(self.begun))
            else:
                time.sleep(0.2)

    def _begin(self, number: int) -> None:
        rows = [json.dumps({"id": key, "ver": version}) for key, version in self.batch(number).items()]
        _write(self.folder / "data" / "rows.jsonl", "\n".join(rows) + "\n")
        _write(self.folder / "begun", str(number))

    def _load(self) -> bool:
        started = time.monotonic()
        result = floe_ingest.run(floe_ingest.load_config(self.folder / "ingest.yaml"))
        errors = [
            {"category": error.category.value, "type": error.type, "message": error.message}
            for source in result.sources
            for error in source.errors
        ]
        told = {"batch": self.begun, "errors": errors, "seconds": round(time.monotonic() - started, 2)}
        with (self.folder / "loads.jsonl").open("a", encoding="utf-8") as log:
            log.write(json.dumps(told) + "\n")
        return result.success


def _count(file: Path) -> int:
    return int(file.read_text(encoding="ascii")) if file.exists() else 0


def _write(file: Path, text: str) -> None:
    """Write a file whole or not at all, whenever this process dies."""
    beside = file.with_name(f".{file.name}.new")
    beside.write_text(text, encoding="utf-8")
    beside.replace(file)


if __name__ == "__main__":
    Worker(int(sys.argv[2]), Path(sys.argv[1])).run()
