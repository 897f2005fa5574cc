"""The errors: the tree is the picture in the module's docstring, and each survives a pickle."""

from __future__ import annotations

import copy
import pickle
import re
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any
from uuid import UUID

import httpx
import pytest

import creatify
from creatify import CreatifyError, TextGenerator, _errors, user
from creatify._status import status_error
from creatify_api.models import TextGenConfig, TextGenRequest, TextGenResponse

if TYPE_CHECKING:
    from collections.abc import Callable

_LINE = re.compile(r"^ {4}(?P<indent>[│├└─ ]*)(?P<name>[A-Z]\w+)(?P<remark>.*)$")
_MOMENT = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)


def picture() -> dict[str, tuple[str, str]]:
    """Each class in the picture, with its parent there and with what stands beside it."""
    found: dict[str, tuple[str, str]] = {}
    above: list[tuple[int, str]] = []
    last = ""
    for line in str(_errors.__doc__).splitlines():
        match = _LINE.match(line)
        if match is None:
            if last and "│" in line:  # a remark that goes on
                parent, remark = found[last]
                found[last] = (parent, f"{remark} {line.strip('│ ')}")
            continue
        depth, last = len(match["indent"]), match["name"]
        above = [entry for entry in above if entry[0] < depth]
        found[last] = (above[-1][1] if above else "Exception", match["remark"].strip())
        above.append((depth, last))
    return found


PICTURE = picture()
CLASSES = {
    name: value
    for name, value in vars(_errors).items()
    if isinstance(value, type) and issubclass(value, CreatifyError)
}
TASK = TextGenResponse(
    id=UUID(int=5),
    model_name="m",
    messages=[user("Hello")],
    config=TextGenConfig(),
    response_function_calls=[],
    created_at=_MOMENT,
    updated_at=_MOMENT,
)
REQUEST = TextGenRequest(model_name="m", messages=[user("Hello")])
STREAM: dict[str, Any] = {"partial_text": "Once", "chunks_received": 3}
MADE: dict[str, Callable[[], CreatifyError]] = {
    "CreatifyError": lambda: CreatifyError("text"),
    "ConfigurationError": lambda: creatify.ConfigurationError("text"),
    "InvalidRequestError": lambda: creatify.InvalidRequestError("text"),
    "APIConnectionError": lambda: creatify.APIConnectionError("text", request_sent=False),
    "APITimeoutError": lambda: creatify.APITimeoutError("text", request_sent=True),
    "OutcomeUnknownError": lambda: creatify.OutcomeUnknownError(
        "text", request=REQUEST, started_at=_MOMENT, candidates=(TASK,)
    ),
    "ResponseDecodeError": lambda: creatify.ResponseDecodeError(
        "text", payload=b"\xff{", path="$.a"
    ),
    "StreamError": lambda: creatify.StreamError("text", **STREAM),
    "StreamInterruptedError": lambda: creatify.StreamInterruptedError("text", **STREAM),
    "StreamIdleError": lambda: creatify.StreamIdleError("text", **STREAM),
    "StreamEventError": lambda: creatify.StreamEventError("text", code=5, **STREAM),
    "OutputParseError": lambda: creatify.OutputParseError("text", text="{", path="$.a", task=TASK),
    "TaskFailedError": lambda: creatify.TaskFailedError("text", task=TASK, reason="blocked"),
    "ToolRoundsError": lambda: creatify.ToolRoundsError(
        "text", tasks=[TASK], messages=[user("Hello")]
    ),
    "WaitTimeoutError": lambda: creatify.WaitTimeoutError("text", task=TASK),
    "WebhookError": lambda: creatify.WebhookError("text"),
}
HEADERS = {"X-Request-Id": "abc", "Retry-After": "7", "X-Other": "1"}


def answered(status: int) -> CreatifyError:
    response = httpx.Response(status, headers=HEADERS, json={"error": "text"})
    return status_error(response, paid=True)


def made(name: str) -> CreatifyError:
    if name in MADE:
        return MADE[name]()
    number = re.match(r"\d{3}", PICTURE[name][1])
    error = answered(int(number[0]) if number else 418)
    assert type(error).__name__ == name
    return error


def test_the_picture_shows_each_error_and_no_other() -> None:
    assert len(PICTURE) > 20
    assert sorted(PICTURE) == sorted(CLASSES)


def test_each_error_is_public() -> None:
    assert set(CLASSES) <= set(creatify.__all__)
    assert all(getattr(creatify, name) is error for name, error in CLASSES.items())


@pytest.mark.parametrize("name", PICTURE)
def test_the_bases_are_those_of_the_picture(name: str) -> None:
    parent, remark = PICTURE[name]
    also = re.findall(r"also a (\w+)", remark)
    assert [base.__name__ for base in CLASSES[name].__bases__] == [parent, *also]


@pytest.mark.parametrize(
    ("name", "number"),
    [(name, remark[:3]) for name, (_, remark) in PICTURE.items() if remark[:3].isdigit()],
)
def test_the_status_in_the_picture_gives_that_error(name: str, number: str) -> None:
    assert type(answered(int(number))).__name__ == name


@pytest.mark.parametrize("name", PICTURE)
def test_the_fields_in_the_picture_are_there(name: str) -> None:
    error = made(name)
    fields = re.findall(r"(?<![\w.])\.([a-z_]+)", PICTURE[name][1])
    assert all(hasattr(error, field) for field in fields)


def test_the_picture_names_fields() -> None:
    assert sum(" ." in f" {remark}" for _, remark in PICTURE.values()) >= 8


@pytest.mark.parametrize("name", PICTURE)
@pytest.mark.parametrize(
    "copied",
    [
        *(lambda error, p=p: pickle.loads(pickle.dumps(error, p)) for p in range(6)),
        copy.copy,
        copy.deepcopy,
    ],
)
def test_an_error_survives_pickle_and_copy_with_all_it_says(
    name: str, copied: Callable[[Any], Any]
) -> None:
    error = made(name)
    if isinstance(error, creatify.StreamError):
        error.candidates = [TASK]
    error.add_note("it may still be running")
    twin = copied(error)
    assert type(twin) is type(error)
    assert str(twin) == str(error)
    assert repr(twin) == repr(error)
    assert twin.args == error.args
    assert vars(twin) == vars(error)
    assert twin.__notes__ == ["it may still be running"]


def test_a_pickled_status_error_still_ignores_the_case_of_headers() -> None:
    error = pickle.loads(pickle.dumps(answered(429)))
    assert isinstance(error, creatify.RateLimitError)
    assert error.headers["x-OTHER"] == "1"
    assert (error.status_code, error.request_id, error.retry_after) == (429, "abc", 7.0)
    assert error.body == {"error": "text"}


@pytest.mark.parametrize("name", PICTURE)
def test_an_error_says_what_it_was_made_with(name: str) -> None:
    assert "text" in str(made(name))


def test_an_outcome_and_a_broken_stream_may_have_no_candidates() -> None:
    error = creatify.OutcomeUnknownError("text", request=REQUEST, started_at=_MOMENT)
    assert error.candidates == ()
    assert creatify.StreamError("text", **STREAM).candidates == ()


def test_a_broken_stream_says_how_far_it_came() -> None:
    assert str(made("StreamInterruptedError")) == (
        "text (after 3 chunks); it may have been charged: what came is in .partial_text, tasks"
        " that may be its own in .candidates"
    )
    assert str(made("StreamEventError")).startswith("the API ended the stream with error 5: text")


@pytest.mark.parametrize("name", PICTURE)
def test_the_text_of_an_error_is_one_line(name: str) -> None:
    error = made(name)
    error.args = ("one\r\n  line\u2028here ",)
    assert str(error) == "one line here"


def test_a_refused_request_says_that_nothing_was_sent() -> None:
    assert str(made("InvalidRequestError")) == "text; nothing was sent"


def test_what_could_not_be_read_says_where_it_is() -> None:
    assert str(made("ResponseDecodeError")) == (
        "the answer is not what the spec says, at $.a: text; the body is in .payload"
    )


@pytest.mark.parametrize("name", ["APITimeoutError", "StreamIdleError", "WaitTimeoutError"])
def test_a_timeout_is_caught_as_one(name: str) -> None:
    with pytest.raises(TimeoutError):
        raise made(name)


def test_an_invalid_request_is_caught_as_a_value_error() -> None:
    with pytest.raises(ValueError, match="text"):
        raise made("InvalidRequestError")


@pytest.mark.parametrize("name", PICTURE)
def test_each_error_has_a_docstring_that_names_its_own_fields(name: str) -> None:
    error = made(name)
    inherited: set[str] = set()
    for base in type(error).__mro__[1:]:
        inherited |= (
            set(re.findall(r"`(\w+)`", base.__doc__ or "")) if base in CLASSES.values() else set()
        )
    documented = set(re.findall(r"`(\w+)`", type(error).__doc__ or "")) | inherited
    assert set(vars(error)) <= documented
    assert TextGenerator.__doc__  # the docstrings of a face name these errors
