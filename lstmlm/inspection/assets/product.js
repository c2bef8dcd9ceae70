'use strict';
// The one loop that takes time: y += x W. Four columns at once in WebAssembly; where a browser lacks it, in JavaScript.

// Memory that both can address. Every array begins at a multiple of 16 bytes and has zeros around it.
class Arena {
  constructor(numFloats, useWasm = true) {
    const bytes = numFloats * 4 + 64, memory = new WebAssembly.Memory({initial: Math.ceil(bytes / 65536)});
    this.buffer = memory.buffer;
    this.used = 0;
    this.product = (useWasm && compileProduct(memory)) || productInJavaScript;
  }

  // A dense array of `length` floats, with zeros up to the next multiple of 8.
  floats(length) {
    const array = new Float32Array(this.buffer, this.used, length);
    this.used += pad(length) * 4;
    return array;
  }
}

// Columns and rows of a matrix are filled up with zeros to a multiple of 8, so no loop has a rest.
function pad(length) {
  return Math.ceil(length / 8) * 8;
}

// y (columns) += x (rows) W (rows, columns). W is {values, rows, columns}, its padded sizes.
function productInJavaScript(x, W, y) {
  const {values: w, rows, columns} = W, buffer = y.buffer;
  x = new Float32Array(buffer, x.byteOffset, rows);
  y = new Float32Array(buffer, y.byteOffset, columns);
  for (let k = 0; k < rows; k += 8) {
    const x0 = x[k], x1 = x[k + 1], x2 = x[k + 2], x3 = x[k + 3];
    const x4 = x[k + 4], x5 = x[k + 5], x6 = x[k + 6], x7 = x[k + 7];
    const a = k * columns, b = a + columns, c = b + columns, d = c + columns;
    const e = d + columns, f = e + columns, g = f + columns, h = g + columns;
    for (let j = 0; j < columns; j++) {
      y[j] += x0 * w[a + j] + x1 * w[b + j] + x2 * w[c + j] + x3 * w[d + j] +
        x4 * w[e + j] + x5 * w[f + j] + x6 * w[g + j] + x7 * w[h + j];
    }
  }
}

// The same in WebAssembly, or null where it cannot be had.
function compileProduct(memory) {
  try {
    const module = new WebAssembly.Module(assembleProduct());
    const {product} = new WebAssembly.Instance(module, {page: {memory}}).exports;
    return (x, W, y) => product(x.byteOffset, W.values.byteOffset, y.byteOffset, W.rows, W.columns * 4);
  } catch {
    return null; // no vector instructions, or forbidden
  }
}

// The binary of a module with one function, instruction by instruction. For 8 rows at a time:
//     for each 4 columns: y = y + (x[0] W[0] + ... + x[7] W[7])
// The eight are summed in pairs, which rounds less than one after another.
function assembleProduct() {
  const [I32, V128, FUNC, VOID] = [0x7f, 0x7b, 0x60, 0x40];
  const [X, W, Y, ROWS, STRIDE, END, TO, COLUMN, FROM, SPLAT] = [0, 1, 2, 3, 4, 5, 6, 7, 8, 9]; // local variables
  const get = (local) => [0x20, local], set = (local) => [0x21, local], tee = (local) => [0x22, local];
  const constant = (value) => [0x41, value], loop = (...body) => [0x03, VOID, body, 0x0b];
  const [add, subtract, shiftLeft, lessThan, repeatIf] = [0x6a, 0x6b, 0x74, 0x49, [0x0d, 0]];
  const load = [0xfd, 0x00, 0, 0], loadSplat = (offset) => [0xfd, 0x09, 2, offset], store = [0xfd, 0x0b, 0, 0];
  const addVectors = [0xfd, 0xe4, 0x01], multiplyVectors = [0xfd, 0xe6, 0x01];
  const eight = [0, 1, 2, 3, 4, 5, 6, 7];
  const term = (i) => [i ? [get(FROM), get(STRIDE), add] : get(COLUMN), tee(FROM), load, get(SPLAT + i), multiplyVectors];
  const sum = (terms, half = terms.length / 2) =>
    terms.length === 1 ? terms : [sum(terms.slice(0, half)), sum(terms.slice(half)), addVectors];

  const code = loop(
    eight.map((i) => [get(X), loadSplat(4 * i), set(SPLAT + i)]),
    get(Y), set(TO), get(W), set(COLUMN),
    get(Y), get(STRIDE), add, set(END),
    loop(
      get(TO), get(TO), load, sum(eight.map(term)), addVectors, store,
      get(COLUMN), constant(16), add, set(COLUMN),
      get(TO), constant(16), add, tee(TO), get(END), lessThan, repeatIf,
    ),
    get(X), constant(32), add, set(X),
    get(W), get(STRIDE), constant(3), shiftLeft, add, set(W),
    get(ROWS), constant(8), subtract, tee(ROWS), repeatIf,
  );
  const size = (n) => (n < 128 ? [n] : [(n & 127) | 128, n >> 7]);
  const block = (...parts) => {
    const bytes = parts.flat(Infinity);
    return [size(bytes.length), bytes];
  };
  const name = (text) => block([...text].map((char) => char.charCodeAt(0)));
  const localVariables = [2, [4, I32], [8, V128]];
  return Uint8Array.from([
    [0, 0x61, 0x73, 0x6d, 1, 0, 0, 0],
    [1, block(1, FUNC, 5, I32, I32, I32, I32, I32, 0)], // types
    [2, block(1, name('page'), name('memory'), 2, 0, 1)], // imports: a memory of 1 page or more
    [3, block(1, 0)], // functions, by type
    [7, block(1, name('product'), 0, 0)], // exports
    [10, block(1, block(localVariables, code, 0x0b))],
  ].flat(Infinity));
}
