'use strict';
// One character in, the logits of the next one out: the equations of lstmlm/scratch/, a line each.
// V = vocab_size, H = num_hiddens, L = num_layers, G = number of gates, E = embedding_dim.
//
// The tensors of layer k: W_x (V, E or H; G H), W_h (H, G H), b (1, G H), the gates side by side.

const sigmoid = (x) => 1 / (1 + Math.exp(-x)), {tanh} = Math;

// cell: what it carries from step to step, and what can be looked at, in the order of the columns of its weights
const CELLS = {
  lstm: {state: ['H', 'C'], gates: ['I', 'F', 'O', 'C_tilda'], step: stepLSTM},
  gru: {state: ['H'], gates: ['Z', 'R', 'H_tilda'], step: stepGRU},
  gru_before: {state: ['H'], gates: ['Z', 'R', 'H_tilda'], step: stepGRUBefore},
  rnn: {state: ['H'], gates: ['H_tilda'], step: stepRNN},
};

// In each, S (G H) holds what the input brings to the gates, and then the gates; the state is changed in place.

function stepLSTM({S, W_h, size, H, C}, product) {
  product(H, W_h, S);
  for (let u = 0; u < size; u++) {
    const I = (S[u] = sigmoid(S[u]));
    const F = (S[size + u] = sigmoid(S[size + u]));
    const O = (S[2 * size + u] = sigmoid(S[2 * size + u]));
    const C_tilda = (S[3 * size + u] = tanh(S[3 * size + u]));
    C[u] = F * C[u] + I * C_tilda;
    H[u] = O * tanh(C[u]);
  }
}

function stepGRU({S, B, W_h, b_hn, size, H}, product) {
  B.fill(0);
  product(H, W_h, B);
  for (let u = 0; u < size; u++) {
    const Z = (S[u] = sigmoid(S[u] + B[u]));
    const R = (S[size + u] = sigmoid(S[size + u] + B[size + u]));
    const H_tilda = (S[2 * size + u] = tanh(S[2 * size + u] + R * (B[2 * size + u] + b_hn[u])));
    H[u] = Z * H[u] + (1 - Z) * H_tilda;
  }
}

function stepGRUBefore({S, B, W_h, W_hh, size, H}, product) {
  product(H, W_h, S); // of Z and R alone
  for (let u = 0; u < size; u++) {
    S[u] = sigmoid(S[u]);
    S[size + u] = sigmoid(S[size + u]);
    B[u] = S[size + u] * H[u];
  }
  product(B, W_hh, S.subarray(2 * size));
  for (let u = 0; u < size; u++) {
    const Z = S[u], H_tilda = (S[2 * size + u] = tanh(S[2 * size + u]));
    H[u] = Z * H[u] + (1 - Z) * H_tilda;
  }
}

function stepRNN({S, W_h, size, H}, product) {
  product(H, W_h, S);
  for (let u = 0; u < size; u++) H[u] = S[u] = tanh(S[u]);
}

class Stepper {
  constructor(model, useWasm = true) {
    const size = model.num_hiddens, cell = CELLS[model.cell], width = cell.gates.length * size;
    const working = model.num_layers * (2 * pad(width + 8) + 2 * pad(size)) + 2 * pad(model.vocab_size);
    const arena = new Arena(countFloats(model.tensors) + working, useWasm);
    const tensors = readTensors(model, arena);
    this.product = arena.product;
    this.cell = cell;
    this.embedding = tensors.W_e;
    this.layers = Array.from({length: model.num_layers}, (_, k) => {
      const own = {size, S: arena.floats(width + 8), B: arena.floats(width + 8)}; // 8: a product writes whole vectors
      for (const part of cell.state) own[part] = arena.floats(size);
      for (const name of ['W_x', 'W_h', 'W_hh', 'b', 'b_hn']) own[name] = tensors[`layers.${k}.${name}`];
      for (const name of ['b', 'b_hn']) own[name] = own[name]?.values;
      cell.gates.forEach((gate, g) => (own[gate] = own.S.subarray(g * size, (g + 1) * size)));
      return own;
    });
    this.W_hq = tensors.W_hq;
    this.b_q = tensors.b_q.values;
    this.logits = arena.floats(model.vocab_size);
    this.states = this.layers.flatMap((layer) => cell.state.map((part) => layer[part]));
  }

  // Read a character: the state and `logits` (V) become those after it. What a layer did stays to be looked at.
  step(id) {
    let x = null;
    for (const layer of this.layers) {
      layer.S.set(layer.b.subarray(0, layer.S.length - 8));
      if (x) {
        this.product(x, layer.W_x, layer.S);
      } else if (this.embedding) {
        this.product(rowOf(this.embedding, id), layer.W_x, layer.S);
      } else {
        const row = rowOf(layer.W_x, id); // a one-hot input picks a row
        for (let i = 0; i < row.length; i++) layer.S[i] += row[i];
      }
      this.cell.step(layer, this.product);
      x = layer.H;
    }
    this.logits.set(this.b_q.subarray(0, this.logits.length));
    this.product(x, this.W_hq, this.logits);
  }

  // What the units of all layers hold, as whole numbers from -127 to 127: 127 H, and of an LSTM 127 tanh(C) too.
  memory() {
    const {size} = this.layers[0], whole = new Int8Array(this.states.length * size);
    this.states.forEach((part, k) => {
      const isCell = this.cell.state[k % this.cell.state.length] === 'C';
      for (let u = 0; u < size; u++) whole[k * size + u] = Math.round(127 * (isCell ? tanh(part[u]) : part[u]));
    });
    return whole;
  }

  // Where a memory has a unit of a layer; `part` is H or C.
  indexOf(layer, part, unit) {
    const {state} = this.cell;
    return (layer * state.length + state.indexOf(part)) * this.layers[0].size + unit;
  }

  // The state before the first character.
  reset() {
    for (const part of [...this.states, this.logits, ...this.layers.map((layer) => layer.S)]) part.fill(0);
  }

  // A copy of the state and the logits: a place to come back to.
  save() {
    return [...this.states, this.logits].map((array) => array.slice());
  }

  restore(saved) {
    for (const layer of this.layers) layer.S.fill(0);
    [...this.states, this.logits].forEach((array, i) => array.set(saved[i]));
  }
}

function rowOf(matrix, row) {
  return matrix.values.subarray(row * matrix.columns, (row + 1) * matrix.columns);
}
