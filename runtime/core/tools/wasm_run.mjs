// The checksums of edgebert-bench, taken by the WebAssembly build in Node: the same bits as on every other machine?
//
//   node wasm_run.mjs edgebert.wasm MODEL.ebnn TEXTS.txt
//   node wasm_run.mjs edgebert.wasm --wordpiece vocab.txt TEXTS.txt [--cased]
//
// Prints JSON: {"mode", "texts", "sentences_per_second", "checksum"}. bench.c says what the checksum is taken over.
import { readFileSync } from 'node:fs';
import process from 'node:process';

const ALIGNMENT = 64;
const MAX_LENGTH = 128;
const LOWERCASE = 1;
const STRIP_ACCENTS = 2;
const UNITS = [0, 1, 2]; // bytes, code points, UTF-16

function fail(message, status = 1) {
  console.error(`wasm_run: ${message}`);
  process.exit(status);
}

function read(path) {
  try {
    return readFileSync(path);
  } catch (error) {
    return fail(`cannot read ${path}: ${error.message}`);
  }
}

// The module and its memory. What lies behind __heap_base is ours; setting `top` back frees what came later.
class Core {
  constructor(path) {
    const { exports } = new WebAssembly.Instance(new WebAssembly.Module(read(path)), {});
    this.api = exports;
    this.top = exports.__heap_base.value;
  }

  allocate(bytes) {
    const at = Math.ceil(this.top / ALIGNMENT) * ALIGNMENT;
    this.top = at + bytes;
    const missing = this.top - this.api.memory.buffer.byteLength;
    if (missing > 0) this.api.memory.grow(Math.ceil(missing / 65536));
    return at;
  }

  put(bytes) {
    const at = this.allocate(bytes.length);
    new Uint8Array(this.api.memory.buffer).set(bytes, at);
    return at;
  }

  words(at, count) {
    return new Uint32Array(this.api.memory.buffer, at, count);
  }

  message(status) {
    const bytes = new Uint8Array(this.api.memory.buffer);
    const at = this.api.eb_message(status);
    return new TextDecoder().decode(bytes.slice(at, bytes.indexOf(0, at)));
  }

  check(status, what) {
    if (status < 0) fail(`${what}: ${this.message(Number(status))}`);
    return Number(status);
  }

  // Calls make(pointer to a pointer) and returns the handle.
  handle(what, make) {
    const at = this.allocate(4);
    this.check(make(at), what);
    return this.words(at, 1)[0];
  }
}

class Checksum {
  value = 0xcbf29ce484222325n;

  add(words) {
    for (const word of words) this.value = BigInt.asUintN(64, (this.value ^ BigInt(word)) * 0x100000001b3n);
  }
}

function splitLines(bytes) {
  const lines = [];
  for (let at = 0; at < bytes.length; ) {
    const stop = bytes.indexOf(10, at);
    const end = stop < 0 ? bytes.length : stop;
    lines.push(bytes.subarray(at, end));
    at = end + 1;
  }
  return lines;
}

// Each subject has run(line), which is timed, and results(), the words that go into the checksum.
class Model {
  mode = 'model';

  constructor(core, path) {
    const { api } = core;
    const file = read(path);
    const bytes = core.put(file);
    const size = api.eb_model_size();
    const memory = core.allocate(size);
    this.core = core;
    this.model = core.handle(path, (out) => api.eb_model_open(memory, size, bytes, file.length, 0, out));
    this.classes = api.eb_model_classes(this.model);
    this.logits = core.allocate(4 * this.classes);
    this.scratchBytes = api.eb_model_scratch(this.model);
    this.scratch = core.allocate(this.scratchBytes);
  }

  run(line) {
    const { core } = this;
    let [a, b] = [line, null];
    if (core.api.eb_model_takes_pairs(this.model)) {
      const tab = line.indexOf(9);
      if (tab < 0) fail('the model takes pairs, and a line has no TAB');
      [a, b] = [line.subarray(0, tab), line.subarray(tab + 1)];
    }
    const first = core.put(a);
    const second = b ? core.put(b) : 0;
    const status = core.api.eb_model_logits(
      this.model, first, a.length, second, b ? b.length : 0, this.logits, this.scratch, this.scratchBytes);
    core.check(status, 'logits');
  }

  results() {
    return [this.core.words(this.logits, this.classes)];
  }
}

class WordPiece {
  mode = 'wordpiece';

  constructor(core, path, cased) {
    const { api } = core;
    const file = read(path);
    const bytes = core.put(file);
    const size = api.eb_wordpiece_size(bytes, file.length);
    if (size === 0) fail(`${path}: ${core.message(-5)}`);
    const memory = core.allocate(size);
    const flags = cased ? 0 : LOWERCASE | STRIP_ACCENTS;
    this.core = core;
    this.handle = core.handle(path, (out) => api.eb_wordpiece_make(memory, size, bytes, file.length, flags, out));
    this.ids = core.allocate(4 * MAX_LENGTH);
    this.types = core.allocate(4 * MAX_LENGTH);
    this.scratch = core.allocate(16 * MAX_LENGTH);
  }

  run(line) {
    this.text = this.core.put(line);
    this.bytes = line.length;
    this.count = this.core.check(
      this.core.api.eb_wordpiece_ids(
        this.handle, this.text, line.length, 0, 0, MAX_LENGTH, this.ids, this.types, this.scratch),
      'ids');
  }

  *results() {
    const { core } = this;
    yield [this.count];
    for (let i = 0; i < this.count; i++) {
      yield core.words(this.ids + 4 * i, 1);
      yield core.words(this.types + 4 * i, 1);
    }
    const find = (at, capacity) =>
      core.check(core.api.eb_wordpiece_tokens(this.handle, this.text, this.bytes, at, capacity, 0), 'tokens');
    const count = find(0, 0);
    const tokens = core.allocate(16 * count);
    for (const unit of UNITS) {
      find(tokens, count);
      core.api.eb_offsets_convert(this.text, this.bytes, tokens, count, unit);
      yield [count];
      yield core.words(tokens, 4 * count);
    }
  }
}

function main(words) {
  const cased = words.includes('--cased');
  const rest = words.filter((word) => word !== '--cased');
  const wordpiece = rest[1] === '--wordpiece';
  if (rest.length !== (wordpiece ? 4 : 3) || (cased && !wordpiece)) {
    fail('usage: wasm_run.mjs edgebert.wasm (MODEL.ebnn | --wordpiece vocab.txt) TEXTS.txt [--cased]', 2);
  }
  const core = new Core(rest[0]);
  const subject = wordpiece ? new WordPiece(core, rest[2], cased) : new Model(core, rest[1]);
  const lines = splitLines(read(rest.at(-1)));
  const floor = core.top;
  const checksum = new Checksum();
  for (const line of lines) {
    core.top = floor;
    subject.run(line);
    for (const result of subject.results()) checksum.add(result);
  }
  const start = performance.now();
  for (const line of lines) {
    core.top = floor;
    subject.run(line);
  }
  const seconds = (performance.now() - start) / 1000;
  console.log(JSON.stringify({
    mode: subject.mode,
    texts: lines.length,
    sentences_per_second: Math.round(lines.length / seconds),
    checksum: checksum.value.toString(16).padStart(16, '0'),
  }));
}

main(process.argv.slice(2));
