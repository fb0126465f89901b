"""A figure with controls: what a function draws from their values, drawn again at each change."""

from collections.abc import Callable
from typing import Any

import anywidget
import ipywidgets
import traitlets

from vitseg_lib.course.figures.picture import Picture

LABEL = 0.62  # of the type's height: the width of a character of a label, generously

# The browser's side. An `ipywidgets.Image` can have no alt text, JupyterLab takes the arrow keys from a drop-down that
# is not marked, and a slider's handle has no name; so this shows the image with its alt text, and marks the controls.
STAGE = """
function render({ model, el }) {
  const image = document.createElement('img');
  const live = document.createElement('p');
  const error = document.createElement('p');
  image.style.cssText = 'display:block;max-width:100%;height:auto;margin-top:8px';
  live.style.cssText = 'position:absolute;width:1px;height:1px;overflow:hidden;clip-path:inset(50%)';
  live.setAttribute('aria-live', 'polite');
  error.setAttribute('role', 'alert');
  error.style.cssText = 'margin:4px 0;max-width:75ch';
  el.style.position = 'relative';
  el.append(error, image, live);

  let address;
  const draw = () => {
    const old = address;
    address = URL.createObjectURL(new Blob([model.get('png')], { type: 'image/png' }));
    image.onload = () => old && URL.revokeObjectURL(old);
    image.src = address;
    image.width = model.get('width');
  };
  const describe = () => {
    image.alt = model.get('alt');
    live.textContent = image.alt;
  };
  const showError = () => {
    error.textContent = model.get('error');
    image.style.opacity = model.get('error') ? 0.35 : 1;
  };
  const mark = () => el.closest('.vitseg-sliders')?.querySelectorAll('[tabindex], input, select').forEach(control => {
    control.setAttribute('data-lm-suppress-shortcuts', 'true');
    const label = control.closest('.jupyter-widgets')?.querySelector('.widget-label');
    if (label && control.getAttribute('role') === 'slider') control.setAttribute('aria-label', label.textContent);
  });
  model.on('change:png', draw);
  model.on('change:alt', describe);
  model.on('change:error', showError);
  draw();
  image.alt = model.get('alt');
  showError();
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
    """The browser's image of a figure, with its alt text, and a line for an error."""

    _esm = STAGE
    png = traitlets.Bytes().tag(sync=True)
    alt = traitlets.Unicode().tag(sync=True)
    width = traitlets.Int().tag(sync=True)
    error = traitlets.Unicode().tag(sync=True)

    def show(self, picture: Picture) -> None:
        """Show `picture`, and no error any more."""
        with self.hold_sync():
            self.png, self.alt, self.width, self.error = picture.png, picture.alt, picture.width, ""

    def __repr__(self) -> str:
        return "<Stage>"


class Sliders(ipywidgets.VBox):
    """Controls above the picture that `draw(name=value, …)` makes of their values, drawn again when one changes.

    `controls` are ipywidgets with a value, in that order; one without a description gets its name as label. With
    `slow`, for a draw of more than a tenth of a second, a slider draws when it is released. What `draw` raises after a
    change is shown as one sentence below the last picture; at the start it is raised.
    Raises TypeError if `draw` returns no `Picture`.
    """

    def __init__(self, draw: Callable[..., Picture], /, *, slow: bool = False, **controls: ipywidgets.ValueWidget):
        if not controls:
            raise ValueError("Sliders need at least one control")
        self.draw, self.controls = draw, controls
        self.stage = Stage()
        self._redraw()
        for control in controls.values():
            control.observe(self._on_change, names="value")
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

    def _on_change(self, change: Any) -> None:
        try:
            self._redraw()
        except Exception as error:  # whatever it is, the reader gets a sentence and keeps the last picture
            self.stage.error = str(error) or type(error).__name__


def _label(controls: dict[str, ipywidgets.ValueWidget], slow: bool) -> None:
    """Give every control a label that is readable in full, all labels one width."""
    for name, control in controls.items():
        control.description = control.description or name
    characters = max(len(control.description) for control in controls.values())
    for control in controls.values():
        control.style.description_width = f"{LABEL * characters + 1:.1f}em"
        control.layout.width = "calc(100% - 4px)"
        control.layout.max_width = "520px"
        if slow and hasattr(control, "continuous_update"):
            control.continuous_update = False
