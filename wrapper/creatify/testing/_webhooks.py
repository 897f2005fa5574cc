"""Tells a task's webhook when its status changes. Nothing that a webhook does comes back."""

import contextlib
import ipaddress

import httpx

from ._clock import Clock
from ._tasks import Task

_TIMEOUT = 5.0  # seconds


def webhook_error(url: str, *, allow_remote: bool) -> str | None:
    """Why the emulator won't call that URL; None if it will."""
    try:
        parsed = httpx.URL(url)
    except httpx.InvalidURL as error:
        return f"webhook_url: {error}."
    if parsed.scheme not in {"http", "https"} or not parsed.host:
        return "webhook_url: must be an http or https URL."
    if not allow_remote and not _is_loopback(parsed.host):
        return f"webhook_url: {parsed.host} isn't this machine (see allow_remote_webhooks)."
    return None


async def notify(task: Task, url: str, clock: Clock) -> None:
    """POST the task's state to the URL when it begins to run and when it ends."""
    verify = url.startswith("https:")  # reading the system's certificates takes 20 ms
    async with httpx.AsyncClient(timeout=_TIMEOUT, trust_env=False, verify=verify) as client:
        for change in (task.started_at, task.finished_at):
            await clock.sleep_until(change)
            state = task.to_dict()
            told = ("id", "status", "failed_reason", "response_text")
            with contextlib.suppress(httpx.HTTPError):
                await client.post(url, json={name: state.get(name) for name in told})


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
