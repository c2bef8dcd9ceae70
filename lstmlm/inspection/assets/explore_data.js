'use strict';
// What the page knows of a text: the states of the units at every character, as numbers of one byte. P = characters.

const PLACES = 8; // listed at a time
const APART = 12; // characters between two of them
const SAME_STATE = 8; // of 127 steps: a state that differs by no more is the same

function decodeBytes(base64) {
  const text = atob(base64), bytes = new Uint8Array(text.length);
  for (let i = 0; i < bytes.length; i++) bytes[i] = text.charCodeAt(i);
  return bytes;
}

class Excerpt {
  constructor(data) {
    this.pieces = data.pieces; // what each character adds to the text
    this.length = data.pieces.length;
    this.nats = Float32Array.from(decodeBytes(data.surprisal), (level) => level / 16);
    this.columns = data.columns; // {layer, unit, part, mean, scale, ...} of each state
    this.window = data.window;
    this.shares = decodeBytes(data.shares);
    this.bytes = new Int8Array(decodeBytes(data.values).buffer);
  }

  // The states of a column: (value - mean) / scale * 127 at each character.
  values(column) {
    return this.bytes.subarray(column * this.length, (column + 1) * this.length);
  }

  valueAt(column, i) {
    const {mean, scale} = this.columns[column];
    return mean + (this.values(column)[i] / 127) * scale;
  }

  // The column of a state; -1 if the page does not have it.
  find(layer, unit, part) {
    return this.columns.findIndex((one) => one.layer === layer && one.unit === unit && one.part === part);
  }

  // All columns of the layer, of one kind of state, or the one column.
  scope(column, whole) {
    const {layer, part} = this.columns[column];
    if (!whole) return [column];
    return this.columns.flatMap((one, k) => (one.layer === layer && one.part === part ? [k] : []));
  }

  // (P) the mean squared distance of the states over `width` characters up to each from those up to `place`.
  distances(columns, place, width) {
    const total = new Float64Array(this.length).fill(Infinity), first = Math.min(width, place + 1) - 1;
    total.fill(0, first);
    for (const column of columns) {
      const values = this.values(column);
      for (let back = 0; back <= first; back++) {
        const wanted = values[place - back];
        for (let i = first; i < this.length; i++) total[i] += (values[i - back] - wanted) ** 2;
      }
    }
    return total.map((sum) => sum / (columns.length * (first + 1)));
  }

  // {places, count}: the places most alike, apart from one another, and how many characters are alike.
  findSimilar(columns, place, width) {
    const distances = this.distances(columns, place, width);
    const count = distances.reduce((n, distance) => n + (distance <= SAME_STATE ** 2), 0);
    const others = distances.map((distance, i) => (Math.abs(i - place) < APART ? Infinity : distance));
    return {places: pickLowest(others), count};
  }

  // The places where a state is highest (sign 1) or lowest (sign -1).
  findExtremes(column, sign) {
    return pickLowest(Float64Array.from(this.values(column), (value) => -sign * value));
  }

  // The shares of the gradient of the prediction after character i, one character back, two, ...; null if not known.
  sharesAt(i) {
    if ((i + 1) * this.window > this.shares.length) return null;
    const levels = Array.from(this.shares.subarray(i * this.window, (i + 1) * this.window), (level) => level * level);
    const total = levels.reduce((a, b) => a + b, 0) || 1;
    return levels.map((level) => level / total);
  }
}

// The indices of the PLACES lowest finite scores, at least APART from one another; of equal ones spread over the text.
function pickLowest(scores) {
  const order = Array.from(scores.keys()).filter((i) => Number.isFinite(scores[i]));
  const spread = (i) => Math.imul(i, 2654435761) >>> 0;
  order.sort((a, b) => scores[a] - scores[b] || spread(a) - spread(b));
  const picked = [];
  for (const i of order) {
    if (picked.length === PLACES) break;
    if (picked.every((other) => Math.abs(other - i) >= APART)) picked.push(i);
  }
  return picked;
}

// How many characters back it takes for a share of the whole.
function countBack(shares, wanted) {
  let sum = 0;
  const last = shares.findIndex((share) => (sum += share) >= wanted);
  return last < 0 ? shares.length : last + 1;
}
