"""Where a client's id and secret come from: the arguments, or the environment."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from pathlib import Path

from .errors import ConfigurationError

ENVIRONMENT_ID = "SEALWRIGHT_CLIENT_ID"
ENVIRONMENT_SECRET = "SEALWRIGHT_CLIENT_SECRET"  # noqa: S105
ENVIRONMENT_SECRET_FILE = "SEALWRIGHT_CLIENT_SECRET_FILE"  # noqa: S105
_MAX_SECRET = 16_384


class Credentials:
    """An id, and a way to its secret. A secret in a file is read for each request, so that it can be changed there."""

    __slots__ = ("_secret", "client_id")

    def __init__(self, client_id: str, secret: Callable[[], str]) -> None:
        self.client_id = client_id
        self._secret = secret

    def form(self) -> dict[str, str]:
        """The parameters of RFC 6749 §2.3.1."""
        return {"client_id": self.client_id, "client_secret": self._secret()}

    def __repr__(self) -> str:
        return f"Credentials(client_id={self.client_id!r})"

    def __reduce__(self) -> str:
        raise TypeError("credentials cannot be pickled")


def find(
    client_id: str | None,
    client_secret: str | None,
    client_secret_file: str | os.PathLike[str] | None,
    environment: Mapping[str, str],
) -> Credentials:
    """The chain. Explicit arguments come first and must be complete; then the environment."""
    if client_secret is not None and client_secret_file is not None:
        raise ConfigurationError("client_secret and client_secret_file are both given")
    if client_secret is not None or client_secret_file is not None:
        client_id = client_id or environment.get(ENVIRONMENT_ID)
        if not client_id:
            raise ConfigurationError("a secret is given without client_id")
        return _of(client_id, client_secret, client_secret_file, "client_secret")
    name = client_id or environment.get(ENVIRONMENT_ID)
    secret, file = environment.get(ENVIRONMENT_SECRET), environment.get(ENVIRONMENT_SECRET_FILE)
    if secret and file:
        raise ConfigurationError(f"{ENVIRONMENT_SECRET} and {ENVIRONMENT_SECRET_FILE} are both set")
    if name and (secret or file):
        return _of(name, secret or None, file or None, ENVIRONMENT_SECRET)
    # A token of the platform (federation) will be looked for here, after the secrets.
    raise ConfigurationError(
        "no credentials: give client_id and client_secret, or set "
        f"{ENVIRONMENT_ID} and {ENVIRONMENT_SECRET} or {ENVIRONMENT_SECRET_FILE}"
    )


def _of(client_id: str, secret: str | None, file: str | os.PathLike[str] | None, name: str) -> Credentials:
    if file is not None:
        path = Path(file)
        return Credentials(client_id, lambda: _read(path))
    if not secret:
        raise ConfigurationError(f"{name} is empty")
    return Credentials(client_id, lambda: secret)


def _read(path: Path) -> str:
    try:
        with path.open("rb") as file:
            data = file.read(_MAX_SECRET + 1)
        text = data.decode("utf-8")
    except OSError as error:
        raise ConfigurationError(f"the secret cannot be read from {path}: {error.strerror}") from None
    except ValueError:
        raise ConfigurationError(f"the secret in {path} is not UTF-8") from None
    text = text[:-1].removesuffix("\r") if text.endswith("\n") else text
    if not text or len(data) > _MAX_SECRET:
        raise ConfigurationError(f"there is no secret in {path}")
    return text
