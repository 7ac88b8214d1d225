"""An HTTP server in front of Iceberg's reference REST catalog that authorises as Apache Polaris does.

It checks client credentials and bearer tokens, refuses what no privilege is granted for, answers wrongly as
told, and lends storage credentials: MinIO's, limited to the table's prefix, and refused once they expired.
"""

from __future__ import annotations

import json
import secrets
import threading
import time
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs, urlsplit

import requests
from services.known import known

if TYPE_CHECKING:
    from collections.abc import Iterator

    from services.catalogs import RestCatalogServer
    from services.storage import S3Store

CLIENT = "loader"

# Polaris' operations by method and by what the path names, and the privileges that they need.
NEEDED = {
    ("GET", "namespaces"): ("LIST_NAMESPACES", {"NAMESPACE_LIST"}),
    ("POST", "namespaces"): ("CREATE_NAMESPACE", {"NAMESPACE_CREATE"}),
    ("GET", "namespace"): ("LOAD_NAMESPACE_METADATA", {"NAMESPACE_READ_PROPERTIES"}),
    ("HEAD", "namespace"): ("NAMESPACE_EXISTS", {"NAMESPACE_LIST"}),
    ("GET", "tables"): ("LIST_TABLES", {"TABLE_LIST"}),
    ("POST", "tables"): ("CREATE_TABLE_STAGED_WITH_WRITE_DELEGATION", {"TABLE_CREATE", "TABLE_WRITE_DATA"}),
    ("GET", "table"): ("LOAD_TABLE_WITH_WRITE_DELEGATION", {"TABLE_READ_PROPERTIES", "TABLE_WRITE_DATA"}),
    ("POST", "table"): ("UPDATE_TABLE", {"TABLE_WRITE_PROPERTIES"}),
}
ALL = frozenset().union(*(privileges for _, privileges in NEEDED.values()))


@dataclass
class Gateway:
    """What the gateway does, and what it has seen.

    Arguments:
        catalog, store: in front of which it stands.
        token_seconds, storage_seconds: how long what it hands out is good for.
        expired_status: 401 as Polaris answers, or 419 as the REST specification says.
        grants: privileges of the client.
        faults: for each commit of a data table, in order, a status, and whether the commit is done before.
        storage_endpoint: the store's address for the client.
    """

    catalog: RestCatalogServer
    store: S3Store
    token_seconds: float = 5
    storage_seconds: float = 3600
    expired_status: int = 401
    grants: frozenset[str] = ALL
    faults: list[tuple[int, bool]] = field(default_factory=list)
    storage_endpoint: str = ""
    uri: str = ""
    secret: str = field(
        default_factory=lambda: known("the client secret of the gateway", secrets.token_hex(16))
    )
    tokens: dict[str, float] = field(default_factory=dict)
    lent: list[str] = field(default_factory=list)
    refused: list[str] = field(default_factory=list)

    @property
    def properties(self) -> dict[str, str]:
        """PyIceberg's properties: no storage credentials are in there."""
        return {
            "type": "rest",
            "uri": self.uri,
            "credential": f"{CLIENT}:{self.secret}",
            "scope": "PRINCIPAL_ROLE:ALL",
            "oauth2-server-uri": f"{self.uri}/v1/oauth/tokens",
        }

    def storage(self, location: str) -> dict[str, str]:
        """Lend storage credentials for one table's prefix."""
        parts = urlsplit(location)
        bucket, prefix = parts.netloc, parts.path.strip("/")
        end = time.time() + self.storage_seconds
        # MinIO's own least duration is 15 minutes; the condition ends it earlier.
        in_time = {"DateLessThan": {"aws:CurrentTime": datetime.fromtimestamp(end, UTC).strftime("%FT%TZ")}}
        objects = {
            "Action": ["s3:*"],
            "Resource": [f"arn:aws:s3:::{bucket}/{prefix}/*"],
            "Condition": in_time,
        }
        prefixes = {**in_time, "StringLike": {"s3:prefix": [f"{prefix}/*"]}}
        listing = {"Action": ["s3:ListBucket"], "Resource": [f"arn:aws:s3:::{bucket}"], "Condition": prefixes}
        statements = [{"Effect": "Allow", **statement} for statement in (objects, listing)]
        policy = {"Version": "2012-10-17", "Statement": statements}
        lent = self.store.client("sts").assume_role(
            RoleArn="arn:aws:iam::000000000000:role/lake",
            RoleSessionName=CLIENT,
            DurationSeconds=900,
            Policy=json.dumps(policy),
        )["Credentials"]
        self.lent.extend(known(f"a lent {part}", lent[part]) for part in ("SecretAccessKey", "SessionToken"))
        return {
            "s3.endpoint": self.storage_endpoint or self.store.endpoint,
            "s3.region": self.store.properties["s3.region"],
            "s3.access-key-id": lent["AccessKeyId"],
            "s3.secret-access-key": lent["SecretAccessKey"],
            "s3.session-token": lent["SessionToken"],
            "s3.session-token-expires-at-ms": str(int(end * 1000)),
        }


@contextmanager
def gateway(catalog: RestCatalogServer, store: S3Store, **options: Any) -> Iterator[Gateway]:
    """Run a gateway."""
    running = Gateway(catalog, store, **options)

    class Handler(_Handler):
        gateway = running

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    running.uri = f"http://127.0.0.1:{server.server_address[1]}"
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield running
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    gateway: Gateway

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 (the base class names it so)
        """Keep standard error clean."""

    def _answer(self, status: int, document: Any = None, text: bytes | None = None) -> None:
        body = text if text is not None else json.dumps(document).encode() if document is not None else b""
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def _error(self, status: int, kind: str, message: str) -> None:
        self.gateway.refused.append(f"{status} {self.command} {self.path}")
        self._answer(status, {"error": {"message": message, "type": kind, "code": status}})

    def _handle(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        path = urlsplit(self.path).path
        if path.endswith("/oauth/tokens"):
            self._give_token(body)
        elif self._is_authorised(path):
            self._forward(path, body)

    do_GET = do_POST = do_HEAD = do_DELETE = _handle  # noqa: N815 (the base class looks for these names)

    def _give_token(self, body: bytes) -> None:
        form = {key: values[0] for key, values in parse_qs(body.decode()).items()}
        if form.get("client_id") != CLIENT or form.get("client_secret") != self.gateway.secret:
            refusal = {"error": "unauthorized_client", "error_description": "The client is not authorized"}
            self._answer(401, refusal)
            return
        token = known("a token of the gateway", secrets.token_hex(16))
        self.gateway.tokens[token] = time.time() + self.gateway.token_seconds
        seconds = int(self.gateway.token_seconds)
        self._answer(200, {"access_token": token, "token_type": "bearer", "expires_in": seconds})

    def _is_authorised(self, path: str) -> bool:
        token = (self.headers.get("Authorization") or "").removeprefix("Bearer ")
        end = self.gateway.tokens.get(token)
        if end is None:
            self._error(401, "NotAuthorizedException", "Credentials are required to access this resource.")
            return False
        if end < time.time():
            kind = (
                "AuthenticationTimeoutException"
                if self.gateway.expired_status == 419
                else "NotAuthorizedException"
            )
            self._error(self.gateway.expired_status, kind, "Token has expired")
            return False
        operation, privileges = NEEDED.get((self.command, _named(path)), ("GET_CONFIG", set()))
        if privileges <= self.gateway.grants:
            return True
        message = (
            f"Principal '{CLIENT}' with activated PrincipalRoles '[]' and activated grants via '[lake_role]' "
            f"is not authorized for op {operation}"
        )
        self._error(403, "ForbiddenException", message)
        return False

    def _forward(self, path: str, body: bytes) -> None:
        is_commit = self.command == "POST" and _named(path) == "table" and not path.endswith("/_dlt_meta")
        fault = self.gateway.faults.pop(0) if is_commit and self.gateway.faults else None
        if fault is not None and not fault[1]:
            self._error(fault[0], "FaultException", "As told")
            return
        response = requests.request(
            self.command,
            f"{self.gateway.catalog.uri}{self.path}",
            data=body,
            headers={"Content-Type": "application/json"},
            timeout=60,
        )
        if fault is not None:
            self._error(fault[0], "FaultException", "As told, and the commit is done")
        elif response.ok and (self.command, _named(path)) in {("GET", "table"), ("POST", "tables")}:
            document = response.json()
            document["config"] = self.gateway.storage(document["metadata"]["location"])
            self._answer(response.status_code, document)
        else:
            self._answer(response.status_code, text=response.content)


def _named(path: str) -> str:
    """Return what a path names: namespaces, a namespace, tables, a table, or something else."""
    parts = path.strip("/").split("/")[1:]
    if parts[:1] != ["namespaces"]:
        return ""
    return {1: "namespaces", 2: "namespace", 3: "tables", 4: "table"}.get(len(parts), "")


@contextmanager
def slow_proxy(port: int, seconds: float) -> Iterator[str]:
    """Forward to a port of the loopback, each request held up; yield the address."""
    import socket

    listener = socket.create_server(("127.0.0.1", 0))
    stopped = threading.Event()

    def pump(source: socket.socket, sink: socket.socket, delay: float) -> None:
        try:
            while data := source.recv(65536):
                time.sleep(delay)
                sink.sendall(data)
        except OSError:
            pass
        finally:
            for end in (source, sink):
                try:
                    end.shutdown(socket.SHUT_RDWR)
                except OSError:
                    continue

    def accept() -> None:
        while not stopped.is_set():
            try:
                client, _ = listener.accept()
            except OSError:
                return
            server = socket.create_connection(("127.0.0.1", port))
            for source, sink, delay in ((client, server, seconds), (server, client, 0.0)):
                threading.Thread(target=pump, args=(source, sink, delay), daemon=True).start()

    threading.Thread(target=accept, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"
    finally:
        stopped.set()
        listener.shutdown(socket.SHUT_RDWR)
        listener.close()
