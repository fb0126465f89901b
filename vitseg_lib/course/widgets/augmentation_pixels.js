// The training pipeline on pixels: the steps of vitseg_lib/data/transforms.py and data/colour.py, in the browser.
// A picture is { height, width, data }: an image's data are RGBA, a Uint8ClampedArray, which clips what is stored and
// rounds halves to even; a mask's are labels, a Uint8Array, 255 = ignored. No function changes what it is given.

const IGNORED = 255;

/** The size of the same shape that fits the scale, whichever way the picture is turned: [height, width]. */
function fitSize(height, width, scale) {
  const long = Math.max(...scale) / Math.max(height, width);
  const short = Math.min(...scale) / Math.min(height, width);
  const factor = Math.min(long, short);
  return [height, width].map((side) => Math.max(Math.floor(side * factor + 0.5), 1));
}

/** For each new pixel the two old ones it is blended of, and their weights in 2048ths. */
function blendTable(length, old) {
  const [first, second] = [new Int32Array(length), new Int32Array(length)];
  const [near, far] = [new Int32Array(length), new Int32Array(length)];
  for (let i = 0; i < length; i += 1) {
    const position = Math.min(Math.max((i + 0.5) * (old / length) - 0.5, 0), old - 1);
    first[i] = Math.floor(position);
    second[i] = Math.min(first[i] + 1, old - 1);
    far[i] = Math.round((position - first[i]) * 2048);
    near[i] = 2048 - far[i];
  }
  return { first, second, near, far };
}

/** Bilinear with half-pixel centres and without antialias, in whole numbers as OpenCV counts: columns, then rows. */
function resizeImage(image, height, width) {
  if (height === image.height && width === image.width) return image;
  const [old, data] = [image.data, new Uint8ClampedArray(4 * height * width).fill(255)];
  const [{ first, second, near, far }, down] = [blendTable(width, image.width), blendTable(height, image.height)];
  for (let y = 0, at = 0; y < height; y += 1) {
    const upper = 4 * image.width * down.first[y];
    const lower = 4 * image.width * down.second[y];
    for (let x = 0; x < width; x += 1, at += 4) {
      for (let channel = 0; channel < 3; channel += 1) {
        const [left, right] = [4 * first[x] + channel, 4 * second[x] + channel];
        const above = (near[x] * old[upper + left] + far[x] * old[upper + right]) >> 4;
        const below = (near[x] * old[lower + left] + far[x] * old[lower + right]) >> 4;
        data[at + channel] = (((down.near[y] * above) >> 16) + ((down.far[y] * below) >> 16) + 2) >> 2;
      }
    }
  }
  return { height, width, data };
}

/** Each new label copies the old one at floor(new · old side / new side): nothing is blended. */
function resizeMask(mask, height, width) {
  if (height === mask.height && width === mask.width) return mask;
  const data = new Uint8Array(height * width);
  const columns = Int32Array.from({ length: width }, (_, x) => Math.floor(x * mask.width / width));
  for (let y = 0, at = 0; y < height; y += 1) {
    const from = Math.floor(y * mask.height / height) * mask.width;
    for (let x = 0; x < width; x += 1, at += 1) data[at] = mask.data[from + columns[x]];
  }
  return { height, width, data };
}

/** One number per pixel, so that an image's four bytes move as one; a mask's labels are such numbers already. */
function cells({ data, height, width }) {
  return data.length === height * width ? data : new Uint32Array(data.buffer, data.byteOffset, height * width);
}

/** A picture of another size with the kind of data of `like`, all zero. */
function blank(like, height, width) {
  const each = like.data.length / (like.height * like.width);
  return { height, width, data: new like.data.constructor(each * height * width) };
}

/** Cut the box [top, left, bottom, right] out of an image or a mask. */
function cropPicture(picture, [top, left, bottom, right]) {
  const cut = blank(picture, bottom - top, right - left);
  const [from, to] = [cells(picture), cells(cut)];
  for (let y = 0; y < cut.height; y += 1) {
    const start = (top + y) * picture.width + left;
    to.set(from.subarray(start, start + cut.width), y * cut.width);
  }
  return cut;
}

/** Mirror an image or a mask, left to right. */
function flipPicture(picture) {
  const mirrored = blank(picture, picture.height, picture.width);
  const [from, to] = [cells(picture), cells(mirrored)];
  for (let start = 0; start < to.length; start += picture.width) {
    for (let x = 0; x < picture.width; x += 1) to[start + x] = from[start + picture.width - 1 - x];
  }
  return mirrored;
}

/** Fill up right and below to at least crop × crop with one value a cell. */
function padPicture(picture, crop, filling) {
  const padded = blank(picture, Math.max(crop, picture.height), Math.max(crop, picture.width));
  const [from, to] = [cells(picture), cells(padded)];
  to.fill(filling);
  for (let y = 0; y < picture.height; y += 1) {
    to.set(from.subarray(y * picture.width, (y + 1) * picture.width), y * padded.width);
  }
  return padded;
}

/** Which class is the commonest of the pixels not ignored, and its fraction: 1 if there are none. */
function commonest({ data }) {
  const counts = new Int32Array(256);
  for (let i = 0; i < data.length; i += 1) counts[data[i]] += 1;
  const ignored = counts[IGNORED];
  counts[IGNORED] = 0;
  const most = counts.reduce((best, count, k) => (count > counts[best] ? k : best), 0);
  const counted = data.length - ignored;
  return { label: counted ? most : IGNORED, fraction: counted ? counts[most] / counted : 1, ignored, counts };
}

/** A table of 256 values: clipped and cut to whole ones, as the reference does, from 32-bit numbers. */
function levels(change) {
  return Uint8Array.from({ length: 256 }, (_, value) => Math.max(0, Math.min(255, Math.fround(change(value)))));
}

/** Send every red, green and blue through one table. */
function relevel(image, table) {
  const data = new Uint8ClampedArray(image.data);
  for (let i = 0; i < data.length; i += 1) if ((i & 3) !== 3) data[i] = table[data[i]];
  return { ...image, data };
}

// OpenCV divides by table, in fixed point with 12 binary digits; hue runs from 0 to 179, two degrees a step.
const PER_SPREAD = Int32Array.from({ length: 256 }, (_, d) => Math.round((180 << 12) / (6 * Math.max(d, 1))));
const PER_VALUE = Int32Array.from({ length: 256 }, (_, d) => Math.round((255 << 12) / Math.max(d, 1)));
// How much of the chroma red, green and blue lack at each hue, 0 to 1.
const LACKING = Float32Array.from({ length: 540 }, (_, i) => {
  const sector = (Math.floor(i / 3) / 30 + [5, 3, 1][i % 3]) % 6;
  return Math.max(0, Math.min(1, sector, 4 - sector));
});
const PART = Math.fround(1 / 255);

/** Send hue and saturation through tables (180 and 256 values), by way of 8-bit HSV and back. */
function recolour(image, hues, saturations) {
  const data = new Uint8ClampedArray(image.data);
  for (let i = 0; i < data.length; i += 4) {
    const [red, green, blue] = [data[i], data[i + 1], data[i + 2]];
    const value = Math.max(red, green, blue);
    const spread = value - Math.min(red, green, blue);
    let sixths = red - green + 4 * spread;
    if (value === red) sixths = green - blue;
    else if (value === green) sixths = blue - red + 2 * spread;
    let hue = (sixths * PER_SPREAD[spread] + 2048) >> 12;
    if (hue < 0) hue += 180;
    const saturation = saturations[(spread * PER_VALUE[value] + 2048) >> 12];
    const chroma = Math.fround(saturation * PART);
    for (let channel = 0, at = 3 * hues[hue]; channel < 3; channel += 1) {
      const kept = Math.fround(1 - Math.fround(chroma * LACKING[at + channel]));
      data[i + channel] = Math.trunc(Math.fround(value * kept));
    }
  }
  return { ...image, data };
}

const SAME_HUES = Uint8Array.from({ length: 180 }, (_, hue) => hue);
const SAME_SATURATIONS = levels((saturation) => saturation);

/** The four changes of colour: name → (image, amount) → image. */
const ADJUST = {
  brightness: (image, delta) => relevel(image, levels((value) => value + delta)),
  contrast: (image, factor) => relevel(image, levels((value) => value * factor)),
  saturation: (image, factor) => recolour(image, SAME_HUES, levels((value) => value * factor)),
  hue: (image, shift) => recolour(image, SAME_HUES.map((hue) => (hue + shift + 180) % 180), SAME_SATURATIONS),
};

// ---- Draws --------------------------------------------------------------------------------------------------------

/** Shuffle the bits of a whole number, so that neighbouring ones end far apart. */
function scrambled(number) {
  let bits = number | 0;
  bits = Math.imul(bits ^ (bits >>> 16), 0x85ebca6b);
  bits = Math.imul(bits ^ (bits >>> 13), 0xc2b2ae35);
  return (bits ^ (bits >>> 16)) >>> 0;
}

/** Random numbers, 0 to below 1, the same ones for a seed in every browser (but not NumPy's). */
function seeded(seed) {
  const start = scrambled(seed + 1);
  let count = 0;
  return () => {
    count += 1;
    return scrambled(start + Math.imul(count, 0x9e3779b9)) / 2 ** 32;
  };
}

/** The size that a pair is resized to by the ratio r, whose products with the scale are cut to whole numbers. */
function sizeAt(ratio, { height, width }, scale) {
  return fitSize(height, width, scale.map((side) => Math.trunc(side * ratio)));
}

/** The window of at most crop × crop with this upper left corner: [top, left, bottom, right]. */
function boxAt(top, left, height, width, crop) {
  return [top, left, Math.min(top + crop, height), Math.min(left + crop, width)];
}

/** Draw windows until no class fills `cat_max_ratio` of one: ten are checked, an eleventh is taken as it is. */
function drawWindows(mask, { crop, cat_max_ratio: most }, whole) {
  const tried = [];
  do {
    const [top, left] = [mask.height, mask.width].map((side) => whole(0, Math.max(side - crop, 0) + 1));
    const box = boxAt(top, left, mask.height, mask.width, crop);
    const { label, fraction } = commonest(cropPicture(mask, box));
    tried.push({ box, label, fraction, refused: most < 1 && tried.length < 10 && fraction >= most });
  } while (tried.at(-1).refused);
  return tried;
}

/** Draw every parameter, in the pipeline's order: `down` and `right` are the window's position in its range, 0 to 1. */
function drawParameters(mask, pipeline, seed) {
  const random = seeded(seed);
  const between = (low, high) => low + (high - low) * random();
  const whole = (low, end) => low + Math.floor((end - low) * random());
  const coin = () => whole(0, 2) === 1;
  const maybe = (amount) => ({ amount, on: coin() && pipeline.photometric });
  const ratio = between(...pipeline.ratio_range);
  const resized = resizeMask(mask, ...sizeAt(ratio, mask, pipeline.scale));
  const tried = drawWindows(resized, pipeline, whole);
  const { box } = tried.at(-1);
  const [down, right] = [resized.height, resized.width].map((side, i) => box[i] / Math.max(side - pipeline.crop, 1));
  const flipped = random() < pipeline.hflip;
  const brightness = maybe(between(-32, 32));
  const contrastFirst = coin();
  const contrast = maybe(between(0.5, 1.5));
  const saturation = maybe(between(0.5, 1.5));
  const hue = maybe(whole(-18, 18));
  return { ratio, tried, down, right, flipped, contrastFirst, brightness, contrast, saturation, hue };
}
