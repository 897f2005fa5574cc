"""A batch's input: what was given for a request, as what is sent for it."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, cast

import attrs

from creatify import _operations, _request
from creatify._errors import InvalidRequestError
from creatify._schema import MismatchError, check
from creatify_api.models import TextGenRequest

if TYPE_CHECKING:
    from os import PathLike
    from typing import IO

    from creatify._operations import Operation
    from creatify._options import Options
    from creatify.batch._types import Item, Key
    from creatify_api.models import TextGenResponse

_KEY, _REQUEST = "key", "request"  # what a line has around a request that has a name
_LONGEST_TEXT: Final = 100  # characters of a line in an error


@dataclass(frozen=True, slots=True)
class Asked:
    """One request of the input, ready to be sent."""

    index: int
    key: Key
    request: TextGenRequest
    operation: Operation[TextGenResponse]
    digest: str

    @property
    def content(self) -> bytes:
        """The JSON that it sends."""
        return self.operation.call.content or b""


@dataclass(frozen=True, slots=True)
class Unfit:
    """One item of the input that can't be sent."""

    index: int
    key: Key
    error: InvalidRequestError


def read(index: int, item: Item, options: Options, timeout: float) -> Asked | Unfit:
    """What an item of the input comes to. The pace, and no retry, says when it is sent again."""
    key: Key = None
    try:
        if isinstance(item, Mapping) and _REQUEST in item:
            key, item = _named(item)
        request = _request_of(item)
        once = options.but(max_retries=0)
        operation = _operations.create(request, once, at_most=timeout)
    except InvalidRequestError as error:
        return Unfit(index, key, error)
    return Asked(index, key, request, operation, _digest(operation.call.content or b""))


class JsonLines:
    """The requests of a JSONL file, read as they are needed; `len` counts the lines."""

    def __init__(self, path: Path) -> None:
        self._path = path
        try:
            path.open("rb").close()
        except OSError as error:
            raise InvalidRequestError(f"{path} can't be read: {error.strerror}") from error

    def __iter__(self) -> Iterator[Item]:
        with self._path.open("rb") as file:
            yield from lines(file)

    def __len__(self) -> int:
        with self._path.open("rb") as file:
            return sum(bool(line.strip()) for line in file)


def jsonl(source: str | PathLike[str] | IO[str] | IO[bytes]) -> Iterable[Item]:
    """The requests of a file, by its path or open."""
    if hasattr(source, "read"):
        return lines(cast("IO[bytes]", source))
    return JsonLines(Path(cast("str", source)))


def lines(file: Iterable[str | bytes]) -> Iterator[Item]:
    """The item of each line that is not empty; an InvalidRequestError for what is no JSON."""
    for number, line in enumerate(file, 1):
        if line.strip():
            try:
                yield json.loads(line)
            except (ValueError, RecursionError) as error:
                shown = repr(line.strip()[:_LONGEST_TEXT])
                yield InvalidRequestError(f"line {number} is no JSON ({error}): {shown}")


def check_iterable(requests: object) -> None:
    """Raises InvalidRequestError for what is one request, or a path, and not several requests."""
    if isinstance(requests, Mapping | str | bytes | TextGenRequest) or not isinstance(
        requests, Iterable
    ):
        raise InvalidRequestError(
            "a batch takes several requests, as a list or a generator: read_jsonl(path) gives those"
            " of a file"
        )


def partition_name(rows: Iterable[Item]) -> str:
    """The name of a partition's journal: the same for the same rows."""
    digest = hashlib.sha256()
    for row in rows:
        digest.update(json.dumps(as_json(row), sort_keys=True, default=str).encode() + b"\n")
    return f"{digest.hexdigest()}.jsonl"


def as_json(value: object) -> object:
    """JSON of what may have models of the API within, as `user("...")` gives them."""
    if isinstance(value, Mapping):
        return {str(name): as_json(item) for name, item in value.items()}
    if isinstance(value, list | tuple):
        return [as_json(item) for item in value]
    return value.to_dict() if attrs.has(type(value)) and hasattr(value, "to_dict") else value


def _named(item: Mapping[str, Any]) -> tuple[Key, Item]:
    key = item.get(_KEY)
    if isinstance(key, bool) or not isinstance(key, str | int | None):
        raise InvalidRequestError(f"a {_KEY} is a string or an int, and not {type(key).__name__}")
    unknown = sorted(map(str, item.keys() - {_KEY, _REQUEST}))
    if unknown:
        raise InvalidRequestError(f"beside {_REQUEST!r} there may be {_KEY!r}, not {unknown[0]!r}")
    return key, item[_REQUEST]


def _request_of(item: object) -> TextGenRequest:
    if isinstance(item, InvalidRequestError):
        raise item
    if not isinstance(item, Mapping):
        return _request.as_request(cast("TextGenRequest", item), {})
    try:
        fields = cast("dict[str, Any]", as_json(item))
        _request.check_names(fields)
        check(fields, TextGenRequest.__name__, _REQUEST, is_closed=True)
        request = TextGenRequest.from_dict(fields)
    except MismatchError as error:
        raise InvalidRequestError(f"{error.path}: {error}") from error
    except InvalidRequestError:
        raise
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
        raise InvalidRequestError(f"the request can't be read: {error}") from error
    return _request.as_request(request, {})


def _digest(content: bytes) -> str:
    """The same for the same request, in whatever order its fields are written."""
    plain = json.dumps(json.loads(content), sort_keys=True)
    return hashlib.sha256(plain.encode()).hexdigest()
