"""Uses a client, forks, and uses it in all processes at once; says only what went wrong.

`forking.py KIND URL`, with what `main` knows as a kind; run by test_pool in a
process of its own, which has no other threads.
"""

from __future__ import annotations

import asyncio
import gc
import os
import sys
import threading
import warnings
from typing import Any

import httpx
from colours import KEYS

from creatify import AsyncCreatify, ConfigurationError, Creatify, user


def ask(client: Creatify, text: str) -> None:
    made = client.text_generator.create(model_name="m", messages=[user(text)])
    if made.messages[0].content != text:
        sys.stdout.write(f"{text} got {made.messages[0].content}\n")
        sys.stdout.flush()


async def ask_async(client: AsyncCreatify, text: str) -> None:
    made = await client.text_generator.create(model_name="m", messages=[user(text)])
    if made.messages[0].content != text:
        sys.stdout.write(f"{text} got {made.messages[0].content}\n")
        sys.stdout.flush()


def in_children(count: int, work: Any) -> None:
    """Do the work in forked children, and in this process too; fail if one of them failed."""
    children = []
    for number in range(count):
        child = os.fork()
        if not child:
            code = 1
            try:
                work(f"child {number}")
                code = 0
            finally:
                sys.stdout.flush()
                os._exit(code)
        children.append(child)
    work("parent")
    if any(os.waitpid(child, 0)[1] for child in children):
        sys.exit("a child failed")


def use_async(url: str) -> None:
    client = AsyncCreatify(base_url=url, **KEYS)
    loop = asyncio.new_event_loop()
    loop.run_until_complete(ask_async(client, "first"))

    async def many(name: str) -> None:
        for number in range(40):
            await ask_async(client, f"{name} {number}")

    def work(name: str) -> None:
        own = loop if name == "parent" else asyncio.new_event_loop()
        own.run_until_complete(many(name))

    in_children(4, work)
    loop.run_until_complete(client.aclose())
    loop.close()


def main(kind: str, url: str) -> None:
    os.environ["CREATIFY_ASYNC_TRANSPORT"] = "aiohttp" if kind.endswith("aiohttp") else "httpx"
    if kind in {"async", "aiohttp"}:
        use_async(url)
    elif kind.startswith("stream-"):
        asyncio.run(read_on(url))
    elif kind == "leave-sync":
        leave(url)
    elif kind.startswith("leave-"):
        asyncio.run(leave_async(url))
    elif kind == "sync":
        shared = Creatify(base_url=url, **KEYS)
        ask(shared, "first")

        def repeat(name: str) -> None:
            for number in range(40):
                ask(shared, f"{name} {number}")

        in_children(4, repeat)
        shared.close()
    elif kind == "given":
        given = Creatify(base_url=url, http_client=httpx.Client(), **KEYS)
        ask(given, "first")
        in_children(1, lambda name: refuse(given) if name != "parent" else ask(given, "again"))
    else:
        locked = Creatify(base_url=url, **KEYS)
        ask(locked, "first")
        ledger = locked._connection.ledger
        held, done = threading.Event(), threading.Event()

        def hold() -> None:
            with ledger._lock:
                held.set()
                done.wait()

        holder = threading.Thread(target=hold)
        holder.start()
        held.wait()
        in_children(1, lambda name: None if name == "parent" else ask(locked, "child"))
        done.set()
        holder.join()


async def read_on(url: str) -> None:
    """A child that lets go of all does not end the stream that the parent reads."""
    client = AsyncCreatify(base_url=url, **KEYS)
    stream = await client.text_generator.stream(model_name="m", messages=[user("Hi")]).__aenter__()

    def let_go(name: str) -> None:
        nonlocal client, stream
        if name != "parent":
            client = stream = None  # type: ignore[assignment] # which is the point
            gc.collect()

    in_children(1, let_go)
    await stream.until_done()
    if stream.text != "HiHi":
        sys.exit(f"the parent read {stream.text!r}")
    await stream.close()
    await client.aclose()


def leave(url: str) -> None:
    """A child that reads and leaves a stream of its parent is told so, and ends nothing."""
    client = Creatify(base_url=url, **KEYS)
    with client.text_generator.stream(model_name="m", messages=[user("Hi")]) as stream:

        def misuse(name: str) -> None:
            if name != "parent":
                try:
                    stream.until_done()
                except ConfigurationError:
                    stream.__exit__(None, None, None)
                else:
                    sys.exit("the child read it")

        in_children(1, misuse)
        stream.until_done()
    if stream.text != "HiHi":
        sys.exit(f"the parent read {stream.text!r}")


async def leave_async(url: str) -> None:
    client = AsyncCreatify(base_url=url, **KEYS)
    async with client.text_generator.stream(model_name="m", messages=[user("Hi")]) as stream:
        await anext(stream.text_stream)

        async def read() -> None:
            try:
                await stream.until_done()
            except ConfigurationError:
                await stream.__aexit__(None, None, None)
            else:
                sys.exit("the child read it")

        def misuse(name: str) -> None:
            if name != "parent":
                asyncio.events._set_running_loop(None)  # the parent's
                asyncio.new_event_loop().run_until_complete(read())

        in_children(1, misuse)
        await stream.until_done()
    if stream.text != "HiHi":
        sys.exit(f"the parent read {stream.text!r}")
    await client.aclose()


def refuse(client: Creatify) -> None:
    try:
        ask(client, "never")
    except ConfigurationError as error:
        if "forked" in str(error):
            return
    sys.exit("it was not refused")


if __name__ == "__main__":
    warnings.simplefilter("ignore", DeprecationWarning)  # of forks beside threads, which is "lock"
    main(*sys.argv[1:])
