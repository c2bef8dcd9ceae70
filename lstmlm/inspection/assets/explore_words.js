'use strict';
// What the page says in words of a unit, of a finding and of the place of the mark.

const PART_NAMES = {C: 'cell', H: 'hidden state'};
const CONFIRMED = 3; // times the median unit

const nats = (number) => `${number.toFixed(Math.abs(number) < 0.01 ? 4 : 3)} nats`;
const characters = (number) => `${number < 10 ? number.toFixed(1) : Math.round(number)} characters`;

// How many times the rise of the median unit the rise of this one is; 0 if either is none.
function timesMedian(finding) {
  const there = finding.median_there > 0 ? finding.rise_there / finding.median_there : 0;
  return Math.max(there, 0);
}

function describeFinding(finding) {
  const times = timesMedian(finding);
  return `layer ${finding.layer}, unit ${finding.unit}, ${PART_NAMES[finding.part]}` +
    (times >= CONFIRMED ? `; held, it costs ${times.toFixed(0)} times the median unit there` : '');
}

function describeUnit(column, finding) {
  const {layer, unit, part, mean, std, memory} = column, {feature, r, r_chosen} = finding ?? column;
  const parts = [`Layer ${layer}, unit ${unit}, ${PART_NAMES[part]}: mean ${mean.toFixed(2)}, standard deviation ${std.toFixed(2)}.`];
  parts.push(`It follows ${finding ? '' : 'most closely '}“${feature}”: r = ${r.toFixed(2)} on unseen text (${r_chosen.toFixed(2)} where it was chosen).`);
  if (memory !== null) parts.push(`The forget gate keeps it for ${characters(memory)} on average.`);
  if (finding) {
    parts.push(`With the unit held at its mean, a character costs ${nats(finding.rise)} more (the median unit: ${nats(finding.median)}); ` +
      `where the feature is on or high, ${nats(finding.rise_there)} (${nats(finding.median_there)}).`);
    const dearest = finding.dearest.map(({character, rise}) => `${character} (${nats(rise)})`);
    if (dearest.length) parts.push(`The cost rises most for ${dearest.join(', ')}.`);
  }
  return parts.join(' ');
}

function describeFacts(data) {
  const count = (number) => number.toLocaleString('en');
  const cells = {lstm: 'LSTM', gru: 'GRU', gru_before: 'GRU', rnn: 'RNN'};
  return [
    `${cells[data.cell]}, ${data.num_layers} × ${data.num_hiddens} hidden units`,
    `${count(data.num_chars)} characters read, ${data.nats_per_char.toFixed(3)} nats each`,
    `shown: ${count(data.pieces.length)} from character ${count(data.start)} on`,
  ].join(' · ');
}

function describeMethod(data) {
  const count = (number) => number.toLocaleString('en');
  return `Each feature with the state that follows it most closely, chosen on the first ${count(data.num_chosen_on)} ` +
    `characters; r is Pearson’s correlation on the other ${count(data.num_chars - data.num_chosen_on)}. ` +
    `In colour: held at its mean, the unit costs at least ${CONFIRMED} times as much as the median unit where the feature is on.`;
}

function describeRests(shares, at) {
  if (at < 0) return '';
  if (!shares) return 'The gradient was computed for the first characters of this text only.';
  const half = countBack(shares, 0.5), most = countBack(shares, 0.9);
  const spell = (n) => (n === 1 ? 'the last character' : `the last ${n} characters`);
  return `The prediction of the next character rests on these: half of its gradient on ${spell(half)}, nine tenths on ${spell(most)}.`;
}
