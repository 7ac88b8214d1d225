"""No secret comes through ``redact``, whatever it is made of and wherever it stands."""

from __future__ import annotations

import json
import logging
import string
import traceback
from urllib.parse import quote, quote_plus

import pytest
from hypothesis import assume, example, given
from hypothesis import strategies as st

from floe_ingest.redaction import (
    MASK,
    RedactedError,
    guard_logger,
    keeping_secret,
    redact,
    redact_chain,
    redacted_traceback,
)

_ONE_LINE = st.characters(exclude_categories=["Cs", "Cc", "Zl", "Zp"])
_TOKEN = st.text(string.ascii_letters + string.digits + "+/=._~-", min_size=8, max_size=60)


def marked(characters: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    """Secrets with a core that no text around them can hold by chance."""
    text = st.text(characters, max_size=20)
    return st.tuples(text, text).map(lambda ends: f"{ends[0]}QzX7kJw9{ends[1]}")


@given(password=marked(_ONE_LINE))
@example(password="p@QzX7kJw9/w:o?r#d&=")
@example(password="1234/QzX7kJw9")
@example(password="0`QzX7kJw9")
@example(password="0 QzX7kJw9")
@example(password="QzX7kJw9 with spaces @ and")
@example(password="'QzX7kJw9\"")
@pytest.mark.requirement("FR-049")
def test_passwords_in_urls(password: str) -> None:
    assume("://" not in password)
    text = f"could not connect to postgresql+psycopg://ada:{password}@db.internal:5432/shop for 5 s"
    told = redact(text)
    assert "QzX7kJw9" not in told
    assert told.startswith("could not connect to postgresql+psycopg://ada:***@")
    assert told.endswith("db.internal:5432/shop for 5 s")


def test_urls_without_a_password_stay() -> None:
    for text in (
        "http://localhost:8181/api/catalog is not there; write to ops@example.com",
        "sqlite:////tmp/lake/catalog.db",
        "s3://bucket/a:b/c",
        "GET http://127.0.0.1:80 failed",
        "file:///data/x@2.csv",
    ):
        assert redact(text) == text


def test_two_urls_of_one_line() -> None:
    told = redact("from mysql://a:one@h1/x to postgresql://b:two@h2/y")
    assert told == "from mysql://a:***@h1/x to postgresql://b:***@h2/y"


@given(value=_TOKEN, scheme=st.sampled_from(["Bearer", "bearer", "Basic", "BASIC"]))
@pytest.mark.requirement("FR-049")
def test_bearer_and_basic_values(value: str, scheme: str) -> None:
    assert value not in redact(f"server answered 401 to {scheme} {value}")


@given(
    value=marked(st.sampled_from(string.ascii_letters + string.digits + "+/=._~-!$%^*()")),
    scheme=st.sampled_from(["", "Bearer ", "Basic ", "token ", "Digest ", "AWS4-HMAC-SHA256 "]),
    form=st.sampled_from(
        [
            "Authorization: {}",
            "authorization={}",
            "{{'Authorization': '{}', 'Accept': '*/*'}}",
            '{{"Proxy-Authorization": "{}"}}',
        ]
    ),
)
@pytest.mark.requirement("FR-049")
def test_authorization_headers(value: str, scheme: str, form: str) -> None:
    assert "QzX7kJw9" not in redact(form.format(scheme + value))


@given(
    value=marked(st.characters(exclude_categories=["Cs"])),
    key=st.sampled_from(
        ["password", "client_secret", "s3.secret-access-key", "apiKey", "access_token", "PGPASSWORD", "pwd"]
    ),
)
@example(value='"QzX7kJw9\\', key="password")
@pytest.mark.requirement("FR-049")
def test_json_values(value: str, key: str) -> None:
    document = json.dumps({"user": "ada", key: value, "port": 5432})
    told = redact(document)
    assert "QzX7kJw9" not in told
    assert '"user": "ada"' in told
    assert "5432" in told
    assert "QzX7kJw9" not in redact(repr({key: value}))


@given(
    value=marked(_ONE_LINE),
    key=st.sampled_from(["token", "sig", "api_key", "X-Amz-Signature", "password", "X-Amz-Security-Token"]),
)
@pytest.mark.requirement("FR-049")
def test_query_strings(value: str, key: str) -> None:
    told = redact(f"GET https://blobs.example/c/b?sv=2024&{key}={quote_plus(value)}&page=7 failed")
    assert quote_plus(value) not in told
    assert "QzX7kJw9" not in told
    assert "sv=2024" in told
    assert "page=7 failed" in told


@given(value=st.text(string.ascii_uppercase + string.digits, min_size=16, max_size=16))
@pytest.mark.requirement("FR-049")
def test_aws_access_keys(value: str) -> None:
    for prefix in ("AKIA", "ASIA"):
        assert redact(f"key {prefix}{value} is unknown") == "key *** is unknown"


def test_words_that_only_look_alike() -> None:
    text = "3 rows assigned; design: blue; the signature of load() changed; tokens are words"
    assert redact(text) == text


@given(value=st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=30), data=st.data())
@pytest.mark.requirement("FR-049")
def test_known_secrets_in_every_form(value: str, data: st.DataObject) -> None:
    """What a configuration holds as a secret is masked, also quoted, escaped or percent-encoded."""
    assume(value.strip())
    assume(not set(value.strip()) <= set(MASK))
    form = data.draw(
        st.sampled_from([str, repr, ascii, json.dumps, quote, quote_plus, lambda text: quote(text, safe="")])
    )
    with keeping_secret([value]):
        told = redact(f"<<< {form(value)} >>>")
    assert MASK in told
    assert form(value).strip("'\"") not in told.replace(MASK, "\0")


def test_known_secrets_are_forgotten_when_nobody_keeps_them() -> None:
    with keeping_secret(["swordfish"]):
        with keeping_secret(["swordfish"]):
            assert redact("swordfish") == MASK
        assert redact("swordfish") == MASK
    assert redact("swordfish") == "swordfish"


def test_a_short_secret_is_masked_only_where_it_stands_alone() -> None:
    with keeping_secret(["a"]):
        assert redact("a table: a") == "*** table: ***"


class OwnTextError(Exception):
    """Makes its text of an attribute, as several drivers do."""

    def __init__(self, dsn: str) -> None:
        super().__init__()
        self.dsn = dsn

    def __str__(self) -> str:
        return f"cannot reach {self.dsn}"


@pytest.mark.requirement("FR-049")
def test_exception_chains() -> None:
    """Arguments are changed in place; what cannot be changed is replaced, and the chain stays whole."""
    secret = "postgresql://ada:hunter2-long@db/shop"

    def fail() -> None:
        try:
            try:
                raise OwnTextError(secret)
            except OwnTextError as inner:
                raise ConnectionError(f"refused: {secret}") from inner
        except ConnectionError as middle:
            error = ValueError(f"source failed: {secret}")
            error.add_note(f"note of {secret}")
            raise error from middle

    with pytest.raises(ValueError, match="source failed") as raised:
        fail()
    redact_chain(raised.value)
    told = "".join(traceback.format_exception(raised.value))
    # The source lines of a traceback are the program's own text; the secret is in none of them.
    assert "hunter2-long" not in told.replace('secret = "postgresql://ada:hunter2-long@db/shop"', "")
    assert isinstance(raised.value.__cause__, ConnectionError)
    assert isinstance(raised.value.__cause__.__cause__, RedactedError)
    assert "OwnTextError: cannot reach postgresql://ada:***@db/shop" in told


def test_a_traceback_as_text() -> None:
    try:
        raise OwnTextError("mysql://root:toor-toor@db")
    except OwnTextError as error:
        told = redacted_traceback(error)
    assert "toor-toor" not in told.replace('raise OwnTextError("mysql://root:toor-toor@db")', "")
    assert "Traceback" in told


def test_a_chain_that_leads_back_to_itself_ends() -> None:
    first, second = ValueError("a"), ValueError("password=abc")
    first.__cause__, second.__cause__ = second, first
    redact_chain(first)
    assert second.args == ("password=***",)


def test_a_guarded_logger_says_no_secret(caplog: pytest.LogCaptureFixture) -> None:
    logger = logging.getLogger("floe_ingest.tests.guarded")
    guard_logger(logger.name)
    guard_logger(logger.name)
    with keeping_secret(["correct horse"]), caplog.at_level("INFO"):
        logger.info("asking %s as %s", "http://127.0.0.1:80/orders?page=2&k=q-93ab77", "correct horse")
    assert caplog.messages == ["asking http://127.0.0.1:80/orders?*** as ***"]


def test_the_query_of_a_logged_request_is_masked() -> None:
    line = 'http://127.0.0.1:8080 "GET /orders?page=2&k=q-93ab77 HTTP/1.1" 200 17'
    assert redact(line) == 'http://127.0.0.1:8080 "GET /orders?*** HTTP/1.1" 200 17'
    assert redact("GET /orders HTTP/1.1") == "GET /orders HTTP/1.1"
