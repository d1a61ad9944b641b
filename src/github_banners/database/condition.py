"""
How the embedded server of a folder is reached, for a check of the set-up.

Starts and changes nothing.
"""

from pathlib import Path

from psycopg.conninfo import make_conninfo

from github_banners.database.embedded import _check_version, _explained, _status
from github_banners.database.embedded_files import _package_folder

_SOCKET_DIR_LINE = 4


def find_embedded(data_dir: Path) -> str | None:
    """
    Say how the embedded server of a folder is reached while it runs; None where it does not.

    :raises Misconfigured: it could not be started: not installed, or the folder is not ours
    """
    _package_folder()
    with _explained(data_dir):
        _check_version(data_dir)
        status = _status(data_dir)
    if len(status) <= _SOCKET_DIR_LINE:
        return None
    folder = status[_SOCKET_DIR_LINE]
    return make_conninfo(host=folder, user="postgres", dbname="postgres", port=5432)
