"""A typed client of the creatify.ai text generator API that never pays twice.

    from creatify import Creatify, user

    client = Creatify()
    task = client.text_generator.generate(
        model_name="gemini-2.5-flash", messages=[user("Write a tagline.")]
    )
    print(task.response_text)

The types are the generated ones of `creatify_api.models`.

Each public name is loaded when it is first asked for (PEP 562): most of what the client is made of
is the generated models, and what only names the package needs none of them.
"""

import importlib
from typing import TYPE_CHECKING

from creatify._version import __version__

if TYPE_CHECKING:
    from creatify._async_text_generator import AsyncTextGenerator
    from creatify._awaited import PollPolicy
    from creatify._client import AsyncCreatify, Creatify
    from creatify._errors import (
        APIConnectionError,
        APIStatusError,
        APITimeoutError,
        AuthenticationError,
        BadRequestError,
        ConfigurationError,
        ConflictError,
        CreatifyError,
        InsufficientCreditsError,
        InternalServerError,
        InvalidRequestError,
        NotFoundError,
        OutcomeUnknownError,
        OutputParseError,
        PermissionDeniedError,
        RateLimitError,
        ResponseDecodeError,
        StreamError,
        StreamEventError,
        StreamIdleError,
        StreamInterruptedError,
        TaskFailedError,
        ToolRoundsError,
        UnprocessableEntityError,
        WaitTimeoutError,
        WebhookError,
    )
    from creatify._media import image, video
    from creatify._messages import function_result, model, user
    from creatify._schema import Drift
    from creatify._stream import AsyncTextStream, TextStream
    from creatify._text_generator import TextGenerator
else:  # where no type checker sees it: to that, a name that is not imported above is a mistake

    def __getattr__(name: str) -> object:
        if name not in __all__:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        module = importlib.import_module(f"{__name__}.{_HOMES.get(name, '_errors')}")
        return globals().setdefault(name, getattr(module, name))


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})


__all__ = [
    "APIConnectionError",
    "APIStatusError",
    "APITimeoutError",
    "AsyncCreatify",
    "AsyncTextGenerator",
    "AsyncTextStream",
    "AuthenticationError",
    "BadRequestError",
    "ConfigurationError",
    "ConflictError",
    "Creatify",
    "CreatifyError",
    "Drift",
    "InsufficientCreditsError",
    "InternalServerError",
    "InvalidRequestError",
    "NotFoundError",
    "OutcomeUnknownError",
    "OutputParseError",
    "PermissionDeniedError",
    "PollPolicy",
    "RateLimitError",
    "ResponseDecodeError",
    "StreamError",
    "StreamEventError",
    "StreamIdleError",
    "StreamInterruptedError",
    "TaskFailedError",
    "TextGenerator",
    "TextStream",
    "ToolRoundsError",
    "UnprocessableEntityError",
    "WaitTimeoutError",
    "WebhookError",
    "__version__",
    "function_result",
    "image",
    "model",
    "user",
    "video",
]

_HOMES = {  # the modules of the public names; `_errors` where none is named
    "AsyncCreatify": "_client",
    "AsyncTextGenerator": "_async_text_generator",
    "AsyncTextStream": "_stream",
    "Creatify": "_client",
    "Drift": "_schema",
    "PollPolicy": "_awaited",
    "TextGenerator": "_text_generator",
    "TextStream": "_stream",
    "function_result": "_messages",
    "image": "_media",
    "model": "_messages",
    "user": "_messages",
    "video": "_media",
}
