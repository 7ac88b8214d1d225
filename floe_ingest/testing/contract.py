"""What every source has to do right, as a class of tests to inherit."""

from __future__ import annotations

import pickle  # nosec B403 - of what the tests made themselves
import shutil
import signal
from typing import TYPE_CHECKING, Any, ClassVar, NoReturn

import pytest

from floe_ingest.errors import ConfigurationError, IngestionError, SourceConnectionError
from floe_ingest.testing import inspect
from floe_ingest.testing.running import SourceRunner

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from floe_ingest.plugins import Plugins
    from floe_ingest.testing.running import Loaded
    from floe_ingest_hookspecs import ErrorCategory, SourceCheck, SourceRequest, SourceType

Settings = dict[str, Any]
Rows = list[dict[str, Any]]

CHECK_SECONDS = 10.0
"""How long a probe may take."""

_MORE_MEMORY = 1.3
_GROWTH = 5


class SourceContract:
    """The tests of one source type. Inherit, say what to load, and run pytest.

    ``source_type``, ``make_source`` and ``expected`` are needed. Each of the others that a class defines
    brings the tests about it; what a source does not claim is not tested, and does not show as skipped.

    Attributes:
        source_type: the type under test, as users write it.
        options: further fields of the source in the configuration, for all tests: ``primary_key`` for a
            source that is merged, for example.
        cursor_field: the column of an incremental source. Needs ``add_rows``.
        modules: names of modules to register as plugins, for a package that is not installed.
    """

    source_type: ClassVar[str]
    options: ClassVar[Mapping[str, Any]] = {}
    cursor_field: ClassVar[str | None] = None
    modules: ClassVar[Sequence[str]] = ()

    def make_source(self, folder: Path) -> Settings:
        """Make a small source with at least one row, and return its ``source_config``.

        Arguments:
            folder: an empty folder, for files or for the data of a server.
        """
        raise NotImplementedError(f"{type(self).__name__}.make_source returns the source_config of a source")

    def expected(self) -> Mapping[str, Rows]:
        """Return the rows that ``make_source`` made, by table; only the columns in them are compared."""
        raise NotImplementedError(f"{type(self).__name__}.expected returns the rows of each table")

    def add_rows(self, folder: Path) -> Mapping[str, Rows]:
        """Add rows to what ``make_source`` made in this folder, and return them by table."""
        raise NotImplementedError

    def make_empty(self, folder: Path) -> Settings:
        """Make a source without a row, and return its ``source_config``."""
        raise NotImplementedError

    def make_big(self, folder: Path, rows: int) -> Settings:
        """Make a source with so many rows, and return its ``source_config``."""
        raise NotImplementedError

    def make_broken(self, folder: Path) -> Mapping[str, tuple[Settings, ErrorCategory]]:
        """Make sources that fail; return the ``source_config`` and the category of each failure, by name."""
        raise NotImplementedError

    def make_unreachable(self, folder: Path) -> Settings:
        """Return the ``source_config`` of a source that cannot be reached: a port that nobody listens on."""
        raise NotImplementedError

    _brings: ClassVar[Mapping[str, tuple[str, ...]]] = {
        "add_rows": (
            "test_incremental_loads_only_what_is_new",
            "test_a_killed_load_neither_loses_nor_doubles",
        ),
        "make_empty": ("test_an_empty_source_succeeds",),
        "make_big": ("test_memory_is_bounded",),
        "make_broken": ("test_errors_are_categorised",),
        "make_unreachable": ("test_an_unreachable_source_is_told_in_time",),
    }

    def __init_subclass__(cls, **kwargs: Any) -> None:
        """Take out the tests of what this source does not claim: pytest collects what can be called."""
        super().__init_subclass__(**kwargs)
        for method, tests in cls._brings.items():
            claimed = getattr(cls, method) is not getattr(SourceContract, method)
            for test in tests:
                if not claimed:
                    setattr(cls, test, None)
                elif getattr(cls, test) is None:  # taken out of a class between, which did not claim it
                    setattr(cls, test, getattr(SourceContract, test))

    @pytest.fixture
    def source_folder(self, tmp_path: Path) -> Path:
        """The folder that ``make_source`` and its like get."""
        folder = tmp_path / "source"
        folder.mkdir()
        return folder

    @pytest.fixture
    def plugins(self) -> Plugins:
        """All plugins that are installed, and the modules that are named."""
        from importlib import import_module

        from floe_ingest.plugins import load_plugins

        return load_plugins(extra={name: import_module(name) for name in self.modules})

    @pytest.fixture
    def loader(self, run_source: SourceRunner, plugins: Plugins) -> SourceRunner:
        """Loads the source into an embedded catalog."""
        return SourceRunner(run_source.catalog, run_source.folder, plugins, tuple(self.modules))

    @pytest.fixture
    def declared(self, plugins: Plugins) -> SourceType:
        """What the plugin declares."""
        return plugins.source_type(self.source_type).source_type

    def _request(self, loader: SourceRunner, settings: Settings) -> SourceRequest:
        from floe_ingest.config import resolve_source

        config = loader.config(self.source_type, settings, **self.options)
        return resolve_source(config.sources[0], config, loader.plugins)

    def _load(self, loader: SourceRunner, settings: Settings, **options: Any) -> Loaded:
        return loader(self.source_type, settings, **{**self.options, **options})

    def _compare(self, loaded: Loaded, expected: Mapping[str, Rows], when: str) -> None:
        if loaded.result.errors:
            fail(f"The load of make_source's source failed {when}: {loaded.result.errors[0].message}")
        for table, rows in expected.items():
            inspect.same_rows(loaded.rows(table), rows, table, when)

    def test_the_type_is_declared(self, declared: SourceType, plugins: Plugins) -> None:
        """It says what it is, and each package that it needs comes with the line that installs it."""
        for requirement in declared.requires:
            if not requirement.install.strip():
                fail(
                    f"The requirement {requirement.import_name!r} has no pip line. Give it one: "
                    f"users are shown it when the package is missing."
                )
        missing = [need.install for need in plugins.missing_requirements(self.source_type)]
        if missing:
            fail(f"These tests need what the source needs. Run: {'; '.join(missing)}")

    def test_the_configuration_is_documented(self, declared: SourceType) -> None:
        """Every option has a description, and every name like a password is a secret."""
        for option in inspect.undocumented(declared.config_model):
            fail(
                f"{option} has no description. Write Field(description=...): users read it by "
                f"`floe-ingest sources {self.source_type}`, and in their editor."
            )
        for option in inspect.open_secrets(declared.config_model):
            fail(
                f"{option} sounds like a secret and is not typed as one. Make it pydantic.SecretStr, so that "
                f"no message, log or repr shows it."
            )

    def test_an_unknown_key_is_refused(self, loader: SourceRunner, source_folder: Path) -> None:
        """A misspelt key is an error: else it would be ignored without a word."""
        settings = {**self.make_source(source_folder), "no_such_key": 1}
        try:
            loader.config(self.source_type, settings, **self.options)
        except ConfigurationError as error:
            if "no_such_key" not in str(error):
                fail(f"make_source gives settings that are not valid: {error}")
        else:
            fail(
                "The unknown key 'no_such_key' was taken without a word, as a misspelt one would be. Write "
                'class Config(BaseModel, extra="forbid").'
            )

    def test_secrets_do_not_leak(
        self,
        loader: SourceRunner,
        source_folder: Path,
        caplog: pytest.LogCaptureFixture,
        declared: SourceType,
    ) -> None:
        """No value of a SecretStr shows in a repr, a log, a result or a file, after a load and a failure."""
        settings = self.make_source(source_folder)
        request = self._request(loader, settings)
        secrets = inspect.secrets_of(request.config)
        with caplog.at_level("DEBUG"):
            written = [str(request), str(self._load(loader, settings).result)]
            planted = inspect.with_planted_secrets(settings, declared.config_model)
            if planted:
                written.append(self._told(loader, planted))
        written.append(caplog.text)
        for secret in {*secrets, *([inspect.PLANTED] if planted else [])}:
            if any(secret in text for text in written):
                fail("A secret shows in a repr, a log or an error. Keep it in SecretStr until it is used.")
            for file in inspect.files_with(secret, (loader.folder, loader.catalog.folder)):
                fail(
                    f"A secret is in {file.name}, which a load left. Do not put it into rows, state or names."
                )

    def _told(self, loader: SourceRunner, settings: Settings) -> str:
        """Return what a load says, whether it fails before or while it runs, or not at all."""
        try:
            return str(self._load(loader, settings).result)
        except IngestionError as error:
            return f"{error} {error!r} {error.__cause__!r}"

    def test_building_opens_no_connection(self, loader: SourceRunner, source_folder: Path) -> None:
        """Building is done to look at a source too, and for each retry: reading begins in the resource."""
        request = self._request(loader, self.make_source(source_folder))
        with inspect.connections() as opened:
            loader.plugins.build_source(request)
        if opened:
            fail(
                f"floe_ingest_build_source opened a connection ({opened[0]}). Open it inside the resource's "
                f"generator, which runs when rows are wanted."
            )

    def test_the_check_is_quick_and_finds_something(self, loader: SourceRunner, source_folder: Path) -> None:
        """A probe ends in time and names what it found."""
        request = self._request(loader, self.make_source(source_folder))
        try:
            found = self._probe(loader, request)
        except IngestionError as error:
            fail(f"floe_ingest_check_source fails on the source of make_source: {error}")
        if found is None:
            return
        if found.missing:
            fail(f"The check says that {found.missing[0].name!r} is missing from the source of make_source.")
        if not found.resources:
            fail("floe_ingest_check_source found no resource. Return a FoundResource for each one.")

    def test_an_unreachable_source_is_told_in_time(self, loader: SourceRunner, source_folder: Path) -> None:
        """A source that is not there is a SourceConnectionError, soon."""
        request = self._request(loader, self.make_unreachable(source_folder))
        try:
            self._probe(loader, request)
        except (SourceConnectionError, ConfigurationError):
            return
        except IngestionError as error:
            fail(
                f"The probe of an unreachable source crashes: {error}. Raise SourceConnectionError, and say "
                f"what cannot be reached and what to do."
            )
        fail(
            "The probe of an unreachable source finds nothing wrong. Reach for the source in "
            "floe_ingest_check_source, and raise SourceConnectionError where that fails."
        )

    def _probe(self, loader: SourceRunner, request: SourceRequest) -> SourceCheck | None:
        from floe_ingest.engine.bounded import OutOfTimeError, within

        try:
            return within(CHECK_SECONDS, lambda: loader.plugins.check_source(request))
        except OutOfTimeError:
            fail(
                f"floe_ingest_check_source has not ended within {CHECK_SECONDS:g} s. Bound each request by a "
                f"timeout."
            )

    def test_what_is_loaded_is_what_is_there(self, loader: SourceRunner, source_folder: Path) -> None:
        """Rows and types survive the round trip into Iceberg and back."""
        loaded = self._load(loader, self.make_source(source_folder))
        self._compare(loaded, self.expected(), "in the first load")

    def test_loading_twice_gives_the_same(self, loader: SourceRunner, source_folder: Path) -> None:
        """A source that is read again gives the same rows, and a run that is repeated adds none."""
        settings = self.make_source(source_folder)
        for when in ("in the first of two loads", "in the second of two loads"):
            loaded = self._load(loader, settings, write_mode="replace")
            self._compare(loaded, self.expected(), when)
        for when in ("after an append of run r-1", "after the same run r-1 again"):
            appended = self._load(loader, settings, write_mode="append", run_id="r-1")
            doubled = {table: [*rows, *rows] for table, rows in self.expected().items()}
            self._compare(appended, doubled, when)

    def test_the_source_can_be_built_again(self, loader: SourceRunner, source_folder: Path) -> None:
        """A retry starts from a fresh source, and an orchestrator hands the request to another process."""
        request = self._request(loader, self.make_source(source_folder))
        try:
            again = pickle.loads(pickle.dumps(request))  # noqa: S301  # nosec B301 - made right here
        except Exception as error:  # noqa: BLE001 - whatever keeps it from pickling is the author's to know
            fail(f"The configuration does not pickle: {error}. Hold plain values in the model alone.")
        counts = [inspect.count_items(loader.plugins.build_source(each)) for each in (request, again)]
        if counts[0] != counts[1] or not counts[0]:
            fail(
                f"Building the source twice gave {counts[0]} and then {counts[1]} items. Make a new "
                f"generator in each call of floe_ingest_build_source."
            )

    def test_an_empty_source_succeeds(self, loader: SourceRunner, source_folder: Path) -> None:
        """Nothing to load is a success with no rows."""
        loaded = self._load(loader, self.make_empty(source_folder))
        if loaded.result.errors:
            fail(
                f"An empty source failed: {loaded.result.errors[0].message} Yield nothing instead of raising."
            )
        if loaded.result.rows_loaded:
            fail(f"An empty source loaded {loaded.result.rows_loaded} rows.")

    def test_incremental_loads_only_what_is_new(self, loader: SourceRunner, source_folder: Path) -> None:
        """The second load brings what was added since the first, also without the working folder."""
        settings = self.make_source(source_folder)
        options = {"write_mode": "append", **self._cursor()}
        self._compare(self._load(loader, settings, **options), self.expected(), "in the first load")
        added = self.add_rows(source_folder)
        shutil.rmtree(loader.folder / ".floe-ingest", ignore_errors=True)
        loaded = self._load(loader, settings, **options)
        new = sum(len(rows) for rows in added.values())
        if loaded.result.success and loaded.result.rows_loaded != new:
            fail(
                f"The second load brought {loaded.result.rows_loaded} rows where {new} were new. Name the "
                f"cursor_field of this class, or use dlt.sources.incremental in the resource."
            )
        everything = {table: [*rows, *added.get(table, [])] for table, rows in self.expected().items()}
        self._compare(loaded, everything, "in an incremental load")

    def test_a_killed_load_neither_loses_nor_doubles(self, loader: SourceRunner, source_folder: Path) -> None:
        """A process that dies between its commit and its end is run again: the table equals the source."""
        settings = self.make_source(source_folder)
        options = {**self.options, "write_mode": "append", **self._cursor()}
        killed = loader.in_process(self.source_type, settings, kill=True, **options)
        if killed.code != -signal.SIGKILL:
            fail(f"The load ended by {killed.code} before it could be killed: {killed.stderr[-2000:]}")
        self._compare(self._load(loader, settings, **options), self.expected(), "after a killed load")
        added = self.add_rows(source_folder)
        everything = {table: [*rows, *added.get(table, [])] for table, rows in self.expected().items()}
        self._compare(self._load(loader, settings, **options), everything, "in the load after that")

    def _cursor(self) -> dict[str, Any]:
        return {"cursor_field": self.cursor_field} if self.cursor_field else {}

    big_rows: ClassVar[int] = 100_000

    def test_memory_is_bounded(self, loader: SourceRunner, source_folder: Path) -> None:
        """Five times as many rows take hardly more memory."""
        peaks = []
        for rows in (self.big_rows, self.big_rows * _GROWTH):
            folder = source_folder / str(rows)
            folder.mkdir()
            settings = self.make_big(folder, rows)
            measured = loader.in_process(
                self.source_type, settings, **{**self.options, "write_mode": "replace"}
            )
            if measured.code:
                fail(f"The load of {rows:,} rows failed: {measured.stderr[-2000:]}")
            if measured.rows < rows:
                fail(f"make_big made {measured.rows:,} rows where {rows:,} were asked for.")
            peaks.append(measured.peak_bytes)
        if peaks[1] > peaks[0] * _MORE_MEMORY:
            fail(
                f"{self.big_rows:,} rows took {peaks[0] / 1e6:,.0f} MB and {_GROWTH} times as many "
                f"{peaks[1] / 1e6:,.0f} MB. Yield Arrow batches or pages as they come; collect nothing."
            )

    def test_errors_are_categorised(self, loader: SourceRunner, source_folder: Path) -> None:
        """Each failure says whether trying again can help, and nothing of the load is visible."""
        for name, (settings, category) in self.make_broken(source_folder).items():
            found = self._failure(loader, settings, name)
            if found != category:
                fail(
                    f"{name}: the failure is {found}, not {category}. Raise a subclass of IngestionError "
                    f"with that category, or implement floe_ingest_categorize_error."
                )

    def _failure(self, loader: SourceRunner, settings: Settings, name: str) -> ErrorCategory:
        try:
            loaded = self._load(loader, settings)
        except IngestionError as error:
            return error.category
        if loaded.result.success or not loaded.result.errors:
            fail(f"{name}: the load succeeded. A failure that is swallowed loses rows; raise it.")
        return loaded.result.errors[0].category


def fail(message: str) -> NoReturn:
    """Fail a test by what its author has to do, without a traceback into the kit."""
    pytest.fail(message, pytrace=False)
