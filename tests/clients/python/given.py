"""What tests/clients/run hands to every Python client, and what a client asks beside its library."""

import json
import os
import socket
import subprocess
import urllib.parse
import urllib.request
from base64 import b64encode
from importlib.metadata import version

ISSUER = os.environ["ISSUER"]
METADATA = os.environ["METADATA"]
METRICS = os.environ["METRICS"]
CLIENT_ID = os.environ["CLIENT_ID"]
CLIENT_SECRET = os.environ["CLIENT_SECRET"]
SCOPE = os.environ["SCOPE"]
SERVICE_ID = os.environ["SERVICE_ID"]
SERVICE_SECRET = os.environ["SERVICE_SECRET"]
# As well formed as the real one, and of nobody.
WRONG_SECRET = "sw_wrong" + "x" * 56


def metadata():
    """The server's own description, for libraries that do not look for it."""
    with urllib.request.urlopen(METADATA) as answer:
        return json.load(answer)


def request_token(**form):
    """A token for the form's members, for what only verifies."""
    form = {"grant_type": "client_credentials", **form}
    return _post(metadata()["token_endpoint"], f"{CLIENT_ID}:{CLIENT_SECRET}", form)["access_token"]


def introspect(token):
    """What a service is told about a token."""
    return _post(metadata()["introspection_endpoint"], f"{SERVICE_ID}:{SERVICE_SECRET}", {"token": token})


def revoke(token):
    """Takes the client's own token back, for libraries that cannot."""
    _post(metadata()["revocation_endpoint"], f"{CLIENT_ID}:{CLIENT_SECRET}", {"token": token})


def sealwright(*arguments):
    """What an operator types."""
    subprocess.run([os.environ["SEALWRIGHT"], *arguments], check=True, capture_output=True)


def accepted(token):
    """Whether a service that introspects would let this client in, with both scopes."""
    answer = introspect(token)
    return answer["active"] and (answer["client_id"], answer["scope"]) == (CLIENT_ID, SCOPE)


def refused(token):
    """Whether a service is told that the token is worth nothing, and nothing else."""
    return introspect(token) == {"active": False}


def free_port():
    """A port of loopback that nobody holds."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


def answered(route):
    """How often the server has answered well at a route."""
    line = f'sealwright_http_request_duration_seconds_count{{route="{route}",status="2xx"}} '
    with urllib.request.urlopen(METRICS) as counters:
        found = [text.removeprefix(line) for text in counters.read().decode().splitlines() if text.startswith(line)]
    return int(found[0]) if found else 0


_proven = []


def did(what):
    """Says what the checks above have proven. The words of all stand in the table of docs/clients.md."""
    _proven.append(what)


def done(package):
    """The line that tests/clients/run takes; for what comes with Python the version is `-`."""
    print(f"{version(package) if package else '-'}: {'; '.join(_proven)}")


def _post(endpoint, credentials, form):
    body = urllib.parse.urlencode(form).encode()
    basic = {"Authorization": "Basic " + b64encode(credentials.encode()).decode()}
    with urllib.request.urlopen(urllib.request.Request(endpoint, body, basic)) as answer:
        text = answer.read()
        return json.loads(text) if text else None
