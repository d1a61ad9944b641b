"""
Compute what many permanent banners require, and print it or write it into docs/scaling.md.

`python scripts/simulate_scaling.py --write docs/scaling.md` writes the plan with the defaults; a test
compares it with the page. Each parameter is an option: `--repository-share 0.1`, `--visits 0.3:20,0.7:0`.
"""

import argparse
from collections.abc import Sequence
from dataclasses import fields
from pathlib import Path

from scaling.page import option, replace_section, to_markdown
from scaling.parameters import Parameters

SECTION = "plan"
SIZES = (10_000, 100_000, 1_000_000)


def main(arguments: Sequence[str] | None = None) -> None:
    """Compute the plan with the parameters of the command line."""
    parser = argparse.ArgumentParser(description="Plan for many permanent banners.")
    parser.add_argument("--banners", type=_parse_sizes, default=SIZES, help="such as 10000,1000000")
    parser.add_argument("--write", type=Path, help="page whose section is replaced")
    for each in fields(Parameters):
        parse = parse_visits if each.name == "visits" else float
        # argparse formats help texts with %.
        text = each.metadata["text"].replace("%", "%%")
        parser.add_argument(option(each), type=parse, default=each.default, help=text)
    values = vars(parser.parse_args(arguments))
    sizes, path = values.pop("banners"), values.pop("write")
    markdown = to_markdown(Parameters(**values), sizes)
    if path is None:
        print(markdown)  # noqa: T201
    else:
        page = path.read_text(encoding="utf-8")
        path.write_text(replace_section(page, SECTION, markdown), encoding="utf-8")


def _parse_sizes(text: str) -> tuple[float, ...]:
    return tuple(sorted(float(size) for size in text.split(",")))


def parse_visits(text: str) -> tuple[tuple[float, float], ...]:
    """Parse `SHARE:VIEWS,…`; the shares of all owners are 1 together."""
    pairs = [pair.split(":") for pair in text.split(",")]
    visits = tuple((float(share), float(views)) for share, views in pairs)
    if abs(sum(share for share, _ in visits) - 1) > 1e-6:
        raise argparse.ArgumentTypeError("the shares must be 1 together")
    return visits


if __name__ == "__main__":
    main()
