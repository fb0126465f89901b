// Beside the mask explorer's image: the pixel under the cursor, and the classes that occur.

const NO_CLASS = 'not labelled';

/** A patch of a class's colour; a hole for "not labelled". */
function swatch(colour) {
  const patch = node('span', { class: 'swatch', 'aria-hidden': 'true' });
  const set = (rgb) => { patch.style.background = rgb ? `rgb(${rgb.join(' ')})` : 'transparent'; };
  set(colour);
  return { patch, set };
}

/** The pixel under the cursor: its position, its true and predicted class, and the likeliest classes as bars. */
function readingOf(data) {
  const place = node('span', { class: 'caps' });
  const verdict = node('span', { class: 'verdict' });
  const line = (words) => {
    const [colour, name] = [swatch(null), node('span')];
    return { colour, name, element: node('div', { class: 'fact' }, node('span', { class: 'caps' }, words), colour.patch, name) };
  };
  const facts = [...(data.labels ? [line('true')] : []), line('predicted')];
  const bars = Array.from({ length: data.tops }, () => {
    const [colour, name, bar, number] = [swatch(null), node('span', { class: 'name' }), node('i'), node('span', { class: 'number' })];
    return { colour, name, bar, number, element: node('li', {}, colour.patch, name, node('span', { class: 'track' }, bar), number) };
  });
  const element = node('section', { class: 'reading', 'aria-label': 'The pixel under the cursor' }, node('div', { class: 'fact' }, place, verdict),
    ...facts.map((fact) => fact.element), node('ol', { 'aria-label': 'Likeliest classes' }, ...bars.map((bar) => bar.element)));
  const nameOf = (k) => data.names[k] ?? NO_CLASS;

  const show = ({ row, column }) => {
    const i = row * data.width + column;
    const known = [...(data.labels ? [data.labels[i]] : []), data.prediction[i]];
    place.textContent = `row ${row}, column ${column}`;
    const labelled = data.labels && data.labels[i] !== data.ignore;
    verdict.textContent = labelled ? (data.wrong[i] ? '✗ wrong' : '✓ right') : '';
    verdict.classList.toggle('bad', Boolean(data.wrong[i]));
    facts.forEach(({ colour, name }, n) => { colour.set(data.colours[known[n]]); name.textContent = nameOf(known[n]); });
    bars.forEach(({ colour, name, bar, number }, n) => {
      const [k, part] = [data.top[n * data.count + i], data.probabilities[n * data.count + i] / 255];
      colour.set(data.colours[k]);
      name.textContent = nameOf(k);
      bar.style.transform = `scaleX(${part})`;
      number.textContent = part > 0 && part < 0.01 ? '< 1 %' : `${Math.round(100 * part)} %`;
    });
    const likeliest = bars.slice(0, 3).map(({ name, number }) => `${name.textContent} ${number.textContent}`).join(', ');
    const label = data.labels ? `true ${nameOf(known[0])}, ` : '';
    return `row ${row}, column ${column}: ${label}predicted ${nameOf(data.prediction[i])}; ${likeliest}`;
  };
  return { element, show };
}

/** Numbers in percent as they are read; a class that cannot be counted has a dash. */
function percentOf(value) {
  if (value === null) return '–';
  return value > 0 && value < 0.95 ? `${value.toFixed(1)} %` : `${Math.round(value)} %`;
}

/** One class: a button that shows or hides it, with its area in percent of the pixels and its IoU. */
function classButton({ class: k, area, iou }, data) {
  const bar = node('i');
  bar.style.background = `rgb(${data.colours[k].join(' ')})`;
  bar.style.transform = `scaleX(${(iou ?? 0) / 100})`;
  const measured = data.labels ? [node('span', { class: 'track' }, bar), node('span', { class: 'number' }, percentOf(iou))] : [];
  return node('button', {
    type: 'button', class: 'class', 'data-class': k, 'data-lm-suppress-shortcuts': 'true',
    title: 'Show or hide; double click or Shift + Enter: only this one',
    'aria-label': `${data.names[k]}, area ${percentOf(area)}${data.labels ? `, IoU ${percentOf(iou)}` : ''}`,
  }, swatch(data.colours[k]).patch, node('span', { class: 'name' }, data.names[k]),
  node('span', { class: 'number' }, percentOf(area)), ...measured);
}

/** How rows are ordered; what has no value comes last either way. */
function sortRows(rows, { by, down }, names) {
  const value = (row) => (by === 'class' ? names[row.class] : row[by]);
  return [...rows].sort((a, b) => {
    const [left, right] = [value(a), value(b)];
    if (left === null || right === null) return (left === null) - (right === null);
    const order = by === 'class' ? left.localeCompare(right) : left - right;
    return down ? -order : order;
  });
}

/** The classes that occur: switched by click or Enter, walked by the arrow keys, sorted by their heads.
 * `toggled(hidden)` hears which are off, `over(class or null)` which one the mouse is on. */
function classList(model, data, { toggled, over }) {
  let order = { by: 'area', down: true };
  const buttons = new Map(data.rows.map((row) => [row.class, classButton(row, data)]));
  const list = node('div', { class: 'classes', role: 'group', 'aria-label': 'Classes' });
  const all = node('button', { type: 'button', class: 'all', onclick: () => toggled([]) }, 'show all');
  const columns = [['class', 'class', false], ['area', 'area', true], ...(data.labels ? [['iou', 'IoU', true]] : [])];
  const heads = columns.map(([by, words, down]) => {
    const head = node('button', { type: 'button', class: by, onclick: () => sort(by, order.by === by ? !order.down : down) }, words);
    return { by, words, head };
  });
  const scores = model.get('scores');
  const note = data.labels ? `mean IoU ${percentOf(scores.mIoU)} on this image; ${percentOf(scores.aAcc)} of its labelled pixels right` : '';

  const sort = (by, down) => {
    order = { by, down };
    list.append(...sortRows(data.rows, order, data.names).map((row) => buttons.get(row.class)));
    heads.forEach(({ by: own, words, head }) => {
      head.textContent = own === by ? `${words} ${down ? '↓' : '↑'}` : words;
      head.setAttribute('aria-label', `Sort by ${words}${own === by ? `, now ${down ? 'falling' : 'rising'}` : ''}`);
    });
    reach(list.firstElementChild);
  };
  const reach = (button) => { for (const other of list.children) other.tabIndex = other === button ? 0 : -1; };
  const show = () => {
    const hidden = new Set(model.get('hidden'));
    buttons.forEach((button, k) => button.setAttribute('aria-pressed', String(!hidden.has(k))));
    all.style.visibility = hidden.size ? 'visible' : 'hidden';
  };
  const flip = (k) => {
    const hidden = model.get('hidden');
    over(null);
    toggled(hidden.includes(k) ? hidden.filter((other) => other !== k) : [...hidden, k]);
  };
  const alone = (k) => {
    const others = data.rows.map((row) => row.class).filter((other) => other !== k);
    const hidden = model.get('hidden');
    over(null);
    toggled(hidden.length === others.length && !hidden.includes(k) ? [] : others);
  };
  const classOf = (event) => Number(event.target.closest('.class')?.dataset.class ?? -1);
  list.addEventListener('click', (event) => { if (classOf(event) >= 0) flip(classOf(event)); });
  list.addEventListener('dblclick', (event) => { if (classOf(event) >= 0) alone(classOf(event)); });
  list.addEventListener('focusin', (event) => reach(event.target.closest('.class')));
  list.addEventListener('keydown', (event) => {
    const at = [...list.children].indexOf(event.target.closest('.class'));
    const to = { ArrowUp: at - 1, ArrowDown: at + 1, Home: 0, End: list.children.length - 1 }[event.key];
    if (event.shiftKey && event.key === 'Enter') alone(classOf(event));
    else if (to === undefined) return;
    else list.children[to]?.focus();
    event.preventDefault();
    event.stopPropagation();
  });
  buttons.forEach((button, k) => {
    button.addEventListener('pointerenter', (event) => { if (event.pointerType === 'mouse') over(k); });
    button.addEventListener('pointerleave', (event) => { if (event.pointerType === 'mouse') over(null); });
  });
  sort('area', true);
  show();
  const element = node('section', { class: data.labels ? 'listing' : 'listing bare', 'aria-label': 'Classes' },
    node('div', { class: 'heads' }, ...heads.map(({ head }) => head)), list,
    node('div', { class: 'foot' }, node('p', { class: 'note' }, note), all));
  return { element, show };
}
