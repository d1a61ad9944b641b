"""Run the command as `python -m github_banners`."""

from github_banners.cli import main

main()
