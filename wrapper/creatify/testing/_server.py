"""Uvicorn in a thread of its own: with its own event loop, and an end within bounds."""

import asyncio
import logging
import socket
import struct
import threading
from typing import Literal

import uvicorn
from starlette.types import ASGIApp, Message, Receive, Scope, Send

_LOOPBACK = "127.0.0.1"
_KEEP_ALIVE = 75  # seconds: idle connections of a test's client should outlive the test
_PATIENCE = 5.0  # seconds: only a `fail_when` that blocks needs them
_LOGGERS = ("uvicorn.error", "uvicorn.access")
_RESET = struct.pack("ii", 1, 0)  # SO_LINGER: on closing, send RST instead of what is left and FIN

# An ASGI message of the emulator's own: nothing more is sent, and `how` (a `How`) it ends.
CUT = "creatify.cut"
How = Literal["reset", "close", "silence"]


class Server(uvicorn.Server):
    """Serves an ASGI app on a loopback port (0: a free one) between `start` and `stop`.

    The app may send `CUT`.

    Raises:
        OSError: The port is in use.
    """

    def __init__(self, app: ASGIApp, port: int) -> None:
        super().__init__(
            uvicorn.Config(
                self._cuttable(app),
                http="h11",
                ws="none",
                loop="asyncio",
                lifespan="on",
                log_config=None,
                timeout_keep_alive=_KEEP_ALIVE,
                proxy_headers=False,
                server_header=False,
                date_header=False,
            )
        )
        listener = socket.create_server((_LOOPBACK, port), backlog=2048)
        # Asyncio turns Nagle's algorithm off (40 ms a request) where the protocol is given only.
        self._socket = socket.socket(proto=socket.IPPROTO_TCP, fileno=listener.detach())
        self.url = f"http://{_LOOPBACK}:{self._socket.getsockname()[1]}"
        # The factory keeps the loop from becoming that of the thread which makes it.
        self._runner = asyncio.Runner(loop_factory=asyncio.SelectorEventLoop)
        self._loop = self._runner.get_loop()
        self._stopped = asyncio.Event()
        self._thread = threading.Thread(target=self._run, name="creatify-emulator", daemon=True)

    def start(self) -> None:
        """Serve. The port listens already: whoever comes before the loop runs just waits."""
        for name in _LOGGERS:
            logging.getLogger(name).addFilter(self._is_wanted)
        self._thread.start()

    def stop(self) -> None:
        """Drop all connections, cancel what is going on, and return when the thread has ended."""
        self._loop.call_soon_threadsafe(self._stopped.set)
        self._thread.join(_PATIENCE)
        for name in _LOGGERS:
            logging.getLogger(name).removeFilter(self._is_wanted)

    async def main_loop(self) -> None:
        """Uvicorn's hook: return when it should end."""
        await self._stopped.wait()

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Uvicorn's hook: its own waits for open streams to end."""
        # Asyncio chokes on a server that closes while a connection is being accepted, which takes
        # three rounds of the loop: so first there are to be no new ones.
        self._loop.remove_reader(self._socket)
        for _ in range(3):
            await asyncio.sleep(0)
        for server in self.servers:
            server.close()
        for sock in sockets or ():
            sock.close()
        for connection in list(self.server_state.connections):
            connection.transport.abort()
        # From the outside in: the runner's end would cancel anyio's tasks within these tasks first,
        # some of them before they began, which anyio isn't prepared for.
        for task in self.server_state.tasks:
            task.cancel()
        await asyncio.gather(*self.server_state.tasks, return_exceptions=True)
        await self.lifespan.shutdown()

    def _run(self) -> None:
        with self._runner:
            self._runner.run(self.serve(sockets=[self._socket]))

    def _cuttable(self, app: ASGIApp) -> ASGIApp:
        async def cuttable(scope: Scope, receive: Receive, send: Send) -> None:
            async def cutting_send(message: Message) -> None:
                if message["type"] == CUT:
                    self._cut(scope["client"], message["how"])
                else:
                    await send(message)

            await app(scope, receive, cutting_send)

        return cuttable

    def _cut(self, client: tuple[str, int], how: How) -> None:
        # ASGI has no word for it: the connection is found by who is at its other end.
        for connection in self.server_state.connections:
            transport = connection.transport
            if transport.get_extra_info("peername") != client:
                continue
            if how == "reset":
                sock = transport.get_extra_info("socket")
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
                transport.abort()
            elif how == "close":
                transport.close()

    def _is_wanted(self, record: logging.LogRecord) -> bool:
        # The loggers are shared with any other uvicorn of the process.
        ours = record.thread == self._thread.ident
        # An error that isn't the end's doing is a defect.
        return not ours or (record.levelno >= logging.ERROR and not self._stopped.is_set())
