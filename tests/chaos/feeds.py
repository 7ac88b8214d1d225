"""Tables with the sources that feed them, and the plain model of what they have to hold."""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from chaos.world import LAKES, NAMESPACE

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from pathlib import Path
    from random import Random

    from chaos.world import World

Row = tuple[int, int, str]
"""An id, a version that grows with every change, and some text."""

KINDS = {
    "postgres_append": ("postgres", "append"),
    "postgres_merge": ("postgres", "merge"),
    "mariadb_append": ("mariadb", "append"),
    "mariadb_merge": ("mariadb", "merge"),
    "files_append": ("files", "append"),
    "files_merge": ("files", "merge"),
    "files_replace": ("files", "replace"),
}


@dataclass
class Feed:
    """A source, and the table that it is loaded into.

    Arguments:
        world: the servers.
        lake: on which the table is.
        kind: the source and the write mode; see ``KINDS``.
        folder: with the configuration.
        name: of the table; by default of the kind and the lake.
        limits: further properties of the catalog.
        rows: what the table has to hold.
    """

    world: World
    lake: str
    kind: str
    folder: Path
    name: str = ""
    limits: Mapping[str, str] = field(default_factory=dict)
    rows: Counter[Row] = field(default_factory=Counter)
    version: int = 0
    last_id: int = 0

    def __post_init__(self) -> None:
        self.folder.mkdir(parents=True)
        if self.source != "files":
            self._execute(f"CREATE TABLE {self.table} (id bigint PRIMARY KEY, ver bigint, v text)")

    @property
    def source(self) -> str:
        """Where rows come from."""
        return KINDS[self.kind][0]

    @property
    def mode(self) -> str:
        """The write mode."""
        return KINDS[self.kind][1]

    @property
    def table(self) -> str:
        """The table's name, in the source and in the lake."""
        return self.name or f"{self.kind}_{self.lake}"

    @property
    def servers(self) -> tuple[str, ...]:
        """The servers that a load needs."""
        catalog = "rest" if self.lake == "rest" else "postgres"
        own = () if self.source == "files" else (self.source,)
        return tuple(dict.fromkeys(["minio", catalog, *own]))

    def write_config(self, retries: int) -> Path:
        """Write the configuration of the next load."""
        source: dict[str, Any] = {
            "name": self.table,
            "source_type": "filesystem",
            "source_config": {"path": "./data"},
            "destination_table": f"{NAMESPACE}.{self.table}",
            "write_mode": self.mode,
        }
        if self.source != "files":
            config = {"url": self.world.source_url(self.source), "table": self.table}
            cursor = "id" if self.mode == "append" else "ver"
            source |= {"source_type": "sql_database", "source_config": config, "cursor_field": cursor}
        if self.mode == "merge":
            source["primary_key"] = "id"
        document = {
            "catalog_config": {**self.world.properties(self.lake), **self.limits},
            "retry_config": {"max_retries": retries, "initial_delay_seconds": 0.3},
            "sources": [source],
        }
        file = self.folder / "ingest.yaml"
        file.write_text(json.dumps(document), encoding="utf-8")
        return file

    def grow(self, random: Random, count: int) -> None:
        """Let the source have new rows, and where it is merged changed ones; the model follows."""
        self.version += 1
        new = range(self.last_id + 1, self.last_id + 1 + count)
        self.last_id = new[-1]
        known = sorted(row[0] for row in self.rows)
        changed = random.sample(known, min(len(known), count // 2)) if self.mode == "merge" else []
        rows = [(key, self.version, f"{random.getrandbits(256):064x}") for key in (*changed, *new)]
        if self.source == "files":
            self._write_file(rows)
        else:
            if changed:
                self._execute(f"DELETE FROM {self.table} WHERE id = :id", [{"id": key} for key in changed])
            values = [{"id": key, "ver": version, "v": text} for key, version, text in rows]
            self._execute(f"INSERT INTO {self.table} VALUES (:id, :ver, :v)", values)
        if self.mode == "replace":
            self.rows = Counter(rows)
        else:
            gone = set(changed)
            self.rows = Counter({row: 1 for row in self.rows if row[0] not in gone} | dict.fromkeys(rows, 1))

    def found(self) -> Counter[Row]:
        """Read the table by another reader."""
        read = self.world.read(self.lake, self.table, "SELECT id, ver, v FROM t")
        if read is None:
            return Counter()
        return Counter(zip(*(read[name].to_pylist() for name in ("id", "ver", "v")), strict=True))

    def _write_file(self, rows: list[Row]) -> None:
        (self.folder / "data").mkdir(exist_ok=True)
        lines = [json.dumps({"id": key, "ver": version, "v": text}) for key, version, text in rows]
        (self.folder / "data" / "rows.jsonl").write_text("\n".join(lines) + "\n", encoding="utf-8")

    def _execute(self, statement: str, rows: list[dict[str, Any]] | None = None) -> None:
        from sqlalchemy import create_engine, text

        engine = create_engine(self._url())
        with engine.begin() as connection:
            connection.execute(text(statement), rows)
        engine.dispose()

    def _url(self) -> str:
        url = self.world.source_url(self.source, straight=True)
        return url.replace("postgresql:", "postgresql+psycopg:")


def feeds(world: World, folder: Path, kinds: Iterable[str] = tuple(KINDS)) -> list[Feed]:
    """Return one feed of each kind on each lake."""
    return [Feed(world, lake, kind, folder / f"{kind}_{lake}") for kind in kinds for lake in LAKES]
