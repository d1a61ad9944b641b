"""The two places where pictures can be stored, for tests that run with each of them."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from itertools import count
from pathlib import Path
from typing import Protocol

from obstore.store import S3Store

from github_banners.settings import Settings, StorageBucket, StorageFolder, StorageLocation
from tests.integration.s3_fault_proxy import S3Fault, S3FaultProxy, always
from tests.integration.s3_server import BUCKET, bucket_environment

_numbers = count()


class StoreBackend(Protocol):
    """An empty folder or bucket, which can be made to fail."""

    @property
    def location(self) -> StorageLocation: ...

    @property
    def environment(self) -> Mapping[str, str]:
        """Return the variables with which a service uses it."""

    def contents(self) -> Mapping[str, bytes | None]:
        """Return everything in it, and in what is around it, by path; folders are None."""

    def add_file(self, name: str, body: bytes) -> None:
        """Add a file or object that no store has written."""

    def add_around(self, name: str, body: bytes) -> None:
        """Add a file or object beside it, in each place that a path could escape to."""

    def go_down(self) -> None:
        """Fail from now on."""

    def come_back(self) -> None: ...


class FolderBackend:
    """A folder that does not exist yet, in another one."""

    def __init__(self, around: Path) -> None:
        self.around = around
        self.folder = around / "inner" / "banners"
        self.location = StorageFolder(self.folder)
        self.environment = {"BANNERS_STORAGE_URL": self.folder.as_uri()}

    def contents(self) -> Mapping[str, bytes | None]:
        return {
            str(path.relative_to(self.around)): path.read_bytes() if path.is_file() else None
            for path in sorted(self.around.rglob("*"))
        }

    def add_file(self, name: str, body: bytes) -> None:
        path = self.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(body)

    def add_around(self, name: str, body: bytes) -> None:
        for folder in (self.around, self.folder.parent):
            (folder / name).write_bytes(body)

    def go_down(self) -> None:
        if self.folder.parent.exists():
            self.folder.parent.rename(self.around / "away")
        self.folder.parent.write_text("no folder")

    def come_back(self) -> None:
        self.folder.parent.unlink()
        if (self.around / "away").exists():
            (self.around / "away").rename(self.folder.parent)


class BucketBackend:
    """A prefix of its own in the bucket of a server, behind a fault proxy."""

    def __init__(self, proxy: S3FaultProxy) -> None:
        self.proxy = proxy
        self.prefix = f"test-{next(_numbers)}/banners"
        self.location = StorageBucket(BUCKET, self.prefix)
        self.environment = {
            "BANNERS_STORAGE_URL": str(self.location),
            **bucket_environment(proxy.port),
        }

    @property
    def settings(self) -> Settings:
        return Settings.from_environment(self.environment)

    def client(self) -> S3Store:
        """Return a client without our code, for the part of the bucket around the prefix."""
        return S3Store(
            BUCKET,
            prefix=self.prefix.partition("/")[0],
            config={
                "endpoint": f"http://127.0.0.1:{self.proxy.server_port}",
                "access_key_id": self.environment["AWS_ACCESS_KEY_ID"],
                "secret_access_key": self.environment["AWS_SECRET_ACCESS_KEY"],
                "region": self.environment["AWS_REGION"],
                "disable_bulk_delete": True,
            },
            client_options={"allow_http": True},
        )

    def contents(self) -> Mapping[str, bytes | None]:
        client = self.client()
        paths = [meta["path"] for page in client.list() for meta in page]
        return {path: bytes(client.get(path).bytes()) for path in sorted(paths)}

    def add_file(self, name: str, body: bytes) -> None:
        self.client().put(f"banners/{name}", body)

    def add_around(self, name: str, body: bytes) -> None:
        self.client().put(name, body)

    def go_down(self) -> None:
        self.proxy.choose_fault = always(S3Fault.DENIED)

    def come_back(self) -> None:
        self.proxy.choose_fault = lambda request: None


@contextmanager
def fresh_bucket(proxy: S3FaultProxy) -> Iterator[BucketBackend]:
    """Yield an empty bucket; the proxy has no faults before and afterwards."""
    backend = BucketBackend(proxy)
    try:
        yield backend
    finally:
        backend.come_back()
        proxy.change_response = lambda response: response
        proxy.puts_to_await = 1
