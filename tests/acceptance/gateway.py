"""The gateway of deploy/nginx, for an nginx of this machine."""

import os
import re
import shutil
import signal
import socket
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import httpx2

from tests.acceptance.fault_checks import wait_until
from tests.acceptance.processes import free_port

DEPLOY = Path(__file__).parents[2] / "deploy" / "nginx"


def real_ip_directives(trusted_proxies: str) -> str:
    """Return what start-gateway exports as REAL_IP; raise if it fails."""
    script = (DEPLOY / "start-gateway").read_text()
    script = script.replace('/docker-entrypoint.sh nginx -g "daemon off;"', "printenv REAL_IP")
    finished = subprocess.run(
        ["sh", "-c", script],
        env={"PATH": os.environ["PATH"], "RESOLVER": "::1", "TRUSTED_PROXIES": trusted_proxies},
        capture_output=True,
        text=True,
        check=False,
    )
    if finished.returncode:
        raise ValueError(finished.stderr)
    return finished.stdout.strip()


class Gateway:
    """
    The gateway's configuration in a folder, for api processes on ports of this machine.

    `file` is what nginx is started with, and `url` its address. In production a name server has the
    addresses of several apis; here, where they differ in their ports, an upstream group has them.
    """

    def __init__(self, folder: Path, api_ports: Sequence[int]) -> None:
        shutil.copytree(DEPLOY, folder / "static")
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        for name in ("conf.d", "cache", "temporary"):
            (folder / name).mkdir(parents=True, exist_ok=True)
            (folder / name).chmod(0o777)
        variables = {"API_HOST": "127.0.0.1", "API_INTERNAL_SERVER_PORT": str(api_ports[0])}
        conf = (DEPLOY / "gateway.conf.template").read_text()
        if len(api_ports) > 1:
            servers = "".join(f"server 127.0.0.1:{port}; " for port in api_ports)
            conf = conf.replace("${API_HOST}:${API_INTERNAL_SERVER_PORT}", "apis")
            conf = f"upstream apis {{ {servers}}}\n{conf}"
        variables |= {"RESOLVER": "127.0.0.1", "REAL_IP": real_ip_directives("127.0.0.1")}
        conf = re.sub(r"\$\{(\w+)\}", lambda match: variables[match[1]], conf)
        conf = conf.replace("listen 8080", f"listen 127.0.0.1:{self.port}")
        conf = self._moved(conf, folder).replace("/dev/stdout", str(folder / "access.log"))
        (folder / "conf.d/gateway.conf").write_text(conf)
        frame = (DEPLOY / "nginx.conf").read_text()
        self.file = folder / "nginx.conf"
        self.file.write_text(
            self._moved(frame, folder).replace("stderr", str(folder / "error.log"))
        )

    @staticmethod
    def _moved(conf: str, folder: Path) -> str:
        """Replace the fixed paths of the container by paths in a folder."""
        conf = conf.replace("/tmp/", f"{folder}/temporary/")
        conf = conf.replace("/var/cache/nginx/", f"{folder}/cache/")
        conf = conf.replace("/usr/share/nginx/banners", str(folder / "static"))
        return conf.replace("/etc/nginx/conf.d", str(folder / "conf.d"))

    @contextmanager
    def run(self) -> Iterator[subprocess.Popen[bytes]]:
        """Run nginx; yield its process once it accepts connections."""
        command = ["nginx", "-c", str(self.file), "-g", "daemon off;"]
        process = subprocess.Popen(command, stderr=subprocess.DEVNULL)
        try:
            wait_until(self._is_listening, limit=60)
            yield process
        finally:
            process.send_signal(signal.SIGQUIT)
            process.wait(60)

    def find_problems(self) -> str:
        """Return the errors and warnings of `nginx -t`."""
        tested = subprocess.run(
            ["nginx", "-t", "-q", "-c", str(self.file)],
            capture_output=True, text=True, check=False,
        )  # fmt: skip
        return tested.stderr

    def get(self, path: str, **headers: str) -> httpx2.Response:
        renamed = {name.replace("_", "-"): value for name, value in headers.items()}
        return httpx2.get(self.url + path, headers=renamed, timeout=30, trust_env=False)

    def _is_listening(self) -> bool:
        with socket.socket() as client:
            return client.connect_ex(("127.0.0.1", self.port)) == 0
