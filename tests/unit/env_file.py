"""Files of environment variables, as Compose and kustomize read them."""

import re
from pathlib import Path


def read_variables(path: Path) -> dict[str, str]:
    """Return the variables that a file sets, without lines that are commented out."""
    return dict(re.findall(r"^([A-Z_0-9]+)=(.*)$", path.read_text(), re.MULTILINE))
