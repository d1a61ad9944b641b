"""`deploy/make-secrets` writes new secrets once, readable by their owner only."""

import re
import shutil
import subprocess
from pathlib import Path

CHECKOUT = Path(__file__).parents[2]


def test_make_secrets_run_twice_keeps_the_first_secrets(tmp_path: Path) -> None:
    for name in (".env.example", "api/.env.example", "deploy/make-secrets"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        shutil.copy2(CHECKOUT / name, tmp_path / name)
    contents = []
    for _ in range(2):
        subprocess.run([tmp_path / "deploy/make-secrets"], check=True, capture_output=True)
        contents.append((tmp_path / "api/.env").read_text())
    assert contents[0] == contents[1]
    variables = dict(re.findall(r"^([A-Z_0-9]+)=(.*)$", contents[0], re.MULTILINE))
    secrets = {variables["SERVICES_SECRET_KEY"], variables["POSTGRES_PASSWORD"]}
    assert len(secrets) == 2
    assert all(re.fullmatch("[0-9a-f]{64}", secret) for secret in secrets)
    assert (tmp_path / "api/.env").stat().st_mode & 0o077 == 0
