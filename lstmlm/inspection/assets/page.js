'use strict';
// The page: what the controls do to the tape, and what the views show of it, frame by frame.

const FRAME = 10; // milliseconds of a frame that the model may compute; more where a frame takes longer anyway
const LONGEST_FRAME = 150;

class Page {
  constructor(model) {
    this.element = (id) => document.getElementById(id);
    this.model = model;
    this.alphabet = makeAlphabet(model);
    this.stepper = new Stepper(model);
    this.tape = new Tape(this.stepper, this.alphabet);
    this.text = new TextView(this.element('text'), this.element('mark'));
    this.next = new NextView(this.element('next'), (id) => this.choose(id));
    this.layers = new LayerView(this.element('parts'), model, (unit, part) => this.shadeByUnit(unit, part));
    this.controls = new Controls(() => this.refresh());
    this.mode = 'idle'; // or 'writing', or 'paused': then `generator` goes on where it was
    this.generator = null;
    this.unread = []; // ids of the words that are typed and not read yet
    this.words = 0; // characters of the tape that were typed
    this.origin = 0; // where the model began to write
    this.written = 0; // characters since it began, or went on
    this.due = 0; // characters that the speed allows now
    this.rate = {since: 0, count: 0, shown: null};
    this.computed = 0; // milliseconds of the last frame
    describeModel(model, this.element);
    listen(this);
  }

  // Words that are typed: read, character by character, in the coming frames

  setWords() {
    const encoded = this.alphabet.encode(this.element('prompt').value), {ids} = encoded;
    this.element('notice').textContent = describeReplaced(encoded);
    const empty = ids.length === 0; // then a first character is read that is not shown
    const wanted = empty ? [this.model.first] : ids, most = empty || this.tape.pieces[0] === '' ? 0 : this.words;
    let shared = 0;
    while (shared < Math.min(most, this.tape.length) && wanted[shared] === this.tape.ids[shared]) shared++;
    this.mode = 'idle';
    this.words = wanted.length;
    this.origin = this.words;
    this.tape.seek(shared);
    this.tape.truncate();
    this.unread = wanted.slice(shared);
    if (empty) {
      this.tape.read(this.unread.pop(), true);
      this.tape.pieces[0] = '';
    }
    this.refresh();
  }

  // The buttons

  go() {
    if (this.mode === 'writing') this.pause();
    else if (this.tape.position < this.tape.length) this.start(this.tape.position);
    else if (this.mode === 'paused') this.setMode('writing');
    else this.start(this.words);
  }

  // Write from a place on, with a fresh generator.
  start(position) {
    this.cutWords(position);
    if (!this.unread.length) this.tape.seek(position);
    this.generator = new MersenneTwister(this.controls.seed);
    this.origin = position;
    this.setMode('writing');
  }

  // Of the words no more than `position` characters stay.
  cutWords(position) {
    if (position >= this.words) return;
    this.words = position;
    this.element('prompt').value = this.tape.pieces.slice(0, position).join('');
    this.element('notice').textContent = '';
  }

  pause() {
    this.setMode('paused');
  }

  stop() {
    this.tape.seek(this.tape.length);
    this.setMode('idle');
  }

  another() {
    this.controls.nextSeed();
    this.start(this.origin);
  }

  setMode(mode) {
    this.mode = mode;
    this.written = 0;
    this.due = 0;
    this.rate = {since: 0, count: 0, shown: null};
    this.say({idle: 'stopped', writing: 'writing', paused: 'paused'}[mode]);
    this.refresh();
  }

  // A character that a person chose among the next ones.
  choose(id) {
    if (this.unread.length) return;
    this.cutWords(this.tape.position);
    this.tape.read(id, true);
    this.origin = this.tape.length;
    this.generator = new MersenneTwister(this.controls.seed);
    this.setMode('paused');
  }

  // The mark

  // To a place of the text; by keyboard it is spoken and scrolled to, once it is shown.
  moveTo(position, byKeyboard = false) {
    if (this.unread.length) return;
    if (this.mode === 'writing') this.mode = 'paused';
    this.tape.seek(Math.max(1, Math.min(position, this.tape.length)));
    this.moved = byKeyboard;
    this.refresh();
  }

  // Shades

  shadeByUnit(unit, part) {
    const shading = this.element('shading');
    if (this.stepper.cell.state.includes(part)) shading.value = part;
    else if (shading.value === 'surprisal') [shading.value] = this.stepper.cell.state.slice(-1);
    this.element('unit').value = unit;
    this.reshade();
  }

  reshade() {
    const part = this.element('shading').value, byUnit = part !== 'surprisal', field = this.element('unit');
    const chosen = byUnit && field.validity.valid && field.value !== '' ? Number(field.value) : null;
    const index = this.stepper.indexOf(Number(this.element('layer').value), part, chosen);
    this.element('unit-label').hidden = !byUnit;
    this.element('scale').className = byUnit ? 'signed' : '';
    this.element('low').textContent = byUnit ? '−1' : 'expected';
    this.element('high').textContent = byUnit ? '1' : 'a surprise';
    this.layers.choose(chosen);
    this.text.shadeOf = (i) => {
      const shade = chosen === null ? surprisalShade(this.tape, i) : unitShade(this.tape, i, index);
      return this.tape.own[i] ? `${shade} own` : shade;
    };
    this.text.clear();
    this.tape.kept = 0;
    this.refresh();
  }

  // Frames

  refresh() {
    this.frame ??= requestAnimationFrame((time) => {
      this.frame = null;
      const begin = performance.now();
      this.compute(time);
      this.computed = performance.now() - begin;
      this.show(time);
      if (this.unread.length || this.mode === 'writing') this.refresh();
    });
  }

  compute(time) {
    const elapsed = Math.min(time - (this.last ?? time), 250);
    const end = performance.now() + Math.max(FRAME, Math.min(3 * (elapsed - this.computed), LONGEST_FRAME));
    let read = 0;
    this.last = time;
    while (read < this.unread.length && performance.now() < end) this.tape.read(this.unread[read++], true);
    this.unread.splice(0, read);
    if (this.unread.length || this.mode !== 'writing') return;
    const {settings, speed} = this.controls;
    const most = Math.max(1, speed / 4); // after a pause of the browser
    this.due = speed === Infinity ? Infinity : Math.min(this.due + (speed * elapsed) / 1000, most);
    while (this.due >= 1 && performance.now() < end) {
      this.tape.write(settings, this.generator);
      this.due--;
      this.rate.count++;
      if (++this.written >= this.controls.length) {
        this.setMode('paused');
        break;
      }
    }
    if (!this.rate.since) this.rate = {since: time, count: 0, shown: null};
    if (time - this.rate.since > 1000) {
      this.rate = {since: time, count: 0, shown: (1000 * this.rate.count) / (time - this.rate.since)};
    }
  }

  show(time) {
    const {tape} = this, paper = this.element('paper');
    const follows = paper.scrollTop + paper.clientHeight > paper.scrollHeight - 60;
    this.text.show(tape, tape.kept);
    tape.kept = tape.length;
    if (this.mode !== 'writing' && !this.unread.length) this.text.showRest(tape.decode.rest());
    const atEnd = tape.position === tape.length, marked = tape.length > 0 && !this.unread.length;
    this.text.moveMark(marked ? tape.position : null);
    if (follows && atEnd) paper.scrollTop = paper.scrollHeight;
    this.element('here').hidden = atEnd;
    const {left, top} = this.element('mark').style;
    [this.element('here').style.left, this.element('here').style.top] = [`min(${left}, 100% - 10rem)`, top];
    this.element('go').textContent =
      this.mode === 'writing' ? 'Pause' : !atEnd ? 'Continue from here' : this.mode === 'paused' ? 'Go on' : 'Write';
    this.element('stop').disabled = this.mode === 'idle';
    document.body.className = `${this.mode} ${this.controls.speed > 200 ? 'fast' : ''}`;
    if (marked) this.showInside(atEnd);
    if (marked && this.moved) {
      this.moved = false;
      this.element('mark').scrollIntoView({block: 'nearest'});
      this.say(describeMark(tape, this.next));
    }
    if (this.mode === 'writing' && time - this.told < 250) return;
    this.told = time;
    this.element('statistics').textContent = describeText(this.tape, this.mode === 'writing' ? this.rate.shown : null);
  }

  showInside(atEnd) {
    const {tape} = this, believed = computeSurprisals(this.stepper.logits).map((nats) => Math.exp(-nats));
    this.next.show(this.alphabet, tape.distribution(this.controls.settings), believed, tape.ids[tape.position]);
    const from = Math.max(0, tape.position - 12);
    const before = tape.pieces.slice(from, tape.position).join('').replaceAll('\n', '↵');
    this.element('place').textContent = atEnd ? '' : `after “${from ? '…' : ''}${before}”`;
    this.layers.show(this.stepper.layers[this.element('layer').value]);
  }

  say(text) {
    this.element('said').textContent = text;
  }
}

const page = new Page(JSON.parse(document.getElementById('model').textContent));
page.reshade();
page.setWords();
if (!matchMedia('(prefers-reduced-motion: reduce)').matches) page.start(page.words);
