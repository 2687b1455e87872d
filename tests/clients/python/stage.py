"""A token server and a service at one address, for programs that get tokens. It counts their requests."""

import json
import threading
import urllib.error
import urllib.request
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from given import ISSUER, introspect


class Stage:
    """Forwards token requests to the server, and replaces the token's lifetime by `expires_in` seconds if that is
    set. To any other request it acts as a service: it answers 401 unless the token is live and made for `audience`."""

    def __init__(self, audience):
        self.audience, self.expires_in, self.issued, self.seen = audience, None, 0, []
        server = ThreadingHTTPServer(("127.0.0.1", 0), type("Handler", (_Handler,), {"stage": self}))
        self.url = "http://%s:%d" % server.server_address
        threading.Thread(target=server.serve_forever, daemon=True).start()


class _Handler(BaseHTTPRequestHandler):
    def do_POST(self):
        body = self.rfile.read(int(self.headers["Content-Length"]))
        kind = {"Content-Type": self.headers["Content-Type"]}
        try:
            with urllib.request.urlopen(urllib.request.Request(ISSUER + self.path, body, kind)) as answer:
                told = json.load(answer)
        except urllib.error.HTTPError as refusal:
            return self.answer(refusal.code, refusal.read())
        self.stage.issued += 1
        told["expires_in"] = self.stage.expires_in or told["expires_in"]
        self.answer(200, json.dumps(told).encode())

    def do_GET(self):
        token = self.headers["Authorization"].removeprefix("Bearer ")
        self.stage.seen.append(token)
        told = introspect(token)
        good = told["active"] and told["aud"] == self.stage.audience
        self.answer(200 if good else 401, b"rows" if good else b"")

    def answer(self, status, body):
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass
