"""Files that failed loads leave in storage: counted by listing it, and removed by ``floe-ingest clean``."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from chaos.world import NAMESPACE

if TYPE_CHECKING:
    from pathlib import Path

    from chaos.world import World

_AGE = timedelta(hours=2)


@dataclass(frozen=True)
class Leftovers:
    """What was left, and what of it the command removed.

    Arguments:
        data, metadata: files that no snapshot references.
        removed: files that the command told of.
        remaining: data files that were still there.
    """

    data: int
    metadata: int
    removed: int
    remaining: int


def clean(world: World, lake: str, config: Path) -> Leftovers:
    """Count what is left over in a lake, and let the command remove it.

    Arguments:
        world, lake: where.
        config: of any load into the lake.
    """
    before = _left(world, lake)
    _grow_old(world, before["data"])
    command = [sys.executable, "-m", "floe_ingest.cli", "clean", config.name, "--older-than", "1", "--json"]
    done = subprocess.run(command, cwd=config.parent, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise RuntimeError(f"floe-ingest clean ended with {done.returncode}: {done.stderr}")
    removed = sum(len(table["files"]) for table in json.loads(done.stdout)["tables"])
    return Leftovers(len(before["data"]), len(before["metadata"]), removed, len(_left(world, lake)["data"]))


def _left(world: World, lake: str) -> dict[str, list[str]]:
    """Return the keys of objects below a lake's tables that no metadata references."""
    import boto3

    catalog = world.catalog(lake)
    store = world.minio
    bucket = boto3.resource(
        "s3",
        endpoint_url=store.endpoint,
        aws_access_key_id=store.access_key,
        aws_secret_access_key=store.secret_key,
        region_name="us-east-1",
    ).Bucket("lake")
    left: dict[str, list[str]] = {"data": [], "metadata": []}
    for identifier in catalog.list_tables(NAMESPACE):
        table = catalog.load_table(identifier)
        referenced = _referenced(table)
        root = urlsplit(table.location()).path.strip("/")
        for kind, keys in left.items():
            found = [item.key for item in bucket.objects.filter(Prefix=f"{root}/{kind}/")]
            # Where Arrow deletes an object, it leaves an empty one that stands for the folder.
            keys.extend(key for key in found if key not in referenced and not key.endswith("/"))
    catalog.close()
    return left


def _referenced(table: Any) -> set[str]:
    locations = [table.metadata_location, *table.inspect.all_files()["file_path"].to_pylist()]
    locations += [entry.metadata_file for entry in table.metadata.metadata_log]
    for snapshot in table.snapshots():
        locations.append(snapshot.manifest_list)
        locations += [manifest.manifest_path for manifest in snapshot.manifests(table.io)]
    return {urlsplit(location).path.strip("/") for location in locations}


def _grow_old(world: World, keys: list[str]) -> None:
    """Write objects again as a replica would, with an older time: the command leaves young files alone."""
    client = world.minio.client()
    time = f"{datetime.now(UTC) - _AGE:%FT%T.000Z}"

    def of_replica(request: Any, **_: Any) -> None:
        request.headers["X-Minio-Source-Mtime"] = time
        request.headers["X-Minio-Source-Replication-Request"] = "true"

    client.meta.events.register("before-sign.s3.PutObject", of_replica)
    for key in keys:
        content = client.get_object(Bucket="lake", Key=key)["Body"].read()
        client.put_object(Bucket="lake", Key=key, Body=content)
