"""The emulator as its users see it."""

from collections.abc import Callable
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any, Self

from ._app import build_app
from ._backend import Backend
from ._faults import Fault, FaultLayer
from ._records import Recorder, RequestRecord
from ._server import Server
from ._spec import Spec


@dataclass(kw_only=True, eq=False, repr=False)
class Emulator(Backend):
    """The API on a loopback port, served from a thread between ``with Emulator() as emulator:``.

    It speaks all operations of the spec that `creatify_api` was generated from, and refuses what
    the spec refuses. Answers are made up, and the same for the same request. What the provider's
    pages don't say is assumed: 402 when the credits run out, 400 for an empty list of messages, a
    list that is newest first, failed generations that cost what others do, a stream that is done
    (and paid) if its reader hangs up, and no webhooks for streams.

    Args:
        port: Port on 127.0.0.1; 0 (default) for a free one.
        api_id, api_key: The only credentials that it accepts.
        models: Names of the models that there are; by default those of the provider's reference.
        credits: Credits to begin with.
        cost: Credits that a generation costs.
        pending, running: How long a task is in these states, in seconds by `clock`.
        chunk_delay: Pause between the chunks of a stream, in seconds by `clock`.
        recordings: Folder of ``.sse`` files: a stream request whose last user text is a file's stem
            is answered with the file, byte for byte and whatever it holds; its task is done, with
            what could be read of it.
        nulls: Send optional properties that aren't known as null, as many servers do, instead of
            leaving them out.
        fail_when: Called with the body of each generation request (from the server's thread): the
            reason that it fails for, or None. A failing stream ends with an error event. If it
            raises, or returns something else, the request is answered 500 with what was wrong, and
            free; the logger ``creatify.testing`` has the traceback.
        answer_when: Called with the body of each generation request that doesn't fail: what the
            model answers, a text or a list of function calls (``{"name": ..., "args": {...}}``),
            whatever the request asks for; or None for an answer that is made up. What is true of
            a broken `fail_when` is true of this one.
        fault_when: Called with the operationId and the body (as in `RequestRecord`) of each request
            that no `script` is for (from the server's thread): the `creatify.testing.faults` that
            it meets, or None. What is true of a broken `fail_when` is true of this one.
        allow_remote_webhooks: Call webhooks on other machines too; else their URLs are refused.

    Attributes:
        tasks: The tasks by id; ``tasks.add(...)`` for more, ``tasks.clear()`` for none.
        requests: What was asked so far, a list of `RequestRecord`, in the order of the answers.
        charges: How many generations were charged.
        credits: How many are left; may be set, as may `fail_when`, `answer_when` and `fault_when`.
        clock: The `Clock` that all goes by.

    Raises:
        TypeError, ValueError: A number is none or out of range, or `fail_when`, `answer_when` or
            `fault_when` can't be called.
        OSError: The folder of recordings can't be read; on entering, the port is in use.
        RuntimeError: On entering, it is running already.
    """

    port: int = 0
    api_id: str = "emulator-id"
    api_key: str = "emulator-key"
    fault_when: Callable[[str, Any], Fault | None] = lambda _, __: None
    requests: list[RequestRecord] = field(default_factory=list, init=False)

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.port not in range(65536):
            raise ValueError(f"port must be 0 to 65535, not {self.port!r}.")
        if not callable(self.fault_when):
            raise TypeError(f"fault_when must be callable, not {self.fault_when!r}.")
        spec = Spec.vendored()
        app = build_app(self, spec, {"X-API-ID": self.api_id, "X-API-KEY": self.api_key})
        # Looked up each time: it may be set.
        self._faults = FaultLayer(app, spec, lambda *asked: self.fault_when(*asked))  # noqa: PLW0108
        self._app = Recorder(self._faults, self.requests, self.clock, spec.credential_headers)
        self._server: Server | None = None

    @property
    def url(self) -> str:
        """Base URL, as ``"http://127.0.0.1:49152"``.

        Raises:
            RuntimeError: The emulator isn't running.
        """
        if self._server is None:
            raise RuntimeError("The emulator isn't running: enter it with `with`.")
        return self._server.url

    def script(self, *faults: Fault | None, operation: str | None = None) -> None:
        """Let the next requests meet these faults in turn; after that all is well again.

        It may be called again at any time, from any thread: what it adds comes after what is left.

        Args:
            *faults: What `creatify.testing.faults` has; None for a request that meets none.
            operation: The operationId of the requests that are meant, as
                ``"sse_text_generator_create"``; by default those of any operation.

        Raises:
            TypeError: That isn't a fault.
            ValueError: There is no such operation, or it isn't a stream and the fault is one of
                streams.
        """
        self._faults.script(faults, operation)

    @property
    def unmet(self) -> list[Fault | None]:
        """What of the scripted faults no request has met yet: empty if all came to pass."""
        return self._faults.unmet()

    def __enter__(self) -> Self:
        if self._server is not None:
            raise RuntimeError("The emulator is running already.")
        self._server = Server(self._app, self.port)
        self._server.start()
        return self

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        # Leaving it once more is harmless.
        server, self._server = self._server, None
        if server is not None:
            server.stop()
