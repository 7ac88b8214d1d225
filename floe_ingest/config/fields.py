"""The types of the configuration's fields: what each accepts, and how it says what it does not."""

import re
from collections.abc import Callable
from datetime import date, datetime
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BeforeValidator, Field
from pydantic_core import PydanticCustomError, PydanticKnownError

from floe_ingest.config.transforms import parse_partition, parse_sort
from floe_ingest.config.words import did_you_mean, one_of

_NAME = re.compile(r"[A-Za-z0-9_-]+")
_PLACEHOLDER = re.compile(r"\{([^{}]*)\}")
_IDENTIFIER = re.compile(r"[\w\-]+")
_SIZE = re.compile(r"(\d+(?:\.\d+)?)\s*([KMGT])(i?)B", re.IGNORECASE)
_POWERS = {"K": 1, "M": 2, "G": 3, "T": 4}
# Below this, DuckDB cannot hold the row groups that its threads write, and loads fail.
_LEAST_MEMORY = 100_000_000

RESOURCE = "{resource}"

# Types of pydantic errors, as `literal_error` is one.
REFUSED = "floe_ingest"
MISSING_VARIABLE = "missing_variable"


def wrong(message: str) -> PydanticCustomError:
    """Return the error with which a validator of this project refuses a value; the value is added later."""
    return PydanticCustomError(REFUSED, "{message}", {"message": message})


def missing_variable(message: str) -> PydanticCustomError:
    """Return the error for a string whose ``${NAME}`` cannot be filled in."""
    return PydanticCustomError(MISSING_VARIABLE, "{message}", {"message": message})


def _name(value: str) -> str:
    if not _NAME.fullmatch(value):
        raise wrong("should be letters, digits, _ and - only")
    return value


# File systems take 255 bytes for a name. The table is part of one, behind the source's name.
_LONGEST_TABLE = 160


def _destination(value: str) -> str:
    for placeholder in _PLACEHOLDER.findall(value):
        if placeholder != "resource":
            near = did_you_mean(placeholder, ["resource"])
            raise wrong(f"the only placeholder is {RESOURCE}{near}")
    parts = value.replace(RESOURCE, "resource").split(".")
    if len(parts) < 2:
        raise wrong("should be namespace.table, such as bronze.orders")
    if not all(_IDENTIFIER.fullmatch(part) for part in parts):
        raise wrong(
            f"should be namespace.table, of letters, digits, _ and -, with {RESOURCE} where several "
            f"resources are loaded"
        )
    if len(value) > _LONGEST_TABLE:
        raise wrong(f"should have at most {_LONGEST_TABLE} characters, not {len(value)}")
    if parts[-1].lower().startswith("_dlt"):
        raise wrong("tables that begin with _dlt are kept for the loads' own records; choose another name")
    return value


def _memory(value: str) -> str:
    found = _SIZE.fullmatch(value.strip())
    if found is None:
        raise wrong("should be a size with its unit, such as 512MB, 2GB or 1.5GiB")
    number, unit, binary = found.groups()
    if float(number) * (1024 if binary else 1000) ** _POWERS[unit.upper()] < _LEAST_MEMORY:
        raise wrong("should be at least 100MB")
    return value.strip()


def _listed(value: Any) -> Any:
    return [value] if isinstance(value, str) else value


def _column(value: str) -> str:
    if not value.strip():
        raise wrong("should be the name of a column")
    return value


def _columns(value: tuple[str, ...]) -> tuple[str, ...]:
    if not value:
        raise wrong("should name at least one column; leave the key out for none")
    repeated = sorted({entry for entry in value if value.count(entry) > 1})
    if repeated:
        raise wrong(f"names {', '.join(repeated)} more than once")
    return value


def _parsed(parse: Callable[[str], object]) -> Callable[[str], str]:
    def validate(value: str) -> str:
        try:
            return str(parse(value))
        except ValueError as error:
            raise wrong(str(error)) from None

    return validate


def _property(value: Any) -> Any:
    match value:
        case bool():
            return "true" if value else "false"
        case int() | float():
            return str(value)
        case str():
            return value
        case _:
            raise wrong("should be text, a number, or true or false")


CONTRACT_WORDS = ("evolve", "freeze", "discard_value")
CONTRACT_ENTITIES = ("tables", "columns", "data_type")
CONTRACT_MODES = (*CONTRACT_WORDS, "discard_row")


def _contract(value: Any) -> Any:
    """Check a contract, which is one word or a mapping; as a union each problem would be told twice."""
    if value is None:
        return value
    if not isinstance(value, dict):
        if value not in CONTRACT_WORDS:
            words = [f"'{word}'" for word in CONTRACT_WORDS]
            raise PydanticKnownError("literal_error", {"expected": f"{', '.join(words[:-1])} or {words[-1]}"})
        return value
    for entity, mode in value.items():
        if entity not in CONTRACT_ENTITIES:
            near = did_you_mean(str(entity), CONTRACT_ENTITIES)
            raise wrong(f"{entity!r} is not a part of a contract; use {one_of(CONTRACT_ENTITIES)}{near}")
        if mode not in CONTRACT_MODES:
            near = did_you_mean(str(mode), CONTRACT_MODES)
            raise wrong(f"{mode!r} is not a mode of a contract; use {one_of(CONTRACT_MODES)}{near}")
    return value


def _number(value: Any) -> Any:
    # To pydantic true is 1, which nobody means who writes it.
    if isinstance(value, bool):
        raise wrong("should be a number")
    return value


def _nothing_is(default: Callable[[], Any]) -> Callable[[Any], Any]:
    return lambda value: default() if value is None else value


EmptyIsMapping = BeforeValidator(_nothing_is(dict))
"""A section whose entries are all commented out is nothing to YAML; here it counts as not written."""

EmptyIsList = BeforeValidator(_nothing_is(list))

NotBool = BeforeValidator(_number)

SchemaContract = Literal["evolve", "freeze", "discard_value"]

ContractParts = dict[
    Literal["tables", "columns", "data_type"], Literal["evolve", "freeze", "discard_value", "discard_row"]
]
"""dlt's finer contract; a part that is not written evolves."""

IsContract = BeforeValidator(_contract, json_schema_input_type=SchemaContract | ContractParts | None)

MemorySize = Annotated[str, AfterValidator(_memory)]

Name = Annotated[str, Field(min_length=1), AfterValidator(_name)]

DestinationTable = Annotated[str, AfterValidator(_destination)]

Column = Annotated[str, AfterValidator(_column)]

_OneOrMore = BeforeValidator(_listed, json_schema_input_type=str | list[str])

CursorValue = Annotated[datetime | date | int | float | str, NotBool]
"""A bound of a cursor: a number, a text, or what YAML reads as a date or timestamp."""

Columns = Annotated[tuple[Column, ...], _OneOrMore, AfterValidator(_columns)]

PartitionFields = Annotated[
    tuple[Annotated[str, AfterValidator(_parsed(parse_partition))], ...],
    _OneOrMore,
    AfterValidator(_columns),
]

SortFields = Annotated[
    tuple[Annotated[str, AfterValidator(_parsed(parse_sort))], ...], _OneOrMore, AfterValidator(_columns)
]

TableProperties = dict[
    str, Annotated[str, BeforeValidator(_property, json_schema_input_type=str | int | float | bool)]
]

__all__ = [
    "MISSING_VARIABLE",
    "REFUSED",
    "RESOURCE",
    "Column",
    "Columns",
    "ContractParts",
    "CursorValue",
    "DestinationTable",
    "EmptyIsList",
    "EmptyIsMapping",
    "IsContract",
    "MemorySize",
    "Name",
    "NotBool",
    "PartitionFields",
    "SchemaContract",
    "SortFields",
    "TableProperties",
    "missing_variable",
    "wrong",
]
