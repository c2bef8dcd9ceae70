'use strict';
// A text and the model's state in it. The state is that after `position` characters, and can be taken to any place.

const SPACING = 64; // characters between two saved states
const REMEMBERED = 20000; // characters, the last ones, of which the memories are kept

class Tape {
  constructor(stepper, alphabet) {
    this.stepper = stepper;
    this.alphabet = alphabet;
    this.clear();
  }

  clear() {
    this.ids = [];
    this.surprisals = []; // of each character in nats; of the first, null
    this.pieces = []; // what each adds to the text
    this.own = []; // whether a person wrote it, not the model
    this.memories = []; // what every unit holds after it, as Stepper.memory gives it; or null
    this.kept = 0; // of the text as it stood when this was last set to `length`, the characters that stand there still
    this.saved = []; // states after 0, SPACING, 2 SPACING, ... characters
    this.decode = this.alphabet.decoder();
    this.position = 0;
    this.stepper.reset();
    this.saved.push(this.stepper.save());
  }

  get length() {
    return this.ids.length;
  }

  // Append a character and read it. What stood after the position is gone.
  read(id, own) {
    this.truncate();
    this.surprisals.push(this.length ? computeSurprisals(this.stepper.logits)[id] : null);
    this.ids.push(id);
    this.own.push(own);
    this.pieces.push(this.decode(id));
    this.step(id);
    this.memories.push(this.stepper.memory());
    if (this.length > REMEMBERED) this.memories[this.length - 1 - REMEMBERED] = null;
    if (this.length % SPACING === 0) this.saved.push(this.stepper.save());
  }

  // Draw a character and read it.
  write(settings, generator) {
    const probs = this.distribution(settings);
    this.read(draw(probs, generator.uniform()), false);
  }

  // What the next character is drawn from, up to a factor.
  distribution(settings) {
    const seen = this.ids.slice(Math.max(0, this.position - settings.penaltyWindow), this.position);
    return computeDistribution(this.stepper.logits, seen, settings, this.alphabet.unk);
  }

  step(id) {
    this.stepper.step(id);
    this.position++;
  }

  // Take the state to the place after `position` characters; the text stays as it is. At least one character is read
  // again after a saved state, which has no gates.
  seek(position) {
    if (position < this.position || position - this.position > SPACING) {
      const nearest = Math.max(0, Math.ceil(position / SPACING) - 1);
      this.stepper.restore(this.saved[nearest]);
      this.position = nearest * SPACING;
    }
    while (this.position < position) this.step(this.ids[this.position]);
  }

  // Forget what stands after the position.
  truncate() {
    if (this.position === this.length) return;
    const lists = [this.ids, this.surprisals, this.pieces, this.own, this.memories];
    for (const list of lists) list.length = this.position;
    this.kept = Math.min(this.kept, this.position);
    this.saved.length = Math.floor(this.position / SPACING) + 1;
    this.decode = this.alphabet.decoder();
    for (const id of this.ids.slice(-4)) this.decode(id); // what a byte adds depends on at most 3 before it
  }
}
