"""A token in a webhook's URL, which strangers can't guess."""

from __future__ import annotations

import base64
import hmac
from typing import Final

from creatify._errors import ConfigurationError

_SHORTEST_SECRET: Final = 16  # bytes
_DOMAIN: Final = b"creatify webhook 1"  # no other use of the same secret gives the same tokens


def webhook_token(secret: str | bytes, *parts: str) -> str:
    """The end of a URL that strangers can't guess: 43 characters that need no quoting.

    `secret`: at least 16 bytes that nobody can guess. `parts`: a reference of yours, if you have
    one. It is their HMAC-SHA256 (RFC 2104). Raises ConfigurationError for less.
    """
    key = _key(secret)
    if not all(isinstance(part, str) for part in parts):
        raise ConfigurationError("the parts of a webhook's token are strings, and nothing else")
    mac = hmac.new(key, _DOMAIN, "sha256")
    for part in parts:
        text = part.encode("utf-8", "surrogatepass")
        mac.update(len(text).to_bytes(8, "big") + text)
    return base64.urlsafe_b64encode(mac.digest()).rstrip(b"=").decode()


def check_webhook_token(token: object, secret: str | bytes, *parts: object) -> bool:
    """Whether a token is that of `webhook_token`; anything else is not. In constant time.

    Raises ConfigurationError for a secret that is none.
    """
    strings = [part for part in parts if isinstance(part, str)]
    expected = webhook_token(secret, *strings)
    if not isinstance(token, str) or len(strings) < len(parts):
        return False
    return hmac.compare_digest(token.encode("utf-8", "surrogatepass"), expected.encode())


def _key(secret: object) -> bytes:
    key = secret.encode("utf-8", "surrogatepass") if isinstance(secret, str) else secret
    if not isinstance(key, bytes) or len(key) < _SHORTEST_SECRET:
        raise ConfigurationError(
            f"the secret of webhooks is a str or bytes, of {_SHORTEST_SECRET} bytes or more, and"
            f" not {'None' if secret is None else 'this'}: secrets.token_urlsafe() makes one"
        )
    return key
