// What the explorers of grids share: grids of values as images between a title and a line of words, and their state.

/** Colours of −1..1 as RGBA words: cold, paper, accent. @returns {Uint32Array} (513) */
function bothWays({ cold, paper, accent }) {
  const [below, middle, above] = [cold, paper, accent].map(rgbOf);
  return Uint32Array.from({ length: 513 }, (_, i) => {
    const strength = Math.abs(i - 256) / 256;
    const [r, g, b] = (i < 256 ? below : above).map((full, k) => Math.round(middle[k] + (full - middle[k]) * strength));
    return ((255 << 24) | (b << 16) | (g << 8) | r) >>> 0;
  });
}

/** Values −1..1 of a grid as a small canvas, one pixel per cell. */
function paintGrid(canvas, values, [rows, columns], ramp) {
  Object.assign(canvas, { width: columns, height: rows });
  const context = canvas.getContext('2d');
  const pixels = context.createImageData(columns, rows);
  const words = new Uint32Array(pixels.data.buffer);
  values.forEach((value, n) => { words[n] = ramp[Math.round(256 + 256 * Math.min(1, Math.max(-1, value)))]; });
  context.putImageData(pixels, 0, 0);
}

/** The colours of outlines over an image. */
function outlineColours({ dark, ink, paper, surface }) {
  return dark ? { colour: paper, halo: ink } : { colour: ink, halo: surface };
}

/** A flexible box. */
const flex = (style, ...children) => node('div', { style: `display: flex; ${style}` }, ...children);

/** Setters of a widget's traits: `setterOf(model)(name)(value)`. */
const setterOf = (model) => (name) => (value) => {
  model.set(name, value);
  model.save_changes();
};

/** Call `changes` (calls by trait) when a trait changes, and `fit` with the theme and the card's size. @returns what stops it */
function follow(model, root, changes, fit) {
  for (const [name, call] of Object.entries(changes)) model.on(`change:${name}`, call);
  const stop = onTheme(fit);
  const watch = new ResizeObserver(fit);
  watch.observe(root);
  return () => {
    stop();
    watch.disconnect();
    for (const [name, call] of Object.entries(changes)) model.off(`change:${name}`, call);
  };
}

/** A thin edge, for where a grid is as pale as the paper. */
function frame(context, width, height, { rule }) {
  context.strokeStyle = rule;
  context.lineWidth = 1;
  context.strokeRect(0.5, 0.5, width - 1, height - 1);
}

/** A canvas between its title and a line below, with space for the ring of the focus. */
function framed(attributes) {
  const [head, foot] = [node('div', { class: 'caps' }), node('div', { class: 'note' })];
  const canvas = node('canvas', { ...attributes, style: 'margin: 5px 0' });
  return { head, foot, canvas, element: node('div', { style: 'flex: none' }, head, canvas, foot) };
}
