"""What an answer becomes, in both colours, over real sockets: a model, or an error of the tree."""

from __future__ import annotations

import json
from functools import partial
from typing import TYPE_CHECKING, Any
from uuid import UUID

import pytest
from rawserver import Exchange, each, posted

from creatify import (
    APIStatusError,
    AuthenticationError,
    BadRequestError,
    ConflictError,
    CreatifyError,
    InsufficientCreditsError,
    InternalServerError,
    NotFoundError,
    OutcomeUnknownError,
    PermissionDeniedError,
    PollPolicy,
    RateLimitError,
    ResponseDecodeError,
    UnprocessableEntityError,
    user,
)
from creatify_api.models import RemainingCredits, TextGenResponse

if TYPE_CHECKING:
    from collections.abc import Callable

    from colours import Colour
    from rawserver import RawServer, Script

    Serve = Callable[[Script], RawServer]

pytestmark = pytest.mark.anyio

ID = "0b0f2f46-9d1e-4b0e-8a8e-0c0d7c0a2c11"
TASK: dict[str, Any] = {
    "id": ID,
    "model_name": "gemini-2.5-flash",
    "messages": [{"role": "user", "content": "Write a tagline."}],
    "config": {},
    "status": "pending",
    "response_function_calls": [],
    "created_at": "2026-01-02T03:04:05.678900+00:00",
    "updated_at": "2026-01-02T03:04:05.678900+00:00",
}
CREDITS: dict[str, Any] = {"remaining_credits": 12.5}
ANSWERS: dict[str, Any] = {
    "create": TASK,
    "retrieve": TASK,
    "list": [TASK, TASK | {"status": "done"}],
    "remaining_credits": CREDITS,
}
OPERATIONS = list(ANSWERS)
DATE = "Wed, 21 Oct 2026 07:28:00 GMT"


async def call(client: Any, operation: str) -> Any:
    match operation:
        case "create":
            return await client.text_generator.create(model_name="m", messages=[user("Hello")])
        case "retrieve":
            return await client.text_generator.retrieve(ID)
        case "list":
            return await client.text_generator.list()
    return await client.remaining_credits()


def answering(serve: Serve, body: bytes, **options: Any) -> RawServer:
    return serve(lambda exchange: exchange.answer(body, **options))


async def error_of(
    colour: Colour, server: RawServer, operation: str, kind: type[APIStatusError] = APIStatusError
) -> Any:
    with pytest.raises(kind) as caught:
        await call(colour.client(base_url=server.url), operation)
    assert len(server.exchanges) == 1
    return caught.value


async def failure(client: Any, operation: str, *, is_unknown: bool = True) -> Any:
    """The error that an answer is; the cause, if it leaves open what became of a create."""
    with pytest.raises(CreatifyError) as caught:
        await call(client, operation)
    error = caught.value
    if operation != "create" or not is_unknown:
        assert not isinstance(error, OutcomeUnknownError)
        return error
    assert isinstance(error, OutcomeUnknownError)
    assert error.candidates == []
    met = str(error.__cause__).removesuffix("; it may have been charged")
    assert str(error).startswith(f"{met}; it may have been charged and was not sent again")
    return error.__cause__


@pytest.mark.parametrize("operation", OPERATIONS)
async def test_any_2xx_is_read_alike(colour: Colour, serve: Serve, operation: str) -> None:
    body = json.dumps(ANSWERS[operation]).encode()
    statuses = ["200 OK", "201 Created", "202 Accepted", "299 Fine"]
    server = serve(
        each(*(partial(Exchange.answer, body=body, status=status) for status in statuses))
    )
    client = colour.client(base_url=server.url)
    for _ in statuses:
        got = await call(client, operation)
        models = got if isinstance(got, list) else [got]
        assert {type(model) for model in models} <= {TextGenResponse, RemainingCredits}
        written = [model.to_dict() for model in models]
        assert (written if isinstance(got, list) else written[0]) == ANSWERS[operation]
    assert len(server.exchanges) == len(statuses)


@pytest.mark.parametrize("content_type", ["text/plain; charset=latin-1", "text/event-stream"])
async def test_the_content_type_of_an_answer_does_not_matter(
    colour: Colour, serve: Serve, content_type: str
) -> None:
    body = b"\xef\xbb\xbf" + json.dumps(TASK | {"model_name": "gemä"}, ensure_ascii=False).encode()
    server = answering(serve, body, content_type=content_type)
    got = await call(colour.client(base_url=server.url), "create")
    assert got.model_name == "gemä"


@pytest.mark.parametrize("operation", ["create", "retrieve", "list"])
async def test_a_payload_is_tolerated_as_real_servers_send_it(
    colour: Colour, serve: Serve, operation: str
) -> None:
    nulls = {"response_text": None, "failed_reason": None, "credits_used": None}
    task = TASK | nulls | {"status": "resumed", "workspace": {"id": None}}
    message = {"role": "system", "content": None, "function_call": None, "function_response": None}
    task |= {"messages": [message], "config": {"temperature": None, "response_mime_type": "x/y"}}
    task |= {"response_function_calls": [{"name": "f", "args": {"a": None}}]}
    server = answering(serve, json.dumps([task] if operation == "list" else task).encode())
    got = await call(colour.client(base_url=server.url), operation)
    made = got[0] if operation == "list" else got
    assert made.status == "resumed"
    assert made.additional_properties == {"workspace": {"id": None}}
    assert made.messages[0].role == "system"
    assert made.to_dict() == {key: value for key, value in task.items() if key not in nulls} | {
        "messages": [{"role": "system", "content": None}],
        "config": {"response_mime_type": "x/y"},
    }


async def test_an_empty_list_is_one(colour: Colour, serve: Serve) -> None:
    server = answering(serve, b"[]")
    assert await call(colour.client(base_url=server.url), "list") == []


@pytest.mark.parametrize(
    ("body", "options", "what"),
    [
        (b"", {"status": "204 No Content"}, "it is empty"),
        (b"", {}, "it is empty"),
        (b" \r\n", {}, "it is empty"),
        (b"<!doctype html><p>Welcome to nginx!", {"content_type": "text/html"}, "it is no JSON"),
        (b'{"id": "0b0f', {}, "it is no JSON"),
        (b'{"\xff": 1}', {}, "it is no JSON"),
        (b"[" * 100_000, {}, "it is no JSON"),
        (b"9" * 5000, {}, "it is no JSON"),
        (b'"text"', {}, "should be an KIND"),
        (b"null", {}, "should be an KIND"),
    ],
)
async def test_a_success_without_the_payload_shows_its_body(
    colour: Colour, serve: Serve, body: bytes, options: dict[str, str], what: str
) -> None:
    server = answering(serve, body, **options)
    client = colour.client(base_url=server.url)
    for operation in OPERATIONS:
        error = await failure(client, operation)
        assert type(error) is ResponseDecodeError
        assert error.payload == body
        assert error.path == "$"
        kind = "array" if operation == "list" else "object"
        assert what.replace("KIND", kind) in str(error)
    assert len(server.posts) == 1


@pytest.mark.parametrize(
    ("operation", "answer", "path"),
    [
        ("create", TASK | {"id": 5}, "$.id"),
        ("create", {key: value for key, value in TASK.items() if key != "created_at"}, "$"),
        ("retrieve", TASK | {"messages": [{"role": "user"}, {}]}, "$.messages[1]"),
        ("retrieve", TASK | {"messages": [{"role": None}]}, "$.messages[0].role"),
        ("retrieve", TASK | {"config": {"seed": "x"}}, "$.config.seed"),
        ("list", [TASK, TASK | {"updated_at": "soon"}], "$[1].updated_at"),
        ("list", [TASK, None], "$[1]"),
        ("remaining_credits", {"remaining_credits": "12"}, "$.remaining_credits"),
        ("remaining_credits", {}, "$"),
    ],
)
async def test_a_payload_that_differs_says_where_and_keeps_the_body(
    colour: Colour, serve: Serve, operation: str, answer: object, path: str
) -> None:
    body = json.dumps(answer).encode()
    server = answering(serve, body)
    error = await failure(colour.client(base_url=server.url), operation)
    assert type(error) is ResponseDecodeError
    assert error.path == path
    assert error.payload == body
    assert f"at {path}: " in str(error)
    assert len(server.posts) == (operation == "create")


KINDS = {
    302: APIStatusError,
    400: BadRequestError,
    401: AuthenticationError,
    402: InsufficientCreditsError,
    403: PermissionDeniedError,
    404: NotFoundError,
    405: APIStatusError,
    409: ConflictError,
    418: APIStatusError,
    422: UnprocessableEntityError,
    429: RateLimitError,
    499: APIStatusError,
    500: InternalServerError,
    502: InternalServerError,
    503: InternalServerError,
    504: InternalServerError,
    520: InternalServerError,
    599: InternalServerError,
}
ADVICE = {
    302: "redirects are never followed, check base_url",
    400: "mend the request",
    401: "check the API id and the API key",
    402: "buy credits",
    403: "the credentials are good and don't allow this",
    404: "check the id and base_url",
    405: "change the request before it is sent again",
    409: "change the request before it is sent again",
    418: "change the request before it is sent again",
    422: "mend the request",
    429: "slow down and try again later",
    499: "try again later",
}


@pytest.mark.parametrize("operation", OPERATIONS)
async def test_a_status_is_its_error(colour: Colour, serve: Serve, operation: str) -> None:
    body = b'{"error": "no such luck"}'
    answers = each(
        *(partial(Exchange.answer, body=body, status=f"{status} Reason") for status in KINDS)
    )
    server = serve(posted(answers) if operation == "create" else answers)
    client = colour.client(base_url=server.url)
    for status, kind in KINDS.items():
        is_unknown = status >= 500 or status in {302, 499}
        error = await failure(client, operation, is_unknown=is_unknown)
        assert type(error) is kind
        assert type(error.status_code) is int
        assert error.status_code == status
        assert error.message == "no such luck"
        assert error.body == {"error": "no such luck"}
        advice = ADVICE.get(status, "try again later")
        if operation == "create":
            advice = f"nothing was charged: {advice}"
            advice = "it may have been charged" if is_unknown else advice
        assert str(error) == f"the API answered {status}: no such luck; {advice}"
    assert len(server.posts if operation == "create" else server.exchanges) == len(KINDS)


@pytest.mark.parametrize(
    ("body", "message"),
    [
        (b'{"error": "a"}', "a"),
        (b'{"detail": "b"}', "b"),
        (b'{"message": "c"}', "c"),
        (b'{"message": "c", "detail": "b", "error": "a"}', "a"),
        (b'{"error": {"code": 5}, "detail": "b"}', "b"),
        (b'{"error": {"code": 5}}', '{"error": {"code": 5}}'),
        (b'{"messages": ["\xc3\xa4 field"]}', '{"messages": ["ä field"]}'),
        (b'["one", "two"]', '["one", "two"]'),
        (b'"text"', "text"),
        (b'\xef\xbb\xbf{"error": "marked"}', "marked"),
        (b" upstream timed out\n", "upstream timed out"),
        (b'{"error": "It is\\n over."}', "It is\n over."),
        (b'{"error": "' + b"a" * 10_000 + b'"}', "a" * 500),
        (b"b" * 10_000, "b" * 500),
        (b"[" * 100_000, "[" * 500),
    ],
)
async def test_the_message_is_what_the_api_says(
    colour: Colour, serve: Serve, body: bytes, message: str
) -> None:
    server = answering(serve, body, status="400 Bad Request")
    error = await error_of(colour, server, "create")
    assert error.message == message
    told = message.replace("\n", "").removesuffix(".")
    assert str(error) == f"the API answered 400: {told}; nothing was charged: mend the request"


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b" \n",
        b"{}",
        b"[]",
        b"null",
        b'""',
        b"<html>no",
        b"\xef\xbb\xbf<html>no",
        b"\n <!DOCTYPE html>",
        b'"<p>no"',
        b'{"error": ""}',
        b"\xc3\xa4\xff",
    ],
)
async def test_without_a_word_of_the_api_the_message_is_the_phrase_of_the_status(
    colour: Colour, serve: Serve, body: bytes
) -> None:
    phrases = {502: "Bad Gateway", 520: "a status without a name"}
    html = partial(Exchange.answer, body=body, content_type="text/html")
    client = colour.client(
        base_url=serve(each(*(partial(html, status=f"{status} X") for status in phrases))).url
    )
    for phrase in phrases.values():
        with pytest.raises(InternalServerError) as caught:
            await call(client, "list")
        assert caught.value.message == phrase


@pytest.mark.parametrize(
    ("body", "decoded"),
    [
        (b'{"error": "x", "more": [null]}', {"error": "x", "more": [None]}),
        (b"[1]", [1]),
        (b"null", None),
        (b"<html>", "<html>"),
        (b"\xef\xbb\xbfno \xc3\xa4", "no ä"),
        (b"\xc3\xa4\xff", b"\xc3\xa4\xff"),
        (b"", ""),
    ],
)
async def test_the_body_is_the_json_else_the_text_else_the_bytes(
    colour: Colour, serve: Serve, body: bytes, decoded: object
) -> None:
    error = await error_of(colour, answering(serve, body, status="400 X"), "create")
    assert error.body == decoded


async def test_the_headers_ignore_case_and_the_request_id_is_one_of_them(
    colour: Colour, serve: Serve
) -> None:
    headers = "X-Request-ID: abc-1\r\nX-Other: 5\r\n"
    error = await error_of(
        colour, answering(serve, b"", status="404 X", headers=headers), "retrieve"
    )
    assert error.request_id == "abc-1"
    assert error.headers["X-OTHER"] == error.headers["x-other"] == "5"
    assert "x-request-id" in error.headers


async def test_without_the_header_there_is_no_request_id(colour: Colour, serve: Serve) -> None:
    error = await error_of(colour, answering(serve, b"", status="404 X"), "retrieve")
    assert error.request_id is None


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        ("7", 7.0),
        ("0", 0.0),
        ("1.5", 1.5),
        ("  30 ", 30.0),
        ("Wed, 21 Oct 2026 07:28:42 GMT", 42.0),
        ("Wednesday, 21-Oct-26 07:29:00 GMT", 60.0),
        ("Wed Oct 21 07:28:09 2026", 9.0),
        ("2026-10-21T09:28:05+02:00", 5.0),
        ("Wed, 21 Oct 2026 07:27:00 GMT", 0.0),
        ("Wed, 21 Oct 2026 07:28:05 XYZ", 5.0),
        ("soon", None),
        ("", None),
        ("-5", None),
        ("5, 10", None),
        ("10 sec", None),
        ("Monday", None),
        ("1e3", None),
        ("nan", None),
        ("9999999999", None),
        ("Wed, 99 Oct 2026 07:28:00 GMT", None),
        ("2026-10-21T07:28:00+99:00", None),
        ("\u0663", None),
    ],
)
async def test_retry_after_is_in_seconds_or_a_date_by_the_clock_of_the_server(
    colour: Colour, serve: Serve, value: str, seconds: float | None
) -> None:
    head = f"Date: {DATE}\r\nRetry-After: {value}\r\n".encode()
    server = serve(
        lambda exchange: exchange.send(
            b"HTTP/1.1 429 Slow Down\r\nContent-Length: 0\r\n" + head + b"\r\n"
        )
    )
    error = await error_of(colour, server, "create", RateLimitError)
    assert error.retry_after == seconds


async def test_without_the_header_there_is_no_retry_after(colour: Colour, serve: Serve) -> None:
    error = await error_of(colour, answering(serve, b"", status="429 X"), "create", RateLimitError)
    assert error.retry_after is None


@pytest.mark.parametrize("date", ["", "Date: garbage\r\n"])
async def test_without_the_date_of_the_server_our_clock_serves(
    colour: Colour, serve: Serve, date: str
) -> None:
    headers = f"{date}Retry-After: Wed, 21 Oct 2099 07:28:00 GMT\r\n"
    server = answering(serve, b"", status="429 X", headers=headers)
    error = await error_of(colour, server, "create", RateLimitError)
    assert error.retry_after > 1e9


async def test_a_redirect_is_not_followed(colour: Colour, serve: Serve) -> None:
    other = answering(serve, json.dumps(TASK).encode())
    headers = f"Location: {other.url}/elsewhere\r\n"
    server = answering(serve, b"", status="307 Temporary Redirect", headers=headers)
    error = await error_of(colour, server, "create")
    assert error.status_code == 307
    assert str(error).endswith(
        "; nothing was charged: redirects are never followed, check base_url"
    )
    assert other.exchanges == []


@pytest.mark.parametrize("given", [ID, UUID(ID), TextGenResponse.from_dict(TASK)])
async def test_a_task_is_given_by_its_id_or_as_itself(
    colour: Colour, serve: Serve, given: str | UUID | TextGenResponse
) -> None:
    server = answering(serve, json.dumps(TASK | {"status": "done"}).encode())
    client = colour.client(base_url=server.url)
    done = await client.text_generator.wait(given, poll=PollPolicy(minimum=0.01))
    assert done.status == "done"
    assert [exchange.head.split()[:2] for exchange in server.exchanges] == [
        ["GET", f"/sse/text_generator/{ID}/"]
    ]
