"""``reader_options`` as floe's orchestrator knows them: pandas' names for what our ``csv`` says."""

from __future__ import annotations

from typing import Any

_CSV = {
    "sep": "delimiter",
    "delimiter": "delimiter",
    "quotechar": "quote",
    "names": "names",
    "encoding": "encoding",
    "na_values": "null_values",
}
# How large a piece is read at once, and by which of pandas' engines, makes no difference to the rows.
_WITHOUT_EFFECT = ("chunksize", "use_pyarrow")


def translated(settings: dict[str, Any]) -> dict[str, Any]:
    """Return settings with pandas' reader options moved to ``csv``; what is not known stays where it is."""
    options = settings.get("reader_options")
    if not isinstance(options, dict) or not options.keys() & {*_CSV, *_WITHOUT_EFFECT, "header"}:
        return settings
    left = {key: value for key, value in options.items() if key not in _WITHOUT_EFFECT}
    csv = dict(settings.get("csv") or {})
    for key, ours in _CSV.items():
        if key in left:
            value = left.pop(key)
            csv.setdefault(ours, [value] if ours == "null_values" and isinstance(value, str) else value)
    if "header" in left:
        header = left.pop("header")
        csv.setdefault("header", header if isinstance(header, bool) else header in (0, "infer"))
    return {**settings, "reader_options": left, **({"csv": csv} if csv else {})}
