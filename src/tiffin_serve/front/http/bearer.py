"""Who may ask: whoever has a token (RFC 6750)."""

from __future__ import annotations

import hmac
from collections.abc import Callable, Mapping
from hashlib import sha256
from pathlib import Path

from tiffin_serve.front.http.exchange import Exchange

VARIABLE = "TIFFIN_BEARER_TOKEN"
FILE_VARIABLE = "TIFFIN_BEARER_TOKEN_FILE"
FILE = "/run/secrets/bearer-token"
OPEN = (b"/v2/health/", b"/pages/")
OPEN_PAGES = {b"/try", b"/docs"}
"""Files of the server that say nothing of the model: where a browser asks its user for the token."""
MIN_LENGTH = 8
_SCHEME = b"bearer "


class Tokens:
    """The tokens that open the door; several are there while one takes another's place."""

    def __init__(self, tokens: list[bytes]) -> None:
        self._digests = [sha256(token).digest() for token in tokens]

    def accept(self, authorization: bytes) -> bool:
        """Say whether a header `Authorization` has one of them; how long it takes tells nothing of them."""
        if authorization[: len(_SCHEME)].lower() != _SCHEME:
            return False
        digest = sha256(authorization[len(_SCHEME) :].strip()).digest()
        return bool(sum([hmac.compare_digest(digest, known) for known in self._digests]))


def read_tokens(environ: Mapping[str, str], file: str = FILE) -> Tokens:
    """Read the tokens, one a line, from the variable or the file; raises ValueError, OSError."""
    where, text = VARIABLE, environ.get(VARIABLE, "")
    if not text.strip():
        where = environ.get(FILE_VARIABLE) or file
        if not environ.get(FILE_VARIABLE) and not Path(where).exists():
            raise ValueError(
                f'[serve] auth is "bearer" and there is no token: set {VARIABLE}, or mount a file of tokens, one a '
                f"line, at {file} (`tiffin run --secret bearer-token=FILE`) or where {FILE_VARIABLE} says"
            )
        text = Path(where).read_text(encoding="utf-8")
    tokens = [line.strip().encode() for line in text.splitlines() if line.strip()]
    for token in tokens:
        if len(token) < MIN_LENGTH or not token.isascii() or b" " in token:
            raise ValueError(f"{where}: a token is {MIN_LENGTH} ASCII characters at least, without blanks")
    if not tokens:
        raise ValueError(f"{where}: there is no token; write one a line, as `openssl rand -hex 32` makes them")
    return Tokens(tokens)


class Guard:
    """Lets through who has a token, and everyone to health and to the files of the pages."""

    def __init__(self, serve: Callable[[Exchange], None], tokens: Tokens) -> None:
        self._serve = serve
        self._tokens = tokens

    def serve(self, exchange: Exchange) -> None:
        """Answer, or say that a token is needed."""
        given = exchange.headers.get(b"authorization")
        open_to_all = exchange.path.startswith(OPEN) or exchange.path in OPEN_PAGES
        if open_to_all or (given is not None and self._tokens.accept(given)):
            self._serve(exchange)
        elif given is None:
            message = "this server wants a token: send `Authorization: Bearer TOKEN`"
            exchange.refuse(401, message, b'www-authenticate: Bearer realm="tiffin"\r\n')
        else:
            challenge = b'www-authenticate: Bearer realm="tiffin", error="invalid_token"\r\n'
            exchange.refuse(401, "the token is not one of this server's", challenge)
