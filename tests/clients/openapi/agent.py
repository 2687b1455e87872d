"""An agent of the checks, and its token."""

import base64
import json
import os
import subprocess
import urllib.parse
import urllib.request

EVERY_SCOPE = "agents:read agents:write tokens:read audit:read webhooks:read webhooks:write admin:orgs"


def new_agent(name):
    """Makes an agent that may do everything, and returns its id and secret."""
    command = [os.environ["SEALWRIGHT"], "agent", "create", "--json", "--name", name]
    command += ["--plan", "unlimited", "--scope", EVERY_SCOPE]
    made = json.loads(subprocess.run(command, check=True, capture_output=True).stdout)
    return made["agentId"], made["clientSecret"]


def token_of(agent_id, secret):
    """Asks for a token with all scopes of the agent."""
    form = urllib.parse.urlencode({"grant_type": "client_credentials"}).encode()
    request = urllib.request.Request(os.environ["ISSUER"] + "/api/v1/token", form)
    basic = base64.b64encode(f"{agent_id}:{secret}".encode()).decode()
    request.add_header("Authorization", f"Basic {basic}")
    with urllib.request.urlopen(request) as reply:
        return json.load(reply)["access_token"]


def document():
    """The OpenAPI document of the server."""
    with urllib.request.urlopen(os.environ["ISSUER"] + "/api/v1/openapi.json") as reply:
        return json.load(reply)
