'use strict';
// The engine of a page outside a browser: node page_engine.js PAGE TASK.json ANSWER.json
//
// The task is {wasm, texts, read, encode, decode}; all but `wasm` are lists, and each is answered in its order:
//   texts    {prompt, expected, seed, settings}, ids -> the places where the page draws another character than is
//            expected, each {at, drawn, distance}: how far the uniform number lies from the share of the expected one.
//            After each place the expected character is read.
//   read     lists of ids -> the logits after each of them
//   encode   texts -> ids
//   decode   lists of ids -> texts
const fs = require('node:fs');
const vm = require('node:vm');

const [page, taskFile, answerFile] = process.argv.slice(2);
const html = fs.readFileSync(page, 'utf-8');
const model = JSON.parse(html.match(/<script id="model" type="application\/json">(.*?)<\/script>/s)[1]);
const engine = html.match(/<script id="engine">(.*?)<\/script>/s)[1];
const names = ['Stepper', 'MersenneTwister', 'Tape', 'makeAlphabet', 'draw', 'DEFAULT_SETTINGS', 'productInJavaScript'];
const own = vm.runInThisContext(`${engine}\n;({${names}})`);

const task = JSON.parse(fs.readFileSync(taskFile, 'utf-8'));
const stepper = new own.Stepper(model, task.wasm ?? true);
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
  stepper.reset();
  return ids.map((id) => {
    stepper.step(id);
    return Array.from(stepper.logits);
  });
}

function decodeAll(ids) {
  const decode = alphabet.decoder();
  return ids.map(decode).join('');
}

const each = (list, answer) => (list ?? []).map(answer);
fs.writeFileSync(answerFile, JSON.stringify({
  inWasm: stepper.product !== own.productInJavaScript,
  texts: each(task.texts, followText),
  read: each(task.read, readAll),
  encode: each(task.encode, (text) => alphabet.encode(text).ids),
  decode: each(task.decode, decodeAll),
}));
