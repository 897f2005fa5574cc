"""`creatify tasks`, `show` and `credits`: what there is."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import typer
from rich.table import Table
from rich.text import Text

from creatify._errors import one_line
from creatify.cli import _terminal
from creatify.cli._dates import instant, local_now, moment
from creatify_api.models import Message, TextGenResponse, TextGenResponseStatusEnum

if TYPE_CHECKING:
    from collections.abc import Iterable
    from datetime import datetime
    from uuid import UUID

    from creatify.cli._session import Session

_STYLES: Final = {"done": "green", "failed": "red", "running": "cyan", "pending": "yellow"}
_NARROW, _WIDE = 70, 120  # columns of a terminal that lacks room, and that has room for all
_ID: Final = 36  # characters of an id
_MINUTE: Final = 16  # characters of a moment up to its minute


def tasks(
    session: Session, *, status: str | None, since: str | None, limit: int | None, as_json: bool
) -> None:
    """Write the workspace's tasks, newest first."""
    after = None if since is None else _since(since)
    if status is not None:
        _check_status(status)
    with session.client() as client:
        listed = client.text_generator.list()
    listed.sort(key=lambda task: instant(task.created_at), reverse=True)
    found = [
        task
        for task in listed
        if status in {None, task.status} and (after is None or instant(task.created_at) >= after)
    ][:limit]
    if as_json:
        for task in found:
            _terminal.write_json(task.to_dict())
    elif _terminal.console().is_terminal:
        _write_table(found)
    else:
        _terminal.write("".join(f"{_row(task)}\n" for task in found))


def show(session: Session, task_id: UUID, *, as_json: bool) -> None:
    """Write one task: what it is, and its text."""
    with session.client() as client:
        task = client.text_generator.retrieve(task_id)
    if as_json:
        _terminal.write_json(task.to_dict())
        return
    told = {
        "id": task.id,
        "status": task.status,
        "model": task.model_name,
        "created": local(task.created_at),
        "updated": local(task.updated_at),
        "credits": task.credits_used,
        "failed": task.failed_reason,
        "system": task.system_instruction,
        "prompt": prompt_of(task),
    }
    _terminal.write_fields({name: str(value) for name, value in told.items() if value})
    if task.response_text:
        _terminal.write_text(f"\n{task.response_text}")


def remaining_credits(session: Session, *, as_json: bool) -> None:
    """Write the workspace's credits."""
    with session.client() as client:
        left = client.remaining_credits()
    if as_json:
        _terminal.write_json(left.to_dict())
    else:
        _terminal.write(f"{left.remaining_credits}\n")


def status_style(task: TextGenResponse) -> str:
    """The style of a task's status."""
    return _STYLES.get(str(task.status), "")


def local(moment: datetime) -> str:
    """A moment by this machine's clock, to the second."""
    return instant(moment).astimezone().isoformat(" ", "seconds")


def prompt_of(task: TextGenResponse) -> str:
    """The text of the last message that has one."""
    texts = (_text(message) for message in reversed(task.messages))
    return next((text for text in texts if text), "")


def _text(message: Message) -> str:
    content: object = message.content
    if isinstance(content, str):
        return content
    parts = content if isinstance(content, list) else []
    texts = (part.get("text") for part in parts if isinstance(part, dict))
    return " ".join(text for text in texts if isinstance(text, str))


def _since(text: str) -> datetime:
    try:
        return moment(text, local_now())
    except ValueError as error:
        raise typer.BadParameter(str(error), param_hint="--since") from None


def _check_status(status: str) -> None:
    known = [each.value for each in TextGenResponseStatusEnum]
    if status not in known:  # the set is open: the API may have others
        _terminal.note(f"{status!r} is no status that the API's pages name: {', '.join(known)}")


def _row(task: TextGenResponse) -> str:
    """A task as a line for other programs: fields between tabs, the prompt last."""
    fields = (
        task.id,
        task.status or "",
        instant(task.created_at).isoformat(),
        task.credits_used or "",
        task.model_name,
        prompt_of(task),
    )
    return "\t".join(one_line(str(field)) for field in fields)


def _write_table(found: Iterable[TextGenResponse]) -> None:
    console = _terminal.console()
    table = Table(box=None, pad_edge=False, padding=(0, 1, 0, 0), header_style="bold")
    table.add_column("ID", overflow="fold", min_width=_ID if console.width > _NARROW else None)
    table.add_column("STATUS", overflow="fold")
    if console.width > _NARROW:
        table.add_column("CREATED", overflow="fold")
        table.add_column("COST", justify="right", overflow="fold")
        table.add_column("PROMPT", no_wrap=True, overflow="ellipsis")
    if console.width > _WIDE:
        table.add_column("MODEL", overflow="fold")
    for task in found:
        cells = (
            str(task.id),
            Text(one_line(str(task.status or "")), status_style(task)),
            local(task.created_at)[:_MINUTE],
            f"{task.credits_used:g}" if task.credits_used else "",
            one_line(prompt_of(task)),
            one_line(task.model_name),
        )
        table.add_row(*cells[: len(table.columns)])
    console.print(table)
