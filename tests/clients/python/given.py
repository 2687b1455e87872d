"""The values that tests/clients/run gives to every client, and requests that a check sends without the library."""

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
# A secret in the form of a real one. It belongs to no agent.
WRONG_SECRET = "sw_wrong" + "x" * 56


def metadata():
    """The server's metadata (RFC 8414), for libraries that do not fetch it."""
    with urllib.request.urlopen(METADATA) as answer:
        return json.load(answer)


def request_token(**form):
    """Requests a token with these form parameters, for libraries that only verify tokens."""
    form = {"grant_type": "client_credentials", **form}
    return _post(metadata()["token_endpoint"], f"{CLIENT_ID}:{CLIENT_SECRET}", form)["access_token"]


def introspect(token):
    """The introspection response of a token."""
    return _post(metadata()["introspection_endpoint"], f"{SERVICE_ID}:{SERVICE_SECRET}", {"token": token})


def revoke(token):
    """Revokes the client's own token, for libraries that cannot do it."""
    _post(metadata()["revocation_endpoint"], f"{CLIENT_ID}:{CLIENT_SECRET}", {"token": token})


def sealwright(*arguments):
    """Runs a command of the operator."""
    subprocess.run([os.environ["SEALWRIGHT"], *arguments], check=True, capture_output=True)


def give_key(public):
    """Registers a public key of the client, a JWK or PEM: it proves itself by signatures then, as well as by its secret."""
    file = os.path.join(os.environ["TMPDIR"], "public-key")
    with open(file, "w") as out:
        out.write(public if isinstance(public, str) else json.dumps(public))
    sealwright("credential", "create", CLIENT_ID, "--public-key", file)


def accepted(token):
    """Whether introspection accepts the token for this client with both scopes."""
    answer = introspect(token)
    return answer["active"] and (answer["client_id"], answer["scope"]) == (CLIENT_ID, SCOPE)


def refused(token):
    """Whether introspection says only that the token is not active."""
    return introspect(token) == {"active": False}


def free_port():
    """A free port on loopback."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


def answered(route):
    """How many requests to a route the server has answered with 2xx."""
    line = f'sealwright_http_requests_total{{route="{route}",status="200",reason="none"}} '
    with urllib.request.urlopen(METRICS) as counters:
        found = [text.removeprefix(line) for text in counters.read().decode().splitlines() if text.startswith(line)]
    return int(found[0]) if found else 0


_proven = []


def did(what):
    """Notes what the checks so far have proven. The table of docs/clients.md has the same words."""
    _proven.append(what)


def done(package):
    """Prints the last line, which tests/clients/run reads. For a module of Python itself, the version is `-`."""
    print(f"{version(package) if package else '-'}: {'; '.join(_proven)}")


def _post(endpoint, credentials, form):
    body = urllib.parse.urlencode(form).encode()
    basic = {"Authorization": "Basic " + b64encode(credentials.encode()).decode()}
    with urllib.request.urlopen(urllib.request.Request(endpoint, body, basic)) as answer:
        text = answer.read()
        return json.loads(text) if text else None
