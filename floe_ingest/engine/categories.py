"""Says what a failure calls for: by hook first, then by the types in its chain of causes.

Types are compared by module and name, so that no library is imported for it. HTTP answers count by their
status, databases' refusals by SQLSTATE or by their own numbers. Words in messages never decide; but Arrow's
object stores have no other place for the store's error code than a fixed one in the message.
"""

from __future__ import annotations

import errno
import re
import time
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING, Any

from floe_ingest.errors import (
    CertificateError,
    IngestionError,
    MissingPackageError,
    PluginHookError,
    StorageError,
)
from floe_ingest.redaction import redact
from floe_ingest_hookspecs import ErrorCategory, LoadError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from floe_ingest.plugins import Plugins
    from floe_ingest_hookspecs import RunContext

_TRANSIENT = ErrorCategory.TRANSIENT
_PERMANENT = ErrorCategory.PERMANENT
_CONFIGURATION = ErrorCategory.CONFIGURATION

_BY_TYPE: dict[str, ErrorCategory] = {
    "pyiceberg.exceptions.CommitFailedException": _TRANSIENT,
    "pyiceberg.exceptions.CommitStateUnknownException": _TRANSIENT,
    "pyiceberg.exceptions.ServerError": _TRANSIENT,
    "pyiceberg.exceptions.ServiceUnavailableError": _TRANSIENT,
    "pyiceberg.exceptions.AuthorizationExpiredError": _TRANSIENT,
    "pyiceberg.exceptions.UnauthorizedError": _PERMANENT,
    "pyiceberg.exceptions.ForbiddenError": _PERMANENT,
    "pyiceberg.exceptions.OAuthError": _PERMANENT,
    "pyiceberg.exceptions.NoSuchTableError": _PERMANENT,
    "pyiceberg.exceptions.NoSuchNamespaceError": _PERMANENT,
    "pyiceberg.exceptions.BadRequestError": _CONFIGURATION,
    "pyiceberg.exceptions.RESTError": _PERMANENT,
    "requests.exceptions.InvalidURL": _CONFIGURATION,
    "requests.exceptions.InvalidSchema": _CONFIGURATION,
    "requests.exceptions.MissingSchema": _CONFIGURATION,
    "requests.exceptions.ConnectionError": _TRANSIENT,
    "requests.exceptions.Timeout": _TRANSIENT,
    "requests.exceptions.ChunkedEncodingError": _TRANSIENT,
    "urllib3.exceptions.HTTPError": _TRANSIENT,
    "httpx.UnsupportedProtocol": _CONFIGURATION,
    "httpx.InvalidURL": _CONFIGURATION,
    "httpx.TransportError": _TRANSIENT,
    "aiohttp.client_exceptions.InvalidURL": _CONFIGURATION,
    "aiohttp.client_exceptions.NonHttpUrlClientError": _CONFIGURATION,
    "aiohttp.client_exceptions.ClientConnectionError": _TRANSIENT,
    "aiohttp.client_exceptions.ClientPayloadError": _TRANSIENT,
    "botocore.exceptions.ConnectionError": _TRANSIENT,
    "botocore.exceptions.HTTPClientError": _TRANSIENT,
    "botocore.exceptions.NoCredentialsError": _CONFIGURATION,
    "azure.core.exceptions.ServiceRequestError": _TRANSIENT,
    "azure.core.exceptions.ServiceResponseError": _TRANSIENT,
    "sqlalchemy.exc.NoSuchTableError": _PERMANENT,
    "sqlalchemy.exc.NoSuchModuleError": _CONFIGURATION,
    "sqlalchemy.exc.ArgumentError": _CONFIGURATION,
    "sqlalchemy.exc.TimeoutError": _TRANSIENT,
    "sqlalchemy.exc.InterfaceError": _TRANSIENT,
    # PEP 249: something is wrong with a statement or its values; OperationalError is about the server.
    "sqlalchemy.exc.DataError": _PERMANENT,
    "sqlalchemy.exc.IntegrityError": _PERMANENT,
    "sqlalchemy.exc.NotSupportedError": _PERMANENT,
    "sqlalchemy.exc.ProgrammingError": _PERMANENT,
    "dlt.common.configuration.exceptions.ConfigurationException": _CONFIGURATION,
    "pydantic_core._pydantic_core.ValidationError": _CONFIGURATION,
    "builtins.ConnectionError": _TRANSIENT,
    "builtins.TimeoutError": _TRANSIENT,
    "builtins.PermissionError": _PERMANENT,
    "builtins.FileNotFoundError": _PERMANENT,
    "builtins.ImportError": _CONFIGURATION,
}
_TRANSIENT_STATUS = frozenset({408, 425, 429})
_CONFIGURATION_STATUS = frozenset({400, 404, 405, 410, 422})
_TRANSIENT_ERRNO = frozenset(
    {
        *(errno.ECONNRESET, errno.ECONNREFUSED, errno.ECONNABORTED, errno.ETIMEDOUT, errno.EAGAIN),
        *(errno.EPIPE, errno.EHOSTUNREACH, errno.ENETUNREACH),
    }
)

# SQLSTATE, of the SQL standard and PostgreSQL's documentation ("Error Codes"): the longest prefix counts.
_BY_SQLSTATE: dict[str, ErrorCategory] = {
    "08": _TRANSIENT,  # connection exceptions
    "40": _TRANSIENT,  # serialization failure, deadlock
    "53": _TRANSIENT,  # too many connections, out of memory
    "55P03": _TRANSIENT,  # lock not available
    "57014": _TRANSIENT,  # a statement ran into its timeout
    "57P": _TRANSIENT,  # shutdown, crash, cannot connect now
    "0A": _PERMANENT,  # feature not supported
    "21": _PERMANENT,  # more than one row from a subquery
    "22": _PERMANENT,  # data exceptions: division by zero, out of range, not of this type
    "23": _PERMANENT,  # integrity constraints
    "25006": _PERMANENT,  # a write in a read-only transaction
    "28": _PERMANENT,  # invalid authorization
    "42501": _PERMANENT,  # insufficient privilege
    "42P01": _PERMANENT,  # undefined table
    "42S02": _PERMANENT,  # the same, of ODBC and MySQL
    "3D000": _PERMANENT,  # undefined database
    "3F000": _PERMANENT,  # undefined schema
    "P0": _PERMANENT,  # raised by a function of the user
    "42": _CONFIGURATION,  # syntax error, undefined column
}
# MySQL's and MariaDB's error numbers (their documentation: "Server Error Reference").
_BY_MYSQL_NUMBER: dict[int, ErrorCategory] = {
    **dict.fromkeys((1205, 1213, 3572), _TRANSIENT),  # lock wait timeout, deadlock, NOWAIT
    **dict.fromkeys((1040, 1053, 1203, 1226, 3024), _TRANSIENT),  # too many connections, shutdown, timeout
    **dict.fromkeys((2002, 2003, 2006, 2013, 2055), _TRANSIENT),  # connection refused, gone, lost
    **dict.fromkeys((1044, 1045, 1142, 1143, 1227, 1698), _PERMANENT),  # access denied
    **dict.fromkeys((1049, 1051, 1109, 1146), _PERMANENT),  # unknown database or table
    **dict.fromkeys((1054, 1064), _CONFIGURATION),  # unknown column, syntax
    # more than one row from a subquery, illegal values, out of range, division by zero
    **dict.fromkeys((1242, 1264, 1292, 1365, 1366, 1411, 1690), _PERMANENT),
    # raised by a function of the user, no such function, a write in a read-only transaction
    **dict.fromkeys((1644, 1305, 1792), _PERMANENT),
}
# SQLite's primary result codes (its documentation: "Result and Error Codes").
_BY_SQLITE_CODE: dict[int, ErrorCategory] = {
    **dict.fromkeys((5, 6, 10, 15), _TRANSIENT),  # busy, locked, I/O error, locking protocol
    **dict.fromkeys((3, 8, 14, 23, 26), _PERMANENT),  # permission, read-only, cannot open, not a database
    **dict.fromkeys((1, 11, 18, 19, 20), _PERMANENT),  # SQL or its values, damaged, too big, constraint, type
}
# What AWS says beside a status that says less (its documentation: "Common Errors" of each service).
_BY_AWS_CODE: dict[str, ErrorCategory] = {
    **dict.fromkeys(("RequestTimeout", "RequestTimeoutException", "PriorRequestNotComplete"), _TRANSIENT),
    **dict.fromkeys(("Throttling", "ThrottlingException", "ThrottledException", "SlowDown"), _TRANSIENT),
    **dict.fromkeys(("RequestThrottled", "RequestThrottledException", "RequestLimitExceeded"), _TRANSIENT),
    **dict.fromkeys(("TooManyRequestsException", "ProvisionedThroughputExceededException"), _TRANSIENT),
    # A source that is built anew asks for new credentials, where they are lent.
    **dict.fromkeys(("ExpiredToken", "ExpiredTokenException"), _TRANSIENT),
    **dict.fromkeys(("InvalidToken", "InvalidAccessKeyId", "SignatureDoesNotMatch"), _PERMANENT),
}
# ADBC's status codes (its specification: adbc.h), where a driver tells no SQLSTATE.
_BY_ADBC_STATUS: dict[str, ErrorCategory] = {
    **dict.fromkeys(("IO", "TIMEOUT", "CANCELLED"), _TRANSIENT),
    **dict.fromkeys(("UNAUTHENTICATED", "UNAUTHORIZED", "NOT_FOUND"), _PERMANENT),
    **dict.fromkeys(("INVALID_ARGUMENT", "NOT_IMPLEMENTED"), _CONFIGURATION),
}
_GOOGLE_MODULES = ("gcsfs.", "google.api_core.")
# Arrow's own forms (its sources: s3_internal.h, gcsfs_internal.cc): "AWS Error SLOW_DOWN during PutObject
# operation", "AWS Error UNKNOWN (HTTP status 502) during …", "google::cloud::Status(UNAVAILABLE: …)".
_ARROW_CODE = re.compile(
    r"AWS Error (?P<aws>[A-Z_]+)(?: \(HTTP status (?P<status>\d+)\))? during"
    r"|google::cloud::Status\((?P<gcs>[A-Z_]+)"
)
_TRANSIENT_CODES = frozenset(
    {
        *("INTERNAL_FAILURE", "SERVICE_UNAVAILABLE", "SLOW_DOWN", "THROTTLING", "REQUEST_TIMEOUT"),
        *("NETWORK_CONNECTION", "REQUEST_TIME_TOO_SKEWED"),
        *("UNAVAILABLE", "DEADLINE_EXCEEDED", "RESOURCE_EXHAUSTED", "INTERNAL", "ABORTED"),
    }
)
# The forms of DuckDB's PostgreSQL extension (its sources: postgres_connection.cpp, postgres_binary_copy.cpp)
# for connections that cannot be made or that break; it tells no SQLSTATE.
_DUCKDB_LOST = re.compile(
    r"IO Error: Unable to (?:connect to Postgres at |read binary COPY data from Postgres: )"
    r'|Failed to execute query "BEGIN TRANSACTION '
)
# As MinIO says it. RFC 4918, 11.5: not to be repeated before somebody has done something.
_STORE_IS_FULL = 507
_MYSQL_MODULES = ("pymysql.", "MySQLdb.", "mysql.connector.", "mariadb.")


def chain(error: BaseException) -> Iterator[BaseException]:
    """Yield an exception and its causes, outermost first."""
    seen: set[int] = set()
    current: BaseException | None = error
    while current is not None and id(current) not in seen:
        seen.add(id(current))
        yield current
        current = current.__cause__ or (None if current.__suppress_context__ else current.__context__)


def categorize(error: BaseException, plugins: Plugins, context: RunContext) -> ErrorCategory:
    """Return the category of a failure.

    The innermost cause that is known decides, since the outer ones are wrappers; but an error that
    floe-ingest raised on purpose, or that a plugin knows, decides before any library's.
    """
    causes = list(chain(error))
    for cause in causes:
        if (category := plugins.categorize_error(cause, context)) is not None:
            return category
    if CertificateError.of(error) is not None:
        return _CONFIGURATION
    by_type = [category for cause in causes if (category := _by_type(cause)) is not None]
    for cause in causes:
        if isinstance(cause, PluginHookError):
            continue
        if isinstance(cause, IngestionError):
            if cause.category is ErrorCategory.TRANSIENT and by_type:
                return by_type[-1]
            return cause.category
    return by_type[-1] if by_type else ErrorCategory.PERMANENT


def describe(error: BaseException, category: ErrorCategory) -> LoadError:
    """Return a failure as results report it: the cause that tells most, without secrets."""
    told = most_telling(error)
    told = CertificateError.of(error) or StorageError.of(told) or told
    message = str(told).strip() or repr(told)
    return LoadError(category, type(told).__name__, redact(message))


def most_telling(error: BaseException) -> BaseException:
    """Return the cause worth telling.

    That is floe-ingest's own error if there is one; else the outermost that is not one of dlt's wrappers,
    which says more than a bare "connection refused" at the end of the chain.
    """
    causes = list(chain(error))
    for cause in causes:
        if isinstance(cause, IngestionError):
            return cause
    return next((cause for cause in causes if not type(cause).__module__.startswith("dlt.")), causes[-1])


def retry_after(error: BaseException) -> float | None:
    """Return for how many seconds a server asked to be left alone (RFC 9110, Retry-After), if it did."""
    for cause in chain(error):
        headers = _headers(cause)
        value = headers.get("Retry-After") or headers.get("retry-after")
        if value is not None and (seconds := _seconds(str(value))) is not None:
            return seconds
    return None


def _headers(error: BaseException) -> Mapping[str, Any]:
    response: Any = getattr(error, "response", None)
    if isinstance(response, dict):  # botocore's
        headers = response.get("ResponseMetadata", {}).get("HTTPHeaders")
    else:
        headers = getattr(response, "headers", None) or getattr(error, "headers", None)
    return headers if hasattr(headers, "get") else {}


def _seconds(value: str) -> float | None:
    if value.strip().isdigit():
        return float(value)
    try:
        return max(0.0, parsedate_to_datetime(value).timestamp() - time.time())
    except ValueError:
        return None


def _by_type(error: BaseException) -> ErrorCategory | None:
    if isinstance(error, IngestionError) and not isinstance(error, MissingPackageError):
        return None
    if (category := _BY_AWS_CODE.get(_aws_code(error))) is not None:
        return category
    if (status := _status(error)) is not None and (category := _by_status(status)) is not None:
        return category
    if (category := _by_database(error)) is not None:
        return category
    if isinstance(error, OSError) and (error.errno in _TRANSIENT_ERRNO or _is_passing_in_store(error)):
        return ErrorCategory.TRANSIENT
    for kind in type(error).__mro__:
        if category := _BY_TYPE.get(f"{kind.__module__}.{kind.__qualname__}"):
            return category
    return None


def _aws_code(error: BaseException) -> str:
    response: Any = getattr(error, "response", None)
    return str(response.get("Error", {}).get("Code", "")) if isinstance(response, dict) else ""


def _is_passing_in_store(error: OSError) -> bool:
    """Return whether Arrow tells that an object store could not serve a request just then."""
    found = _ARROW_CODE.search(str(error)) if error.errno is None else None
    if found is None:
        return False
    if found["status"] is not None:
        if int(found["status"]) == _STORE_IS_FULL:
            return False
        return _by_status(int(found["status"])) is ErrorCategory.TRANSIENT
    return (found["aws"] or found["gcs"]) in _TRANSIENT_CODES


def _status(error: BaseException) -> int | None:
    """Return the HTTP status that an error is about, as libraries of HTTP and of object stores tell it."""
    if type(error).__module__.startswith(_GOOGLE_MODULES):
        code = getattr(error, "code", None)
        return int(code) if isinstance(code, int) else None
    response: Any = getattr(error, "response", None)
    if isinstance(response, dict):
        status = response.get("ResponseMetadata", {}).get("HTTPStatusCode")
    else:
        status = getattr(response, "status_code", None)
        if status is None and not isinstance(error, OSError):
            status = getattr(error, "status_code", None) or getattr(error, "status", None)
    return status if isinstance(status, int) and 100 <= status <= 599 else None


def _by_status(status: int) -> ErrorCategory | None:
    if status in _TRANSIENT_STATUS or status >= 500:
        return ErrorCategory.TRANSIENT
    if status in _CONFIGURATION_STATUS:
        return ErrorCategory.CONFIGURATION
    return ErrorCategory.PERMANENT if status >= 400 else None


def _by_database(error: BaseException) -> ErrorCategory | None:
    sqlite = getattr(error, "sqlite_errorcode", None)
    if isinstance(sqlite, int):
        return _BY_SQLITE_CODE.get(sqlite & 0xFF)  # the low byte of an extended code is the primary one
    if type(error).__module__.startswith(_MYSQL_MODULES):
        return _BY_MYSQL_NUMBER.get(error.args[0]) if error.args else None
    state = getattr(error, "sqlstate", None) or getattr(error, "pgcode", None)
    if isinstance(state, str) and state:
        lengths = range(len(state), 1, -1)
        return next((_BY_SQLSTATE[state[:n]] for n in lengths if state[:n] in _BY_SQLSTATE), None)
    if _is_lost_by_libpq(error):
        return ErrorCategory.TRANSIENT
    if type(error).__module__.startswith("adbc_driver_manager"):
        return _BY_ADBC_STATUS.get(getattr(getattr(error, "status_code", None), "name", ""))
    return None


def _is_lost_by_libpq(error: BaseException) -> bool:
    """Return whether a connection to PostgreSQL could not be made, or broke: no SQLSTATE came from a server.

    Neither does one come with a refused login, but what is told of that is the sources' own error, or that
    of the catalog. A password that is asked for and was not given is no matter of time.
    """
    kind = type(error)
    if f"{kind.__module__}.{kind.__qualname__}" == "psycopg.OperationalError":
        return not getattr(getattr(error, "pgconn", None), "needs_password", False)
    return kind.__module__ in ("duckdb", "_duckdb") and _DUCKDB_LOST.match(str(error)) is not None
