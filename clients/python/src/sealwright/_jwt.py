"""Reads access tokens (RFC 7515, RFC 7519, RFC 9068) and checks what they claim. Pure: keys and time are arguments.

The signature is checked by PyJWT. Shape and JSON are read here, more strictly than by general libraries: base64url without
padding and foreign characters, UTF-8, no repeated member, no lone surrogate, no number that is none, no deep nesting.
"""

from __future__ import annotations

import binascii
import json
import re
from dataclasses import dataclass
from typing import Any, NoReturn

from .claims import Claims
from .errors import InvalidToken

MAX_BYTES = 8_192
"""No token of the server is longer."""
TYPE = "at+jwt"

_MAX_INTEGER = 2**53 - 1
_MAX_DEPTH = 64
# Of a text that is JSON: its strings, and its brackets outside of strings.
_BRACKETS = re.compile(r'"(?:[^"\\]|\\.)*"|[][{}]')
_TOKEN = re.compile(r"([A-Za-z0-9_-]+)\.([A-Za-z0-9_-]+)\.([A-Za-z0-9_-]+)")
# An RFC 7638 thumbprint. Another kid cannot be the issuer's, so nobody needs to be asked about it.
_KID = re.compile(r"[A-Za-z0-9_-]{43}")


@dataclass(frozen=True, slots=True)
class Parsed:
    """A token whose header is in order. Nothing that it claims is true before its signature was checked."""

    kid: str
    signed: bytes
    signature: bytes
    payload: bytes


def parse(token: str, typ: str = TYPE) -> Parsed:
    """Takes a token apart and checks its header. Raises `InvalidToken`."""
    if not isinstance(token, str) or len(token) > MAX_BYTES:
        _refuse("malformed", "the token is no text, or too long")
    parts = _TOKEN.fullmatch(token)
    if parts is None:
        _refuse("malformed", "the token is not of three parts in base64url")
    head, body, sealed = parts.groups()
    header = _json_object(_decode(head), "header")
    payload, signature = _decode(body), _decode(sealed)
    if header.get("alg") != "RS256":
        _refuse("algorithm", "the token is not signed with RS256")
    if not _is_type(header.get("typ"), typ):
        _refuse("type", "the token is not an access token")
    # `b64` changes what is signed (RFC 7797), also where a careless sender does not list it in `crit`.
    if "crit" in header or "b64" in header:
        _refuse("critical", "the token demands an extension")
    kid = header.get("kid")
    if not isinstance(kid, str) or not _KID.fullmatch(kid):
        _refuse("key", "the token names no key of the issuer")
    return Parsed(kid, f"{head}.{body}".encode(), signature, payload)


def read_claims(payload: bytes, issuer: str, audience: str) -> Claims:
    """The claims of a token whose signature was checked. Raises `InvalidToken`; time is checked by `check_time`."""
    claims = _json_object(payload, "payload")
    if not isinstance(claims.get("iss"), str):
        _refuse("claims", "iss is missing or of a wrong type")
    for name in ("sub", "client_id", "jti"):
        if not isinstance(claims.get(name), str) or not claims[name]:
            _refuse("claims", f"{name} is missing or of a wrong type")
    for name in ("epoch", "iat", "exp"):
        claims[name] = _whole(claims.get(name), name)
    for name in ("nbf", "org_epoch"):
        if name in claims:
            claims[name] = _whole(claims[name], name)
    if "org_id" in claims and (not isinstance(claims["org_id"], str) or not claims["org_id"]):
        _refuse("claims", "org_id is of a wrong type")
    for name in ("scope", "risk"):
        if not isinstance(claims.get(name, ""), str):
            _refuse("claims", f"{name} is of a wrong type")
    audiences = claims.get("aud")
    if isinstance(audiences, str):
        audiences = [audiences]
    if not isinstance(audiences, list) or not all(isinstance(one, str) for one in audiences):
        _refuse("claims", "aud is missing or of a wrong type")
    if claims["iss"] != issuer:
        _refuse("issuer", "the token is another issuer's")
    if audience not in audiences:
        _refuse("audience", "the token is for another audience")
    return Claims(claims, tuple(audiences), claims["iat"], claims["exp"], claims.get("nbf", 0))


def check_time(claims: Claims, now: float) -> None:
    """Raises `InvalidToken` if a token has expired or is of the future. There is no leeway."""
    if now >= claims.expires_at:
        _refuse("expired", "the token has expired")
    if claims.issued_at > now or claims.not_before > now:
        _refuse("not_yet_valid", "the token is of the future")


def refuse_key() -> NoReturn:
    """A key that the issuer does not publish."""
    _refuse("key", "the token names no key of the issuer")


def refuse_signature() -> NoReturn:
    """A signature that the key did not make."""
    _refuse("signature", "the signature is wrong")


def refuse_revoked() -> NoReturn:
    """A token, an agent or a key that was revoked."""
    _refuse("revoked", "the token was revoked")


def _refuse(reason: str, message: str) -> NoReturn:
    raise InvalidToken(reason, message)


def _is_type(value: Any, typ: str) -> bool:
    if not isinstance(value, str):
        return False
    # RFC 7515 §4.1.9: a media type, whose letter case does not matter and whose `application/` may be left out.
    return value.lower().removeprefix("application/") == typ.lower()


def _whole(value: Any, name: str) -> int:
    """A number without a fraction, however it is written: to JSON, 10, 10.0 and 1e1 are the same."""
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value <= _MAX_INTEGER:
        _refuse("claims", f"{name} is missing or of a wrong type")
    return value


def _decode(part: str) -> bytes:
    if len(part) % 4 == 1:
        _refuse("malformed", "the token is not base64url")
    text = part.replace("-", "+").replace("_", "/") + "=" * (-len(part) % 4)
    return binascii.a2b_base64(text)


def _json_object(data: bytes, name: str) -> dict[str, Any]:
    try:
        text = data.decode("utf-8")
        value = json.loads(text, object_pairs_hook=_unique, parse_constant=_no_constant, parse_int=_integer)
        if _is_deep(text):
            value = None
        if "\\u" in text:
            # A lone surrogate is no text: it cannot be encoded, and other languages read another character.
            json.dumps(value, ensure_ascii=False).encode()
    except (ValueError, RecursionError):
        value = None
    if not isinstance(value, dict):
        _refuse("malformed", f"the token's {name} is no JSON object without repeated members")
    return value


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    members = dict(pairs)
    if len(members) != len(pairs):
        raise ValueError("a member is repeated")
    return members


def _is_deep(text: str) -> bool:
    """Whether JSON is nested more deeply than every JSON library can read, on whatever stack."""
    if text.count("[") + text.count("{") <= _MAX_DEPTH:
        return False
    depth = 0
    for found in _BRACKETS.findall(text):
        if found in "[{":
            depth += 1
        elif found in "]}":
            depth -= 1
        if depth > _MAX_DEPTH:
            return True
    return False


def _integer(digits: str) -> int | float:
    # Python reads no integer of more than 4,300 digits.
    return int(digits) if len(digits) <= 20 else float(digits)


def _no_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is no JSON")
