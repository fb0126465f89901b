// The training watch's plots: one line by step each, of which the part up to the chosen step is drawn in full.

const LEFT = 46; // CSS pixels, for the numbers beside a plot
const RIGHT = 10;
const TOP = 6;

/** What was sent, by step, and the loss smoothed: an average that forgets within about a sixtieth of the run. */
function seriesOf(model) {
  const [old, fresh] = [arrayOf(model.get('history'), Float32Array), arrayOf(model.get('recent'), Float32Array)];
  const count = (old.length + fresh.length) / 3;
  const at = (i) => (i < old.length ? old[i] : fresh[i - old.length]);
  const column = (k) => Float32Array.from({ length: count }, (_, i) => at(3 * i + k));
  const [step, loss, rate] = [column(0), column(1), column(2)];
  const total = Math.max(model.get('total'), count ? step[count - 1] : 1);
  return { count, step, loss, rate, smooth: smoothed(loss, Math.max(4, total / 60)), scores: model.get('scores'), total };
}

/** An exponential average over about `span` values, each start weighed fairly. */
function smoothed(values, span) {
  const keep = Math.exp(-1 / span);
  let [sum, weight] = [0, 0];
  return Float32Array.from(values, (value) => {
    sum = keep * sum + (1 - keep) * value;
    weight = keep * weight + (1 - keep);
    return sum / weight;
  });
}

/** The last index in a rising array whose value is at most `value`, or -1. */
function lastAt(rising, value) {
  let [low, high] = [0, rising.length];
  while (low < high) {
    const middle = (low + high) >> 1;
    if (rising[middle] <= value) low = middle + 1;
    else high = middle;
  }
  return low - 1;
}

/** A number in as few characters as it needs: 0.25, 1400, 3e−5. */
function brief(value) {
  if (value === 0) return '0';
  if (Math.abs(value) >= 0.001) return String(Number(value.toPrecision(value >= 100 ? 6 : 3)));
  return value.toExponential(1).replace('.0e', 'e').replace('-', '−');
}

/** Round numbers from 0 to just above `most`, about `parts` of them. @returns {number[]} */
function roundTicks(most, parts) {
  const rough = (most || 1) / parts;
  const power = 10 ** Math.floor(Math.log10(rough));
  const pace = power * [1, 2, 2.5, 5, 10].find((factor) => factor * power >= rough * 0.999);
  return Array.from({ length: Math.ceil((most || 1) / pace - 1e-6) + 1 }, (_, i) => i * pace);
}

/** The highest loss to show: a few jumps of single steps may leave the plot. */
function highest(values, smooth) {
  const sorted = Float32Array.from(values).sort();
  const common = sorted[Math.floor(0.995 * (sorted.length - 1))] ?? 1;
  return smooth.reduce((most, value) => Math.max(most, value), common);
}

/** One plot. `lines(series)` → [{ xs, ys, colour, width, faint, dots }], colours by name of the palette. */
function plotOf({ name, height, parts, lines, top, last }) {
  const canvas = node('canvas', { class: 'plot', role: 'img', 'aria-label': `${name} by step` });
  const layers = { before: node('canvas'), after: node('canvas') };
  const foot = last ? 34 : 8;
  let [width, scale] = [0, { x: () => 0, y: () => 0 }];

  const trace = (context, { xs, ys, colour, width: wide, dots }, palette) => {
    context.strokeStyle = palette[colour];
    context.fillStyle = palette[colour];
    context.lineWidth = wide;
    context.lineJoin = 'round';
    context.beginPath();
    const every = Math.max(1, Math.floor(xs.length / (8 * width))); // of 160 000 steps no screen shows each
    for (let i = 0; i < xs.length; i += every) context.lineTo(scale.x(xs[i]), scale.y(ys[i]));
    context.stroke();
    for (let i = 0; dots && i < xs.length; i += 1) {
      context.beginPath();
      context.arc(scale.x(xs[i]), scale.y(ys[i]), 3.4, 0, 2 * Math.PI);
      context.fill();
    }
  };
  const axes = (context, ticks, total, palette) => {
    context.font = '11px system-ui, "DejaVu Sans", sans-serif';
    context.fillStyle = palette.muted;
    context.strokeStyle = palette.rule;
    context.lineWidth = 1;
    context.textBaseline = 'middle';
    context.textAlign = 'right';
    for (const tick of ticks) {
      const y = Math.round(scale.y(tick)) + 0.5;
      context.beginPath();
      context.moveTo(LEFT, y);
      context.lineTo(width - RIGHT, y);
      context.stroke();
      if (total) context.fillText(brief(tick), LEFT - 7, y);
    }
    if (!last || !total) return;
    const steps = roundTicks(total, width < 500 ? 4 : 7).filter((step) => step <= total);
    for (const step of steps) {
      context.textAlign = step === 0 ? 'left' : scale.x(step) > width - 30 ? 'right' : 'center';
      context.fillText(brief(step), scale.x(step) + (step === 0 ? -3 : 0), height - foot + 11);
    }
    context.textAlign = 'center';
    context.fillText('step', (LEFT + width - RIGHT) / 2, height - 7);
  };

  /** Draw the plot twice, faint and in full, to be put together at each step. */
  const prepare = (series, wide, palette) => {
    width = wide;
    const ticks = roundTicks(top(series), parts);
    const most = ticks[ticks.length - 1];
    scale = {
      x: (step) => LEFT + (step / series.total) * (width - LEFT - RIGHT),
      y: (value) => TOP + (1 - Math.min(value / most, 1.02)) * (height - TOP - foot),
    };
    for (const [when, canvasOf] of Object.entries(layers)) {
      const context = sharpen(canvasOf, width, height);
      context.clearRect(0, 0, width, height);
      axes(context, ticks, series.count && series.total, palette); // before the first step, numbers would be made up
      for (const line of lines(series)) {
        context.globalAlpha = (line.faint ? 0.45 : 1) * (when === 'after' ? 0.25 : 1);
        trace(context, line, palette);
      }
      context.globalAlpha = 1;
    }
  };
  /** Put the two together at `step`, with a line there and a dot on `value`. */
  const draw = (step, value, palette) => {
    const context = sharpen(canvas, width, height);
    const x = step === null ? width : scale.x(step);
    context.clearRect(0, 0, width, height);
    for (const [layer, from, to] of [[layers.before, 0, x], [layers.after, x, width]]) {
      if (to <= from) continue;
      context.save();
      context.beginPath();
      context.rect(from, 0, to - from, height);
      context.clip();
      context.drawImage(layer, 0, 0, width, height);
      context.restore();
    }
    if (step === null) return;
    context.strokeStyle = palette.ink;
    context.lineWidth = 1;
    context.beginPath();
    context.moveTo(Math.round(x) + 0.5, TOP);
    context.lineTo(Math.round(x) + 0.5, height - foot);
    context.stroke();
    if (value === null) return;
    context.beginPath();
    context.arc(x, scale.y(value), 4, 0, 2 * Math.PI);
    context.fillStyle = palette.paper;
    context.fill();
    context.lineWidth = 2;
    context.stroke();
  };
  const stepAt = (clientX, total) => {
    const box = canvas.getBoundingClientRect();
    return Math.min(Math.max((clientX - box.left - LEFT) / (box.width - LEFT - RIGHT), 0), 1) * total;
  };
  return { canvas, name, prepare, draw, stepAt };
}
