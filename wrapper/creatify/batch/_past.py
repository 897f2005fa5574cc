"""What an earlier run of a batch sent, held against the requests of this one."""

from __future__ import annotations

from collections.abc import Sized
from typing import TYPE_CHECKING

from creatify.batch._input import Unfit, read
from creatify.batch._types import JournalError

if TYPE_CHECKING:
    from collections.abc import Iterable

    from creatify._options import Options
    from creatify.batch._input import Asked
    from creatify.batch._journal import Journal, Past
    from creatify.batch._types import Item


class Earlier:
    """The requests of a journal that have not been met in the input yet: `left`, by their place."""

    def __init__(self, journal: Journal | None) -> None:
        self._path = "" if journal is None else f"{journal.path} "
        self.left: dict[int, Past] = {} if journal is None else dict(journal.found.requests)

    def take(self, asked: Asked | Unfit) -> Past | None:
        """What became of a request. Raises JournalError if the journal has another one there."""
        past = self.left.pop(asked.index, None)
        if past is not None and (isinstance(asked, Unfit) or asked.digest != past.digest):
            raise self._changed(f"request {asked.index}, counted from 0, is another one")
        return past

    def end(self) -> None:
        """The input has ended. Raises JournalError if the journal has more of it."""
        if self.left:
            last = max(self.left)
            raise self._changed(f"it has a request {last}, counted from 0, and they end before it")

    def _changed(self, how: str) -> JournalError:
        self.left.clear()
        return JournalError(
            f"the journal {self._path}is of other requests: {how}; give the same ones to go on, or"
            " another journal"
        )


def check_same(
    requests: Iterable[Item], journal: Journal, options: Options, timeout: float
) -> None:
    """Hold requests that can be read twice against a journal, before a result is given to anybody.

    Those of a generator are held against it as they come. Raises JournalError.
    """
    if not isinstance(requests, Sized) or hasattr(requests, "__next__"):
        return
    earlier = Earlier(journal)
    for index, item in enumerate(requests):
        if not earlier.left:
            return
        earlier.take(read(index, item, options, timeout))
    earlier.end()
