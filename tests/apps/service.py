"""A service that writes stories: streamed to a browser, or as tasks that a webhook ends.

    export CREATIFY_API_ID=... CREATIFY_API_KEY=...
    export SERVICE_URL=https://stories.example.com  # where the API finds this service
    export SERVICE_SECRET=$(python -c 'import secrets; print(secrets.token_urlsafe())')
    uvicorn --factory service:create_app --timeout-graceful-shutdown 20

What it knows of tasks is kept in memory: a service of several processes has a database for that.
"""

import asyncio
import logging
import math
import os
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from typing import Annotated, Self
from uuid import UUID

from fastapi import APIRouter, Depends, FastAPI, HTTPException, Request
from fastapi.responses import HTMLResponse, JSONResponse
from fastapi.sse import EventSourceResponse, ServerSentEvent
from pydantic import BaseModel, Field

import creatify
from creatify import AsyncCreatify, AsyncTextStream, CreatifyError, user
from creatify.webhooks import Inbox, WebhookApp, webhook_token
from creatify_api.models import TextGenResponse

MODEL = "gemini-2.5-flash"
PATIENCE = 20.0  # seconds until an answer begins, with all retries; twice if the API's is lost
logger = logging.getLogger(__name__)
router = APIRouter()


class Prompt(BaseModel):
    """What a story is about."""

    prompt: str = Field(min_length=1, max_length=10_000)


class Story(BaseModel):
    """What is told of a task: not why it failed, which may name what is none of the user's."""

    id: UUID
    status: str
    text: str | None
    credits: float | None

    @classmethod
    def of(cls, task: TextGenResponse) -> Self:
        """What a task comes to so far; a field that the API left out is false."""
        return cls(
            id=task.id,
            status=task.status or "pending",
            text=task.response_text or None,
            credits=task.credits_used or None,
        )


class Receipt(BaseModel):
    """What a streamed story cost; nothing is known of it if the API left out its receipt."""

    id: str | None
    credits: float | None

    @classmethod
    def of(cls, stream: AsyncTextStream) -> Self:
        """That of a stream that is over."""
        paid = stream.receipt
        return cls(id=(paid and paid.id) or None, credits=(paid and paid.credits_used) or None)


class Service:
    """The client, and the tasks that it waits for."""

    def __init__(self, client: AsyncCreatify, inbox: Inbox, webhook_url: str) -> None:
        self.texts = client.text_generator
        self.inbox = inbox
        self.webhook_url = webhook_url
        self.stories: dict[UUID, Story] = {}
        self._waits: set[asyncio.Task[None]] = set()

    def follow(self, tasks: Iterable[TextGenResponse]) -> list[UUID]:
        """Wait for tasks in the background, each of them once; their ids."""
        tasks = list(tasks)
        for task in tasks:
            if task.id not in self.stories:
                self._see(task)
                wait = asyncio.create_task(self._wait(task))
                self._waits.add(wait)
                wait.add_done_callback(self._waits.discard)
        return [task.id for task in tasks]

    async def aclose(self) -> None:
        """Wait for nothing any more."""
        for wait in self._waits:
            wait.cancel()
        await asyncio.gather(*self._waits, return_exceptions=True)

    def _see(self, task: TextGenResponse) -> None:
        self.stories[task.id] = Story.of(task)

    async def _wait(self, task: TextGenResponse) -> None:
        try:
            await self.texts.wait(task, timeout=3600.0, on_update=self._see, inbox=self.inbox)
        except CreatifyError as error:  # its text is one line, and holds no credential
            logger.warning("%s", error)


def service_of(request: Request) -> Service:
    """The service of the app that got the request."""
    service: Service = request.app.state.service
    return service


TheService = Annotated[Service, Depends(service_of)]


async def opened(prompt: Prompt, service: TheService) -> AsyncIterator[AsyncTextStream]:
    """A stream that is closed when the answer is over, or the browser hung up.

    It begins before the answer does, which can therefore still have the status of an error; who
    hangs up until then (PATIENCE at most) is not noticed, and has paid.
    """
    messages = [user(prompt.prompt)]
    streaming = service.texts.stream(model_name=MODEL, messages=messages, idle_timeout=PATIENCE)
    async with streaming as stream:
        yield stream


# Not a GET for an EventSource: that asks (and pays) again whenever its connection ends.
@router.post("/stories", response_class=EventSourceResponse)
async def tell(
    stream: Annotated[AsyncTextStream, Depends(opened)], service: TheService
) -> AsyncIterator[ServerSentEvent]:
    """Tell a story as it is written: events `text`, and then one `receipt` or `error`."""
    try:
        async for text in stream.text_stream:
            yield ServerSentEvent(event="text", data=text)
        receipt = Receipt.of(stream)  # here: a receipt of another form raises, too
    except CreatifyError as error:
        _, body, _ = answer(error, service)
        yield ServerSentEvent(event="error", data=body)
    else:
        yield ServerSentEvent(event="receipt", data=receipt)


@router.post("/tasks", status_code=202)
async def begin(prompt: Prompt, service: TheService) -> Story:
    """Begin a story, to be asked for later."""
    task = await service.texts.create(
        model_name=MODEL, messages=[user(prompt.prompt)], webhook_url=service.webhook_url
    )
    service.follow([task])
    return Story.of(task)


@router.get("/tasks/{task_id}")
async def look(task_id: UUID, service: TheService) -> Story:
    """How far a story is."""
    if task_id not in service.stories:
        raise HTTPException(404)
    return service.stories[task_id]


ANSWERS: dict[type[CreatifyError], tuple[int, str]] = {
    creatify.InvalidRequestError: (422, "Nothing can be written about that."),
    creatify.BadRequestError: (422, "Nothing can be written about that."),
    creatify.UnprocessableEntityError: (422, "Nothing can be written about that."),
    creatify.InsufficientCreditsError: (402, "The credits have run out."),
    creatify.RateLimitError: (429, "Too many stories at once. Try again later."),
    creatify.APITimeoutError: (504, "The story teller doesn't answer. Try again later."),
    creatify.APIConnectionError: (502, "The story teller can't be reached. Try again later."),
    creatify.InternalServerError: (502, "The story teller has a problem. Try again later."),
    creatify.ResponseDecodeError: (502, "The story teller has a problem. Try again later."),
    creatify.OutcomeUnknownError: (409, "It may be written all the same. See before asking again."),
    creatify.StreamError: (502, "The story broke off. It may be whole in one of the tasks."),
}
OURS = (500, "This service has a problem.")  # wrong credentials, for instance


def answer(error: CreatifyError, service: Service) -> tuple[int, dict[str, object], dict[str, str]]:
    """The status, body and headers that tell a user of an error: nothing that it says itself."""
    logger.warning("%s", error)
    status, detail = next((ANSWERS[kind] for kind in type(error).mro() if kind in ANSWERS), OURS)
    body: dict[str, object] = {"detail": detail}
    headers = {}
    if isinstance(error, creatify.OutcomeUnknownError | creatify.StreamError):
        body["tasks"] = [str(task_id) for task_id in service.follow(error.candidates)]
    if isinstance(error, creatify.RateLimitError):
        headers["Retry-After"] = str(math.ceil(error.retry_after or 1.0))
    return status, body, headers


async def failed(request: Request, error: CreatifyError) -> JSONResponse:
    """What a user is answered if the library raised."""
    status, body, headers = answer(error, service_of(request))
    return JSONResponse(body, status, headers)


def create_app() -> FastAPI:
    """The app, by the settings of the environment."""
    url, secret = os.environ["SERVICE_URL"], os.environ["SERVICE_SECRET"]
    inbox = Inbox()

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        async with AsyncCreatify(timeout=PATIENCE) as client:
            service = Service(client, inbox, f"{url}/hooks/{webhook_token(secret)}")
            app.state.service = service
            yield
            await service.aclose()

    app = FastAPI(title="Stories", lifespan=lifespan)
    app.include_router(router)
    app.mount("/hooks", WebhookApp(inbox, secret=secret))
    app.exception_handler(CreatifyError)(failed)
    return app


@router.get("/", response_class=HTMLResponse)
async def page() -> str:
    """A page that shows a story as it comes."""
    return PAGE


PAGE = r"""<!doctype html>
<meta charset="utf-8">
<title>Stories</title>
<form><input name="prompt" required maxlength="10000"> <button>Tell</button></form>
<p id="story" style="white-space: pre-wrap"></p>
<p id="note"></p>
<script>
const form = document.querySelector("form");
const [story, note] = ["#story", "#note"].map((id) => document.querySelector(id));
const show = {
  text: (text) => story.append(text),
  receipt: (receipt) => note.append(`${receipt.credits ?? "?"} credits for ${receipt.id ?? "it"}`),
  error: (error) => note.append(error.detail, " ", error.tasks?.join(", ") ?? ""),
};
form.onsubmit = async (submitted) => {
  submitted.preventDefault();
  story.textContent = note.textContent = "";
  const answer = await fetch("/stories", {
    method: "POST",
    headers: {"Content-Type": "application/json"},
    body: JSON.stringify({prompt: form.prompt.value}),
  });
  if (!answer.ok) return show.error(await answer.json());
  const reader = answer.body.pipeThrough(new TextDecoderStream()).getReader();
  for (let rest = "", part; !(part = await reader.read()).done; ) {
    const events = (rest + part.value).split("\n\n");
    rest = events.pop();
    for (const event of events) {
      const match = event.match(/^event: (.*)\ndata: (.*)$/m);  // else it is a comment
      if (match) show[match[1]](JSON.parse(match[2]));
    }
  }
};
</script>
"""
