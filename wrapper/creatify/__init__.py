"""A typed client of the creatify.ai text generator API that never pays twice.

    from creatify import Creatify, user

    client = Creatify()
    task = client.text_generator.generate(
        model_name="gemini-2.5-flash", messages=[user("Write a tagline.")]
    )
    print(task.response_text)

The types are the generated ones of `creatify_api.models`.
"""

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
    PermissionDeniedError,
    RateLimitError,
    ResponseDecodeError,
    StreamError,
    StreamEventError,
    StreamIdleError,
    StreamInterruptedError,
    TaskFailedError,
    UnprocessableEntityError,
    WaitTimeoutError,
)
from creatify._messages import function_result, image, model, user, video
from creatify._schema import Drift
from creatify._stream import AsyncTextStream, TextStream
from creatify._text_generator import TextGenerator
from creatify._version import __version__

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
    "UnprocessableEntityError",
    "WaitTimeoutError",
    "__version__",
    "function_result",
    "image",
    "model",
    "user",
    "video",
]
