"""Every error of floe-ingest, and the category of each.

::

    IngestionError                      permanent   anything below
    ├── ConfigurationError              configuration
    │   ├── InvalidConfigError          the YAML file or model: carries every problem with path and line
    │   ├── SourceConfigurationError    a source's own configuration cannot work
    │   ├── CatalogConfigurationError   a catalog's properties cannot work
    │   ├── CertificateError            a server's TLS certificate is not trusted
    │   ├── PipelineConfigurationError  a pipeline of an orchestrator cannot work; nothing was loaded
    │   ├── NotSupportedYetError        a documented field whose behaviour is not there yet
    │   └── MissingPackageError         an import is missing; carries the pip line (also an ImportError)
    ├── PluginError                     configuration
    │   ├── PluginLoadError             a plugin could not be loaded, or does not keep the contract
    │   ├── PluginConflictError         two plugins claim one source type
    │   └── PluginHookError             an exception inside a hook: names plugin and hook, chains the cause
    ├── NotStartedError                 configuration   startup() was not called (also a RuntimeError)
    ├── SourceConnectionError           transient unless its cause says otherwise
    │   └── SourceAccessError           permanent   the source refuses the login
    ├── CatalogAccessError              permanent   the catalog refuses the credentials, or a privilege lacks
    ├── CatalogConnectionError          transient unless its cause says otherwise
    ├── SchemaError                     permanent   data and table do not fit; the difference is spelled out
    ├── MergeKeyError                   permanent   rows without a key cannot be merged
    ├── StorageError                    permanent   a disk is full, or a folder cannot be written
    └── CommitConflictError             transient   the table changed under a load more often than allowed

A message says what happened, with the value at hand, and what to do. It never holds a secret.
"""

from __future__ import annotations

import errno
import re
import sqlite3
import ssl
from dataclasses import dataclass
from typing import TYPE_CHECKING, Self
from urllib.parse import urlsplit

from floe_ingest_hookspecs import ErrorCategory

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence


class IngestionError(Exception):
    """Base of every error that floe-ingest raises on purpose.

    Attributes:
        category: what the error calls for; that of its class unless its causes say otherwise.
        source_type, destination_table, pipeline_name: what it is about, where that is known.
    """

    category: ErrorCategory = ErrorCategory.PERMANENT
    source_type: str | None = None
    destination_table: str | None = None
    pipeline_name: str | None = None

    def about(self, *, source_type: str, destination_table: str, pipeline_name: str | None = None) -> Self:
        """Say what this error is about, unless it knows already; return the error itself."""
        self.source_type = self.source_type or source_type
        self.destination_table = self.destination_table or destination_table
        self.pipeline_name = self.pipeline_name or pipeline_name
        return self


class ConfigurationError(IngestionError):
    """What the user wrote cannot work."""

    category = ErrorCategory.CONFIGURATION


@dataclass(frozen=True, slots=True)
class ConfigProblem:
    """One thing that is wrong in a configuration.

    Arguments:
        path: where, as ``sources[1].write_mode``; empty for the document itself.
        message: what is wrong, with the value, what would be valid and the nearest valid word.
        line: the line in the YAML file, counted from 1; None where there is no file.
    """

    path: str
    message: str
    line: int | None = None

    def __str__(self) -> str:
        where = f"line {self.line}: " if self.line is not None else ""
        return f"{where}{self.path}: {self.message}" if self.path else f"{where}{self.message}"


class InvalidConfigError(ConfigurationError):
    """The configuration has problems; all that were found are in ``problems``."""

    def __init__(self, problems: Sequence[ConfigProblem], origin: str = "The configuration") -> None:
        self.problems = tuple(problems)
        self.origin = origin
        count = len(self.problems)
        head = f"{origin} has {count} problem{'s' if count != 1 else ''}:"
        super().__init__("\n".join([head, *(f"  - {problem}" for problem in self.problems)]))


class SourceConfigurationError(ConfigurationError):
    """A source's own configuration cannot work."""


class CatalogConfigurationError(ConfigurationError):
    """A catalog's properties cannot work."""


class CertificateError(ConfigurationError):
    """A server's TLS certificate is not trusted: nothing was sent to it, and nothing is tried again."""

    @classmethod
    def of(cls, error: BaseException, remedy: str = "") -> CertificateError | None:
        """Return what an error and its causes say of a certificate; None where no certificate was refused.

        Arguments:
            error: of requests, botocore, aiohttp or Arrow, which have the failure of OpenSSL inside.
            remedy: where to name a CA; by default the environment variable that the library reads.
        """
        causes = list(_inside(error))
        for cause in causes:
            if isinstance(cause, cls):
                return cause
            refused = _refused_certificate(cause)
            if refused is not None:
                reason, is_unknown_issuer = refused
                advice = ""
                if is_unknown_issuer:
                    where = remedy or f"{_ca_variable(causes)} in the environment"
                    advice = f" If a CA of your own signed it, set {where} to a PEM file with that CA."
                server = next((server for inner in causes if (server := _server(inner))), "a server")
                return cls(f"The certificate of {server} is not trusted: {reason}.{advice}")
        return None


# Arrow's form of what AWS's SDK says of curl's CURLE_PEER_FAILED_VERIFICATION.
_ARROW_PEER_FAILED = re.compile(
    r"AWS Error NETWORK_CONNECTION during \w+ operation: curlCode: 60, [^;]*"
    r"(?:; Details: (?:SSL certificate OpenSSL verify result: )?(?P<reason>.*?)(?: \((?P<code>\d+)\))?)?\s*$"
)
# OpenSSL's X509_V_ERR_*: self-signed, or so at the end of its chain; no issuer found, or none for the first.
_UNKNOWN_ISSUER = frozenset({18, 19, 20, 21})


def _inside(error: BaseException) -> Iterator[BaseException]:
    """Yield an error and all others in it, outermost first: urllib3 keeps some in its arguments alone."""
    waiting, seen = [error], {id(error)}
    for current in waiting:
        yield current
        context = None if current.__suppress_context__ else current.__context__
        further = (current.__cause__, context, getattr(current, "reason", None), *current.args)
        for item in further:
            if isinstance(item, BaseException) and id(item) not in seen:
                seen.add(id(item))
                waiting.append(item)


def _refused_certificate(error: BaseException) -> tuple[str, bool] | None:
    """Return why a certificate was refused, and whether that is for its issuer."""
    # aiohttp's error of this type is a wrapper that lacks what OpenSSL said.
    if isinstance(error, ssl.SSLCertVerificationError) and hasattr(error, "verify_message"):
        return error.verify_message.rstrip("."), error.verify_code in _UNKNOWN_ISSUER
    if isinstance(error, OSError) and (found := _ARROW_PEER_FAILED.search(str(error))):
        reason = found["reason"] or "curl refused it"
        return reason, found["code"] is None or int(found["code"]) in _UNKNOWN_ISSUER
    return None


def _ca_variable(causes: Sequence[BaseException]) -> str:
    """Return the variable by which the library that failed is told a CA; OpenSSL's own for any other."""
    libraries = {type(cause).__module__.partition(".")[0] for cause in causes}
    known = {"botocore": "AWS_CA_BUNDLE", "requests": "REQUESTS_CA_BUNDLE"}
    return next((known[library] for library in known if library in libraries), "SSL_CERT_FILE")


def _server(error: BaseException) -> str:
    """Return the server that an error names: requests in its request, aiohttp by host and port."""
    if url := getattr(getattr(error, "request", None), "url", None):
        parts = urlsplit(str(url))
        return f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}"
    if isinstance(host := getattr(error, "host", None), str):
        return f"{host}:{getattr(error, 'port', 443)}"
    return "the object store" if isinstance(error, OSError) and _ARROW_PEER_FAILED.search(str(error)) else ""


class PipelineConfigurationError(ConfigurationError):
    """A pipeline that an orchestrator asks for cannot work, or has nothing to load from."""


class NotSupportedYetError(ConfigurationError):
    """A documented field whose behaviour is not there yet. It is refused, never ignored."""


class MissingPackageError(ConfigurationError, ImportError):
    """A package is not installed."""

    def __init__(self, what: str, import_name: str, install: str) -> None:
        self.import_name = import_name
        self.install = install
        super().__init__(f"{what} needs the Python package {import_name!r}. Install it: {install}")


class PluginError(IngestionError):
    """A plugin does not keep the contract."""

    category = ErrorCategory.CONFIGURATION


class PluginLoadError(PluginError):
    """A plugin could not be loaded, or declares what the contract does not know."""


class PluginConflictError(PluginError):
    """Two plugins claim one source type."""


class PluginHookError(PluginError):
    """An exception inside a hook. The cause is chained.

    Arguments:
        plugin: its name.
        hook: the hook that failed.
        error: what it raised.
        described: the plugin as messages name it, with its distribution and version.
    """

    def __init__(self, plugin: str, hook: str, error: BaseException, described: str | None = None) -> None:
        self.plugin = plugin
        self.hook = hook
        named = described or repr(plugin)
        super().__init__(f"Plugin {named} failed in {hook}: {type(error).__name__}: {error}")


class NotStartedError(IngestionError, RuntimeError):
    """The plugin of an orchestrator was asked to work before ``startup``, or after ``shutdown``."""

    category = ErrorCategory.CONFIGURATION


class SourceConnectionError(IngestionError):
    """A source cannot be reached or read."""

    category = ErrorCategory.TRANSIENT


class SourceAccessError(SourceConnectionError):
    """A source refuses the login: no later try changes that, until somebody corrects it."""

    category = ErrorCategory.PERMANENT


class CatalogConnectionError(IngestionError):
    """The catalog cannot be reached."""

    category = ErrorCategory.TRANSIENT


class CatalogAccessError(IngestionError):
    """The catalog refuses the credentials, or a privilege is missing; the message says which, on what."""


class SchemaError(IngestionError):
    """The data does not fit the table."""


class MergeKeyError(IngestionError):
    """Rows of a load have no value in a key column, so they cannot be merged."""


class StorageError(IngestionError):
    """A disk is full, or a folder or file cannot be written."""

    @classmethod
    def of(cls, error: BaseException) -> StorageError | None:
        """Return what an error of the operating system or of SQLite says of storage; None for any other.

        The codes are those of errno(3) and of https://www.sqlite.org/rescode.html.
        """
        again = "Then run again: what is committed stays, and the rest is loaded."
        code = getattr(getattr(error, "orig", None), "sqlite_errorcode", None)
        if code is not None:
            if code & 0xFF == sqlite3.SQLITE_FULL:
                return cls(f"No space is left for the catalog's database. Free some. {again}")
            if code & 0xFF in (sqlite3.SQLITE_READONLY, sqlite3.SQLITE_CANTOPEN):
                return cls(f"The catalog's database cannot be written. Permit it. {again}")
            return None
        if not isinstance(error, OSError):
            return None
        where = error.filename2 or error.filename
        at = f" at {where}" if where is not None else ""
        if error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
            return cls(f"No space is left{at} ({error.strerror}). Free some. {again}")
        if error.errno in (errno.EROFS, errno.EACCES, errno.EPERM):
            return cls(f"Nothing can be written{at} ({error.strerror}). Permit it. {again}")
        return None


class CommitConflictError(IngestionError):
    """The table changed under a load more often than allowed."""

    category = ErrorCategory.TRANSIENT


__all__ = [
    "CatalogAccessError",
    "CatalogConfigurationError",
    "CatalogConnectionError",
    "CertificateError",
    "CommitConflictError",
    "ConfigProblem",
    "ConfigurationError",
    "ErrorCategory",
    "IngestionError",
    "InvalidConfigError",
    "MergeKeyError",
    "MissingPackageError",
    "NotStartedError",
    "NotSupportedYetError",
    "PipelineConfigurationError",
    "PluginConflictError",
    "PluginError",
    "PluginHookError",
    "PluginLoadError",
    "SchemaError",
    "SourceAccessError",
    "SourceConfigurationError",
    "SourceConnectionError",
    "StorageError",
]
