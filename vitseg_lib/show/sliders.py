"""A picture with controls: what a function draws from their values, drawn again at each change."""

from collections.abc import Callable
from typing import Any

import anywidget
import ipywidgets
import traitlets

from vitseg_lib.show.picture import Picture

LABEL = 0.62  # of the type's height: the width of a letter of a label, generously

# The browser's side. An `ipywidgets.Image` can have no alt text, JupyterLab takes the arrow keys from a drop-down that
# is not marked, and a slider's handle has no name; so this shows the image, says its words, and marks the controls.
STAGE = """
function render({ model, el }) {
  const image = document.createElement('img');
  const said = document.createElement('p');
  const fault = document.createElement('p');
  image.style.cssText = 'display:block;max-width:100%;height:auto;margin-top:8px';
  said.style.cssText = 'position:absolute;width:1px;height:1px;overflow:hidden;clip-path:inset(50%)';
  said.setAttribute('aria-live', 'polite');
  fault.setAttribute('role', 'alert');
  fault.style.cssText = 'margin:4px 0;max-width:75ch';
  el.style.position = 'relative';
  el.append(fault, image, said);

  let address;
  const draw = () => {
    const old = address;
    address = URL.createObjectURL(new Blob([model.get('png')], { type: 'image/png' }));
    image.onload = () => old && URL.revokeObjectURL(old);
    image.src = address;
    image.width = model.get('width');
  };
  const say = () => {
    image.alt = model.get('words');
    said.textContent = image.alt;
  };
  const complain = () => {
    fault.textContent = model.get('fault');
    image.style.opacity = model.get('fault') ? 0.35 : 1;
  };
  const mark = () => el.closest('.vitseg-sliders')?.querySelectorAll('[tabindex], input, select').forEach(control => {
    control.setAttribute('data-lm-suppress-shortcuts', 'true');
    const label = control.closest('.jupyter-widgets')?.querySelector('.widget-label');
    if (label && control.getAttribute('role') === 'slider') control.setAttribute('aria-label', label.textContent);
  });
  model.on('change:png', draw);
  model.on('change:words', say);
  model.on('change:fault', complain);
  draw();
  image.alt = model.get('words');
  complain();
  const watch = new MutationObserver(mark);
  requestAnimationFrame(() => {
    const box = el.closest('.vitseg-sliders');
    mark();
    if (box) watch.observe(box, { childList: true, subtree: true });
  });
  return () => { watch.disconnect(); URL.revokeObjectURL(address); };
}
export default { render };
"""


class Stage(anywidget.AnyWidget):
    """The browser's image of a picture, with its words as alt text, and a line for what went wrong."""

    _esm = STAGE
    png = traitlets.Bytes().tag(sync=True)
    words = traitlets.Unicode().tag(sync=True)
    width = traitlets.Int().tag(sync=True)
    fault = traitlets.Unicode().tag(sync=True)

    def show(self, picture: Picture) -> None:
        """Put `picture` on, and take away what was said to be wrong."""
        with self.hold_sync():
            self.png, self.words, self.width, self.fault = picture.png, picture.alt, picture.width, ""

    def __repr__(self) -> str:
        return "<Stage>"


class Sliders(ipywidgets.VBox):
    """Controls above the picture that `draw(name=value, …)` makes of their values, drawn again when one changes.

    `controls` are ipywidgets with a value, in that order; one without a description gets its name as label. With
    `slow`, for a draw of more than a tenth of a second, a slider is answered when it is let go. What `draw` raises
    after a change is shown as one sentence below the last picture; at the start it is raised.
    Raises TypeError if `draw` returns no `Picture`.
    """

    def __init__(self, draw: Callable[..., Picture], /, *, slow: bool = False, **controls: ipywidgets.ValueWidget):
        if not controls:
            raise ValueError("Sliders need at least one control")
        self.draw, self.controls = draw, controls
        self.stage = Stage()
        self._redraw()
        for control in controls.values():
            control.observe(self._answer, names="value")
        _label(controls, slow)
        super().__init__([*controls.values(), self.stage])
        self.add_class("vitseg-sliders")

    def __repr__(self) -> str:
        return f"<Sliders: {', '.join(self.controls)}>"

    @property
    def picture(self) -> Picture:
        """The picture of the controls' values, as it was last drawn."""
        return self._picture

    def _redraw(self) -> None:
        picture = self.draw(**{name: control.value for name, control in self.controls.items()})
        if not isinstance(picture, Picture):
            raise TypeError(f"what Sliders draw is a Picture, not {type(picture).__name__}")
        self._picture = picture
        self.stage.show(picture)

    def _answer(self, change: Any) -> None:
        try:
            self._redraw()
        except Exception as fault:  # whatever it is, the reader gets a sentence and keeps the last picture
            self.stage.fault = str(fault) or type(fault).__name__


def _label(controls: dict[str, ipywidgets.ValueWidget], slow: bool) -> None:
    """Give every control a label that is readable in full, all labels one width."""
    for name, control in controls.items():
        control.description = control.description or name
    letters = max(len(control.description) for control in controls.values())
    for control in controls.values():
        control.style.description_width = f"{LABEL * letters + 1:.1f}em"
        control.layout.width = "calc(100% - 4px)"
        control.layout.max_width = "520px"
        if slow and hasattr(control, "continuous_update"):
            control.continuous_update = False
