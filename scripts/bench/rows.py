"""All rows, each with its targets."""

from __future__ import annotations

from typing import Any, Final

from bench.row import Contender, Row, Target

_MODULES: Final = {
    "socket": "raw_socket",
    "httpx": "raw_httpx",
    "httpx-sse": "over_httpx_sse",
    "httpx2": "over_httpx2",
    "aiohttp": "bare_aiohttp",
    "creatify": "ours",
    "creatify (aiohttp)": "ours_over_aiohttp",
    "anthropic": "sdk_anthropic",
    "openai": "sdk_openai",
    "google-genai": "sdk_genai",
    "sseclient-py": "over_sseclient",
}
SDKS: Final = ("anthropic", "openai", "google-genai")
_DECODERS: Final = ("httpx-sse", "httpx2", "openai", "anthropic", "sseclient-py")
_US: Final = "µs/chunk"


def _who(face: str, *names: str) -> tuple[Contender, ...]:
    return tuple(Contender(name, _MODULES[name], face) for name in names)


_SYNC: Final = _who("Sync", "socket", "httpx", "httpx-sse", "creatify", *SDKS)
_ASYNC: Final = _who("Async", "socket", "httpx", "aiohttp", "creatify", "creatify (aiohttp)", *SDKS)
_HTTPX_DEFAULT: Final = Contender("httpx (its 100 connections)", "raw_httpx", "AsyncDefault")


def _decoder(key: str, title: str, *, in_quick: bool, **options: int) -> Row:
    return Row(
        key=f"decoder-{key}",
        title=f"decoder alone: {title}",
        unit="µs/event",
        work="works:decode",
        contenders=_who("decode", "creatify", *_DECODERS),
        options={"size": 0, "piece": 0, **options},
        quick={} if in_quick else None,
        targets=(Target("1.5 times as fast as the fastest", "creatify", 1 / 1.5, _DECODERS),),
        base="httpx-sse",
    )


_DECODING: Final = (
    _decoder("events", "an event per piece", in_quick=False, events=2000),
    _decoder("64k", "64 KiB pieces", in_quick=True, events=2000, piece=65536),
    _decoder("7", "7-byte pieces", in_quick=True, events=200, piece=7),
    _decoder(
        "8m",
        "one 8 MiB event in 1460-byte pieces",
        in_quick=False,
        events=1,
        size=8 << 20,
        piece=1460,
    ),
)

_STREAMS: Final = (
    Row(
        key="sync-stream",
        title="sync stream, chunks one by one",
        unit=_US,
        work="works:stream",
        contenders=_SYNC,
        plan="paced-{chunks}-2",
        options={"chunks": 300},
        quick={"chunks": 100},
        targets=(
            Target("at most 1.25 x httpx", "creatify", 1.25, ("httpx",)),
            Target("at most 0.35 x openai", "creatify", 0.35, ("openai",)),
        ),
    ),
    Row(
        key="sync-burst",
        title="sync stream, burst",
        unit=_US,
        work="works:stream",
        contenders=_SYNC,
        plan="burst-{chunks}",
        options={"chunks": 2000},
        targets=(
            Target("at most 2.2 x httpx", "creatify", 2.2, ("httpx",)),
            Target("below every SDK", "creatify", 1.0, SDKS),
        ),
    ),
    Row(
        key="typed-burst",
        title="typed chunks, burst",
        unit=_US,
        work="works:stream",
        contenders=(*_who("SyncTyped", "creatify"), *_who("Sync", "httpx", *SDKS)),
        plan="burst-{chunks}",
        options={"chunks": 2000},
        targets=(
            Target("3 times below openai", "creatify", 1 / 3, ("openai",)),
            Target("3 times below google-genai", "creatify", 1 / 3, ("google-genai",)),
        ),
    ),
    Row(
        key="async-stream",
        title="async stream, chunks one by one",
        unit=_US,
        work="works:streams",
        contenders=_ASYNC,
        plan="paced-{chunks}-2",
        options={"chunks": 300},
        quick={"chunks": 100},
        targets=(Target("at most 0.65 x httpx", "creatify (aiohttp)", 0.65, ("httpx",)),),
    ),
    Row(
        key="async-200",
        title="{at_once} concurrent async streams",
        unit=_US,
        work="works:streams",
        contenders=(*_ASYNC, _HTTPX_DEFAULT),
        plan="paced-{chunks}-20",
        options={"chunks": 50, "at_once": 200},
        quick={"chunks": 20, "at_once": 50},
        targets=(
            Target("at most 0.1 x httpx", "creatify (aiohttp)", 0.1, ("httpx",)),
            Target("below 2.5 x aiohttp", "creatify (aiohttp)", 2.5, ("aiohttp",)),
        ),
        warm=0,
    ),
    Row(
        key="memory",
        title="memory over a stream of {chunks:,} chunks",
        unit="KiB grown beyond the text, from a tenth of the chunks to all",
        work="works:memory",
        contenders=(
            *_who("Sync", "httpx", "creatify"),
            Contender("creatify, typed", "ours", "SyncTyped"),
        ),
        plan="burst-{chunks}",
        options={"chunks": 100_000},
        quick={"chunks": 20_000},
        metric="growth",
        targets=(
            Target("flat: at most 1 MiB", "creatify", 1024),
            Target("flat: at most 1 MiB", "creatify, typed", 1024),
        ),
        base="",
        warm=0,
        rounds=1,
    ),
)

_CALLS: Final = (
    Row(
        key="sync-create",
        title="sync call: POST, create",
        unit="µs/call",
        work="works:calls",
        contenders=_who("Sync", "socket", "httpx", "creatify", *SDKS),
        options={"times": 200},
        targets=(Target("at most 1.15 x httpx", "creatify", 1.15, ("httpx",)),),
    ),
    Row(
        key="sync-retrieve",
        title="sync call: GET, retrieve",
        unit="µs/call",
        work="works:calls",
        contenders=_who("SyncRetrieve", "socket", "httpx", "creatify"),
        options={"times": 200},
        quick=None,
        targets=(Target("at most 1.15 x httpx", "creatify", 1.15, ("httpx",)),),
    ),
    Row(
        key="async-calls",
        title="async calls, 100 at once",
        unit="µs/call",
        work="works:calls_at_once",
        contenders=(
            *_ASYNC[:1],
            Contender("httpx", "raw_httpx", "AsyncDefault"),
            Contender("httpx (1,000 connections)", "raw_httpx", "Async"),
            *_ASYNC[2:],
        ),
        options={"at_once": 100},
        warm=0,
        targets=(Target("at least 3 x httpx", "creatify (aiohttp)", 1 / 3, ("httpx",)),),
    ),
    Row(
        key="first-sync",
        title="first chunk after the request, sync, warm",
        unit="µs",
        work="works:first_chunk",
        contenders=_who("Sync", "socket", "httpx", "creatify", *SDKS),
        plan="paced-2-2",
        options={"times": 50},
        quick={"times": 20},
        metric="wall",
        targets=(Target("at most 1.15 x httpx", "creatify", 1.15, ("httpx",)),),
    ),
    Row(
        key="first-async",
        title="first chunk after the request, async, warm",
        unit="µs",
        work="works:first_chunk_async",
        contenders=_ASYNC,
        plan="paced-2-2",
        options={"times": 50},
        quick={"times": 20},
        metric="wall",
        targets=(
            Target("at most 1.15 x httpx", "creatify", 1.15, ("httpx",)),
            Target("at most 1.15 x httpx", "creatify (aiohttp)", 1.15, ("httpx",)),
        ),
    ),
)

_BIRTHS: Final = (
    Row(
        key="birth",
        title="a client after the first",
        unit="µs",
        work="works:birth",
        contenders=_who("birth", "httpx", "creatify", *SDKS),
        options={"times": 20},
        targets=(Target("under 1 ms", "creatify", 1000.0),),
    ),
    Row(
        key="first-use",
        title="a client after the first, and its first request over TLS (refused)",
        unit="µs",
        work="works:birth",
        contenders=_who("first_use", "httpx", "creatify"),
        options={"times": 10},
        quick=None,
    ),
    Row(
        key="import",
        title="import of the package alone",
        unit="µs",
        work="works:importing",
        contenders=(
            *_who("import httpx", "httpx"),
            *_who("import creatify", "creatify"),
            *_who("import anthropic", "anthropic"),
            *_who("import openai", "openai"),
            *_who("import google.genai", "google-genai"),
        ),
        targets=(Target("at most 1.1 x httpx", "creatify", 1.1, ("httpx",)),),
        warm=1,
    ),
    Row(
        key="import-client",
        title="import and the first client (TLS context: httpx now, creatify at its first call)",
        unit="µs",
        work="works:importing",
        contenders=(
            *_who("import httpx; httpx.Client()", "httpx"),
            *_who("from creatify import Creatify; Creatify(api_id='i', api_key='k')", "creatify"),
            *_who("import anthropic; anthropic.Anthropic(api_key='k')", "anthropic"),
            *_who("import openai; openai.OpenAI(api_key='k')", "openai"),
            *_who("from google import genai; genai.Client(api_key='k')", "google-genai"),
        ),
        warm=1,
        quick=None,
    ),
)


def _waits(key: str, title: str, faces: dict[str, str], *targets: Target, **options: Any) -> Row:
    is_real = key.startswith("real")
    module = "ours" if is_real else "ours_simulated"
    own = tuple(Contender(name, module, face) for name, face in faces.items())
    poller = Contender("a list each 0.5 s", "raw_httpx", "AsyncPoller")
    return Row(
        key=key,
        title=f"{title}, in {'real' if is_real else 'simulated'} time",
        unit="requests/task",
        work=f"waits:{'real' if is_real else 'simulated'}",
        contenders=(*own, poller) if is_real else own,
        plan="tasks",
        options={"count": 100, "least": 0, "most": 20, "old": 0, **options},
        quick=None if is_real else {},
        metric="requests",
        targets=targets,
        base="single waits",
        warm=0,
        rounds=1 if is_real else 0,
        # A list of 10,000 keeps the server from whoever else asks it.
        at_once=is_real and not options.get("old"),
    )


_MANY: Final = {"as_completed": "AsyncMany", "single waits": "AsyncSingle"}
_BOTH: Final = {**_MANY, "as_completed, sync": "SyncMany"}
_SHORT: Final = (
    Target("at most 0.5 requests per task", "as_completed", 0.5),
    Target("p95 at most 0.7 s", "as_completed", 0.7, metric="p95"),
)
_LONG: Final = (
    Target("at most 12 requests per task", "as_completed", 12.0),
    Target("at most 15 KB per task", "as_completed", 15.0, metric="kb"),
    Target("p95 at most 1.5 s", "as_completed", 1.5, metric="p95"),
)
_ONE: Final = (
    Target("at most 26 requests", "single waits", 26.0),
    Target("seen within a fifth of its age", "single waits", 12.0, metric="p95"),
)
_WAITING: Final = (
    _waits("many", "100 tasks within 20 s", _BOTH, *_SHORT),
    _waits("many-old", "100 tasks among 10,000", _BOTH, *_LONG, old=10_000),
    _waits("one", "a task of 60 s", _MANY, *_ONE, count=1, least=60, most=60),
    _waits("real-many", "100 tasks within 20 s", _MANY, *_SHORT),
    _waits("real-many-old", "100 tasks among 10,000", _MANY, *_LONG, old=10_000),
)

ROWS: Final = (*_DECODING, *_STREAMS, *_CALLS, *_BIRTHS, *_WAITING)
