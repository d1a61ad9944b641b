"""The gateway with the additional configuration of deploy/kubernetes, in a real nginx without an api."""

import json
import shutil
import signal
import subprocess
from pathlib import Path

import httpx2
import pytest

from tests.acceptance.fault_checks import wait_until
from tests.acceptance.gateway import Gateway
from tests.acceptance.processes import free_port, reachable_dir

REAL_IP = Path(__file__).parents[2] / "deploy/kubernetes/overlays/production/real-ip.conf.template"

pytestmark = pytest.mark.skipif(shutil.which("nginx") is None, reason="nginx is not installed")


def test_gateway_behind_ingress_logs_address_of_client() -> None:
    with reachable_dir() as folder:
        gateway = Gateway(folder, [free_port()])
        # The Ingress controller is this test, and the pods' addresses those of loopback.
        configuration = REAL_IP.read_text().replace("10.0.0.0/8", "127.0.0.0/8")
        (folder / "conf.d/real-ip.conf").write_text(configuration)
        command = ["nginx", "-c", str(gateway.file), "-g", "daemon off;"]
        process = subprocess.Popen(command, stderr=subprocess.DEVNULL)
        try:

            def is_answering() -> bool:
                try:
                    return gateway.get("/nothing").status_code == 404
                except httpx2.TransportError:
                    return False

            wait_until(is_answering, limit=30)
            gateway.get("/client", x_forwarded_for="198.51.100.1, 203.0.113.9, 127.0.0.3")
        finally:
            process.send_signal(signal.SIGQUIT)
            process.wait(30)
        lines = [json.loads(line) for line in (folder / "access.log").read_text().splitlines()]
        clients = {line["request"]: line["client"] for line in lines}
    assert clients["GET /client HTTP/1.1"] == "203.0.113.9"
    assert clients["GET /nothing HTTP/1.1"] == "127.0.0.1"
