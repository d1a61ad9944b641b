"""The command `github-banners`, also as `python -m github_banners`."""

import os
import signal


def main() -> None:
    """Import and run the command; Ctrl-C during the import ends it without a traceback."""
    _open_missing_streams()
    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
        signal.signal(signal.SIGINT, signal.SIG_DFL)
    from github_banners.cli import main as run_command  # noqa: PLC0415 - slow import

    run_command()


def _open_missing_streams() -> None:
    """
    Open `/dev/null` in place of standard streams that the caller has closed.

    Else the next files would get their descriptors: libuv aborts the process when it closes one of
    them, and what is written to a closed stream would go into a file or a connection.
    """
    descriptor = os.open(os.devnull, os.O_RDWR)
    while descriptor <= 2:
        os.set_inheritable(descriptor, True)
        descriptor = os.dup(descriptor)
    os.close(descriptor)


if __name__ == "__main__":
    main()
