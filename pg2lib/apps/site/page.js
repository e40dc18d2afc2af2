// The pose studio without Python: what `Studio` and `PoseStudio` are to widget.js in a notebook,
// this module is to it on a page. Networks and masks are ONNX graphs that PyTorch wrote.
import widget from "../pose_studio/widget.js";
import { Editor, Mistake, framed, gif, inBetween, readPose, same, sheet } from "./parts.js";

const ENGINES = 2; // workers: a page from a file cannot share memory among threads
const CACHED = 128; // generated images kept
const BEHIND = 24; // poses of a sequence whose images give its background
const MOST_FRAMES = 600; // poses of a sequence
const STRIP = 8; // most poses in a strip

// --- files beside the page ---------------------------------------------------------------------

/** The bytes of studio/NAME.js, gzip in base64. A script loads from file:// too, where fetch and
 * modules do not. */
export async function asset(name) {
  await new Promise((loaded, failed) => {
    const script = document.createElement("script");
    script.src = `studio/${encodeURIComponent(name)}.js`;
    script.onload = loaded;
    script.onerror = () => failed(new Mistake(`studio/${name}.js is missing beside this page.`));
    document.head.append(script);
  });
  const packed = await fetch(`data:;base64,${globalThis.pg2[name]}`);
  delete globalThis.pg2[name];
  const stream = packed.body.pipeThrough(new DecompressionStream("gzip"));
  return new Uint8Array(await new Response(stream).arrayBuffer());
}

/** A worker.js: `ask(message)` is its answer, `waiting` has the messages without one. */
export function engine(address) {
  const [worker, waiting] = [new Worker(address, { type: "module" }), new Map()];
  let [asked, broken] = [0, null];
  worker.onmessage = ({ data: { id, made, error } }) => {
    if (broken) return;
    const [done, failed] = waiting.get(id);
    waiting.delete(id);
    if (error) failed(new Error(error));
    else done(made);
  };
  worker.onerror = () => {
    broken = new Mistake("The networks do not start in this browser.");
    for (const [, failed] of waiting.values()) failed(broken);
    waiting.clear();
  };
  const ask = (message) => new Promise((done, failed) => {
    if (broken) throw broken;
    waiting.set(++asked, [done, failed]);
    worker.postMessage({ id: asked, ...message });
  });
  return { ask, waiting };
}

/** The result of `make(key)`, made once for each key; one that fails is made again when asked. */
function once(make) {
  const kept = new Map();
  return (key) => {
    if (!kept.has(key)) {
      kept.set(key, make(key).catch((error) => {
        kept.delete(key);
        throw error;
      }));
    }
    return kept.get(key);
  };
}

/** Runs the graphs: `run(name, image, pose)` gives {output: float array (3, H, W)}; worker: the
 * address of worker.js. */
function painter({ height, width }, worker) {
  const count = Math.min(ENGINES, navigator.hardwareConcurrency || 1);
  const engines = Array.from({ length: count }, () => engine(worker));
  const everywhere = (message) => Promise.all(engines.map(({ ask }) => ask(message)));
  const start = once(async () => everywhere({ wasm: await asset("wasm") }));
  const open = once(async (name) => {
    const [bytes] = await Promise.all([asset(name), start()]);
    return everywhere({ name, bytes });
  });
  return async (name, image, pose) => {
    await open(name);
    const places = Float32Array.from(pose.flatMap((place) => place ?? [-1, -1]));
    const condition = [planes(image), [1, 3, height, width]];
    const { ask } = engines.reduce((a, b) => (b.waiting.size < a.waiting.size ? b : a));
    return ask({ name, given: { condition, target_keypoints: [places, [1, pose.length, 2]] } });
  };
}

/** Pixels RGBA as float32 (3, H, W) in [-1, 1], and back with a factor. */
export function planes(pixels) {
  const area = pixels.length / 4;
  return Float32Array.from({ length: 3 * area }, (_, k) =>
    pixels[4 * (k % area) + Math.floor(k / area)] / 127.5 - 1);
}

export function pixelsOf(values, factor = 1) {
  const area = values.length / 3;
  return Uint8ClampedArray.from({ length: 4 * area }, (_, k) =>
    k % 4 === 3 ? 255 : (factor * values[(k % 4) * area + (k >> 2)] + 1) * 127.5);
}

// --- the studio --------------------------------------------------------------------------------

const evenly = (list, most) => {
  const count = Math.min(list.length, most);
  return Array.from({ length: count }, (_, k) =>
    list[Math.round((k * (list.length - 1)) / Math.max(count - 1, 1))]);
};

/** The model that widget.js talks to: traits to read, messages to send, events to listen to.
 *
 * people: what studio_page.py writes; images: their pixels, RGB; run: see `painter`. */
export class Model {
  constructor(people, images, run) {
    const { height, width, joints, limbs, colours, rows, labels, target } = people;
    Object.assign(this, { people, images, run, taken: target, keys: [], message: "" });
    this.editor = new Editor(people, people.poses[target]);
    [this.listeners, this.cache] = [{}, new Map()];
    [this.busy, this.painted] = [Promise.resolve(), Promise.resolve()];
    [this.sought, this.behind] = [null, new Map()]; // row -> background of the sequence
    this.traits = {
      height, width, joints, limbs, colours, rows, conditions: labels, poses: labels,
      row: rows.at(-1), second: "", between: 3, fps: 8, frame: 0, playing: false, still: true,
    };
    this.choose(people.condition);
    this.update();
  }

  get(name) {
    return this.traits[name];
  }
  on(event, listener) {
    (this.listeners[event] ??= new Set()).add(listener);
  }
  off(event, listener) {
    this.listeners[event]?.delete(listener);
  }
  emit(event, ...given) {
    for (const listener of this.listeners[event] ?? []) listener(...given);
  }
  set(values) {
    const changed = Object.keys(values).filter((name) => !same(this.traits[name], values[name]));
    Object.assign(this.traits, values);
    for (const name of changed) this.emit(`change:${name}`);
  }
  update(error = "") {
    this.set({
      pose: this.editor.pose, key_poses: this.keys, frames: this.frames().length,
      can_undo: this.editor.at > 0 || this.editor.moved,
      can_redo: this.editor.at + 1 < this.editor.steps.length,
      message: error || this.message, kind: error ? "error" : "",
    });
  }

  /** Carries out messages one after the other, as a kernel does. Only while a joint moves is the
   * next place heard before this one's pictures are there: two workers paint in turn. */
  send(message, { iopub } = {}, buffers = []) {
    this.busy = this.busy.then(async () => {
      await new Promise((next) => setTimeout(next)); // lets the page draw and hear
      const [moves, before] = [message.do === "move", this.painted];
      if (!moves) await before;
      this.painted = this.receive(message, buffers, before);
      await (moves ? before : this.painted);
      iopub?.status({ content: { execution_state: "idle" } });
    });
  }
  async receive(message, buffers, before) {
    const began = performance.now();
    let pictures = [];
    this.message = "";
    try {
      const file = await this.act(message, buffers);
      if (file) this.emit("msg:custom", { download: file.name, mime: file.mime }, [file.bytes]);
      else pictures = await this.pictures();
      await before; // shown in the order of the messages
      this.update();
    } catch (error) {
      if (!(error instanceof Mistake)) console.error(error);
      this.update(error.message);
    }
    if (!pictures.length && message.serial === undefined) return;
    const { width, height } = this.people;
    const listed = pictures.map(([name, title]) => ({ name, title, width, height }));
    const told = { serial: message.serial, milliseconds: performance.now() - began };
    this.emit("msg:custom", { pictures: listed, ...told }, pictures.map(([, , pixels]) => pixels));
  }

  // ---- actions

  async act(message, buffers) {
    const { do: action, index, value, name } = message;
    if (["move", "drop", "hide", "show", "mirror", "undo", "redo", "reset"].includes(action)) {
      return void this.editor[action](message);
    }
    const own = {
      refresh: () => {},
      take: () => this.take(message.pose),
      import: () => this.editor.take(readPose(message.text, this.people)),
      export: () => this.poseFile(),
      condition: () => this.choose(index),
      condition_file: () => this.openPhoto(message, buffers[0]),
      row: () => this.chooseRow(name),
      second: () => this.chooseSecond(name === this.get("row") ? "" : name),
      key_add: () => this.addKey(),
      key_remove: () => this.key(index) && this.sequence(this.keys.toSpliced(index, 1)),
      key_load: () => this.loadKey(index),
      key_up: () => this.shift(index, -1),
      key_down: () => this.shift(index, 1),
      clear_keys: () => this.sequence([]),
      walk: () => this.walk(),
      between: () => this.sequence(this.keys, value),
      fps: () => this.set({ fps: value }),
      seek: () => this.seek(message.frame),
      play: () => this.set({ playing: true }),
      stop: () => this.set({ playing: false }),
      still: () => this.set({ still: Boolean(value) }),
      gif: () => this.film(),
      strip: () => this.strip(),
    };
    return own[action]();
  }

  /** Rows are made once before they are chosen: one that cannot be loaded changes nothing. */
  async chooseRow(row) {
    await this.made(row, this.editor.pose);
    this.set({ row, ...(row === this.get("second") && { second: "" }) });
  }
  async chooseSecond(second) {
    if (second) await this.made(second, this.editor.pose);
    this.set({ second });
  }
  take(index) {
    this.taken = index;
    this.editor.take(this.people.poses[index]);
  }
  choose(index) {
    const area = this.people.width * this.people.height;
    const rgb = this.images.subarray(3 * area * index, 3 * area * (index + 1));
    this.show(Uint8ClampedArray.from({ length: 4 * area }, (_, k) =>
      k % 4 === 3 ? 255 : rgb[3 * (k >> 2) + (k % 4)]), index);
  }
  show(image, condition) {
    this.image = image;
    this.cache.clear();
    this.behind.clear();
    this.set({ condition });
  }
  async openPhoto({ name, ...window }, photo) {
    // Without a window widget.js could not read the photo, or it is smaller than 16 pixels.
    const pixels = window.height && await framed(photo, window, this.people).catch(() => null);
    if (!pixels) {
      throw new Mistake(`${name} is too small, or no picture that this browser can read.`);
    }
    this.show(pixels, -1);
    this.message = `${name}: in the frame.`;
  }
  poseFile() {
    const triples = this.editor.pose.flatMap((place) => (place ? [...place, 1] : [0, 0, 0]));
    const text = JSON.stringify({ version: 1.2, people: [{ pose_keypoints_2d: triples }] });
    return { name: "pose.json", mime: "application/json", bytes: new TextEncoder().encode(text) };
  }

  // ---- timeline

  frames() {
    const poses = this.keys.map(({ pose }) => pose);
    return poses.length ? inBetween(poses, this.get("between")) : [];
  }
  sequence(keys, between = this.get("between")) {
    const count = keys.length ? (keys.length - 1) * (between + 1) + 1 : 0;
    if (count > MOST_FRAMES) throw new Mistake(`these are ${count} poses; at most ${MOST_FRAMES}.`);
    this.keys = keys;
    this.behind.clear();
    const frame = Math.min(this.get("frame"), Math.max(count - 1, 0));
    this.set({ between, playing: false, frame });
  }
  addKey() {
    const taken = new Set(this.keys.map(({ name }) => name));
    let number = 1;
    while (taken.has(`pose ${number}`)) number++;
    this.sequence([...this.keys, { name: `pose ${number}`, pose: this.editor.pose }]);
    this.set({ frame: this.frames().length - 1 });
  }
  key(index) {
    if (!this.keys[index]) throw new Mistake(`there is no key pose ${index + 1} any more.`);
    return this.keys[index];
  }
  loadKey(index) {
    this.editor.take(this.key(index).pose);
    this.sought = null;
    this.set({ frame: index * (this.get("between") + 1), playing: false });
  }
  shift(index, by) {
    const [moved, rest] = [this.key(index), this.keys.toSpliced(index, 1)];
    this.sequence(rest.toSpliced(Math.max(index + by, 0), 0, moved));
  }
  walk() {
    const poses = this.people.walks[this.taken];
    this.sequence(poses.map((pose, k) => ({ name: `walk ${k + 1}`, pose })), 0);
    const size = "as tall as the person of the test pose taken last";
    this.message = `A walking cycle of ${poses.length} poses, ${size}; press Play.`;
  }
  seek(frame) {
    const poses = this.frames();
    if (!poses.length) return; // cleared since it was asked for
    this.set({ frame: frame % poses.length });
    this.editor.preview(poses[this.get("frame")]);
    this.sought = this.editor.pose;
  }

  // ---- pictures

  /** {image, coarse, ...}: RGBA by name that a row, or "maps", makes of a pose. */
  async made(name, pose) {
    const key = name + JSON.stringify(pose);
    if (!this.cache.has(key)) {
      if (this.cache.size >= CACHED) this.cache.delete(this.cache.keys().next().value);
      const values = await this.run(name, this.image, pose);
      // A difference map at half contrast, as in the notebook.
      const shown = ([part, one]) => [part, pixelsOf(one, part === "difference" ? 0.5 : 1)];
      this.cache.set(key, Object.fromEntries(Object.entries(values).map(shown)));
    }
    return this.cache.get(key);
  }

  /** [name, title, RGBA] of all pictures of the pose. */
  async pictures() {
    const pose = this.editor.pose;
    const { heatmaps, mask } = await this.made("maps", pose);
    const shown = [["condition", "Condition", this.image], ["heatmaps", "Heatmaps", heatmaps],
      ["mask", "Mask", mask]];
    const held = this.get("still") && this.keys.length > 1 && same(pose, this.sought);
    for (const row of [this.get("row"), this.get("second")].filter(Boolean)) {
      const { image, ...parts } = await this.made(row, pose);
      for (const [part, pixels] of Object.entries(parts)) {
        shown.push([`${part}:${row}`, `${row}, ${part}`, pixels]);
      }
      const refined = held ? await this.held(row, pose) : image;
      shown.push([`refined:${row}`, `${row}, refined`, refined]);
    }
    return shown;
  }

  /** The image of a pose in front of the background of the whole sequence, as background.py. */
  async held(row, pose) {
    if (!this.behind.has(row)) {
      const [sum, weights] = [0, 0].map(() => new Float64Array(this.image.length));
      for (const each of evenly(this.frames(), BEHIND)) {
        const { image } = await this.made(row, each);
        const { person } = await this.made("maps", each);
        image.forEach((value, k) => {
          const weight = 1.001 - person[k] / 255;
          sum[k] += weight * value;
          weights[k] += weight;
        });
      }
      this.behind.set(row, sum.map((value, k) => value / weights[k]));
    }
    const { image } = await this.made(row, pose);
    const { person } = await this.made("maps", pose);
    const behind = this.behind.get(row);
    const share = (k) => (k % 4 === 3 ? 1 : person[k] / 255);
    return image.map((value, k) => share(k) * value + (1 - share(k)) * behind[k]);
  }

  async imagesOf(poses) {
    const [row, made] = [this.get("row"), []];
    for (const pose of poses) {
      const still = this.get("still") && this.keys.length > 1;
      made.push(still ? await this.held(row, pose) : (await this.made(row, pose)).image);
    }
    return made;
  }
  async film() {
    const poses = this.frames();
    const made = await this.imagesOf(poses);
    const sheets = poses.map((pose, k) => sheet([[this.image, pose, made[k]]], this.people));
    const { width, height } = sheets[0];
    const pixels = sheets.map((one) => one.getContext("2d").getImageData(0, 0, width, height).data);
    const bytes = gif(pixels, width, height, this.get("fps"));
    return { name: "sequence.gif", mime: "image/gif", bytes };
  }
  async strip() {
    const poses = evenly(this.frames(), STRIP);
    const made = await this.imagesOf(poses);
    const canvas = sheet([[null, ...poses], [this.image, ...made]], this.people);
    const bytes = new Uint8Array(await (await canvas.convertToBlob()).arrayBuffer());
    return { name: "strip.png", mime: "image/png", bytes };
  }
}

/** Shows the studio in an element of the page; worker: the address of worker.js. */
export async function start(el, worker) {
  const [packed, images] = await Promise.all([asset("people"), asset("images")]);
  const people = JSON.parse(new TextDecoder().decode(packed));
  const model = new Model(people, images, painter(people, worker));
  el.replaceChildren();
  widget.render({ model, el, silence: "The network is still at work.", mostBytes: Infinity });
}
