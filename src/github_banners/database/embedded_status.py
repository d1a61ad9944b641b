"""
How the embedded server of a folder is reached, for a check of the set-up.

Starts and changes nothing.
"""

from pathlib import Path

from psycopg.conninfo import make_conninfo

from github_banners.database.embedded import check_data_version, folder_errors, read_postmaster_pid
from github_banners.database.embedded_binaries import find_package_dir

_SOCKET_DIR_LINE = 4


def find_embedded_conninfo(data_dir: Path) -> str | None:
    """
    Say how the embedded server of a folder is reached while it runs; None where it does not.

    :raises ConfigurationError: it could not be started: not installed, or the folder is not ours
    """
    find_package_dir()
    with folder_errors(data_dir):
        check_data_version(data_dir)
        status = read_postmaster_pid(data_dir)
    if len(status) <= _SOCKET_DIR_LINE:
        return None
    folder = status[_SOCKET_DIR_LINE]
    return make_conninfo(host=folder, user="postgres", dbname="postgres", port=5432)
