'use strict';
// The settings of a draw as they stand in the form.

const SPEEDS = [4, 8, 15, 30, 60, 125, 250, 500, 1000, Infinity]; // characters a second
const DRAW = ['temperature', 'top-p', 'min-p', 'top-k', 'penalty', 'penalty-window'];
const LARGEST_SEED = 10n ** 18n - 1n;

class Controls {
  constructor(changed) {
    const field = (id) => document.getElementById(id);
    this.fields = Object.fromEntries(
      [...DRAW, 'speed', 'seed', 'length'].map((id) => [id, field(id)]),
    );
    for (const [id, input] of Object.entries(this.fields)) {
      const output = field(`${id}-value`);
      const show = () => output && (output.value = id === 'speed' ? describeSpeed(this.speed) : Number(input.value).toFixed(2));
      input.addEventListener('input', () => {
        show();
        changed();
      });
      show();
    }
  }

  number(id) {
    const {value, validity, defaultValue} = this.fields[id];
    return Number(validity.valid ? value : defaultValue);
  }

  get settings() {
    return {
      temperature: this.number('temperature'),
      topP: this.number('top-p'),
      minP: this.number('min-p'),
      topK: this.number('top-k') || null,
      penalty: this.number('penalty'),
      penaltyWindow: this.number('penalty-window'),
    };
  }

  get speed() {
    return SPEEDS[this.number('speed')];
  }

  // Characters after which the model pauses by itself.
  get length() {
    return this.number('length');
  }

  get seed() {
    const {value, validity} = this.fields.seed;
    return BigInt(validity.valid ? value : 0);
  }

  nextSeed() {
    this.fields.seed.value = String(this.seed === LARGEST_SEED ? 0n : this.seed + 1n);
  }
}

function describeSpeed(speed) {
  return speed === Infinity ? 'full' : `${speed}/s`;
}
