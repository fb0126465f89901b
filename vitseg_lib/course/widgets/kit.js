// What all widgets share in the browser. This file is put in front of each widget's own, so nothing is exported.

/** A colour as three numbers, 0..255. @typedef {[number, number, number]} Rgb */
let lastId = 0;

/** An element with attributes, properties (`.name`), listeners (`onname`) and children. */
function node(tag, attributes = {}, ...children) {
  const made = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (name.startsWith('on')) made.addEventListener(name.slice(2), value);
    else if (name.startsWith('.')) made[name.slice(1)] = value;
    else if (value !== null && value !== undefined && value !== false) made.setAttribute(name, value === true ? '' : value);
  }
  made.append(...children.filter((child) => child !== null && child !== undefined));
  return made;
}

/** The widget's card: a named group that says its alt text, and a polite line for what is under the cursor. */
function card(model, el) {
  lastId += 1;
  const id = `vitseg-alt-${lastId}`;
  const alt = node('p', { id, class: 'unseen' }, model.get('alt'));
  const polite = node('p', { class: 'unseen', 'aria-live': 'polite' });
  const root = node('div', { class: 'vitseg-widget', role: 'group', 'aria-label': model.get('label'), 'aria-describedby': id });
  root.append(alt, polite);
  el.append(root);
  return { root, say: calmly((words) => { polite.textContent = words; }, 250) };
}

/** `call` with the newest arguments, at most once in so many milliseconds; never while they keep changing. */
function calmly(call, milliseconds) {
  let timer = 0;
  return (...newest) => {
    clearTimeout(timer);
    timer = setTimeout(() => call(...newest), milliseconds);
  };
}

/** Ask for `draw` as often as you like: it runs once a frame. */
function oncePerFrame(draw) {
  let asked = false;
  return () => {
    if (asked) return;
    asked = true;
    requestAnimationFrame(() => { asked = false; draw(); });
  };
}

// ---- Data ---------------------------------------------------------------------------------------------------------

/** A synced Bytes trait as an array of `Kind` (Uint8Array, Int16Array, Float32Array…), copied only where it must be. */
function arrayOf(view, Kind) {
  if (view.byteOffset % Kind.BYTES_PER_ELEMENT === 0) {
    return new Kind(view.buffer, view.byteOffset, view.byteLength / Kind.BYTES_PER_ELEMENT);
  }
  return new Kind(view.buffer.slice(view.byteOffset, view.byteOffset + view.byteLength));
}

/** A canvas of RGB bytes (height · width · 3); with `faded`, a background's RGB, only a fraction `kept` of its grey stays above it. */
function imageCanvas(view, height, width, faded = null, kept = 0.45) {
  const rgb = arrayOf(view, Uint8Array);
  const canvas = node('canvas', { width, height });
  const context = canvas.getContext('2d');
  const pixels = context.createImageData(width, height);
  for (let i = 0, j = 0; i < rgb.length; i += 3, j += 4) {
    const grey = 0.299 * rgb[i] + 0.587 * rgb[i + 1] + 0.114 * rgb[i + 2];
    for (let k = 0; k < 3; k += 1) pixels.data[j + k] = faded ? kept * grey + (1 - kept) * faded[k] : rgb[i + k];
    pixels.data[j + 3] = 255;
  }
  context.putImageData(pixels, 0, 0);
  return canvas;
}

// ---- Colour -------------------------------------------------------------------------------------------------------

/** "#rrggbb" → three numbers. @returns {Rgb} */
function rgbOf(hex) {
  return [1, 3, 5].map((at) => parseInt(hex.slice(at, at + 2), 16));
}

/** The palette as it is on the page now: paper, ink, muted, rule, accent, cold, surface, shade as "#rrggbb", and `dark`. */
function paletteOf(root) {
  const style = getComputedStyle(root);
  const names = ['paper', 'ink', 'muted', 'rule', 'accent', 'cold', 'surface', 'shade'];
  const palette = Object.fromEntries(names.map((name) => [name, style.getPropertyValue(`--${name}`).trim()]));
  const [red, green, blue] = rgbOf(palette.paper);
  return { ...palette, dark: red + green + blue < 384 };
}

/** Call `redraw` when the page turns light or dark. @returns {() => void} stops it */
function onTheme(redraw) {
  const system = matchMedia('(prefers-color-scheme: dark)');
  const lab = new MutationObserver(redraw);
  system.addEventListener('change', redraw);
  lab.observe(document.body, { attributes: true, attributeFilter: ['data-jp-theme-light'] });
  return () => { system.removeEventListener('change', redraw); lab.disconnect(); };
}

/** The sequential scale: 256 RGBA words of one colour, from clear to `most` (0..1) of it, to lie over a faded image. */
function glowRamp(hex, most = 0.9) {
  const [red, green, blue] = rgbOf(hex);
  return Uint32Array.from({ length: 256 }, (_, i) => (
    ((Math.round(most * i) << 24) | (blue << 16) | (green << 8) | red) >>> 0
  ));
}

// ---- Canvases -----------------------------------------------------------------------------------------------------

/** Give a canvas so many CSS pixels, with as many dots as the screen has. @returns its context, in CSS pixels */
function sharpen(canvas, width, height) {
  const dots = Math.max(1, window.devicePixelRatio || 1);
  const [wide, high] = [Math.round(width * dots), Math.round(height * dots)];
  if (canvas.width !== wide || canvas.height !== high) {
    canvas.width = wide;
    canvas.height = high;
  }
  canvas.style.width = `${width}px`;
  canvas.style.height = `${height}px`;
  const context = canvas.getContext('2d');
  context.setTransform(wide / width, 0, 0, high / height, 0, 0);
  return context;
}

/** Outline a box so that it shows on any ground: a halo, then the line. */
function outline(context, x, y, width, height, { colour = '#22272e', halo = '#ffffff', line = 2 } = {}) {
  context.lineJoin = 'round';
  for (const [stroke, wide] of [[halo, line + 2.4], [colour, line]]) {
    context.strokeStyle = stroke;
    context.lineWidth = wide;
    context.strokeRect(x, y, width, height);
  }
}

/** Pointer over an element as cells of a grid: `over(cell or null)` while it moves, `press(cell, byFinger)` on a click. */
function pointCells(element, { rows, columns, over, press }) {
  const cellAt = (event) => {
    const box = element.getBoundingClientRect();
    const column = Math.floor(((event.clientX - box.left) / box.width) * columns());
    const row = Math.floor(((event.clientY - box.top) / box.height) * rows());
    return row >= 0 && column >= 0 && row < rows() && column < columns() ? { row, column } : null;
  };
  let byFinger = false;
  const follow = (event) => {
    const cell = cellAt(event);
    byFinger = event.pointerType === 'touch';
    if (cell) over(cell);
  };
  element.addEventListener('pointermove', follow);
  element.addEventListener('pointerdown', follow);
  element.addEventListener('pointerleave', () => over(null));
  element.addEventListener('click', (event) => {
    element.focus({ preventScroll: true });
    const cell = cellAt(event);
    if (cell && press) press(cell, byFinger);
  });
}

/** Arrow keys over a grid; Home and End along the row, Page Up and Down along the column, Enter or Space presses.
 * `others` maps further keys (lower case) to calls. Keys that are not used go on to the page. */
function walkCells(element, { rows, columns, get, set, press, others = {} }) {
  element.setAttribute('tabindex', '0');
  element.setAttribute('data-lm-suppress-shortcuts', 'true'); // else JupyterLab takes the arrow keys
  element.classList.add('walk');
  element.addEventListener('keydown', (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    const { row, column } = get();
    const [lastRow, lastColumn] = [rows() - 1, columns() - 1];
    const moves = {
      ArrowLeft: [row, column - 1], ArrowRight: [row, column + 1], ArrowUp: [row - 1, column], ArrowDown: [row + 1, column],
      Home: [row, 0], End: [row, lastColumn], PageUp: [0, column], PageDown: [lastRow, column],
    };
    const other = others[event.key.toLowerCase()];
    if (moves[event.key]) {
      const [r, c] = moves[event.key];
      set({ row: Math.min(Math.max(r, 0), lastRow), column: Math.min(Math.max(c, 0), lastColumn) });
    } else if (press && (event.key === 'Enter' || event.key === ' ')) press(get());
    else if (other) other();
    else return;
    event.preventDefault();
    event.stopPropagation();
  });
}

// ---- Controls -----------------------------------------------------------------------------------------------------

/** One of several, as buttons in a group: arrow keys choose. A label is words or an element; `set` does not call `choose`. */
function choices(label, className, options, value, choose) {
  const group = node('div', { class: className, role: 'radiogroup', 'aria-label': label });
  const set = (chosen) => {
    for (const [i, button] of buttons.entries()) {
      button.setAttribute('aria-checked', options[i].value === chosen);
      button.tabIndex = options[i].value === chosen ? 0 : -1;
    }
  };
  const take = (i) => {
    set(options[i].value);
    choose(options[i].value);
  };
  const buttons = options.map(({ label: words, title }, i) => node('button', {
    type: 'button', role: 'radio', title, 'data-lm-suppress-shortcuts': 'true', onclick: () => take(i),
  }, words));
  group.append(...buttons);
  group.addEventListener('keydown', (event) => {
    const at = buttons.indexOf(event.target);
    const to = { ArrowLeft: at - 1, ArrowUp: at - 1, ArrowRight: at + 1, ArrowDown: at + 1, Home: 0, End: -1 }[event.key];
    if (at < 0 || to === undefined) return;
    const next = (to + buttons.length) % buttons.length;
    event.preventDefault();
    event.stopPropagation();
    take(next);
    buttons[next].focus();
  });
  set(value);
  return { element: group, set };
}

/** One of several in a row, with the group's name before it. */
function segments(label, options, value, choose) {
  const { element, set } = choices(label, 'segments', options, value, choose);
  return { element: node('span', { class: 'field' }, node('span', { class: 'caps' }, label), element), set };
}

/** A slider with its name and its value in words. */
function slider(label, { min, max, step, value, words = String }, change) {
  const shown = node('output', {}, words(value));
  const input = node('input', {
    type: 'range', min, max, step, '.value': value, 'aria-label': label, 'aria-valuetext': words(value),
    'data-lm-suppress-shortcuts': 'true',
  });
  const set = (now) => {
    input.value = now;
    shown.textContent = words(now);
    input.setAttribute('aria-valuetext', words(now));
  };
  input.addEventListener('input', () => { set(Number(input.value)); change(Number(input.value)); });
  input.addEventListener('keydown', (event) => event.stopPropagation());
  return { element: node('label', { class: 'field' }, node('span', { class: 'caps' }, label), input, shown), input, set };
}

/** A button that stays in or out. */
function toggle(words, on, change, attributes = {}) {
  const button = node('button', { type: 'button', 'aria-pressed': String(on), 'data-lm-suppress-shortcuts': 'true', ...attributes }, words);
  const set = (now) => button.setAttribute('aria-pressed', String(now));
  button.addEventListener('click', () => {
    const now = button.getAttribute('aria-pressed') !== 'true';
    set(now);
    change(now);
  });
  return { element: button, set };
}
