"""What the emulator's tests share: a client of plain httpx that checks all that it gets."""

import contextlib
import json
from collections.abc import Iterator
from importlib.resources import files
from typing import Any

import httpx
from openapi_schema_validator import OAS30Validator, oas30_format_checker

from creatify.testing import Emulator

TASKS = "/sse/text_generator/"
STREAM = "/sse/text_generator/stream/"
CREDITS = "/api/remaining_credits/"

DOCUMENT = json.loads(files("creatify_api").joinpath("openapi.json").read_bytes())


def ask(text: Any = "Write a tagline.", **fields: Any) -> dict[str, Any]:
    """A request of one user message."""
    messages = [{"role": "user", "content": text}]
    return {"model_name": "gemini-2.5-flash", "messages": messages} | fields


@contextlib.contextmanager
def emulated(*, check: bool = True, **settings: Any) -> Iterator[tuple[Emulator, httpx.Client]]:
    """A running emulator and a client with its credentials, which checks answers by the spec."""
    settings = {"running": 0.02} | settings
    with Emulator(**settings) as emulator, client_of(emulator, check=check) as client:
        yield emulator, client


def client_of(emulator: Emulator, *, check: bool = True) -> httpx.Client:
    return httpx.Client(
        base_url=emulator.url,
        headers={"X-API-ID": emulator.api_id, "X-API-KEY": emulator.api_key},
        event_hooks={"response": [check_response]} if check else {},
        trust_env=False,
        verify=False,  # there is no TLS here, and its settings take 20 ms to load
    )


def assert_matches(name: str, value: Any) -> None:
    """Raise ValidationError unless the value is one of that schema of the spec."""
    schema = {
        "allOf": [{"$ref": f"#/components/schemas/{name}"}],
        "components": DOCUMENT["components"],
    }
    OAS30Validator(schema, format_checker=oas30_format_checker).validate(value)


def chunks(body: bytes) -> list[dict[str, Any]]:
    """The chunks of a whole stream."""
    assert body.endswith(b"\r\n\r\n")
    events = body.removesuffix(b"\r\n\r\n").split(b"\r\n\r\n")
    assert all(event.startswith(b"data: ") for event in events)
    return [json.loads(event.removeprefix(b"data: ")) for event in events]


def text_of(stream: list[dict[str, Any]]) -> str:
    return "".join(
        part.get("text", "")
        for chunk in stream
        for part in chunk["candidates"][0]["content"]["parts"]
    )


def check_response(response: httpx.Response) -> None:
    """The answer is one that the spec documents, or an error that says what is wrong."""
    response.read()
    match response.status_code, response.request.url.path:
        case 200, path if path == STREAM:
            assert response.headers["content-type"].startswith("text/event-stream")
            for chunk in chunks(response.content):
                assert_matches("TextGenStreamChunk", chunk)
        case 200, path if path == CREDITS:
            assert_matches("RemainingCredits", response.json())
        case 200, path if path == TASKS:
            for task in response.json():
                assert_matches("TextGenResponse", task)
        case 200 | 201, _:
            assert_matches("TextGenResponse", response.json())
        case _:
            assert response.status_code in {400, 401, 402, 404, 405}
            assert list(response.json()) == ["error"]
            assert isinstance(response.json()["error"], str)
