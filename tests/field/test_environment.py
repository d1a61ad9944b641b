"""
The machine as people have it: one case for each row of the field, readable as a list.

E and N are environments, F attacks, P what was thought of beside them; each is an example of its kind.
"""

import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from ipaddress import ip_address
from pathlib import Path
from typing import Any

import httpx2
import pytest
import yaml

from github_banners.cli import base
from github_banners.cli.services import metrics_ports
from github_banners.database import embedded_binaries, embedded_process
from github_banners.diagnostics import DiagnosticsReport, check_folder, check_ports
from github_banners.errors import ConfigurationError, InvalidSettings
from github_banners.serving.server import open_listener
from github_banners.serving.terminal import escape_controls
from github_banners.settings import ListenHost, ServiceName, Settings, find_warnings
from github_banners.settings.addresses import find_listen_address, to_netloc
from tests.acceptance.gateway import DEPLOY, Gateway
from tests.acceptance.processes import environment, free_port, reachable_dir, run
from tests.unit.test_diagnostics import NOW, PASSED, token_result

CHECKOUT = Path(__file__).parents[2]
TOKEN, BOM = "ghp_abcdef", "\ufeff"


def listed(*cases: tuple[Any, ...]) -> list[Any]:
    """The first value of each case is its name."""
    return [pytest.param(*values, id=row) for row, *values in cases]


@pytest.mark.parametrize(
    ("name", "text", "value"),
    listed(
        ("E10 quotes around a number", "PORT", '"9000"', 9000),
        ("E10 quotes around a level", "LOG_LEVEL", "'WARN'", "warning"),
        ("E10 quotes around a token", "GITHUB_TOKENS", f"'{TOKEN}'", [TOKEN]),
        ("E10 quotes around each token", "GITHUB_TOKENS", f'"{TOKEN}", "two"', [TOKEN, "two"]),
        ("E10 quotes of a word processor", "GITHUB_TOKENS", f"“{TOKEN}”", [TOKEN]),
        ("E10 quotes around a database", "POSTGRES_DB", '"banners"', "banners"),
        ("E10 quotes around a folder", "DATA_DIR", '"/srv/b"', Path("/srv/b")),
        ("E10 quotes around a duration", "CACHE_TTL", "'5m'", Settings().cache_ttl),
        ("E10 quotes in a password are kept", "POSTGRES_PASSWORD", '"pa"', '"pa"'),
        ("E10 one quote is no pair", "POSTGRES_USER", "o'neil", "o'neil"),
        ("E11 CR at the end", "PORT", "9000\r", 9000),
        ("E11 CR after a token", "GITHUB_TOKENS", f"{TOKEN}\r\ntwo\r\n", [TOKEN, "two"]),
        ("E $ in a password", "POSTGRES_PASSWORD", "pa$$w$1ord", "pa$$w$1ord"),
        ("E IPv6 with brackets", "HOST", "[::1]", "::1"),
        ("E IPv6 written out", "HOST", "0:0:0:0:0:0:0:1", "::1"),
        ("E IPv6 database with brackets", "DB_HOST", "[::1]", "::1"),
        ("P the folder of a database's socket", "DB_HOST", "/run/postgresql", "/run/postgresql"),
        ("P several hosts of a database", "DB_HOST", "db.x,/run/pg", "db.x,/run/pg"),
        ("N12 semicolons", "GITHUB_TOKENS", f"{TOKEN};two", [TOKEN, "two"]),
        ("N12 the singular", "GITHUB_TOKEN", TOKEN, [TOKEN]),
        ("N13 byte order mark", "GITHUB_TOKENS", f"{BOM}{TOKEN}", [TOKEN]),
        ("P zero-width space", "PORT", "9000\u200b", 9000),
        ("P no-break space", "PORT", "\u00a09000", 9000),
    ),
)
def test_settings_common_spelling_is_parsed(name: str, text: str, value: Any) -> None:
    settings = Settings.from_environment({name: text})
    read = getattr(settings, {"GITHUB_TOKEN": "github_tokens"}.get(name, name.lower()))
    if isinstance(read, tuple):
        read = [token.reveal() for token in read]
    assert (read.reveal() if hasattr(read, "reveal") else read) == value


@pytest.mark.parametrize(
    ("content", "value"),
    listed(
        ("N13 byte order mark", b"\xef\xbb\xbfsecret-in-a-file", "secret-in-a-file"),
        ("N13 CR LF", b"secret-in-a-file\r\n", "secret-in-a-file"),
        ("P UTF-16 of PowerShell", "\ufeffsecret\r\n".encode("utf-16-le"), "secret"),
        ("P UTF-16, big end first", "\ufeffsecret".encode("utf-16-be"), "secret"),
        ("P letters beyond ASCII", "pässwörd".encode(), "pässwörd"),
    ),
)
def test_settings_password_file_is_read(content: bytes, value: str, tmp_path: Path) -> None:
    file = tmp_path / "password"
    file.write_bytes(content)
    settings = Settings.from_environment({"POSTGRES_PASSWORD_FILE": f'"{file}"\r'})
    assert settings.postgres_password is not None
    assert settings.postgres_password.reveal() == value


@pytest.mark.parametrize(
    ("name", "text", "words"),
    listed(
        (
            "E12 a Service of Kubernetes",
            "METRICS_PORT",
            "tcp://10.96.0.12:9100",
            "enableServiceLinks: false",
        ),
        ("E12 another one", "PORT", "udp://[fd00::1]:53", "enableServiceLinks: false"),
        ("N2 one port for both", "METRICS_PORT", "8080", "must not be the same as PORT, 8080"),
        ("N12 name and token", "GITHUB_TOKENS", "token=abc", "no token can have"),
        ("N12 angle brackets", "GITHUB_TOKENS", "<abc>", "no token can have"),
        ("P a list of JSON", "GITHUB_TOKENS", '["a"]', "no token can have"),
        ("P a variable that nobody filled in", "GITHUB_TOKENS", "${TOKEN}", "no token can have"),
        ("P the singular is named", "GITHUB_TOKEN", "a b", "GITHUB_TOKEN contains a character"),
        ("P a port in HOST", "HOST", "0.0.0.0:80", "set the port in PORT"),
        ("P a URL in HOST", "HOST", "http://localhost", "must be an address to listen on"),
        ("P a URL in DB_HOST", "DB_HOST", "postgres://me:pw@db/x", "must be a host such as"),
        ("P an address of a provider", "DB_HOST", "db.x/neondb?sslmode=require", "POSTGRES_DB"),
        ("P a port and a database", "DB_HOST", "127.0.0.1:5432/mydb", "must be a host such as"),
        ("P an option in DB_HOST", "DB_HOST", "db.x?sslmode=require", "must be a host such as"),
        ("P an option after a socket", "DB_HOST", "/run/pg?dbname=x", "must be a host such as"),
        ("P a path of the second host", "DB_HOST", "db.x,db.y/z", "must be a host such as"),
        ("P a port in DB_HOST", "DB_HOST", "db:5433", "set PGPORT"),
        ("P IPv6 and a port in DB_HOST", "DB_HOST", "[::1]:5433", "set PGPORT"),
        ("P two lines of password", "POSTGRES_PASSWORD", "one\ntwo", "must be one line"),
        ("P a password in Latin-1", "POSTGRES_PASSWORD", "p\udce4sswort", "must be text in UTF-8"),
        ("P a database in Latin-1", "POSTGRES_DB", "b\udce4nner", "must be text in UTF-8"),
        ("P a terminal's colour", "POSTGRES_USER", "\x1b[31mme", "must be one line"),
        ("P a fragment in a folder", "BANNERS_STORAGE_URL", "file:///a#b", "must be a URL"),
    ),
)
def test_settings_invalid_value_gives_one_sentence(name: str, text: str, words: str) -> None:
    with pytest.raises(InvalidSettings) as error_info:
        Settings.from_environment({name: text})
    (problem,) = error_info.value.problems
    assert words in problem
    assert escape_controls(problem) == problem


@pytest.mark.parametrize("name", ["PORT", "RATE_LIMIT_RPS", "CACHE_TTL", "LOG_LEVEL", "PUBLIC_URL"])
def test_settings_token_in_wrong_variable_is_not_shown(name: str) -> None:
    with pytest.raises(InvalidSettings) as error_info:
        Settings.from_environment({name: TOKEN})
    assert TOKEN not in str(error_info.value)


@pytest.mark.parametrize(
    ("secret", "is_refused", "is_warned"),
    listed(
        ("F16 one letter", "a", True, False),
        ("F16 changeme", "changeme", True, False),
        ("F16 secret", "secret", True, False),
        ("F16 password", "password", True, False),
        ("F16 a sample", "your_secret_key", True, False),
        ("F16 another spelling", "Change-Me!", True, False),
        ("P a sample of others", "my-super-secret-key-2024", True, False),
        ("P words twice over", "changemechangeme", True, False),
        ("P one letter 40 times", 40 * "x", True, False),
        ("P a sequence", "1234567890", True, False),
        ("P seven characters", "k9Zj3Lq", True, False),
        ("P eight characters", "k9Zj3Lq0", False, True),
        ("P fifteen characters", "k9Zj3Lq0Vb7Hs2D", False, True),
        ("P as openssl makes it", "6f1ed002ab5595859014ebf0951522d9", False, False),
    ),
)
@pytest.mark.parametrize("name", ["SERVICES_SECRET_KEY", "SERVICES_SECRET_KEY_PREVIOUS"])
def test_settings_secret_strength_is_checked(
    name: str, secret: str, is_refused: bool, is_warned: bool
) -> None:
    known = {"SERVICES_SECRET_KEY": 2 * "6f1ed002ab559585" + "x", name: secret}
    reachable, local = {**known, "HOST": "::"}, {**known, "HOST": "127.0.0.1"}
    Settings.from_environment(local, service=ServiceName.STORAGE)
    if is_refused:
        with pytest.raises(InvalidSettings, match=f"^{name} .*openssl rand -hex 32"):
            Settings.from_environment(reachable, service=ServiceName.STORAGE)
        return
    settings = Settings.from_environment(reachable, service=ServiceName.STORAGE)
    warnings = find_warnings(reachable, settings, service=ServiceName.STORAGE)
    assert [warning.split()[0] for warning in warnings] == ([name] if is_warned else [])


@pytest.mark.parametrize(
    ("environment", "words"),
    listed(
        ("N12 both names", {"GITHUB_TOKEN": "a", "GITHUB_TOKENS": "b"}, "GITHUB_TOKEN is ignored"),
        ("E10 quotes in a password", {"POSTGRES_PASSWORD": "'x'"}, "are part of the password"),
    ),
)
def test_find_warnings_probable_mistake_is_reported(
    environment: dict[str, str], words: str
) -> None:
    settings = Settings.from_environment(environment)
    (warning,) = find_warnings(environment, settings, service=ServiceName.ALL_IN_ONE)
    assert words in warning


@pytest.mark.parametrize(
    ("variables", "names"),
    listed(
        (
            "P a URL of a provider",
            {"DATABASE_URL": "postgres://me:hidden@db/x"},
            {"DATABASE_URL": "DB_HOST, PGPORT, POSTGRES_USER, POSTGRES_PASSWORD, POSTGRES_DB"},
        ),
        (
            "P variables of libpq",
            {"PGHOST": "db", "PGUSER": "me", "PGPASSWORD": "hidden", "PGDATABASE": "x"},
            {
                "PGHOST": "DB_HOST",
                "PGUSER": "POSTGRES_USER",
                "PGPASSWORD": "POSTGRES_PASSWORD",
                "PGDATABASE": "POSTGRES_DB",
            },
        ),
        (
            "P variables of other programs",
            {"POSTGRES_HOST": "db", "DB_PORT": "1", "DB_NAME": "x"},
            {"POSTGRES_HOST": "DB_HOST", "DB_PORT": "PGPORT", "DB_NAME": "POSTGRES_DB"},
        ),
        (
            "P only the user is missing",
            {"DB_HOST": "db", "DB_USER": "m"},
            {"DB_USER": "POSTGRES_USER"},
        ),
        ("P all are set", {"DB_HOST": "a", "PGHOST": "b", "DATABASE_URL": "c"}, {}),
        (
            "P a password in a file",
            {"DB_HOST": "a", "PGPASSWORD": "b", "POSTGRES_PASSWORD_FILE": "c"},
            {},
        ),
        ("P a shell for other databases", {"PGUSER": "me", "PGDATABASE": "x", "DB_USER": "y"}, {}),
        ("P a Service of Kubernetes", {"DB_HOST": "a", "POSTGRES_PORT": "tcp://10.0.0.1:5432"}, {}),
        ("P an empty variable", {"DATABASE_URL": " "}, {}),
    ),
)
@pytest.mark.parametrize("service", [ServiceName.ALL_IN_ONE, ServiceName.API, ServiceName.MIGRATE])
def test_find_warnings_database_variables_of_other_programs_are_named(
    variables: dict[str, str], names: dict[str, str], service: ServiceName
) -> None:
    warnings = find_warnings(variables, Settings(), service=service)
    assert warnings == [f"{name} is not read: set {read} instead" for name, read in names.items()]


def test_find_warnings_services_without_database_read_no_database_variables() -> None:
    variables = {"DATABASE_URL": "postgres://db/x"}
    for service in (ServiceName.RENDERER, ServiceName.STORAGE):
        assert find_warnings(variables, Settings(), service=service) == []


@pytest.mark.parametrize("implementation", ["c", "nonsense"])
def test_migrate_ignores_implementation_of_psycopg_that_is_not_installed(
    implementation: str,
) -> None:
    ended = run("migrate", env=environment(DB_HOST="/nowhere", PSYCOPG_IMPL=implementation))
    assert ended.returncode == 2
    assert ended.stderr.startswith("PostgreSQL at /nowhere")


@pytest.mark.parametrize(
    ("host", "resolved", "address"),
    listed(
        ("N1 localhost", "localhost", ["::1", "127.0.0.1"], "127.0.0.1"),
        ("N1 localhost of IPv6 alone", "localhost", ["::1"], "::1"),
        ("N1 the machine's name on Debian", "box", ["127.0.1.1"], "127.0.1.1"),
        ("E13 the machine's name in a network", "box", ["192.168.1.5"], None),
        ("P loopback and more", "box", ["127.0.0.1", "192.168.1.5"], None),
        ("E13 conda's platform", "x86_64-conda-linux-gnu", [], None),
        ("N1 a number that means everywhere", "0", ["0.0.0.0"], None),  # noqa: S104
        ("P an address as it is", "0.0.0.0", [], "0.0.0.0"),  # noqa: S104
        ("P IPv6 as it is", "::", [], "::"),
    ),
)
def test_find_listen_address_name_is_loopback_only(
    host: str, resolved: Sequence[str], address: str | None
) -> None:
    def resolve(*_: object, **__: object) -> list[tuple[object, ...]]:
        if not resolved:
            raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")
        return [(None, None, None, "", (text, 0)) for text in resolved]

    chosen, warning = find_listen_address(
        Settings.from_environment({"HOST": host}).host, resolve=resolve
    )
    assert chosen == (address or "127.0.0.1")
    assert (warning is None) == (address is not None)
    assert ip_address(chosen).is_loopback or address == host
    assert warning is None or "unset HOST" in warning


@pytest.mark.parametrize(
    ("host", "port", "netloc"),
    listed(
        ("E IPv6", "::1", 80, "[::1]:80"),
        ("E IPv4", "127.0.0.1", 80, "127.0.0.1:80"),
        ("P socket", "/run/postgresql", 5432, "/run/postgresql (port 5432)"),
    ),
)
def test_to_netloc_formats_addresses(host: str, port: int, netloc: str) -> None:
    assert to_netloc(host, port) == netloc


def test_open_listener_foreign_ipv6_address_is_named_in_brackets() -> None:
    with pytest.raises(
        ConfigurationError, match=r"Can't listen on \[2001:db8::1\]:8080: .*Set HOST"
    ):
        open_listener("2001:db8::1", 8080)


@pytest.mark.parametrize(
    ("port", "metrics_port", "workers", "ports"),
    listed(
        ("N2 none apart", 8080, None, 2, []),
        ("N2 one for each", 8080, 9100, 3, [9100, 9101, 9102]),
        ("N2 PORT among them", 8080, 8079, 2, None),
        ("N2 beyond the last", 8080, 65535, 2, None),
        ("P PORT just above them", 8080, 8078, 2, [8078, 8079]),
    ),
)
def test_metrics_ports_never_contain_port(
    port: int, metrics_port: int | None, workers: int, ports: list[int] | None
) -> None:
    settings = Settings(port=port, metrics_port=metrics_port)
    if ports is None:
        with pytest.raises(InvalidSettings, match="METRICS_PORT"):
            metrics_ports(settings, workers=workers)
    else:
        assert list(metrics_ports(settings, workers=workers)) == ports


@pytest.mark.row("N2")
@pytest.mark.parametrize("command", [["serve"], ["serve", "--workers", "2"], ["storage"]])
def test_serve_used_metrics_port_gives_one_sentence(command: list[str]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        ended = run(*command, env=environment(PORT="0", METRICS_PORT=port))
    assert ended.returncode == 2
    assert f"127.0.0.1:{port}" in ended.stderr
    assert "Set METRICS_PORT to a free port" in ended.stderr
    assert len(ended.stderr.splitlines()) == 1


FULL_DISK = """\
running bootstrap script ... 2026-11-29 20:00:52.184 UTC [7] FATAL:  could not write to file "x": No space left on device
child process exited with exit code 1
initdb: removing data directory "d"
"""
LOST_LOG = """\
2026-11-29 20:00:52.184 UTC [7] LOG:  invalid checkpoint record
2026-11-29 20:00:52.184 UTC [7] PANIC:  could not locate a valid checkpoint record
2026-11-29 20:00:52.184 UTC [1] LOG:  startup process (PID 7) was terminated by signal 6: Aborted
2026-11-29 20:00:52.184 UTC [1] LOG:  database system is shut down
"""
NO_MEMORY = """\
2026-11-29 20:00:52.184 UTC [1] FATAL:  could not resize shared memory segment "x": No space left on device
2026-11-29 20:00:52.184 UTC [1] LOG:  database system is shut down
"""


@pytest.mark.parametrize(
    ("log", "reason"),
    listed(
        ("N4 full disk", FULL_DISK, 'could not write to file "x": No space left on device'),
        ("N4 lost pg_wal", LOST_LOG, "could not locate a valid checkpoint record"),
        ("N4 small /dev/shm", NO_MEMORY, "could not resize shared memory segment"),
        ("N4 initdb itself", "initdb: error: could not access directory\n", "could not access"),
        ("P no error named", "Killed\n", "Killed"),
        ("P nothing", "", "its log "),
    ),
)
def test_find_reason_returns_last_error(log: str, reason: str, tmp_path: Path) -> None:
    path = tmp_path / "postgresql.log"
    path.write_text(log)
    assert embedded_process.find_reason(path).startswith(reason)
    assert str(path) in embedded_process.find_reason(path)


@pytest.mark.row("N14")
def test_require_account_name_missing_entry_gives_advice() -> None:
    missing_account = embedded_binaries.ServerAccount("user 54321", 54321, 54321)
    with pytest.raises(ConfigurationError, match=r"user 54321.*/etc/passwd.*DB_HOST"):
        embedded_binaries.require_account_name(missing_account)


@pytest.mark.row("N14")
def test_serve_without_home_directory_gives_advice(monkeypatch: pytest.MonkeyPatch) -> None:
    def no_home() -> Path:
        raise RuntimeError("Could not determine home directory.")

    monkeypatch.delenv("XDG_DATA_HOME", raising=False)
    monkeypatch.setattr(os, "geteuid", lambda: 12345)
    monkeypatch.setattr(Path, "home", no_home)
    with pytest.raises(ConfigurationError, match="set DATA_DIR"):
        base.find_data_dir(Settings())


WITHOUT_FCNTL = (
    "import sys; sys.modules['fcntl'] = None; from github_banners.cli import main; main()"
)


@pytest.mark.row("E16")
@pytest.mark.parametrize("command", ["serve", "storage", "check"])
def test_serve_without_fcntl_gives_one_sentence(command: str) -> None:
    ended = subprocess.run(
        [sys.executable, "-c", WITHOUT_FCNTL, command],
        env=environment(), capture_output=True, text=True, check=False, timeout=30,
    )  # fmt: skip
    assert ended.returncode == 2
    assert "WSL or Docker" in ended.stderr
    assert len(ended.stderr.splitlines()) == 1


def test_openapi_document_and_page_without_docstrings_are_built() -> None:
    """PYTHONOPTIMIZE=2 removes docstrings, from which descriptions are taken."""
    program = (
        "from github_banners.api.openapi import OPTIONS, option_schema;"
        "print(len([option_schema(name) for name in OPTIONS]) == len(OPTIONS))"
    )
    ended = subprocess.run([sys.executable, "-OO", "-c", program], capture_output=True, check=False)
    assert (ended.stdout, ended.stderr) == (b"True\n", b"")


@pytest.mark.row("E16")
def test_render_without_fcntl_works() -> None:
    ended = subprocess.run(
        [sys.executable, "-c", WITHOUT_FCNTL, "render", "no/login"],
        env=environment(), capture_output=True, text=True, check=False, timeout=30,
    )  # fmt: skip
    assert ended.returncode == 2
    assert "no/login" in ended.stderr
    assert "WSL" not in ended.stderr


@pytest.mark.row("E11")
@pytest.mark.parametrize("name", ["run_tests.sh", "deploy/make-secrets", "Makefile"])
def test_scripts_keep_line_ends(name: str) -> None:
    attributes = CHECKOUT / ".gitattributes"
    assert re.search(r"^\* text=auto eol=lf$", attributes.read_text(), re.MULTILINE)
    assert b"\r" not in (CHECKOUT / name).read_bytes()


@pytest.mark.row("E24")
@pytest.mark.parametrize(
    "word", ["Python 3.11, 3.12, 3.13, 3.14", "Alpine", "arm64", "WSL", "macOS"]
)
def test_readme_names_supported_systems(word: str) -> None:
    assert word in (CHECKOUT / "README.md").read_text(encoding="utf-8")


@pytest.mark.row("F8")
def test_descriptor_limit_bounds_connections() -> None:
    program = (
        "import resource as r; from github_banners.serving.server import max_connections;"
        "r.setrlimit(r.RLIMIT_NOFILE, (1024, 1024)); print(max_connections())"
    )
    ended = subprocess.run([sys.executable, "-c", program], capture_output=True, check=True)
    assert int(ended.stdout) <= 1024 - 200


@pytest.mark.row("F19")
@pytest.mark.parametrize("delay_seconds", [0.4, 0.7, 1.1])
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_serve_early_signal_ends_process(number: signal.Signals, delay_seconds: float) -> None:
    """With a database that is down, so that the pool of connections is opening all the time."""
    env = environment(
        PORT="0", DB_HOST="127.0.0.1", PGPORT="1", POSTGRES_PASSWORD="x",
        KAFKA_BROKERS_ADDRS="127.0.0.1:1", RENDERER_BASE_URL="http://127.0.0.1:1",
        STORAGE_BASE_URL="http://127.0.0.1:1",
    )  # fmt: skip
    command = [sys.executable, "-m", "github_banners", "api"]
    with subprocess.Popen(
        command, env=env, stderr=subprocess.PIPE, stdout=subprocess.DEVNULL
    ) as api:
        time.sleep(delay_seconds)
        wait_until_python_has_started(api.pid)
        api.send_signal(number)
        try:
            _, errors = api.communicate(timeout=15)
        finally:
            api.kill()
    assert api.returncode in {0, -number, 128 + number}
    assert b"Traceback" not in errors, errors.decode()


def wait_until_python_has_started(pid: int) -> None:
    """
    Wait while SIGINT is only Python's own: before the command's first line.

    A KeyboardInterrupt can vanish then, out of reach of the command: in a callback of the import
    system, or in the file that starts coverage in subprocesses, which has a bare `except`.
    """
    status = Path(f"/proc/{pid}/status")
    deadline = time.monotonic() + 10
    while status.exists() and time.monotonic() < deadline:
        text = status.read_text()
        # Python ignores SIGPIPE from its first moment on, before it catches SIGINT.
        is_running = has_signal(text, "SigIgn", signal.SIGPIPE)
        is_pythons = has_signal(text, "SigCgt", signal.SIGINT)
        if is_running and (not is_pythons or has_signal(text, "SigCgt", signal.SIGTERM)):
            return
        time.sleep(0.005)


def has_signal(status: str, name: str, number: signal.Signals) -> bool:
    """Read a set of signals from the text of `/proc/<pid>/status`."""
    mask = int(status.partition(f"{name}:")[2].split()[0], 16)
    return bool(mask >> (number - 1) & 1)


HOSTILE = "me\x1b[31mRED\x07\r\nfake: ok\u202egnp\x9b2J"


@pytest.mark.row("F20")
def test_report_login_control_characters_are_escaped() -> None:
    text = DiagnosticsReport(
        [PASSED], [token_result(login=HOSTILE), token_result("b", login=HOSTILE)], NOW
    ).to_text()
    assert not re.search(r"[\x00-\x09\x0b-\x1f\x7f-\x9f\u202a-\u202e]", text)
    assert "\nfake: ok" not in text


def test_report_warnings_control_characters_are_escaped(capsys: pytest.CaptureFixture[str]) -> None:
    text = DiagnosticsReport([PASSED], [], NOW, [HOSTILE]).to_text()
    with pytest.raises(SystemExit):
        base.exit_with(HOSTILE)
    for written in (text, capsys.readouterr().err):
        assert not re.search(r"[\x00-\x09\x0b-\x1f\x7f-\x9f\u202a-\u202e]", written)
        assert "\nfake: ok" not in written


@pytest.mark.row("F22")
@pytest.mark.parametrize("file", ["docker-compose.yaml", "deploy/compose.zookeeper.yaml"])
def test_compose_containers_are_confined(file: str) -> None:
    text = (CHECKOUT / file).read_text().replace("!override", "")
    # What an override leaves out is in the file that it overrides.
    services = {
        name: service for name, service in yaml.safe_load(text)["services"].items()
        if (file, name) != ("deploy/compose.zookeeper.yaml", "kafka")
    }  # fmt: skip
    for service in services.values():
        assert service["cap_drop"] == ["ALL"]
        assert service["security_opt"] == ["no-new-privileges:true"]
        assert service["pids_limit"]
        assert not service["image"].endswith((":latest", ":stable", ":15"))


@pytest.mark.row("N9")
async def test_check_ports_listens_like_service(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("github_banners.diagnostics._PORT_TIMEOUT_SECONDS", 0.05)
    with socket.create_server(("127.0.0.1", 0)) as taken:
        ports = {"port": taken.getsockname()[1], "metrics_port": free_port()}
        port, metrics_port = await check_ports(Settings(**ports))
    assert port.is_broken
    assert "Set PORT to a free port" in port.text
    assert not metrics_port.is_broken
    (elsewhere,) = await check_ports(Settings(host=ListenHost("203.0.113.7"), port=free_port()))
    assert elsewhere.is_broken


@pytest.mark.row("N9")
def test_check_folder_writes_and_removes_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    written: list[Path] = []
    sync = os.fsync

    def record_files(descriptor: int) -> None:
        sync(descriptor)
        written.extend(tmp_path.iterdir())

    monkeypatch.setattr(os, "fsync", record_files)
    assert not check_folder("banners", tmp_path / "not" / "yet").is_broken
    assert len(written) == 1
    assert list(tmp_path.iterdir()) == []


@pytest.mark.row("N9")
def test_check_folder_full_disk_is_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(_: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", refuse)
    check = check_folder("database", tmp_path)
    assert check.is_broken
    assert "No space left on device: set DATA_DIR" in check.text
    assert list(tmp_path.iterdir()) == []


@pytest.fixture(scope="module")
def gateway() -> Iterator[Gateway]:
    """Run the gateway without an api."""
    if shutil.which("nginx") is None:
        pytest.skip("nginx is not installed")
    with reachable_dir() as folder:
        gateway = Gateway(folder, api_ports=[1])
        with gateway.run():
            yield gateway


@pytest.mark.parametrize(
    ("method", "path", "size_bytes", "status"),
    listed(
        ("E9 page", "GET", "/docs", 0, 503),
        ("E9 POST", "POST", "/banners", 10, 503),
        ("E9 root", "GET", "/", 0, 503),
        ("E9 health", "GET", "/healthz", 0, 503),
        ("E9 JSON", "GET", "/banners/a-dark.json", 0, 503),
        ("P wrong method", "PUT", "/banners", 10, 405),
        ("P method that nothing takes", "TRACE", "/docs", 0, 405),
        ("P body too large", "POST", "/banners", 70_000, 413),
        ("P path too long", "GET", "/" + 9000 * "a", 0, 414),
        ("P path that can't be read", "GET", "/%zz", 0, 400),
    ),
)
def test_gateway_has_no_default_page(
    gateway: Gateway, method: str, path: str, size_bytes: int, status: int
) -> None:
    response = httpx2.request(
        method, gateway.url + path, content=bytes(size_bytes), trust_env=False
    )
    assert (response.status_code, response.headers["content-type"]) == (status, "application/json")
    assert response.json()["error"]
    assert ("retry-after" in response.headers) == (status == 503)


@pytest.mark.parametrize(
    ("resolver_setting", "resolv_conf", "resolver"),
    listed(
        ("E9 Docker", "", "nameserver 127.0.0.11\noptions ndots:0\n", "127.0.0.11"),
        ("E9 Podman", "", "search dns.podman\nnameserver 10.89.0.1\n", "10.89.0.1"),
        ("P IPv6 and a zone", "", "nameserver fd00::53\nnameserver fe80::1%eth0\n", "[fd00::53]"),
        ("P two", "", "nameserver 10.0.0.1\nnameserver 10.0.0.2\n", "10.0.0.1 10.0.0.2"),
        ("P chosen", "192.0.2.1", "nameserver 10.0.0.1\n", "192.0.2.1"),
        ("P none", "", "search example.com\n", None),
    ),
)
def test_gateway_uses_container_name_server(
    resolver_setting: str, resolv_conf: str, resolver: str | None, tmp_path: Path
) -> None:
    (tmp_path / "resolv.conf").write_text(resolv_conf)
    script = (DEPLOY / "start-gateway").read_text()
    script = script.replace('/docker-entrypoint.sh nginx -g "daemon off;"', "printenv RESOLVER")
    ended = subprocess.run(
        ["sh", "-c", script],
        env=environment(RESOLVER=resolver_setting, RESOLV_CONF=str(tmp_path / "resolv.conf")),
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert ended.stdout.strip() == (resolver or "")
    assert ended.returncode == (0 if resolver else 2)
