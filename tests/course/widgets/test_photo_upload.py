"""The upload button: a photo reaches the function whole, and a fault reaches the reader in one sentence."""

from pathlib import Path

import ipywidgets
import pytest

from vitseg_lib.course.widgets.photo_upload import PhotoUpload
from vitseg_lib.files import InputError


def upload(content: bytes, name: str = "cat.jpg") -> dict:
    return {"name": name, "content": memoryview(content), "type": "image/jpeg", "size": len(content)}


def test_the_function_gets_the_photo_under_its_name_and_no_copy_stays():
    seen = []

    def show(path: Path) -> str:
        seen.append((path, path.read_bytes()))
        return "shown"

    assert PhotoUpload(show)._result(upload(b"abc")) == "shown"
    (path, content), *more = seen
    assert (path.name, content, more) == ("cat.jpg", b"abc", [])
    assert not path.parent.exists()


@pytest.mark.parametrize(
    ("name", "kept"), [("../../evil.jpg", "evil.jpg"), ("a/b.png", "b.png"), ("", "photo"), ("..", "photo")]
)
def test_a_name_cannot_lead_out_of_the_temporary_folder(name, kept):
    assert PhotoUpload(lambda path: path.name)._result(upload(b"x", name)) == kept


def test_a_fault_is_told_in_one_sentence_without_the_temporary_place():
    def show(path: Path) -> None:
        raise InputError(f"{path} is not an <image>: save it as JPEG.")

    answer = PhotoUpload(show)._result(upload(b"x"))
    assert isinstance(answer, ipywidgets.HTML)
    assert answer.value == "cat.jpg is not an &lt;image&gt;: save it as JPEG."


def test_it_answers_a_choice_and_not_the_clearing_of_one(monkeypatch):
    shown = []
    monkeypatch.setattr("vitseg_lib.course.widgets.photo_upload.display", shown.append)
    widget = PhotoUpload(lambda path: path.read_bytes())
    widget._on_upload({"new": (upload(b"first"), upload(b"second"))})
    widget._on_upload({"new": ()})
    assert shown == [b"second"]


def test_its_name_is_stable():
    assert repr(PhotoUpload(str)) == "<PhotoUpload: a button to choose a photo>"
