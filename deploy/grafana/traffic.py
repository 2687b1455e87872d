"""Sends a new server the mixed requests that deploy/grafana/draw shows on the dashboard.

Usage: traffic.py URL SECONDS, with the operator's CLIENT_ID and CLIENT_SECRET in the environment, and the agents
`imported` and `crm` imported, as deploy/grafana/draw does. It needs Python alone.
"""

import base64
import http.client
import json
import math
import os
import random
import sys
import threading
import time
from urllib.parse import parse_qs, urlencode, urlsplit

SERVER = urlsplit(sys.argv[1])
SECONDS = float(sys.argv[2])
STARTED = time.monotonic()
WORKERS = 8
CALLBACK = "https://crm.example/callback"


def elapsed():
    return time.monotonic() - STARTED


class Client:
    """One connection. A request gives the status, the body (of JSON, its value) and the header."""

    def __init__(self):
        self.connection = http.client.HTTPConnection(SERVER.hostname, SERVER.port, timeout=40)

    def ask(self, method, path, body=None, **fields):
        fields = {name.replace("_", "-"): value for name, value in fields.items()}
        if isinstance(body, dict):
            json_body = fields.get("Content-Type") == "application/json"
            body = json.dumps(body) if json_body else urlencode(body)
            fields.setdefault("Content-Type", "application/x-www-form-urlencoded")
        try:
            self.connection.request(method, path, body, fields)
            reply = self.connection.getresponse()
            text = reply.read()
        except (OSError, http.client.HTTPException):
            self.connection.close()
            return 0, None, {}
        try:
            return reply.status, json.loads(text), reply.headers
        except ValueError:
            return reply.status, text, reply.headers

    def token(self, agent, **more):
        form = {"grant_type": "client_credentials", "client_id": agent[0], "client_secret": agent[1], **more}
        status, reply, _ = self.ask("POST", "/api/v1/token", form)
        return reply["access_token"] if status == 200 else None

    def manage(self, path, body):
        """Does as the operator what the run is nothing without, so it asks again while the server is too busy."""
        until = time.monotonic() + 60
        while True:
            token = self.token(OPERATOR)
            status, reply = 503, None
            if token:
                status, reply, _ = self.ask("POST", path, body, Content_Type="application/json",
                                            Authorization=f"Bearer {token}")
            if status not in (0, 503):
                return status, reply
            if time.monotonic() > until:
                sys.exit(f"traffic.py: {path}: {status} {reply}")
            time.sleep(1)


OPERATOR = (os.environ["CLIENT_ID"], os.environ["CLIENT_SECRET"])
IMPORTED, CRM = ("imported", "example-of-imported"), ("crm", "example-of-crm-app")


def make_agent(client, name, scopes):
    status, made = client.manage("/api/v1/agents", {"name": name, "scopes": scopes, "plan": "unlimited"})
    if status != 201:
        sys.exit(f"traffic.py: no agent {name}: {status} {made}")
    return made["agentId"], made["clientSecret"]


class Traffic:
    """What a worker may do next, each with its weight. Tokens that were issued are shared by all workers."""

    def __init__(self, agents, service):
        self.agents, self.service = agents, service
        self.live, self.dead = [], []
        self.deeds = [
            (30, self.get_token), (12, self.get_token_of_oculus), (5, self.exchange_code), (3, self.login_imported),
            (22, self.introspect), (2, self.introspect_dead), (3, self.revoke), (16, self.pass_gateway),
            (2, self.be_kept_out), (4, self.read_keys), (4, self.read_list), (2, self.ask_for_too_much),
            (2, self.send_wrong_secret), (1.2, self.send_wrong_foreign_secret), (0.6, self.send_no_grant),
            (0.6, self.name_nobody), (1.2, self.hire),
        ]

    def work(self, client):
        weights, deeds = zip(*self.deeds)
        random.choices(deeds, weights)[0](client)

    def keep(self, token):
        if token:
            self.live.append(token)
            if len(self.live) > 300:
                self.live.pop(0)

    def some_token(self, client):
        if not self.live:
            self.get_token(client)
        return random.choice(self.live or ["none"])

    def get_token(self, client):
        self.keep(client.token(random.choice(self.agents)))

    def get_token_of_oculus(self, client):
        agent = random.choice(self.agents)
        status, reply, _ = client.ask("POST", "/oauth/token", {"client_id": agent[0], "client_secret": agent[1]},
                                      Content_Type="application/json")
        if status == 200:
            self.keep(reply["access_token"])

    def exchange_code(self, client):
        asked = {"client_id": CRM[0], "redirect_uri": CALLBACK, "userid": "user_42"}
        _, _, fields = client.ask("GET", f"/api/oauth2?{urlencode(asked)}")
        code = parse_qs(urlsplit(fields.get("Location", "")).query).get("code", ["none"])[0]
        client.ask("POST", "/api/oauth2/Token", {**asked, "client_secret": CRM[1], "code": code})

    def login_imported(self, client):
        self.keep(client.token(IMPORTED))

    def introspect(self, client):
        self.introspect_one(client, self.some_token(client))

    def introspect_dead(self, client):
        self.introspect_one(client, random.choice(self.dead or ["never-issued"]))

    def introspect_one(self, client, token):
        proof = base64.b64encode(":".join(self.service).encode()).decode()
        client.ask("POST", "/api/v1/token/introspect", {"token": token}, Authorization=f"Basic {proof}")

    def revoke(self, client):
        token = self.some_token(client)
        client.ask("POST", "/api/v1/token/revoke", {"token": token}, Authorization=f"Bearer {token}")
        self.dead.append(token)
        if token in self.live:
            self.live.remove(token)

    def pass_gateway(self, client):
        client.ask("GET", "/forward-auth?scope=rows:read", Authorization=f"Bearer {self.some_token(client)}")

    def be_kept_out(self, client):
        client.ask("GET", "/forward-auth?scope=payments:send", Authorization=f"Bearer {self.some_token(client)}")

    def read_keys(self, client):
        client.ask("GET", "/.well-known/jwks.json")

    def read_list(self, client):
        client.ask("GET", "/api/v1/token/revoked")

    def ask_for_too_much(self, client):
        client.token(random.choice(self.agents), scope="admin:orgs")

    def send_wrong_secret(self, client):
        identity, secret = random.choice(self.agents)
        client.token((identity, secret[:-4] + "AAAA"))

    def send_wrong_foreign_secret(self, client):
        client.token((IMPORTED[0], "guessed"))

    def send_no_grant(self, client):
        client.ask("POST", "/api/v1/token", {"grant_type": "password"})

    def hire(self, client):
        """Makes an agent that gets a token. Its secret was never proven before, so it is hashed."""
        client.token(make_agent(client, "temporary", ["rows:read"]))

    def name_nobody(self, client):
        client.token(("nobody-has-this-id", self.agents[0][1]))


def load():
    """The share of its time in which a worker is busy: two slow waves, and a rush at three fifths."""
    at = elapsed() / SECONDS
    return 0.35 - 0.25 * math.cos(4 * math.pi * at) + (0.6 if 0.58 < at < 0.66 else 0)


def run_worker(traffic):
    client = Client()
    while elapsed() < SECONDS:
        began = time.monotonic()
        traffic.work(client)
        time.sleep(max(0.0, random.expovariate(1) * 0.12 / load() - (time.monotonic() - began)))


def run_verifier(agent, name):
    """A service that holds the revocation list, waits for news, and reports which version it enforces."""
    client, version, token, until = Client(), 0, None, 0.0
    while elapsed() < SECONDS:
        asked = elapsed()
        if asked >= until:
            token, until = client.token(agent), asked + 60
        fields = {"Sealwright_Verifier": f"{name}; version={version}", "Authorization": f"Bearer {token}"}
        wait = "&wait=5" if version else ""
        status, reply, _ = client.ask("GET", f"/api/v1/token/revoked?since={version}{wait}", **fields)
        news = status == 200 and reply["version"] != version
        if news:
            version = reply["version"]
        elif elapsed() - asked < 1:
            time.sleep(1)


def act_as_operator(stopped, refused):
    """Suspends an agent that goes on to ask, lets it work again, and rotates the key meanwhile."""
    client = Client()
    steps = [
        (0.25, "/api/v1/keys/rotate", {}),
        (0.40, f"/api/v1/agents/{stopped[0]}/suspend", {}),
        (0.62, "/api/v1/keys/rotate", {"now": True}),
        (0.75, f"/api/v1/agents/{stopped[0]}/reactivate", {}),
    ]
    for at, path, body in steps:
        time.sleep(max(0.0, at * SECONDS - elapsed()))
        status, reply = client.manage(path, body)
        if status != 200:
            refused.append(f"{path}: {status} {reply}")


def main():
    client = Client()
    client.manage("/api/v1/scopes", {"scope": "payments:send", "description": "Send payments"})
    agents = [make_agent(client, name, ["rows:read"]) for name in ["billing", "reports", "search"]]
    service = make_agent(client, "orders", ["tokens:read"])
    refused = []
    traffic = Traffic(agents, service)
    threads = [threading.Thread(target=run_worker, args=[traffic]) for _ in range(WORKERS)]
    threads += [threading.Thread(target=run_verifier, args=[service, f"orders/pod-{pod}"]) for pod in range(3)]
    threads += [threading.Thread(target=act_as_operator, args=[agents[2], refused])]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if refused:
        sys.exit(f"traffic.py: {refused}")


main()
