"""What MariaDB's own refusals call for, by the exceptions of its driver."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Any

import pymysql
import pytest
from failures import category, raised_by
from services.databases import LOGIN, PASSWORD

from floe_ingest import ErrorCategory

if TYPE_CHECKING:
    from services.together import Services

TRANSIENT, PERMANENT, CONFIGURATION = (
    ErrorCategory.TRANSIENT,
    ErrorCategory.PERMANENT,
    ErrorCategory.CONFIGURATION,
)


def connect(services: Services, **options: Any) -> Any:
    server = services.mariadb
    login = {"user": LOGIN, "password": PASSWORD, "database": server.database}
    return pymysql.connect(host="127.0.0.1", port=server.port, **{**login, **options})


@pytest.mark.requirement("FR-051")
def test_refusals(services: Services) -> None:
    """Logins, missing databases and tables are permanent; wrong SQL is the user's to mend."""
    assert category(raised_by(lambda: connect(services, password="wrong"))) is PERMANENT
    assert category(raised_by(lambda: connect(services, database="no_such_database"))) is PERMANENT
    with connect(services) as connection, connection.cursor() as cursor:
        assert category(raised_by(lambda: cursor.execute("SELECT * FROM no_such_table"))) is PERMANENT
        assert category(raised_by(lambda: cursor.execute("SELECT no_such_column FROM dual"))) is CONFIGURATION
        assert category(raised_by(lambda: cursor.execute("SELEC 1"))) is CONFIGURATION


@pytest.mark.requirement("FR-051")
def test_locks_and_lost_connections(services: Services) -> None:
    """Two transactions that wait for each other, one that waits too long, and one whose server hangs up."""
    with connect(services, autocommit=True) as admin, admin.cursor() as cursor:
        cursor.execute("CREATE OR REPLACE TABLE pair (id INTEGER PRIMARY KEY, v INTEGER) ENGINE=InnoDB")
        cursor.execute("INSERT INTO pair VALUES (1, 0), (2, 0)")
    update = "UPDATE pair SET v = v + 1 WHERE id = %s"
    with connect(services) as one, connect(services) as two, one.cursor() as first, two.cursor() as second:
        first.execute(update, [1])
        second.execute(update, [2])
        failures: list[BaseException] = []

        def cross() -> None:
            try:
                first.execute(update, [2])
            except pymysql.Error as error:
                failures.append(error)

        thread = threading.Thread(target=cross)
        thread.start()
        try:
            second.execute(update, [1])
        except pymysql.Error as error:
            failures.append(error)
        two.rollback()
        thread.join()
        one.rollback()
        [deadlock] = failures
        assert deadlock.args[0] == 1213
        assert category(deadlock) is TRANSIENT

        first.execute(update, [1])
        second.execute("SET SESSION innodb_lock_wait_timeout = 1")
        assert category(raised_by(lambda: second.execute(update, [1]))) is TRANSIENT
        one.rollback()

    lost = connect(services)
    with connect(services) as admin, admin.cursor() as cursor:
        cursor.execute(f"KILL {lost.thread_id()}")
    assert category(raised_by(lambda: lost.cursor().execute("SELECT 1"))) is TRANSIENT
