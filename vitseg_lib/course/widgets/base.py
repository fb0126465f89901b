"""What every widget shares: its look, how its browser side is put together, and a page of its own without a kernel.

A widget is a subclass of `CourseWidget` that names its source: `class X(CourseWidget, source="x")` joins kit.js and
x.js, which declares `render({ model, el })`, into one module without imports; a long one may have several sources.
Data are traits that are sent once.
"""

import json
from base64 import b64encode
from html import escape
from pathlib import Path
from typing import Any

import anywidget
import numpy as np
import traitlets

from vitseg_lib.course.figures.heatmap import COLD
from vitseg_lib.course.figures.picture import ACCENT, INK, MUTED, PAPER, RULE
from vitseg_lib.files import atomic_path

HERE = Path(__file__).parent

# The figures' palette, and the same roles on a dark page: every text at least 4.5 : 1 on its background, which
# tests/course/widgets/test_base.py computes. `surface` is a control's background, `shade` that of one switched on.
LIGHT = {
    "paper": PAPER,
    "ink": INK,
    "muted": MUTED,
    "rule": RULE,
    "accent": ACCENT,
    "cold": COLD,
    "surface": "#ffffff",
    "shade": "#ecebe5",
}
DARK = {
    "paper": "#1e2125",
    "ink": "#e8e7e2",
    "muted": "#a8aeb8",
    "rule": "#41464e",
    "accent": "#ff8a4c",
    "cold": "#84b6ea",
    "surface": "#292d33",
    "shade": "#383d45",
}

PAGE = """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<link rel="icon" href="data:,">
<title>{title}</title>
<style>
body {{ margin: 0; background: #fff; }}
main {{ max-width: 1000px; margin: 0 auto; padding: 8px; }}
@media (prefers-color-scheme: dark) {{ body {{ background: #14161a; color: #e8e7e2; }} }}
</style>
<style>{css}</style>
</head>
<body>
<main id="widget"></main>
<noscript>This page works in the browser and needs JavaScript, which is switched off. {alt}</noscript>
{buffers}
<script type="application/json" id="state">{state}</script>
<script type="text/plain" id="module">{module}</script>
<script type="module">{host}</script>
</body>
</html>
"""

# The model that a notebook's kernel would keep, kept by the page.
HOST = """
const state = JSON.parse(document.getElementById('state').textContent);
for (const script of document.querySelectorAll('script[data-name]')) {
  const characters = atob(script.textContent);
  const bytes = new Uint8Array(characters.length);
  for (let i = 0; i < characters.length; i += 1) bytes[i] = characters.charCodeAt(i);
  state[script.dataset.name] = new DataView(bytes.buffer);
  script.remove();
}
const listeners = new EventTarget();
const wrapped = new Map();
const model = {
  get: (name) => state[name],
  set: (name, value) => {
    if (state[name] === value) return;
    state[name] = value;
    listeners.dispatchEvent(new Event(`change:${name}`));
    listeners.dispatchEvent(new Event('change'));
  },
  save_changes: () => {},
  on: (name, call) => {
    if (!wrapped.has(call)) wrapped.set(call, () => call());
    listeners.addEventListener(name, wrapped.get(call));
  },
  off: (name, call) => listeners.removeEventListener(name, wrapped.get(call)),
  send: () => {},
};
const source = document.getElementById('module').textContent;
const address = URL.createObjectURL(new Blob([source], { type: 'text/javascript' }));
const { default: widget } = await import(address);
URL.revokeObjectURL(address);
window.widgetModel = model;
await widget.render({ model, el: document.getElementById('widget') });
document.documentElement.dataset.ready = 'true';
"""


class CourseWidget(anywidget.AnyWidget):
    """A widget that works in the browser, looks like the course's figures and needs no kernel.

    `label` names it in a few words, `alt` says what it shows and how the keyboard works it; both are for screen
    readers, and both are set by the subclass. Give each subclass a `__repr__` of sizes only: it is what strict
    notebook tests compare.
    """

    label = traitlets.Unicode("widget").tag(sync=True)
    alt = traitlets.Unicode("").tag(sync=True)

    def __init_subclass__(cls, *, source: str | tuple[str, ...] = (), **options: Any) -> None:
        sources = (source,) if isinstance(source, str) else source
        if sources:
            scripts = [_read(f"{name}.js") for name in ("kit", *sources)]
            styles = [_read(f"{name}.css") for name in ("kit", *sources) if (HERE / f"{name}.css").exists()]
            cls._esm = "\n".join([*scripts, "export default { render };\n"])
            cls._css = "\n".join([tokens(), *styles])
        super().__init_subclass__(**options)

    def __init__(self, **state: Any) -> None:
        if unknown := state.keys() - self.trait_names():
            raise TypeError(f"{type(self).__name__} has no {', '.join(sorted(unknown))}")
        super().__init__(**state)

    def __repr__(self) -> str:
        return f"<{type(self).__name__}>"

    def to_html(self, path: str | Path, *, title: str | None = None, overwrite: bool = False) -> Path:
        """Write one file that shows the widget in any browser, without kernel and network; return its path.

        Raises `InputError` if the file exists and `overwrite` is false, or cannot be written.
        """
        path = Path(path)
        state = {name: value for name, value in self.get_state().items() if not name.startswith("_")}
        for name in ("layout", "tabbable", "tooltip"):
            state.pop(name, None)
        binary = {name: value for name, value in state.items() if isinstance(value, bytes | bytearray | memoryview)}
        plain = {name: value for name, value in state.items() if name not in binary}
        page = PAGE.format(
            title=escape(title or self.label),
            css=self._css,
            alt=escape(self.alt),
            buffers="\n".join(_script(name, value) for name, value in binary.items()),
            state=json.dumps(plain, ensure_ascii=False).replace("<", "\\u003c"),
            module=str(self._esm).replace("</script", "<\\/script"),
            host=HOST,
        )
        with atomic_path(path, overwrite=overwrite) as temporary:
            temporary.write_text(page, encoding="utf-8")
        return path


def _read(name: str) -> str:
    return (HERE / name).read_text(encoding="utf-8")


def _script(name: str, value: bytes) -> str:
    encoded = b64encode(value).decode("ascii")
    return f'<script type="application/octet-stream" data-name="{escape(name)}">{encoded}</script>'


def tokens() -> str:
    """The palette as CSS custom properties: light, dark where the system or JupyterLab's theme is."""
    light, dark = (" ".join(f"--{name}: {value};" for name, value in roles.items()) for roles in (LIGHT, DARK))
    return (
        f".vitseg-widget {{ {light} color-scheme: light; }}\n"
        "@media (prefers-color-scheme: dark) {\n"
        f"  body:not([data-jp-theme-light]) .vitseg-widget {{ {dark} color-scheme: dark; }}\n"
        "}\n"
        f'body[data-jp-theme-light="false"] .vitseg-widget {{ {dark} color-scheme: dark; }}\n'
    )


def check_image(image: np.ndarray, name: str = "image") -> np.ndarray:
    """Return `image` as contiguous uint8 (H, W, 3).

    Raises ValueError with one sentence that names the argument, what is wrong and what to do.
    """
    if not isinstance(image, np.ndarray):
        raise ValueError(f"{name} is a {type(image).__name__}; give a NumPy array, uint8 (H, W, 3).")
    if image.ndim != 3 or image.shape[2] != 3:
        raise ValueError(f"{name} has the shape {image.shape}; give RGB pixels, (H, W, 3).")
    if image.size == 0:
        raise ValueError(f"{name} is empty, {image.shape}; give one that has pixels.")
    if image.dtype != np.uint8:
        raise ValueError(f"{name} holds {image.dtype}; give uint8, 0 to 255.")
    return np.ascontiguousarray(image)


def check_finite(values: np.ndarray, name: str) -> np.ndarray:
    """Return `values` if they are there and all finite.

    Raises ValueError with one sentence that names the argument, what is wrong and what to do.
    """
    if values.size == 0:
        raise ValueError(f"{name} is empty, {values.shape}; give at least one value.")
    if not np.isfinite(values).all():
        count = int((~np.isfinite(values)).sum())
        raise ValueError(f"{name} has {count} values that are NaN or infinite; look where they come from first.")
    return values
