"""The emulated service without HTTP: what it takes, what it costs, what comes of it."""

import os
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ._answers import Answer, answer
from ._clock import Clock
from ._content import content_error, last_user_text
from ._stream import is_call, recorded_answer
from ._tasks import Task, Tasks
from ._webhooks import webhook_error
from ._wire import is_sendable

MODELS = (
    "gemini-2.5-flash",
    "gemini-2.5-pro",
    "gemini-3-flash-preview",
    "gemini-3.1-pro-preview",
    "gemini-3.1-flash-lite-preview",
)


class InsufficientCreditsError(Exception):
    """A generation costs more than there is."""


class BrokenCallbackError(Exception):
    """The user's `fail_when` or `answer_when` raised, or returned what it may not."""


@dataclass(kw_only=True, eq=False, repr=False)
class Backend:
    """State and rules of the emulated API; `Emulator` serves it and documents the fields."""

    models: Iterable[str] = MODELS
    credits: float = 1000.0
    cost: float = 1.0
    pending: float = 0.05
    running: float = 0.2
    chunk_delay: float = 0.0
    recordings: str | os.PathLike[str] | None = None
    nulls: bool = False
    fail_when: Callable[[Mapping[str, Any]], str | None] = lambda _: None
    answer_when: Callable[[Mapping[str, Any]], str | list[dict[str, Any]] | None] = lambda _: None
    allow_remote_webhooks: bool = False
    charges: int = field(default=0, init=False)
    clock: Clock = field(default_factory=Clock, init=False)

    def __post_init__(self) -> None:
        self._check()
        self.models = frozenset(self.models)
        self.tasks = Tasks(self.clock)
        # Not `glob`, which takes a folder that isn't there for an empty one.
        files = [] if self.recordings is None else Path(self.recordings).iterdir()
        self._recorded = {file.stem: file.read_bytes() for file in files if file.suffix == ".sse"}

    def request_error(self, request: Mapping[str, Any]) -> str | None:
        """Why a request that the spec's schema allows is refused all the same; None if not."""
        messages = request["messages"]
        if not messages:
            return "messages: must not be empty."  # an assumption: the pages don't say
        if request["model_name"] not in self.models:
            return f"Model {request['model_name']} not found."
        if error := next((e for message in messages if (e := content_error(message))), None):
            return error
        if (url := request.get("webhook_url")) is not None:
            return webhook_error(url, allow_remote=self.allow_remote_webhooks)
        return None

    def recording(self, request: Mapping[str, Any]) -> bytes | None:
        """The recorded stream that answers the request, if its last user text names one."""
        return self._recorded.get(last_user_text(request))

    def generate(self, request: Mapping[str, Any]) -> Task:
        """Charge for a generation and make its task, pending.

        Raises:
            InsufficientCreditsError: There is less left than it costs.
            BrokenCallbackError: As it says; nothing is charged.
        """
        return self._generate(request, self._answer(request), self.pending, self.running)

    def generate_stream(self, request: Mapping[str, Any]) -> Task:
        """Charge for a streamed generation and make its task: running until `finished_at` is set.

        Raises:
            InsufficientCreditsError: There is less left than it costs.
            BrokenCallbackError: As it says; nothing is charged.
        """
        recording = self.recording(request)
        answer = self._answer(request) if recording is None else recorded_answer(recording)
        return self._generate(request, answer, 0.0, float("inf"))

    def _generate(
        self, request: Mapping[str, Any], answer: Answer, pending: float, running: float
    ) -> Task:
        if self.credits < self.cost:
            raise InsufficientCreditsError(f"{self.cost} credits needed, {self.credits} left.")
        self.credits -= self.cost
        self.charges += 1
        return self.tasks.put(
            request,
            answer,
            created_at=self.clock.time(),
            pending=pending,
            running=running,
            credits_used=self.cost,
        )

    def _answer(self, request: Mapping[str, Any]) -> Answer:
        reason = self._ask("fail_when", request)
        if not isinstance(reason, str | None) or not is_sendable(reason):
            raise BrokenCallbackError(f"fail_when returned {reason!r}, neither a str nor None.")
        if reason is not None:
            return Answer(failure=reason)
        match said := self._ask("answer_when", request):
            case None:
                return answer(request)
            case str(text) if is_sendable(text):
                return Answer(text)
            case [*calls] if all(map(is_call, calls)) and is_sendable(calls):
                return Answer(calls=tuple(calls))
            case _:
                raise BrokenCallbackError(
                    f"answer_when returned {said!r}, and no text, function calls, or None."
                )

    def _ask(self, name: str, request: Mapping[str, Any]) -> Any:
        """What the user's callback of that name says."""
        try:
            return getattr(self, name)(request)
        except BaseException as error:  # whatever it is, it must not end the server's thread
            raise BrokenCallbackError(f"{name} raised {type(error).__name__}: {error}") from error

    def _check(self) -> None:
        for name in ("credits", "cost", "pending", "running", "chunk_delay"):
            value = getattr(self, name)
            if not isinstance(value, int | float):
                raise TypeError(f"{name} must be a number, not {value!r}.")
            if not value >= 0:
                raise ValueError(f"{name} must be 0 or more, not {value!r}.")
        for name in ("fail_when", "answer_when"):
            if not callable(getattr(self, name)):
                raise TypeError(f"{name} must be callable, not {getattr(self, name)!r}.")
