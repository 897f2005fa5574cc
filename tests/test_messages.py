"""The constructors of messages: exactly the generated models, and one clear error for bad media."""

from __future__ import annotations

import base64
import sys
import tracemalloc
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from emulated import assert_matches

from creatify import (
    ConfigurationError,
    InvalidRequestError,
    function_result,
    image,
    model,
    user,
    video,
)
from creatify._media import _PIECE, _SIGNATURES
from creatify_api.models import (
    FunctionCallPart,
    FunctionCallPartArgs,
    FunctionResponsePart,
    FunctionResponsePartResponse,
    Message,
    RoleEnum,
)

if TYPE_CHECKING:
    from collections.abc import Callable

    from colours import Colour

    from creatify.testing import Emulator

PNG = b"\x89PNG\r\n\x1a\n" + bytes(8)
SAMPLES = {
    "image/png": [PNG],
    "image/jpeg": [b"\xff\xd8\xff\xe0\x00\x10JFIF", b"\xff\xd8\xff\xe1\x00\x10Exif"],
    "image/webp": [b"RIFF\x0a\x00\n\x00WEBPVP8 "],
    "image/gif": [b"GIF87a....", b"GIF89a...."],
    "image/heic": [
        b"\x00\x00\x00\x18ftyp" + brand for brand in (b"heic", b"heix", b"hevc", b"hevx")
    ],
    "image/heif": [b"\x00\x00\x00\x18ftyp" + brand for brand in (b"mif1", b"msf1")],
    "video/quicktime": [
        b"\x00\x00\x00\x14ftypqt  ",
        b"\x00\x00\x0a\x08moov",
        b"\x00\x00\x00\x08mdat",
        b"\x00\x00\x00\x08wide",
    ],
    "video/3gpp": [b"\x00\x00\x00\x18ftyp3gp5", b"\x00\x00\x00\x18ftyp3g2a"],
    "video/mp4": [
        b"\x00\x00\x00\x0aftyp" + brand for brand in (b"isom", b"mp42", b"M4V ", b"avc1")
    ],
    "video/webm": [b"\x1a\x45\xdf\xa3\x9f\x42"],
    "video/x-msvideo": [b"RIFF\x0a\x00\n\x00AVI LIST"],
    "video/mpeg": [b"\x00\x00\x01\xba!", b"\x00\x00\x01\xb3!"],
    "video/x-flv": [b"FLV\x01\x05"],
    "video/wmv": [b"\x30\x26\xb2\x75\x8e\x66\xcf\x11\xa6\xd9"],
}
MEDIA = {"image": image, "video": video}


def written(message: Message) -> dict[str, Any]:
    """The message as it is sent, which fits the spec."""
    assert type(message) is Message
    assert_matches("Message", message.to_dict())
    return message.to_dict()


class TestMessages:
    """What `user`, `model` and `function_result` make."""

    @pytest.mark.parametrize(("make", "role"), [(user, "user"), (model, "model")])
    def test_a_text_is_the_content(self, make: Callable[..., Message], role: str) -> None:
        assert written(make("Hello")) == {"role": role, "content": "Hello"}
        assert written(make("")) == {"role": role, "content": ""}
        assert make("Hello") == Message(role=RoleEnum(role), content="Hello")
        assert make("Hello").role is RoleEnum(role)

    @pytest.mark.parametrize(("make", "role"), [(user, "user"), (model, "model")])
    def test_several_are_parts_in_their_order(
        self, make: Callable[..., Message], role: str
    ) -> None:
        part = image(PNG)
        assert written(make("Describe", part, "this.")) == {
            "role": role,
            "content": [
                {"type": "text", "text": "Describe"},
                {
                    "type": "image",
                    "data": base64.b64encode(PNG).decode(),
                    "mime_type": "image/png",
                },
                {"type": "text", "text": "this."},
            ],
        }

    def test_one_part_is_a_list_of_one(self) -> None:
        assert written(user(image(PNG)))["content"] == [image(PNG)]

    def test_a_part_may_be_written_by_hand(self) -> None:
        part = {"type": "audio", "data": "AAAA", "mime_type": "audio/wav"}
        assert written(user("Listen", part))["content"][1] == part

    def test_the_model_s_call_is_a_message(self) -> None:
        call = FunctionCallPart("weather", FunctionCallPartArgs.from_dict({"city": "Rome"}))
        message = model(call)
        assert message.function_call is call
        assert written(message) == {
            "role": "model",
            "content": "",
            "function_call": {"name": "weather", "args": {"city": "Rome"}},
        }

    def test_the_answer_to_a_call_is_a_message_of_the_user(self) -> None:
        message = function_result("weather", {"temperature": 21, "wind": None, "days": [1, {}]})
        assert written(message) == {
            "role": "user",
            "content": "",
            "function_response": {
                "name": "weather",
                "response": {"temperature": 21, "wind": None, "days": [1, {}]},
            },
        }
        assert isinstance(message.function_response, FunctionResponsePart)
        assert isinstance(message.function_response.response, FunctionResponsePartResponse)

    def test_an_answer_is_copied(self) -> None:
        given: dict[str, object] = {"a": 1}
        message = function_result("f", given)
        given["b"] = 2
        assert written(message)["function_response"]["response"] == {"a": 1}

    @pytest.mark.parametrize("other", [21, "text", None, [1], ["ab"]])
    def test_an_answer_that_is_no_object_says_to_wrap_it(self, other: Any) -> None:
        with pytest.raises(
            InvalidRequestError, match=r'wrap it, as \{"result": \.\.\.\}'
        ) as caught:
            function_result("weather", other)
        assert f"the result of weather is a value of type {type(other).__name__}" in str(
            caught.value
        )

    @pytest.mark.parametrize("make", [user, model])
    def test_nothing_is_no_message(self, make: Callable[..., Message]) -> None:
        with pytest.raises(InvalidRequestError, match="a message needs a text or another part"):
            make()

    @pytest.mark.parametrize("make", [user, model])
    @pytest.mark.parametrize("other", [None, 5, b"text", ["a", "b"], Path("shoe.png"), user("a")])
    def test_another_type_is_no_part(self, make: Callable[..., Message], other: object) -> None:
        for content in ([other], ["text", other]):
            with pytest.raises(
                InvalidRequestError, match="is no part of a message's content"
            ) as caught:
                make(*content)
            assert f"a value of type {type(other).__name__} is" in str(caught.value)

    def test_a_call_stands_alone(self) -> None:
        call = FunctionCallPart("f")
        for make, content in ((user, [call]), (model, ["text", call]), (model, [call, call])):
            with pytest.raises(InvalidRequestError, match=r"a message of its own, model\(call\)"):
                make(*content)


class TestMedia:
    """What `image` and `video` make, and of what."""

    def test_every_signature_has_a_sample(self) -> None:
        assert sorted(SAMPLES) == sorted(_SIGNATURES)

    @pytest.mark.parametrize(
        ("mime_type", "data"),
        [(kind, data) for kind, samples in SAMPLES.items() for data in samples],
    )
    def test_the_first_bytes_tell_the_format(self, mime_type: str, data: bytes) -> None:
        kind = mime_type.partition("/")[0]
        assert MEDIA[kind](data) == {
            "type": kind,
            "data": base64.b64encode(data).decode(),
            "mime_type": mime_type,
        }
        other = next(make for name, make in MEDIA.items() if name != kind)
        with pytest.raises(InvalidRequestError, match="of a known format"):
            other(data)

    @pytest.mark.parametrize("mime_type", SAMPLES)
    def test_half_a_signature_is_none(self, mime_type: str) -> None:
        for data in SAMPLES[mime_type]:
            for half in (data[:2], b"\n" + data):
                with pytest.raises(InvalidRequestError, match="of a known format"):
                    MEDIA[mime_type.partition("/")[0]](half)

    @pytest.mark.parametrize("kind", [bytes, bytearray, memoryview])
    def test_bytes_of_any_kind_are_taken(self, kind: Callable[[bytes], Any]) -> None:
        assert image(kind(PNG)) == image(PNG)

    @pytest.mark.parametrize("kind", [str, Path])
    def test_a_path_is_read(self, tmp_path: Path, kind: Callable[[Path], str | Path]) -> None:
        file = tmp_path / "no extension"
        file.write_bytes(PNG)
        assert image(kind(file)) == image(PNG)

    def test_any_path_like_is_read(self, tmp_path: Path) -> None:
        class Upload:
            def __fspath__(self) -> str:
                return str(tmp_path / "upload")

        (tmp_path / "upload").write_bytes(PNG)
        assert image(Upload()) == image(PNG)

    def test_the_mime_type_can_be_given(self) -> None:
        assert image(b"<svg>", mime_type="image/svg+xml")["mime_type"] == "image/svg+xml"
        assert image(PNG, mime_type="image/x-png")["mime_type"] == "image/x-png"

    @pytest.mark.parametrize("wrong", ["video/mp4", "png", "text/plain", 5, "image"])
    def test_the_mime_type_must_fit(self, wrong: Any) -> None:
        with pytest.raises(InvalidRequestError, match=f"begins with image/, and is not {wrong!r}"):
            image(PNG, mime_type=wrong)

    @pytest.mark.parametrize("data", [b"Hello", b"%PDF-1.7", b"<svg>", b"RIFF....WAVE", b"GIF8"])
    @pytest.mark.parametrize("kind", MEDIA)
    def test_a_file_of_another_kind_is_refused(
        self, tmp_path: Path, data: bytes, kind: str
    ) -> None:
        file = tmp_path / "photo.png"
        file.write_bytes(data)
        with pytest.raises(InvalidRequestError) as caught:
            MEDIA[kind](file)
        assert str(caught.value).startswith(f"{file} is no {kind} of a known format (")
        assert str(caught.value).endswith("; if it is, pass mime_type; nothing was sent")
        names = [name.partition("/")[2] for name in SAMPLES if name.startswith(kind)]
        assert f"({', '.join(names)})" in str(caught.value)

    @pytest.mark.parametrize("mime_type", [None, "image/png"])
    def test_what_is_empty_is_refused_whatever_it_is_said_to_be(
        self, mime_type: str | None
    ) -> None:
        at_its_end = BytesIO()
        at_its_end.write(PNG)
        for source in (b"", at_its_end):
            with pytest.raises(InvalidRequestError, match="image has no bytes"):
                image(source, mime_type=mime_type)

    def test_bytes_of_another_kind_are_not_shown(self) -> None:
        with pytest.raises(InvalidRequestError) as caught:
            image(b"a private text")
        assert str(caught.value).startswith("what was given as image is no image")
        assert "private" not in str(caught.value)

    @pytest.mark.parametrize("kind", MEDIA)
    def test_a_missing_file_is_named(self, tmp_path: Path, kind: str) -> None:
        file = tmp_path / "absent.png"
        with pytest.raises(InvalidRequestError) as caught:
            MEDIA[kind](file)
        assert str(caught.value) == (
            f"{file} can't be read: No such file or directory (give bytes, the path of a file, or a"
            " file opened as binary; nothing is fetched from a URL, or decoded from base64);"
            " nothing was sent"
        )

    def test_a_folder_is_no_image(self, tmp_path: Path) -> None:
        with pytest.raises(InvalidRequestError, match="can't be read: Is a directory"):
            image(tmp_path)

    @pytest.mark.parametrize("other", [None, 5, ["a.png"], {"type": "image"}, "a\0b.png"])
    def test_what_is_no_path_is_refused(self, other: Any) -> None:
        with pytest.raises(InvalidRequestError, match="can't be read: "):
            image(other)

    @pytest.mark.parametrize("buffering", [0, -1])
    def test_a_file_object_is_read_from_where_it_stands_and_stays_open(
        self, tmp_path: Path, buffering: int
    ) -> None:
        file = tmp_path / "photo"
        file.write_bytes(b"skip" + PNG)
        with file.open("rb", buffering=buffering) as opened:
            opened.seek(4)
            assert image(opened) == image(PNG)
            assert not opened.closed

    @pytest.mark.parametrize("most", [1, 2, 4, 5, 1000])
    def test_a_file_object_may_give_less_than_it_is_asked_for(self, most: int) -> None:
        class Socket(BytesIO):
            def read(self, size: int | None = -1, /) -> bytes:
                return super().read(min(most, size or 0))

        data = PNG + bytes(range(100))
        assert image(Socket(data)) == image(data)

    def test_large_files_are_encoded_whole(self, tmp_path: Path) -> None:
        data = PNG + bytes(2 * _PIECE)
        (tmp_path / "large").write_bytes(data)
        encoded = base64.b64encode(data).decode()
        for source in (data, tmp_path / "large", BytesIO(data)):
            assert image(source)["data"] == encoded

    @pytest.mark.unmeasured
    @pytest.mark.parametrize("given_as", ["path", "file", "bytes"])
    def test_no_second_copy_of_a_file_is_in_memory(self, tmp_path: Path, given_as: str) -> None:
        size = 30 * _PIECE
        data = PNG + bytes(size)
        (tmp_path / "large").write_bytes(data)
        with (tmp_path / "large").open("rb") as file:
            source: Any = {"path": tmp_path / "large", "file": file, "bytes": data}[given_as]
            part, peak = measured(lambda: image(source))
        assert peak < len(part["data"]) + 5 * _PIECE

    @pytest.mark.parametrize("given_as", ["path", "file", "bytes"])
    def test_what_is_larger_than_the_limit_is_refused(self, tmp_path: Path, given_as: str) -> None:
        (tmp_path / "shoe.png").write_bytes(PNG)
        with (tmp_path / "shoe.png").open("rb") as file:
            source: Any = {"path": file.name, "file": file, "bytes": PNG}[given_as]
            name = "what was given as image" if given_as == "bytes" else file.name
            with pytest.raises(InvalidRequestError) as caught:
                image(source, max_size=15)
        assert str(caught.value) == f"{name} is larger than max_size, 15 bytes; nothing was sent"
        assert image(PNG, max_size=16) == image(PNG)

    def test_an_endless_file_is_read_no_further_than_the_limit(self) -> None:
        class Endless(BytesIO):
            asked = 0

            def read(self, size: int | None = -1, /) -> bytes:
                self.asked += 1
                return PNG.ljust(size or 0, b"!")

        endless = Endless()
        with pytest.raises(InvalidRequestError, match="is larger than max_size"):
            image(endless, max_size=2 * _PIECE)
        assert endless.asked == 3

    def test_of_a_file_of_another_kind_only_the_beginning_is_read(self) -> None:
        film = BytesIO(bytes(10 * _PIECE))
        with pytest.raises(InvalidRequestError, match="is no image of a known format"):
            image(film)
        assert film.tell() == _PIECE

    @pytest.mark.parametrize("size", [0, -1, 1.5, True, "1 MB"])
    def test_a_limit_is_a_number_of_bytes(self, size: Any) -> None:
        with pytest.raises(ConfigurationError, match="max_size is in bytes"):
            image(PNG, max_size=size)

    def test_a_file_that_was_opened_as_text_is_refused(self, tmp_path: Path) -> None:
        (tmp_path / "text").write_text("Hello", encoding="utf-8")
        with (tmp_path / "text").open(encoding="utf-8") as file:
            text: Any = file
            with pytest.raises(InvalidRequestError, match="gave a value of type str and no bytes"):
                image(text)

    def test_an_upload_whose_read_is_awaited_is_refused(self) -> None:
        class Upload:
            async def read(self, size: int) -> bytes:
                raise NotImplementedError

        upload: Any = Upload()
        with pytest.raises(InvalidRequestError, match=r"its read\(\) is asynchronous"):
            image(upload)

    def test_a_file_that_breaks_is_named(self, tmp_path: Path) -> None:
        with (tmp_path / "closed").open("wb") as file:
            pass
        with pytest.raises(InvalidRequestError) as caught:
            image(file)
        assert str(caught.value).startswith(f"{file.name} can't be read: ")

    @pytest.mark.parametrize("brand", [b"avif", b"avis"])
    @pytest.mark.parametrize("kind", MEDIA)
    def test_an_avif_is_neither_a_known_image_nor_a_video(self, brand: bytes, kind: str) -> None:
        with pytest.raises(InvalidRequestError):
            MEDIA[kind](b"\x00\x00\x00\x18ftyp" + brand)


def measured(work: Callable[[], Any]) -> tuple[Any, int]:
    """What a function returns, and how many bytes it held at most."""
    tracer = sys.gettrace()
    sys.settrace(None)  # a line that coverage traces makes a copy of a str that would grow in place
    tracemalloc.start()
    try:
        return work(), tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
        sys.settrace(tracer)


@pytest.mark.anyio
class TestFiles:
    """What reaches the API."""

    async def test_a_file_arrives_as_it_is(
        self, colour: Colour, emulator: Emulator, tmp_path: Path
    ) -> None:
        photo, film = PNG + bytes(range(256)), b"\x1a\x45\xdf\xa3" + bytes(range(255))
        (tmp_path / "photo").write_bytes(photo)
        client = colour.client(base_url=emulator.url)
        message = user("Compare", image(tmp_path / "photo"), video(BytesIO(film)))
        await client.text_generator.generate(model_name="gemini-2.5-flash", messages=[message])
        asked: Any = emulator.requests[0].body
        _, *parts = asked["messages"][0]["content"]
        assert [part["mime_type"] for part in parts] == ["image/png", "video/webm"]
        assert [base64.b64decode(part["data"]) for part in parts] == [photo, film]
