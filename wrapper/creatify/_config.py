"""Where the settings come from.

Credentials: the first source that is present wins, and both halves come from that one source.

1. arguments: `api_id` and `api_key`, or `credentials`, or a `profile` by name
2. CREATIFY_API_ID and CREATIFY_API_KEY
3. CREATIFY_API_ID_FILE and CREATIFY_API_KEY_FILE, as mounted secrets; read again once after a 401
4. the profile CREATIFY_PROFILE, else `default`, in credentials.toml under the user's config folder
   (CREATIFY_CONFIG_FILE names another file)

    [default]
    api_id = "your API id"
    api_key = "your API key"

    [work]
    api_id = "another API id"
    api_key = "another API key"
    base_url = "https://api.creatify.ai"

Keep that file to yourself (`chmod 600`). The base URL: the argument, the `base_url` of a profile
named by an argument, CREATIFY_BASE_URL, the `base_url` of another profile that the credentials come
from, https://api.creatify.ai. Plain http is refused to any host but this machine, unless
`allow_http=True` or CREATIFY_ALLOW_HTTP=1. Credentials are added only where a request to that
origin leaves. An environment variable that is empty counts as absent.
"""

from __future__ import annotations

import ipaddress
import os
import warnings
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Final, TypeAlias

import httpx

from creatify._errors import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

ID_HEADER: Final = "X-API-ID"
KEY_HEADER: Final = "X-API-KEY"
DEFAULT_BASE_URL: Final = "https://api.creatify.ai"
CredentialsCallable: TypeAlias = "Callable[[], tuple[str, str]]"
"""Asked before each request; gives the API id and the API key."""


@dataclass(frozen=True, slots=True)
class Arguments:
    """What was given to the client's constructor."""

    api_id: str | None = field(default=None, repr=False)
    api_key: str | None = field(default=None, repr=False)
    credentials: CredentialsCallable | None = None
    profile: str | None = None
    base_url: str | None = None
    allow_http: bool = False


@dataclass(frozen=True, slots=True, repr=False)
class Keys:
    """The API id and the API key. Their representation does not show them."""

    api_id: str
    api_key: str


class Credentials:
    """A source of the API id and the API key.

    It holds the values in closures, out of every dump.
    """

    __slots__ = ("_ask", "_ask_again", "account", "source")

    def __init__(
        self,
        ask: CredentialsCallable,
        *,
        source: str,
        account: object,
        ask_again: CredentialsCallable | None = None,
    ) -> None:
        self._ask = ask
        self.account: Final = hash(account)
        """The same for all sources that give the same API id; a callable stands for its own."""
        self._ask_again = ask_again
        self.source: Final = source
        """Which source won; never a value."""

    def __repr__(self) -> str:
        return f"<Credentials from {self.source}>"

    def get(self) -> Keys:
        """The API id and the API key for one request.

        Raises ConfigurationError if they are unfit.
        """
        try:
            return self._checked(self._ask())
        except ConfigurationError as error:
            raise _bare(error) from None

    def reread(self) -> Keys | None:
        """The same after a 401, looked up anew.

        None from a source that can't have changed, and where there is nothing fit just now: the 401
        tells more.
        """
        try:
            return None if self._ask_again is None else self._checked(self._ask_again())
        except ConfigurationError:
            return None

    def _checked(self, pair: object) -> Keys:
        match pair:
            case (api_id, api_key):
                return Keys(
                    _fit(api_id, "API id", self.source), _fit(api_key, "API key", self.source)
                )
            case _:
                raise ConfigurationError(f"{self.source} must give an API id and an API key")


@dataclass(frozen=True, slots=True)
class Settings:
    """What a client works with."""

    base_url: str
    credentials: Credentials
    base_url_source: str
    """Which source the base URL comes from."""


class Sources:
    """The places where settings are looked for. Tests give their own environment."""

    def __init__(self, environ: Mapping[str, str] | None = None) -> None:
        self._environ = os.environ if environ is None else environ

    def variable(self, name: str) -> str | None:
        """An environment variable, stripped; None if it is absent or empty."""
        return self._environ.get(name, "").strip() or None

    def config_file(self) -> Path:
        """The credentials file: CREATIFY_CONFIG_FILE, else the one in the user's config folder."""
        named = self.variable("CREATIFY_CONFIG_FILE")
        if named:
            return Path(named)
        from platformdirs import user_config_path  # noqa: PLC0415 - only a profile needs it

        return user_config_path("creatify") / _FILE_NAME


def resolve(arguments: Arguments, sources: Sources | None = None) -> Settings:
    """The settings that the first present sources give. Raises ConfigurationError."""
    sources = sources or Sources()
    try:
        credentials, profile = _credentials(arguments, sources)
    except ConfigurationError as error:
        raise _bare(error) from None
    profile_url = profile.get("base_url")
    base_url, source = next(
        (url, source)
        for url, source in (
            (arguments.base_url, "the arguments"),
            (profile_url if arguments.profile else None, credentials.source),
            (sources.variable(_BASE_URL), _BASE_URL),
            (profile_url, credentials.source),
            (DEFAULT_BASE_URL, "the default"),
        )
        if url
    )
    allow_http = arguments.allow_http or sources.variable("CREATIFY_ALLOW_HTTP") == "1"
    return Settings(check_base_url(base_url, allow_http=allow_http), credentials, source)


def check_base_url(base_url: str, *, allow_http: bool = False) -> str:
    """The URL without a slash at its end. Raises ConfigurationError if requests can't go there."""
    try:
        url = httpx.URL(base_url.strip())
        # Encoded as the socket will do it, whose error for a bad host is none of the tree.
        is_host = bool(url.host and url.raw_host.decode("ascii").encode("idna"))
    except (httpx.InvalidURL, AttributeError, TypeError, ValueError):
        raise ConfigurationError(f"base_url is no URL: {_URL_RULE}") from None
    if url.userinfo:
        raise ConfigurationError("base_url holds a user or a password: credentials never go there")
    is_bare = url.scheme in {"http", "https"} and not set("?#") & set(base_url)
    if not (is_host and is_bare and (url.port or 0) <= _LAST_PORT):
        raise ConfigurationError(f"base_url is not fit: {_URL_RULE}")
    if url.scheme == "http" and not allow_http and not is_loopback(url.host):
        raise ConfigurationError(
            f"base_url is plain http to {url.host}, which would show the credentials to others:"
            " use https, or allow it with allow_http=True or CREATIFY_ALLOW_HTTP=1"
        )
    return str(url).rstrip("/")


def is_loopback(host: str) -> bool:
    """Whether a host is this machine, by its name or its address."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


_LAST_PORT: Final = 65535
_URL_RULE: Final = "it must be an absolute http(s) URL without a query, as https://api.creatify.ai"
_PROFILE_KEYS: Final = frozenset({"api_id", "api_key", "base_url"})
_FILE_NAME: Final = "credentials.toml"
_ENVIRONMENT: Final = ("CREATIFY_API_ID", "CREATIFY_API_KEY")
_FILES: Final = ("CREATIFY_API_ID_FILE", "CREATIFY_API_KEY_FILE")
_BASE_URL: Final = "CREATIFY_BASE_URL"
VARIABLES: Final = (
    *_ENVIRONMENT,
    *_FILES,
    "CREATIFY_PROFILE",
    "CREATIFY_CONFIG_FILE",
    _BASE_URL,
    "CREATIFY_ALLOW_HTTP",
    "CREATIFY_ASYNC_TRANSPORT",
    "CREATIFY_LOG",
)
"""The environment variables that are settings."""


def _credentials(arguments: Arguments, sources: Sources) -> tuple[Credentials, Mapping[str, str]]:
    """The first source that is present, and the profile's table if it is that source."""
    given = _from_arguments(arguments)
    if given is not None:
        if arguments.profile is not None:
            raise ConfigurationError(f"give a profile, or {given.source}, and not both")
        return given, {}
    if arguments.profile is None:
        environment = _from_environment(sources)
        if environment is not None:
            return environment, {}
    return _from_profile(arguments.profile or sources.variable("CREATIFY_PROFILE"), sources)


def _bare(error: ConfigurationError) -> ConfigurationError:
    """The error without the frames that it was raised in, whose locals hold the values at fault."""
    error.__traceback__ = error.__context__ = None
    return error


def _from_arguments(arguments: Arguments) -> Credentials | None:
    pair = (arguments.api_id, arguments.api_key)
    if arguments.credentials is not None:
        if pair != (None, None):
            raise ConfigurationError("give api_id and api_key, or credentials, and not both")
        if not callable(arguments.credentials):
            raise ConfigurationError(
                "credentials is a callable that gives an API id and an API key"
            )
        asked = arguments.credentials
        return Credentials(asked, source="the argument credentials", account=asked)
    return _from_pair(pair, ("api_id", "api_key"), "the arguments")


def _from_environment(sources: Sources) -> Credentials | None:
    values = _from_pair(
        (sources.variable(_ENVIRONMENT[0]), sources.variable(_ENVIRONMENT[1])),
        _ENVIRONMENT,
        " and ".join(_ENVIRONMENT),
    )
    if values is not None:
        return values
    id_file, key_file = sources.variable(_FILES[0]), sources.variable(_FILES[1])
    if _is_pair((id_file, key_file), _FILES, "the environment") and id_file and key_file:
        return _mounted(Path(id_file), Path(key_file))
    return None


def _mounted(id_file: Path, key_file: Path) -> Credentials:
    current = ("", "")

    def read() -> tuple[str, str]:
        nonlocal current
        current = (_read(id_file, _FILES[0]), _read(key_file, _FILES[1]))
        return current

    source, (api_id, _) = " and ".join(_FILES), read()
    found = Credentials(lambda: current, source=source, account=api_id, ask_again=read)
    found.get()
    return found


def _from_profile(asked: str | None, sources: Sources) -> tuple[Credentials, Mapping[str, str]]:
    name = asked or "default"
    file = sources.config_file()
    try:
        mode = file.stat().st_mode
    except OSError as error:
        if not asked and sources.variable("CREATIFY_CONFIG_FILE") is None:
            raise ConfigurationError(_nothing_found(file)) from None
        why = f"the profile {name!r} was asked for" if asked else "CREATIFY_CONFIG_FILE is set"
        raise ConfigurationError(f"{why}, and {file} can't be read: {error.strerror}") from None
    _warn_if_open(file, mode)
    table = _read_profiles(file).get(name)
    if not isinstance(table, dict):
        if asked:
            raise ConfigurationError(f"there is no profile [{name}] in {file}")
        raise ConfigurationError(_nothing_found(file))
    if not all(isinstance(value, str) for value in table.values()):
        raise ConfigurationError(f"the values of the profile [{name}] in {file} must be strings")
    place = f"the profile [{name}] in {file}"
    unknown = sorted(table.keys() - _PROFILE_KEYS)
    if unknown:
        raise ConfigurationError(f"{place} has the unknown key {unknown[0]!r}")
    found = _from_pair((table.get("api_id"), table.get("api_key")), ("api_id", "api_key"), place)
    if found is None:
        raise ConfigurationError(f"{place} has neither api_id nor api_key")
    return found, table


def _from_pair(
    values: tuple[str | None, str | None], names: tuple[str, str], place: str
) -> Credentials | None:
    if not _is_pair(values, names, place):
        return None
    api_id, api_key = values
    found = Credentials(lambda: (api_id or "", api_key or ""), source=place, account=api_id)
    found.get()
    return found


def _is_pair(values: tuple[str | None, str | None], names: tuple[str, str], place: str) -> bool:
    """Whether both halves are there. Raises ConfigurationError if only one of them is."""
    missing = [name for value, name in zip(values, names, strict=True) if value is None]
    if len(missing) == 1:
        present = next(name for name in names if name not in missing)
        raise ConfigurationError(
            f"{present} is set and {missing[0]} is missing; both come from one source: {place}"
        )
    return not missing


def _fit(value: object, what: str, source: str) -> str:
    """A credential, stripped. Header values of another kind would reach exception texts."""
    if not isinstance(value, str):
        raise ConfigurationError(f"the {what} from {source} is no string")
    value = value.strip()
    if not value:
        raise ConfigurationError(f"the {what} from {source} is empty")
    if not (value.isascii() and value.isprintable()):
        raise ConfigurationError(f"the {what} from {source} has control or non-ASCII characters")
    return value


def _read(file: Path, source: str) -> str:
    try:
        return file.read_text(encoding="utf-8")
    except (OSError, UnicodeError) as error:
        reason = getattr(error, "strerror", None) or "it is no text"
        raise ConfigurationError(f"{source}: {file} can't be read: {reason}") from None


def _read_profiles(file: Path) -> dict[str, object]:
    import tomllib  # noqa: PLC0415 - only a profile needs it

    try:
        return tomllib.loads(_read(file, "credentials"))
    except tomllib.TOMLDecodeError as error:
        place = str(error).rpartition("(")[2].rstrip(")")  # only where: the rest may quote a value
        raise ConfigurationError(f"{file} is no TOML ({place})") from None


def _warn_if_open(file: Path, mode: int) -> None:
    if os.name == "posix" and mode & 0o077:
        warnings.warn(f"{file} can be read by others: chmod 600 {file}", stacklevel=2)


def _nothing_found(file: Path) -> str:
    return (
        "no credentials: looked for the arguments api_id and api_key, for the environment variables"
        f" {', '.join(_ENVIRONMENT)}, {', '.join(_FILES)} and for the profile [default] in {file}"
        " (creatify config set writes one)"
    )
