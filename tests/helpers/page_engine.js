'use strict';
// The engine of a page outside a browser: node page_engine.js PAGE TASK.json ANSWER.json
//
// The task is {texts, read, seek, uniforms, encode, decode}, lists whose elements are answered in their order:
//   texts    {prompt, expected, seed, settings}, ids -> the places where the page draws another character than is
//            expected, each {at, drawn, distance}: how far the uniform number lies from the share of the expected one.
//            After each place the expected character is read.
//   read     lists of ids -> the logits after each of them, computed in WebAssembly and in JavaScript
//   seek     {ids, places} -> after the text was read and the state taken to each place in turn: the logits at each, the
//            first layer's H at the last, and the surprisals of the text
//   uniforms [seed, count] -> uniform numbers
//   encode   texts -> ids
//   decode   lists of ids -> the UTF-16 units of the texts
const assert = require('node:assert');
const fs = require('node:fs');
const vm = require('node:vm');

const [page, taskFile, answerFile] = process.argv.slice(2);
const html = fs.readFileSync(page, 'utf-8');
const model = JSON.parse(html.match(/<script id="model" type="application\/json">(.*?)<\/script>/s)[1]);
const engine = html.match(/<script id="engine">(.*?)<\/script>/s)[1];
const names = ['Stepper', 'MersenneTwister', 'Tape', 'makeAlphabet', 'draw', 'DEFAULT_SETTINGS', 'productInJavaScript'];
const own = vm.runInThisContext(`${engine}\n;({${names}})`);

const task = JSON.parse(fs.readFileSync(taskFile, 'utf-8'));
const stepper = new own.Stepper(model), inJavaScript = new own.Stepper(model, false);
const {productInJavaScript} = own;
assert.ok(stepper.product !== productInJavaScript && inJavaScript.product === productInJavaScript);
const alphabet = own.makeAlphabet(model);
const tape = new own.Tape(stepper, alphabet);

function followText({prompt, expected, seed, settings}) {
  tape.clear();
  for (const id of prompt) tape.read(id, true);
  const generator = new own.MersenneTwister(seed), whole = {...own.DEFAULT_SETTINGS, ...settings}, partings = [];
  expected.forEach((id, at) => {
    const probs = tape.distribution(whole), uniform = generator.uniform(), drawn = own.draw(probs, uniform);
    if (drawn !== id) partings.push({at, drawn, distance: distanceToShare(probs, id, uniform)});
    tape.read(id, false);
  });
  return partings;
}

// How far a uniform number lies from the interval of cumulative probability that draws `id`.
function distanceToShare(probs, id, uniform) {
  const total = probs.reduce((a, b) => a + b), below = probs.subarray(0, id).reduce((a, b) => a + b, 0);
  return Math.max(below / total - uniform, uniform - (below + probs[id]) / total, 0);
}

function readAll(ids) {
  return [stepper, inJavaScript].map((one) => {
    one.reset();
    return ids.map((id) => {
      one.step(id);
      return Array.from(one.logits);
    });
  });
}

function seekAll({ids, places}) {
  tape.clear();
  for (const id of ids) tape.read(id, true);
  const {surprisals} = tape;
  const logits = places.map((place) => {
    tape.seek(place);
    return Array.from(stepper.logits);
  });
  return {logits, surprisals, hidden: Array.from(stepper.layers[0].H)};
}

function drawUniforms([seed, count]) {
  const generator = new own.MersenneTwister(seed);
  return Array.from({length: count}, () => generator.uniform());
}

function decodeAll(ids) {
  const text = ids.map(alphabet.decoder()).join('');
  return Array.from({length: text.length}, (_, i) => text.charCodeAt(i));
}

const each = (list, answer) => (list ?? []).map(answer);
fs.writeFileSync(answerFile, JSON.stringify({
  texts: each(task.texts, followText),
  read: each(task.read, readAll),
  seek: each(task.seek, seekAll),
  uniforms: each(task.uniforms, drawUniforms),
  encode: each(task.encode, (text) => alphabet.encode(text).ids),
  decode: each(task.decode, decodeAll),
}));
