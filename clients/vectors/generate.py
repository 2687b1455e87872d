"""Writes the JSON files of this folder: `python clients/vectors/generate.py`. It needs `cryptography`.

RS256 signatures are a function of key and text, so the same run gives the same bytes.
"""

import base64
import hashlib
import hmac
import json
from pathlib import Path
from urllib.parse import quote_plus

from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import padding

HERE = Path(__file__).parent
NOW = 1_800_000_000
ISSUER = "https://auth.example"
AUDIENCE = "https://api.example"
DAY = 86_400


def b64(data):
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def compact(value):
    return json.dumps(value, separators=(",", ":"), ensure_ascii=False)


class Key:
    """A private key of `keys/`, and its public JWK with the RFC 7638 thumbprint as `kid`."""

    def __init__(self, name):
        self.pem = (HERE / "keys" / f"{name}.pem").read_bytes()
        self.private = serialization.load_pem_private_key(self.pem, None)
        numbers = self.private.public_key().public_numbers()
        size = (numbers.n.bit_length() + 7) // 8
        bare = {"e": b64(numbers.e.to_bytes(3, "big")), "kty": "RSA", "n": b64(numbers.n.to_bytes(size, "big"))}
        self.kid = b64(hashlib.sha256(compact(bare).encode()).digest())
        self.jwk = {**bare, "kid": self.kid, "use": "sig", "alg": "RS256"}
        self.public_pem = self.private.public_key().public_bytes(
            serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
        )

    def sign(self, text, scheme=None, digest=None):
        return self.private.sign(text.encode(), scheme or padding.PKCS1v15(), digest or hashes.SHA256())


FIRST, SECOND, STRANGER, SHORT = Key("first"), Key("second"), Key("stranger"), Key("short")
JWKS = {"keys": [FIRST.jwk, SECOND.jwk]}


def header(**changes):
    return drop({"alg": "RS256", "typ": "at+jwt", "kid": FIRST.kid, **changes})


def claims(**changes):
    return drop(
        {
            "iss": ISSUER,
            "sub": "reporter",
            "aud": AUDIENCE,
            "client_id": "reporter",
            "scope": "db:read",
            "jti": "0199f3a0-0000-7000-8000-000000000001",
            "epoch": 7,
            "iat": NOW - 10,
            "exp": NOW + 600,
            **changes,
        }
    )


def drop(members):
    return {name: value for name, value in members.items() if value is not Ellipsis}


def join(head, body, signature):
    """Parts that are text are JSON to be encoded; bytes are encoded as they are."""
    encode = lambda part: b64(part if isinstance(part, bytes) else part.encode())
    return f"{encode(head)}.{encode(body)}.{b64(signature)}"


def signed(head, body, key=FIRST, **how):
    head = head if isinstance(head, (str, bytes)) else compact(head)
    body = body if isinstance(body, (str, bytes)) else compact(body)
    unsigned = join(head, body, b"").rstrip(".")
    return f"{unsigned}.{b64(key.sign(unsigned, **how))}"


def token(head=None, key=FIRST, **changes):
    return signed(head or header(), claims(**changes), key)


def raw_claims(text):
    """A claims object with this text in place of its closing brace."""
    return compact(claims())[:-1] + text


# ---------------------------------------------------------------------------------------------------------------------


def tokens():
    cases = []

    def accept(name, token, at=None, **said):
        said = {
            "client_id": "reporter",
            "sub": "reporter",
            "scopes": ["db:read"],
            "aud": [AUDIENCE],
            "jti": claims()["jti"],
            "epoch": 7,
            "high_risk": False,
            **said,
        }
        cases.append({"name": name, "token": token, **({"at": at} if at else {}), "verdict": "accept", "claims": said})

    def refuse(reason, name, token, at=None):
        cases.append({"name": name, "token": token, **({"at": at} if at else {}), "verdict": reason})

    good = token()
    head, body, signature = good.split(".")

    accept("a genuine token", good)
    accept("a token of the other key", token(header(kid=SECOND.kid), SECOND))
    accept("an audience among several", token(aud=["https://other.example", AUDIENCE]), aud=["https://other.example", AUDIENCE])
    accept("several scopes", token(scope="db:read files:read db:write"), scopes=["db:read", "files:read", "db:write"])
    accept("no scope", token(scope=...), scopes=[])
    accept("high risk", token(scope="db:write", risk="high"), scopes=["db:write"], high_risk=True)
    accept("another word for the risk is none", token(risk="low"))
    accept("a token about a user", token(sub="user_42"), sub="user_42")
    accept("a member that nobody knows", token(later={"a": [1, None, True]}))
    accept("typ in another letter case", token(header(typ="AT+JWT")))
    accept("typ as a whole media type", token(header(typ="application/at+jwt")))
    accept("an id beyond ASCII in a claim that decides nothing", token(note="Zoë ☂"))
    accept("the last second", good, at=NOW + 599)
    accept("issued this second", token(iat=NOW))
    accept("a header that names a key of its own, signed by the issuer's", token(header(jwk=STRANGER.jwk, jku="https://evil.example")))
    accept("nbf in the past", token(nbf=NOW - 10))
    accept("a number as a fraction of zeros", signed(header(), compact(claims(exp="@")).replace('"@"', f"{NOW + 600}.0")))
    accept("a number with an exponent", signed(header(), compact(claims(epoch="@")).replace('"@"', "0.7e1")))
    accept("a number beyond doubles in a claim that decides nothing", signed(header(), raw_claims(',"a":[1e400],"b":{"c":-1e400}}')))
    accept("5,000 digits in a claim that decides nothing", signed(header(), raw_claims(f',"a":{"1" * 5_000}}}')))
    accept("64 levels", signed(header(), raw_claims(f',"a":{"[" * 63}{"]" * 63}}}')))
    accept("brackets within texts are no levels", token(note="[" * 100 + '"{' * 100))
    accept("scopes between several spaces", token(scope="  db:read   files:read "), scopes=["db:read", "files:read"])
    accept("scopes that hold other white space", token(scope="db:read\u00a0x files:read\tx"), scopes=["db:read\u00a0x", "files:read\tx"])
    accept("a pair of surrogates", signed(header(), raw_claims(',"a":"\\ud83d\\ude00"}')))
    for name, members in [
        ("a key that is none", {"jwk": {"kty": "bogus"}}),
        ("a private key", {"jwk": {**STRANGER.jwk, "d": "AQAB"}}),
        ("a text for a key", {"jwk": "x"}),
        ("a certificate that is none", {"x5c": ["AAAA"]}),
        ("a number for a nonce", {"nonce": 1}),
    ]:
        accept(f"a header with {name}, which nobody asks", token(header(**members)))
    accept("an organization", token(org_id="acme", org_epoch=4))
    accept("an organization that does not say its epoch, which is 0 then", token(org_id="acme"))

    refuse("malformed", "nothing", "")
    refuse("malformed", "one part", head)
    refuse("malformed", "two parts", f"{head}.{body}")
    refuse("malformed", "four parts", f"{good}.{signature}")
    refuse("malformed", "five parts, as an encrypted token has", f"{head}.{body}.{signature}.{body}.{signature}")
    refuse("malformed", "an empty header", f".{body}.{signature}")
    refuse("malformed", "an empty payload", f"{head}..{signature}")
    refuse("malformed", "an empty signature", f"{head}.{body}.")
    refuse("malformed", "padding", f"{head}=.{body}.{signature}")
    refuse("malformed", "the other base64 alphabet", f"{head}.{body}.{signature[:-4]}+/{signature[-2:]}")
    refuse("malformed", "a space in front", f" {good}")
    refuse("malformed", "a newline at the end", f"{good}\n")
    refuse("malformed", "a NUL inside", f"{head}.{body[:8]}\0{body[9:]}.{signature}")
    refuse("malformed", "not ASCII", f"{head}.{body[:8]}é{body[9:]}.{signature}")
    refuse("malformed", "a length that base64 cannot have", f"{head}.{body}.{signature[: len(signature) // 4 * 4]}a")
    refuse("malformed", "a header that is no JSON", join("{alg:RS256}", compact(claims()), b"x" * 256))
    refuse("malformed", "a header that is an array", join('["RS256"]', compact(claims()), b"x" * 256))
    refuse("malformed", "a header that is no UTF-8", join(b'{"alg":"RS256","typ":"\xff"}', compact(claims()), b"x" * 256))
    refuse("malformed", "a header with alg twice", signed('{"alg":"none",' + compact(header())[1:], claims()))
    refuse("malformed", "a header with kid twice", signed(compact(header())[:-1] + f',"kid":"{FIRST.kid}"}}', claims()))
    refuse("malformed", "a header of brackets within brackets", join("[" * 3000, compact(claims()), b"x" * 256))
    refuse("malformed", "a payload that is no JSON", signed(header(), "not json"))
    refuse("malformed", "a payload that is an array", signed(header(), "[1]"))
    refuse("malformed", "a payload that is no UTF-8", signed(header(), b'{"iss":"\xff"}'))
    refuse("malformed", "a payload with something behind it", signed(header(), compact(claims()) + "{}"))
    refuse("malformed", "a payload with exp twice", signed(header(), raw_claims(f',"exp":{NOW + 9_000}}}')))
    refuse("malformed", "a payload with aud twice", signed(header(), raw_claims(f',"aud":"{AUDIENCE}"}}')))
    refuse("malformed", "a payload with a repeated member inside", signed(header(), raw_claims(',"a":{"b":1,"b":2}}')))
    refuse("malformed", "a payload with NaN", signed(header(), raw_claims(',"a":NaN}')))
    for name, part in [("header", lambda text: signed(compact(header())[:-1] + text, claims())), ("payload", lambda text: signed(header(), raw_claims(text)))]:
        refuse("malformed", f"a {name} of 65 levels", part(f',"a":{"[" * 64}{"]" * 64}}}'))
        refuse("malformed", f"a {name} of 700 objects within objects", part(',"a":' + '{"a":' * 700 + "1" + "}" * 701))
        refuse("malformed", f"a {name} with half a character", part(',"a":"\\ud83d"}'))
        refuse("malformed", f"a {name} with the halves of a character in the wrong order", part(',"a":["\\ude00\\ud83d"]}'))
        refuse("malformed", f"a {name} with half a character for a name", part(',"\\uD83D":1}'))
        refuse("malformed", f"a {name} with half a character behind a backslash", part(',"a":"\\\\\\ud83d"}'))
    accept("a backslash and the name of half a character", signed(header(), raw_claims(',"a":"\\\\ud83d"}')))
    refuse("malformed", "8,193 bytes", [[f"{head}.", 1], ["A", 8193 - len(head) - len(signature) - 2], [f".{signature}", 1]])
    refuse("malformed", "a megabyte", [[f"{head}.", 1], ["A", 1_000_000], [f".{signature}", 1]])
    refuse("malformed", "a megabyte of dots", [[".", 1_000_000]])

    for alg in ["none", "None", "nOnE", "NONE"]:
        refuse("algorithm", f"unsigned, alg {alg}", join(compact(header(alg=alg)), compact(claims()), b"x"))
        refuse("algorithm", f"alg {alg} with a genuine signature", f"{b64(compact(header(alg=alg)).encode())}.{body}.{signature}")
    for name, secret in [("PEM", FIRST.public_pem), ("JWK", compact(FIRST.jwk).encode()), ("modulus", FIRST.jwk["n"].encode())]:
        unsigned = join(compact(header(alg="HS256")), compact(claims()), b"").rstrip(".")
        mac = hmac.new(secret, unsigned.encode(), hashlib.sha256).digest()
        refuse("algorithm", f"HS256 with the public key as the secret ({name})", f"{unsigned}.{b64(mac)}")
    unsigned = join(compact(header(alg="RS384")), compact(claims()), b"").rstrip(".")
    refuse("algorithm", "RS384 by the right key", f"{unsigned}.{b64(FIRST.sign(unsigned, digest=hashes.SHA384()))}")
    # RSA-PSS draws a salt, so its signature is not made anew: any bytes do, since alg is looked at first.
    refuse("algorithm", "PS256", join(compact(header(alg="PS256")), compact(claims()), b"p" * 256))
    refuse("algorithm", "ES256", join(compact(header(alg="ES256")), compact(claims()), b"e" * 64))
    refuse("algorithm", "EdDSA", join(compact(header(alg="EdDSA")), compact(claims()), b"e" * 64))
    refuse("algorithm", "alg in another letter case", signed(header(alg="rs256"), claims()))
    refuse("algorithm", "no alg", signed(header(alg=...), claims()))
    refuse("algorithm", "alg as an array", signed(header(alg=["RS256"]), claims()))
    refuse("algorithm", "alg null", signed(header(alg=None), claims()))

    refuse("type", "typ JWT", signed(header(typ="JWT"), claims()))
    refuse("type", "no typ", signed(header(typ=...), claims()))
    refuse("type", "typ of an ID token", signed(header(typ="id+jwt"), claims()))
    refuse("type", "typ of a logout token", signed(header(typ="logout+jwt"), claims()))
    refuse("type", "typ of a client's assertion", signed(header(typ="client-authentication+jwt"), claims()))
    refuse("type", "typ that begins like the right one", signed(header(typ="at+jwt2"), claims()))
    refuse("type", "typ with a letter that is none of ASCII", signed(header(typ="APPL\u0130CATION/at+jwt"), claims()))
    refuse("type", "typ null", signed(header(typ=None), claims()))
    refuse("type", "typ as an array", signed(header(typ=["at+jwt"]), claims()))

    refuse("critical", "crit with a name that nobody knows", signed(header(crit=["x"], x=1), claims()))
    refuse("critical", "crit with exp", signed(header(crit=["exp"], exp=NOW + 600), claims()))
    refuse("critical", "crit empty", signed(header(crit=[]), claims()))
    refuse("critical", "b64 false", signed(header(crit=["b64"], b64=False), claims()))
    for value in [True, False, None]:
        refuse("critical", f"b64 {value} without crit", signed(header(b64=value), claims()))
    refuse("critical", "crit null", signed(header(crit=None), claims()))

    refuse("key", "no kid", signed(header(kid=...), claims()))
    refuse("key", "kid null", signed(header(kid=None), claims()))
    refuse("key", "kid a number", signed(header(kid=1), claims()))
    refuse("key", "kid empty", signed(header(kid=""), claims()))
    refuse("key", "kid unknown", signed(header(kid=STRANGER.kid), claims(), STRANGER))
    refuse("key", "no kid and a key of its own", signed(header(kid=..., jwk=STRANGER.jwk), claims(), STRANGER))
    refuse("key", "kid unknown and a key of its own", signed(header(kid=STRANGER.kid, jwk=STRANGER.jwk), claims(), STRANGER))
    refuse("key", "kid unknown and an address of keys", signed(header(kid=STRANGER.kid, jku="https://evil.example/jwks"), claims(), STRANGER))
    refuse("key", "kid of a path", signed(header(kid="../../dev/null"), claims()))
    refuse("key", "kid of SQL", signed(header(kid="' OR 1=1--"), claims()))
    refuse("key", "kid with a NUL", signed(header(kid=f"{FIRST.kid}\0"), claims()))
    refuse("key", "kid __proto__", signed(header(kid="__proto__"), claims()))
    refuse("key", "kid constructor", signed(header(kid="constructor"), claims()))
    refuse("key", "kid in another letter case", signed(header(kid=FIRST.kid.swapcase()), claims()))

    refuse("signature", "a stranger's signature under a known kid", signed(header(), claims(), STRANGER))
    refuse("signature", "a stranger's signature and key under a known kid", signed(header(jwk=STRANGER.jwk), claims(), STRANGER))
    refuse("signature", "the signature of a short key under a known kid", signed(header(), claims(), SHORT))
    refuse("signature", "the right key under the other's kid", signed(header(kid=SECOND.kid), claims()))
    refuse("signature", "a changed payload", f"{head}.{b64(compact(claims(scope='db:write')).encode())}.{signature}")
    refuse("signature", "another token's signature", f"{head}.{body}.{token(jti='x').split('.')[2]}")
    refuse("signature", "a signature cut by a byte", f"{head}.{body}.{b64(FIRST.sign(f'{head}.{body}')[:-1])}")
    refuse("signature", "a signature with a byte more", f"{head}.{body}.{b64(FIRST.sign(f'{head}.{body}') + bytes(1))}")
    refuse("signature", "one byte", f"{head}.{body}.AA")
    refuse("signature", "zeros", f"{head}.{body}.{b64(bytes(256))}")
    refuse("signature", "of RSA-SHA512 under RS256", f"{head}.{body}.{b64(FIRST.sign(f'{head}.{body}', digest=hashes.SHA512()))}")
    refuse("signature", "a payload that is no JSON, unsigned", join(compact(header()), "not json", bytes(256)))

    for name in ["iss", "sub", "aud", "client_id", "jti", "epoch", "iat", "exp"]:
        refuse("claims", f"no {name}", token(**{name: ...}))
        refuse("claims", f"{name} null", token(**{name: None}))
    for name in ["sub", "client_id", "jti"]:
        refuse("claims", f"{name} a number", token(**{name: 7}))
        refuse("claims", f"{name} empty", token(**{name: ""}))
        refuse("claims", f"{name} an array", token(**{name: ["reporter"]}))
    refuse("claims", "iss an array", token(iss=[ISSUER]))
    refuse("claims", "scope an array", token(scope=["db:read"]))
    refuse("claims", "scope null", token(scope=None))
    refuse("claims", "scope a number", token(scope=1))
    refuse("claims", "aud a number", token(aud=1))
    refuse("claims", "aud an object", token(aud={AUDIENCE: True}))
    refuse("claims", "aud with a number", token(aud=[AUDIENCE, 1]))
    refuse("claims", "aud with an array", token(aud=[[AUDIENCE]]))
    refuse("claims", "nbf a text", token(nbf="now"))
    refuse("claims", "risk a number", token(risk=1))
    refuse("claims", "an organization without a name", token(org_id="", org_epoch=4))
    refuse("claims", "an organization that is a number", token(org_id=7, org_epoch=4))
    refuse("claims", "an organization's epoch in a text", token(org_id="acme", org_epoch="4"))
    for name in ["exp", "iat", "epoch"]:
        refuse("claims", f"{name} a text", token(**{name: "never"}))
        refuse("claims", f"{name} a number in a text", token(**{name: str(NOW + 600)}))
        refuse("claims", f"{name} an array", token(**{name: []}))
        refuse("claims", f"{name} true", token(**{name: True}))
        refuse("claims", f"{name} a fraction", token(**{name: NOW - 0.5 if name == "iat" else NOW + 600.5}))
        refuse("claims", f"{name} negative", token(**{name: -1}))
        refuse("claims", f"{name} beyond 2^53", token(**{name: 2**63 - 1}))
        refuse("claims", f"{name} of 5,000 digits", signed(header(), compact(claims(**{name: "@"})).replace('"@"', "1" * 5_000)))
        refuse("claims", f"{name} beyond doubles", signed(header(), compact(claims(**{name: "@"})).replace('"@"', "1e400")))

    for name, issuer in [
        ("another", "https://evil.example"),
        ("with a slash behind it", f"{ISSUER}/"),
        ("a beginning of it", ISSUER[:-1]),
        ("with something behind it", f"{ISSUER}.evil.example"),
        ("with something before it", f"https://evil.example/{ISSUER}"),
        ("in another letter case", ISSUER.upper()),
        ("empty", ""),
    ]:
        refuse("issuer", f"issuer: {name}", token(iss=issuer))
    for name, audience in [
        ("another", "https://other.example"),
        ("others", ["https://other.example", "https://third.example"]),
        ("the issuer", ISSUER),
        ("with a slash behind it", f"{AUDIENCE}/"),
        ("a beginning of it", AUDIENCE[:-1]),
        ("within a text", f"https://other.example {AUDIENCE}"),
        ("in another letter case", AUDIENCE.upper()),
        ("empty", ""),
        ("none in the array", []),
    ]:
        refuse("audience", f"audience: {name}", token(aud=audience))

    refuse("expired", "the second exp itself", good, at=NOW + 600)
    refuse("expired", "a second after", good, at=NOW + 601)
    refuse("expired", "long ago", token(iat=NOW - 90_000, exp=NOW - 3_600))
    refuse("expired", "exp 0", token(exp=0))
    refuse("not_yet_valid", "issued in a second", token(iat=NOW + 1))
    refuse("not_yet_valid", "issued tomorrow", token(iat=NOW + DAY, exp=NOW + 2 * DAY))
    refuse("not_yet_valid", "nbf in a second", token(nbf=NOW + 1))

    return {"now": NOW, "issuer": ISSUER, "audience": AUDIENCE, "jwks": JWKS, "cases": cases}


# ---------------------------------------------------------------------------------------------------------------------


# No error may show it, as it is or as a form has it.
SECRET = "v3ry+secret/of=this one"


def errors():
    cases = []

    def case(name, status, body, error, retry_after=None, resets_in=None, **headers):
        text = body if isinstance(body, str) else compact(body)
        kind = "application/json" if text.startswith("{") else "text/plain"
        headers = {"Content-Type": kind, **{key.replace("_", "-"): value for key, value in headers.items()}}
        cases.append(
            {
                "name": name,
                "answer": {"status": status, "headers": headers, "body": text},
                "error": error,
                "retry_after": retry_after,
                "resets_in": resets_in,
            }
        )

    wrong = "Client authentication failed. Invalid client_id or client_secret."
    suspended = "Agent is currently suspended and cannot obtain tokens."
    decommissioned = "Agent is decommissioned and cannot obtain tokens."
    month = "Free tier monthly token limit of 10,000 requests has been reached."
    away = "The service is temporarily unavailable. Retry later."
    limit = {"RateLimit_Policy": '"month";q=10000;w=2592000', "RateLimit": '"month";r=0;t=86400'}

    def plain(error, text):
        return {"error": error, "error_description": text}

    canonical = "canonical: "
    case(canonical + "wrong secret", 401, plain("invalid_client", wrong), "InvalidClient")
    case(canonical + "suspended", 403, plain("unauthorized_client", suspended), "AgentSuspended")
    case(canonical + "decommissioned", 403, plain("unauthorized_client", decommissioned), "InvalidClient")
    case(canonical + "quota", 403, plain("unauthorized_client", month), "QuotaReached", resets_in=86400, **limit)
    case(canonical + "quota, the count was lost", 403, plain("unauthorized_client", month), "QuotaReached")
    case(canonical + "scope not allowed", 400, plain("invalid_scope", "A requested scope is not allowed for this client."), "ScopeDenied")
    case(canonical + "no scopes", 400, plain("invalid_scope", "This client is not allowed any scope."), "ScopeDenied")
    case(canonical + "audience", 400, plain("invalid_target", "The requested audience is not allowed for this client."), "InvalidRequest")
    case(canonical + "request", 400, plain("invalid_request", "The audience parameter is malformed."), "InvalidRequest")
    case(canonical + "grant", 400, plain("unsupported_grant_type", "Only 'client_credentials' grant type is supported."), "InvalidRequest")
    case(canonical + "rate", 429, plain("slow_down", "Too many requests. Retry later."), "RateLimited", 7, Retry_After="7")
    case(canonical + "store down", 503, plain("temporarily_unavailable", away), "Unavailable", 1, Retry_After="1")
    case(canonical + "fault", 500, plain("server_error", "An internal error occurred."), "Unavailable")
    case(canonical + "slow body", 408, plain("invalid_request", "The body did not arrive in time."), "Unavailable")

    def oculus(code, error_code, text, message=None):
        return {
            "error": {"code": code, "message": text, "request_id": "r-1"},
            "error_code": error_code,
            "message": message or text,
            "details": None,
            "error_description": text,
        }

    name = "oculus_orum: "
    case(name + "wrong secret", 401, oculus("AUTH_INVALID_CREDENTIALS", "unauthorized", wrong), "InvalidClient")
    case(name + "suspended", 403, oculus("AUTH_AGENT_SUSPENDED", "forbidden", suspended), "AgentSuspended")
    case(name + "decommissioned", 401, oculus("AUTH_AGENT_REVOKED", "unauthorized", decommissioned), "InvalidClient")
    case(name + "quota", 403, oculus("QUOTA_EXCEEDED", "forbidden", month), "QuotaReached", resets_in=86400, **limit)
    case(name + "quota, the count was lost", 403, oculus("QUOTA_EXCEEDED", "forbidden", month), "QuotaReached")
    case(name + "scope not allowed", 403, oculus("POLICY_SCOPE_DENIED", "forbidden", "A requested scope is not allowed for this client."), "ScopeDenied")
    case(name + "scope malformed", 400, oculus("VALIDATION_ERROR", "bad_request", "The scope parameter is malformed."), "InvalidRequest")
    case(name + "audience", 400, oculus("VALIDATION_ERROR", "bad_request", "The requested audience is not allowed for this client."), "InvalidRequest")
    case(name + "no secret", 400, oculus("VALIDATION_ERROR", "missing_client_secret", "client_secret is required"), "InvalidRequest")
    case(
        name + "rate", 429, oculus("RATE_LIMIT_EXCEEDED", "too_many_requests", "Too many requests. Retry later.", "Too Many Requests"),
        "RateLimited", 2, Retry_After="2", X_Retry_In="1.250s",
    )
    case(name + "store down", 503, oculus("SERVICE_UNAVAILABLE", "service_unavailable", away), "Unavailable", 1, Retry_After="1")
    case(name + "fault", 500, oculus("INTERNAL_ERROR", "internal_server_error", "An internal error occurred."), "Unavailable")

    def problem(status, title, detail=None):
        return drop({"type": "about:blank", "title": title, "status": status, "detail": detail or ..., "traceId": "r-1"})

    name = "airisk: "
    case(name + "wrong secret", 401, problem(401, "Unauthorized"), "InvalidClient")
    case(name + "suspended", 403, problem(403, "Forbidden", suspended), "AgentSuspended")
    case(name + "decommissioned", 403, problem(403, "Forbidden", decommissioned), "InvalidClient")
    case(name + "quota", 403, problem(403, "Forbidden", month), "QuotaReached")
    case(name + "no scopes", 403, problem(403, "Forbidden", "This client is not allowed any scope."), "ScopeDenied")
    case(name + "code", 400, "Invalid Code", "InvalidRequest")
    case(name + "client id", 400, "Invalid client_id", "InvalidRequest")
    case(name + "rate", 429, problem(429, "Too Many Requests", "Too many requests. Retry later."), "RateLimited", 3, Retry_After="3")
    case(name + "store down", 503, problem(503, "Service Unavailable", away), "Unavailable", 1, Retry_After="1")

    name = "not Sealwright's: "
    case(name + "a proxy's page with 502", 502, "<html>Bad Gateway</html>", "Unavailable")
    case(name + "a proxy's page with 503 that says when", 503, "<html></html>", "Unavailable", 120, Retry_After="120")
    case(name + "a firewall's page with 403", 403, "<html>Forbidden</html>", "Unavailable")
    case(name + "a proxy's page with 401", 401, "<html>Unauthorized</html>", "Unavailable")
    case(name + "JSON of somebody else with 403", 403, {"message": "Forbidden"}, "Unavailable")
    case(name + "an empty 429", 429, "", "RateLimited")
    case(name + "a page with 404", 404, "<html>Not Found</html>", "Unavailable")
    case(name + "a redirection", 302, "", "Unavailable", Location="https://login.example/")
    case(name + "a 200 that is a page", 200, "<html>Sign in to the network</html>", "Unavailable")
    case(name + "an empty 200", 200, "", "Unavailable")
    case(name + "a 204", 204, "", "Unavailable")
    case(name + "a 200 without a token", 200, {"token_type": "Bearer", "expires_in": 600}, "Unavailable")
    case(name + "a 200 with an empty token", 200, {"access_token": "", "token_type": "Bearer", "expires_in": 600}, "Unavailable")
    case(name + "a 200 with a token that no header can hold", 200, {"access_token": "a\r\nb", "token_type": "Bearer", "expires_in": 600}, "Unavailable")
    case(name + "a 200 without a lifetime", 200, {"access_token": "t", "token_type": "Bearer"}, "Unavailable")
    case(name + "a 200 with a lifetime of text", 200, {"access_token": "t", "token_type": "Bearer", "expires_in": "600"}, "Unavailable")
    case(name + "a 200 with a negative lifetime", 200, {"access_token": "t", "token_type": "Bearer", "expires_in": -1}, "Unavailable")
    case(name + "a 200 with a lifetime of 0", 200, {"access_token": "t", "token_type": "Bearer", "expires_in": 0}, "Unavailable")
    case(name + "a 200 with a lifetime beyond doubles", 200, '{"access_token":"t","token_type":"Bearer","expires_in":1e400}', "Unavailable")
    case(name + "a 200 with a token of another type", 200, {"access_token": "t", "token_type": "DPoP", "expires_in": 600}, "Unavailable")
    case(name + "a 200 that is an array", 200, "[]", "Unavailable")
    case(name + "error as an array", 400, {"error": ["invalid_client"]}, "InvalidRequest")
    case(name + "Retry-After as no number", 429, plain("slow_down", "x"), "RateLimited", Retry_After="soon")
    case(name + "Retry-After negative", 503, plain("temporarily_unavailable", "x"), "Unavailable", Retry_After="-5")
    case(name + "RateLimit beyond every calendar", 403, oculus("QUOTA_EXCEEDED", "forbidden", month), "QuotaReached", RateLimit='"month";r=0;t=999999999999999')
    case(name + "RateLimit that is cut off", 403, oculus("QUOTA_EXCEEDED", "forbidden", month), "QuotaReached", RateLimit='"month";r=0;t=')
    case(
        name + "RateLimit in another order, beside another", 403, oculus("QUOTA_EXCEEDED", "forbidden", month), "QuotaReached", resets_in=60,
        RateLimit='"burst";r=5;t=1, "month";t=60;r=0',
    )

    name = "repeats what was sent: "
    sent = "client_id=a&client_secret=" + quote_plus(SECRET)
    case(name + "the secret in the sentence", 401, plain("invalid_client", f"no client with {SECRET}, {SECRET}"), "InvalidClient")
    case(name + "the form", 400, plain("invalid_request", f"cannot read {sent}"), "InvalidRequest")
    case(name + "the secret as the code", 400, plain(SECRET, ""), "InvalidRequest")
    case(name + "the secret in an object", 400, {"error": {"code": SECRET, "message": f"no {SECRET}", "request_id": SECRET}}, "InvalidRequest")
    case(name + "the secret in a problem", 400, problem(400, f"Bad {SECRET}", f"no {SECRET}"), "InvalidRequest")
    case(name + "the secret in a header", 401, plain("invalid_client", wrong), "InvalidClient", X_Request_ID=SECRET)
    case(name + "at the end of what is told", 401, plain("invalid_client", "x" * 190 + SECRET), "InvalidClient")
    case("endless: the sentence", 401, plain("invalid_client", "x" * 20_000), "InvalidClient")
    case("endless: the code", 400, plain("x" * 20_000, ""), "InvalidRequest")
    case("endless: the request id", 401, plain("invalid_client", wrong), "InvalidClient", X_Request_ID="x" * 2_000)
    case("forges lines of a log: the sentence", 401, plain("invalid_client", "\x1b[31mred\r\n2026-01-01 INFO granted\u2028x"), "InvalidClient")
    case("forges lines of a log: the code", 400, plain("a\r\n2026-01-01 INFO granted", ""), "InvalidRequest")
    return {"secret": SECRET, "cases": cases}


# ---------------------------------------------------------------------------------------------------------------------

READ = {"scope": "db:read", "audience": AUDIENCE}


def token_source():
    cases = []
    bodies = {case["name"]: case["answer"] for case in errors()["cases"]}
    say = lambda name: bodies[f"oculus_orum: {name}"]
    give = lambda name, life=600: {"token": name, "expires_in": life}
    down, gone = say("store down"), "unreachable"

    def case(name, *steps):
        cases.append({"name": name, "steps": list(steps)})

    def ask(returns=None, requests=None, server=None, raises=None, key=None, callers=None, **more):
        step = {"token": READ if key is None else key, "server": server, "returns": returns, "raises": raises, "callers": callers, "requests": requests, **more}
        return {name: value for name, value in step.items() if value is not None}

    def rejected(token, returns, requests, server=None, raises=None, key=None):
        step = {"rejected": token, "token": READ if key is None else key, **({"server": server} if server else {})}
        return {**step, **({"raises": raises} if raises else {"returns": returns}), "requests": requests}

    advance = lambda seconds: {"advance": seconds}
    stepped = lambda seconds: {"step": seconds}
    either = ["t1", "t2"]

    case("one token for many calls", ask("t1", 1, give("t1")), ask("t1", 1), advance(400), ask("t1", 1))
    case("no renewal before 70 % of its life", ask("t1", 1, give("t1")), advance(419), ask("t1", 1))
    case("a use after 80 % of its life renews it", ask("t1", 1, give("t1")), advance(481), ask(either, 2, give("t2")), ask("t2", 2))
    case("nothing is renewed without a use", ask("t1", 1, give("t1")), advance(10_000), ask("t2", 2, give("t2")))
    case("a token of an hour is renewed by its own life", ask("t1", 1, give("t1", 3_600)), advance(2_500), ask("t1", 1), advance(500), ask(either, 2, give("t2")))
    case("a token of 300 s", ask("t1", 1, give("t1", 300)), advance(200), ask("t1", 1), advance(41), ask(either, 2, give("t2", 300)), ask("t2", 2))
    case("a token that lives 5 s or less serves the callers that asked for it", ask("t1", 1, give("t1", 4)), ask("t2", 2, give("t2", 4)))

    other_scope, other_audience = {**READ, "scope": "db:write"}, {**READ, "audience": "https://other.example"}
    case(
        "every parameter is part of the key",
        ask("t1", 1, give("t1")), ask("t2", 2, give("t2"), key=other_scope), ask("t3", 3, give("t3"), key=other_audience),
        ask("t4", 4, give("t4"), key={}), ask("t5", 5, give("t5"), key={"scope": "db:read"}), ask("t6", 6, give("t6"), key={"audience": AUDIENCE}),
        ask("t1", 6), ask("t2", 6, key=other_scope), ask("t3", 6, key=other_audience), ask("t4", 6, key={}), ask("t5", 6, key={"scope": "db:read"}),
        ask("t6", 6, key={"audience": AUDIENCE}),
    )
    case("many callers at once make one request", ask("t1", 1, give("t1"), callers=100), advance(481), ask(either, 2, give("t2"), callers=100), ask("t2", 2))
    case("many callers at once share one failure", ask(raises="Unavailable", requests=1, server=gone, callers=100), ask(raises="Unavailable", requests=1))

    case(
        "the live token is handed out until 5 s before its end",
        ask("t1", 1, give("t1")), advance(500), ask("t1", 2, gone), advance(29), ask("t1", 2), advance(2), ask("t1", 3, gone),
        advance(31), ask("t1", 4, gone), advance(32), ask("t1", 5, gone), advance(2), ask(raises="Unavailable", requests=5),
        advance(31), ask("t2", 6, give("t2")),
    )
    case("after a failed try none for 30 s", ask(raises="Unavailable", requests=1, server=gone), advance(29), ask(raises="Unavailable", requests=1), advance(2), ask("t1", 2, give("t1")))
    case("Retry-After says when", ask(raises="Unavailable", requests=1, server=down, retry_after=1), advance(2), ask("t1", 2, give("t1")))
    late = {**down, "headers": {**down["headers"], "Retry-After": "120"}}
    case("a long Retry-After says when", ask(raises="Unavailable", requests=1, server=late, retry_after=120), advance(118), ask(raises="Unavailable", requests=1), advance(3), ask("t1", 2, give("t1")))
    for_ever = {**down, "headers": {**down["headers"], "Retry-After": "99999999"}}
    case("a Retry-After of years is an hour", ask(raises="Unavailable", requests=1, server=for_ever), advance(3_590), ask(raises="Unavailable", requests=1), advance(11), ask("t1", 2, give("t1")))
    at_once = {**down, "headers": {**down["headers"], "Retry-After": "0"}}
    case("a Retry-After of 0 is a second", ask(raises="Unavailable", requests=1, server=at_once), ask(raises="Unavailable", requests=1), advance(1.5), ask("t1", 2, give("t1")))
    case("over the rate", ask(raises="RateLimited", requests=1, server=say("rate"), retry_after=2), ask(raises="RateLimited", requests=1), advance(3), ask("t1", 2, give("t1")))
    case("over the rate with a live token", ask("t1", 1, give("t1")), advance(500), ask("t1", 2, say("rate")), ask("t1", 2), advance(3), ask(either, 3, give("t2")))
    case("a page of a proxy is no verdict", ask("t1", 1, give("t1")), advance(500), ask("t1", 2, bodies["not Sealwright's: a firewall's page with 403"]), ask("t1", 2))

    case("a wrong secret", ask(raises="InvalidClient", requests=1, server=say("wrong secret")), ask(raises="InvalidClient", requests=1), advance(31), ask("t1", 2, give("t1")))
    case("a scope that is not allowed, beside one that is", ask(raises="ScopeDenied", requests=1, server=say("scope not allowed"), key=other_scope), ask("t1", 2, give("t1")), ask(raises="ScopeDenied", requests=2, key=other_scope))
    case(
        "a suspended agent is tried again after 30 s",
        ask("t1", 1, give("t1")), advance(500), ask("t1", 2, say("suspended")), advance(29), ask("t1", 2), advance(2), ask("t1", 3, say("suspended")),
        advance(65), ask(raises="AgentSuspended", requests=4, server=say("suspended")), ask(raises="AgentSuspended", requests=4), advance(31), ask("t2", 5, give("t2")),
    )
    hurried = say("suspended")
    hurried = {**hurried, "headers": {**hurried["headers"], "Retry-After": "1"}}
    case("a suspended agent is never tried sooner", ask(raises="AgentSuspended", requests=1, server=hurried), advance(29), ask(raises="AgentSuspended", requests=1), advance(2), ask("t1", 2, give("t1")))
    quota = say("quota")
    case(
        "a quota is terminal until its reset, for every key",
        ask(raises="QuotaReached", requests=1, server=quota, resets_in=86_400), ask(raises="QuotaReached", requests=1), ask(raises="QuotaReached", requests=1, key=other_scope),
        advance(86_000), ask(raises="QuotaReached", requests=1, resets_in=400), advance(401), ask("t1", 2, give("t1")),
    )
    case("a quota leaves the live token", ask("t1", 1, give("t1")), advance(500), ask("t1", 2, quota), advance(31), ask("t1", 2), advance(65), ask(raises="QuotaReached", requests=2))
    case("a quota without a reset is tried again after 30 s", ask(raises="QuotaReached", requests=1, server=say("quota, the count was lost")), advance(31), ask("t1", 2, give("t1")))

    case("a rejected token is renewed once", ask("t1", 1, give("t1")), advance(31), rejected("t1", "t2", 2, give("t2")), ask("t2", 2))
    case(
        "rejections make no loop",
        ask("t1", 1, give("t1")), advance(31), rejected("t1", "t2", 2, give("t2")), rejected("t2", None, 2), rejected("t2", None, 2), ask("t2", 2),
        advance(31), rejected("t2", "t3", 3, give("t3")),
    )
    case("a token that was replaced meanwhile needs no request", ask("t1", 1, give("t1")), advance(31), rejected("t1", "t2", 2, give("t2")), rejected("t1", "t2", 2))
    case("a forced renewal that fails leaves the token", ask("t1", 1, give("t1")), advance(31), rejected("t1", None, 2, gone), ask("t1", 2))
    case("a forced renewal within a failed try's 30 s asks nobody", ask("t1", 1, give("t1")), advance(500), ask("t1", 2, gone), rejected("t1", None, 2), ask("t1", 2))
    case("a forced renewal of a suspended agent drops the token", ask("t1", 1, give("t1")), advance(31), rejected("t1", None, 2, say("suspended"), "AgentSuspended"), ask(raises="AgentSuspended", requests=2))
    case("a forced renewal with a wrong secret drops the token", ask("t1", 1, give("t1")), advance(31), rejected("t1", None, 2, say("wrong secret"), "InvalidClient"), ask(raises="InvalidClient", requests=2))

    case("the time of day set a day ahead changes nothing", ask("t1", 1, give("t1")), stepped(DAY), ask("t1", 1), advance(481), ask(either, 2, give("t2")))
    case("the time of day set a day back changes nothing", ask("t1", 1, give("t1")), stepped(-DAY), advance(481), ask(either, 2, give("t2")), advance(10_000), ask("t3", 3, give("t3")))
    case(
        "an outage of an hour and its end",
        ask("t1", 1, give("t1", 3_600)), advance(3_000), ask("t1", 2, gone), advance(400), ask("t1", 3, gone), advance(300), ask(raises="Unavailable", requests=4, server=gone),
        advance(31), ask("t2", 5, give("t2", 3_600)), ask("t2", 5),
    )
    return {"now": NOW, "cases": cases}


# ---------------------------------------------------------------------------------------------------------------------


def credentials():
    cases = []
    identity, secret, both = "SEALWRIGHT_IDENTITY_TOKEN_FILE", "SEALWRIGHT_CLIENT_SECRET", "SEALWRIGHT_CLIENT_SECRET_FILE"
    env = lambda **more: {"SEALWRIGHT_CLIENT_ID": "of-environment", **more}
    by_secret = lambda client_id, text: {"client_id": client_id, "client_secret": text}
    jwt_bearer = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
    by_assertion = lambda client_id, text: {"client_id": client_id, "client_assertion_type": jwt_bearer, "client_assertion": text}

    def case(name, *steps, given=None, environment=None):
        what = {"given": given or {}, "environment": environment or {}}
        cases.append({"name": name, **what, **({"steps": list(steps)} if steps else {"refused": True})})

    def step(sends, **files):
        return {"files": files, "sends": sends}

    case(
        "a file with an assertion, read anew for each token",
        step(by_assertion("a", "one.of.these"), jwt="one.of.these"), step(by_assertion("a", "two.of.these"), jwt="two.of.these\n"),
        step(by_assertion("a", "three.of.these"), jwt="three.of.these\r\n"),
        given={"client_id": "a", "assertion_file": "file:jwt"},
    )
    case("the same from the environment", step(by_assertion("of-environment", "x.y.z"), jwt="x.y.z\n"), environment=env(**{identity: "file:jwt"}))
    case(
        "an id that is given, and a file of the environment",
        step(by_assertion("a", "x.y.z"), jwt="x.y.z"), given={"client_id": "a"}, environment=env(**{identity: "file:jwt"}),
    )
    case(
        "a file that is given, and an id of the environment",
        step(by_assertion("of-environment", "x.y.z"), jwt="x.y.z"), given={"assertion_file": "file:jwt"}, environment=env(),
    )
    case(
        "a file that comes later, and goes",
        step(None), step(None, jwt=""), step(by_assertion("a", "x.y.z"), jwt="x.y.z"), step(None, jwt=None),
        given={"client_id": "a", "assertion_file": "file:jwt"},
    )
    case(
        "a secret of the environment comes before an assertion",
        step(by_secret("of-environment", "s"), jwt="x.y.z"), environment=env(**{secret: "s", identity: "file:jwt"}),
    )
    case(
        "so does a file with a secret",
        step(by_secret("of-environment", "s"), jwt="x.y.z", secret="s\n"), environment=env(**{both: "file:secret", identity: "file:jwt"}),
    )
    case(
        "an empty variable is absent",
        step(by_assertion("of-environment", "x.y.z"), jwt="x.y.z"), environment=env(**{secret: "", both: "", identity: "file:jwt"}),
    )
    case(
        "an assertion that is given comes before a secret of the environment",
        step(by_assertion("a", "x.y.z"), jwt="x.y.z"), given={"client_id": "a", "assertion_file": "file:jwt"}, environment=env(**{secret: "s"}),
    )
    case(
        "a secret that is given comes before an assertion of the environment",
        step(by_secret("a", "s"), jwt="x.y.z"), given={"client_id": "a", "client_secret": "s"}, environment=env(**{identity: "file:jwt"}),
    )
    case("no id for an assertion", environment={identity: "file:jwt"})
    case("no id for an assertion that is given", given={"assertion_file": "file:jwt"})
    case("an empty variable is no assertion", environment=env(**{identity: ""}))
    return {"cases": cases}


def hashed(agent):
    return b64(hashlib.sha256(agent.encode()).digest())


def feed():
    def long_lived(jti, agent, key=FIRST, **more):
        return token(header(kid=key.kid), key, jti=jti, sub=agent, client_id=agent, iat=NOW - 10_000, exp=NOW + DAY, **more)

    named = {
        "plain": long_lived("jti-plain", "reporter"),
        "risky": long_lived("jti-risky", "reporter", scope="db:write", risk="high"),
        "other": long_lived("jti-other", "other"),
        "second": long_lived("jti-second", "other", SECOND),
        "member": long_lived("jti-member", "member", org_id="acme", org_epoch=4),
    }
    cases = []

    def case(name, *steps, **verifier):
        cache = verifier.pop("cache", False)
        cases.append({"name": name, "cache": cache, "verifier": verifier, "steps": list(steps)})

    def delta(since, version, took=0, asked=None, waited=None, **entries):
        lists = {kind: entries.get(kind, []) for kind in ["revoked_tokens", "revoked_agents", "revoked_orgs", "revoked_keys"]}
        return answer(200, {"since": since, "version": version, **lists}, took, asked, waited)

    def answer(status, body="", took=0, asked=None, waited=None, headers=None):
        step = {"answer": {"status": status, "headers": headers or {}, "body": body}, "took": took, "asked": asked, "waited": waited}
        return {name: value for name, value in step.items() if value}

    def fails(how, took=0, **more):
        return drop({"answer": how, "took": took or ..., "waited": more.get("waited", ...), "asked": more.get("asked", ...)})

    def expect(version, **verdicts):
        all_good = dict.fromkeys(named, "accept")
        return {"expect": {**all_good, **verdicts}, "version": version}

    nobody = dict.fromkeys(named, "unavailable")
    dead = "revoked"
    whole = lambda version=1, **more: delta(None, version, **more)
    killed = lambda agent, epoch, life=DAY: {"agent": hashed(agent), "epoch": epoch, "exp": NOW + life}
    advance = lambda seconds: {"advance": seconds}
    stepped = lambda seconds: {"step": seconds}
    restart = {"restart": True}
    soon, slow = [0, 1], [12, 18]

    case("an empty list", whole(asked={"since": "0", "wait": None}), expect(1))
    case("nothing is accepted before the first list", expect(None, **nobody), fails("unreachable"), expect(None, **nobody), whole(waited=[0.8, 1.2], asked={"since": "0", "wait": None}), expect(1))
    case("a token is revoked", whole(revoked_tokens=[{"jti": "jti-plain", "exp": NOW + DAY}]), expect(1, plain=dead))
    case("an agent is killed", whole(revoked_agents=[killed("reporter", 8)]), expect(1, plain=dead, risky=dead))
    case("an agent's epoch that is the token's kills nothing", whole(revoked_agents=[killed("reporter", 7)]), expect(1))
    case("an agent is killed twice, the lower epoch comes last", whole(revoked_agents=[killed("reporter", 8), killed("reporter", 6)]), expect(1, plain=dead, risky=dead))
    case("a key is revoked", whole(revoked_keys=[{"kid": SECOND.kid, "exp": NOW + DAY}]), expect(1, second=dead))
    stopped = lambda epoch, org="acme", life=DAY: {"orgId": org, "epoch": epoch, "exp": NOW + life}
    case("an organization is stopped", whole(revoked_orgs=[stopped(5)]), expect(1, member=dead))
    case("another organization is stopped", whole(revoked_orgs=[stopped(9, "elsewhere")]), expect(1))
    case("an organization's epoch that is the token's kills nothing", whole(revoked_orgs=[stopped(4)]), expect(1))
    case("an organization is stopped twice, the lower epoch comes last", whole(5), delta(5, 6, revoked_orgs=[stopped(5)]), expect(6, member=dead), delta(6, 7, revoked_orgs=[stopped(3)]), expect(7, member=dead))
    case("an agent of the name of an organization is another", whole(revoked_agents=[killed("acme", 9)], revoked_orgs=[stopped(9, hashed("member"))]), expect(1))
    case("an organization stays stopped over a restart", whole(5, revoked_orgs=[stopped(5)]), restart, expect(5, member=dead), cache=True)
    case("members that nobody knows are passed over", answer(200, {"since": None, "version": 1, "revoked_tokens": [{"jti": "jti-plain", "exp": NOW + DAY, "why": 1}], "revoked_agents": [], "revoked_orgs": [], "revoked_keys": [], "revoked_planets": [1]}), expect(1, plain=dead))

    case(
        "deltas are applied in order",
        whole(5), delta(5, 6, revoked_tokens=[{"jti": "jti-plain", "exp": NOW + DAY}], asked={"since": "5", "wait": "25"}, waited=soon), expect(6, plain=dead),
        delta(6, 9, revoked_agents=[killed("other", 8)], asked={"since": "6", "wait": "25"}, waited=soon), expect(9, plain=dead, other=dead, second=dead),
        delta(9, 9, took=25, asked={"since": "9"}), expect(9, plain=dead, other=dead, second=dead),
        delta(9, 10, waited=soon), expect(10, plain=dead, other=dead, second=dead),
    )
    case("a delta to another version is dropped", whole(5), delta(4, 6, revoked_tokens=[{"jti": "jti-plain", "exp": NOW + DAY}]), expect(5), delta(5, 6, asked={"since": "5"}), expect(6))
    case("a delta from a version ahead is dropped", whole(5), delta(7, 8, revoked_tokens=[{"jti": "jti-plain", "exp": NOW + DAY}]), expect(5), delta(5, 8, asked={"since": "5"}), expect(8))
    case("a whole list in between is taken", whole(5), whole(100, revoked_tokens=[{"jti": "jti-other", "exp": NOW + DAY}]), expect(100, other=dead), delta(100, 101, asked={"since": "100"}), expect(101, other=dead))
    case("a list that goes back is taken, and revives nothing", whole(9, revoked_tokens=[{"jti": "jti-plain", "exp": NOW + DAY}]), whole(3), expect(3, plain=dead), delta(3, 4, asked={"since": "3"}), expect(4, plain=dead))
    case("a version need not be a number", delta(None, "9-a"), delta("9-a", "9-b", asked={"since": "9-a"}, revoked_tokens=[{"jti": "jti-plain", "exp": NOW + DAY}]), expect("9-b", plain=dead))
    case("a 304 is a sign of life", whole(5), answer(304, took=25), advance(40), expect(5))

    case("held for its whole time, it asks again at once", whole(5), delta(5, 5, took=25), delta(5, 5, took=25, waited=soon), expect(5))
    case("answered too early, it waits", whole(5), delta(5, 5), delta(5, 5, took=25, waited=slow), expect(5))
    case("answered too early with Retry-After, it waits that long", whole(5), answer(304, headers={"Retry-After": "5"}), delta(5, 5, took=25, waited=[4, 6]), expect(5))
    case("news that are none make no loop", whole(5), delta(5, 5, revoked_tokens=[{"jti": "x", "exp": NOW + DAY}]), delta(5, 5, waited=slow), expect(5))
    case(
        "failures are retried ever later",
        whole(5), fails("unreachable", waited=soon), fails("unreachable", waited=[0.8, 1.2]), fails("unreachable", waited=[1.6, 2.4]), fails("unreachable", waited=[3.2, 4.8]),
        fails("unreachable", waited=[6.4, 9.6]), fails("unreachable", waited=slow), fails("unreachable", waited=slow), delta(5, 5, took=25, waited=slow), expect(5),
        fails("unreachable"), delta(5, 5, waited=[0.8, 1.2]), expect(5),
    )
    broken = {"status": 502, "headers": {}, "body": "<html></html>"}
    for name, held in [("at once", broken), ("without an answer", "unreachable")]:
        either = {**delta(5, 5), "held": held}
        case(
            f"where held polls alone fail {name}, it polls without",
            whole(5), *[either] * 10, *[delta(5, 5, asked={"since": "5", "wait": None}, waited=slow)] * 2, expect(5),
            advance(300), delta(5, 5, asked={"since": "5", "wait": "25"}),
        )
    case(
        "an outage proves nothing against held polls",
        whole(5), *[fails("unreachable")] * 12, {**delta(5, 5), "held": {"status": 304, "headers": {}, "body": ""}}, delta(5, 5, took=25, asked={"since": "5", "wait": "25"}), expect(5),
    )
    case("a timeout is a failure", whole(5), fails("timeout", took=30), delta(5, 6, asked={"since": "5"}, waited=[0.8, 1.2], revoked_agents=[killed("other", 8)]), expect(6, other=dead, second=dead))
    away = {"error": "temporarily_unavailable"}
    case("503 says when", whole(5), answer(503, away, headers={"Retry-After": "10"}), delta(5, 5, waited=[8, 12]), expect(5))
    for name, seconds, waited in [("0 is a second", "0", [0.8, 1.2]), ("a date that has passed is a second", "Wed, 21 Oct 2015 07:28:00 GMT", [0.8, 1.2]), ("a day is a minute", "86400", [48, 72])]:
        case(f"503 says when: {name}", whole(5), answer(503, away, headers={"Retry-After": seconds}), delta(5, 5, waited=waited), expect(5))
    case("a 304 with Retry-After 0 makes no loop", whole(5), answer(304, headers={"Retry-After": "0"}), delta(5, 5, waited=[0.8, 1.2]), expect(5))
    case("news without end make no loop", whole(5), delta(5, 6), delta(6, 7, waited=[0.08, 1]), delta(7, 8, waited=[0.08, 1]), expect(8))
    case("a redirection is a failure", whole(5), answer(302, headers={"Location": "https://elsewhere.example/list"}, asked={"since": "5"}), delta(5, 5, waited=[0.8, 1.2]), expect(5))
    case("500 is a failure", whole(5), answer(500, away), delta(5, 5, waited=[0.8, 1.2]), expect(5))
    for status in [400, 404, 414, 501]:
        case(
            f"wait is refused with {status}",
            whole(5), answer(status, away, asked={"since": "5", "wait": "25"}), delta(5, 5, asked={"since": "5", "wait": None}, waited=soon), expect(5),
            delta(5, 6, asked={"since": "5", "wait": None}, waited=slow, revoked_agents=[killed("other", 8)]), expect(6, other=dead, second=dead),
            advance(300), delta(6, 6, asked={"since": "6", "wait": "25"}),
        )

    case("silent for 60 s: high risk is refused", whole(5), advance(59), expect(5), advance(1), expect(5, risky="unavailable"), advance(800), expect(5, risky="unavailable"))
    case("silent for 15 min: all are refused", whole(5), advance(899), expect(5, risky="unavailable"), advance(1), expect(5, **nobody), delta(5, 5), expect(5))
    case("what is known to be dead stays a 401 in silence", whole(5, revoked_tokens=[{"jti": "jti-plain", "exp": NOW + DAY}]), advance(901), expect(5, **{**nobody, "plain": dead}))
    case("failures are no sign of life", whole(5), fails("unreachable"), advance(61), fails("unreachable"), expect(5, risky="unavailable"), answer(503, away), expect(5, risky="unavailable"))
    case("a dropped answer is no sign of life", whole(5), advance(61), delta(4, 6), expect(5, risky="unavailable"))
    case("other bounds", whole(5), advance(11), expect(5, risky="unavailable"), advance(20), expect(5, **nobody), stale_after=[10, 30])
    case("accepting in silence", whole(5, revoked_tokens=[{"jti": "jti-plain", "exp": NOW + DAY}]), advance(3_000), expect(5, plain=dead), when_stale="accept")
    case("accepting in silence needs a list", expect(None, **nobody), when_stale="accept")

    for name, body in [
        ("a page", "<html></html>"),
        ("cut off", '{"since":null,"version":9,"revoked_tokens":[{"jti":"jti-pl'),
        ("empty", ""),
        ("an array", []),
        ("without a version", {"since": None, "revoked_tokens": [], "revoked_agents": [], "revoked_orgs": [], "revoked_keys": []}),
        ("version as an object", {"since": None, "version": {}, "revoked_tokens": [], "revoked_agents": [], "revoked_orgs": [], "revoked_keys": []}),
        ("tokens that are no list", {"since": None, "version": 9, "revoked_tokens": {}, "revoked_agents": [], "revoked_orgs": [], "revoked_keys": []}),
        ("an entry without exp", {"since": None, "version": 9, "revoked_tokens": [{"jti": "jti-plain"}], "revoked_agents": [], "revoked_orgs": [], "revoked_keys": []}),
        ("an epoch of text", {"since": None, "version": 9, "revoked_tokens": [], "revoked_agents": [{"agent": hashed("reporter"), "epoch": "8", "exp": NOW + DAY}], "revoked_orgs": [], "revoked_keys": []}),
        ("an exp that is negative", {"since": None, "version": 9, "revoked_tokens": [{"jti": "jti-plain", "exp": -1}], "revoked_agents": [], "revoked_orgs": [], "revoked_keys": []}),
        ("an exp with a fraction", {"since": None, "version": 9, "revoked_tokens": [{"jti": "jti-plain", "exp": NOW + DAY + 0.5}], "revoked_agents": [], "revoked_orgs": [], "revoked_keys": []}),
        ("an entry that is null", {"since": None, "version": 9, "revoked_tokens": [None], "revoked_agents": [], "revoked_orgs": [], "revoked_keys": []}),
        ("a jti that is a number", {"since": None, "version": 9, "revoked_tokens": [{"jti": 7, "exp": NOW + DAY}], "revoked_agents": [], "revoked_orgs": [], "revoked_keys": []}),
        ("a kid that is missing", {"since": None, "version": 9, "revoked_tokens": [], "revoked_agents": [], "revoked_orgs": [], "revoked_keys": [{"exp": NOW + DAY}]}),
        ("version empty", {"since": None, "version": "", "revoked_tokens": [], "revoked_agents": [], "revoked_orgs": [], "revoked_keys": []}),
        ("without the organizations", {"since": None, "version": 9, "revoked_tokens": [], "revoked_agents": [], "revoked_keys": []}),
        ("without the keys", {"since": None, "version": 9, "revoked_tokens": [], "revoked_agents": [], "revoked_orgs": []}),
        ("without the agents", {"since": None, "version": 9, "revoked_tokens": []}),
        ("JSON of somebody else", {"status": "ok"}),
    ]:
        case(f"a 200 that is no list: {name}", whole(5), answer(200, body), expect(5), delta(5, 6, waited=[0.8, 1.2], asked={"since": "5"}, revoked_agents=[killed("other", 8)]), expect(6, other=dead, second=dead))

    entry = {"jti": "jti-plain", "exp": NOW + DAY}
    case("an entry is kept until its token has expired", whole(5, revoked_tokens=[entry]), advance(DAY - 10), delta(5, 5), expect(5, plain=dead), advance(20), delta(5, 5), expect(5, plain="expired", risky="expired", other="expired", second="expired", member="expired"))
    case(
        "the time of day a day ahead and back again revives nothing",
        whole(5, revoked_tokens=[entry]), stepped(2 * DAY), delta(5, 5), stepped(-2 * DAY), expect(5, **nobody),
        whole(5, asked={"since": "0"}, revoked_tokens=[entry]), expect(5, plain=dead),
    )
    case("the time of day set back changes no silence", whole(5), stepped(-5), expect(5), advance(61), expect(5, risky="unavailable"))
    case("the time of day set ahead changes no silence", whole(5), stepped(3_600), expect(5))

    case("a restart goes on from the disk", whole(5, revoked_tokens=[entry]), restart, expect(5, plain=dead), delta(5, 6, asked={"since": "5", "wait": "25"}, revoked_agents=[killed("other", 8)]), expect(6, plain=dead, other=dead, second=dead), restart, expect(6, plain=dead, other=dead, second=dead), cache=True)
    case("a file that is old is silent since", whole(5, revoked_tokens=[entry]), advance(100), restart, expect(5, plain=dead, risky="unavailable"), advance(900), restart, expect(5, **{**nobody, "plain": dead}), delta(5, 5, asked={"since": "5"}), expect(5, plain=dead), cache=True)
    case("a file of a day ago", whole(5), advance(DAY - 100), restart, expect(5, **nobody), delta(5, 6, asked={"since": "5"}), expect(6), cache=True)
    case("a file that is truncated is none", whole(5, revoked_tokens=[entry]), {"damage": "truncated"}, restart, expect(None, **nobody), whole(5, asked={"since": "0"}, revoked_tokens=[entry]), expect(5, plain=dead), cache=True)
    case("a file from the future is no sign of life", whole(5, revoked_tokens=[entry]), stepped(-3_600), restart, expect(5, **{**nobody, "plain": dead}), delta(5, 5, asked={"since": "5"}), expect(5, plain=dead), cache=True)

    old = lambda version, jtis=(), agents=(), **more: answer(
        200, {"revoked_jtis": list(jtis), "revoked_agents": [{"agent": hashed(agent), "epoch": epoch} for agent, epoch in agents], "version": version},
        headers={"ETag": f'"v{version}"'}, **more,
    )
    case(
        "a server that knows the old list alone",
        old(3, ["jti-plain"], [("other", 8)]), expect(3, plain=dead, other=dead, second=dead), answer(304, waited=slow), expect(3, plain=dead, other=dead, second=dead),
        old(4, ["jti-other"], waited=slow), expect(4, other=dead), delta(4, 5, waited=slow, revoked_tokens=[entry]), expect(5, plain=dead, other=dead), delta(5, 6, waited=soon), expect(6, plain=dead, other=dead),
    )
    return {"now": NOW, "issuer": ISSUER, "audience": AUDIENCE, "jwks": JWKS, "tokens": named, "cases": cases}


# ---------------------------------------------------------------------------------------------------------------------


def keys():
    def lived(kid, key, iat=NOW - 10):
        return token(header(kid=kid), key, iat=iat, exp=NOW + DAY)

    forged = [f"forged-{n}" for n in range(20)]
    late = [f"late-{n}" for n in range(20)]
    named = {
        "first": lived(FIRST.kid, FIRST),
        "second": lived(SECOND.kid, SECOND),
        # Kids that look like the issuer's, each another one; the late ones claim to be younger than the keys at hand.
        **{name: lived(hashed(name), STRANGER) for name in forged},
        **{name: lived(hashed(name), STRANGER, NOW + 15) for name in late},
    }
    cases = []

    def case(name, published, *steps):
        cases.append({"name": name, "steps": [publish(published), *steps]})

    def verify(names, verdict, fetches):
        return {"verify": [names] if isinstance(names, str) else names, "verdict": verdict, "fetches": fetches}

    publish = lambda what, then=None: {"publish": what, **({"then": then} if then else {})}
    advance = lambda seconds: {"advance": seconds}
    stepped = lambda seconds: {"step": seconds}
    one, both, gone = ["first"], ["first", "second"], "unreachable"
    begin = verify("first", "accept", 1)

    case("the keys are fetched once", both, verify(["first", "second", "first"], "accept", 1))
    case("a new key is found with its first token", one, begin, publish(both), verify("second", "accept", 2))
    case("a new key that the first answer lacks is found with its first token", one, begin, publish(one, both), verify("second", "accept", 3), verify("forged-0", "key", 3))
    case("a key of the first token that the first answer lacks is found with it", one, publish(one, both), verify("second", "accept", 2))
    case(
        "a flood of unknown keys causes two fetches in 30 s",
        one, begin, verify(forged, "key", 3), advance(28), verify(forged, "key", 3), verify("first", "accept", 3), advance(4), verify(forged, "key", 5), verify("first", "accept", 5),
    )
    case("a flood whose tokens are younger than the keys at hand is refused likewise", one, begin, verify(forged, "key", 3), advance(20), verify(late, "key", 3), verify("first", "accept", 3))
    case(
        "a key that is new during a flood is found at the next look",
        one, begin, verify(forged, "key", 3), publish(both), advance(5), verify(["second", *forged], "key", 3), advance(27), verify("second", "accept", 4), verify(forged, "key", 4),
    )
    case("the first token of a verifier may be of an unknown key", one, verify("forged-0", "key", 2), verify("forged-1", "key", 2), verify("first", "accept", 2))
    case(
        "keys are kept while none can be had, and an unknown one is no verdict then",
        one, begin, publish(gone), verify(["second", *forged], "unavailable", 2), verify("first", "accept", 2), advance(31), verify("second", "unavailable", 3), publish(both),
        advance(31), verify("second", "accept", 4), verify(forged, "key", 4),
    )
    case("a second fetch that fails is no verdict", one, begin, publish(one, gone), verify(["second", *forged], "unavailable", 3), verify("first", "accept", 3), publish(both), advance(32), verify("second", "accept", 4))
    case("a page in place of keys is no verdict", one, begin, publish("page"), verify(["forged-0", "forged-1"], "unavailable", 2), verify("first", "accept", 2), publish(one), advance(31), verify("forged-0", "key", 4))
    case("a set without a key is no verdict", one, begin, publish([]), verify(["forged-0", "forged-1"], "unavailable", 2), verify("first", "accept", 2), publish(one), advance(31), verify("forged-0", "key", 4))
    case("without keys nobody can tell", gone, verify(["first", "forged-0"], "unavailable", 1), advance(2), publish(one), verify("first", "accept", 2))
    case("the time of day changes no pause", one, begin, verify(forged, "key", 3), stepped(3_600), verify(forged, "key", 3), stepped(-3_600), verify(forged, "key", 3), advance(32), verify(forged, "key", 5))
    # Keys that count for nothing, each beside a good one, which they must not hide.
    other = STRANGER.jwk
    odd = {
        "of-another-kind": {"kty": "EC", "crv": "P-256", "x": "AAAA", "y": "AAAA", "kid": "k", "alg": "ES256"},
        "to-encrypt": {**other, "use": "enc"},
        "use-null": {**other, "use": None},
        "alg-empty": {**other, "alg": ""},
        "of-PS256": {**other, "alg": "PS256"},
        "without-kid": {name: value for name, value in other.items() if name != "kid"},
        "modulus-no-base64url": {**other, "n": "!" * 342},
        "modulus-padded": {**other, "n": other["n"] + "=="},
        "modulus-zero": {**other, "n": "A" * 342},
        "modulus-a-number": {**other, "n": 5},
        "modulus-of-100000-bits": {**other, "n": "_" * 16_667},
        "exponent-one": {**other, "e": "AQ"},
        "exponent-even": {**other, "e": "AQAA"},
        "exponent-beyond-31-bits": {**other, "e": b64((2**33 + 1).to_bytes(5, "big"))},
        "short": {**SHORT.jwk, "kid": other["kid"]},
        "short-behind-zeros": {**SHORT.jwk, "kid": other["kid"], "n": "A" * 172 + SHORT.jwk["n"]},
        "no-object": 5,
        "null": None,
    }
    named["stranger"] = lived(STRANGER.kid, STRANGER)
    named["short"] = lived(STRANGER.kid, SHORT)
    for name in odd:
        case(f"a key that counts for nothing hides no other: {name}", [name, "first"], verify("first", "accept", 1), verify(["stranger", "short"], "key", 3))
    case("of two keys with one kid the first counts", ["first", "stranger-as-first"], verify("first", "accept", 1), verify("stranger-as-first", "signature", 1))
    case("a key that counts for nothing takes no kid", ["stranger-to-encrypt-as-first", "first"], verify("first", "accept", 1))
    case("what else a key says counts for nothing", ["adorned"], verify("stranger", "accept", 1))
    case("two hundred keys", [*["stranger"] * 200, "first"], verify(["first", "stranger"], "accept", 1))
    named["stranger-as-first"] = lived(FIRST.kid, STRANGER)
    jwks = {
        "first": FIRST.jwk, "second": SECOND.jwk, "stranger": other, **odd,
        "stranger-as-first": {**other, "kid": FIRST.kid},
        "stranger-to-encrypt-as-first": {**other, "kid": FIRST.kid, "use": "enc"},
        "adorned": {**other, "x5c": ["AAAA"], "x5t": "x", "x5u": "::", "d": "AQAB", "key_ops": "verify", "later": {}},
    }
    return {"now": NOW, "issuer": ISSUER, "audience": AUDIENCE, "jwks": jwks, "tokens": named, "cases": cases}


def write(name, document):
    names = [case["name"] for case in document["cases"]]
    assert len(names) == len(set(names)), [name for name in names if names.count(name) > 1]
    rest = {key: value for key, value in document.items() if key != "cases"}
    lines = ",\n".join(json.dumps(case, ensure_ascii=True) for case in document["cases"])
    start = json.dumps(rest, ensure_ascii=True)[:-1] + ", " if rest else "{"
    (HERE / name).write_text(f'{start}"cases": [\n{lines}\n]}}\n')
    print(f"{name}: {len(names)} cases")


if __name__ == "__main__":
    write("tokens.json", tokens())
    write("errors.json", errors())
    write("token_source.json", token_source())
    write("credentials.json", credentials())
    write("feed.json", feed())
    write("keys.json", keys())
