"""One PostgreSQL server for all tests of this folder, and a fresh database for each that wants one."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pytest
from services.databases import LOGIN, PASSWORD, PostgresServer, postgres_server

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture(scope="session")
def postgres() -> Iterator[PostgresServer]:
    with postgres_server() as server:
        yield server


@dataclass(frozen=True)
class Shop:
    """A database of its own: ``execute`` is the superuser's, ``url`` is that of a login with a password."""

    url: str
    connection: Any

    def execute(self, *statements: str) -> None:
        for statement in statements:
            self.connection.execute(statement)
        self.connection.execute(
            "DO $$ DECLARE s text; BEGIN FOR s IN SELECT nspname FROM pg_namespace WHERE nspname !~ '^pg_' "
            "LOOP "
            f"EXECUTE format('GRANT USAGE ON SCHEMA %I TO {LOGIN}', s); "
            f"EXECUTE format('GRANT SELECT ON ALL TABLES IN SCHEMA %I TO {LOGIN}', s); END LOOP; END $$"
        )


@pytest.fixture
def shop(postgres: PostgresServer, request: pytest.FixtureRequest) -> Iterator[Shop]:
    import psycopg

    name = f"shop_{abs(hash(request.node.nodeid))}"
    where = f"host=127.0.0.1 port={postgres.port} user=postgres"
    with psycopg.connect(f"{where} dbname=postgres", autocommit=True) as server:
        server.execute(f"CREATE DATABASE {name}")
        with psycopg.connect(f"{where} dbname={name}", autocommit=True) as connection:
            yield Shop(postgres.url(user=LOGIN, password=PASSWORD, database=name), connection)
        # Fails if the source left a connection open.
        server.execute(f"DROP DATABASE {name}")
