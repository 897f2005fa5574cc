"""What the emulated model answers: made up, and the same for the same request."""

import json
import random
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from ._content import last_user_text, media, word_count
from ._sampler import Unsatisfiable, sample

_SUBJECTS = (
    "a good product page",
    "the first sentence",
    "an honest comparison",
    "the whole campaign",
    "a short video",
    "every returning customer",
    "the quiet part of the brief",
    "a clear promise",
)
_VERBS = (
    "explains",
    "carries",
    "opens",
    "deserves",
    "sharpens",
    "rewards",
    "introduces",
    "protects",
)
_OBJECTS = (
    "one idea at a time",
    "the reader's attention",
    "a reason to stay",
    "what people came for",
    "more than a slogan",
    "the story behind the offer",
    "a simple next step",
    "the detail that matters",
)
_ENDINGS = (
    "",
    "",
    ", and little else",
    " before the price is named",
    ", even on a small screen",
    " without saying so",
    ", as long as the tone stays warm",
    " from the first line to the last",
)


@dataclass(frozen=True)
class Answer:
    """What a generation comes to.

    Attributes:
        text: The text, empty beside function calls.
        calls: Function calls, each ``{"name": ..., "args": {...}}`` as the spec has them.
        finish_reason: Gemini's: ``"STOP"`` or ``"MAX_TOKENS"``.
        failure: Why the generation fails; None if it does not.
    """

    text: str = ""
    calls: tuple[Mapping[str, Any], ...] = ()
    finish_reason: str = "STOP"
    failure: str | None = None


def answer(request: Mapping[str, Any]) -> Answer:
    """The answer to a valid ``TextGenRequest``: the same one for the same request.

    A token is a word. `max_output_tokens` and `stop_sequences` cut JSON as they cut prose, as the
    real model's do.
    """
    rng = random.Random(_identity(request))  # noqa: S311 - made-up text is no secret
    config = request.get("config", {})
    try:
        if calls := tuple(_calls(request, rng)):
            return Answer(calls=calls)
        text = _json(config, rng) or _after_functions(request) or _prose(request, rng)
    except Unsatisfiable as error:
        return Answer(failure=str(error))
    return _limited(text, config)


def _identity(request: Mapping[str, Any]) -> str:
    # How the answer is delivered doesn't change it.
    asked = {k: v for k, v in request.items() if k not in {"sync", "webhook_url"}}
    return json.dumps(asked, sort_keys=True)


def _calls(request: Mapping[str, Any], rng: random.Random) -> Iterator[dict[str, Any]]:
    """The calls that the mode asks for, or that the prompt asks for by naming a function."""
    calling = request.get("tool_config", {}).get("function_calling_config", {})
    mode = calling.get("mode", "AUTO")
    allowed = calling.get("allowed_function_names")
    declared = {
        function["name"]: function.get("parameters")
        for tool in request.get("tools", ())
        for function in tool.get("function_declarations", ())
        if not allowed or function["name"] in allowed
    }
    if mode == "NONE" or not declared or "function_response" in request["messages"][-1]:
        return
    prompt = last_user_text(request)
    named = [n for n in declared if re.search(rf"(?<!\w){re.escape(n)}(?!\w)", prompt)]
    if mode == "ANY" and not named:
        named = [rng.choice(list(declared))]
    for name in named:
        # A function may be declared without parameters; its call still has an object of none.
        parameters = declared[name]
        args = {} if parameters is None else sample(parameters, rng)
        if not isinstance(args, dict):
            raise Unsatisfiable(f"The parameters of the function {name} aren't those of an object.")
        yield {"name": name, "args": args}


def _json(config: Mapping[str, Any], rng: random.Random) -> str | None:
    schema = config.get("response_json_schema")
    if schema is None and config.get("response_mime_type") != "application/json":
        return None
    instance = {"answer": _sentence(rng)} if schema is None else sample(schema, rng)
    return json.dumps(instance, ensure_ascii=False)


def _after_functions(request: Mapping[str, Any]) -> str | None:
    """A text that uses what the functions returned, if that is what the conversation ends with."""
    results = []
    for message in reversed(request["messages"]):
        if "function_response" not in message:
            break
        results.append(message["function_response"])
    return " ".join(_reported(result) for result in reversed(results)) or None


def _reported(result: Mapping[str, Any]) -> str:
    facts = [
        f"{key} is {value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)}"
        for key, value in result["response"].items()
    ]
    return f"According to {result['name']}, {' and '.join(facts) or 'there is nothing to report'}."


def _prose(request: Mapping[str, Any], rng: random.Random) -> str:
    """One to three paragraphs that begin with what was shown and asked."""
    paragraphs = [
        " ".join(_sentence(rng) for _ in range(rng.randint(3, 5))) for _ in range(rng.randint(1, 3))
    ]
    shown = " and ".join(
        f"{'an' if m.kind == 'image' else 'a'} {m.kind} ({m.mime_type}, {m.size} bytes)"
        for m in media(request)
    )
    asked = " ".join(last_user_text(request).split()[:8])
    opening = (f"I was shown {shown}. " if shown else "") + (f"On “{asked}”: " if asked else "")
    return opening + "\n\n".join(paragraphs)


def _sentence(rng: random.Random) -> str:
    subject = rng.choice(_SUBJECTS).capitalize()
    return f"{subject} {rng.choice(_VERBS)} {rng.choice(_OBJECTS)}{rng.choice(_ENDINGS)}."


def _limited(text: str, config: Mapping[str, Any]) -> Answer:
    stops = [text.find(stop) for stop in config.get("stop_sequences", ()) if stop]
    text = text[: min((at for at in stops if at >= 0), default=None)]
    limit = config.get("max_output_tokens")
    if limit is None or word_count(text) <= limit:
        return Answer(text)
    words = re.findall(r"\s*\S+", text)[: max(limit, 0)]
    return Answer("".join(words), finish_reason="MAX_TOKENS")
