"""A table or query as it was reflected: where it is, its columns, and how each is read."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from floe_ingest import SourceConfigurationError
from floe_ingest_sources._resources import listed, nearest

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from floe_ingest_sources.sql_database.types import ColumnPlan


@dataclass(frozen=True, slots=True)
class Relation:
    """A table or query, reflected.

    Arguments:
        name: the resource's name.
        origin: for messages: ``table orders``, ``the query``.
        source: what stands after FROM, in the database's own dialect.
        plans: the columns to read.
        primary_key: of the table, as far as it is among the columns.
        scanned: DuckDB's name of the table; empty where its own reading does not bring it exactly.
        indirect: why not.
        where: the condition on rows, in the database's own dialect.
        within: the condition that keeps to the cursor's window, likewise.
        comments: what the database says of columns.
        estimated_rows: None where unknown.
        statement: for other dialects, SQLAlchemy's own SELECT.
        piece: the condition that keeps to a shard, likewise.
        unshared: why several connections cannot read it in one view; empty where they can.
        bounded: what stands before the SELECT that DuckDB sends, and bounds its time; None where nothing can.
    """

    name: str
    origin: str
    source: str
    plans: tuple[ColumnPlan, ...] = ()
    primary_key: tuple[str, ...] = ()
    scanned: str = ""
    indirect: tuple[str, ...] = ()
    where: str | None = None
    within: str | None = None
    piece: str | None = None
    comments: Mapping[str, str] = field(default_factory=dict)
    estimated_rows: int | None = None
    statement: Any = None
    bounded: str | None = ""
    unshared: str = "this database gives several connections no common view"

    def sent(self, *, bare: bool = False, compact: bool = False) -> str:
        """Return the SELECT in the database's own dialect.

        Arguments:
            bare: for one that gives no row.
            compact: with the columns as a driver that gives Arrow takes them; see ``ColumnPlan``.
        """
        query = self.query(", ".join((compact and plan.compact) or plan.sent for plan in self.plans))
        return f"{query} LIMIT 0" if bare else query

    def query(self, what: str) -> str:
        """Return the SELECT of something from the relation's rows, in the database's own dialect."""
        query = " ".join(["SELECT", what, "FROM", self.source])
        # A comment at the condition's end must not swallow the bracket.
        given = (self.where, self.within, self.piece)
        conditions = [f"({text}\n)" for text in given if text is not None]
        return f"{query} WHERE {' AND '.join(conditions)}" if conditions else query

    def reasons(self) -> tuple[str, ...]:
        """Return why DuckDB's own reading is not taken; empty where it is."""
        columns = tuple(f"column {plan.name}: {plan.indirect}" for plan in self.plans if plan.indirect)
        return self.indirect + columns

    def with_columns(self, chosen: Sequence[str] | None) -> Relation:
        """Return this with the chosen columns, in their order; None for all.

        Raises:
            SourceConfigurationError: a chosen column does not exist, or two differ in letter case alone.
        """
        by_name = {plan.name: plan for plan in self.plans}
        for name in chosen or ():
            if name not in by_name:
                raise SourceConfigurationError(
                    f"columns: {self.origin} has no column {name!r}.{nearest(name, by_name)} "
                    f"It has: {listed(by_name)}"
                )
        plans = tuple(by_name[name] for name in chosen) if chosen else self.plans
        _distinct((plan.name for plan in plans), self.origin)
        names = {plan.name for plan in plans}
        key = self.primary_key if names.issuperset(self.primary_key) else ()
        return replace(self, plans=plans, primary_key=key)


def missing_table(name: str, known: Iterable[str], where: str) -> SourceConfigurationError:
    """Return the error about a table that does not exist."""
    there = list(known)
    return SourceConfigurationError(
        f"There is no table {name!r} in {where}.{nearest(name, there)} There are: {listed(there)}"
    )


def missing_schema(name: str, known: Iterable[str], where: str) -> SourceConfigurationError:
    """Return the error about a schema that does not exist."""
    there = list(known)
    return SourceConfigurationError(
        f"schema: there is no schema {name!r} in {where}.{nearest(name, there)} There are: {listed(there)}"
    )


def _distinct(names: Iterable[str], origin: str) -> None:
    seen: dict[str, str] = {}
    for name in names:
        other = seen.setdefault(name.casefold(), name)
        if other is not name:
            raise SourceConfigurationError(
                f"{origin} has the columns {other!r} and {name!r}, one name in a table where letter case "
                f"does not count. Choose with columns, or name them apart in a query"
            )
