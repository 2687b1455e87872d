"""A proxy for the server's documents that can be made to fail."""

import json
import threading
import time
import urllib.error
import urllib.request
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from given import ISSUER


class Front:
    """The proxy. Its mode is `pass` (forwards a request to the server), `unavailable` (answers 503 with JSON), `gone`
    (closes the connection), `keyless` (unavailable for the keys only), or `cut` (leaves out every `jti`, as the server
    does when an agent has too many)."""

    def __init__(self):
        self.mode, self.failures = "pass", 0
        handler = type("Handler", (_Handler,), {"front": self})
        server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
        self.url = "http://%s:%d" % server.server_address
        threading.Thread(target=server.serve_forever, daemon=True).start()


class _Handler(BaseHTTPRequestHandler):
    def do_GET(self):
        if self.front.mode == "gone":
            self.front.failures += 1
            return
        if self.front.mode == "unavailable" or self.front.mode == "keyless" and "jwks" in self.path:
            self.front.failures += 1
            self.answer(503, "", b'{"error":"temporarily_unavailable"}')
            return
        tag = {"If-None-Match": self.headers["If-None-Match"] or ""}
        try:
            with urllib.request.urlopen(urllib.request.Request(ISSUER + self.path, headers=tag)) as answer:
                document = json.load(answer)
        except urllib.error.HTTPError as error:
            self.answer(error.code, error.headers["ETag"], b"")
            return
        if self.front.mode == "cut":
            document["revoked_jtis"] = []
        self.answer(200, answer.headers["ETag"], json.dumps(document).encode())

    def answer(self, status, etag, body):
        self.send_response(status)
        self.send_header("ETag", etag)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass


def until(holds):
    deadline = time.monotonic() + 20
    while not holds():
        assert time.monotonic() < deadline, "it never came to be"
        time.sleep(0.02)
