'use strict';
// What the units of a layer do: for each gate and state a field of squares, a square for each unit.

// part: (its name, what it is for, whether it lies between -1 and 1 rather than 0 and 1)
const PARTS = {
  I: ['input gate', 'how much comes in', false],
  F: ['forget gate', 'how much is kept', false],
  O: ['output gate', 'how much is shown', false],
  Z: ['update gate', 'how much is kept', false],
  R: ['reset gate', 'how much is recalled', false],
  C_tilda: ['candidate', 'what would come in', true],
  H_tilda: ['candidate', 'what would come in', true],
  C: ['cell', 'the long memory', true],
  H: ['hidden state', 'what is passed on', true],
};

class LayerView {
  // `choose` is called with a unit that was clicked, and the part in which it was.
  constructor(container, model, choose) {
    const cell = CELLS[model.cell], size = model.num_hiddens;
    const names = [...cell.gates, ...[...cell.state].reverse()].filter((name) => model.cell !== 'rnn' || name === 'H');
    this.columns = Math.min(size, Math.ceil(Math.sqrt(4 * size)));
    this.size = size;
    this.chosen = null;
    this.fields = names.map((name) => {
      const figure = document.createElement('figure'), caption = document.createElement('figcaption');
      const canvas = document.createElement('canvas'), value = document.createElement('span');
      const title = document.createElement('b'), purpose = document.createElement('span');
      const rows = Math.ceil(size / this.columns), frame = document.createElement('div'), chosen = document.createElement('i');
      [title.textContent, purpose.textContent] = PARTS[name];
      value.className = 'value';
      purpose.className = 'purpose';
      frame.className = 'field';
      [canvas.width, canvas.height] = [this.columns, rows];
      canvas.setAttribute('role', 'img');
      const unitAt = (event) => {
        const {left, top, width, height} = canvas.getBoundingClientRect();
        const column = Math.floor(((event.clientX - left) / width) * this.columns);
        const unit = Math.floor(((event.clientY - top) / height) * rows) * this.columns + column;
        return unit >= 0 && unit < size ? unit : null;
      };
      const field = {name, canvas, value, chosen, context: canvas.getContext('2d'), pointed: null};
      canvas.addEventListener('pointermove', (event) => {
        field.pointed = unitAt(event);
        this.label(field);
      });
      canvas.addEventListener('pointerleave', () => {
        field.pointed = null;
        this.label(field);
      });
      canvas.addEventListener('click', (event) => unitAt(event) !== null && choose(unitAt(event), name));
      frame.append(canvas, chosen);
      caption.append(title, value, purpose);
      figure.append(caption, frame);
      container.append(figure);
      field.pixels = field.context.createImageData(this.columns, rows);
      return field;
    });
    this.readColors();
  }

  // The colours of the style sheet, as tables of 256.
  readColors() {
    const style = getComputedStyle(document.documentElement);
    const color = (name) => style.getPropertyValue(name).split(',').map(Number);
    this.gate = blend([color('--field'), color('--gate')]);
    this.signed = blend([color('--negative'), color('--field'), color('--positive')]);
  }

  show(layer) {
    this.layer = layer;
    for (const field of this.fields) {
      const values = layer[field.name], signed = PARTS[field.name][2], colors = signed ? this.signed : this.gate;
      const {data} = field.pixels;
      let sum = 0;
      for (let u = 0; u < this.size; u++) {
        const value = field.name === 'C' ? tanh(values[u]) : values[u];
        const at = 3 * Math.round(255 * (signed ? (value + 1) / 2 : value));
        data[4 * u] = colors[at];
        data[4 * u + 1] = colors[at + 1];
        data[4 * u + 2] = colors[at + 2];
        data[4 * u + 3] = 255;
        sum += signed ? Math.abs(value) : value;
      }
      field.mean = sum / this.size;
      field.context.putImageData(field.pixels, 0, 0);
      this.label(field);
    }
  }

  // The value of the unit that is pointed at or chosen, or else the mean.
  label(field) {
    const unit = field.pointed ?? this.chosen, [title, , signed] = PARTS[field.name];
    const text = unit === null
      ? `${signed ? '± ' : '⌀ '}${field.mean.toFixed(2)}`
      : `${unit}: ${this.layer[field.name][unit].toFixed(2)}`;
    if (field.value.textContent === text) return;
    field.value.textContent = text;
    const spoken = unit === null ? `${signed ? 'mean size' : 'mean'} ${field.mean.toFixed(2)}` : `unit ${text}`;
    field.canvas.setAttribute('aria-label', `${title}, ${spoken}`);
  }

  // Frame a unit in every field; null: none.
  choose(unit) {
    this.chosen = unit;
    const rows = Math.ceil(this.size / this.columns);
    for (const field of this.fields) {
      field.chosen.hidden = unit === null;
      field.chosen.style.left = `${(100 * (unit % this.columns)) / this.columns}%`;
      field.chosen.style.top = `${(100 * Math.floor(unit / this.columns)) / rows}%`;
      field.chosen.style.width = `${100 / this.columns}%`;
      field.chosen.style.height = `${100 / rows}%`;
      if (this.layer) this.label(field);
    }
  }
}

// 256 colours, [r, g, b, r, g, b, ...], evenly through the given ones.
function blend(stops) {
  const table = new Uint8ClampedArray(3 * 256);
  for (let i = 0; i < 256; i++) {
    const at = (i / 255) * (stops.length - 1), k = Math.min(Math.floor(at), stops.length - 2);
    for (let c = 0; c < 3; c++) table[3 * i + c] = stops[k][c] + (at - k) * (stops[k + 1][c] - stops[k][c]);
  }
  return table;
}
