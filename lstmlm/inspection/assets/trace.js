'use strict';
// A trace as a table, a column for each character; the chosen one is told in words.

const GATE_LEVELS = [0.1, 0.3, 0.5, 0.7, 0.8, 0.9, 0.97];

class TraceView {
  constructor(data) {
    this.data = data;
    this.columns = data.symbols.map(() => []); // the cells of each character
    this.chosen = null;
    this.reach = data.units.map((unit) => Math.max(...unit.C.map(Math.abs), 1e-6));
    document.getElementById('title').textContent = data.title;
    document.getElementById('facts').textContent = `layer ${data.layer} while the model reads: point at a character`;
    const table = document.getElementById('trace');
    this.addRow(table, ['character read'], 'symbol', (t) => [data.symbols[t], '']);
    this.addRow(table, ['its cost in nats'], '', (t) => {
      const nats = data.nats[t];
      return nats === null ? ['', ''] : [nats.toFixed(1), shadeOf('s', SURPRISAL_LEVELS, nats)];
    });
    ['likeliest next', 'second', 'third'].slice(0, data.likeliest[0].length).forEach((name, rank) => {
      this.addRow(table, [name], 'next', (t) => [data.likeliest[t][rank][0], shadeOf('p', UNIT_LEVELS, data.likeliest[t][rank][1])]);
    });
    data.units.forEach((unit, k) => {
      data.rows.forEach(({column, name}, row) => {
        const heading = row ? [`  ${name}`] : [`  ${name}`, `unit ${unit.unit} ${unit.why}`];
        this.addRow(table, heading, '', (t) => this.showValue(unit[column][t], column, this.reach[k]));
      });
    });
    const frame = document.getElementById('frame');
    // not pointerover, which also comes when the page moves under a pointer that rests
    table.addEventListener('pointermove', (event) => this.choose(Number(event.target.dataset?.place ?? this.chosen)));
    table.addEventListener('click', (event) => this.choose(Number(event.target.dataset?.place ?? this.chosen)));
    frame.addEventListener('keydown', (event) => {
      const step = {ArrowLeft: -1, ArrowRight: 1}[event.key];
      if (!step) return;
      event.preventDefault();
      this.choose(Math.max(0, Math.min(this.chosen + step, data.symbols.length - 1)));
      this.columns[this.chosen][0].scrollIntoView({block: 'nearest', inline: 'nearest'});
    });
    this.choose(0);
  }

  showValue(value, column, reach) {
    const text = value.toFixed(Math.abs(value) >= 10 ? 0 : 1).replace(/^-0\.0$/, '0.0').replace('-', '−').replace(/^(−?)0\./, '$1.');
    return [text, column === 'C' ? shadeOf(value < 0 ? 'n' : 'p', UNIT_LEVELS, Math.abs(value) / reach) : shadeOf('s', GATE_LEVELS, value)];
  }

  addRow(table, [name, group], kind, cellOf) {
    if (group) {
      const row = table.insertRow(), head = document.createElement('th'), strong = document.createElement('b');
      row.className = 'space';
      head.colSpan = this.data.symbols.length + 1;
      strong.textContent = group;
      head.append(strong);
      row.append(head);
    }
    const row = table.insertRow(), head = document.createElement('th');
    head.scope = 'row';
    head.textContent = name;
    row.append(head);
    this.columns.forEach((cells, t) => {
      const cell = row.insertCell(), [text, shade] = cellOf(t);
      cell.textContent = text;
      cell.className = `${kind} ${shade}`;
      cell.dataset.place = t;
      cells.push(cell);
    });
  }

  choose(place) {
    if (!Number.isInteger(place) || place === this.chosen) return;
    for (const cell of this.columns[this.chosen] ?? []) cell.classList.remove('chosen');
    for (const cell of this.columns[place]) cell.classList.add('chosen');
    this.chosen = place;
    document.getElementById('said').textContent = this.describe(place);
  }

  describe(t) {
    const {symbols, nats, likeliest, units, rows} = this.data, percent = (p) => `${(100 * p).toFixed(p < 0.1 ? 1 : 0)} %`;
    const next = likeliest[t].map(([symbol, p]) => `${symbol} (${percent(p)})`).join(', ');
    const lines = [`${symbols[t]}${nats[t] === null ? '' : ` cost ${nats[t].toFixed(2)} nats`}. Likeliest next: ${next}.`];
    for (const unit of units) {
      const before = t ? unit.C[t - 1] : 0, gates = rows.filter(({column}) => column !== 'C');
      const told = gates.map(({column, name}) => `${name} ${percent(unit[column][t])}`).join(', ');
      lines.push(`Unit ${unit.unit} ${unit.why}: ${told}; cell from ${before.toFixed(2)} to ${unit.C[t].toFixed(2)}.`.replaceAll('-', '−'));
    }
    return lines.join('\n');
  }
}

function shadeOf(letter, levels, value) {
  const level = countLevels(levels, value);
  return level ? letter + level : '';
}

const trace = new TraceView(JSON.parse(document.getElementById('data').textContent));
