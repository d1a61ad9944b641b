"""A PostgreSQL server of a data folder, without the supervision of the service."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from subprocess import Popen

from github_banners.database import embedded, embedded_process
from github_banners.database.embedded_binaries import ServerAccount


@contextmanager
def run_postgres(
    data_dir: Path, settings: Mapping[str, str], *, programs: Path, account: ServerAccount | None
) -> Iterator[Popen[bytes]]:
    """Run the server until the context ends; create the data folder if it is missing."""
    if not data_dir.exists():
        embedded.create_database(data_dir, programs=programs, account=account)
    command = [str(programs / "postgres"), "-D", str(data_dir)]
    command += [f"--{name}={value}" for name, value in settings.items()]
    log = embedded.log_path(data_dir)
    process = embedded_process.start_process(command, log=log, account=account)
    with embedded_process.stop_on_exit(process) as server:
        embedded.wait_until_ready(server, data_dir)
        yield server
