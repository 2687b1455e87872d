"""A service that lets tokens in: the recipe's `service.py`. ISSUER, AUDIENCE and PORT are its settings."""

# recipe: service
import os
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import jwt
from verifier import Unavailable, Verifier

verifier = Verifier(os.environ.get("ISSUER", "http://localhost:3000"), os.environ.get("AUDIENCE", "https://api.example"))


class Service(BaseHTTPRequestHandler):
    def do_GET(self):
        scheme, _, token = self.headers.get("Authorization", "").partition(" ")
        if scheme.lower() != "bearer":
            return self.answer(401, "a token is needed\n", "Bearer")
        try:
            claims = verifier.verify(token)
        except Unavailable:
            # Not 401: a client would throw a good token away.
            return self.answer(503, "try again\n")
        except jwt.PyJWTError:
            return self.answer(401, "a valid token is needed\n", 'Bearer error="invalid_token"')
        if "db:read" not in claims["scope"].split():
            return self.answer(403, "the token lacks db:read\n", 'Bearer error="insufficient_scope", scope="db:read"')
        self.answer(200, f"rows for {claims['client_id']}\n")

    def answer(self, status, text, challenge=None):
        body = text.encode()
        self.send_response(status)
        if challenge:
            self.send_header("WWW-Authenticate", challenge)
        if status == 503:
            self.send_header("Retry-After", "5")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


if __name__ == "__main__":
    verifier.start()
    ThreadingHTTPServer(("127.0.0.1", int(os.environ.get("PORT", "8000"))), Service).serve_forever()
# end of recipe
