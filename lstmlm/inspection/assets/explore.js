'use strict';
// The page: a unit and a place are chosen, and everything shows what is known of them.

const CONTEXT = 22; // characters shown before a place in a list
const SHARE_LEVELS = [0.01, 0.02, 0.04, 0.07, 0.11, 0.17, 0.25]; // of the gradient: from each on one shade darker

class Explorer {
  constructor(data) {
    this.element = (id) => document.getElementById(id);
    this.data = data;
    this.excerpt = new Excerpt(data);
    this.text = new TextView(this.element('text'), this.element('mark'));
    this.column = 0;
    this.position = 1; // characters before the mark
    this.element('title').textContent = data.title;
    this.element('facts').textContent = describeFacts(data);
    this.element('method').textContent = describeMethod(data);
    for (let k = 0; k < data.num_layers; k++) this.element('layer').append(new Option(k, k));
    this.element('unit').max = data.num_hiddens - 1;
    this.element('part-label').hidden = data.cell !== 'lstm';
    this.buttons = data.findings.map((finding) => this.addFinding(finding));
    this.listen();
    if (data.findings.length) this.chooseFinding(data.findings[0]);
    else this.choose(0, null);
    this.moveTo(Math.min(this.excerpt.length, 200));
  }

  addFinding(finding) {
    const item = document.createElement('li'), button = document.createElement('button'), bar = document.createElement('i');
    const name = document.createElement('b'), r = document.createElement('span'), who = document.createElement('small');
    const frame = document.createElement('span');
    button.type = 'button';
    name.textContent = finding.feature;
    r.className = 'r';
    r.textContent = finding.r.toFixed(2).replace('-', '−');
    who.textContent = describeFinding(finding);
    who.className = timesMedian(finding) >= CONFIRMED ? 'confirmed' : '';
    frame.className = 'bar';
    frame.append(bar);
    bar.style.width = `${Math.abs(finding.r) * 100}%`;
    button.append(name, r, who, frame);
    button.addEventListener('click', () => this.chooseFinding(finding));
    item.append(button);
    this.element('findings').append(item);
    return button;
  }

  listen() {
    for (const id of ['layer', 'unit', 'part']) this.element(id).addEventListener('input', () => this.chooseByFields());
    this.element('shading').addEventListener('change', () => this.show());
    for (const id of ['scope', 'width']) this.element(id).addEventListener('input', () => this.showSimilar());
    this.element('text').addEventListener('click', (event) => this.click(event));
    this.element('text').addEventListener('keydown', (event) => this.press(event));
    addEventListener('resize', () => this.text.moveMark(this.position));
  }

  // The unit

  chooseFinding(finding) {
    this.choose(this.excerpt.find(finding.layer, finding.unit, finding.part), finding);
  }

  chooseByFields() {
    const number = (id) => Number(this.element(id).value), unit = this.element('unit');
    if (!unit.validity.valid) return;
    const part = this.data.cell === 'lstm' ? this.element('part').value : 'H';
    const column = this.excerpt.find(number('layer'), number('unit'), part);
    if (column < 0) this.element('unit-facts').textContent = 'This hidden state is not in the file: only the cells, and the hidden states in the list, are.';
    else this.choose(column, null);
  }

  choose(column, finding) {
    const {layer, unit, part} = this.excerpt.columns[column];
    this.column = column;
    const known = (one) => one.layer === layer && one.unit === unit && one.part === part;
    this.finding = finding ?? this.data.findings.find(known) ?? null;
    this.buttons.forEach((button, k) => button.setAttribute('aria-pressed', this.data.findings[k] === this.finding));
    this.element('layer').value = layer;
    this.element('unit').value = unit;
    this.element('part').value = part;
    this.element('unit-facts').textContent = describeUnit(this.excerpt.columns[column], this.finding);
    this.show();
  }

  // The text

  show() {
    const bySurprisal = this.element('shading').value === 'surprisal', values = this.excerpt.values(this.column);
    const {mean, scale} = this.excerpt.columns[this.column], signed = (x) => x.toFixed(1).replace('-', '−');
    this.element('scale').className = bySurprisal ? 'surprisal' : '';
    this.element('low').textContent = bySurprisal ? 'expected' : signed(mean - scale);
    this.element('high').textContent = bySurprisal ? 'a surprise' : signed(mean + scale);
    this.text.shadeOf = (i) => {
      if (bySurprisal) return shade('s', SURPRISAL_LEVELS, this.excerpt.nats[i]);
      return shade(values[i] < 0 ? 'n' : 'p', UNIT_LEVELS, Math.abs(values[i]) / 127);
    };
    const top = this.element('paper').scrollTop;
    this.text.clear();
    this.text.show(this.excerpt, 0);
    this.element('paper').scrollTop = top;
    this.text.moveMark(this.position);
    this.list('highest', this.excerpt.findExtremes(this.column, 1));
    this.list('lowest', this.excerpt.findExtremes(this.column, -1));
    this.showPlace();
  }

  click(event) {
    const selection = getSelection();
    if (!selection.isCollapsed && this.element('text').contains(selection.anchorNode)) {
      const ends = [[selection.anchorNode, selection.anchorOffset], [selection.focusNode, selection.focusOffset]];
      const [from, to] = ends.map(([node, offset]) => this.text.positionIn(node, offset)).sort((a, b) => a - b);
      this.element('width').value = Math.max(1, Math.min(to - from, 60));
      this.moveTo(to);
      return;
    }
    const position = this.text.positionAt(event.clientX, event.clientY);
    if (position !== null) this.moveTo(position);
  }

  press(event) {
    const tape = {position: this.position, length: this.excerpt.length, pieces: this.excerpt.pieces};
    const to = findPlace({tape, text: this.text}, event);
    if (to === null) return;
    event.preventDefault();
    this.moveTo(to, true);
  }

  moveTo(position, into = false) {
    this.position = Math.max(1, Math.min(position, this.excerpt.length));
    this.text.moveMark(this.position);
    if (into) this.element('mark').scrollIntoView({block: 'nearest'});
    this.showPlace();
    if (into) this.element('said').textContent = `${this.element('place').textContent} ${this.element('here').textContent}`;
  }

  // The place

  showPlace() {
    const at = this.position - 1, {pieces, nats: costs} = this.excerpt, name = showAlone(pieces[at] || '\ufffd').name;
    this.element('place').textContent = `after “${this.textBefore(at, 12)}”`;
    this.element('here').textContent =
      `The state is ${this.excerpt.valueAt(this.column, at).toFixed(2)} after ${name}, which cost ${costs[at].toFixed(1)} nats.`;
    const shares = this.excerpt.sharesAt(at), strip = this.element('strip');
    strip.replaceChildren();
    for (let back = Math.min(this.excerpt.window - 1, at); shares && back >= 0; back--) {
      const span = document.createElement('span');
      span.className = shade('s', SHARE_LEVELS, shares[back]);
      span.textContent = pieces[at - back].replaceAll('\n', '↵');
      strip.append(span);
    }
    this.element('rests').textContent = describeRests(shares, at);
    this.showSimilar();
  }

  showSimilar() {
    const width = this.element('width').validity.valid ? Number(this.element('width').value) : 1;
    const columns = this.excerpt.scope(this.column, this.element('scope').value === 'layer');
    const {places, count} = this.excerpt.findSimilar(columns, this.position - 1, width);
    const share = ((100 * count) / this.excerpt.length).toFixed(1);
    this.element('similar-count').textContent =
      columns.length > 1 ? 'The places whose states are nearest:' : `In about the same state: ${share} % of the characters. The nearest:`;
    this.list('similar', places);
  }

  list(id, places) {
    this.element(id).replaceChildren(...places.map((i) => {
      const item = document.createElement('li'), button = document.createElement('button'), mark = document.createElement('b');
      const {pieces} = this.excerpt, after = pieces.slice(i + 1, i + 20).join('').replaceAll('\n', '↵');
      mark.textContent = pieces[i].replaceAll('\n', '↵');
      mark.className = this.text.shadeOf(i);
      button.type = 'button';
      button.append(this.textBefore(i - 1, CONTEXT), mark, after);
      button.addEventListener('click', () => this.moveTo(i + 1, true));
      item.append(button);
      return item;
    }));
  }

  // The characters up to the i-th, in one line.
  textBefore(i, count) {
    const from = Math.max(0, i + 1 - count);
    return (from ? '…' : '') + this.excerpt.pieces.slice(from, i + 1).join('').replaceAll('\n', '↵');
  }
}

function shade(letter, levels, value) {
  const level = countLevels(levels, value);
  return level ? letter + level : '';
}

const explorer = new Explorer(JSON.parse(document.getElementById('data').textContent));
