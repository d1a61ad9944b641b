"""
Compute what many permanent banners require, and print it or write it into docs/scaling.md.

`python scripts/simulate_scaling.py --write docs/scaling.md` writes the plan with the defaults; a test
compares it with the page. Each parameter is an option: `--repository-share 0.1`, `--visits 0.3:20,0.7:0`.
"""

import argparse
from collections.abc import Callable, Sequence
from dataclasses import fields
from math import inf
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
    for parameter in fields(Parameters):
        parse: Callable[[str], object] = _parse_number
        if parameter.name == "visits":
            parse = parse_visits
        elif parameter.name.endswith("_share"):
            parse = _parse_share
        # argparse formats help texts with %.
        text = parameter.metadata["text"].replace("%", "%%")
        parser.add_argument(option(parameter), type=parse, default=parameter.default, help=text)
    values = vars(parser.parse_args(arguments))
    sizes, path = values.pop("banners"), values.pop("write")
    try:
        markdown = to_markdown(Parameters(**values), sizes)
    except ZeroDivisionError:
        parser.error("a parameter by which others are divided is 0")
    if path is None:
        print(markdown)  # noqa: T201
    else:
        page = path.read_text(encoding="utf-8")
        path.write_text(replace_section(page, SECTION, markdown), encoding="utf-8")


def _parse_sizes(text: str) -> tuple[float, ...]:
    return tuple(sorted(_parse_number(size) for size in text.split(",")))


def _parse_number(text: str) -> float:
    number = float(text)
    if not 0 <= number < inf:
        raise argparse.ArgumentTypeError("must be 0 or more")
    return number


def _parse_share(text: str) -> float:
    share = float(text)
    if not 0 <= share <= 1:
        raise argparse.ArgumentTypeError("must be between 0 and 1")
    return share


def parse_visits(text: str) -> tuple[tuple[float, float], ...]:
    """Parse `SHARE:VIEWS,…`; the shares of all owners are 1 together."""
    pairs = [pair.split(":") for pair in text.split(",")]
    visits = tuple((float(share), float(views)) for share, views in pairs)
    if abs(sum(share for share, _ in visits) - 1) > 1e-6:
        raise argparse.ArgumentTypeError("the shares must be 1 together")
    return visits


if __name__ == "__main__":
    main()
