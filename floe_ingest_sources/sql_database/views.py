"""One consistent view of a database for several connections, and their reading side by side."""

from __future__ import annotations

import time
import uuid
from contextlib import closing, contextmanager
from dataclasses import dataclass
from queue import Full, Queue
from threading import Event, Thread
from typing import TYPE_CHECKING, Any

from floe_ingest import SourceConnectionError

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterator, Sequence

    import pyarrow as pa
    from sqlalchemy import Connection

    from floe_ingest_sources.sql_database.relation import Relation
    from floe_ingest_sources.sql_database.urls import Database

_LOCK_SECONDS = 5
_BEGIN_SECONDS = 30
_LOOK_SECONDS = 0.02
_END = object()


@dataclass(frozen=True, slots=True)
class View:
    """A view of a database that several connections can take.

    Arguments:
        begin: by a connection's number: the statements with which its transaction begins.
        wait: returns when all have begun, or when one failed.
    """

    begin: Callable[[int], tuple[str, ...]]
    wait: Callable[[Progress], None]


class Progress:
    """Which of several readers have given rows, and whether one failed."""

    def __init__(self, count: int) -> None:
        self.given = [Event() for _ in range(count)]
        self.failed = Event()


@contextmanager
def one_view(database: Database, relation: Relation, count: int) -> Iterator[View]:
    """Hold a view of a relation, for ``count`` connections to PostgreSQL, MariaDB or MySQL.

    PostgreSQL exports a snapshot. MariaDB and MySQL cannot; there the table takes no writes for the moment
    in which the connections begin their consistent snapshots, all of which are the same then.

    Raises:
        SourceConnectionError: the connections did not begin in time.
        sqlalchemy.exc.DBAPIError: the database refuses it.
    """
    with database.connect() as connection:
        if database.kind == "postgresql":
            yield _exported(connection)
        else:
            yield _locked(connection, database, relation, count)


def _exported(connection: Connection) -> View:
    isolation = "SET TRANSACTION ISOLATION LEVEL REPEATABLE READ READ ONLY"
    connection.exec_driver_sql(isolation)
    snapshot = connection.exec_driver_sql("SELECT pg_export_snapshot()").scalar_one()
    return View(lambda _: (isolation, f"SET TRANSACTION SNAPSHOT '{snapshot}'"), lambda _: None)


def _locked(connection: Connection, database: Database, relation: Relation, count: int) -> View:
    name = f"floe-ingest-{uuid.uuid4().hex}"
    names = [f"{name}-{number}" for number in range(count)]
    held = ", ".join(f"IS_USED_LOCK('{text}') IS NOT NULL" for text in names)
    # A table with a long write transaction is not waited for: who writes after us would wait as well.
    connection.exec_driver_sql(f"SET SESSION lock_wait_timeout = {_LOCK_SECONDS}")
    plain = connection.execution_options(no_parameters=True)
    plain.exec_driver_sql(f"LOCK TABLES {relation.source} READ")

    def all_begun(progress: Progress) -> bool:
        # A short shard is read, and its connection closed, before this one looks.
        given = [event.is_set() for event in progress.given]
        locks = connection.exec_driver_sql(f"SELECT {held}").one()
        return all(had or lock for had, lock in zip(given, locks, strict=True))

    def wait(progress: Progress) -> None:
        end = time.monotonic() + _BEGIN_SECONDS
        try:
            while not all_begun(progress):
                if progress.failed.wait(_LOOK_SECONDS):
                    return
                if time.monotonic() > end:
                    raise SourceConnectionError(
                        f"{database.label} let fewer than {count} connections begin within {_BEGIN_SECONDS} s"
                    )
        finally:
            connection.exec_driver_sql("UNLOCK TABLES")

    # A lock by name, which is in nobody's way, tells from another connection that this one has its snapshot.
    return View(
        lambda number: (
            "START TRANSACTION WITH CONSISTENT SNAPSHOT",
            f"DO GET_LOCK('{names[number]}', 0)",
        ),
        wait,
    )


def read_together(view: View, readers: Sequence[Generator[pa.Table]]) -> Iterator[pa.Table]:
    """Read by several readers at once, each in a thread of its own; an error of one ends them all.

    Arguments:
        view: in which they read.
        readers: each with a connection of its own. A few tables wait, so that memory stays bounded.
    """
    tables: Queue[Any] = Queue(maxsize=len(readers))
    stopped, progress = Event(), Progress(len(readers))

    def hand_on(item: Any) -> bool:
        while not stopped.is_set():
            try:
                tables.put(item, timeout=0.1)
            except Full:
                continue
            return True
        return False

    def work(number: int, reader: Generator[pa.Table]) -> None:
        try:
            with closing(reader):
                for table in reader:
                    progress.given[number].set()
                    if not hand_on(table):
                        return
        except BaseException as error:  # noqa: BLE001  (raised again by the thread that waits for it)
            progress.failed.set()
            hand_on(error)
        else:
            hand_on(_END)

    threads = [
        Thread(target=work, args=one, name=f"floe-ingest-shard-{one[0]}") for one in enumerate(readers)
    ]
    for thread in threads:
        thread.start()
    try:
        view.wait(progress)
        reading = len(threads)
        while reading:
            item = tables.get()
            if isinstance(item, BaseException):
                raise item
            if item is _END:
                reading -= 1
            else:
                yield item
    finally:
        stopped.set()
        for thread in threads:
            thread.join()
