'use strict';
// The weights as they stand in the page: base64 of tensors that follow each other, row by row, in 4, 2 or 1 bytes.

function bytesOfBase64(text) {
  const decoded = atob(text), bytes = new Uint8Array(decoded.length);
  for (let i = 0; i < bytes.length; i++) bytes[i] = decoded.charCodeAt(i);
  return bytes;
}

// A function that takes the next `count` numbers from the bytes, in one of the forms of page.py.
function makeReader(bytes) {
  let at = 0;
  const take = (count, Type) => {
    const end = at + count * Type.BYTES_PER_ELEMENT, array = new Type(bytes.slice(at, end).buffer);
    at = end;
    return array;
  };
  return {
    float32: (count) => take(count, Float32Array),
    // bfloat16 is the upper half of a float32
    bf16: (count) => new Float32Array(Uint32Array.from(take(count, Uint16Array), (half) => half << 16).buffer),
    // 8-bit numbers after one scale for each column
    int8: (count, columns) => {
      const scales = take(columns, Float32Array);
      return Float32Array.from(take(count, Int8Array), (value, i) => value * scales[i % columns]);
    },
  };
}

// Floats that all tensors need in an Arena.
function countFloats(tensors) {
  return tensors.reduce((sum, {shape: [rows, columns]}) => sum + pad(rows) * pad(columns), 0);
}

// name -> {values, rows, columns}: each tensor (a vector is one row) in the arena, filled up with zeros.
function readTensors(model, arena) {
  const reader = makeReader(bytesOfBase64(model.data)), tensors = {};
  for (const {name, shape: [rows, columns], form} of model.tensors) {
    const dense = reader[form](rows * columns, columns), width = pad(columns);
    const values = arena.floats(pad(rows) * width);
    for (let row = 0; row < rows; row++) values.set(dense.subarray(row * columns, (row + 1) * columns), row * width);
    tensors[name] = {values, rows: pad(rows), columns: width};
  }
  return tensors;
}
