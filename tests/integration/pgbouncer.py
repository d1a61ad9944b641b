"""Run PgBouncer in transaction mode, which lacks some features of a direct connection."""

import os
import shutil
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psycopg
from psycopg.conninfo import conninfo_to_dict, make_conninfo

from github_banners.database.embedded_binaries import choose_server_account

PGBOUNCER = shutil.which("pgbouncer", path=f"{os.environ.get('PATH', '')}:/usr/sbin")
_PORT = 6432


@contextmanager
def pooled(server: str, folder: Path, *, mode: str = "transaction") -> Iterator[str]:
    """Run PgBouncer in front of a server, and yield the conninfo of its database `postgres`."""
    assert PGBOUNCER is not None
    folder.mkdir()
    host = conninfo_to_dict(server)["host"]
    (folder / "users.txt").write_text('"postgres" ""\n')
    (folder / "pgbouncer.ini").write_text(
        f"[databases]\n* = host={host} port=5432 user=postgres\n[pgbouncer]\n"
        f"listen_addr=\nlisten_port={_PORT}\nunix_socket_dir={folder}\nauth_type=any\n"
        f"auth_file={folder}/users.txt\npool_mode={mode}\nlogfile={folder}/log\n"
        "default_pool_size=4\n"
    )
    account = choose_server_account(folder)
    if account is not None:
        for path in (folder, *folder.iterdir()):
            os.chown(path, account.uid, account.gid)
    pgbouncer = subprocess.Popen(
        [PGBOUNCER, "-q", str(folder / "pgbouncer.ini")],
        **(account.popen_options if account else {}),
    )
    conninfo = make_conninfo(host=str(folder), port=_PORT, user="postgres", dbname="postgres")
    try:
        _wait_until_answering(pgbouncer, conninfo)
        yield conninfo
    finally:
        pgbouncer.terminate()
        pgbouncer.wait()


def _wait_until_answering(pgbouncer: subprocess.Popen[bytes], conninfo: str) -> None:
    while pgbouncer.poll() is None:
        try:
            psycopg.connect(conninfo, client_encoding="UTF8").close()
        except psycopg.OperationalError:
            time.sleep(0.05)
        else:
            return
    raise RuntimeError(f"pgbouncer exited with code {pgbouncer.returncode}")
