"""Webhooks: what the API posts to the `webhook_url` of a request, taken as the hint that it is.

A webhook carries no signature, so that its body proves nothing; it may come twice, late, or never.
Nothing here believes it: it is a reason to look at the task, with your own credentials.

**Wait for one.** An `Inbox` lets a wait see its task when the webhook comes, and a slow poll (every
2 to 30 seconds) where it is lost. `WebhookApp` is an ASGI app that puts what it is told into it:

```python
from creatify import Creatify, user
from creatify.webhooks import Inbox, WebhookApp, confirm, parse, webhook_token

SECRET = "as secrets.token_urlsafe() made it, kept with your other secrets"
inbox = Inbox()
app = WebhookApp(inbox, secret=SECRET)
url = f"http://127.0.0.1:8000/hooks/{webhook_token(SECRET)}"  # yours: https, and seen by the API

client = Creatify()
task = client.text_generator.generate(
    model_name="gemini-2.5-flash",
    messages=[user("Write a tagline for a bakery.")],
    webhook_url=url,
    inbox=inbox,
)
print(task.response_text)
```

Serve `app` with an ASGI server, or in your service: `Mount("/hooks", app)` in Starlette,
`service.mount("/hooks", app)` in FastAPI. `wait`, `wait_all` and `as_completed` take an `inbox`,
too, in sync and async code; one inbox does for any number of waits and clients, in any threads and
event loops of a process. It knows nothing of other processes: where webhooks reach another one,
pass the ids on, by a queue that you have, and `inbox.deliver(task_id)`.

**Be told.** In place of the inbox the app takes a function, which is called with each event:

```python
from creatify.webhooks import WebhookEvent


async def on_event(event: WebhookEvent) -> None:  # or a plain function: it runs in a thread
    print(event.id, event.status)


app = WebhookApp(on_event, secret=SECRET)
```

The API may say more than once what it says, so do the same for the second event as for none. What
the function raises is logged and answered with 500, so that the sender may come again.

**In a route of your own**, `confirm` gets the task that a body is about. That is your task if it is
one of your workspace, and else a NotFoundError; what else the body says is left unread:

```python
body = b'{"id": "%s", "status": "done"}' % str(task.id).encode()
print(parse(body).status)  # what somebody says
print(confirm(client, body).status)  # what is so; `await` it where the client is an AsyncCreatify
```

**A URL that strangers can't guess** ends in a token. Besides the secret it may hang on a reference
of yours, as an order's number (the task's id is not known yet when the URL is sent):

```python
from creatify.webhooks import check_webhook_token

token = webhook_token(SECRET, "order", "1042")
assert check_webhook_token(token, SECRET, "order", "1042")
assert not check_webhook_token(token, SECRET, "order", "1043")
```

Who learns of such a URL, from a log for instance, can make your waits look early, a few times at
once and then once in two seconds for each task, and nothing more.
"""

from creatify._errors import WebhookError
from creatify.webhooks._app import WebhookApp
from creatify.webhooks._event import WebhookEvent, confirm, parse
from creatify.webhooks._inbox import Inbox
from creatify.webhooks._token import check_webhook_token, webhook_token

__all__ = [
    "Inbox",
    "WebhookApp",
    "WebhookError",
    "WebhookEvent",
    "check_webhook_token",
    "confirm",
    "parse",
    "webhook_token",
]
