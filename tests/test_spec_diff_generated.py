"""The report on what is really generated: each change alone, all together, and the old API."""

from __future__ import annotations

import copy
import dataclasses
import functools
import os
import re
import subprocess
import sys
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import attr
import attrs
import httpx
import pytest
import yaml
from openapi_python_client.cli import app

import generate
import spec_diff
from spec_diff import Sources

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from diffing.spec_report import Entry, Report

pytestmark = pytest.mark.slow
ROOT = Path(__file__).parent.parent
TODAY: dict[str, Any] = yaml.safe_load((ROOT / "openapi.yaml").read_text())
OVERLAY: dict[str, Any] = yaml.safe_load((ROOT / "scripts" / "overlay.yaml").read_text())
SCHEMAS = "components.schemas"


@pytest.fixture(scope="session")
def generated(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[[Any], Sources]]:
    """Generates a spec once, in this process and unformatted: a tenth of the time."""
    made: dict[str, Sources] = {}

    def sources(spec: Any) -> Sources:
        text = yaml.safe_dump(spec, sort_keys=False)
        if text not in made:
            folder = tmp_path_factory.mktemp("api")
            (folder / "openapi.yaml").write_text(text)
            generate.generate(folder / "openapi.yaml", folder / "creatify_api")
            made[text] = Sources(folder / "openapi.yaml", folder / "creatify_api")
        return made[text]

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(generate, "_tool", in_process)
        yield sources


def in_process(tool: str, *arguments: str) -> None:
    """Only the generator: griffe and the type checker read unformatted code as well."""
    if tool == "openapi_python_client":
        app(list(arguments), standalone_mode=False)


@dataclasses.dataclass(frozen=True)
class Case:
    """A change of openapi.yaml, and the entry that it must make."""

    edit: Callable[[Any], object]
    group: str
    place: str
    effects: set[str]
    before: Callable[[Any], object] = lambda _: None
    """What must be in the spec for this change to be possible."""
    wrapped: str = ""
    """What the entry must say of the wrapper."""


def schema(name: str) -> Callable[[Any], Any]:
    return lambda spec: spec["components"]["schemas"][name]


def field(name: str, key: str, value: Any) -> Callable[[Any], object]:
    return lambda spec: schema(name)(spec)["properties"].update({key: value})


def gone(name: str, key: str) -> Callable[[Any], object]:
    return lambda spec: schema(name)(spec)["properties"].pop(key)


def new_required_field(spec: Any) -> None:
    field("TextGenRequest", "mood", {"type": "string"})(spec)
    schema("TextGenRequest")(spec)["required"].append("mood")


def new_operation(spec: Any) -> None:
    operation = copy.deepcopy(spec["paths"]["/sse/text_generator/"]["get"])
    operation["operationId"] = "sse_text_generator_archive_list"
    spec["paths"]["/sse/text_generator/archive/"] = {"get": operation}


def new_parameter(spec: Any) -> None:
    limit = {"in": "query", "name": "limit", "schema": {"type": "integer"}}
    spec["paths"]["/sse/text_generator/"]["get"]["parameters"] = [limit]


def renamed_path(spec: Any) -> None:
    spec["paths"]["/api/credits/"] = spec["paths"].pop("/api/remaining_credits/")


def renamed_operation(spec: Any) -> None:
    renamed = spec["paths"].pop("/sse/text_generator/{id}/")
    renamed["get"]["operationId"] = "text_task_retrieve"
    spec["paths"]["/text_tasks/{id}/"] = renamed


REQUEST, RESPONSE = "TextGenRequest", "TextGenResponse"
ALONE = {
    "new optional response field": Case(
        field(RESPONSE, "language", {"type": "string"}),
        "adding",
        f"{SCHEMAS}.{RESPONSE}.properties.language",
        {"`TextGenResponse.language` is new"},
    ),
    "new optional request field": Case(
        field(REQUEST, "tone", {"type": "string"}),
        "adding",
        f"{SCHEMAS}.{REQUEST}.properties.tone",
        {"`TextGenRequest.tone` is new", "`TextGenerator.create(tone=...)` is new"},
    ),
    "new required request field": Case(
        new_required_field,
        "breaking",
        f"{SCHEMAS}.{REQUEST}.properties.mood",
        {
            "`TextGenRequest.mood` is new",
            "`TextGenRequest(mood=...)` must be given now",
            "`TextGenerator.create(mood=...)` is new",
            "`TextGenerator.create(mood=...)` must be given now",
        },
    ),
    "new enum value in a response": Case(
        lambda spec: schema("TextGenResponseStatusEnum")(spec)["enum"].append("queued"),
        "exhaustive",
        f"{SCHEMAS}.TextGenResponseStatusEnum.enum",
        {"`TextGenResponseStatusEnum.QUEUED` is new"},
    ),
    "new enum value in a request": Case(
        field("FunctionCallingConfig", "mode", {"type": "string", "enum": ["AUTO", "ANY"]}),
        "adding",
        f"{SCHEMAS}.FunctionCallingConfig.properties.mode.enum",
        {"`FunctionCallingConfigMode.ANY` is new"},
        before=field("FunctionCallingConfig", "mode", {"type": "string", "enum": ["AUTO"]}),
    ),
    "new operation": Case(
        new_operation,
        "adding",
        "paths['/sse/text_generator/archive/'].get",
        {"`sse_text_generator_archive_list` is new"},
        wrapped="not wrapped, in `client.api` only",
    ),
    "new parameter": Case(
        new_parameter,
        "adding",
        "paths['/sse/text_generator/'].get.parameters.limit",
        {"`sse_text_generator_list.sync(limit=...)` is new"},
        wrapped="`TextGenerator.list()`",
    ),
    "changed type of free values": Case(
        lambda spec: schema("FunctionCallPart")(spec)["properties"]["args"].update(
            additionalProperties={"type": "string"}
        ),
        "breaking",
        f"{SCHEMAS}.FunctionCallPart.properties.args.additionalProperties",
        {"`FunctionCallPartArgs.additional_properties`: `dict[str, Any]` became `dict[str, str]`"},
    ),
    "removed response field": Case(
        gone(RESPONSE, "failed_reason"),
        "breaking",
        f"{SCHEMAS}.{RESPONSE}.properties.failed_reason",
        {"`TextGenResponse.failed_reason` is gone"},
    ),
    "removed request field": Case(
        gone(REQUEST, "webhook_url"),
        "breaking",
        f"{SCHEMAS}.{REQUEST}.properties.webhook_url",
        {
            "`TextGenRequest.webhook_url` is gone",
            "`TextGenerator.create(webhook_url=...)` is gone",
        },
    ),
    "changed type in a response": Case(
        field(RESPONSE, "credits_used", {"type": "string"}),
        "breaking",
        f"{SCHEMAS}.{RESPONSE}.properties.credits_used",
        {"`TextGenResponse.credits_used`: `float | Unset` became `str | Unset`"},
    ),
    "changed type in a request": Case(
        field(REQUEST, "sync", {"type": "string"}),
        "breaking",
        f"{SCHEMAS}.{REQUEST}.properties.sync",
        {
            "`TextGenRequest.sync`: `bool | Unset` became `str | Unset`",
            "`TextGenRequest.sync` is by default `UNSET`, no longer `False`",
            "`TextGenerator.create(sync=...)`: `Unset | bool` became `Unset | str`",
        },
    ),
    "optional response field became required": Case(
        lambda spec: schema(RESPONSE)(spec)["required"].append("status"),
        "adding",
        f"{SCHEMAS}.{RESPONSE}.properties.status",
        {
            (
                "`TextGenResponse.status`: `TextGenResponseStatusEnum | Unset`"
                " became `TextGenResponseStatusEnum`"
            )
        },
    ),
    "required response field became optional": Case(
        lambda spec: schema(RESPONSE)(spec)["required"].remove("created_at"),
        "breaking",
        f"{SCHEMAS}.{RESPONSE}.properties.created_at",
        {"`TextGenResponse.created_at`: `datetime.datetime` became `datetime.datetime | Unset`"},
    ),
    "renamed path, same operationId": Case(
        renamed_path,
        "adding",
        "paths['/api/credits/'].get",
        {
            (
                "`remaining_credits_retrieve` moved from `/api/remaining_credits/` to"
                " `/api/credits/`; calls stay as they are"
            )
        },
        wrapped="`Creatify.remaining_credits()`",
    ),
    "renamed path, other operationId": Case(
        renamed_operation,
        "breaking",
        "paths['/text_tasks/{id}/'].get",
        {"`sse_text_generator_retrieve` is gone", "`text_task_retrieve` is new"},
        wrapped="`TextGenerator.retrieve()`",
    ),
    "removed operation": Case(
        lambda spec: spec["paths"].pop("/sse/text_generator/stream/"),
        "breaking",
        "paths['/sse/text_generator/stream/'].post",
        {"`sse_text_generator_stream_create` is gone"},
        wrapped="`TextGenerator.stream()`",
    ),
}
CONSEQUENCES = re.compile(r"in another position|TextGenResponse\(status=\.{3}\)` must be given")


def changed(cases: list[Case]) -> tuple[dict[str, Any], dict[str, Any]]:
    old, new = copy.deepcopy(TODAY), copy.deepcopy(TODAY)
    for case in cases:
        case.before(old)
    for case in cases:
        case.before(new)
        case.edit(new)
    return old, new


@pytest.fixture(scope="session")
def reported(generated: Callable[[Any], Sources]) -> Callable[[str], Report]:
    """The report on one change alone, made once."""
    return functools.cache(lambda name: spec_diff.report(*map(generated, changed([ALONE[name]]))))


def entries(report: Report) -> dict[tuple[str, str, str], Entry]:
    return {
        (group, entry.place, entry.what): entry
        for group in ("breaking", "exhaustive", "adding")
        for entry in cast("tuple[Entry, ...]", getattr(report, group))
        if not CONSEQUENCES.search(str(entry.effects))
    }


def test_an_unchanged_api_has_an_empty_report(generated: Callable[[Any], Sources]) -> None:
    report = spec_diff.report(Sources.of_tree(ROOT), generated(TODAY))
    assert report.empty
    assert not report.breaks
    assert report.proposed_version("0.1.0") == "0.1.0"


def once(effects: Iterable[str]) -> set[str]:
    """The effects, those on keywords of `run_tools` as those on `create`, which has them all."""
    return {
        effect.replace("TextGenerator.run_tools(", "TextGenerator.create(") for effect in effects
    }


@pytest.mark.parametrize("name", ALONE)
def test_each_change_alone_is_one_entry_with_its_effects(
    reported: Callable[[str], Report], name: str
) -> None:
    case, report = ALONE[name], reported(name)
    ((group, place, what), entry) = next(iter(entries(report).items()))
    assert len(entries(report)) == 1
    assert (group, place) == (case.group, case.place)
    assert what
    assert (once(entry.effects), entry.wrapped) == (case.effects, case.wrapped)
    assert report.breaks == (case.group == "breaking")


def test_a_response_that_must_have_a_field_reaches_who_builds_one(
    reported: Callable[[str], Report],
) -> None:
    report = reported("optional response field became required")
    assert [entry.effects for entry in report.exhaustive if "position" not in str(entry)] == [
        ("`TextGenResponse(status=...)` must be given now",)
    ]


def test_a_field_in_the_middle_moves_those_behind_it(generated: Callable[[Any], Sources]) -> None:
    new = copy.deepcopy(TODAY)
    properties = schema(RESPONSE)(new)["properties"]
    schema(RESPONSE)(new)["properties"] = {"language": {"type": "string"}, **properties}
    report = spec_diff.report(generated(TODAY), generated(new))
    assert [entry.place for entry in report.adding] == [f"{SCHEMAS}.{RESPONSE}.properties.language"]
    (moved,) = report.exhaustive
    assert moved.place == f"{SCHEMAS}.{RESPONSE}.properties"
    assert "takes `system_instruction`, `status`" in moved.effects[0]
    assert not report.breaks


def test_all_together_are_what_each_is_alone(
    generated: Callable[[Any], Sources], reported: Callable[[str], Report]
) -> None:
    together = entries(spec_diff.report(*map(generated, changed(list(ALONE.values())))))
    alone: dict[tuple[str, str, str], Entry] = {}
    for name in ALONE:
        alone |= entries(reported(name))
    assert together == alone
    assert Counter(group for group, _, _ in together) == {
        "adding": 7,
        "breaking": 9,
        "exhaustive": 1,
    }


@pytest.fixture(scope="session")
def old_api(tmp_path_factory: pytest.TempPathFactory) -> Sources:
    """The API under /api/text_generator/, as its page has it, with no more than a server added."""
    folder = tmp_path_factory.mktemp("old")
    page = (Path(__file__).parent / "pages" / "old" / "post_text_generator.md").read_text()
    (folder / "openapi.yaml").write_text(re.split("^````.*$", page, flags=re.MULTILINE)[1])
    added = {
        **OVERLAY,
        "actions": [one for one in OVERLAY["actions"] if "servers" in one["target"]],
    }
    (folder / "overlay.yaml").write_text(yaml.safe_dump(added))
    sources = Sources(folder / "openapi.yaml", folder / "creatify_api", folder / "overlay.yaml")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(generate, "_tool", in_process)
        patch.setattr(generate, "overlaid", lambda _: sources.spec())
        generate.generate(sources.spec_file, sources.package)
    return sources


def test_the_old_api_against_todays(old_api: Sources) -> None:
    report = spec_diff.report(old_api, Sources.of_tree(ROOT))
    breaking = {entry.place: entry for entry in report.breaking}
    adding = {entry.place: entry for entry in report.adding}
    assert list(breaking) == [
        f"{SCHEMAS}.Message.properties.content",
        "paths['/sse/text_generator/'].post",
    ]
    content, path = breaking.values()
    assert "type: string became anything" in content.what
    assert content.effects == ("`Message.content`: `str` became `Any | Unset`",)
    assert "from POST /api/text_generator/ to POST /sse/text_generator/" in path.what
    assert path.effects == (
        "`text_generator_create` is gone",
        "`sse_text_generator_create` is new",
    )
    for name in ("tools", "tool_config", "sync"):
        assert once(adding[f"{SCHEMAS}.{REQUEST}.properties.{name}"].effects) == {
            f"`TextGenRequest.{name}` is new",
            f"`TextGenerator.create({name}=...)` is new",
        }
    assert report.proposed_version("0.1.0") == "0.2.0"
    assert not [effect for entry in report.adding for effect in entry.effects if "gone" in effect]


CALLER = """
import datetime

from creatify import Creatify, user
from creatify_api.api.remaining_credits import remaining_credits_retrieve
from creatify_api.api.text_generator import sse_text_generator_list
# flagged: sse_text_generator_retrieve
from creatify_api.api.text_generator import sse_text_generator_retrieve
# flagged: sse_text_generator_stream_create
from creatify_api.api.text_generator import sse_text_generator_stream_create
from creatify_api.models import (
    FunctionCallingConfig, Message, RoleEnum, TextGenRequest, TextGenResponse,
    TextGenResponseStatusEnum,
)

client = Creatify()


def send(config: FunctionCallingConfig) -> None:
    messages = [user("Hello"), Message(role=RoleEnum.USER, content="Hello")]
    # flagged: TextGenerator.create(mood=...)
    client.text_generator.create(model_name="m", messages=messages)
    # flagged: TextGenRequest(mood=...)
    made = TextGenRequest(model_name="m", messages=messages)
    # flagged: TextGenRequest.webhook_url
    made.webhook_url = "https://example.com"
    # flagged: TextGenRequest.sync
    made.sync = True
    made.system_instruction = "Be brief."
    client.text_generator.create(made)


def keywords(mood: str) -> None:
    # flagged: TextGenerator.create(webhook_url=...)
    client.text_generator.create(
        model_name="m", messages=[], mood=mood, webhook_url="https://example.com"
    )
    # flagged: TextGenerator.create(sync=...)
    client.text_generator.create(
        model_name="m", messages=[], mood=mood, sync=True
    )


def read(task: TextGenResponse) -> None:
    # flagged: TextGenResponse.failed_reason
    print(task.failed_reason)
    # flagged: TextGenResponse.credits_used
    price: float = task.credits_used or 0.0
    # flagged: TextGenResponse.created_at
    begun: datetime.datetime = task.created_at
    changed: datetime.datetime = task.updated_at
    print(price, begun, changed, task.id, task.model_name, task.response_text)
    for call in task.response_function_calls:
        print(call.name)
        if call.args:
            # flagged: FunctionCallPartArgs.additional_properties
            call.args.additional_properties = {"degrees": 21}
    if task.status == TextGenResponseStatusEnum.FAILED:
        print("failed")


def generated() -> None:
    tasks = sse_text_generator_list.sync(client=client.api)
    credits = remaining_credits_retrieve.sync(client=client.api)
    if isinstance(tasks, list) and credits:
        print(len(tasks), credits.remaining_credits)
"""


def test_what_breaks_callers_is_what_the_type_checker_flags_and_nothing_else(
    generated: Callable[[Any], Sources], tmp_path: Path
) -> None:
    old, new = map(generated, changed(list(ALONE.values())))
    subjects = {
        effect.split("`")[1]
        for entry in spec_diff.report(old, new).breaking
        for effect in once(entry.effects)
        if not re.search(r"is new$|is by default", effect)
    }
    marked = {
        number: line.partition("# flagged: ")[2]
        for number, line in enumerate(CALLER.splitlines(), 2)
        if "# flagged: " in line
    }
    assert set(marked.values()) == subjects
    caller = tmp_path / "caller.py"
    caller.write_text(CALLER)
    flagged = type_errors(caller, new.package.parent)
    assert flagged == set(marked)


def type_errors(caller: Path, package: Path) -> set[int]:
    """The lines that mypy flags when the generated package is the one in `package`.

    The environment's packages are out of its sight: among them is today's generated one, in which
    mypy would find what is gone.
    """
    libraries = caller.parent / "libraries"
    libraries.mkdir()
    for library in (attr, attrs, httpx):
        folder = Path(str(library.__file__)).parent
        (libraries / folder.name).symlink_to(folder)
    options = ["--strict", "--config-file=", "--no-site-packages", "--ignore-missing-imports"]
    done = subprocess.run(
        [sys.executable, "-m", "mypy", *options, "--follow-imports=silent", str(caller)],
        env={**os.environ, "MYPYPATH": f"{package}:{ROOT / 'wrapper'}:{libraries}"},
        cwd=caller.parent,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode in {0, 1}, done.stdout + done.stderr
    return set(map(int, re.findall(r"^caller.py:(\d+): error", done.stdout, flags=re.MULTILINE)))
