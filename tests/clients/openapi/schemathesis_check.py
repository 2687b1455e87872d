"""schemathesis finds nothing unexplained: every reply of the server is as the document says, and the
server refuses what the document does not allow. A reply must not have a member that the document
does not name. It changes and stops agents, so its server is its own."""

import importlib.metadata
import json
import os
import re
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

from agent import document, new_agent, token_of

PHASES = "examples,coverage,fuzzing,stateful"
LONG = "CLIENTS_LONG" in os.environ
# How many requests each operation gets in each phase, and how many a run has at least.
EXAMPLES, LEAST = (400, 10_000) if LONG else (25, 2_000)


def without_further_members(value):
    """Forbids members that the document does not name: clients must expect them, but this server
    must name all that it sends."""
    if isinstance(value, dict):
        if "properties" in value:
            value.setdefault("additionalProperties", False)
        for member in value.values():
            without_further_members(member)
    elif isinstance(value, list):
        for item in value:
            without_further_members(item)


def changes_of_versions(document):
    """The operations that compare a version, which a random request rarely has."""
    operations = (each for path in document["paths"].values() for each in path.values())
    takes_version = lambda each: any(one["name"] == "If-Match" for one in each.get("parameters", []))
    return {each["operationId"] for each in operations if takes_version(each)}


def exceptions(file):
    """The operations that may refuse a request that the document allows with 412."""
    listed = set()
    for each in tomllib.loads(Path(file).read_text())["operations"]:
        expected = each.get("checks", {}).get("positive_data_acceptance", {}).get("expected-statuses", [])
        if 412 in expected:
            named = each["include-operation-id"]
            listed.update([named] if isinstance(named, str) else named)
    return listed


folder = Path(os.environ["TMPDIR"])
described = document()
without_further_members(described["components"]["schemas"])
(folder / "strict.json").write_text(json.dumps(described))
for name in ("schemathesis.toml", "hooks.py"):
    shutil.copy(name, folder)
caller, secret = new_agent("schemathesis")
token = token_of(caller, secret)
without_exception = changes_of_versions(described) - exceptions("schemathesis.toml")
if without_exception:
    sys.exit(f"schemathesis.toml does not say that these may answer 412: {sorted(without_exception)}")
command = [Path(sys.executable).parent / "st", "run", "strict.json", "--url", os.environ["ISSUER"]]
command += ["--phases", PHASES, "--header", f"Authorization: Bearer {token}", "--no-color"]
command += ["--max-examples", str(EXAMPLES)]
for path, item in described["paths"].items():
    # The paths of the operators' listener name it.
    if any("servers" in operation for operation in item.values()):
        command += ["--exclude-path", path]
environment = os.environ | {"CALLER": caller}
ran = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True)
if ran.returncode != 0:
    sys.exit(ran.stdout[-100_000:] + ran.stderr)
generated = re.search(r"(\d+) generated, \1 passed", ran.stdout)
if generated is None or int(generated[1]) < LEAST:
    sys.exit("too few requests, or not all passed:\n" + ran.stdout[-100_000:])
version = importlib.metadata.version("schemathesis")
if LONG:
    print(f"{generated[1]} requests")
print(f"{version}: every reply is as the OpenAPI document says, and requests that it does not allow are refused")
