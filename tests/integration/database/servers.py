"""An embedded server that a test can freeze and kill, and a database without connections."""

import os
import signal
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from github_banners.database.connect import Database
from github_banners.database.embedded import run_embedded_server


class ManagedServer:
    """An embedded server that can be started, frozen, thawed and killed."""

    def __init__(self, data_dir: Path) -> None:
        self.data_dir = data_dir
        self.conninfo = ""
        self._stack = ExitStack()

    def start(self) -> None:
        self.conninfo = self._stack.enter_context(
            run_embedded_server(self.data_dir, on_progress=print)
        )

    def close(self) -> None:
        self._stack.close()

    @property
    def pid(self) -> int:
        return int((self.data_dir / "postmaster.pid").read_text().split()[0])

    def kill(self) -> None:
        """Kill all processes of the server, and clean up."""
        for pid in self._pids():
            os.kill(pid, signal.SIGKILL)
        self.close()

    @contextmanager
    def frozen(self) -> Iterator[None]:
        """Suspend all processes of the server: connections stay open, without responses."""
        pids = self._pids()
        for pid in pids:
            os.kill(pid, signal.SIGSTOP)
        try:
            yield
        finally:
            for pid in pids:
                os.kill(pid, signal.SIGCONT)

    def _pids(self) -> list[int]:
        children = Path(f"/proc/{self.pid}/task/{self.pid}/children").read_text().split()
        return [self.pid, *map(int, children)]


async def close_pool(database: Database) -> None:
    """End all connections of a database, which then is unavailable; it may be closed once more."""
    await database.__aexit__(None, None, None)
