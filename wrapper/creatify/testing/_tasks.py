"""The emulator's tasks, and what they look like on the wire at a moment."""

import math
import uuid
from collections.abc import ItemsView, Iterator, Mapping, ValuesView
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Literal

from ._answers import Answer
from ._clock import Clock

Status = Literal["pending", "running", "done", "failed"]


@dataclass(eq=False)
class Task:
    """A text generation task. Its status is a matter of time: it is looked up on the clock.

    Attributes:
        id: A UUID as a string.
        request: The body of the request that it was made by.
        answer: What it comes to.
        created_at, started_at, finished_at: When it becomes pending, running, and done or failed:
            seconds since the epoch by the emulator's clock; infinite for never.
        credits_used: What it costs.
    """

    id: str
    request: Mapping[str, Any]
    answer: Answer
    created_at: float
    started_at: float
    finished_at: float
    credits_used: float
    clock: Clock

    @property
    def status(self) -> Status:
        """The status by the emulator's clock."""
        if self.clock.reached(self.finished_at):
            return "done" if self.answer.failure is None else "failed"
        return "running" if self.clock.reached(self.started_at) else "pending"

    def to_dict(self) -> dict[str, Any]:
        """The task as the API sends it now: a ``TextGenResponse`` of the spec.

        What isn't known yet (the text, the cost) is absent.
        """
        status = self.status
        since = {"pending": self.created_at, "running": self.started_at}
        wire: dict[str, Any] = {
            "id": self.id,
            "model_name": self.request["model_name"],
            "messages": self.request["messages"],
            "system_instruction": self.request.get("system_instruction", ""),
            "config": self.request.get("config", {}),
            "status": status,
            "response_function_calls": [],
            "created_at": _timestamp(self.created_at),
            "updated_at": _timestamp(since.get(status, self.finished_at)),
        }
        if status == "done":
            wire["response_text"] = self.answer.text
            wire["response_function_calls"] = list(self.answer.calls)
        if status == "failed":
            wire["failed_reason"] = self.answer.failure
        if status in {"done", "failed"}:
            wire["credits_used"] = self.credits_used
        return wire


class Tasks(Mapping[str, Task]):
    """The tasks by id, oldest first. A test may add some of its own, or forget all, at any time.

    From any thread: what is iterated over is a copy.
    """

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._tasks: dict[str, Task] = {}

    def __getitem__(self, task_id: str) -> Task:
        return self._tasks[task_id]

    def __iter__(self) -> Iterator[str]:
        return iter(list(self._tasks))

    def __len__(self) -> int:
        return len(self._tasks)

    # Those of Mapping look each key up again, when its task may be forgotten.
    def values(self) -> ValuesView[Task]:
        """The tasks."""
        return self._tasks.copy().values()

    def items(self) -> ItemsView[str, Task]:
        """The ids and tasks."""
        return self._tasks.copy().items()

    def clear(self) -> None:
        """Forget all tasks, as an API whose list is cut. What was charged stays charged."""
        self._tasks.clear()

    def add(
        self,
        prompt: str = "Write a tagline.",
        *,
        response_text: str = "Made for you.",
        status: Status = "done",
        failed_reason: str = "The model failed.",
        age: float = 0.0,
        **request: Any,
    ) -> Task:
        """Add a task that nobody asked or paid for.

        Args:
            prompt: Text of its one user message (give `messages` for others).
            response_text: Its text, where it is done.
            status: What it is and stays.
            failed_reason: Its reason, where it has failed.
            age: How long ago it was created (and started, and finished), in seconds.
            **request: More fields of the spec's ``TextGenRequest``.
        """
        body = {
            "model_name": "gemini-2.5-flash",
            "messages": [{"role": "user", "content": prompt}],
        } | request
        answer = Answer(response_text, failure=failed_reason if status == "failed" else None)
        return self.put(
            body,
            answer,
            created_at=self._clock.time() - age,
            pending=math.inf if status == "pending" else 0.0,
            running=math.inf if status == "running" else 0.0,
        )

    def put(
        self,
        request: Mapping[str, Any],
        answer: Answer,
        *,
        created_at: float,
        pending: float,
        running: float,
        credits_used: float = 0.0,
    ) -> Task:
        """Store a task that is pending, then running, for so many seconds each."""
        task = Task(
            id=str(uuid.uuid4()),
            request=request,
            answer=answer,
            created_at=created_at,
            started_at=created_at + pending,
            finished_at=created_at + pending + running,
            credits_used=credits_used,
            clock=self._clock,
        )
        self._tasks[task.id] = task
        return task


def _timestamp(moment: float) -> str:
    """RFC 3339 with microseconds and ``Z``, as Django writes it."""
    return datetime.fromtimestamp(moment, UTC).isoformat(timespec="microseconds")[:-6] + "Z"
