"""Finds the values that the type which a user gave a column cannot hold exactly."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from floe_ingest_sources._sql import shape_of

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    import pyarrow as pa

    from floe_ingest_sources.filesystem.config import CsvOptions

_BITS = {"SMALLINT": "int16", "INTEGER": "int32", "BIGINT": "int64"}
_OTHER_SHAPES = {
    "BOOLEAN": r"(?i:true|false|t|f|yes|no|y|n|0|1)",
    "DOUBLE": r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?|(?i:[+-]?(inf|infinity|nan))",
    "UUID": r"\{?[0-9a-fA-F]{8}-?([0-9a-fA-F]{4}-?){3}[0-9a-fA-F]{12}\}?",
}


def misfits(batch: pa.RecordBatch, header: Sequence[str], options: CsvOptions) -> dict[int, str]:
    """Return the positions of rows with a value that its column's given type cannot hold, with the reason.

    Arguments:
        batch: columns of text.
        header: their names.
        options: the types that the user gave.
    """
    found: dict[int, str] = {}
    for name, values in zip(header, batch.columns, strict=True):
        kind = options.types.get(name)
        if kind is None or kind == "VARCHAR":
            continue
        for position in _misfits(values, kind, options):
            reason = f"column {name!r}: {kind} cannot hold {values[position].as_py()[:100]!r} exactly"
            found.setdefault(position, reason)
    return dict(sorted(found.items()))


def _misfits(values: pa.Array, kind: str, options: CsvOptions) -> list[int]:
    import pyarrow.compute as pc

    if kind == "DATE" and options.date_format:
        format_ = options.date_format
        return _failing(values, lambda part: pc.strptime(part, format=format_, unit="s"))
    if options.decimal == "," and (kind in _BITS or kind == "DOUBLE" or kind.startswith("DECIMAL")):
        values = pc.replace_substring(pc.replace_substring(values, ".", "x"), ",", ".")
    shape = shape_of(kind) or _OTHER_SHAPES[kind]
    fits = pc.match_substring_regex(values, rf"^\s*(?:{shape})\s*$")
    wrong = pc.indices_nonzero(pc.fill_null(pc.invert(fits), fill_value=False)).to_pylist()
    if wrong:
        shaped = pc.if_else(pc.fill_null(fits, fill_value=True), values, None)
        return sorted({*wrong, *_failing(shaped, _cast(kind))})
    return _failing(values, _cast(kind))


def _cast(kind: str) -> Callable[[pa.Array], object]:
    """Return a function that raises where a text of the right shape is beyond a type's range."""
    import pyarrow as pa
    import pyarrow.compute as pc

    if kind in _BITS:
        return lambda part: pc.utf8_trim_whitespace(pc.utf8_ltrim(part, characters="+ ")).cast(_BITS[kind])
    if kind.startswith("DECIMAL"):
        precision, scale = (int(word) for word in kind[8:-1].split(","))

        def decimal(part: pa.Array) -> object:
            plain = pc.utf8_trim_whitespace(pc.utf8_ltrim(part, characters="+ "))
            zeros = rf"(\.\d{{{scale}}})0+$" if scale else r"\.0*$"
            return pc.replace_substring_regex(plain, zeros, r"\1" if scale else "").cast(
                pa.decimal128(precision, scale)
            )

        return decimal
    if kind in ("DATE", "TIMESTAMP", "TIMESTAMPTZ"):
        day = pa.date32()
        return lambda part: pc.utf8_slice_codeunits(pc.utf8_trim_whitespace(part), 0, 10).cast(day)
    return lambda part: part


def _failing(values: pa.Array, attempt: Callable[[Any], object]) -> list[int]:
    """Return the positions at which ``attempt`` raises, found by halving: one call where none does."""
    import pyarrow as pa

    found: list[int] = []
    parts = [(0, len(values))]
    while parts:
        start, length = parts.pop()
        try:
            attempt(values.slice(start, length))
        except pa.ArrowInvalid:
            if length == 1:
                found.append(start)
            else:
                half = length // 2
                parts += [(start, half), (start + half, length - half)]
    return sorted(found)
