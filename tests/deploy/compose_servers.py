"""Runs `config check` with the environment of each server of a compose file: FILE PROGRAM FOLDER

The environment is the image's, as the Dockerfile sets it, and the file's. Every secret gets a value of its kind.
The files that the compose file mounts must exist.
"""

import os
import re
import secrets
import subprocess
import sys
import tempfile

from ruamel.yaml import YAML


def image_environment():
    with open("Dockerfile", encoding="utf-8") as file:
        return dict(re.findall(r"^ENV (\w+)=(\S+)$", file.read(), re.M))


def complete(text):
    """`${NAME:-default}` as an operator sees it who set nothing."""
    return re.sub(r"\$\{\w+:-([^}]*)\}", r"\1", str(text))


def main(path, program, folder):
    compose = YAML(typ="safe").load(open(path, encoding="utf-8"))
    given = {
        "database-url": "postgres://sealwright:password@postgres/sealwright?sslmode=disable",
        "master-key": subprocess.run(["openssl", "rand", "-base64", "32"], capture_output=True, text=True).stdout,
        "postgres-password": secrets.token_hex(24),
    }
    servers = 0
    for name, service in compose["services"].items():
        for volume in service.get("volumes", []):
            source = volume.split(":")[0]
            if source.startswith("."):
                mounted = os.path.join(os.path.dirname(path), source)
                assert os.path.exists(mounted), f"{name} mounts {source}, which is not there"
            else:
                assert source in compose["volumes"], f"{name} has the volume {source}, which nobody makes"
        for secret in service.get("secrets", []):
            assert secret in compose["secrets"] and secret in given, f"{name} wants the secret {secret}"
        if service.get("image") != "sealwright":
            continue
        servers += 1
        environment = image_environment() | {k: complete(v) for k, v in service["environment"].items()}
        kept = tempfile.mkdtemp(dir=folder)
        for secret in service.get("secrets", []):
            with open(os.path.join(kept, secret), "w", encoding="utf-8") as file:
                file.write(given[secret])
        environment = {
            key: value.replace("/run/secrets/", kept + "/").replace("/var/lib/sealwright", kept)
            for key, value in environment.items()
        }
        checked = subprocess.run([program, "config", "check"], env=environment, capture_output=True, text=True)
        assert checked.returncode == 0, f"{name}: {checked.stderr}"
        assert "the configuration has no fault" in checked.stderr, f"{name}: {checked.stderr}"
    assert servers > 0, "no service has the image sealwright"


main(*sys.argv[1:])
