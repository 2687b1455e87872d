"""confluent-kafka (librdkafka): requests a token and sends it to a broker.

PyPI has no broker, so this file plays a small part of one: it takes the authentication of a connection
and introspects the token, as a broker's verifier would.
"""

import socketserver
import struct
import threading
import time

from confluent_kafka import KafkaError, Producer

from given import CLIENT_ID, CLIENT_SECRET, SCOPE, WRONG_SECRET, accepted, did, done, introspect, metadata, revoke

# The tokens that reached the broker, and whether they were live.
seen = []


class Broker(socketserver.StreamRequestHandler):
    """Kafka's wire protocol up to the end of authentication. Then it closes the connection; the client reconnects."""

    def handle(self):
        while size := self.rfile.read(4):
            request = self.rfile.read(struct.unpack(">i", size)[0])
            api, _version, correlation, client_id = struct.unpack(">hhih", request[:10])
            body = request[10 + client_id :]
            answer = {18: self.versions, 17: self.handshake, 36: self.authenticate}[api](body)
            self.wfile.write(struct.pack(">ii", 4 + len(answer), correlation) + answer)
            if api == 36:
                return

    def versions(self, _body):
        """ApiVersions 3: the requests that the broker accepts, with their versions."""
        apis = [(18, 0, 3), (17, 0, 1), (36, 0, 0)]
        listed = b"".join(struct.pack(">hhhb", *api, 0) for api in apis)
        return struct.pack(">hb", 0, len(apis) + 1) + listed + struct.pack(">ib", 0, 0)

    def handshake(self, _body):
        """SaslHandshake 1: the mechanisms."""
        return struct.pack(">hih", 0, 1, len(b"OAUTHBEARER")) + b"OAUTHBEARER"

    def authenticate(self, body):
        """SaslAuthenticate 0, which carries a message of RFC 7628."""
        token = body.split(b"auth=Bearer ")[1].split(b"\x01")[0].decode()
        live = introspect(token)["active"]
        seen.append((token, live))
        if live:
            return struct.pack(">hhi", 0, -1, 0)
        reason = b"the token is not active"
        return struct.pack(">hh", 58, len(reason)) + reason + struct.pack(">i", 0)


def connect(address, secret):
    """Returns a producer, and the list of authentication failures that it reports to its user."""
    failures = []

    def note(error):
        if error.code() == KafkaError._AUTHENTICATION:
            failures.append(error.str())

    return failures, Producer(
        {
            "bootstrap.servers": address,
            "security.protocol": "SASL_PLAINTEXT",
            "sasl.mechanisms": "OAUTHBEARER",
            "sasl.oauthbearer.method": "oidc",
            "sasl.oauthbearer.token.endpoint.url": metadata()["token_endpoint"],
            "sasl.oauthbearer.client.id": CLIENT_ID,
            "sasl.oauthbearer.client.secret": secret,
            "sasl.oauthbearer.scope": SCOPE,
            "reconnect.backoff.ms": 20,
            "reconnect.backoff.max.ms": 50,
            "error_cb": note,
            "log_level": 0,
        }
    )


def wait_for(producer, what):
    deadline = time.monotonic() + 20
    while not what():
        producer.poll(0.05)
        assert time.monotonic() < deadline, seen


server = socketserver.ThreadingTCPServer(("127.0.0.1", 0), Broker)
server.daemon_threads = True
threading.Thread(target=server.serve_forever, daemon=True).start()
address = "%s:%d" % server.server_address

failures, producer = connect(address, CLIENT_SECRET)
wait_for(producer, lambda: seen)
token, live = seen[0]
assert live and accepted(token) and not failures, failures
did("token handed to a broker")
revoke(token)
wait_for(producer, lambda: failures)
assert seen[-1] == (token, False) and "the token is not active" in failures[0], failures
did("refused there after revocation")

failures, wrong = connect(address, WRONG_SECRET)
wait_for(wrong, lambda: failures)
assert "invalid_client" in failures[0] and "Client authentication failed" in failures[0], failures
did("a wrong secret is `invalid_client`")

done("confluent-kafka")
