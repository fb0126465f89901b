// One row of attention at a time, from queries and keys: the softmax that a whole matrix would take megabytes for.

/**
 * @returns rows of weights over all tokens, each ≥ 0 with the sum 1:
 *   `head(layer, head, token)`, `mean(layer, token)` over the heads, `rollout(token)`, each a Float32Array (tokens).
 */
function attentionRows(model) {
  const [heads, tokens, width] = ['heads', 'tokens', 'width'].map((name) => model.get(name));
  const queries = arrayOf(model.get('query_codes'), Int16Array); // (layers, heads, tokens, width)
  const keys = arrayOf(model.get('key_codes'), Int16Array);
  const queryScales = arrayOf(model.get('query_scales'), Float32Array); // (layers, heads, tokens)
  const keyScales = arrayOf(model.get('key_scales'), Float32Array);
  const rolled = arrayOf(model.get('rollout'), Uint8Array); // (tokens, tokens)
  const rolledScales = arrayOf(model.get('rollout_scales'), Float32Array); // (tokens)
  const query = new Float64Array(width);

  const head = (layer, number, token) => {
    const first = (layer * heads + number) * tokens;
    const scale = queryScales[first + token] / Math.sqrt(width);
    for (let i = 0; i < width; i += 1) query[i] = queries[(first + token) * width + i] * scale;
    const row = new Float32Array(tokens);
    let largest = -Infinity;
    for (let key = 0, at = first * width; key < tokens; key += 1) {
      let sum = 0;
      for (let i = 0; i < width; i += 1, at += 1) sum += query[i] * keys[at];
      row[key] = sum * keyScales[first + key];
      if (row[key] > largest) largest = row[key];
    }
    let total = 0;
    for (let key = 0; key < tokens; key += 1) {
      row[key] = Math.exp(row[key] - largest);
      total += row[key];
    }
    for (let key = 0; key < tokens; key += 1) row[key] /= total;
    return row;
  };

  const mean = (layer, token) => {
    const row = new Float32Array(tokens);
    for (let number = 0; number < heads; number += 1) {
      const one = head(layer, number, token);
      for (let key = 0; key < tokens; key += 1) row[key] += one[key] / heads;
    }
    return row;
  };

  const rollout = (token) => Float32Array.from(
    rolled.subarray(token * tokens, (token + 1) * tokens), (value) => value * rolledScales[token],
  );

  return { head, mean, rollout };
}

/** The largest weight among the patches, and which patch has it. `extra` tokens stand before the patches. */
function strongest(row, extra) {
  let at = extra;
  for (let key = extra + 1; key < row.length; key += 1) if (row[key] > row[at]) at = key;
  return { patch: at - extra, weight: row[at] };
}
