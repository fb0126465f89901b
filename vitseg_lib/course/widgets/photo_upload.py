"""A button that takes a photo from the reader's disk and shows what a function makes of it."""

import tempfile
from collections.abc import Callable
from html import escape
from pathlib import Path
from typing import Any

import ipywidgets
from IPython.display import display

from vitseg_lib.files import InputError


class PhotoUpload(ipywidgets.VBox):
    """An upload button above an output; a chosen photo goes to `show`, whose result is displayed there.

    `show` is given the path of a temporary copy. For a file that is no photo it shows one sentence.
    """

    def __init__(self, show: Callable[[Path], Any]):
        self.show = show
        self.button = ipywidgets.FileUpload(
            accept="image/*",
            description="Choose a photo",
            tooltip="Choose a photo from your disk; it stays on this machine",
            layout=ipywidgets.Layout(width="auto"),
        )
        self.output = ipywidgets.Output()
        self.button.observe(self._on_upload, names="value")
        super().__init__([self.button, self.output], layout=ipywidgets.Layout(align_items="flex-start"))

    def __repr__(self) -> str:
        return "<PhotoUpload: a button to choose a photo>"

    def _on_upload(self, change: dict[str, Any]) -> None:
        if not change["new"]:
            return
        self.output.clear_output(wait=True)
        with self.output:
            display(self._result(change["new"][-1]))

    def _result(self, upload: dict[str, Any]) -> Any:
        with tempfile.TemporaryDirectory() as folder:
            name = Path(upload["name"]).name
            path = Path(folder) / (name if name.strip(".") else "photo")
            path.write_bytes(upload["content"])
            try:
                return self.show(path)
            except InputError as error:
                return ipywidgets.HTML(value=escape(str(error).replace(str(path), path.name)))
