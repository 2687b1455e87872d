"""Where a client's id comes from, and what proves it, a secret or an assertion: the arguments, or the environment."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from pathlib import Path

from .errors import ConfigurationError

ENVIRONMENT_ID = "SEALWRIGHT_CLIENT_ID"
ENVIRONMENT_SECRET = "SEALWRIGHT_CLIENT_SECRET"  # noqa: S105
ENVIRONMENT_SECRET_FILE = "SEALWRIGHT_CLIENT_SECRET_FILE"  # noqa: S105
ENVIRONMENT_ASSERTION_FILE = "SEALWRIGHT_IDENTITY_TOKEN_FILE"
ASSERTION_TYPE = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
_MAX_PROOF = 16_384


class Credentials:
    """An id, and a way to its secret or assertion. A file is read for each request, so that it can be changed."""

    __slots__ = ("_proof", "_rest", "client_id")

    def __init__(self, client_id: str, proof: Callable[[], str], *, is_assertion: bool = False) -> None:
        self.client_id = client_id
        self._proof = proof
        self._rest = {"client_assertion_type": ASSERTION_TYPE} if is_assertion else {}

    def form(self) -> tuple[dict[str, str], str]:
        """The parameters of RFC 6749 §2.3.1, or of RFC 7523 §2.2; and what in them nobody may see."""
        proof = self._proof()
        name = "client_assertion" if self._rest else "client_secret"
        return {"client_id": self.client_id, **self._rest, name: proof}, proof

    def __repr__(self) -> str:
        return f"Credentials(client_id={self.client_id!r})"

    def __reduce__(self) -> str:
        raise TypeError("credentials cannot be pickled")


def find(
    client_id: str | None,
    client_secret: str | None,
    client_secret_file: str | os.PathLike[str] | None,
    assertion_file: str | os.PathLike[str] | None,
    environment: Mapping[str, str],
) -> Credentials:
    """The chain. Explicit arguments come first and must be complete; then the environment."""
    given = {
        "client_secret": client_secret,
        "client_secret_file": client_secret_file,
        "assertion_file": assertion_file,
    }
    names = [name for name, value in given.items() if value is not None]
    if len(names) > 1:
        raise ConfigurationError(f"{names[0]} and {names[1]} are both given")
    name = client_id or environment.get(ENVIRONMENT_ID)
    if names:
        if not name:
            raise ConfigurationError("a secret or an assertion is given without client_id")
        return _of(name, client_secret, client_secret_file, assertion_file, names[0])
    secret, file = environment.get(ENVIRONMENT_SECRET), environment.get(ENVIRONMENT_SECRET_FILE)
    if secret and file:
        raise ConfigurationError(f"{ENVIRONMENT_SECRET} and {ENVIRONMENT_SECRET_FILE} are both set")
    if name and (secret or file):
        return _of(name, secret or None, file or None, None, ENVIRONMENT_SECRET)
    assertion = environment.get(ENVIRONMENT_ASSERTION_FILE)
    if name and assertion:
        return _of(name, None, None, assertion, ENVIRONMENT_ASSERTION_FILE)
    raise ConfigurationError(
        "no credentials: give client_id and client_secret, or set "
        f"{ENVIRONMENT_ID} and {ENVIRONMENT_SECRET}, {ENVIRONMENT_SECRET_FILE} or {ENVIRONMENT_ASSERTION_FILE}"
    )


def _of(
    client_id: str,
    secret: str | None,
    file: str | os.PathLike[str] | None,
    assertion_file: str | os.PathLike[str] | None,
    name: str,
) -> Credentials:
    if assertion_file is not None:
        path = Path(assertion_file)
        return Credentials(client_id, lambda: _read(path, "assertion"), is_assertion=True)
    if file is not None:
        path = Path(file)
        return Credentials(client_id, lambda: _read(path, "secret"))
    if not secret:
        raise ConfigurationError(f"{name} is empty")
    return Credentials(client_id, lambda: secret)


def _read(path: Path, what: str) -> str:
    try:
        with path.open("rb") as file:
            data = file.read(_MAX_PROOF + 1)
        text = data.decode("utf-8")
    except OSError as error:
        raise ConfigurationError(f"the {what} cannot be read from {path}: {error.strerror}") from None
    except ValueError:
        raise ConfigurationError(f"the {what} in {path} is not UTF-8") from None
    text = text[:-1].removesuffix("\r") if text.endswith("\n") else text
    if not text or len(data) > _MAX_PROOF:
        raise ConfigurationError(f"there is no {what} in {path}")
    return text
