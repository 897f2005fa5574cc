"""A net under all tests: the credentials that they use must show nowhere.

What a test prints, logs (those of `_LOGGERS` at DEBUG), pickles, and what `pytest.raises`
catches is searched for the canaries: the error, its chain, its fields, and a traceback with locals.
"""

from __future__ import annotations

import logging
import os
import pickle
import traceback
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from colours import CANARY_ID, CANARY_KEY

if TYPE_CHECKING:
    from collections.abc import Generator, Iterator

_TESTS = str(Path(__file__).parent)
_TRANSPORTS = ("httpcore", "aiohttp")
_LOGGERS = ("creatify", "httpx", *_TRANSPORTS)
_SOUGHT = os.environ.get("CANARIES", f"{CANARY_ID} {CANARY_KEY}").split()


def leaks(text: str | bytes) -> bool:
    """Whether a text holds a credential of the tests."""
    shown = text.decode("latin-1") if isinstance(text, bytes) else text
    return any(canary in shown for canary in _SOUGHT)


def told_by(error: BaseException) -> Iterator[str]:
    """All that an error shows of itself and of its chain, but for the locals of the tests."""
    shown: dict[int, str] = {}  # by identity: many frames hold the same large request
    seen: BaseException | None = error
    while seen is not None:
        yield from (str(seen), repr(seen), repr(vars(seen)), *getattr(seen, "__notes__", ()))
        for frame, line in traceback.walk_tb(seen.__traceback__):
            if not frame.f_code.co_filename.startswith(_TESTS):
                for name, value in frame.f_locals.items():
                    if id(value) not in shown:
                        shown[id(value)] = _shown(value)
                    yield f"{frame.f_code.co_filename}:{line} {name} = {shown[id(value)]}"
        seen = seen.__cause__ or seen.__context__


def _shown(value: object) -> str:
    try:
        return repr(value)
    except (AttributeError, ValueError, RecursionError) as error:
        return str(error)  # not made whole, or too large to show


class _Handler(logging.Handler):
    def __init__(self) -> None:
        super().__init__(logging.DEBUG)
        self.leaked: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        message = f"{record.name}: {record.getMessage()}"
        if leaks(message):
            self.leaked.append(message)


@pytest.fixture(autouse=True)
def no_credential_shows(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Searches what the test logs, pickles and catches."""
    dumps, raises, handler = pickle.dumps, pytest.raises, _Handler()

    def searched_dumps(value: object, *args: Any, **options: Any) -> bytes:
        pickled = dumps(value, *args, **options)
        assert not leaks(pickled), "a pickle holds a credential"
        return pickled

    @contextmanager
    def searched_raises(*args: Any, **options: Any) -> Iterator[Any]:
        with raises(*args, **options) as caught:
            yield caught
        shown = [line for line in told_by(caught.value) if leaks(line)]
        assert not shown, f"an error shows a credential: {shown}"

    monkeypatch.setattr(pickle, "dumps", searched_dumps)
    monkeypatch.setattr(pytest, "raises", searched_raises)
    loggers = [logging.getLogger(name) for name in _LOGGERS]
    before = [logger.level for logger in loggers]
    root, _, *below = [logging.getLogger(), *loggers]
    for logger in loggers:
        logger.setLevel(logging.DEBUG)
    for logger in (root, *below):
        logger.addHandler(handler)
    yield
    for logger in (root, *below):
        logger.removeHandler(handler)
    for logger, level in zip(loggers, before, strict=True):
        logger.setLevel(level)
    assert not handler.leaked, f"a log shows a credential: {handler.leaked}"


@pytest.hookimpl(wrapper=True, trylast=True)
def pytest_runtest_call() -> Generator[None]:
    """pytest would keep and write all that transports log; here it has looked for loggers."""
    with pytest.MonkeyPatch.context() as patch:
        for name in _TRANSPORTS:
            patch.setattr(logging.getLogger(name), "propagate", False)
        return (yield)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Searches what the test printed."""
    report = yield
    shown = [name for name, content in report.sections if leaks(content)]
    if shown:
        report.outcome = "failed"
        report.longrepr = f"a credential shows in: {', '.join(shown)}"
    return report
