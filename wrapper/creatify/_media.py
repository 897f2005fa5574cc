"""Images and videos as parts of a message's content, from a path, bytes, or a file object.

    user("Describe this.", image("shoe.png"))
    user("And this?", video(upload.file))

The spec describes such a part in words: `type` (`image`, `video`), `data` (base64) and `mime_type`.
Nothing is fetched from a URL.
"""

from __future__ import annotations

import re
from binascii import b2a_base64
from contextlib import closing
from functools import partial
from inspect import iscoroutine
from itertools import chain
from os import PathLike
from pathlib import Path
from typing import IO, TYPE_CHECKING, Final, TypeAlias

from creatify._errors import InvalidRequestError
from creatify._options import check_size

if TYPE_CHECKING:
    from collections.abc import Generator

Part: TypeAlias = dict[str, str]
"""One part of a message's content, as the spec describes it."""
Source: TypeAlias = "str | PathLike[str] | bytes | bytearray | memoryview | IO[bytes]"
"""Where an image or a video comes from: a path, its bytes, or a file that was opened as binary."""

MAX_MEDIA_SIZE: Final = 100 * 1024 * 1024
"""Bytes of an image or a video: a guard against mistakes, since the provider states no limit."""
_PIECE: Final = 3 * 1024 * 1024  # bytes; base64 writes each 3 of them as 4
_LONGEST_PATH: Final = 200  # characters that an error shows of what was given for one
# The first bytes of the formats that Gemini reads (its public reference on images and videos).
_SIGNATURES: Final = {
    "image/png": rb"\x89PNG\r\n\x1a\n",
    "image/jpeg": rb"\xff\xd8\xff",
    "image/webp": rb"RIFF....WEBP",
    "image/gif": rb"GIF8[79]a",
    "image/heic": rb"....ftyp(heic|heix|hevc|hevx)",
    "image/heif": rb"....ftyp(mif1|msf1)",
    "video/quicktime": rb"....(ftypqt  |moov|mdat|wide)",
    "video/3gpp": rb"....ftyp3g",
    "video/mp4": rb"....ftyp(?!avif|avis|he[iv][cx]|mif1|msf1)",
    "video/webm": rb"\x1a\x45\xdf\xa3",
    "video/x-msvideo": rb"RIFF....AVI ",
    "video/mpeg": rb"\x00\x00\x01[\xb3\xba]",
    "video/x-flv": rb"FLV\x01",
    "video/wmv": rb"\x30\x26\xb2\x75\x8e\x66\xcf\x11",
}


def image(source: Source, *, mime_type: str | None = None, max_size: int = MAX_MEDIA_SIZE) -> Part:
    """An image as a part of a message: from a path, bytes, or a file object opened as binary.

    A file object is read from where it stands to its end, and stays open. `mime_type` is found from
    the first bytes unless given. `max_size` (bytes, 100 MiB) bounds what is read. Raises
    InvalidRequestError if it can't be read, is empty, is larger, or is no image.
    """
    return _media("image", source, mime_type, max_size)


def video(source: Source, *, mime_type: str | None = None, max_size: int = MAX_MEDIA_SIZE) -> Part:
    """A video as a part of a message, from a path, bytes, or a file object; see `image`."""
    return _media("video", source, mime_type, max_size)


def _media(kind: str, source: Source, mime_type: str | None, max_size: int) -> Part:
    name, most = _name(kind, source), check_size(max_size, "max_size")
    with closing(_pieces(source, name)) as pieces:
        first = next(pieces, b"")
        if not first:
            raise InvalidRequestError(
                f"{name} has no bytes (a file object is read from where it stands)"
            )
        if not (mime_type is None or str(mime_type).startswith(f"{kind}/")):
            raise InvalidRequestError(f"mime_type begins with {kind}/, and is not {mime_type!r}")
        found = mime_type or _mime_type(first, kind)
        if found is None:
            known = ", ".join(key.partition("/")[2] for key in _SIGNATURES if key.startswith(kind))
            raise InvalidRequestError(
                f"{name} is no {kind} of a known format ({known}); if it is, pass mime_type"
            )
        size, data = 0, ""
        for piece in chain([first], pieces):
            size += len(piece)
            if size > most:
                raise InvalidRequestError(f"{name} is larger than max_size, {most} bytes")
            # It grows in place; a list to join would hold all of it twice.
            data += b2a_base64(piece, newline=False).decode("ascii")
    return {"type": kind, "data": data, "mime_type": found}


def _name(kind: str, source: object) -> str:
    """What an error calls it; never its bytes."""
    name = source if isinstance(source, str | PathLike) else getattr(source, "name", None)
    is_path = isinstance(name, str | PathLike)  # a pipe's name is its number
    return str(name)[:_LONGEST_PATH] if is_path else f"what was given as {kind}"


def _pieces(source: Source, name: str) -> Generator[bytes | memoryview]:
    """Its bytes, in pieces that base64 fills up none of but the last."""
    try:
        if isinstance(source, bytes | bytearray | memoryview):
            whole = memoryview(source).cast("B")
            yield from (whole[start : start + _PIECE] for start in range(0, len(whole), _PIECE))
        elif isinstance(source, str | PathLike):
            with Path(source).open("rb") as file:
                yield from iter(partial(_piece, file), b"")
        else:
            yield from iter(partial(_piece, source), b"")
    except (AttributeError, OSError, TypeError, ValueError) as error:
        reason = getattr(error, "strerror", None) or error
        raise InvalidRequestError(
            f"{name} can't be read: {reason} (give bytes, the path of a file, or a file opened as"
            " binary; nothing is fetched from a URL, or decoded from base64)"
        ) from error


def _piece(file: IO[bytes]) -> bytes:
    """The next piece, whole unless it is the last: a read may give less than it was asked for."""
    piece = b""
    while len(piece) < _PIECE:
        more: object = file.read(_PIECE - len(piece))
        if iscoroutine(more):  # as of an upload in an async web framework
            more.close()
            raise TypeError("its read() is asynchronous: give the bytes, or the file in it")
        if not isinstance(more, bytes):
            raise TypeError(f"its read() gave a value of type {type(more).__name__} and no bytes")
        if not more:
            break
        piece = piece + more if piece else more
    return piece


def _mime_type(data: bytes | memoryview, kind: str) -> str | None:
    for name, signature in _SIGNATURES.items():
        if name.startswith(kind) and re.match(signature, data, re.DOTALL):
            return name
    return None
