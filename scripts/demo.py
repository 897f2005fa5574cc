"""The main job, shown: `make demo` against the emulator, `make demo LIVE=1` against the real API.

Live, it uses your own credentials, and each generation costs credits.
"""

from __future__ import annotations

import json
import sys
from contextlib import ExitStack
from pathlib import Path

from creatify import Creatify, CreatifyError, function_result, model, user
from creatify_api.models import (
    FunctionCallingConfig,
    FunctionDeclaration,
    TextGenConfig,
    TextGenResponse,
    Tool,
    ToolConfig,
)

MODEL = "gemini-2.5-flash"
RECORDINGS = Path(__file__).parent.parent / "tests" / "recordings"
WEATHER = FunctionDeclaration(
    name="get_weather",
    description="The weather in a city.",
    parameters={
        "type": "object",
        "properties": {"city": {"type": "string"}},
        "required": ["city"],
    },
)
PRODUCT = {
    "type": "object",
    "properties": {"name": {"type": "string"}, "price": {"type": "number"}},
    "required": ["name", "price"],
}


def main() -> None:
    """Show each part of the main job in turn."""
    live = "--live" in sys.argv[1:]
    with ExitStack() as stack:
        client = stack.enter_context(Creatify() if live else _emulated(stack))
        print(f"{client}\n")
        create_and_wait(client)
        stream(client, "Tell me about mountains.")
        if not live:
            stream(client, "mexico", title="a recorded Gemini stream, replayed")
        call_a_function(client)
        structured_output(client)
        list_tasks(client)


def create_and_wait(client: Creatify) -> None:
    """A task is created, and polled until it is done."""
    _title("create, then wait")
    task = client.text_generator.create(
        model_name=MODEL,
        messages=[user("Write a tagline for a bakery.")],
        config=TextGenConfig(max_output_tokens=30),
    )
    print(f"created {task.id}: {task.status}")
    done = client.text_generator.wait(task, on_update=lambda seen: print(f"  now {seen.status}"))
    print(f"{done.response_text}\n  {done.credits_used} credits")


def stream(client: Creatify, prompt: str, title: str = "stream") -> None:
    """A text is printed as it arrives; the final chunk is the receipt."""
    _title(title)
    with client.text_generator.stream(model_name=MODEL, messages=[user(prompt)]) as chunks:
        for text in chunks.text_stream:
            print(text, end="", flush=True)
    print(f"\n  finish reason {chunks.finish_reason}, receipt {chunks.receipt}")


def call_a_function(client: Creatify) -> None:
    """The model asks for a function, is given its result, and answers with it."""
    _title("a function call")
    question = user("What is the weather in Paris? Use get_weather.")
    tools = [Tool(function_declarations=[WEATHER])]
    asked = client.text_generator.generate(
        model_name=MODEL,
        messages=[question],
        tools=tools,
        tool_config=ToolConfig(function_calling_config=FunctionCallingConfig(mode="ANY")),
    )
    call = asked.response_function_calls[0]
    print(f"the model calls {call.name}({json.dumps(call.to_dict().get('args', {}))})")
    answered = client.text_generator.generate(
        model_name=MODEL,
        messages=[question, model(call), function_result(call.name, {"celsius": 21})],
        tools=tools,
    )
    print(answered.response_text)


def structured_output(client: Creatify) -> None:
    """The text is JSON that fits a schema."""
    _title("structured output")
    done = client.text_generator.generate(
        model_name=MODEL,
        messages=[user("Invent a product.")],
        config=TextGenConfig(response_json_schema=PRODUCT),
    )
    print(json.loads(str(done.response_text)))


def list_tasks(client: Creatify) -> None:
    """The workspace's tasks, and what is left to spend."""
    _title("the list")
    tasks = client.text_generator.list()
    for task in tasks[:5]:
        print(f"{task.id}  {task.status}  {_start(task)}")
    print(f"{len(tasks)} tasks; {client.remaining_credits().remaining_credits} credits left")


def _emulated(stack: ExitStack) -> Creatify:
    from creatify.testing import Emulator  # noqa: PLC0415 - LIVE=1 does without it

    emulator = stack.enter_context(Emulator(recordings=RECORDINGS, chunk_delay=0.03))
    return Creatify(base_url=emulator.url, api_id=emulator.api_id, api_key=emulator.api_key)


def _title(text: str) -> None:
    print(f"\n— {text} —")


def _start(task: TextGenResponse) -> str:
    text = str(task.response_text or "")
    return f"{text[:50]}…" if text else "(no text)"


if __name__ == "__main__":
    try:
        main()
    except CreatifyError as error:
        sys.exit(f"{type(error).__name__}: {error}")
