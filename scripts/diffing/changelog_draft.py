"""A draft in the changelog that can be written again and again, and never over anybody's words.

The draft stands between two comments, the first of which has the fingerprint of what was drafted.
While the text is still that draft it is replaced by the next; once a person has edited it, it is
theirs and stays, and only a draft of other content is put beside it. So does a draft that is in the
changelog of the base already: it tells of an earlier change.
"""

from __future__ import annotations

import hashlib
import re

UNRELEASED = "## [Unreleased]"
_END = "<!-- spec-diff: end of draft -->"
_BLOCK = re.compile(
    r"<!-- spec-diff: draft (?P<print>[0-9a-f]{12}), yours to edit -->\n"
    rf"(?P<body>.*?){_END}\n\n?",
    re.DOTALL,
)


def with_draft(changelog: str, draft: str, base: str = "") -> str:
    """The changelog with `draft` below its heading Unreleased; an empty draft takes it away.

    `base` is the changelog as it was before the changes that are drafted.
    """
    before, heading, rest = _split(changelog)
    released = re.search(r"^## ", rest, flags=re.MULTILINE)
    end = released.start() if released else len(rest)
    unreleased, after = rest[:end], rest[end:]
    if draft and f"draft {_fingerprint(draft)}," in unreleased:
        return changelog

    def stays(block: re.Match[str]) -> bool:
        return block["print"] != _fingerprint(block["body"]) or block[0].strip() in base

    kept = _BLOCK.sub(lambda block: block[0] if stays(block) else "", unreleased).lstrip("\n")
    return f"{before}{heading}\n\n{_block(draft)}{kept}{after}"


def _split(changelog: str) -> tuple[str, str, str]:
    """What is above the heading, the heading (made if there is none) and the rest."""
    found = re.search(rf"^{re.escape(UNRELEASED)}.*$", changelog, flags=re.MULTILINE)
    if found:
        return changelog[: found.start()], found[0], changelog[found.end() :]
    released = re.search(r"^## ", changelog, flags=re.MULTILINE)
    place = released.start() if released else len(changelog)
    return changelog[:place], UNRELEASED, "\n\n" + changelog[place:]


def _block(draft: str) -> str:
    if not draft:
        return ""
    return f"<!-- spec-diff: draft {_fingerprint(draft)}, yours to edit -->\n{draft}{_END}\n\n"


def _fingerprint(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:12]
