'use strict';
// What the page says in words: of the model, of the text, and of the place of the mark.

const formatCount = (number) => Math.round(number).toLocaleString('en');

// The title, the line under it, and what the controls can be set to.
function describeModel(model, element) {
  const bytes = model.vocab === 'bytes', cells = {lstm: 'LSTM', gru: 'GRU', gru_before: 'GRU', rnn: 'RNN'};
  element('title').textContent = model.title;
  element('facts').textContent = [
    `${cells[model.cell]}, ${model.num_layers} × ${model.num_hiddens} hidden units`,
    bytes ? '256 bytes' : `${formatCount(model.vocab.length - 1)} characters`,
    `${formatCount(model.num_params)} parameters in ${model.weights}`,
  ].join(' · ');
  for (let k = 0; k < model.num_layers; k++) element('layer').append(new Option(`layer ${k}`, k));
  element('layer').hidden = model.num_layers === 1;
  element('layer').value = model.num_layers - 1;
  for (const part of ['C', 'H'].filter((name) => CELLS[model.cell].state.includes(name))) {
    element('shading').append(new Option(`a unit’s ${PARTS[part][0]}`, part));
  }
  element('unit').max = model.num_hiddens - 1;
  element('prompt').value = model.prompt;
}

// What the characters cost on average, a person's and the model's, and how many come in a second (null: none).
function describeText(tape, rate) {
  const parts = [], tell = (name, one) => one && parts.push(`${name}: ${formatCount(one.count)}, ${one.mean.toFixed(2)} nats each`);
  tell('Your characters', meanSurprisal(tape, true));
  tell(parts.length ? 'the model’s' : 'Characters', meanSurprisal(tape, false));
  if (rate) parts.push(`${formatCount(rate)} a second`);
  return parts.join(' · ');
}

// What of a typed text is not read as it stands; '' if all is.
function describeReplaced({replaced, missing}) {
  const named = (char) => showAlone(char).text;
  const notes = [];
  if (replaced.size) notes.push(`Read otherwise: ${[...replaced].map(([char, near]) => `${char} as ${named(near)}`).join(', ')}`);
  if (missing.size) notes.push(`Left out, for the model has no such character: ${[...missing].map(named).join(' ')}`);
  return notes.join('. ');
}

// The character before the mark and what is most probable after it, for a screen reader.
function describeMark(tape, next) {
  const at = tape.position - 1, nats = tape.surprisals[at], {name} = tape.alphabet.glyph(tape.ids[at]);
  const likely = next.rows[0].button.getAttribute('aria-label').replace(': write it', '');
  return `${name}${nats === null ? '' : `, ${nats.toFixed(1)} nats`}. Most probable next: ${likely}`;
}
