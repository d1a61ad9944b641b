"""Log lines: one per event, without secrets."""

import io
import json
import logging
import sys
from collections.abc import Iterator
from pathlib import PurePosixPath
from typing import Any

import pytest
import structlog

from github_banners.serving.logs import Redactor, configure_logs
from github_banners.settings import LogFormat, LogLevel, Secret, Settings

TOKENS = [
    "ghp_abcdefghijklmnopqrstuvwxyz0123456789",
    "gho_abcd",
    "ghu_abcd",
    "ghs_abcd.efgh",
    "ghr_abcd",
    "github_pat_11ABCDEFG0_abcdefgh",
]
PASSWORD = 'pa"ss\\wörd &\n1'
KEY = "s3cret-key"
SECRETS = [Secret(PASSWORD), Secret(KEY), Secret("s3cret-key-longer"), Secret("abc"), Secret("")]
FORMATS = list(LogFormat)
LEVELS = list(LogLevel)


@pytest.fixture(autouse=True)
def restore_logging() -> Iterator[None]:
    """Restore the logging configuration of the process."""
    root = logging.getLogger()
    handlers, level, config = root.handlers[:], root.level, structlog.get_config()
    yield
    root.handlers[:] = handlers
    root.setLevel(level)
    structlog.configure(**config)


class Log:
    """The captured standard error."""

    def __init__(self, capsys: pytest.CaptureFixture[str]) -> None:
        self._capsys = capsys

    def text(self) -> str:
        return self._capsys.readouterr().err

    def lines(self) -> list[str]:
        text = self.text()
        assert text.endswith("\n")
        return text.removesuffix("\n").splitlines()

    def events(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.lines()]


@pytest.fixture
def log(capsys: pytest.CaptureFixture[str]) -> Log:
    return Log(capsys)


def configure(log_format: LogFormat, level: LogLevel = LogLevel.DEBUG) -> Any:
    configure_logs(level=level, log_format=log_format, secrets=SECRETS)
    return structlog.get_logger("test")


def fail(message: str) -> None:
    """Raise an error; the source line in its traceback has no secret."""
    raise ValueError(message)


def assert_no_secret(text: str) -> None:
    for secret in [*TOKENS, PASSWORD, KEY, "abcdefgh", "wörd", "w\\u00f6rd", "w%C3%B6rd"]:
        assert secret not in text
    assert "***" in text


def test_json_line_has_all_fields(log: Log) -> None:
    configure(LogFormat.JSON).info("thing.done", number=1, name="x", nothing=None, parts=("a", "b"))
    (event,) = log.events()
    assert event.pop("timestamp").endswith("Z")
    assert event == {
        "event": "thing.done",
        "level": "info",
        "number": 1,
        "name": "x",
        "nothing": None,
        "parts": ["a", "b"],
    }


def test_text_line_starts_with_time_level_and_event(log: Log) -> None:
    configure(LogFormat.TEXT).info("thing.done", number=1, name="two words")
    (line,) = log.lines()
    first, *rest = line.split(" ", 3)
    assert first.startswith("timestamp=20")
    assert rest == ["level=info", "event=thing.done", 'number=1 name="two words"']


@pytest.mark.parametrize("log_format", FORMATS)
def test_event_with_control_characters_is_one_line(log_format: LogFormat, log: Log) -> None:
    configure(log_format).warning(
        "a\nb", lines="c\r\nd", steering="\x1b[2J\x00", odd="e\u2028f\x85g\x0b"
    )
    logging.getLogger("lib").warning("a\nb\rc\u2029d", stack_info=True)
    try:
        fail("several\nlines")
    except ValueError:
        structlog.get_logger("test").exception("failed")
    lines = log.lines()
    assert len(lines) == 3
    assert all(line.isprintable() for line in lines)


@pytest.mark.parametrize("log_format", FORMATS)
@pytest.mark.parametrize("secret", [*TOKENS, PASSWORD, KEY])
def test_secrets_are_masked_in_messages_and_fields(
    log_format: LogFormat, secret: str, log: Log
) -> None:
    configure(log_format).debug(
        f"asked with {secret}",
        plain=secret,
        inside=f"Bearer {secret}, x{secret}",
        nested={"list": [{"deep": (secret,)}], secret: "key"},
        several={secret},
        binary=secret.encode(),
        error=ValueError(secret),
        chained=ValueError({"password": secret}),
        path=PurePosixPath("/home") / secret.replace("/", ""),
        quoted=json.dumps({"token": secret}),
        repeated=repr([secret]),
    )
    (line,) = log.lines()
    assert_no_secret(line)


@pytest.mark.parametrize("log_format", FORMATS)
@pytest.mark.parametrize("secret", [TOKENS[0], PASSWORD, KEY])
def test_secrets_are_masked_in_tracebacks(log_format: LogFormat, secret: str, log: Log) -> None:
    logger = configure(log_format)
    for report in (logger.exception, logging.getLogger("lib").exception):
        try:
            try:
                fail(f"inner {secret}")
            except ValueError as error:
                raise RuntimeError(f"outer {secret!r}") from error
        except RuntimeError:
            report("failed")
    lines = log.lines()
    assert len(lines) == 2
    for line in lines:
        assert "Traceback" in line
        assert "RuntimeError: outer" in line
        assert_no_secret(line)


@pytest.mark.parametrize("log_format", FORMATS)
@pytest.mark.parametrize("secret", [*TOKENS, PASSWORD, KEY])
def test_secrets_are_masked_in_library_logs(log_format: LogFormat, secret: str, log: Log) -> None:
    configure(log_format)
    library = logging.getLogger("some.library")
    library.warning("… token %s", secret)
    library.debug("address https://x/?token=%s", secret)
    library.error({"token": secret})
    lines = log.lines()
    assert len(lines) == 3
    for line in lines:
        assert_no_secret(line)


@pytest.mark.parametrize("log_format", FORMATS)
def test_tokens_after_letters_and_escapes_are_masked(log_format: LogFormat, log: Log) -> None:
    configure(log_format).info("x", escaped=f"\\n{TOKENS[0]}", encoded=f"token%20{TOKENS[0]}")
    assert_no_secret(log.text())


@pytest.mark.parametrize("log_format", FORMATS)
def test_unformattable_event_is_logged_without_arguments(log_format: LogFormat, log: Log) -> None:
    configure(log_format)
    logging.getLogger("some.library").warning("%s and %s", TOKENS[0])  # noqa: PLE1206
    (line,) = log.lines()
    if log_format is LogFormat.JSON:
        event = json.loads(line)
        assert (event["level"], event["event"]) == ("error", "log.line_lost")
        assert event["logger"] == "some.library"
    else:
        assert line.endswith("level=error event=log.line_lost logger=some.library")
    assert "ghp_" not in line


class Broken(io.StringIO):
    """A stream whose reader is gone."""

    def write(self, _: str) -> int:
        raise BrokenPipeError


def test_missing_standard_error_raises_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    """Python has none in a process that was started with the descriptor closed."""
    monkeypatch.setattr(sys, "stderr", None)
    configure(LogFormat.TEXT).info("nobody.reads_this")


def test_closed_standard_error_raises_nothing(log: Log) -> None:
    logger = configure(LogFormat.JSON)
    handler = logging.getLogger().handlers[0]
    assert isinstance(handler, logging.StreamHandler)
    handler.setStream(Broken())
    logger.info("to nobody")
    handler.setStream(sys.stderr)
    assert log.text() == ""


@pytest.mark.parametrize("level", LEVELS)
def test_event_below_level_is_not_logged(level: LogLevel, log: Log) -> None:
    logger = configure(LogFormat.JSON, level)
    for name in LEVELS:
        number = logging.getLevelNamesMapping()[name.upper()]
        logger.log(number, name)
        logging.getLogger("lib").log(number, name)
    expected = LEVELS[LEVELS.index(level) :]
    logged = [(event["level"], event["event"]) for event in log.events()]
    assert logged == [(name, name) for name in expected for _ in range(2)]


def test_wire_level_info_is_not_logged(log: Log) -> None:
    configure(LogFormat.JSON)
    for name in ("httpcore2.connection", "httpx2", "asyncio"):
        logging.getLogger(name).info("connect_tcp.started")
        logging.getLogger(name).warning("%s matters", name)
    assert [event["event"] for event in log.events()] == [
        "httpcore2.connection matters",
        "httpx2 matters",
        "asyncio matters",
    ]


def test_configure_logs_twice_logs_once(log: Log) -> None:
    configure(LogFormat.JSON)
    configure(LogFormat.JSON).info("once")
    assert len(log.lines()) == 1


def test_logged_settings_are_masked(log: Log) -> None:
    settings = Settings.from_environment({"GITHUB_TOKENS": KEY, "POSTGRES_PASSWORD": "other"})
    configure(LogFormat.JSON).info("start", settings=settings)
    text = log.text()
    assert_no_secret(text)
    assert "other" not in text


def test_redact_short_secrets_are_ignored() -> None:
    redact = Redactor([Secret("abc"), Secret("")])
    assert redact(None, "", {"event": "abcdef", "n": 1.5}) == {"event": "abcdef", "n": 1.5}


def test_redact_longer_secret_is_masked_first() -> None:
    redact = Redactor(SECRETS)
    assert redact(None, "", {"event": "s3cret-key-longer s3cret-key"}) == {"event": "*** ***"}


def test_library_retry_warnings_are_not_logged(log: Log) -> None:
    configure(LogFormat.JSON)
    for name in ("psycopg.pool", "stamina.instrumentation._structlog"):
        logging.getLogger(name).warning("error connecting in 'database'")
        logging.getLogger(name).error("%s is broken", name)
    assert [event["event"].partition(" ")[2] for event in log.events()] == ["is broken"] * 2
