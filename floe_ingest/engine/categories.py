"""Says what a failure calls for: by hook first, then by the types in its chain of causes.

Types are compared by module and name, so that no library is imported for it. Words in messages never
decide.
"""

from __future__ import annotations

import errno
from typing import TYPE_CHECKING

from floe_ingest.errors import IngestionError, MissingPackageError, PluginHookError, StorageError
from floe_ingest.redaction import redact
from floe_ingest_hookspecs import ErrorCategory, LoadError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from floe_ingest.plugins import Plugins
    from floe_ingest_hookspecs import RunContext

_BY_TYPE: dict[str, ErrorCategory] = {
    "pyiceberg.exceptions.CommitFailedException": ErrorCategory.TRANSIENT,
    "pyiceberg.exceptions.CommitStateUnknownException": ErrorCategory.TRANSIENT,
    "pyiceberg.exceptions.ServerError": ErrorCategory.TRANSIENT,
    "pyiceberg.exceptions.ServiceUnavailableError": ErrorCategory.TRANSIENT,
    "pyiceberg.exceptions.AuthorizationExpiredError": ErrorCategory.TRANSIENT,
    "pyiceberg.exceptions.UnauthorizedError": ErrorCategory.PERMANENT,
    "pyiceberg.exceptions.ForbiddenError": ErrorCategory.PERMANENT,
    "pyiceberg.exceptions.RESTError": ErrorCategory.PERMANENT,
    "requests.exceptions.ConnectionError": ErrorCategory.TRANSIENT,
    "requests.exceptions.Timeout": ErrorCategory.TRANSIENT,
    "requests.exceptions.ChunkedEncodingError": ErrorCategory.TRANSIENT,
    "urllib3.exceptions.HTTPError": ErrorCategory.TRANSIENT,
    "sqlalchemy.exc.InterfaceError": ErrorCategory.TRANSIENT,
    "psycopg.errors.SerializationFailure": ErrorCategory.TRANSIENT,
    "psycopg.errors.DeadlockDetected": ErrorCategory.TRANSIENT,
    "psycopg.errors.InsufficientPrivilege": ErrorCategory.PERMANENT,
    "psycopg.errors.UndefinedTable": ErrorCategory.PERMANENT,
    "psycopg.errors.InvalidPassword": ErrorCategory.PERMANENT,
    "dlt.common.configuration.exceptions.ConfigurationException": ErrorCategory.CONFIGURATION,
    "builtins.ConnectionError": ErrorCategory.TRANSIENT,
    "builtins.TimeoutError": ErrorCategory.TRANSIENT,
    "builtins.PermissionError": ErrorCategory.PERMANENT,
    "builtins.ImportError": ErrorCategory.CONFIGURATION,
}
_TRANSIENT_STATUS = frozenset({408, 425, 429, 500, 502, 503, 504})
_CONFIGURATION_STATUS = frozenset({400, 404, 405, 410, 422})
_TRANSIENT_ERRNO = frozenset(
    {errno.ECONNRESET, errno.ECONNREFUSED, errno.ETIMEDOUT, errno.EAGAIN, errno.EPIPE}
)


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
    told = StorageError.of(told) or told
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


def _by_type(error: BaseException) -> ErrorCategory | None:
    if isinstance(error, IngestionError) and not isinstance(error, MissingPackageError):
        return None
    status = getattr(getattr(error, "response", None), "status_code", None)
    if isinstance(status, int):
        return _by_status(status)
    if isinstance(error, OSError) and error.errno in _TRANSIENT_ERRNO:
        return ErrorCategory.TRANSIENT
    for kind in type(error).__mro__:
        if category := _BY_TYPE.get(f"{kind.__module__}.{kind.__qualname__}"):
            return category
    return None


def _by_status(status: int) -> ErrorCategory | None:
    if status in _TRANSIENT_STATUS or status > 504:
        return ErrorCategory.TRANSIENT
    if status in _CONFIGURATION_STATUS:
        return ErrorCategory.CONFIGURATION
    return ErrorCategory.PERMANENT if status >= 400 else None
