"""Where files are: a local folder, or one of the many places that fsspec opens."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote, urlsplit, urlunsplit

from floe_ingest import MissingPackageError, SourceConfigurationError, SourceConnectionError
from floe_ingest.redaction import MASK, redact
from floe_ingest_sources._resources import dlt_name, listed, nearest

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from fsspec import AbstractFileSystem

    from floe_ingest import SourceRequest
    from floe_ingest_sources.filesystem.config import FilesystemConfig

_REMOTE = re.compile(r"(?P<scheme>[A-Za-z][A-Za-z0-9+.-]+)://")
_EXTRAS = {
    "s3": ("s3fs", "s3"),
    "s3a": ("s3fs", "s3"),
    "gs": ("gcsfs", "gcs"),
    "gcs": ("gcsfs", "gcs"),
    **dict.fromkeys(("az", "abfs", "abfss", "adl", "azure"), ("adlfs", "azure")),
    "http": ("aiohttp", ""),
    "https": ("aiohttp", ""),
}
_CREDENTIALS = re.compile(
    r"key|secret|token|anon|profile|credential|connection_string|sas|user|password|account|client_id"
)
_SECRETS = re.compile(r"key|secret|token|credential|connection|sas|pass|auth|header", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Storage:
    """The folder of a source, or the one file that it is.

    Arguments:
        root: its path, as the file system knows it; an absolute one where it is local.
        label: its path or URL for messages and columns: without user, password or query.
        system: fsspec's file system; None where the folder is local.
        secrets: what must not be shown.
    """

    root: str
    label: str
    system: AbstractFileSystem | None = None
    secrets: tuple[str, ...] = ()

    def failure(self, what: str, error: BaseException) -> SourceConnectionError:
        """Return the error about something that the storage refused, its own words without secrets."""
        return SourceConnectionError(f"{what}: {self.told(error)}")

    def told(self, error: BaseException) -> str:
        """Return the words of an exception without secrets."""
        # Some storage answers with pages of XML; the first line says what is wrong.
        text = (str(error) or type(error).__name__).partition("\n")[0]
        for secret in self.secrets:
            text = text.replace(secret, MASK)
        return redact(text)


def storage_of(request: SourceRequest) -> Storage:
    """Return the folder or file of a request; a remote one is not contacted yet.

    Raises:
        SourceConfigurationError: there is no such local folder, a file stands there beside a glob, or fsspec
            does not know the URL's scheme or an option.
        SourceConnectionError: the local folder may not be opened.
        MissingPackageError: the storage needs a package that is not installed.
    """
    config: FilesystemConfig = request.config
    url = config.bucket_url
    remote = _REMOTE.match(url)
    if remote and remote["scheme"].lower() != "file":
        return _remote(request, remote["scheme"].lower())
    if config.storage_arguments():
        raise SourceConfigurationError(
            "storage_options is for remote storage, and bucket_url is a local folder"
        )
    return _local(request, unquote(urlsplit(url).path) if remote else url)


def _local(request: SourceRequest, path: str) -> Storage:
    folder = request.resolve_path(path)
    try:
        if folder.is_dir() or (folder.is_file() and request.config.one_glob):
            return Storage(str(folder), str(folder))
        if folder.exists():
            raise SourceConfigurationError(
                f"bucket_url {path!r} is a file, so there is nothing that a glob could find in it. Leave "
                f"file_glob and tables out, or write the folder as bucket_url"
            )
        raise SourceConfigurationError(f"There is no folder {path!r} ({folder}).{_beside(folder)}")
    except PermissionError as error:
        raise SourceConnectionError(f"The folder {folder} cannot be opened: {error.strerror}") from error


def _beside(folder: Path) -> str:
    parent = folder.parent
    while not parent.is_dir():
        parent = parent.parent
    there = [path.name for path in parent.iterdir() if path.is_dir() and not path.name.startswith(".")]
    return f"{nearest(folder.name, there)} {parent} has the folders: {listed(there)}"


def _remote(request: SourceRequest, scheme: str) -> Storage:
    from fsspec.core import url_to_fs

    config: FilesystemConfig = request.config
    given = config.storage_arguments()
    label = shown(config.bucket_url)
    try:
        arguments = _arguments(request.name, config.bucket_url, scheme, given)
        system, root = url_to_fs(config.bucket_url, **arguments)
    except ImportError as error:
        package, extra = _EXTRAS.get(scheme, (scheme, ""))
        install = f"pip install 'floe-ingest[{extra}]'" if extra else f"pip install {package}"
        raise MissingPackageError(f"Reading {scheme}:// files", package, install) from error
    except (ValueError, TypeError) as error:
        secrets = tuple(_secrets(given, config.bucket_url))
        told = Storage("", label, None, secrets).told(error)
        raise SourceConfigurationError(f"bucket_url {label!r} cannot be opened: {told}") from None
    secrets = tuple(dict.fromkeys([*_secrets(given, config.bucket_url), *_secrets(arguments)]))
    return Storage(root.rstrip("/"), label.rstrip("/"), system, secrets)


def _arguments(name: str, url: str, scheme: str, given: dict[str, Any]) -> dict[str, Any]:
    """Return what fsspec is given: the user's options, and dlt's credentials where they hold none."""
    from dlt.common.configuration import resolve_configuration
    from dlt.common.configuration.exceptions import ConfigurationException
    from dlt.common.storages.configuration import FilesystemConfiguration
    from dlt.common.storages.fsspec_filesystem import prepare_fsspec_args

    arguments: dict[str, Any] = {}
    asked = scheme in FilesystemConfiguration.PROTOCOL_CREDENTIALS
    if asked and not any(_CREDENTIALS.search(key) for key in given):
        try:
            found = resolve_configuration(
                FilesystemConfiguration(bucket_url=url), sections=("sources", "filesystem", dlt_name(name))
            )
            arguments = prepare_fsspec_args(found)
        except ConfigurationException:
            # dlt knows none: fsspec looks where the storage's own tools look, or goes without.
            arguments = {}
    arguments.update(given)
    # A listing that is kept would be one of another time; an instance that is kept, one of another login.
    if scheme not in ("http", "https"):
        arguments.update(use_listings_cache=False)
    arguments.update(skip_instance_cache=True)
    return arguments


def shown(url: str) -> str:
    """Return a URL without what may be secret in it: user, password, query and fragment.

    Example:
        >>> shown("https://me:pw@host/data?sig=abc")
        'https://host/data'
    """
    parts = urlsplit(url)
    # abfss://container@account.host/path names no user before the @
    host = parts.netloc if parts.scheme.startswith(("abfs", "az")) else parts.netloc.rpartition("@")[2]
    return urlunsplit((parts.scheme, host, parts.path, "", ""))


def _secrets(value: Any, url: str = "", *, inside: bool = False) -> Iterator[str]:
    if isinstance(value, dict):
        for key, item in value.items():
            yield from _secrets(item, inside=inside or bool(_SECRETS.search(str(key))))
    elif isinstance(value, (list, tuple)):
        for item in value:
            yield from _secrets(item, inside=inside)
    elif inside and isinstance(value, str) and len(value) > 3:
        yield value
    if url:
        parts = urlsplit(url)
        user = parts.netloc.rpartition("@")[0] if shown(url) != url else ""
        yield from (part for part in (parts.query, user, user.partition(":")[2]) if len(part) > 3)
