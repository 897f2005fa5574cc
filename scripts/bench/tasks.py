"""Tasks that finish at random within a time: when each does, and how the API tells of them."""

from __future__ import annotations

import json
import random
import uuid
from dataclasses import dataclass
from functools import cache, cached_property
from typing import TYPE_CHECKING, Final

from bench import wire

if TYPE_CHECKING:
    from collections.abc import Mapping

_SEED: Final = 20_261_101


@dataclass(frozen=True)
class Tasks:
    """`count` tasks that finish at random between `least` and `most` seconds after their `start`.

    They stand among `old` ones that are done. Client and server share the clock.
    """

    count: int
    least: float
    most: float
    old: int
    start: float

    @cached_property
    def finish(self) -> Mapping[str, float]:
        """The moment at which each task is done, by its id."""
        chance = random.Random(_SEED + self.count)  # noqa: S311 - the same for client and server
        ids = (str(uuid.UUID(int=number + 1, version=4)) for number in range(self.count))
        return {task_id: self.start + chance.uniform(self.least, self.most) for task_id in ids}

    def answer(self, path: str, now: float) -> bytes:
        """The task whose id ends a path, as it is at that moment; else all, the newest first."""
        task_id = path.strip("/").rpartition("/")[2]
        if task_id in self.finish:
            return self._one(task_id, now)
        new = (self._one(task_id, now) for task_id in self.finish)
        return b"[" + b",".join([*new, *_old(self.old)]) + b"]"

    def _one(self, task_id: str, now: float) -> bytes:
        status = "done" if now >= self.finish[task_id] else "running"
        return json.dumps(wire.task(task_id, status)).encode()


@cache
def _old(count: int) -> list[bytes]:
    ids = (str(uuid.UUID(int=2**64 + number, version=4)) for number in range(count))
    return [json.dumps(wire.task(task_id, "done")).encode() for task_id in ids]
