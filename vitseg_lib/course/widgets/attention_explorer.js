// The attention explorer: the query is chosen on the image at the left; its attention is shown at the right.

const ATTENTION_STATE = ['view', 'layer', 'head', 'rolled', 'pins', 'opacity'];

/** @param model its data and state are the traits of `AttentionExplorer` */
function render({ model, el }) {
  const { root, say } = card(model, el);
  const [layers, heads, tokens] = ['layers', 'heads', 'tokens'].map((name) => model.get(name));
  const [rows, columns] = model.get('grid');
  const [height, width] = model.get('image_size');
  const extra = tokens - rows * columns; // 1 where a class token stands before the patches
  const known = { layers, heads, entropy: model.get('entropy'), distance: model.get('distance') };
  const state = Object.fromEntries(ATTENTION_STATE.map((name) => [name, model.get(name)]));
  const attention = remembering(attentionRows(model), heads);
  const painter = attentionPainter(model, { rows, columns, extra, height, width });
  let cursor = model.get('query'); // the query's token
  let lastPatch = Math.max(cursor, extra) - extra; // where the arrow keys go on from
  let settled = cursor; // what a finger chose before: touched again, it is pinned
  let oneScale = false;
  let [tiles, group, sizes] = [[], null, null];

  // ---- What is on the page
  const big = node('canvas', {
    role: 'application', 'aria-label': `Image of ${rows} × ${columns} patches: arrow keys choose the query`,
  });
  const classButton = extra
    ? node('button', { type: 'button', title: 'Key C', 'aria-pressed': 'false', onclick: () => move(0) }, 'class token')
    : null;
  const pinButton = node('button', { type: 'button', title: 'Key Enter', onclick: () => pin(cursor) });
  const clearButton = node('button', { type: 'button', title: 'Key Escape', onclick: () => setPins([]) }, 'clear');
  const reading = node('p', { class: 'reading' });
  const show = segments('show', [
    { value: 'heads', label: 'heads of a layer' }, { value: 'layers', label: 'layers of a head' },
  ], state.view, (view) => change({ view, rolled: false }));
  const which = node('span');
  const opacity = slider('attention', {
    min: 0, max: 1, step: 0.05, value: state.opacity, words: (value) => `${Math.round(100 * value)} %`,
  }, (value) => change({ opacity: value }));
  const scale = toggle('one scale for all', oneScale, (on) => { oneScale = on; draw(); }, {
    title: 'Colour all maps in the scale of the strongest, instead of each in its own',
  });
  const legend = node('span', { class: 'legend' });
  const holder = node('div');
  const stage = node('div', { class: 'stage' }, big, node('div', { class: 'row' }, classButton, pinButton, clearButton),
    reading, node('div', { class: 'row' }, opacity.element, scale.element, legend));
  const explained = `≤ the largest attention weight of a patch${extra ? '; class: that of the class token' : ''}. Over the whole image: `
    + `entropy, ${Math.log2(tokens).toFixed(1)} bits for uniform attention, and the mean attention distance, in pixels.`;
  const controls = node('div', { class: 'row controls' }, show.element, which);
  root.append(
    node('p', { class: 'title' }, 'What does a patch attend to?'),
    node('p', { class: 'note' }, `Point at a patch, or walk with the arrow keys${extra ? '; C chooses the class token' : ''}. `
      + 'A click or Enter pins it, so that you can compare it with another.'),
    controls,
    node('div', { class: 'attention' }, stage, node('div', { class: 'maps' }, holder, node('p', { class: 'note' }, explained))),
  );

  // ---- Changes
  const change = (news) => {
    Object.assign(state, news);
    for (const [name, value] of Object.entries(news)) model.set(name, value);
    model.save_changes();
    arrange(news);
  };
  const move = (token) => {
    if (token === cursor) return;
    cursor = token;
    if (token >= extra) lastPatch = token - extra;
    draw();
  };
  const setPins = (pins) => {
    model.set('query', cursor);
    change({ pins });
  };
  /** The first pin is A, the second B, a further one replaces B; what is pinned already is unpinned. */
  const pin = (token) => {
    const { pins } = state;
    setPins(pins.includes(token) ? pins.filter((one) => one !== token) : [...pins.slice(0, 1), token]);
  };
  const onShow = () => (state.pins.length === 2 || state.pins.includes(cursor) ? state.pins : [...state.pins, cursor]);
  const chosen = () => (state.rolled ? 'rollout' : state.view === 'heads' ? state.head : state.layer);
  const choose = (value) => {
    if (value === 'rollout') change({ rolled: true });
    else change({ rolled: false, [state.view === 'heads' ? 'head' : 'layer']: value });
  };

  // ---- Arranging
  const arrange = (news) => {
    if ('view' in news) {
      const numbers = (count) => Array.from({ length: count }, (_, i) => ({ value: i, label: String(i) }));
      const control = state.view === 'heads'
        ? segments('layer', numbers(layers), state.layer, (layer) => change({ layer }))
        : segments('head', [...numbers(heads), { value: heads, label: 'mean' }], state.head, (head) => change({ head }));
      which.replaceChildren(control.element);
    }
    if ('opacity' in news) painter.setOpacity(state.opacity);
    const made = tilesOf(state, attention, known);
    if (made.map((tile) => tile.key).join() !== tiles.map((tile) => tile.key).join()) {
      tiles = made;
      group = tileGroup(tiles, chosen(), extra, choose);
      holder.replaceChildren(group.element);
    }
    group.set(chosen());
    measure();
    draw();
  };
  /** Sizes in CSS pixels for the card's width: the image beside the maps where there is room, else above them. */
  const measure = () => {
    const room = controls.clientWidth;
    if (!room || !group) return;
    const beside = room >= 640;
    const wide = Math.round(Math.min(beside ? Math.min(400, 0.42 * room) : Math.min(room, 480), (440 * width) / height));
    const rest = beside ? room - wide - 24 : room;
    const across = Math.max(2, Math.min(tiles.length <= 6 ? 3 : 4, Math.floor((rest + 8) / 112)));
    const small = Math.floor((rest - 8 * (across - 1)) / across) - 14;
    root.classList.toggle('beside', beside);
    stage.style.width = beside ? `${wide}px` : '';
    group.element.style.gridTemplateColumns = `repeat(${across}, minmax(0, 1fr))`;
    sizes = { big: [wide, Math.round((wide * height) / width)], tile: [small, Math.round((small * height) / width)] };
  };

  // ---- Drawing
  const draw = oncePerFrame(() => {
    if (!sizes) return;
    const shown = onShow();
    const letters = state.pins.length ? ['A', 'B'] : [];
    const weights = tiles.map((tile) => shown.map((token) => tile.row(token)));
    const tops = weights.map((some) => some.map((row) => strongest(row, extra)));
    const common = Math.max(...tops.flat().map((top) => top.weight));
    const marks = shown.map((token, slot) => ({ token, slot, letter: letters[slot] }));
    const maps = weights.map((some, i) => some.map((row, slot) => ({ row, slot, top: oneScale ? common : tops[i][slot].weight })));
    tiles.forEach((tile, i) => {
      const part = group.parts[i];
      painter.tile(part.canvas, sizes.tile, maps[i], marks);
      part.top.textContent = `≤ ${percent(...tops[i].map((top) => top.weight))}`;
      part.cls.textContent = percent(...weights[i].map((row) => row[0]));
    });
    const at = tiles.findIndex((tile) => tile.value === chosen());
    painter.image(big, sizes.big, maps[at], shown.includes(cursor) ? marks : [{ token: cursor }, ...marks]);
    describe(shown, letters, tops[at], common);
  });
  const nameOf = (token) => (token < extra
    ? 'the class token' : `row ${Math.floor((token - extra) / columns)}, column ${(token - extra) % columns}`);
  const describe = (shown, letters, tops, common) => {
    const { pins, rolled, layer, head } = state;
    const who = rolled ? 'Rollout' : `Layer ${layer}, ${head === heads ? 'mean of heads' : `head ${head}`}`;
    const lines = shown.map((token, slot) => {
      const { patch, weight } = tops[slot];
      const to = patch + extra === token ? 'itself' : nameOf(patch + extra);
      const query = letters[slot] ? `${letters[slot]}, ${nameOf(token)},` : nameOf(token);
      return `from ${query} to ${to}: ${percent(weight)}.`;
    });
    root.classList.toggle('pair', shown.length > 1);
    reading.textContent = [`${who} attends most`, ...lines].join('\n');
    say(reading.textContent);
    classButton?.setAttribute('aria-pressed', cursor < extra);
    if (classButton) classButton.textContent = pins.includes(0) ? `class token · ${letters[pins.indexOf(0)]}` : 'class token';
    pinButton.textContent = pins.includes(cursor) ? 'unpin' : `pin as ${pins.length ? 'B' : 'A'}`;
    clearButton.hidden = !pins.length;
    const bars = shown.map((_, slot) => node('span', { class: `bar slot${slot}` }, letters[slot] ?? ''));
    if (legend.dataset.state !== `${bars.length}${letters}${oneScale && common}`) {
      legend.dataset.state = `${bars.length}${letters}${oneScale && common}`;
      legend.replaceChildren('0', ...bars, oneScale ? percent(common) : 'each map’s strongest patch');
    }
  };

  // ---- Hands
  const grid = { rows: () => rows, columns: () => columns };
  const tokenAt = ({ row, column }) => extra + row * columns + column;
  pointCells(big, {
    ...grid,
    over: (cell) => cell && move(tokenAt(cell)),
    press: (cell, byFinger) => {
      const token = tokenAt(cell);
      if (!byFinger || token === settled) pin(token);
      settled = token;
    },
  });
  walkCells(big, {
    ...grid,
    get: () => ({ row: Math.floor(lastPatch / columns), column: lastPatch % columns }),
    set: (cell) => move(tokenAt(cell)),
    press: () => pin(cursor),
    others: { c: () => extra && move(0), escape: () => setPins([]) },
  });
  classButton?.addEventListener('pointerenter', (event) => event.pointerType === 'mouse' && move(0));
  const heard = Object.fromEntries(ATTENTION_STATE.map((name) => [`change:${name}`, () => {
    if (JSON.stringify(model.get(name)) === JSON.stringify(state[name])) return;
    state[name] = model.get(name);
    show.set(state.view);
    opacity.set(state.opacity);
    arrange({ view: state.view, opacity: state.opacity });
  }]));
  heard['change:query'] = () => move(model.get('query'));
  for (const [event, call] of Object.entries(heard)) model.on(event, call);
  const stopTheme = onTheme(() => { painter.forget(); draw(); });
  const watch = new ResizeObserver(() => { measure(); draw(); });
  watch.observe(root);
  arrange(state);
  return () => {
    for (const [event, call] of Object.entries(heard)) model.off(event, call);
    stopTheme();
    watch.disconnect();
  };
}
