"""`make spec` takes over what the provider's pages say and no more, or leaves all as it was."""

from __future__ import annotations

import asyncio
import copy
import difflib
import functools
import http.server
import re
import shutil
import signal
import ssl
import subprocess
import sys
import threading
import tomllib
from pathlib import Path
from typing import TYPE_CHECKING, Any

import httpx
import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

import sync_spec
from syncing import fetch_pages
from syncing.commented_yaml import read, write
from syncing.pages import SyncError, parse_page
from syncing.strict_yaml import UnreadableError, plain, same

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

# Of the maintainers' commands: no part of what users install.
pytestmark = pytest.mark.slow

ROOT = Path(__file__).parent.parent
BEFORE = (ROOT / "openapi.yaml").read_text()
LIST_PAGE = (Path(__file__).parent / "pages" / "get_text_generator_items.md").read_text()
FRAGMENT: dict[str, Any] = yaml.safe_load(re.split("^````.*$", LIST_PAGE, flags=re.MULTILINE)[1])
PATH = "/sse/text_generator/"
LIST, CREATE = "get /sse/text_generator/", "post /sse/text_generator/"


@pytest.fixture(autouse=True)
def no_credential_shows() -> None:
    """None is near, and to search what holds a bomb of aliases would take for ever."""


@pytest.fixture
def spec(tmp_path: Path) -> Path:
    """A copy of the project's spec."""
    return Path(shutil.copy(ROOT / "openapi.yaml", tmp_path / "openapi.yaml"))


@pytest.fixture
def pages(tmp_path: Path) -> Pages:
    return Pages(tmp_path / "pages")


class Pages:
    """A folder of pages that were written for a test."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir()
        self.folder = folder

    def write(self, text: str, name: str = "get_text_generator_items.md") -> Path:
        (self.folder / name).write_text(text, newline="")
        return self.folder / name

    def sync(self, spec: Path, **options: Any) -> sync_spec.Synced:
        return sync_spec.sync([self.folder], spec, **options)

    def refused(self, spec: Path, **options: Any) -> str:
        """The one line that a sync is refused with; the spec is as it was, and all beside it."""
        around = sorted(spec.parent.iterdir())
        before = spec.read_bytes()
        with pytest.raises(SyncError) as refusal:
            self.sync(spec, **options)
        assert spec.read_bytes() == before
        assert sorted(spec.parent.iterdir()) == around
        assert "\n" not in str(refusal.value)
        return str(refusal.value)


def edited(*edits: tuple[str, str], text: str = LIST_PAGE) -> str:
    for old, new in edits:
        assert old in text, old
        text = text.replace(old, new)
    return text


def page(fragment: Mapping[str, Any], title: str) -> str:
    """A page in the provider's form."""
    [(path, item)] = fragment["paths"].items()
    text = yaml.safe_dump(dict(fragment), sort_keys=False)
    return f"# {title}\n\n## OpenAPI\n\n````yaml {next(iter(item))} {path}\n{text}\n````\n"


def create_fragment() -> dict[str, Any]:
    """What a page of the create operation would carry."""
    spec = yaml.safe_load(BEFORE)
    item = {"post": spec["paths"]["/sse/text_generator/"]["post"]}
    del spec["components"]["schemas"]["RemainingCredits"]
    return {**spec, "paths": {"/sse/text_generator/": item}}


def differing_lines(after: str) -> list[str]:
    """The lines that went and came, each with its indentation."""
    lines = difflib.ndiff(BEFORE.splitlines(), after.splitlines())
    return [line for line in lines if line[0] in "+-"]


# What the pages say is taken over, and nothing else.


def test_the_checked_in_pages_change_no_byte(spec: Path, pages: Pages) -> None:
    pages.write(LIST_PAGE)
    stamp = spec.stat()
    done = pages.sync(spec)
    assert not done.changed
    assert spec.read_text() == BEFORE
    assert (spec.stat().st_ino, spec.stat().st_mtime_ns) == (stamp.st_ino, stamp.st_mtime_ns)
    assert LIST in done.operations.unchanged


def test_another_order_or_style_of_the_same_values_changes_no_byte(
    spec: Path, pages: Pages
) -> None:
    shuffled = copy.deepcopy(FRAGMENT)
    schemas = shuffled["components"]["schemas"]
    shuffled["components"]["schemas"] = dict(reversed(schemas.items()))
    pages.write(page(shuffled, "Get Text Generator items"))
    assert not pages.sync(spec).changed
    assert spec.read_text() == BEFORE


NEW_FIELD = (
    "          title: Updated date\n",
    "          title: Updated date\n        cached:\n          type: boolean\n",
)
CHANGES: dict[str, tuple[tuple[str, str], list[str], str]] = {
    "a new optional response field": (
        NEW_FIELD,
        ["+         cached:", "+           type: boolean"],
        "schemas.TextGenResponse",
    ),
    "a new field of what is sent": (
        ("        seed:\n", "        tone:\n          type: string\n        seed:\n"),
        ["+         tone:", "+           type: string"],
        "schemas.TextGenConfig",
    ),
    "a new enum value": (
        ("        - failed\n", "        - failed\n        - cancelled\n"),
        ["+         - cancelled"],
        "schemas.TextGenResponseStatusEnum",
    ),
    "a removed field": (
        (
            """        failed_reason:
          type: string
          description: Reason for failure if status is failed.
""",
            "",
        ),
        [
            "-         failed_reason:",
            "-           type: string",
            "-           description: Reason for failure if status is failed.",
        ],
        "schemas.TextGenResponse",
    ),
    "a changed type": (
        (
            "        max_output_tokens:\n          type: integer",
            "        max_output_tokens:\n          type: number",
        ),
        ["-           type: integer", "+           type: number"],
        "schemas.TextGenConfig",
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", CHANGES)
def test_a_change_changes_its_lines_only(spec: Path, pages: Pages, name: str) -> None:
    edit, lines, schema = CHANGES[name]
    pages.write(edited(edit))
    done = pages.sync(spec)
    assert differing_lines(spec.read_text()) == lines
    assert done.changed
    assert done.components.changed == (schema,)
    assert not done.components.added + done.components.removed + done.operations.changed


def test_a_change_in_another_style_changes_its_lines_only(spec: Path, pages: Pages) -> None:
    quoted, listed = (
        ("'200':", '"200":'),
        ("tags:\n        - text_generator", "tags: [text_generator]"),
    )
    here = edited(listed, text=BEFORE)
    spec.write_text(here)
    pages.write(edited(NEW_FIELD, quoted))
    assert pages.sync(spec).changed
    assert spec.read_text() == edited(NEW_FIELD, text=here)


def test_a_new_request_field_comes_with_the_page_of_the_request(spec: Path, pages: Pages) -> None:
    fragment = create_fragment()
    fields = fragment["components"]["schemas"]["TextGenRequest"]["properties"]
    fields["tone"] = {"type": "string", "enum": ["on", "2026-11-22", "calm"]}
    bare = (("- 'on'", "- on"), ("- '2026-11-22'", "- 2026-11-22"))  # text to YAML 1.2, not to 1.1
    text = page(fragment, "Create Text Generator task")
    pages.write(edited(*bare, text=text), "create.md")
    pages.write(LIST_PAGE)
    assert pages.sync(spec).components.changed == ("schemas.TextGenRequest",)
    after = spec.read_text()
    values = yaml.safe_load(after)["components"]["schemas"]["TextGenRequest"]["properties"]["tone"]
    assert values == fields["tone"]
    assert after.count("# The pages show the value AUTO.") == 1


def test_a_renamed_path_of_the_same_operation_moves_it_with_its_comment(
    spec: Path, pages: Pages
) -> None:
    pages.write(edited(("/sse/text_generator/", "/v2/text_generator/")))
    done = pages.sync(spec)
    assert done.operations.renamed == (f"{LIST} -> get /v2/text_generator/",)
    assert not done.operations.added + done.operations.removed + done.operations.changed
    after = spec.read_text()
    operation = BEFORE.partition("    # Source")[2].partition("    # Source")[0]
    assert f"  /v2/text_generator/:\n    # Source{operation}" in after
    assert after.replace(f"  /v2/text_generator/:\n    # Source{operation}", "") == BEFORE.replace(
        f"    # Source{operation}", "", 1
    )


def test_a_path_that_had_one_operation_is_renamed_in_its_place(spec: Path, pages: Pages) -> None:
    fragment = create_fragment()
    old = yaml.safe_load(BEFORE)["paths"]["/sse/text_generator/stream/"]
    fragment["paths"] = {"/v2/stream/": old}
    pages.write(page(fragment, "Text Generator (Streaming)"), "stream.md")
    pages.write(LIST_PAGE)
    line = "  /sse/text_generator/stream/:\n"
    spec.write_text(edited((line, f"  # the stream\n{line}"), text=BEFORE))
    pages.sync(spec)
    assert "  # the stream\n  /v2/stream/:\n" in spec.read_text()
    assert list(yaml.safe_load(spec.read_text())["paths"]) == [
        "/sse/text_generator/",
        "/v2/stream/",
        "/sse/text_generator/{id}/",
        "/api/remaining_credits/",
    ]


def test_a_renamed_method_stays_under_its_path(spec: Path, pages: Pages) -> None:
    pages.write(edited(("yaml get", "yaml put"), ("    get:\n", "    put:\n")))
    done = pages.sync(spec)
    assert done.operations.renamed == (f"{LIST} -> put /sse/text_generator/",)
    assert differing_lines(spec.read_text()) == ["-     get:", "+     put:"]


def new_operation() -> dict[str, Any]:
    fragment = copy.deepcopy(FRAGMENT)
    operation = fragment["paths"].pop("/sse/text_generator/")["get"]
    operation["operationId"] = "sse_text_generator_count"
    operation["responses"]["200"]["content"]["application/json"]["schema"] = {
        "$ref": "#/components/schemas/Count"
    }
    fragment["components"]["schemas"]["Count"] = {"type": "integer"}
    return {**fragment, "paths": {"/sse/text_generator/count/": {"get": operation}}}


def test_a_new_operation_comes_with_the_name_of_its_page(spec: Path, pages: Pages) -> None:
    pages.write(LIST_PAGE)
    pages.write(page(new_operation(), "Count"), "count.md")
    done = pages.sync(spec)
    assert done.operations.added == ("get /sse/text_generator/count/",)
    assert done.components.added == ("schemas.Count",)
    after = spec.read_text()
    assert all(line.startswith("+") for line in differing_lines(after))
    assert (
        "\n  /sse/text_generator/count/:\n"
        '    # Source: the provider\'s page "Count" (its OpenAPI fragment).\n    get:\n'
    ) in after
    assert list(yaml.safe_load(spec.read_text())["paths"])[-1] == "/sse/text_generator/count/"


def test_all_changes_together_give_what_the_pages_say(spec: Path, pages: Pages) -> None:
    text = edited(*(edit for edit, _, _ in CHANGES.values()), (PATH, "/v2/list/"))
    pages.write(text)
    said = parsed(text)
    create, count = create_fragment(), new_operation()
    for fragment in (create, count):
        fragment["components"]["schemas"] |= said["components"]["schemas"]
    create["components"]["schemas"]["TextGenRequest"]["properties"]["tone"] = {"type": "string"}
    pages.write(page(create, "Create Text Generator task"), "create.md")
    pages.write(page(count, "Count"), "count.md")
    done = pages.sync(spec)
    after = yaml.safe_load(spec.read_text())
    old = yaml.safe_load(BEFORE)["components"]["schemas"]
    assert after["components"]["schemas"] == (
        old | create["components"]["schemas"] | count["components"]["schemas"]
    )
    assert after["paths"]["/v2/list/"] == said["paths"]["/v2/list/"]
    assert done.operations.renamed == (f"{LIST} -> get /v2/list/",)
    assert done.operations.added == ("get /sse/text_generator/count/",)
    assert set(done.components.changed) == {
        "schemas.TextGenRequest",
        *(schema for _, _, schema in CHANGES.values()),
    }
    assert not pages.sync(spec).changed


def parsed(text: str) -> dict[str, Any]:
    fragment: dict[str, Any] = yaml.safe_load(re.split("^````.*$", text, flags=re.MULTILINE)[1])
    return fragment


def test_a_rendered_page_that_now_has_a_fragment_names_it(spec: Path, pages: Pages) -> None:
    pages.write(page(create_fragment(), "Create Text Generator task"), "create.md")
    pages.write(LIST_PAGE)
    done = pages.sync(spec)
    assert done.changed
    assert not done.operations.changed
    assert sorted(differing_lines(spec.read_text()), reverse=True) == [
        *(f"- {line}" for line in BEFORE.splitlines()[33:31:-1]),
        '+     # Source: the provider\'s page "Create Text Generator task" (its OpenAPI fragment).',
    ]


def test_a_schema_that_nothing_refers_to_any_more_goes_and_is_told(
    spec: Path, pages: Pages
) -> None:
    fragment = copy.deepcopy(FRAGMENT)
    del fragment["components"]["schemas"]["FunctionResponsePart"]
    del fragment["components"]["schemas"]["FunctionCallPart"]
    for name, field in (
        ("Message", "function_response"),
        ("Message", "function_call"),
        ("TextGenResponse", "response_function_calls"),
    ):
        del fragment["components"]["schemas"][name]["properties"][field]
    fragment["components"]["schemas"]["TextGenResponse"]["required"].remove(
        "response_function_calls"
    )
    pages.write(page(fragment, "Get Text Generator items"))
    done = pages.sync(spec)
    assert done.components.removed == ("schemas.FunctionResponsePart",)
    kept = yaml.safe_load(spec.read_text())["components"]["schemas"]
    assert "FunctionCallPart" in kept, "the overlay refers to it"


def test_a_schema_that_a_page_has_stays_though_nothing_refers_to_it(
    spec: Path, pages: Pages
) -> None:
    fragment = copy.deepcopy(FRAGMENT)
    del fragment["components"]["schemas"]["Message"]["properties"]["function_response"]
    fragment["components"]["x-version"] = 5
    pages.write(page(fragment, "Get Text Generator items"))
    assert not pages.sync(spec).components.removed
    assert yaml.safe_load(spec.read_text())["components"]["x-version"] == 5


def test_an_operation_that_is_still_there_was_not_renamed(spec: Path, pages: Pages) -> None:
    pages.write(edited(("sse_text_generator_list", "another")))
    count = new_operation()
    count["paths"]["/sse/text_generator/count/"]["get"]["operationId"] = "sse_text_generator_list"
    pages.write(page(count, "Count"), "count.md")
    done = pages.sync(spec)
    assert not done.operations.renamed
    assert (done.operations.changed, len(done.operations.added)) == ((LIST,), 1)


def test_two_new_operations_of_one_id_are_an_error(spec: Path, pages: Pages) -> None:
    for name in ("a", "b"):
        pages.write(edited((PATH, f"/{name}/")), f"{name}.md")
    assert "would not be valid OpenAPI" in pages.refused(spec)


def test_what_the_provider_says_of_its_servers_is_taken_over(spec: Path, pages: Pages) -> None:
    pages.write(edited(("servers: []\n", "servers:\n  - url: https://api.creatify.ai\n")))
    assert pages.sync(spec).document.changed == ("servers",)
    assert differing_lines(spec.read_text()) == [
        "- servers: []",
        "+ servers:",
        "+   - url: https://api.creatify.ai",
    ]


def test_files_stand_for_themselves_and_a_folder_for_all_pages(spec: Path, pages: Pages) -> None:
    count = pages.write(page(new_operation(), "Count"), "count.md")
    assert '"Get Text Generator items" is not among the pages' in pages.refused(spec)
    assert sync_spec.sync([count], spec).operations.added == ("get /sse/text_generator/count/",)


def test_a_folder_in_the_folder_and_its_readme_are_not_read(spec: Path, pages: Pages) -> None:
    file = pages.write(LIST_PAGE)
    pages.write("# Nothing", "README.md")
    (pages.folder / "old").mkdir()
    (pages.folder / "old" / "bad.md").write_text("# Nothing")
    assert pages.sync(spec).pages == (str(file),)


def test_the_command_says_what_it_did(spec: Path, pages: Pages) -> None:
    pages.write(edited(CHANGES["a new enum value"][0]))
    assert sync_spec.summary(pages.sync(spec)) == (
        "read 1 page\n"
        "components changed: schemas.TextGenResponseStatusEnum\n"
        "unchanged: 5 operations, 15 components"
    )


def test_the_command_ends_with_1_and_one_error(
    spec: Path, pages: Pages, monkeypatch: pytest.MonkeyPatch
) -> None:
    pages.write("# Nothing")
    monkeypatch.setattr(sync_spec, "SPEC", spec)
    monkeypatch.setattr(sys, "argv", ["sync_spec.py", str(pages.folder)])
    with pytest.raises(SystemExit) as ended:
        sync_spec.main()
    assert re.fullmatch(
        r"error: \S+items\.md: has no fenced fragment under ## OpenAPI\n"
        r"openapi\.yaml is left as it was",
        str(ended.value.code),
    )


# Comments and order.


@settings(max_examples=3)
@given(st.sets(st.sampled_from(sorted(CHANGES))), st.randoms(use_true_random=False))
def test_every_comment_stays_above_what_stays_and_a_second_merge_changes_nothing(
    tmp_path_factory: pytest.TempPathFactory, names: set[str], chance: Any
) -> None:
    folder = tmp_path_factory.mktemp("comments")
    source = folder / "page.md"
    source.write_text(edited(*(CHANGES[name][0] for name in sorted(names))))
    commented, above = annotated(BEFORE, chance)
    spec = folder / "openapi.yaml"
    spec.write_text(commented)
    sync_spec.sync([source], spec)
    after = spec.read_text().splitlines()
    for comment, line in above.items():
        found = [number for number, text in enumerate(after) if text.strip() == comment]
        if found:
            assert after[found[0] + 1].partition(":")[0] == line.partition(":")[0]
        else:
            assert "a removed field" in names
            assert line in CHANGES["a removed field"][0][0].splitlines()
    assert not sync_spec.sync([source], spec).changed


def annotated(text: str, chance: Any) -> tuple[str, dict[str, str]]:
    """The text with a comment over some of its keys and entries, and the line below each."""
    lines: list[str] = []
    above: dict[str, str] = {}
    block: int | None = None
    for line in text.splitlines():
        indent = len(line) - len(line.lstrip())
        if block is not None and (not line or indent > block):
            lines.append(line)
            continue
        block = indent if re.search(r": [|>]-$", line) else None
        if not line.lstrip().startswith("#") and chance.random() < 0.3:
            comment = f"# comment {len(above)}"
            lines.append(" " * indent + comment)
            above[comment] = line
        lines.append(line)
    return "\n".join(lines) + "\n", above


def test_comments_of_every_kind_survive_reading_and_writing() -> None:
    text = (
        "# head\na:  # beside a map\n  # first\n  b: 1 # beside\n  # one\n\n  # two\n  c: |-\n"
        "    x\n    # text\n  # after text\n  d:\n    # in a list\n    - x  # beside an entry\n"
        "    # between\n    - 'y'\n  e:\n    # over an entry\n    - p: 1\n      # inner\n"
        "      q: [1, 2]  # beside a flow\n# tail\n"
    )
    assert write(read(text)) == text


def test_a_comment_follows_its_entry_of_a_list(spec: Path, pages: Pages) -> None:
    spec.write_text(edited(("        - done\n", "        # final\n        - done\n"), text=BEFORE))
    pages.write(
        edited(("        - running\n", ""), ("        - done\n", "        - new\n        - done\n"))
    )
    pages.sync(spec)
    assert "        - pending\n        - new\n        # final\n        - done\n" in spec.read_text()


def test_a_comment_follows_its_parameter(tmp_path: Path) -> None:
    changed = copy.deepcopy(SMALL)
    parameters = changed["paths"]["/a/{id}/"]["get"]["parameters"]
    parameters[0]["description"] = "Which."
    parameters.insert(0, {"name": "x", "in": "query", "schema": {"type": "string"}})
    (tmp_path / "a.md").write_text(page(changed, "A"))
    line = "      - name: id\n"
    text = page(SMALL, "A").partition("/a/{id}/\n")[2].partition("\n````")[0]
    spec = tmp_path / "openapi.yaml"
    spec.write_text(write(read(edited((line, f"      # which one\n{line}"), text=text))))
    sync_spec.sync([tmp_path / "a.md"], spec)
    assert "# which one\n        - name: id\n" in spec.read_text()


def test_a_spec_whose_bytes_could_not_be_kept_is_not_touched(spec: Path, pages: Pages) -> None:
    spec.write_text(
        edited(("  title: creatify.ai API", '  "title":   creatify.ai API'), text=BEFORE)
    )
    pages.write(LIST_PAGE)
    assert not pages.sync(spec).changed
    pages.write(edited(NEW_FIELD))
    assert "openapi.yaml: line 5: would have to be written as" in pages.refused(spec)


# What isn't right is one error that names page and place, and leaves the file as it was.


ERRORS: dict[str, tuple[list[tuple[str, str]], str]] = {
    "no section": ([("## OpenAPI", "## Other")], r"items\.md: has no fenced fragment"),
    "no fence": ([("````", "")], r"items\.md: has no fenced fragment"),
    "an unfinished fence": ([(" page.\n\n````", " page.\n")], r"items\.md: line 2\d\d: ends in"),
    "two fragments": ([("````yaml", "```\na: 1\n```\n````yaml")], r"16: a second"),
    "no operation": ([("yaml get " + PATH, "yaml")], r"line 13: announces no operation"),
    "another operation": ([("yaml get", "yaml post")], r"line 13: announces post .* has get"),
    "invalid YAML": ([("  version: 1.0.0", "  version: [1.0.0")], r"items\.md: line 1[78]: the"),
    "a duplicate key": ([("  version: 1", "  title: x\n  version: 1")], r"line 17: .*dupl"),
    "a tag": ([("version: 1", "version: !!python/name:os.system 1")], r"line 17: .* the tag"),
    "an alias in itself": ([("servers: []", "servers: &a [*a]")], r"line 19: .*contains itself"),
    "a merge key": ([("info:\n", "info:\n  <<: {}\n")], r"line 16: .*merge key"),
    "deep nesting": ([("servers: []", "servers: " + "[" * 999)], r"line 19: .*maximum depth"),
    "no text as key": ([("info:\n", "info:\n  true: 1\n")], r"info: the key True is no text"),
    "no number": ([("version: 1.0.0", "version: .nan")], r"info.version: 'nan' is no JSON"),
    "no mapping": ([("openapi: 3.0.3", "- a\n#")], r"line 16: the fragment can't be read"),
    "no version": ([("openapi: 3.0.3\n", "")], r"line 14: the fragment has no openapi"),
    "another version": ([("3.0.3", "3.1.0")], r"line 14: .*'3\.1\.0', where 3\.0 is expected"),
    "no paths": ([("paths:", "x-paths:")], r"'paths' is a required property"),
    "no responses": ([("      responses:", "      x-responses:")], r"text_generator/\.get: 'resp"),
    "no such type": ([("type: integer", "type: int")], r"TextGenConfig\.properties.*\.type: 'int'"),
    "a dangling reference": (
        [("    RoleEnum:\n", "    Role:\n")],
        r"items\.md: .*Message\.properties\.role\.allOf\[0\]\.\$ref: #/.*RoleEnum leads nowhere",
    ),
    "a reference elsewhere": (
        [("#/components/schemas/RoleEnum", "http://127.0.0.1:1/x")],
        r"items\.md: .*role\.allOf\[0\]\.\$ref: http://127.0.0.1:1/x leads nowhere",
    ),
    "a reference to a file": (
        [("'#/components/schemas/RoleEnum'", "components/schemas/RoleEnum")],
        r"items\.md: .*role\.allOf\[0\]\.\$ref: components/schemas/RoleEnum leads nowhere",
    ),
    "a reference into a list": (
        [("#/components/schemas/RoleEnum", "#/paths/~1sse~1text_generator~1/get/tags/0")],
        r"items\.md: .*role\.allOf\[0\]\.\$ref: #/paths/.*/tags/0 leads nowhere",
    ),
    "no such scheme": ([("\n    X-API-KEY:", "\n    KEY:")], r"get\.security: 'X-API-KEY' is no"),
    "a vanished operation": (
        [(PATH, "/v2/"), ("sse_text_generator_list", "v2_list")],
        r"items\.md: paths\./sse/text_generator/\.get of openapi\.yaml vanished: .* has get /v2/",
    ),
    "a duplicate operationId": (
        [("operationId: sse_text_generator_list", "operationId: remaining_credits_retrieve")],
        r"openapi\.yaml would not be valid OpenAPI: .*remaining_credits_retrieve",
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", ERRORS)
def test_an_error_names_page_and_place_and_changes_nothing(
    spec: Path, pages: Pages, name: str
) -> None:
    edits, message = ERRORS[name]
    pages.write(edited(*edits))
    assert re.search(message, pages.refused(spec))


def test_a_vanished_operation_goes_when_that_is_allowed(spec: Path, pages: Pages) -> None:
    pages.write(edited(*ERRORS["a vanished operation"][0]))
    done = pages.sync(spec, allow_vanished=True)
    assert done.operations.removed == (LIST,)
    assert done.operations.added == ("get /v2/",)
    assert list(yaml.safe_load(spec.read_text())["paths"]["/sse/text_generator/"]) == ["post"]


def test_an_operation_known_from_a_rendered_page_vanishes_when_its_page_has_another(
    spec: Path, pages: Pages
) -> None:
    fragment = create_fragment()
    item = fragment["paths"]["/sse/text_generator/"]
    item["post"]["operationId"] = "text_generator_create"
    fragment["paths"] = {"/api/text_generator/": item}
    pages.write(page(fragment, "Create Text Generator task"), "create.md")
    pages.write(LIST_PAGE)
    assert re.search(
        r"create\.md: paths\./sse/text_generator/\.post .*vanished", pages.refused(spec)
    )
    assert pages.sync(spec, allow_vanished=True).operations.removed == (CREATE,)


@pytest.mark.parametrize(
    ("edit", "place"),
    [
        (("        - failed\n", ""), "components.schemas.TextGenResponseStatusEnum.enum[3]"),
        (("summary: Get", "summary: List"), "paths./sse/text_generator/.get.summary"),
        (("servers: []", "servers: [{url: /}]"), "servers[0]"),
        (("example: 1", "example: true"), "components.schemas.FunctionCallPart.example"),
    ],
)
def test_two_pages_that_contradict_each_other_are_both_named(
    spec: Path, pages: Pages, edit: tuple[str, str], place: str
) -> None:
    part = "    FunctionCallPart:\n      type: object\n"
    text = edited((part, part + "      example: 1\n"))
    pages.write(text, "a.md")
    pages.write(edited(edit, text=text), "b.md")
    message = pages.refused(spec)
    assert re.search(r"a\.md and \S+b\.md define \S+ differently: at " + re.escape(place), message)


def test_a_bomb_of_aliases_is_an_error(spec: Path, pages: Pages) -> None:
    levels = ["x-a0: &a0 [lol, lol]"]
    levels += [f"x-a{n}: &a{n} [*a{n - 1}, *a{n - 1}, *a{n - 1}, *a{n - 1}]" for n in range(1, 40)]
    pages.write(edited(("info:\n", "\n".join(levels) + "\ninfo:\n")))
    assert "its aliases stand for too much" in pages.refused(spec)
    long = f"x-a: &a '{'a' * 100_000}'\nx-b: [{', '.join(['*a'] * 1000)}]\n"
    pages.write(edited(("info:\n", f"{long}info:\n")))
    assert "its aliases stand for too much" in pages.refused(spec)


def test_few_aliases_are_spelled_out(spec: Path, pages: Pages) -> None:
    text = edited(
        ("- $ref: '#/components/schemas/RoleEnum'", "- &r {$ref: '#/components/schemas/RoleEnum'}"),
        (
            "      required:\n        - role\n",
            "        second: *r\n      required:\n        - role\n",
        ),
    )
    pages.write(text)
    assert pages.sync(spec).components.changed == ("schemas.Message",)
    assert not {"&", "*"} & {word[0] for word in spec.read_text().split() if word != "*"}
    message = yaml.safe_load(spec.read_text())["components"]["schemas"]["Message"]
    assert message["properties"]["role"]["allOf"] == [message["properties"]["second"]]


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda file: file.unlink(), r"pages: has no pages"),
        (lambda file: file.write_bytes(b"\xff"), r"items\.md: byte 0 is not UTF-8"),
        (lambda file: file.write_bytes(b" " * 2**22), r"items\.md: is larger than 2097152 bytes"),
        (lambda file: (file.unlink(), file.symlink_to("nowhere")), r"items\.md: No such file"),
    ],
)
def test_a_file_that_is_no_page_is_an_error(
    spec: Path, pages: Pages, make: Callable[[Path], object], message: str
) -> None:
    make(pages.write(LIST_PAGE))
    assert re.search(message, pages.refused(spec))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a: [", r"openapi\.yaml: line 1: expected"),
        ("openapi: 3.0.3\n", r"openapi\.yaml: is not valid OpenAPI: .*'info' is a required"),
    ],
)
def test_a_spec_that_is_none_is_an_error(spec: Path, pages: Pages, text: str, message: str) -> None:
    spec.write_text(text)
    pages.write(LIST_PAGE)
    assert re.search(message, pages.refused(spec))


# 300 mutated fragments.

SMALL: dict[str, Any] = {
    "openapi": "3.0.3",
    "info": {"title": "t", "version": "1"},
    "paths": {
        "/a/{id}/": {
            "get": {
                "operationId": "a",
                "parameters": [
                    {"name": "id", "in": "path", "required": True, "schema": {"type": "string"}}
                ],
                "responses": {"200": {"description": "d", "content": {"application/json": {
                    "schema": {"$ref": "#/components/schemas/A"}}}}},
                "security": [{"K": []}],
            }
        }
    },
    "components": {
        "schemas": {
            "A": {"type": "object", "properties": {"b": {"$ref": "#/components/schemas/B"}}},
            "B": {"type": "string", "enum": ["x", "y"]},
        },
        "securitySchemes": {"K": {"type": "apiKey", "in": "header", "name": "K"}},
    },
}  # fmt: skip


def places(node: Any, place: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    steps = node if isinstance(node, dict) else range(len(node)) if isinstance(node, list) else ()
    for step in steps:
        yield (*place, step)
        yield from places(node[step], (*place, step))


def at(node: Any, place: tuple[Any, ...]) -> Any:
    return functools.reduce(lambda found, step: found[step], place, node)


SMALL_PAGE = page(SMALL, "A")
PLACES = list(places(SMALL))
REQUIRED = [
    place
    for place in PLACES
    if place[-1] in {"openapi", "info", "title", "version", "paths", "/a/{id}/", "get", "responses",
                     "200", "description", "A", "B", "K", "in", "name", "parameters"}
    and place[-2:] != ("security", "K") and place[-3:-1] != ("security", 0)
]  # fmt: skip
CONTAINERS = [place for place in PLACES if isinstance(at(SMALL, place), (dict, list))]
REFERENCES = [place for place in PLACES if place[-1] == "$ref"]
MUTATIONS = st.one_of(
    st.tuples(st.just("drop"), st.sampled_from(REQUIRED), st.none()),
    st.tuples(st.just("set"), st.sampled_from(CONTAINERS), st.sampled_from(["x", 7, None, True])),
    st.tuples(
        st.just("set"),
        st.sampled_from(REFERENCES),
        st.sampled_from(["#/components/schemas/C", "a.yaml", "http://127.0.0.1:1/", "#", "", 1]),
    ),
    st.tuples(st.just("cut"), st.floats(0, 1, exclude_max=True), st.none()),
)


@settings(max_examples=300)
@given(MUTATIONS)
def test_a_mutated_fragment_is_refused_and_changes_nothing(
    tmp_path_factory: pytest.TempPathFactory, mutation: tuple[str, Any, Any]
) -> None:
    folder = small_spec(tmp_path_factory)
    kind, place, value = mutation
    fragment = copy.deepcopy(SMALL)
    if kind == "drop":
        del at(fragment, place[:-1])[place[-1]]
    elif kind == "set":
        at(fragment, place[:-1])[place[-1]] = value
    body = yaml.safe_dump(fragment, sort_keys=False)
    body = body[: int(place * len(body))] if kind == "cut" else body + "````\n"
    (folder / "a.md").write_text(f"# A\n\n## OpenAPI\n\n````yaml get /a/{{id}}/\n{body}")
    before = (folder / "openapi.yaml").read_bytes()
    with pytest.raises(SyncError, match=r"a\.md: "):
        sync_spec.sync([folder / "a.md"], folder / "openapi.yaml")
    assert (folder / "openapi.yaml").read_bytes() == before


PIECES = ["", ":", "- ", "\t", "&a ", "*a", "|", "[", "}", "'", "#", "\0", "\u2028", "? "]


@settings(max_examples=100)
@given(
    st.lists(st.tuples(st.integers(20, 900), st.sampled_from([0, 1, 9]), st.sampled_from(PIECES)))
)
def test_a_page_of_broken_text_is_refused_or_taken_over_whole(
    tmp_path_factory: pytest.TempPathFactory, breaks: list[tuple[int, int, str]]
) -> None:
    folder = small_spec(tmp_path_factory)
    text = SMALL_PAGE
    for start, length, put in breaks:
        text = text[:start] + put + text[start + length :]
    (folder / "a.md").write_text(text, newline="")
    before = (folder / "openapi.yaml").read_bytes()
    try:
        sync_spec.sync([folder / "a.md"], folder / "openapi.yaml")
    except SyncError:
        assert (folder / "openapi.yaml").read_bytes() == before
    else:
        said = plain(parse_page("a.md", text).fragment)
        assert isinstance(said, dict)
        kept = yaml.safe_load((folder / "openapi.yaml").read_text())
        assert kept["info"] == said["info"]
        assert kept["components"] == SMALL["components"] | said.get("components", {})


def small_spec(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.getbasetemp() / "small"
    folder.mkdir(exist_ok=True)
    (folder / "openapi.yaml").write_text(yaml.safe_dump(SMALL, sort_keys=False))
    return folder


# Written whole or not at all.


@pytest.mark.parametrize(
    ("when", "changed"),
    [
        ("pathlib.Path.replace = die", False),
        ("real = pathlib.Path.replace; pathlib.Path.replace = lambda *a: die(real(*a))", True),
    ],
)
def test_a_killed_sync_leaves_the_old_file_or_the_new(
    spec: Path, pages: Pages, when: str, changed: bool
) -> None:
    pages.write(edited(NEW_FIELD))
    script = (
        "import os, pathlib, signal, sys\n"
        "def die(*_): os.kill(os.getpid(), signal.SIGKILL)\n"
        f"{when}\n"
        "import sync_spec\n"
        "sync_spec.sync([pathlib.Path(sys.argv[1])], pathlib.Path(sys.argv[2]))\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", script, str(pages.folder), str(spec)],
        check=False,
        cwd=ROOT / "scripts",
    )
    assert done.returncode == -signal.SIGKILL
    killed = spec.read_text()
    spec.write_text(BEFORE)
    pages.sync(spec)
    assert killed == (spec.read_text() if changed else BEFORE)


def test_an_interrupted_sync_leaves_nothing_beside_the_file(
    spec: Path, pages: Pages, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(Path, "replace", interrupt)
    pages.write(edited(NEW_FIELD))
    with pytest.raises(KeyboardInterrupt):
        pages.sync(spec)
    assert sorted(path.name for path in spec.parent.iterdir()) == ["openapi.yaml", "pages"]
    assert spec.read_text() == BEFORE


def test_the_file_keeps_its_mode(spec: Path, pages: Pages) -> None:
    spec.chmod(0o640)
    pages.write(edited(NEW_FIELD))
    assert pages.sync(spec).changed
    assert spec.stat().st_mode & 0o777 == 0o640


# Fetching.

INDEX = "https://docs.example.com/llms.txt"
ITEMS = "https://docs.example.com/api/items.md"
SITE: dict[str, httpx.Response | Exception] = {}


def online(
    spec: Path, answers: Mapping[str, Callable[[httpx.Request], httpx.Response]], listed: str = ""
) -> sync_spec.Synced:
    """A sync with the pages of a site that answers as told."""
    list_file = spec.parent / "spec_pages.toml"
    list_file.write_text(
        listed or f'index = "{INDEX}"\ntitles = ["Get Text Generator items"]\nurls = []\n'
    )

    def answer(request: httpx.Request) -> httpx.Response:
        return answers[str(request.url)](request)

    transport = httpx.MockTransport(answer)
    return sync_spec.sync(
        [], spec, listed=list_file, client=lambda: fetch_pages.open_client(transport)
    )


def text(body: str | bytes, status: int = 200, **headers: str) -> Callable[..., httpx.Response]:
    named = {key.replace("_", "-"): value for key, value in headers.items()}
    return lambda _: httpx.Response(
        status, content=body, headers={"content-type": "text/markdown"} | named
    )


LINKS = text("# Docs\n\n- [Get Text Generator items](/api/items.md): List.\n- [Other](o.md)\n")


def test_listed_pages_are_found_by_their_titles_in_the_index(spec: Path) -> None:
    done = online(spec, {INDEX: LINKS, ITEMS: text(edited(NEW_FIELD))})
    assert done.pages == (ITEMS,)
    assert differing_lines(spec.read_text()) == CHANGES["a new optional response field"][1]


def test_a_listed_url_needs_no_index_and_may_redirect(spec: Path) -> None:
    listed = f'index = "{INDEX}"\ntitles = []\nurls = ["{ITEMS}"]\n'
    moved = text("", 302, location="https://docs.example.com/new.md")
    answers = {ITEMS: moved, "https://docs.example.com/new.md": text(LIST_PAGE)}
    assert not online(spec, answers, listed).changed


def slow(_: httpx.Request) -> httpx.Response:
    async def drip() -> Any:
        while True:
            yield b"x"
            await asyncio.sleep(0.01)

    return httpx.Response(200, content=drip(), headers={"content-type": "text/plain"})


def broken(_: httpx.Request) -> httpx.Response:
    raise httpx.ConnectError("no route")


@pytest.mark.parametrize(
    ("answer", "message"),
    [
        (text("", 404), "items.md: status 404"),
        (text("", 302, location="http://docs.example.com/"), "http://docs.example.com/ is not htt"),
        (text("", 302, location=ITEMS), "items.md: Exceeded maximum allowed redirects."),
        (text(b"a" * (2**21 + 1)), "items.md: is larger than 2097152 bytes"),
        (text("<html>", content_type="text/html"), "items.md: is text/html, not Markdown"),
        (text("{}", content_type="application/json"), "items.md: is application/json, not"),
        (text(b"\xff"), "items.md: byte 0 is not UTF-8"),
        (text("", content_encoding="br"), "items.md: is encoded as br"),
        (text("# Nothing"), "items.md: has no fenced fragment"),
        (slow, "items.md: not there within 0.2 s"),
        (broken, "items.md: no route"),
    ],
)
def test_a_page_that_can_not_be_fetched_is_an_error(
    spec: Path,
    monkeypatch: pytest.MonkeyPatch,
    answer: Callable[[httpx.Request], httpx.Response],
    message: str,
) -> None:
    monkeypatch.setattr(fetch_pages, "DEADLINE", 0.2)
    with pytest.raises(SyncError, match=re.escape(message)):
        online(spec, {INDEX: LINKS, ITEMS: answer})
    assert spec.read_text() == BEFORE


@pytest.mark.parametrize(
    ("links", "message"),
    [
        ("- [Other](/o.md)", 'llms.txt: has no page of the title "Get Text Generator items"'),
        (
            "- [Get Text Generator items](a.md)\n- [Get Text Generator items](b.md)",
            'llms.txt: has several pages of the title "Get Text Generator items"',
        ),
        ("- [Get Text Generator items](http://docs.example.com/a.md)", "a.md is not https"),
        ("- [Other](https://a:b/)", 'llms.txt: the URL of "Other": '),
    ],
)
def test_an_index_that_does_not_lead_to_a_page_is_an_error(
    spec: Path, links: str, message: str
) -> None:
    with pytest.raises(SyncError, match=re.escape(message)):
        online(spec, {INDEX: text(links)})


@pytest.mark.parametrize(
    ("listed", "message"),
    [
        ("titles = [", r"spec_pages\.toml: "),
        (f'index = "{INDEX}"\nurls = []', "titles is missing, or not text"),
        (f'index = "{INDEX}"\nurls = [1]\ntitles = []', "urls is missing, or not text"),
        ("index = 1\nurls = []\ntitles = []", "index is missing, or not text"),
        (f'index = "{INDEX}"\nurls = []\ntitles = []', "lists no page"),
        (f'index = "{INDEX}"\nurls = ["http://a/b.md"]\ntitles = []', "http://a/b.md is not https"),
    ],
)
def test_a_list_that_is_none_is_an_error(spec: Path, listed: str, message: str) -> None:
    with pytest.raises(SyncError, match=message):
        online(spec, {}, listed)


def test_the_checked_in_list_names_the_pages_that_the_spec_is_made_from() -> None:
    listed = tomllib.loads((ROOT / "scripts" / "spec_pages.toml").read_text())
    assert set(listed["titles"]) == set(re.findall(r'page "(.+?)" \(', BEFORE))
    assert f"index at: {listed['index']}\n" in LIST_PAGE


@pytest.fixture
def tls_site(tmp_path: Path) -> Iterator[tuple[str, ssl.SSLContext]]:
    """A site on this machine that gives the list page over TLS, and what trusts it."""
    key, certificate = tmp_path / "key.pem", tmp_path / "cert.pem"
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=x",
         "-addext", "subjectAltName=IP:127.0.0.1", "-keyout", key, "-out", certificate],
        check=True, capture_output=True,
    )  # fmt: skip

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.send_header("Content-Type", "text/markdown; charset=utf-8")
            self.end_headers()
            self.wfile.write(LIST_PAGE.encode())

        def log_message(self, *_: object) -> None:
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    server.socket = context.wrap_socket(server.socket, server_side=True)
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    yield f"127.0.0.1:{server.server_port}", ssl.create_default_context(cafile=str(certificate))
    server.shutdown()
    thread.join()
    server.server_close()


def test_pages_come_over_tls_from_a_trusted_server_only(
    tls_site: tuple[str, ssl.SSLContext],
) -> None:
    host, trusted = tls_site
    urls = [f"https://{host}/{number}.md" for number in range(3)]

    async def fetched(verify: ssl.SSLContext | bool) -> dict[str, str]:
        async with fetch_pages.open_client(verify=verify) as client:
            return await fetch_pages.fetch(urls, client)

    assert asyncio.run(fetched(trusted)) == dict.fromkeys(urls, LIST_PAGE)
    with pytest.raises(SyncError, match=r"0\.md: .*CERTIFICATE_VERIFY_FAILED"):
        asyncio.run(fetched(verify=True))


def test_values_that_are_written_in_other_ways_are_the_json_that_they_stand_for() -> None:
    text = "a: &a true\nb: *a\nc: 1e3\nd: 0x10\ne: on\nf: 2026-11-22\n200: 1:30\n"
    said = {"a": True, "b": True, "c": 1000.0, "d": 16, "e": "on", "f": "2026-11-22", "200": "1:30"}
    assert same(read(text).data, said)
    assert same(yaml.safe_load(write(read(text))), said)


@pytest.mark.parametrize("text", ["{{a: 1}: 2}", "? [a]\n: 1", "a: \a"])
def test_a_text_that_trips_the_parser_is_an_error(text: str) -> None:
    with pytest.raises(UnreadableError):
        read(text)


@pytest.mark.parametrize("text", ["a: .inf", "a: 1e999", f"a: 0x{'f' * 40}", '"\\ud800": 1'])
def test_what_json_can_not_say_is_not_read(text: str) -> None:
    with pytest.raises(UnreadableError, match="is no JSON value"):
        read(text)


@pytest.mark.parametrize("text", ["", " \n\n", "\r", "## OpenAPI\r\r````yaml get /x/\r````\r"])
def test_a_page_of_nothing_or_of_other_line_ends_is_an_error_of_ours(text: str) -> None:
    with pytest.raises(SyncError):
        parse_page("page.md", text)
