"""A local emulator of the creatify.ai text generator API, to test services that use it offline.

It needs the extra `testing`: `pip install 'creatify-client[testing]'`. It validates each request
against the spec that the types are generated from, answers the same to the same request, and
charges for each generation. Where the provider's pages say nothing, it assumes: `Emulator`'s
docstring says what. With the extra installed, pytest has two fixtures:

```python
from creatify import user


def test_my_service(creatify_client, creatify_emulator):
    task = creatify_client.text_generator.generate(
        model_name="gemini-2.5-flash", messages=[user("Hello")]
    )
    assert task.response_text
    assert creatify_emulator.charges == 1
    assert creatify_emulator.requests[0].method == "POST"
```

`creatify_environment` is that emulator too, and leads clients that are made in the test there, by
the environment; or give its `.url`, `.api_id` and `.api_key` to your own. Anywhere else it is a
context manager, and time can be held still:

```python
from creatify import Creatify, user
from creatify.testing import Emulator

with Emulator(credits=10.0, fail_when=lambda body: "no" if "boom" in str(body) else None) as api:
    with Creatify(base_url=api.url, api_id=api.api_id, api_key=api.api_key) as offline:
        api.clock.freeze()
        task = offline.text_generator.create(
            model_name="gemini-2.5-flash", messages=[user("Hello")]
        )
        api.clock.advance(60)
        assert offline.text_generator.retrieve(task.id).status == "done"
```

A task is pending and running for as long as `pending=` and `running=` say (seconds; 1e6 for one
that never ends). `credits` run out into a 402, `fail_when` gives the reason that a generation fails
for, and `recordings=` is a folder of `.sse` files: a stream whose last user text is `capital` is
answered with `capital.sse`, byte for byte. A create's `webhook_url`, on this machine only, is
posted to once when the task begins to run and once when it ends. `creatify.testing.faults`
rehearses what can go wrong.

For programs in any language it runs in a terminal, and prints its URL, API id and key:

    python -m creatify.testing --port 8787
"""

try:
    from . import faults
    from ._clock import Clock
    from ._emulator import Emulator
    from ._records import RequestRecord
    from ._tasks import Task, Tasks
except ModuleNotFoundError as error:
    raise ModuleNotFoundError(
        f"creatify.testing needs the module {error.name!r}, which isn't installed: "
        "run pip install 'creatify-client[testing]'.",
        name=error.name,
    ) from error

__all__ = ["Clock", "Emulator", "RequestRecord", "Task", "Tasks", "faults"]
