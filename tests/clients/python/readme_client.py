"""Runs the commands of README.md, in which an agent calls the service of a recipe."""

import os
import re
import subprocess
import sys
import urllib.error
import urllib.request

from given import ISSUER, did, done, free_port, sealwright
from front import until

with open("readme.sh") as file:
    text = file.read()
commands = dict(re.findall(r"# recipe[:] (\w+)\n(.*?)# end[ ]of recipe\n", text, re.DOTALL))


def type_in(name, **values):
    """Runs one block with the addresses of this server, program and service. Skips `scope add`: the scope exists."""
    port = str(values.get("port", 8000))
    block = commands[name].replace("http://127.0.0.1:3000", ISSUER).replace("127.0.0.1:8000", f"127.0.0.1:{port}")
    block = re.sub("^target/release/sealwright scope add .*\n", "", block, flags=re.MULTILINE)
    block = block.replace("target/release/sealwright", '"$SEALWRIGHT"')
    typed = subprocess.run(["bash", "-euc", block], env=os.environ | values.get("set", {}), check=True, capture_output=True)
    return typed.stdout.decode()


made = type_in("agent")
credentials = {
    "REPORTER_ID": re.search(r"client id\s+(\S+)", made)[1],
    "REPORTER_SECRET": re.search(r"client secret\s+(\S+)", made)[1],
}
port = free_port()
environment = {name: value for name, value in os.environ.items() if name != "AUDIENCE"}
service = subprocess.Popen(
    [sys.executable, "-B", "service.py"], env=environment | {"PORT": str(port)}, stderr=subprocess.DEVNULL
)


def is_up():
    try:
        return urllib.request.urlopen(f"http://127.0.0.1:{port}/rows")
    except urllib.error.HTTPError as refusal:
        return refusal.code == 401
    except urllib.error.URLError:
        return False


try:
    until(is_up)
    assert type_in("call", port=port, set=credentials) == f"rows for {credentials['REPORTER_ID']}\n"
    did("its agent's token, asked for without an audience, opens the recipe's service")
    sealwright("agent", "suspend", credentials["REPORTER_ID"])
    assert "rows" not in type_in("call", port=port, set=credentials)
    did("a suspended agent gets none")
finally:
    service.kill()

done(None)
