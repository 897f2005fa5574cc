import base64
import json
from typing import Any

import httpx
import pytest
from emulated import DOCUMENT, STREAM, TASKS, ask, assert_matches, emulated
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from jsonschema import Draft202012Validator  # type: ignore[import-untyped] # ships no types

from creatify.testing._answers import answer
from creatify.testing._backend import MODELS

WEATHER = {
    "name": "get_weather",
    "parameters": {
        "type": "OBJECT",
        "properties": {
            "city": {"type": "STRING"},
            "days": {"type": "INTEGER", "minimum": 1, "maximum": 7},
            "unit": {"type": "STRING", "enum": ["C", "F"], "nullable": True},
        },
        "required": ["city", "days"],
    },
}
NEWS = {"name": "news"}


def tools(*functions: dict[str, Any], **calling: Any) -> dict[str, Any]:
    """The request's fields for these functions and this `function_calling_config`."""
    return {
        "tools": [{"function_declarations": [function]} for function in functions],
        "tool_config": {"function_calling_config": calling},
    }


def called(request: dict[str, Any]) -> list[Any]:
    return [call["name"] for call in answer(request).calls]


# Text


def test_the_same_request_has_the_same_answer_and_another_seed_another() -> None:
    with emulated() as (_, client):
        texts = [
            client.post(TASKS, json=ask(config={"seed": seed}, sync=True)).json()["response_text"]
            for seed in (1, 1, 2)
        ]
    assert texts[0] == texts[1] != texts[2]
    assert answer(ask(config={"seed": 1}, webhook_url="http://[::1]/")).text == texts[0]


def test_an_answer_looks_like_prose() -> None:
    for seed in range(50):
        text = answer(ask(config={"seed": seed})).text
        assert text.startswith("On “Write a tagline.”: ")
        assert 1 <= len(text.split("\n\n")) <= 3
        assert 20 < len(text.split()) < 300
        assert text.endswith(".")


def test_a_conversation_that_the_user_says_nothing_in_is_answered_too() -> None:
    assert answer(ask(messages=[{"role": "model", "content": "Hi"}])).text.endswith(".")


@pytest.mark.parametrize("limit", [-1, 0, 1, 7])
def test_max_output_tokens_limits_the_words(limit: int) -> None:
    cut = answer(ask(config={"max_output_tokens": limit}))
    assert len(cut.text.split()) == max(limit, 0)
    assert cut.finish_reason == "MAX_TOKENS"


def test_an_answer_within_max_output_tokens_is_whole() -> None:
    limits = {"max_output_tokens": 10_000}
    whole = answer(ask(config=limits))
    assert whole.finish_reason == "STOP"
    assert whole.text.endswith(".")


def test_the_first_stop_sequence_ends_the_text_before_it() -> None:
    cut = answer(ask("one two three", config={"stop_sequences": ["three", "two", "", "nowhere"]}))
    assert cut.text == "On “one "
    assert cut.finish_reason == "STOP"


# What it is shown


def test_the_answer_says_what_it_was_shown() -> None:
    picture, film = b"\x89PNG" * 10, b"film"
    request = ask(
        [
            {"type": "text", "text": "Compare"},
            {"type": "image", "data": base64.b64encode(picture).decode(), "mime_type": "image/png"},
            {"type": "video", "data": base64.b64encode(film).decode(), "mime_type": "video/mp4"},
            {"type": "text", "text": "these."},
        ]
    )
    with emulated() as (_, client):
        text = client.post(TASKS, json=request | {"sync": True}).json()["response_text"]
    assert text.startswith(
        "I was shown an image (image/png, 40 bytes) and a video (video/mp4, 4 bytes). "
        "On “Compare these.”: "
    )


# Functions


def test_mode_any_gives_a_call_whose_args_fit_the_parameters() -> None:
    schema = {
        "type": "object",
        "properties": {
            "city": {"type": "string"},
            "days": {"type": "integer", "minimum": 1, "maximum": 7},
            "unit": {"enum": ["C", "F", None]},
        },
        "required": ["city", "days"],
        "additionalProperties": False,
    }
    with emulated(pending=0, running=0) as (_, client):
        for seed in range(20):
            request = ask(config={"seed": seed}, sync=True, **tools(WEATHER, mode="ANY"))
            task = client.post(TASKS, json=request).json()
            assert task["response_text"] == ""
            (call,) = task["response_function_calls"]
            assert call["name"] == "get_weather"
            Draft202012Validator(schema).validate(call["args"])


def test_a_prompt_that_names_a_function_calls_it() -> None:
    fields = tools(WEATHER, NEWS)
    assert called(ask("Use get_weather for Paris.", **fields)) == ["get_weather"]
    assert called(ask("news and get_weather", **fields)) == ["get_weather", "news"]
    assert called(ask("get_weathers, newsroom", **fields)) == []
    assert called(ask("Use get_weather.", **fields, config={"response_json_schema": {}})) == [
        "get_weather"
    ]
    assert answer(ask("news", **tools(NEWS))).calls == ({"name": "news", "args": {}},)


def test_mode_none_gives_no_call() -> None:
    assert called(ask("get_weather", **tools(WEATHER, mode="NONE"))) == []


def test_only_allowed_functions_are_called() -> None:
    fields = tools(WEATHER, NEWS, mode="ANY", allowed_function_names=["news"])
    for seed in range(10):
        assert called(ask("get_weather", config={"seed": seed}, **fields)) == ["news"]
    assert called(ask(**tools(WEATHER, mode="ANY", allowed_function_names=["other"]))) == []


def test_mode_any_calls_each_function_some_time() -> None:
    seeds = range(20)
    fields = tools(WEATHER, NEWS, mode="ANY")
    names = [called(ask(config={"seed": seed}, **fields)) for seed in seeds]
    assert {name for (name,) in names} == {"get_weather", "news"}


def test_after_function_responses_the_text_uses_their_values() -> None:
    messages = [
        {"role": "user", "content": "get_weather, please"},
        {"role": "model", "function_call": {"name": "get_weather", "args": {"city": "Paris"}}},
        {
            "role": "user",
            "function_response": {
                "name": "get_weather",
                "response": {"sky": "clear", "temperatures": [29, 30]},
            },
        },
        {"role": "user", "function_response": {"name": "news", "response": {}}},
    ]
    request = ask(messages=messages, **tools(WEATHER, mode="ANY"))
    assert answer(ask(messages=messages[3:])).text.startswith("According to news")
    assert answer(request).text == (
        "According to get_weather, sky is clear and temperatures is [29, 30]. "
        "According to news, there is nothing to report."
    )


@pytest.mark.parametrize("parameters", ["<unknown>", {"type": "array"}, {"type": "nonsense"}])
def test_parameters_that_no_args_can_fit_fail_the_task(parameters: Any) -> None:
    function = {"name": "f", "parameters": parameters}
    with emulated() as (_, client):
        task = client.post(TASKS, json=ask("f", sync=True, **tools(function))).json()
    assert task["status"] == "failed"
    assert task["failed_reason"]


# JSON


def test_a_response_json_schema_is_answered_by_an_instance() -> None:
    schema = {
        "type": "object",
        "properties": {
            "title": {"type": "string", "maxLength": 20},
            "tags": {"type": "array", "items": {"type": "string"}, "minItems": 2},
        },
        "required": ["title", "tags"],
    }
    with emulated() as (_, client):
        request = ask(config={"response_json_schema": schema}, sync=True)
        text = client.post(TASKS, json=request).json()["response_text"]
    Draft202012Validator(schema).validate(json.loads(text))


def test_application_json_without_a_schema_is_answered_by_an_object() -> None:
    config = {"response_mime_type": "application/json", "response_json_schema": None}
    assert list(json.loads(answer(ask(config=config)).text)) == ["answer"]


@pytest.mark.parametrize("schema", ["<unknown>", False, {"type": "integer", "enum": ["x"]}])
def test_a_schema_without_an_instance_fails_the_task(schema: Any) -> None:
    with emulated() as (_, client):
        request = ask(config={"response_json_schema": schema}, sync=True)
        task = client.post(TASKS, json=request).json()
    assert task["status"] == "failed"
    assert task["failed_reason"].startswith("No instance of the JSON schema could be made: ")


# Whatever the spec allows


def valid(schema: Any) -> st.SearchStrategy[Any]:
    """What the spec's schema allows (hypothesis-jsonschema fails with this hypothesis)."""
    reference = schema.get("$ref") or schema.get("allOf", [{}])[0].get("$ref")
    if reference:
        schema = DOCUMENT["components"]["schemas"][reference.rpartition("/")[2]]
    kind = schema.get("type")
    if "enum" in schema:
        return st.sampled_from(schema["enum"])
    if kind == "array":
        return st.lists(valid(schema["items"]), max_size=3)
    if kind == "object" and "properties" in schema:
        fields = {name: valid(inner) for name, inner in schema["properties"].items()}
        required = {name: fields.pop(name) for name in schema.get("required", ())}
        return st.fixed_dictionaries(required, optional=fields)
    return FORMATS.get(schema.get("format"), SCALARS.get(kind, JSON))


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=9),
    lambda inner: (
        st.lists(inner, max_size=2) | st.dictionaries(st.text(max_size=9), inner, max_size=2)
    ),
    max_leaves=4,
)

SCALARS = {
    "object": st.dictionaries(st.text(max_size=5), JSON, max_size=3),
    "string": st.text(max_size=50),
    "integer": st.integers(),
    "number": st.floats(allow_nan=False, allow_infinity=False) | st.integers(),
    "boolean": st.booleans(),
}
FORMATS = {
    "uri": st.sampled_from(["http://127.0.0.1:9/", "https://example.com/hook", "a:b"]),
}
CONTENT = st.just("Hi get_weather") | st.lists(
    st.just({"type": "text", "text": "Hi"})
    | st.just({"type": "image", "data": "QUJD", "mime_type": "image/png"}),
    max_size=2,
)
REQUESTS = st.builds(
    lambda request, model, contents: (
        request
        | model
        | {"messages": [m | c for m, c in zip(request["messages"], contents, strict=False)]}
    ),
    valid(DOCUMENT["components"]["schemas"]["TextGenRequest"]),
    st.just({}) | st.fixed_dictionaries({"model_name": st.sampled_from(MODELS)}),
    st.lists(st.just({}) | st.fixed_dictionaries({"content": CONTENT}), min_size=2, max_size=5),
)


@pytest.fixture(scope="module")
def client() -> Any:
    with emulated(pending=0, running=0) as (_, client):
        yield client


@pytest.mark.unmeasured
@settings(
    max_examples=150,
    deadline=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)
@given(request=REQUESTS)
def test_any_request_that_the_spec_allows_gets_a_documented_answer(
    client: httpx.Client, request: dict[str, Any]
) -> None:
    assert_matches("TextGenRequest", request)
    # The client checks the answers' bodies by the spec.
    created = client.post(TASKS, json=request)
    assert created.status_code in {201, 400, 402}
    streamed = client.post(STREAM, json=request)
    assert streamed.status_code == (200 if created.is_success else created.status_code)
    if created.is_success:
        assert (
            client.get(f"{TASKS}{created.json()['id']}/").json()["messages"] == request["messages"]
        )
