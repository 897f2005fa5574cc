"""`Creatify` and `AsyncCreatify`: the clients.

`client.with_options(timeout=10, max_retries=0)` is the same client with other options: it shares
the connections, and closing either closes both. `http_client=` takes an `httpx.Client` of the
caller's (`httpx.AsyncClient` for the async one), who closes it. An operation of the API that has no
method here is called with the generated functions; `client.api` has the credentials in place:

```python
from creatify import Creatify
from creatify_api.api.text_generator import sse_text_generator_list

client = Creatify()
tasks = sse_text_generator_list.sync(client=client.api)
```
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, Generic, Self, TypeVar

import httpx

from creatify import _operations
from creatify._async_text_generator import AsyncTextGenerator
from creatify._config import KEY_HEADER, Arguments, CredentialsCallable, Sources, resolve
from creatify._connection import (
    DEFAULT_HEADERS,
    AnyConnection,
    AsyncConnection,
    Connection,
    Transport,
    timeouts,
)
from creatify._errors import ConfigurationError
from creatify._flow import run, run_async
from creatify._log import set_level
from creatify._operations import call
from creatify._options import Options, check_function, check_size
from creatify._pool import sync_client
from creatify._text_generator import TextGenerator
from creatify._transports import async_maker
from creatify_api import AuthenticatedClient

if TYPE_CHECKING:
    from types import TracebackType

    from creatify._config import Settings
    from creatify._drift import OnDrift
    from creatify_api.models import RemainingCredits

Http = TypeVar("Http", httpx.Client, httpx.AsyncClient)

MAX_RESPONSE_SIZE: Final = 256 * 1024 * 1024
"""Bytes of an answer that is read whole."""


@dataclass(frozen=True, slots=True)
class _Origin:
    """What a client was made of, but for the values of credentials."""

    credentials: CredentialsCallable | None
    profile: str | None
    max_response_size: int
    has_keys: bool
    has_http_client: bool

    def arguments(self) -> dict[str, object]:
        """What makes it again. Raises ConfigurationError if that must not, or can't, travel."""
        if self.has_keys:
            raise ConfigurationError(
                "a client that was given api_id and api_key can't be pickled, as they would be: let"
                " it find them where it lands, in the environment, in files or in a profile, or by"
                " credentials=, a function of a module"
            )
        if self.has_http_client:
            raise ConfigurationError(
                "a client that was given an http_client can't be pickled, as connections can't be:"
                " make it where it is used"
            )
        return {
            "credentials": self.credentials,
            "profile": self.profile,
            "max_response_size": self.max_response_size,
        }


class _Client(Generic[AnyConnection]):
    """What both colours share.

    A client pickles as what it was made of: `base_url`, the options, and where the credentials come
    from. They are looked up, and connections made, where it lands. One that was given its
    credentials or its connections as arguments does not. A copy shares the connections.
    """

    _connection: AnyConnection
    _options: Options
    _origin: _Origin

    def __repr__(self) -> str:
        if "_connection" not in vars(self):  # a debugger looks at a constructor that failed
            return f"<{type(self).__name__}, not made>"
        settings = self._connection.settings
        source = settings.credentials.source
        return f"<{type(self).__name__} of {settings.base_url}, credentials from {source}>"

    @property
    def api(self) -> AuthenticatedClient:
        """The generated client, configured: for any function of `creatify_api.api`.

        Credentials are added as they are to the wrapper's own calls, and errors of the connection
        are this library's. What the functions return is what the generated code makes of the
        answer.
        """
        return AuthenticatedClient(
            base_url=self._connection.settings.base_url,
            token="",
            prefix="",
            auth_header_name=KEY_HEADER,
            headers=dict(DEFAULT_HEADERS),
            timeout=timeouts(self._options.timeout or _operations.TIMEOUT),
            httpx_args={"transport": Transport(self._connection, self._options.max_retries)},
        )

    def with_options(self, *, timeout: float | None = None, max_retries: int | None = None) -> Self:
        """A client with other settings over the same connections; this one stays as it is.

        Options that are not given stay too. Closing either closes the connections of both.
        """
        copy = object.__new__(type(self))
        copy._origin = self._origin
        copy._open(self._connection, self._options.but(timeout, max_retries))
        return copy

    def __copy__(self) -> Self:
        return self.with_options()

    def __deepcopy__(self, memo: object) -> Self:
        return self.with_options()

    def __reduce__(self) -> tuple[object, ...]:
        """Raises ConfigurationError if it could only be made again with what must not travel."""
        base_url = self._connection.settings.base_url
        made = {
            **self._origin.arguments(),
            "base_url": base_url,
            "allow_http": base_url.startswith("http://"),
            "timeout": self._options.timeout,
            "max_retries": self._options.max_retries,
            "on_drift": self._options.on_drift,
        }
        return _made, (type(self), made)

    def _open(self, connection: AnyConnection, options: Options) -> None:
        self._connection = connection
        self._options = options


class Creatify(_Client[Connection]):
    """A client that may be shared by threads.

    Credentials are the first of: `api_id` and `api_key`; `credentials`, a callable that gives both
    and is asked before each request; `profile`, by name; CREATIFY_API_ID and CREATIFY_API_KEY;
    CREATIFY_API_ID_FILE and CREATIFY_API_KEY_FILE; the profile CREATIFY_PROFILE, else `default`.

    `base_url` (default: that of `profile`, CREATIFY_BASE_URL, https://api.creatify.ai); plain http
    goes to loopback only, unless `allow_http`. `timeout` (seconds) bounds a call with its retries:
    60 by default, and 600 for a create with `sync`, which the client's timeout does not touch.
    `max_retries` (2) is how often a request is sent again where that can't be paid for twice.
    `max_response_size` (bytes, 256 MiB) bounds an answer that is read whole.
    `on_drift` is called with a `Drift` for each place where an answer differs from the spec and is
    still understood.
    `http_client`, an `httpx.Client`, is used as it is and closed by who made it.

    Raises ConfigurationError.
    """

    def __init__(
        self,
        *,
        api_id: str | None = None,
        api_key: str | None = None,
        base_url: str | None = None,
        profile: str | None = None,
        credentials: CredentialsCallable | None = None,
        timeout: float | None = None,
        max_retries: int = 2,
        allow_http: bool = False,
        max_response_size: int = MAX_RESPONSE_SIZE,
        on_drift: OnDrift | None = None,
        http_client: httpx.Client | None = None,
    ) -> None:
        arguments = Arguments(api_id, api_key, credentials, profile, base_url, allow_http)
        has_keys = api_id is not None
        del api_id, api_key  # an error must not find them in this frame
        settings, options = _settings(arguments), _options(timeout, max_retries, on_drift)
        given = _checked(http_client, httpx.Client)
        size = check_size(max_response_size, "max_response_size")
        self._origin = _Origin(credentials, profile, size, has_keys, given is not None)
        self._open(Connection(settings, given, size, sync_client), options)

    def _open(self, connection: Connection, options: Options) -> None:
        super()._open(connection, options)
        self.text_generator = TextGenerator(connection, self._options)

    def remaining_credits(self, *, timeout: float | None = None) -> RemainingCredits:
        """The workspace's credits (spec operation `remaining_credits_retrieve`)."""
        operation = _operations.remaining_credits(self._options.but(timeout))
        return run(call(operation), self._connection.fetch)

    def close(self) -> None:
        """Close the connections, unless they are a given `http_client`'s."""
        self._connection.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()


class AsyncCreatify(_Client[AsyncConnection]):
    """A client for asyncio; it belongs to the event loop that first uses it.

    Credentials are the first of: `api_id` and `api_key`; `credentials`, a callable that gives both
    and is asked before each request; `profile`, by name; CREATIFY_API_ID and CREATIFY_API_KEY;
    CREATIFY_API_ID_FILE and CREATIFY_API_KEY_FILE; the profile CREATIFY_PROFILE, else `default`.

    `base_url` (default: that of `profile`, CREATIFY_BASE_URL, https://api.creatify.ai); plain http
    goes to loopback only, unless `allow_http`. `timeout` (seconds) bounds a call with its retries:
    60 by default, and 600 for a create with `sync`, which the client's timeout does not touch.
    `max_retries` (2) is how often a request is sent again where that can't be paid for twice.
    `max_response_size` (bytes, 256 MiB) bounds an answer that is read whole.
    `on_drift` is called with a `Drift` for each place where an answer differs from the spec and is
    still understood.
    `http_client`, an `httpx.AsyncClient`, is used as it is and closed by who made it. Without one
    the connections are aiohttp's where it is installed, else httpx's: CREATIFY_ASYNC_TRANSPORT
    (`aiohttp` or `httpx`) says which.

    Raises ConfigurationError.
    """

    def __init__(
        self,
        *,
        api_id: str | None = None,
        api_key: str | None = None,
        base_url: str | None = None,
        profile: str | None = None,
        credentials: CredentialsCallable | None = None,
        timeout: float | None = None,
        max_retries: int = 2,
        allow_http: bool = False,
        max_response_size: int = MAX_RESPONSE_SIZE,
        on_drift: OnDrift | None = None,
        http_client: httpx.AsyncClient | None = None,
    ) -> None:
        arguments = Arguments(api_id, api_key, credentials, profile, base_url, allow_http)
        has_keys = api_id is not None
        del api_id, api_key  # an error must not find them in this frame
        settings, options = _settings(arguments), _options(timeout, max_retries, on_drift)
        given = _checked(http_client, httpx.AsyncClient)
        size = check_size(max_response_size, "max_response_size")
        transport = Sources().variable("CREATIFY_ASYNC_TRANSPORT")
        make = async_maker(None if given else transport)
        self._origin = _Origin(credentials, profile, size, has_keys, given is not None)
        self._open(AsyncConnection(settings, given, size, make), options)

    def _open(self, connection: AsyncConnection, options: Options) -> None:
        super()._open(connection, options)
        self.text_generator = AsyncTextGenerator(connection, self._options)

    async def remaining_credits(self, *, timeout: float | None = None) -> RemainingCredits:
        """The workspace's credits (spec operation `remaining_credits_retrieve`)."""
        operation = _operations.remaining_credits(self._options.but(timeout))
        return await run_async(call(operation), self._connection.fetch)

    async def aclose(self) -> None:
        """Close the connections, unless they are a given `http_client`'s."""
        await self._connection.close()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self.aclose()


def _made(kind: type[Creatify | AsyncCreatify], arguments: dict[str, Any]) -> object:
    """A client as it was pickled. Raises ConfigurationError where there are no credentials."""
    return kind(**arguments)


def _settings(arguments: Arguments) -> Settings:
    """The settings that a client works with. Raises ConfigurationError."""
    sources = Sources()
    set_level(sources.variable("CREATIFY_LOG"))
    return resolve(arguments, sources)


def _options(timeout: float | None, max_retries: int, on_drift: OnDrift | None) -> Options:
    check_function(on_drift, "on_drift", "a Drift")
    return Options(on_drift=on_drift).but(timeout, max_retries)


def _checked(given: Http | None, kind: type[Http]) -> Http | None:
    if given is not None and not isinstance(given, kind):
        raise ConfigurationError(f"http_client is an httpx.{kind.__name__} here, and nothing else")
    return given
