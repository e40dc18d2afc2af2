// What the pose studio does in a browser instead of in Python, part by part: a pose that is edited,
// poses in between, OpenPose files, photos in the frame, strips and GIFs.
import { drawSkeleton } from "../pose_studio/widget.js";

const STEPS = 200; // that can be undone
const GAP = 6; // dots between pictures of a GIF or strip
const CELL = 128; // about the width of a picture there

/** A user's mistake: its text is shown. */
export class Mistake extends Error {}

const clamp = (value, least, most) => Math.min(Math.max(value, least), most);
export const same = (one, other) => JSON.stringify(one) === JSON.stringify(other);

// --- poses -------------------------------------------------------------------------------------

/** One pose with undo and redo, as editor.py; poses are lists of [x, y] or null. */
export class Editor {
  constructor({ height, width, swap, limbs, standing }, pose) {
    Object.assign(this, { height, width, swap, limbs, standing });
    this.now = { places: pose, shown: pose.map(Boolean), start: pose };
    [this.steps, this.at] = [[this.now], 0];
  }
  get pose() {
    return this.now.places.map((place, joint) => (this.now.shown[joint] ? place : null));
  }
  key(state) {
    return [state.places.map((place, joint) => (state.shown[joint] ? place : null)), state.start];
  }
  get moved() {
    return !same(this.key(this.now), this.key(this.steps[this.at]));
  }
  record() {
    if (!this.moved) return;
    this.steps = [...this.steps.slice(0, this.at + 1), this.now].slice(-STEPS - 1);
    this.at = this.steps.length - 1;
  }
  change(joint, place, shown = true) {
    this.now = {
      ...this.now,
      places: this.now.places.with(joint, place),
      shown: this.now.shown.with(joint, shown),
    };
  }
  move({ joint, x, y }) {
    this.change(joint, [clamp(x, 0, this.width - 1), clamp(y, 0, this.height - 1)]);
  }
  drop(message) {
    this.move(message);
    this.record();
  }
  hide({ joint }) {
    this.change(joint, this.now.places[joint], false);
    this.record();
  }
  show({ joint }) {
    const place = this.now.places[joint];
    if (place) this.change(joint, place);
    else this.move({ joint, ...guess(this.pose, joint, this) });
    this.record();
  }
  mirror() {
    const flipped = this.now.places.map((place) => place && [this.width - 1 - place[0], place[1]]);
    const places = this.swap.map((joint) => flipped[joint]);
    this.now = { ...this.now, places, shown: this.swap.map((joint) => this.now.shown[joint]) };
    this.record();
  }
  preview(pose) {
    this.now = { ...this.now, places: pose, shown: pose.map(Boolean) };
  }
  take(pose) {
    this.preview(pose);
    this.now = { ...this.now, start: pose };
    this.record();
  }
  reset() {
    this.take(this.now.start);
  }
  undo() {
    if (!this.moved) this.at = Math.max(this.at - 1, 0);
    this.now = this.steps[this.at];
  }
  redo() {
    this.at = Math.min(this.at + 1, this.steps.length - 1);
    this.now = this.steps[this.at];
  }
}

/** A plausible place {x, y} for a missing joint, as editor.py; standing: a pose. */
export function guess(pose, joint, { limbs, standing }) {
  const order = [joint];
  for (const at of order) { // which grows
    const ends = limbs.filter((limb) => limb.includes(at)).map(([a, b]) => a + b - at);
    order.push(...ends.filter((end) => !order.includes(end)));
  }
  const near = order.slice(1).find((other) => pose[other]);
  if (near === undefined) return { x: standing[joint][0], y: standing[joint][1] };
  const here = pose.flatMap((place, k) => (place ? [k] : []));
  const scale = [0, 1].map((axis) => {
    const mean = here.reduce((sum, k) => sum + standing[k][axis], 0) / here.length;
    const apart = here.map((k) => standing[k][axis] - mean);
    const square = apart.reduce((sum, each) => sum + each * each, 0);
    return square > 1 ? here.reduce((sum, k, n) => sum + apart[n] * pose[k][axis], 0) / square : 1;
  });
  scale[1] = Math.abs(scale[1]) || 1;
  const [x, y] = [0, 1].map((axis) =>
    pose[near][axis] + scale[axis] * (standing[joint][axis] - standing[near][axis]));
  return { x, y };
}

/** Poses with `count` more between each two; a joint that one of the two lacks is missing there. */
export function inBetween(poses, count) {
  const between = (a, b, t) => a && b && [a[0] + t * (b[0] - a[0]), a[1] + t * (b[1] - a[1])];
  return poses.flatMap((pose, k) => {
    if (k === poses.length - 1) return [pose];
    return Array.from({ length: count + 1 }, (_, step) => step
      ? pose.map((place, joint) => between(place, poses[k + 1][joint], step / (count + 1)) ?? null)
      : pose);
  });
}

/** [left, top] and [right, bottom] around a pose, with room for a head that is missing, as
 * framing.py. */
function boundingBox(pose, { head, headJoints, shoulders }) {
  const here = pose.filter(Boolean);
  const low = [0, 1].map((axis) => Math.min(...here.map((place) => place[axis])) + 0.5);
  const high = [0, 1].map((axis) => Math.max(...here.map((place) => place[axis])) + 0.5);
  const tops = shoulders.filter((joint) => pose[joint]).map((joint) => pose[joint][1] + 0.5);
  if (!headJoints.some((joint) => pose[joint]) && tops.length) {
    const top = Math.min(...tops);
    low[1] = Math.min(low[1], top - head * (high[1] - top));
  }
  return [low, high];
}

/** A pose of any size in the frame, which its person fills as in training, as framing.py; a joint
 * outside is missing. */
export function filling(pose, { height, width, framing }) {
  const [low, high] = boundingBox(pose, framing);
  const { above, below, widest } = framing;
  const body = high[1] - low[1];
  const needed = body * (1 + above + below);
  const tall = Math.max(needed, ((high[0] - low[0]) / widest) * (height / width));
  const left = (low[0] + high[0] - (tall * width) / height) / 2;
  const top = low[1] - above * body - (tall - needed) / 2;
  return pose.map((place) => {
    if (!place) return null;
    const [x, y] = [place[0] - left, place[1] - top].map((each) =>
      Math.floor((each + 0.5) * (height / tall) + 1e-6));
    return x >= 0 && x < width && y >= 0 && y < height ? [x, y] : null;
  });
}

/** The surest person of an OpenPose file, COCO-18 or BODY_25, scaled into the frame if larger. */
export function readPose(text, frame) {
  const { height, width, body25, framing } = frame;
  let people;
  try {
    people = JSON.parse(text).people.map((one) => one.pose_keypoints_2d ?? one.pose_keypoints);
  } catch {
    people = [];
  }
  if (!people.length) throw new Mistake("this is no OpenPose file with a person in it.");
  for (const numbers of people) {
    if (![54, 75].includes(numbers?.length)) throw new Mistake("COCO-18 or BODY_25 is needed.");
    if (!numbers.every(Number.isFinite)) throw new Mistake("it has a value that is no number.");
  }
  const sure = (numbers) => numbers.reduce((sum, value, k) => sum + (k % 3 === 2 ? value : 0), 0);
  const numbers = people.reduce((best, one) => (sure(one) > sure(best) ? one : best));
  let pose = Array.from({ length: numbers.length / 3 }, (_, k) => {
    const [x, y, confidence] = numbers.slice(3 * k, 3 * k + 3);
    return confidence > 0 && x >= 0 && y >= 0 ? [x, y] : null;
  });
  if (pose.some(Boolean) && Math.max(...pose.filter(Boolean).flat()) <= 1) {
    throw new Mistake("its coordinates are in [0, 1]; run OpenPose with --keypoint_scale 0.");
  }
  if (numbers.length === 75) pose = body25.map((joint) => pose[joint]);
  const [xs, ys] = [0, 1].map((axis) => pose.filter(Boolean).map((place) => place[axis]));
  const { fewest, farthest } = framing;
  if (xs.length < fewest) {
    throw new Mistake(`it has ${xs.length} of 18 joints; ${fewest} are needed.`);
  }
  const [right, bottom] = [Math.max(...xs), Math.max(...ys)];
  if (Math.max(right, bottom) > farthest) throw new Mistake("its coordinates are not pixels.");
  if (Math.max(right - Math.min(...xs), bottom - Math.min(...ys)) < 1) {
    throw new Mistake("all its joints are in one place.");
  }
  return right <= width - 1 && bottom <= height - 1 ? pose : filling(pose, frame);
}

// --- files that are saved ----------------------------------------------------------------------

/** A canvas with pictures (RGBA of the frame, or poses as skeletons) in rows. */
export function sheet(rows, { height, width, limbs, colours }) {
  const factor = Math.max(1, Math.round(CELL / width));
  const [wide, high] = [width * factor, height * factor];
  const sides = [rows[0].length * (wide + GAP) + GAP, rows.length * (high + GAP) + GAP];
  const canvas = new OffscreenCanvas(...sides);
  const pen = canvas.getContext("2d");
  pen.fillStyle = "#fff";
  pen.fillRect(0, 0, canvas.width, canvas.height);
  pen.imageSmoothingEnabled = false;
  rows.forEach((row, j) => row.forEach((cell, k) => {
    if (!cell) return;
    const [x, y] = [GAP + k * (wide + GAP), GAP + j * (high + GAP)];
    if (Array.isArray(cell)) {
      pen.save();
      pen.translate(x, y);
      pen.fillStyle = "#000";
      pen.fillRect(0, 0, wide, high);
      drawSkeleton(pen, cell, limbs, colours, factor, high / 50);
      pen.restore();
    } else {
      const one = new OffscreenCanvas(width, height);
      one.getContext("2d").putImageData(new ImageData(cell, width, height), 0, 0);
      pen.drawImage(one, x, y, wide, high);
    }
  }));
  return canvas;
}

const five = (value) => value >> 3; // bits of a channel
const shade = (pixels, k) =>
  (five(pixels[k]) << 10) | (five(pixels[k + 1]) << 5) | five(pixels[k + 2]);

/** 256 colours for frames (RGBA), by median cut: [palette bytes, shade -> index]. */
function palette(frames) {
  const bins = new Map(); // shade -> [shade, count]
  for (const pixels of frames) {
    for (let k = 0; k < pixels.length; k += 4) {
      const key = shade(pixels, k);
      const bin = bins.get(key);
      if (bin) bin[1]++;
      else bins.set(key, [key, 1]);
    }
  }
  const channel = (shift) => ([key]) => (key >> shift) & 31;
  const spread = (box) => [10, 5, 0].map((shift) => {
    const values = box.map(channel(shift));
    return [Math.max(...values) - Math.min(...values), shift];
  }).sort((a, b) => b[0] - a[0])[0];
  const made = (box) => ({ box, widest: spread(box) });
  const boxes = [made([...bins.values()])];
  while (boxes.length < 256) {
    boxes.sort((a, b) => b.widest[0] - a.widest[0]);
    const { box, widest: [range, shift] } = boxes[0];
    if (!range) break;
    box.sort((a, b) => channel(shift)(a) - channel(shift)(b));
    boxes.splice(0, 1, made(box.slice(0, box.length >> 1)), made(box.slice(box.length >> 1)));
  }
  const [colours, index] = [new Uint8Array(768), new Map()];
  boxes.forEach(({ box }, k) => {
    const total = box.reduce((sum, [, count]) => sum + count, 0);
    box.forEach(([key]) => index.set(key, k));
    [10, 5, 0].forEach((shift, axis) => {
      const sum = box.reduce((all, bin) => all + channel(shift)(bin) * bin[1], 0);
      colours[3 * k + axis] = Math.round((255 * sum) / total / 31);
    });
  });
  return [colours, index];
}

/** Indices below 256 in GIF's LZW code. */
function lzw(indices) {
  const [bytes, codes] = [[], new Map()];
  let [held, bits, size, next] = [0, 0, 9, 258];
  const put = (code) => {
    held |= code << bits;
    for (bits += size; bits >= 8; bits -= 8, held >>>= 8) bytes.push(held & 255);
  };
  put(256);
  let prefix = indices[0];
  for (const value of indices.subarray(1)) {
    const key = (prefix << 8) | value;
    const code = codes.get(key);
    if (code === undefined) {
      put(prefix);
      if (next === 4096) {
        put(256);
        codes.clear();
        [size, next] = [9, 258];
      } else {
        if (next >= 1 << size) size++;
        codes.set(key, next++);
      }
    }
    prefix = code ?? value;
  }
  put(prefix);
  put(257);
  if (bits) bytes.push(held & 255);
  return bytes;
}

/** An endless GIF of frames (RGBA of width x height). */
export function gif(frames, width, height, fps) {
  const [colours, index] = palette(frames);
  const short = (value) => [value & 255, value >> 8];
  const text = (letters) => [...letters].map((letter) => letter.charCodeAt(0));
  const parts = [text("GIF89a"), short(width), short(height), [0xf7, 0, 0], colours,
    [0x21, 0xff, 11], text("NETSCAPE2.0"), [3, 1, 0, 0, 0]];
  for (const pixels of frames) {
    const colour = (_, k) => index.get(shade(pixels, 4 * k));
    const values = Uint8Array.from({ length: pixels.length / 4 }, colour);
    parts.push([0x21, 0xf9, 4, 0], short(Math.round(100 / fps)), [0, 0]);
    parts.push([0x2c, 0, 0, 0, 0], short(width), short(height), [0, 8]);
    const bytes = lzw(values);
    for (let k = 0; k < bytes.length; k += 255) {
      const block = bytes.slice(k, k + 255);
      parts.push([block.length], block);
    }
    parts.push([0]);
  }
  return Uint8Array.from([...parts, [0x3b]].flatMap((part) => [...part]));
}

/** A photo's window {left, top, height} as RGBA of the frame; outside its border is repeated. */
export async function framed(photo, { left, top, height: tall }, { height, width }) {
  const [picture, scale] = [await createImageBitmap(new Blob([photo])), height / tall];
  const pen = new OffscreenCanvas(width, height).getContext("2d");
  pen.imageSmoothingQuality = "high";
  const { width: across, height: down } = picture;
  const [x, y, wide, high] = [-left, -top, across, down].map((each) => each * scale);
  pen.drawImage(picture, x, y, wide, high);
  const cut = pen.getImageData(0, 0, width, height).data;
  const inside = (at, start, length, most) =>
    clamp(at, Math.max(Math.ceil(start), 0), Math.min(Math.floor(start + length), most) - 1);
  return Uint8ClampedArray.from(cut, (_, k) => {
    const [column, row] = [(k >> 2) % width, Math.floor((k >> 2) / width)];
    const at = inside(row, y, high, height) * width + inside(column, x, wide, width);
    return cut[4 * at + (k % 4)];
  });
}
