"""The revocation list in a file, so that a verifier that starts again goes on from it.

The first line is the time of day at which the list was last true, in milliseconds and of fixed length, so that it can be
written anew without the rest. The second is the digest of the third, which is the list.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import logging
import os
import tempfile
from pathlib import Path
from typing import Any

_log = logging.getLogger("sealwright")
_DIGITS = 20
_TOUCH_EVERY = 5.0


class Disk:
    """A file of one verifier. A failure to write is logged, and changes nothing else."""

    def __init__(self, path: str | os.PathLike[str], issuer: str) -> None:
        self._path = Path(path)
        self._issuer = issuer
        self._touched_at = 0.0
        self._failed = False

    def load(self) -> tuple[dict[str, Any], float] | None:
        """The list and when it was last true; nothing if there is no file, or it is damaged or of another issuer."""
        try:
            head, digest, body = self._path.read_bytes().split(b"\n", 2)
            body = body.rstrip(b"\n")
            if len(head) != _DIGITS or hashlib.sha256(body).hexdigest() != digest.decode("ascii"):
                raise ValueError("its digest is wrong")  # noqa: TRY301
            kept = json.loads(body)
            if not isinstance(kept, dict) or kept.get("issuer") != self._issuer:
                raise ValueError("it is of another issuer")  # noqa: TRY301
            return kept, int(head) / 1000
        except FileNotFoundError:
            return None
        except (OSError, ValueError, RecursionError) as error:
            _log.warning("the revocation list in %s is not used: %s", self._path, error)
            return None

    def save(self, kept: dict[str, Any], heard_at: float) -> None:
        """Writes the whole list. Nobody ever sees half a file."""
        body = json.dumps({"issuer": self._issuer, **kept}, separators=(",", ":")).encode()
        data = b"%s\n%s\n%s\n" % (_time(heard_at), hashlib.sha256(body).hexdigest().encode(), body)
        try:
            # Readable by this user alone, as mkstemp makes it.
            descriptor, name = tempfile.mkstemp(prefix=f".{self._path.name}.", dir=self._path.parent)
            try:
                with os.fdopen(descriptor, "wb") as file:
                    file.write(data)
                os.replace(name, self._path)
            except BaseException:
                with contextlib.suppress(OSError):
                    os.unlink(name)
                raise
            self._failed, self._touched_at = False, heard_at
        except OSError as error:
            self._complain(error)

    def touch(self, heard_at: float) -> None:
        """The list is still true."""
        if 0 <= heard_at - self._touched_at < _TOUCH_EVERY:
            return
        try:
            with self._path.open("r+b") as file:
                file.write(_time(heard_at))
            self._touched_at = heard_at
        except OSError as error:
            self._complain(error)

    def _complain(self, error: OSError) -> None:
        if not self._failed:
            _log.warning("the revocation list cannot be kept in %s: %s", self._path, error.strerror)
        self._failed = True


def _time(seconds: float) -> bytes:
    return b"%0*d" % (_DIGITS, max(0, int(seconds * 1000)))
