"""A local emulator of the creatify.ai text generator API, to test services that use it offline.

It needs the extra ``testing``: ``pip install 'creatify-client[testing]'``. Three ways in: the
context manager `Emulator`, ``python -m creatify.testing`` in a terminal, and the pytest fixtures
``creatify_emulator`` and ``creatify_client``.
"""

try:
    from . import faults
    from ._clock import Clock
    from ._emulator import Emulator
    from ._records import RequestRecord
    from ._tasks import Task, Tasks
except ModuleNotFoundError as error:
    raise ModuleNotFoundError(
        f"creatify.testing needs the module {error.name!r}, which isn't installed: "
        "run pip install 'creatify-client[testing]'.",
        name=error.name,
    ) from error

__all__ = ["Clock", "Emulator", "RequestRecord", "Task", "Tasks", "faults"]
