"""Every recorded stream of Gemini reads the same through both clients, however the network cuts it.

Everything expected is written by hand from the recordings. The server sends each piece as an HTTP
chunk of its own, which a client reads as one.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from creatify import user

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from colours import Colour
    from rawserver import Exchange, RawServer, Script

pytestmark = [pytest.mark.anyio, pytest.mark.unmeasured]

FOLDER = Path(__file__).with_name("recordings")
ASK: dict[str, Any] = {"model_name": "gemini-2.5-flash", "messages": [user("As recorded.")]}
RECEIPT = b'data: {"creatify": {"id": "4f6d", "credits_used": 0.5}}\r\n\r\n'


@dataclass(frozen=True)
class Recorded:
    pieces: tuple[str, ...]
    """The text that each chunk adds; a chunk without text is not among them."""
    tokens: tuple[int | None, int | None, int | None, int | None]
    """Of the last chunk: prompt, candidates, thoughts, total."""
    chunks: int
    calls: tuple[dict[str, Any], ...] = ()


RECORDINGS = {
    "after_function_response": Recorded(
        pieces=("The temperature in", " Paris is 30°C."), tokens=(63, 11, None, 74), chunks=2
    ),
    "capital": Recorded(
        pieces=("The capital of France is **Paris**.",), tokens=(15, 8, 16, 39), chunks=1
    ),
    "count_to_30": Recorded(
        pieces=(
            "1\n2\n3\n4\n5\n6\n7\n8\n9\n10\n11\n12\n13\n1",
            "4\n15\n16\n17\n18\n19\n20\n21\n22\n23\n24\n25\n26\n27\n28\n29\n3",
            "0",
        ),
        tokens=(18, 80, 35, 133),
        chunks=3,
    ),
    "function_call": Recorded(
        pieces=(),
        tokens=(36, 5, None, 41),
        chunks=1,
        calls=({"name": "get_capital", "args": {"country": "France"}},),
    ),
    "mexico": Recorded(
        pieces=("The capital of Mexico", " is Mexico City."), tokens=(165, 8, None, 173), chunks=3
    ),
}


@dataclass
class Cuts:
    """A server that sends one stream after the other, each in the pieces that it is cut into."""

    serve: Callable[[Script], RawServer]
    pieces: Iterable[bytes] = ()

    def __post_init__(self) -> None:
        self.url = self.serve(self._send).url

    def _send(self, exchange: Exchange) -> None:
        exchange.stream(self.pieces)


@pytest.fixture
def cuts(serve: Callable[[Script], RawServer]) -> Cuts:
    return Cuts(serve)


@pytest.fixture(params=[b"", RECEIPT], ids=["bare", "with receipt"])
def receipt(request: pytest.FixtureRequest) -> bytes:
    return bytes(request.param)


def read(name: str) -> bytes:
    return (FOLDER / f"{name}.sse").read_bytes()


def assert_told(stream: Any, recorded: Recorded, *, receipt: bytes) -> None:
    """All that a stream tells at its end is what was recorded."""
    assert stream.text == "".join(recorded.pieces)
    assert stream.thoughts == ""
    assert stream.finish_reason == "STOP"
    assert [call.to_dict() for call in stream.function_calls] == list(recorded.calls)
    usage = stream.usage.to_dict()
    names = ("promptTokenCount", "candidatesTokenCount", "thoughtsTokenCount", "totalTokenCount")
    assert tuple(usage.get(name) for name in names) == recorded.tokens
    if receipt:
        assert (stream.receipt.id, stream.receipt.credits_used) == ("4f6d", 0.5)
    else:
        assert stream.receipt is None


def test_the_expectations_are_of_all_recordings() -> None:
    assert sorted(RECORDINGS) == sorted(path.stem for path in FOLDER.glob("*.sse"))


@pytest.mark.parametrize("name", RECORDINGS)
async def test_a_recording_gives_its_chunks_and_what_they_add_up_to(
    name: str, colour: Colour, cuts: Cuts, receipt: bytes
) -> None:
    cuts.pieces = [read(name) + receipt]
    client = colour.client(base_url=cuts.url)
    async with client.text_generator.stream(**ASK) as stream:
        chunks = [chunk.to_dict() async for chunk in stream]
    assert_told(stream, RECORDINGS[name], receipt=receipt)
    # The models hold all that was recorded, and nothing else.
    events = (read(name) + receipt).decode().removesuffix("\r\n\r\n").split("\r\n\r\n")
    assert chunks == [json.loads(event.removeprefix("data: ")) for event in events]
    assert len(chunks) == RECORDINGS[name].chunks + bool(receipt)


@pytest.mark.parametrize("name", RECORDINGS)
async def test_a_recording_gives_its_text_piece_by_piece(
    name: str, colour: Colour, cuts: Cuts, receipt: bytes
) -> None:
    cuts.pieces = [read(name) + receipt]
    client = colour.client(base_url=cuts.url)
    async with client.text_generator.stream(**ASK) as stream:
        assert [text async for text in stream.text_stream] == list(RECORDINGS[name].pieces)
    assert_told(stream, RECORDINGS[name], receipt=receipt)


@pytest.mark.parametrize("name", RECORDINGS)
async def test_a_recording_may_come_byte_by_byte(
    name: str, colour: Colour, cuts: Cuts, receipt: bytes
) -> None:
    recording = read(name) + receipt
    cuts.pieces = [recording[i : i + 1] for i in range(len(recording))]
    client = colour.client(base_url=cuts.url)
    async with client.text_generator.stream(**ASK) as stream:
        assert [text async for text in stream.text_stream] == list(RECORDINGS[name].pieces)
    assert_told(stream, RECORDINGS[name], receipt=receipt)


async def test_a_recording_may_be_cut_anywhere(colour: Colour, cuts: Cuts, receipt: bytes) -> None:
    recording = read("capital") + receipt
    client = colour.client(base_url=cuts.url)
    for place in range(1, len(recording)):
        cuts.pieces = [recording[:place], recording[place:]]
        async with client.text_generator.stream(**ASK) as stream:
            await stream.until_done()
        assert_told(stream, RECORDINGS["capital"], receipt=receipt)


@pytest.mark.parametrize("name", RECORDINGS)
async def test_a_recording_may_lose_the_line_ends_after_it(
    name: str, colour: Colour, cuts: Cuts
) -> None:
    cuts.pieces = [read(name).removesuffix(b"\r\n\r\n")]
    client = colour.client(base_url=cuts.url)
    async with client.text_generator.stream(**ASK) as stream:
        await stream.until_done()
    assert_told(stream, RECORDINGS[name], receipt=b"")
