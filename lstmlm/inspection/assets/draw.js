'use strict';
// From logits to a character: lstmlm/generation/sampling.py, operation by operation. V = vocab_size.

// The generator of torch on the CPU: MT19937, which manual_seed fills from the low 32 bits of the seed.
class MersenneTwister {
  constructor(seed) {
    this.state = new Uint32Array(624);
    this.state[0] = Number(BigInt.asUintN(32, BigInt(seed)));
    for (let i = 1; i < 624; i++) {
      const before = this.state[i - 1] ^ (this.state[i - 1] >>> 30);
      this.state[i] = Math.imul(1812433253, before) + i;
    }
    this.next = 624;
  }

  refill() {
    const state = this.state;
    for (let i = 0; i < 624; i++) {
      const y = (state[i] & 0x80000000) | (state[(i + 1) % 624] & 0x7fffffff);
      state[i] = state[(i + 397) % 624] ^ (y >>> 1) ^ (y & 1 ? 0x9908b0df : 0);
    }
    this.next = 0;
  }

  random32() {
    if (this.next === 624) this.refill();
    let y = this.state[this.next++];
    y ^= y >>> 11;
    y ^= (y << 7) & 0x9d2c5680;
    y ^= (y << 15) & 0xefc60000;
    return (y ^ (y >>> 18)) >>> 0;
  }

  // As torch.rand(dtype=torch.float64): the low 53 bits of a 64-bit number whose high half is drawn first.
  uniform() {
    const high = this.random32() & 0x1fffff;
    return (high * 2 ** 32 + this.random32()) / 2 ** 53;
  }
}

const DEFAULT_SETTINGS = {temperature: 0.6, topK: null, topP: 1, minP: 0, penalty: 1, penaltyWindow: 64};
const TINY = 1e-200; // a temperature that is as good as 0, and by which one can divide

// The index of the largest element, the first of equal ones.
function argmax(values) {
  let best = 0;
  for (let i = 1; i < values.length; i++) if (values[i] > values[best]) best = i;
  return best;
}

// Indices from the most probable down; of equal ones the first in the vocabulary first.
function sortDescending(probs) {
  return Array.from(probs.keys()).sort((a, b) => probs[b] - probs[a] || a - b);
}

// What the next character is drawn from: logits (V), ids seen before -> probabilities (V), up to a factor.
// `unk` is the id that is never drawn, or null.
function computeDistribution(logits, seen, settings, unk) {
  const probs = new Float64Array(logits);
  if (unk !== null) probs[unk] = -Infinity;
  if (settings.penalty !== 1) {
    const window = seen.slice(-settings.penaltyWindow);
    for (const id of new Set(window)) probs[id] -= Math.log(settings.penalty);
  }
  const best = argmax(probs);
  if (settings.temperature === 0) return probs.map((_, id) => (id === best ? 1 : 0));
  const most = probs[best], temperature = Math.max(settings.temperature, TINY);
  for (let i = 0; i < probs.length; i++) probs[i] = Math.exp((probs[i] - most) / temperature);
  if (settings.topK !== null) sortDescending(probs).slice(settings.topK).forEach((id) => (probs[id] = 0));
  if (settings.topP < 1) keepTopP(probs, settings.topP);
  if (settings.minP > 0) {
    const least = settings.minP * probs.reduce((a, b) => Math.max(a, b));
    for (let i = 0; i < probs.length; i++) if (probs[i] < least) probs[i] = 0;
  }
  return probs;
}

// Keep the fewest, most probable characters that together have the share p.
function keepTopP(probs, p) {
  const order = sortDescending(probs), rest = new Float64Array(order.length);
  let sum = 0; // the probability of a character and of all less probable ones
  for (let i = order.length - 1; i >= 0; i--) rest[i] = sum += probs[order[i]];
  for (let i = 1; i < order.length; i++) if (rest[i] <= (1 - p) * rest[0]) probs[order[i]] = 0;
}

// Invert the cumulative distribution of probabilities (V), up to a factor, at a uniform number in [0, 1).
function draw(probs, uniform) {
  let total = 0, sum = 0;
  for (const p of probs) total += p;
  for (let id = 0; id < probs.length; id++) {
    sum += probs[id];
    if (sum > uniform * total) return id;
  }
  return 0;
}

// -log probability of each character in nats, before any setting: logits (V) -> (V).
function computeSurprisals(logits) {
  const most = logits[argmax(logits)], surprisals = new Float64Array(logits.length);
  let sum = 0;
  for (let id = 0; id < logits.length; id++) sum += Math.exp(logits[id] - most);
  const log = Math.log(sum) + most;
  for (let id = 0; id < logits.length; id++) surprisals[id] = log - logits[id];
  return surprisals;
}
