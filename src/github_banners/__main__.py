"""The command `github-banners`, also as `python -m github_banners`."""

import signal


def main() -> None:
    """Import and run the command; Ctrl-C during the import ends it without a traceback."""
    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
        signal.signal(signal.SIGINT, signal.SIG_DFL)
    from github_banners.cli import main as run_command  # noqa: PLC0415 - slow import

    run_command()


if __name__ == "__main__":
    main()
