"""`creatify generate`: a text, waited for or streamed."""

from __future__ import annotations

import json
import sys
from typing import TYPE_CHECKING

import typer

from creatify import image, user, video
from creatify._errors import TaskFailedError, one_line
from creatify.cli import _terminal
from creatify_api.models import TextGenConfig, TextGenRequest
from creatify_api.types import UNSET

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path
    from uuid import UUID

    from creatify import TextStream
    from creatify.cli._session import Session
    from creatify_api.models import TextGenResponse


def make_request(
    prompt: str | None,
    *,
    model: str,
    system: str | None,
    images: Sequence[Path],
    videos: Sequence[Path],
    schema: Path | None,
) -> TextGenRequest:
    """The request of a command line, its prompt from standard input if there is none."""
    parts = [*(image(file) for file in images), *(video(file) for file in videos)]
    config = TextGenConfig(response_json_schema=_read_schema(schema)) if schema else UNSET
    return TextGenRequest(
        model_name=model,
        messages=[user(_prompt(prompt), *parts)],
        system_instruction=system or "",
        config=config,
    )


def generate(session: Session, request: TextGenRequest, *, as_json: bool, timeout: float) -> None:
    """Create a task, tell its id at once, wait for it and write its text."""
    session.hint = f"if the request arrived, {session.command('tasks')} has its task"
    with session.client() as client, _terminal.console(stderr=True).status("sending") as status:
        known: set[UUID] = set()

        def update(task: TextGenResponse) -> None:
            if task.id not in known:
                known.add(task.id)
                session.paid(task.id)
                _terminal.note(f"task {task.id}")
            status.update(one_line(str(task.status or "waiting")))

        try:
            task = client.text_generator.generate(request, timeout=timeout, on_update=update)
        except TaskFailedError as error:
            session.seen(error.task.id)
            if as_json:
                status.stop()
                _terminal.write_json(error.task.to_dict())
            raise
    write_task(task, as_json=as_json)
    _terminal.note(f"{task.status or 'done'}{cost(task.credits_used or None)}")


def stream(session: Session, request: TextGenRequest, *, as_json: bool, timeout: float) -> None:
    """Write a text as it comes, or each chunk; then tell its receipt."""
    with (
        session.client() as client,
        client.text_generator.stream(request, idle_timeout=timeout) as streaming,
    ):
        session.hint = (
            "the generation is charged all the same:"
            f" {session.command('tasks')} has it, if the API lists streams"
        )
        try:
            _write_chunks(streaming) if as_json else _write_pieces(streaming)
        finally:
            _tell_receipt(streaming)


def write_task(task: TextGenResponse, *, as_json: bool) -> None:
    """Write the text of a task that is done, or its JSON."""
    if as_json:
        _terminal.write_json(task.to_dict())
    else:
        _terminal.write_text(task.response_text or "")


def cost(credits_used: float | None) -> str:
    """What it cost, for the end of a line."""
    if credits_used is None:
        return ""
    return f", {credits_used:g} credit{'' if credits_used == 1 else 's'}"


def _write_chunks(streaming: TextStream) -> None:
    for chunk in streaming:
        _terminal.write_json(chunk.to_dict())


def _write_pieces(streaming: TextStream) -> None:
    last = "\n"
    try:
        for text in streaming.text_stream:
            _terminal.write(text)
            last = text or last
    finally:
        if not last.endswith("\n"):
            _terminal.write("\n")


def _tell_receipt(streaming: TextStream) -> None:
    receipt = streaming.receipt
    if receipt is None:
        return
    credits_used = receipt.credits_used
    told = receipt.id or receipt.generation_id or "without an id"
    reason = streaming.finish_reason
    _terminal.note(
        f"task {told}{cost(credits_used or None)}"
        f"{f', finish reason {reason}' if reason not in {None, 'STOP'} else ''}"
    )


def _prompt(given: str | None) -> str:
    if given is None or given == "-":
        if sys.stdin.isatty():
            raise typer.BadParameter("give one, or pipe it in", param_hint="PROMPT")
        try:
            given = sys.stdin.read().rstrip("\n")
        except UnicodeError:
            raise typer.BadParameter("standard input is no text", param_hint="PROMPT") from None
    if not given.strip():
        raise typer.BadParameter("it is empty", param_hint="PROMPT")
    return given


def _read_schema(file: Path) -> dict[str, object]:
    try:
        schema = json.loads(file.read_bytes())
    except (OSError, ValueError) as error:
        raise typer.BadParameter(f"{file} is no JSON: {error}", param_hint="--schema") from None
    if not isinstance(schema, dict):
        raise typer.BadParameter(f"{file} is no JSON object", param_hint="--schema")
    return schema
