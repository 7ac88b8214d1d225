"""Which type the values of a text column have: seen in full, and never one that would change a value.

| what all values look like | type |
| --- | --- |
| ``true``, ``false`` | BOOLEAN |
| whole numbers within 64 bits, no leading zeros | BIGINT |
| longer whole numbers, up to 38 digits | DECIMAL(38,0) |
| decimal numbers that a double gives back digit for digit | DOUBLE |
| ``2024-01-31``, or what ``date_format`` describes | DATE |
| ISO date and time, no zone on any | TIMESTAMP |
| ISO date and time, a zone on every one | TIMESTAMPTZ |
| ``10:20`` or ``10:20:30.123456`` | TIME |
| anything else: leading zeros, mixed kinds, ``01/02/2024``, more digits than a double has | VARCHAR |
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import pyarrow as pa

_NUMBER = r"-?(?:(?:0|[1-9]\d*)(?:\.\d+)?|\.\d+)(?:[eE][+-]?\d{1,3})?"
_DAY = r"\d{4}-\d\d-\d\d"
_CLOCK = r"(?:[01]\d|2[0-3]):[0-5]\d(?::[0-5]\d(?:\.\d{1,6})?)?"
PATTERNS = {
    "BOOLEAN": r"true|false|True|False|TRUE|FALSE",
    "BIGINT": r"0|-?[1-9]\d{0,18}",
    "DECIMAL(38,0)": r"0|-?[1-9]\d{0,37}",
    "DOUBLE": _NUMBER,
    "DATE": _DAY,
    "TIMESTAMP": rf"{_DAY}[ T]{_CLOCK}",
    "TIMESTAMPTZ": rf"{_DAY}[ T]{_CLOCK}(?:Z|[+-]\d\d:\d\d)",
    "TIME": _CLOCK,
}
_MANY_DIGITS = r"^-?(?:\d\.?){16,}|^-?\.\d{16,}"
_HEAD = 64
_NUMBERS = frozenset({"BIGINT", "DECIMAL(38,0)", "DOUBLE"})

TIMES = frozenset({"DATE", "TIMESTAMP", "TIMESTAMPTZ", "TIME"})
"""The kinds that a JSON string can have; ``"12"`` in quotes is a text on purpose."""


class TextColumn:
    """Narrows down a column's type, batch by batch.

    Arguments:
        kinds: the DuckDB types to consider; all by default.
        date_format: how dates are written, if not in ISO form.
        decimal: what stands before the fraction of a number.
        known: dlt's type of the column that the table has for it already. Into text goes every value as it
            is written, into double whole numbers as well.
    """

    def __init__(
        self,
        kinds: frozenset[str] | None = None,
        date_format: str | None = None,
        decimal: str = ".",
        known: str | None = None,
    ) -> None:
        self._decimal = decimal
        is_text = known == "text"
        self._alive = [kind for kind in PATTERNS if not is_text and (kinds is None or kind in kinds)]
        self._date_format = date_format
        self._known = known
        self.seen = is_text

    @property
    def kind(self) -> str:
        """The narrowest type that holds every value seen so far; VARCHAR where none was seen."""
        if not self.seen or not self._alive:
            return "VARCHAR"
        if self._known == "double" and self._alive[0] == "BIGINT" and "DOUBLE" in self._alive:
            return "DOUBLE"
        return self._alive[0]

    def see(self, values: pa.Array) -> None:
        """Take a batch of strings into account."""
        if not self._alive and self.seen:
            return
        values = values.drop_null()
        if len(values) == 0:
            return
        self.seen = True
        head = values.slice(0, _HEAD)
        alive = [kind for kind in self._alive if self._fits(kind, head)]
        if "BIGINT" in alive and self._fits("BIGINT", values):
            # Whole numbers: the wider kinds follow without another look, unless digits are many.
            self._alive = [
                kind for kind in alive if kind != "DOUBLE" or _short(values) or self._fits(kind, values)
            ]
        else:
            self._alive = [kind for kind in alive if kind != "BIGINT" and self._fits(kind, values)]

    def _fits(self, kind: str, values: pa.Array) -> bool:
        import pyarrow as pa
        import pyarrow.compute as pc

        if self._decimal == "," and kind in _NUMBERS:
            values = pc.replace_substring(pc.replace_substring(values, ".", "x"), ",", ".")
        if kind == "DATE" and self._date_format:
            return _parses(lambda: pc.strptime(values, format=self._date_format, unit="s"))
        if not pc.all(pc.match_substring_regex(values, rf"^(?:{PATTERNS[kind]})$")).as_py():
            return False
        if kind == "DOUBLE":
            return _double_is_exact(values)
        if kind == "BIGINT":
            return _parses(lambda: values.cast(pa.int64()))
        # A time of day is right by its pattern; the others have calendars.
        return kind not in TIMES or kind == "TIME" or _parses(lambda: values.cast(_arrow_time(kind)))


def _arrow_time(kind: str) -> Any:
    import pyarrow as pa

    return {
        "DATE": pa.date32(),
        "TIMESTAMP": pa.timestamp("us"),
        "TIMESTAMPTZ": pa.timestamp("us", tz="UTC"),
    }[kind]


def _parses(attempt: Any) -> bool:
    """Tell whether all values parse: ``2024-02-30`` has the look of a date and is none."""
    import pyarrow as pa

    try:
        attempt()
    except pa.ArrowInvalid:
        return False
    return True


def _short(values: pa.Array) -> bool:
    import pyarrow.compute as pc

    return bool(pc.max(pc.binary_length(values)).as_py() <= 15)


def _double_is_exact(values: pa.Array) -> bool:
    """Tell whether doubles give the values back: up to 15 digits always do, more must be tried."""
    import pyarrow as pa
    import pyarrow.compute as pc

    if not pc.all(pc.is_finite(values.cast(pa.float64()))).as_py():
        return False
    long = values.filter(pc.match_substring_regex(values, _MANY_DIGITS))
    if len(long) == 0:
        return True
    there_and_back = long.cast(pa.float64()).cast(pa.string())
    return bool(pc.all(pc.equal(_plain(long), _plain(there_and_back))).as_py())


def _plain(numbers: pa.Array) -> pa.Array:
    """Drop zeros at the end of the fraction, and the zero before the point."""
    import pyarrow.compute as pc

    trimmed = pc.replace_substring_regex(numbers, r"(\.\d*?)0+$", r"\1")
    return pc.replace_substring_regex(pc.replace_substring_regex(trimmed, r"\.$", ""), r"^(-?)0\.", r"\1.")
