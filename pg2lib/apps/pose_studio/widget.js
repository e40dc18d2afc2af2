// The pose studio in the browser: draws the pose, handles input and shows pictures.
//
// Python owns the pose, the timeline and the networks. This module never writes a trait: it sends
// messages ({do: "move", ...}), and traits and pictures come back. Requests that are answered by
// pictures carry a serial; only one is pending at a time, and of later ones only the newest is
// sent, so that dragging never queues up.

const SILENCE = 5000; // milliseconds without an answer before a message appears
const MOST_BYTES = 8 * 2 ** 20; // of a dropped file; Jupyter's connection takes 10 MiB
const REACH = { mouse: 14, pen: 18, touch: 26 }; // CSS pixels around a joint within which it can be grabbed
const GAP = 8; // CSS pixels between pictures; this and the next four as in the style sheet
const LIST = 144; // width of the list of joints
const PLACE = 16; // between the pose, the list and the pictures
const PADDING = 4; // left and right of all
const CAPTION = 18; // height of a caption
const AROUND = 520; // height of all but the pose: the rest of the studio, and JupyterLab's own bars
const STAGE = { least: 380, most: 640 }; // height of the pose and the pictures; the list is 378
const GRIP = 132; // a pose of this width can be dragged with ease
const LEAST_PHOTO = 16; // pixels; Python refuses a smaller one
const SUFFIXES = /\.(jpe?g|png|webp|gif|bmp|tiff?|heic|avif)$/i; // of a photo without a type
const GROUND = "#16181b"; // behind a plain pose; the joint colours suit a dark background

// --- pure helpers ------------------------------------------------------------------------------

/** Where a place in frame pixels, [x, y], lies on a canvas of `scale` CSS pixels per pixel. */
export function toCanvas([x, y], scale) {
  return [(x + 0.5) * scale, (y + 0.5) * scale];
}

/** [x, y] limited to the frame, to a hundredth of a pixel. */
export function within([x, y], height, width) {
  const hold = (value, most) => Math.round(Math.min(Math.max(value, 0), most) * 100) / 100;
  return [hold(x, width - 1), hold(y, height - 1)];
}

/** Index of the joint next to a place, all in frame pixels; -1 where none is within reach. */
export function nearestJoint(pose, [x, y], reach) {
  let best = -1;
  let least = reach;
  pose.forEach((place, joint) => {
    if (!place) return;
    const distance = Math.hypot(place[0] - x, place[1] - y);
    if (distance <= least) [best, least] = [joint, distance];
  });
  return best;
}

/** The joint after (`step` 1) or before (-1) a joint, cyclically; -1 is no joint yet. */
export function nextJoint(joint, step, count) {
  if (joint < 0) return step > 0 ? 0 : count - 1;
  return (joint + step + count) % count;
}

/** The sizes of pose, results (as large as the pose) and small pictures for a page: CSS pixels per
 * frame pixel, and where the small ones are, "beside" the results or "below" them, whichever makes
 * the pose larger; "narrow" where a page is too narrow for all side by side.
 *
 * room, tall: CSS pixels there are; shown: {results, small, columns}, how many results and small
 * pictures, and how many columns of two the small ones make. */
export function chooseLayout(room, tall, height, width, { results, small, columns }) {
  const across = (count, wide) => count * wide + (count - 1) * GAP;
  const most = Math.max(Math.floor(((tall - CAPTION) * width) / height), GRIP);
  for (let wide = most; wide >= GRIP; wide--) {
    const scale = wide / width;
    const high = height * scale;
    const rest = room - wide - LIST - 2 * PLACE; // for results and small pictures
    const half = (high - CAPTION - GAP) / 2 / height; // two small ones are as high as a result
    const beside = across(results, wide) + PLACE + across(columns, width * half);
    if (beside <= rest) return { kind: "beside", pose: scale, result: scale, small: half };
    const line = Math.min(
      (tall - high - 2 * CAPTION - GAP) / height,
      (rest - (small - 1) * GAP) / small / width,
      scale / 2,
    );
    if (across(results, wide) <= rest && line >= scale / 4) {
      return { kind: "below", pose: scale, result: scale, small: line };
    }
  }
  const limit = (wide) => Math.max(Math.min(wide, (STAGE.most * width) / height), 1) / width;
  const withList = limit(room - LIST - PLACE);
  const pose = width * withList >= GRIP ? withList : limit(room);
  const result = Math.min(pose, (room - (results - 1) * GAP) / results / width);
  return { kind: "narrow", pose, result, small: Math.min(pose / 2, (room - 2 * GAP) / 3 / width) };
}

/** The largest crop of the frame's shape in the middle of a photo of `across` x `down` pixels:
 * {left, top, height} in its pixels; the width follows from the shape, `aspect` (width / height). */
export function middleCrop(across, down, aspect) {
  const height = Math.min(down, across / aspect);
  return { left: (across - height * aspect) / 2, top: (down - height) / 2, height };
}

/** The smallest crop of that shape with the whole photo in it. */
export function wholeCrop(across, down, aspect) {
  const height = Math.max(down, across / aspect);
  return { left: (across - height * aspect) / 2, top: (down - height) / 2, height };
}

/** A crop moved by (dx, dy) and enlarged `by` a factor about a place of the photo; its middle stays
 * on the photo, and it becomes no larger than the whole and no smaller than Python takes. */
export function changedCrop(crop, across, down, aspect, { dx = 0, dy = 0, by = 1, about }) {
  const most = wholeCrop(across, down, aspect).height;
  const height = Math.min(Math.max(crop.height * by, Math.min(LEAST_PHOTO / aspect, most)), most);
  const grown = height / crop.height;
  const [x, y] = about ?? [crop.left + (crop.height * aspect) / 2, crop.top + crop.height / 2];
  const middle = (start, length, at, step, most) =>
    Math.min(Math.max(at + (start - at + length / 2) * grown + step, 0), most);
  return {
    left: middle(crop.left, crop.height * aspect, x, dx, across) - (height * aspect) / 2,
    top: middle(crop.top, crop.height, y, dy, down) - height / 2,
    height,
  };
}

/** What a file is by its name and type: "photo", "pose" (OpenPose JSON) or "". */
export function fileKind({ name, type = "" }) {
  if (/json$/.test(type) || /\.json$/i.test(name)) return "pose";
  return type.startsWith("image/") || (!type && SUFFIXES.test(name)) ? "photo" : "";
}

/** Counts what comes: `tick(now)` (milliseconds) gives the rate per second over the last second,
 * and 0 before there are two. */
export function rateCounter() {
  let times = [];
  return {
    clear: () => (times = []),
    tick(now) {
      times = times.filter((time) => now - time < 1000);
      times.push(now);
      if (times.length < 2 || now === times[0]) return 0;
      return ((times.length - 1) * 1000) / (now - times[0]);
    },
  };
}

/** Adds a request to those waiting. It takes the place of the last one where nothing is lost: a
 * move or drop of the same joint after a move, a drop after a drop, a seek after a seek. */
export function queued(waiting, request) {
  const last = waiting.at(-1);
  const same = last && last.joint === request.joint;
  const replaces =
    same && (last.do === "move" ? request.do !== "seek" : last.do === request.do);
  return [...(replaces ? waiting.slice(0, -1) : waiting), request];
}

/** Sends requests so that one is under way at a time and the newest wins.
 *
 * `ask(request)` is for requests with a serial, `act(message, buffers)` for the others, which are
 * sent at once, after what waits. `answered(serial)` and `alive()` report what comes back;
 * `silent()` is called when nothing came for `patience` milliseconds.
 */
export function newestWins({ send, silent, patience = SILENCE }) {
  let waiting = [];
  let underWay = 0;
  let timer = null;
  const watch = () => {
    timer ??= setTimeout(() => {
      timer = null;
      underWay = 0; // so that the next request is tried, whatever became of this one
      silent();
    }, patience);
  };
  const sendNext = () => {
    if (underWay || !waiting.length) return;
    const request = waiting.shift();
    underWay = request.serial;
    watch();
    send(request);
  };
  const alive = () => {
    clearTimeout(timer);
    timer = null;
    if (underWay) watch();
  };
  return {
    alive,
    ask(request) {
      waiting = queued(waiting, request);
      sendNext();
    },
    act(message, buffers) {
      for (const request of waiting) {
        underWay = request.serial;
        send(request);
      }
      waiting = [];
      watch();
      send(message, buffers);
    },
    answered(serial) {
      // Python answers in turn: an answer to a later request, of another view too, will do.
      if (serial >= underWay) underWay = 0;
      alive();
      sendNext();
    },
    expecting: () => timer !== null,
    stop: () => clearTimeout(timer),
  };
}

/** The bytes of a buffer as it comes with a message (a DataView or an ArrayBuffer). */
export function bytesOf(buffer) {
  return ArrayBuffer.isView(buffer)
    ? new Uint8ClampedArray(buffer.buffer, buffer.byteOffset, buffer.byteLength)
    : new Uint8ClampedArray(buffer);
}

/** The row of Table 1 that generated a picture ("refined:G1+D"), "" for a picture of the pose. */
function rowOf(name) {
  return name.includes(":") ? name.slice(name.indexOf(":") + 1) : "";
}

/** Pictures without the coarse result of one-stage rows: there it is the result itself. */
export function worthShowing(pictures) {
  const names = new Set(pictures.map(({ name }) => name));
  return pictures.filter(
    ({ name }) => !name.startsWith("coarse:") || names.has(`difference:${rowOf(name)}`),
  );
}

/** A picture's title without its row, which is told elsewhere: "G1+D, coarse" is Coarse. */
export function caption(title, row) {
  const short = row && title.startsWith(`${row}, `) ? title.slice(row.length + 2) : title;
  return short.charAt(0).toUpperCase() + short.slice(1);
}

/** Pictures by line, in their order: those of the pose (row ""), then a line per row of Table 1. */
export function byRow(pictures) {
  const lines = new Map();
  for (const picture of pictures) {
    const row = rowOf(picture.name);
    lines.set(row, [...(lines.get(row) ?? []), picture]);
  }
  return [...lines].map(([row, list]) => ({ row, pictures: list }));
}

/** What a key does to the pose: {choose}, {dx, dy}, {do}, {row}, {leave}; null where nothing. */
export function keyAction({ key, shiftKey, ctrlKey, metaKey, altKey }) {
  const letter = key.toLowerCase();
  if ((ctrlKey || metaKey) && !altKey) {
    if (letter === "z") return { do: shiftKey ? "redo" : "undo" };
    return letter === "y" ? { do: "redo" } : null;
  }
  const far = shiftKey ? 5 : 1;
  const arrows = {
    ArrowLeft: { dx: -far, dy: 0 },
    ArrowRight: { dx: far, dy: 0 },
    ArrowUp: { dx: 0, dy: -far },
    ArrowDown: { dx: 0, dy: far },
  };
  const others = {
    tab: { choose: shiftKey ? -1 : 1, tab: true },
    "]": { choose: 1 },
    n: { choose: 1 },
    "[": { choose: -1 },
    p: { choose: -1 },
    h: { do: "toggle" },
    m: { do: "mirror" },
    r: { row: shiftKey ? -1 : 1 },
    escape: { leave: true },
  };
  return arrows[key] ?? others[letter] ?? null;
}

/** The pose as a stick figure, `scale` canvas units per frame pixel; a limb takes the colour of
 * its outer joint, as in the project's figures. */
export function drawSkeleton(pen, pose, limbs, colours, scale, thick) {
  const rgb = ([r, g, b], share = 1) =>
    `rgb(${Math.round(r * share)} ${Math.round(g * share)} ${Math.round(b * share)})`;
  pen.lineCap = "round";
  for (const edge of [true, false]) {
    // First a dark edge under all limbs, so that they stand out from a picture.
    for (const [start, end] of limbs) {
      if (!pose[start] || !pose[end]) continue;
      pen.strokeStyle = edge ? "rgb(0 0 0 / 0.55)" : rgb(colours[end], 0.75);
      pen.lineWidth = edge ? thick + 2 : thick;
      pen.beginPath();
      pen.moveTo(...toCanvas(pose[start], scale));
      pen.lineTo(...toCanvas(pose[end], scale));
      pen.stroke();
    }
  }
  pose.forEach((place, joint) => {
    if (!place) return;
    pen.beginPath();
    pen.arc(...toCanvas(place, scale), 0.85 * thick + 1, 0, 2 * Math.PI);
    pen.fillStyle = rgb(colours[joint]);
    pen.fill();
    pen.lineWidth = 1;
    pen.strokeStyle = "rgb(0 0 0 / 0.6)";
    pen.stroke();
  });
}

// --- elements ----------------------------------------------------------------------------------

/** A DOM element: attributes by name, `on` its listeners, `text` its text, then its children. */
function make(tag, { text, on = {}, ...attributes } = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (value !== false) element.setAttribute(name, value === true ? "" : String(value));
  }
  for (const [event, listener] of Object.entries(on)) element.addEventListener(event, listener);
  if (text !== undefined) element.textContent = text;
  element.append(...children);
  return element;
}

/** An element that can have the focus. JupyterLab looks for the attribute from the focused element
 * upwards and stops at the first selector that matches, so each control needs its own: without it
 * a key such as m or x would act on the notebook's cell. */
function control(tag, attributes = {}, ...children) {
  return make(tag, { "data-lm-suppress-shortcuts": true, ...attributes }, ...children);
}

function button(action, text, title, pressed) {
  const attributes = { type: "button", "data-do": action, title, text };
  if (!/\w/.test(text)) attributes["aria-label"] = title; // a sign has no name
  return control("button", { ...attributes, on: { click: pressed } });
}

/** A control with its name before it. */
function labelled(text, control, title) {
  control.setAttribute("title", title);
  return make("label", { class: "pg2-labelled" }, make("span", { text }), control);
}

/** Puts [value, text] pairs into a select and chooses one; leaves it alone where nothing is new. */
function fill(select, pairs, chosen) {
  const wanted = JSON.stringify(pairs);
  if (select.getAttribute("data-options") !== wanted) {
    select.setAttribute("data-options", wanted);
    select.replaceChildren(...pairs.map(([value, text]) => make("option", { value, text })));
  }
  select.value = String(chosen);
}

/** A hidden file input and the button that opens it; `taken` gets the chosen file. */
function fileButton(action, text, title, accept, taken) {
  const input = control("input", { type: "file", accept, hidden: true, "aria-label": title });
  input.addEventListener("change", () => {
    if (input.files.length) taken(input.files[0]);
    input.value = ""; // so that the same file can be chosen again
  });
  return [button(action, text, title, () => input.click()), input];
}

/** Accepts files dropped on an element. */
function takesFiles(element, taken) {
  const over = (yes) => (event) => {
    event.preventDefault();
    element.classList.toggle("pg2-over", yes);
  };
  element.addEventListener("dragenter", over(true));
  element.addEventListener("dragover", over(true));
  element.addEventListener("dragleave", over(false));
  element.addEventListener("drop", (event) => {
    over(false)(event);
    event.stopPropagation();
    if (event.dataTransfer.files.length) taken(event.dataTransfer.files[0]);
  });
}

function download(name, mime, bytes) {
  const address = URL.createObjectURL(new Blob([bytes], { type: mime }));
  const link = make("a", { href: address, download: name, hidden: true });
  document.body.append(link);
  link.click();
  link.remove();
  setTimeout(() => URL.revokeObjectURL(address), 10_000);
}

/** A canvas of width x height CSS pixels, as fine as the screen; its pen draws in CSS pixels. */
function sharpen(canvas, width, height) {
  const fine = globalThis.devicePixelRatio || 1;
  const [across, down] = [Math.round(width * fine), Math.round(height * fine)];
  if (canvas.width !== across) canvas.width = across;
  if (canvas.height !== down) canvas.height = down;
  canvas.style.width = `${width}px`;
  canvas.style.height = `${height}px`;
  const pen = canvas.getContext("2d");
  pen.setTransform(fine, 0, 0, fine, 0, 0);
  return pen;
}

/** The picture of a file as the browser reads it, upright; null where it cannot. */
async function decoded(file) {
  try {
    return await createImageBitmap(file);
  } catch {
    return null;
  }
}

// --- cropping a photo ---------------------------------------------------------------------------

const CROP_HELP =
  "Drag the photo, or use arrows; wheel, + and − zoom, 0 shows all of it; Enter uses what is in the " +
  "frame, Esc does not.";
const CROP_SHARE = 0.9; // of the view, which the frame takes
const CROP_KEYS = {
  "+": { by: 1 / 1.1 }, "=": { by: 1 / 1.1 }, "-": { by: 1.1 }, "−": { by: 1.1 },
  ArrowLeft: { dx: -1 }, ArrowRight: { dx: 1 }, ArrowUp: { dy: -1 }, ArrowDown: { dy: 1 },
};

/** A view in which a photo is moved and zoomed below a frame of the network's shape.
 *
 * aspect(): width / height of the frame; use(file, crop): the photo is taken; done(): the view was
 * closed. Returns {element, open(file, picture), size(width, height)}.
 */
function cropper({ aspect, use, done }) {
  let photo = null; // {file, picture}
  let crop = null;
  let grip = null; // {pointer, x, y}
  let view = [0, 0];

  const canvas = control("canvas", {
    class: "pg2-photo",
    tabindex: 0,
    role: "application",
    "aria-label": `Photo under the frame of the network. ${CROP_HELP}`,
  });
  const facts = make("span", { class: "pg2-counter" });
  const change = (more) => {
    const { width, height } = photo.picture;
    crop = changedCrop(crop, width, height, aspect(), more);
    draw();
  };
  const whole = () => {
    crop = wholeCrop(photo.picture.width, photo.picture.height, aspect());
    draw();
  };
  const close = () => {
    photo.picture.close?.();
    photo = crop = grip = null;
    element.hidden = true;
    done();
  };
  const take = () => {
    const [{ file }, taken] = [photo, crop];
    close();
    use(file, taken);
  };
  const zoom = (by) => () => change({ by });
  const named = { role: "group", "aria-label": "Crop the photo" };
  const element = make("div", { class: "pg2-crop", hidden: true, ...named },
    make("div", { class: "pg2-tools" },
      button("crop_use", "Use", "Use what is in the frame as condition image (Enter)", take),
      button("crop_cancel", "Cancel", "Keep the condition image (Esc)", close),
      button("crop_in", "+", "Zoom in (+)", zoom(1 / 1.25)),
      button("crop_out", "−", "Zoom out (−)", zoom(1.25)),
      button("crop_whole", "Whole photo", "Show all of it, with a border (0)", whole),
      facts,
    ),
    canvas,
    make("p", { class: "pg2-help", text: CROP_HELP }),
  );

  /** CSS pixels per pixel of the photo, and where the frame is: [scale, left, top, width, height]. */
  function frame() {
    const high = CROP_SHARE * Math.min(view[1], view[0] / aspect());
    const wide = high * aspect();
    return [high / crop.height, (view[0] - wide) / 2, (view[1] - high) / 2, wide, high];
  }

  function draw() {
    if (!photo) return;
    const pen = sharpen(canvas, ...view);
    const [scale, left, top, wide, high] = frame();
    const { width, height } = photo.picture;
    pen.fillStyle = GROUND;
    pen.fillRect(0, 0, ...view);
    pen.imageSmoothingQuality = "high";
    pen.drawImage(photo.picture, left - crop.left * scale, top - crop.top * scale, width * scale,
      height * scale);
    pen.fillStyle = "rgb(0 0 0 / 0.6)";
    pen.fillRect(0, 0, view[0], top);
    pen.fillRect(0, top + high, view[0], view[1]);
    pen.fillRect(0, top, left, high);
    pen.fillRect(left + wide, top, view[0], high);
    pen.strokeStyle = "#ffffff";
    pen.lineWidth = 2;
    pen.strokeRect(left, top, wide, high);
    const size = `${Math.round(crop.height * aspect())}x${Math.round(crop.height)}`;
    facts.textContent = `${photo.file.name}, ${width}x${height}: ${size} in the frame`;
  }

  const on = {
    pointerdown(event) {
      if (grip || event.button > 0) return;
      event.preventDefault();
      canvas.focus({ preventScroll: true });
      canvas.setPointerCapture(event.pointerId);
      grip = { pointer: event.pointerId, x: event.clientX, y: event.clientY };
    },
    pointermove({ pointerId, clientX, clientY }) {
      if (pointerId !== grip?.pointer) return;
      const [scale] = frame();
      change({ dx: (grip.x - clientX) / scale, dy: (grip.y - clientY) / scale });
      grip = { pointer: pointerId, x: clientX, y: clientY };
    },
    pointerup: () => (grip = null),
    pointercancel: () => (grip = null),
    wheel(event) {
      event.preventDefault();
      event.stopPropagation();
      const box = canvas.getBoundingClientRect();
      const [scale, left, top] = frame();
      const about = [crop.left + (event.clientX - box.left - left) / scale,
        crop.top + (event.clientY - box.top - top) / scale];
      const lines = event.deltaMode ? 16 : 1;
      change({ by: Math.exp(Math.min(Math.max(event.deltaY * lines, -200), 200) / 500), about });
    },
  };
  for (const [event, listener] of Object.entries(on)) canvas.addEventListener(event, listener);

  element.addEventListener("keydown", (event) => {
    const { key, ctrlKey, metaKey, altKey, shiftKey } = event;
    const pressed = event.target !== canvas && ["Enter", " "].includes(key); // a button's own keys
    if (!photo || ctrlKey || metaKey || altKey || pressed) return;
    const step = crop.height / (shiftKey ? 5 : 20);
    const { by, dx = 0, dy = 0 } = CROP_KEYS[key] ?? {};
    if (key === "Enter") take();
    else if (key === "Escape") close();
    else if (key === "0") whole();
    else if (CROP_KEYS[key]) change({ by, dx: dx * step, dy: dy * step });
    else return;
    event.preventDefault();
    event.stopPropagation();
  });

  return {
    element,
    open(file, picture) {
      photo?.picture.close?.();
      photo = { file, picture };
      crop = middleCrop(picture.width, picture.height, aspect());
      element.hidden = false;
      draw();
      canvas.focus({ preventScroll: true });
    },
    size(width, height) {
      view = [width, height];
      draw();
    },
  };
}

// --- the widget --------------------------------------------------------------------------------

let serials = 0; // shared by all views of a widget, so that they understand each other's answers
let views = 0;

const HELP =
  "Drag a joint. Keys on the pose: Tab, n, p or [ ] choose a joint, arrows move it (Shift: by 5), " +
  "h hides or shows it, m mirrors, r shows the next row, Ctrl+Z undoes; Esc, then Tab leaves. " +
  "Drop a photo or OpenPose JSON anywhere.";

function render({ model, el, silence, mostBytes = MOST_BYTES }) {
  const get = (name) => model.get(name);
  const names = get("joints").map((name) => name.replaceAll("_", " "));
  const helpId = `pg2-studio-help-${++views}`;
  const listeners = []; // on the model: [event, listener]
  const pictures = new Map(); // name -> canvas
  let shownNames = ""; // of the pictures laid out
  let counts = { results: 1, small: 5, columns: 3 }; // of the pictures, see chooseLayout
  let scales = chooseLayout(900, 440, get("height"), get("width"), counts);
  let chosen = -1; // joint
  let hovered = -1;
  let left = false; // Esc was pressed: the next Tab leaves the canvas
  let drag = null; // {joint, pointer, offset, moved}
  let local = null; // {joint, place, serial}: a joint here, before Python has it
  let seeking = 0; // serial of the last seek of the slider
  let drives = false; // this view pressed Play
  let frame = 0; // asked for last while playing
  let asked = 0; // when
  let player = null;
  let wantsDownload = false; // this view asked for a file
  let ownWords = false; // the message shown is this page's, not Python's
  let painting = 0; // animation frame under way
  let tells = false; // the next pose is announced to screen readers
  let refocus = null; // {action, index}: the button of the timeline that has the focus next
  const rate = rateCounter();

  const pose = () =>
    get("pose").map((place, joint) => (local?.joint === joint && place ? local.place : place));

  // ---- what is sent

  const sender = newestWins({
    send(message, buffers) {
      const { serial } = message;
      // The kernel becomes idle after each message, even if it sends nothing back.
      const status = ({ content }) => {
        if (content?.execution_state !== "idle") return;
        if (serial) sender.answered(serial);
        else {
          sender.alive();
          controls(); // a refused choice is reset
        }
        heard();
      };
      try {
        model.send(message, { iopub: { status } }, buffers);
      } catch {
        // The kernel is gone; `silent` reports it.
      }
    },
    silent() {
      sayHere(
        silence ??
          `No answer from Python for ${SILENCE / 1000} seconds: the kernel is busy or was stopped. ` +
            "If this persists, run the cell again.",
      );
    },
  });
  const ask = (request) => {
    const serial = ++serials;
    sender.ask({ ...request, serial });
    return serial;
  };
  const act = (action, more = {}, buffers = undefined) =>
    sender.act({ do: action, ...more }, buffers);
  const doing = (action, more) => () => act(action, more);
  const place = (action, joint, [x, y]) => {
    local = { joint, place: [x, y], serial: ask({ do: action, joint, x, y }) };
    repaint();
  };

  function say(text, kind) {
    message.textContent = text;
    message.setAttribute("data-kind", kind);
    message.setAttribute("role", kind === "error" ? "alert" : "status");
  }

  /** A message that Python does not know of; its next answer removes it. */
  function sayHere(text, kind = "error") {
    ownWords = true;
    say(text, kind);
  }

  function heard() {
    if (!ownWords) return;
    ownWords = false;
    say(get("message"), get("kind"));
  }

  function announce() {
    const where = pose()[chosen];
    const at = where ? `x ${Math.round(where[0])}, y ${Math.round(where[1])}` : "hidden";
    live.textContent = chosen < 0 ? "" : `${names[chosen]}, ${at}`;
  }

  /** Takes a file that was dropped or chosen; a photo is cropped first. */
  async function openFile(file) {
    const kind = fileKind(file);
    if (file.size > mostBytes) {
      const size = (file.size / 2 ** 20).toFixed(1);
      sayHere(`${file.name} has ${size} MiB; at most ${mostBytes / 2 ** 20} can be sent.`);
    } else if (kind === "pose") {
      act("import", { text: await file.text(), name: file.name });
    } else if (kind === "photo") {
      sayHere(`Reading ${file.name} …`, "");
      const picture = await decoded(file);
      const small = !picture || Math.min(picture.width, picture.height) < LEAST_PHOTO;
      if (small) return sendPhoto(file); // Python can read it, or says why not
      crop.open(file, picture);
      heard();
    } else {
      sayHere(`${file.name} is neither a photo nor a pose: drop a JPEG or PNG, or OpenPose JSON.`);
    }
  }

  async function sendPhoto(file, window = {}) {
    sayHere(`Reading ${file.name} …`, "");
    act("condition_file", { name: file.name, ...window }, [await file.arrayBuffer()]);
  }

  const wanting = (action) => () => {
    wantsDownload = true;
    act(action);
  };

  // ---- the pose

  const canvas = control("canvas", {
    class: "pg2-pose",
    tabindex: 0,
    role: "application",
    "aria-label":
      `Target pose, ${names.length} joints. Tab, n p or brackets choose a joint, arrows move it, ` +
      "h hides or shows it, m mirrors, Control Z undoes; Escape, then Tab leaves.",
    "aria-describedby": helpId,
  });
  const live = make("div", { class: "pg2-hidden pg2-live", "aria-live": "polite" });
  const crop = cropper({
    aspect: () => get("width") / get("height"),
    use: sendPhoto,
    done: () => canvas.focus({ preventScroll: true }),
  });
  const backdrop = control("select", { "data-choice": "backdrop", on: { change: () => repaint() } });
  fill(backdrop, [["plain", "plain"], ["refined", "refined result"], ["condition", "condition"]],
    "plain");

  function repaint() {
    painting ||= requestAnimationFrame(() => {
      painting = 0;
      paint();
    });
  }

  function paint() {
    const [across, down] = [get("width") * scales.pose, get("height") * scales.pose];
    const pen = sharpen(canvas, across, down);
    pen.fillStyle = GROUND;
    pen.fillRect(0, 0, across, down);
    const name = backdrop.value === "refined" ? `refined:${get("row")}` : backdrop.value;
    const behind = pictures.get(name);
    if (behind) {
      pen.imageSmoothingEnabled = true;
      pen.imageSmoothingQuality = "high";
      pen.drawImage(behind, 0, 0, across, down);
      pen.fillStyle = "rgb(0 0 0 / 0.2)";
      pen.fillRect(0, 0, across, down);
    }
    const places = pose();
    const thick = Math.max(2.5, down / 110);
    drawSkeleton(pen, places, get("limbs"), get("colours"), scales.pose, thick);
    const focus = drag ? drag.joint : chosen;
    if (places[focus]) {
      pen.beginPath();
      pen.arc(...toCanvas(places[focus], scales.pose), thick + 6, 0, 2 * Math.PI);
      pen.lineWidth = 2;
      pen.strokeStyle = "#ffffff";
      pen.stroke();
    }
    const named = drag ? drag.joint : hovered;
    if (places[named]) nameJoint(pen, names[named], toCanvas(places[named], scales.pose), across);
  }

  function nameJoint(pen, text, [x, y], across) {
    pen.font = "12px system-ui, sans-serif";
    const wide = pen.measureText(text).width + 12;
    const start = Math.min(Math.max(x - wide / 2, 2), across - wide - 2);
    const top = y > 40 ? y - 36 : y + 16;
    pen.fillStyle = "rgb(0 0 0 / 0.8)";
    pen.fillRect(start, top, wide, 20);
    pen.fillStyle = "#ffffff";
    pen.textBaseline = "middle";
    pen.fillText(text, start + 6, top + 10.5);
  }

  /** The place of a pointer in frame pixels, not limited to the frame. */
  function pointed({ clientX, clientY }) {
    const box = canvas.getBoundingClientRect();
    return [(clientX - box.left) / scales.pose - 0.5, (clientY - box.top) / scales.pose - 0.5];
  }

  function jointAt(event) {
    const reach = REACH[event.pointerType] ?? REACH.mouse;
    return nearestJoint(pose(), pointed(event), reach / scales.pose);
  }

  function dragged(event) {
    const [x, y] = pointed(event);
    const goal = [x - drag.offset[0], y - drag.offset[1]];
    return within(goal, get("height"), get("width"));
  }

  function choose(joint) {
    chosen = joint;
    jointItems.forEach((item, index) => item.classList.toggle("pg2-chosen", index === joint));
    repaint();
  }

  function hover(joint) {
    if (hovered === joint) return;
    hovered = joint;
    canvas.style.cursor = joint < 0 ? "default" : "grab";
    repaint();
  }

  const onCanvas = {
    pointerdown(event) {
      if (drag || event.button > 0) return;
      canvas.focus({ preventScroll: true });
      const joint = jointAt(event);
      choose(joint);
      if (joint < 0) return;
      event.preventDefault();
      canvas.setPointerCapture(event.pointerId);
      const [x, y] = pointed(event);
      const start = pose()[joint];
      // The offset keeps the joint from jumping to the pointer.
      const offset = [x - start[0], y - start[1]];
      drag = { joint, pointer: event.pointerId, offset, moved: false };
      canvas.style.cursor = "grabbing";
      rate.clear();
    },
    pointermove(event) {
      if (!drag) return hover(jointAt(event));
      if (event.pointerId !== drag.pointer) return;
      drag.moved = true;
      place("move", drag.joint, dragged(event));
    },
    pointerup(event) {
      if (event.pointerId !== drag?.pointer) return;
      const { joint, moved } = drag;
      const goal = dragged(event);
      drag = null;
      canvas.style.cursor = "grab";
      if (moved) place("drop", joint, goal);
      announce();
      repaint();
    },
    pointercancel(event) {
      if (event.pointerId !== drag?.pointer) return;
      const { joint, moved } = drag;
      drag = null;
      if (moved) place("drop", joint, local.place);
      repaint();
    },
    pointerleave() {
      if (!drag) hover(-1);
    },
    focus() {
      left = false;
    },
    blur() {
      left = false;
    },
    keydown(event) {
      const action = keyAction(event);
      if (!action || drag) return;
      if (action.tab) {
        const end = action.choose > 0 ? names.length - 1 : 0;
        if (left || chosen === end) return; // Tab goes on to the next control
      }
      event.preventDefault();
      event.stopPropagation();
      left = Boolean(action.leave);
      const busy = event.repeat && sender.expecting();
      const now = pose()[chosen];
      if (action.leave) choose(-1);
      else if (action.choose) choose(nextJoint(chosen, action.choose, names.length));
      else if (action.dx !== undefined && now) {
        const goal = within([now[0] + action.dx, now[1] + action.dy], get("height"), get("width"));
        place("drop", chosen, goal);
      } else if (action.do === "toggle") {
        if (chosen >= 0 && !busy) act(now ? "hide" : "show", { joint: chosen });
      } else if (action.row) {
        const rows = get("rows");
        const next = nextJoint(rows.indexOf(get("row")), action.row, rows.length);
        if (!busy) act("row", { name: rows[next] });
      } else if (action.do && !busy) act(action.do);
      if (action.do) tells = true;
      else announce();
    },
  };
  for (const [event, listener] of Object.entries(onCanvas)) {
    canvas.addEventListener(event, listener);
  }
  const boxes = names.map((name, joint) =>
    control("input", {
      type: "checkbox",
      "data-joint": joint,
      title: `Hide or show the ${name}`,
      on: { change: (event) => act(event.target.checked ? "show" : "hide", { joint }) },
    }),
  );
  const jointItems = names.map((name, joint) => {
    const dot = make("span", { class: "pg2-dot" });
    dot.style.background = `rgb(${get("colours")[joint].join(" ")})`;
    const label = make("label", {}, boxes[joint], dot, make("span", { text: name }));
    const enter = () => hover(joint);
    return make("li", { on: { pointerenter: enter, pointerleave: () => hover(-1) } }, label);
  });

  const undo = button("undo", "Undo", "Undo the last step (Ctrl+Z)", doing("undo"));
  const redo = button("redo", "Redo", "Redo the step undone last (Ctrl+Shift+Z)", doing("redo"));
  const poses = control("select", { "data-choice": "pose" });
  const take = button("take", "Use", "Use the pose of this test image", () =>
    act("take", { pose: Number(poses.value) }),
  );
  const poseTools = make("div", { class: "pg2-tools" },
    button("mirror", "Mirror", "Swap left and right (m)", doing("mirror")),
    undo,
    redo,
    button("reset", "Reset", "Back to the pose of the start", doing("reset")),
    labelled("Pose of", poses, "A test image whose pose can be used"),
    take,
    ...fileButton("import", "Import…", "Open a pose: OpenPose JSON", ".json,application/json",
      openFile),
    button("export", "Export", "Save the pose as OpenPose JSON", wanting("export")),
    labelled("Behind", backdrop, "What is shown behind the pose"),
  );

  // ---- condition, rows and pictures

  const conditions = control("select", {
    "data-choice": "condition",
    on: { change: () => act("condition", { index: Number(conditions.value) }) },
  });
  const stepCondition = (step) => () => {
    const count = get("conditions").length;
    if (count) act("condition", { index: nextJoint(get("condition"), step, count) });
  };
  const firstRow = control("select", {
    "data-choice": "row",
    on: { change: () => act("row", { name: firstRow.value }) },
  });
  const secondRow = control("select", {
    "data-choice": "second",
    on: { change: () => act("second", { name: secondRow.value }) },
  });
  const conditionTools = make("div", { class: "pg2-tools" },
    labelled("Condition", conditions, "The image of the person"),
    button("previous", "‹", "Previous condition image", stepCondition(-1)),
    button("next", "›", "Next condition image", stepCondition(1)),
    ...fileButton("open", "Open photo…", "Open a photo as condition image", "image/*", openFile),
    labelled("Row", firstRow, "Row of Table 1 (r on the pose: the next one)"),
    labelled("Compare with", secondRow, "A second row for the same pose"),
  );
  const results = make("div", { class: "pg2-results" });
  const small = make("div", { class: "pg2-small" });

  function layOut(list) {
    const order = list.map(({ name }) => name).join();
    if (order === shownNames) return;
    shownNames = order;
    pictures.clear();
    const shown = (text) => ({ name, title }) => {
      const picture = make("canvas", { "data-picture": name, role: "img", "aria-label": title });
      pictures.set(name, picture);
      return make("figure", { title }, picture, make("figcaption", { text: text(title, name) }));
    };
    const isResult = ({ name }) => name.startsWith("refined:");
    const others = byRow(list.filter((one) => !isResult(one)));
    const several = others.length > 2; // rows with pictures of their own
    results.replaceChildren(
      ...list.filter(isResult).map(shown((title, name) => rowOf(name))),
    );
    small.replaceChildren(
      ...others.map(({ row, pictures: those }) =>
        make("section", { "aria-label": row || "Inputs" },
          ...those.map(shown((title) => caption(title, several ? "" : row))),
        ),
      ),
    );
    const columns = others.reduce((sum, one) => sum + Math.ceil(one.pictures.length / 2), 0);
    const shownResults = list.filter(isResult).length;
    counts = { results: shownResults, small: list.length - shownResults, columns };
    size();
  }

  function show({ pictures: sent, serial, milliseconds }, buffers) {
    const list = worthShowing(sent.map((picture, index) => ({ ...picture, index })));
    if (list.length) layOut(list); // none come with a mistake
    for (const { name, width, height, index } of list) {
      const bytes = bytesOf(buffers[index]);
      const picture = pictures.get(name);
      if (picture.width !== width) picture.width = width;
      if (picture.height !== height) picture.height = height;
      picture.getContext("2d").putImageData(new ImageData(bytes, width, height), 0, 0);
    }
    heard();
    repaint();
    if (!serial) return sender.alive(); // for a request without one
    root.setAttribute("data-serial", serial);
    if (local && !drag && serial >= local.serial) local = null;
    if (list.length && (drag || seeking || get("playing"))) {
      const perSecond = rate.tick(performance.now());
      if (perSecond) {
        root.setAttribute("data-fps", perSecond.toFixed(1));
        const whole = perSecond.toFixed(0);
        speed.textContent = `${whole} picture${whole === "1" ? "" : "s"}/s`;
        speed.setAttribute("title", `The last one took ${Math.round(milliseconds)} ms`);
      }
    }
    if (serial >= seeking) seeking = 0;
    sender.answered(serial);
    if (list.length) pace();
  }

  // ---- timeline

  const number = (value, least, most) => Math.min(Math.max(Number(value) || 0, least), most);
  const between = control("input", {
    type: "number",
    min: 0,
    max: 20,
    "data-choice": "between",
    on: {
      change: () => {
        between.value = String(Math.round(number(between.value, 0, 20)));
        act("between", { value: Number(between.value) });
      },
    },
  });
  const fps = control("input", {
    type: "number",
    min: 1,
    max: 30,
    "data-choice": "fps",
    on: {
      change: () => {
        fps.value = String(number(fps.value, 1, 30));
        act("fps", { value: Number(fps.value) });
      },
    },
  });
  const slider = control("input", {
    type: "range",
    min: 0,
    "data-choice": "frame",
    "aria-label": "Frame of the sequence",
    title: "Frame of the sequence",
    on: {
      input: () => {
        if (!seeking) rate.clear();
        frame = Number(slider.value);
        seeking = ask({ do: "seek", frame });
        count();
      },
    },
  });
  const still = control("input", {
    type: "checkbox",
    "data-choice": "still",
    on: { change: () => act("still", { value: Number(still.checked) }) },
  });
  const play = button("play", "Play", "Play the sequence in a loop", () => {
    drives = true;
    frame = get("frame");
    rate.clear();
    act("play");
  });
  const stop = button("stop", "Stop", "Stop playing", doing("stop"));
  const counter = make("span", { class: "pg2-counter" });
  const keys = make("ol", { class: "pg2-keys" });
  const add = button("key_add", "Add this pose", "Add the pose as the last key pose",
    doing("key_add"));
  const clear = button("clear_keys", "Clear", "Remove all key poses", doing("clear_keys"));
  const gif = button("gif", "Export GIF", "Save the sequence as an animation", wanting("gif"));
  const strip = button("strip", "Export strip", "Save the sequence as one picture, Figure 1(c)",
    wanting("strip"));

  function drawKeys() {
    const list = get("key_poses");
    const high = 60;
    const scale = high / get("height");
    const wide = Math.ceil(get("width") * scale);
    const card = ({ name, pose: places }, index) => {
      const picture = make("canvas", { "aria-hidden": "true" });
      const pen = sharpen(picture, wide, high);
      pen.fillStyle = GROUND;
      pen.fillRect(0, 0, wide, high);
      drawSkeleton(pen, places, get("limbs"), get("colours"), scale, 2);
      const which = `key pose ${index + 1}, ${name}`;
      const load = button("key_load", "", `Edit ${which}`, doing("key_load", { index }));
      load.append(picture);
      const small = (action, sign, title, off, next) => {
        const made = button(action, sign, title, () => {
          refocus = { action, index: next };
          act(action, { index });
        });
        made.disabled = off;
        return made;
      };
      return make("li", { title: name }, load,
        make("span", { class: "pg2-key-tools" },
          small("key_up", "‹", `Move ${which} earlier`, index === 0, index - 1),
          small("key_remove", "×", `Remove ${which}`, false, index),
          small("key_down", "›", `Move ${which} later`, index === list.length - 1, index + 1),
        ),
      );
    };
    const empty = "No key poses yet: add this pose or a walking cycle.";
    const nothing = make("li", { class: "pg2-nothing", text: empty });
    const cards = list.map(card);
    keys.replaceChildren(...(cards.length ? cards : [nothing]));
    if (!refocus) return;
    // The buttons are new: the focus follows the key pose, or goes to the next one.
    const last = cards[Math.min(refocus.index, cards.length - 1)];
    const buttons = last ? [...last.querySelectorAll("button")] : [add];
    const same = buttons.find((one) => one.getAttribute("data-do") === refocus.action);
    (same && !same.disabled ? same : buttons[0]).focus({ preventScroll: true });
    refocus = null;
  }

  function count() {
    const frames = get("frames");
    const shown = seeking ? Number(slider.value) : get("frame");
    slider.max = String(Math.max(frames - 1, 0));
    slider.value = String(shown);
    slider.disabled = frames < 2;
    counter.textContent = frames ? `frame ${shown + 1} of ${frames}` : "no frames";
  }

  function checkJoints() {
    get("pose").forEach((place, joint) => {
      boxes[joint].checked = Boolean(place);
      jointItems[joint].classList.toggle("pg2-off", !place);
    });
  }

  /** Moves the focus away from an element that has become disabled or hidden. */
  function keepFocus(element, next) {
    const gone = element.disabled || element.hidden;
    if (gone && document.activeElement === element) next.focus({ preventScroll: true });
  }

  function controls() {
    undo.disabled = !get("can_undo");
    redo.disabled = !get("can_redo");
    checkJoints();
    fill(poses, get("poses").map((name, index) => [index, name]), poses.value || 0);
    take.disabled = !get("poses").length;
    const own = get("condition") < 0 ? [[-1, "own image"]] : [];
    const labels = get("conditions").map((name, index) => [index, name]);
    fill(conditions, [...own, ...labels], get("condition"));
    fill(firstRow, get("rows").map((name) => [name, name]), get("row"));
    fill(secondRow, [["", "none"], ...get("rows").map((name) => [name, name])], get("second"));
    for (const [input, name] of [[between, "between"], [fps, "fps"]]) {
      if (document.activeElement !== input) input.value = String(get(name));
    }
    const [playing, some] = [get("playing"), get("frames") > 1];
    still.checked = get("still");
    play.hidden = playing;
    stop.hidden = !playing;
    play.disabled = gif.disabled = strip.disabled = !some;
    clear.disabled = !get("key_poses").length;
    keepFocus(undo, canvas);
    keepFocus(redo, canvas);
    keepFocus(play, stop);
    keepFocus(stop, play);
    keepFocus(clear, add);
    count();
  }

  /** Ctrl+Z and similar keys while a button or a list has the focus. */
  function undoAnywhere(event) {
    const action = keyAction(event);
    if (!["undo", "redo"].includes(action?.do) || event.target.type === "number") return;
    event.preventDefault();
    event.stopPropagation();
    act(action.do);
  }

  /** While playing: requests the next frame when the last picture has arrived and its time is over.
   * A view that did not press Play waits longer, and so takes over only if that one is gone. */
  function pace() {
    clearTimeout(player);
    if (!get("playing") || get("frames") < 2) return;
    const lasts = 1000 / Math.max(get("fps"), 0.1);
    const wait = drives ? Math.max(asked + lasts - performance.now(), 0) : lasts + 2000;
    player = setTimeout(() => {
      if (!drives) frame = get("frame");
      drives = true;
      asked = performance.now();
      frame = (frame + 1) % get("frames");
      ask({ do: "seek", frame });
    }, wait);
  }

  // ---- all of it

  const message = make("p", { class: "pg2-message", role: "status" });
  const speed = make("span", { class: "pg2-speed" });
  const outputs = make("div", { class: "pg2-outputs" }, results, small);
  const stage = make("div", { class: "pg2-stage" },
    canvas,
    make("ul", { class: "pg2-joints", "aria-label": "Joints shown" }, ...jointItems),
    outputs,
    crop.element,
  );
  const root = make("div",
    {
      class: "pg2-studio",
      "data-serial": 0,
      "data-fps": 0,
      "data-lm-suppress-shortcuts": true, // JupyterLab's keys for cells
      on: { keydown: undoAnywhere },
    },
    conditionTools,
    poseTools,
    stage,
    make("div", { class: "pg2-status" },
      message,
      make("p", { class: "pg2-help", id: helpId, text: HELP }),
      speed,
    ),
    make("section", { class: "pg2-timeline", "aria-label": "Timeline" },
      make("div", { class: "pg2-tools" },
        make("h4", { text: "Timeline" }),
        add,
        button("walk", "Walking cycle", "Fill the timeline with a walking cycle", doing("walk")),
        clear,
        labelled("Between", between, "Poses added between two key poses, 0 to 20"),
        gif,
        strip,
      ),
      keys,
      make("div", { class: "pg2-tools pg2-transport" },
        play,
        stop,
        slider,
        counter,
        labelled("Frames/s", fps, "Frames per second, 1 to 30"),
        labelled("Still background", still,
          "One background for the whole sequence: the mean of its images outside the person, with " +
            "each pose's person cut out by its pose mask. Off: each image as the network made it."),
      ),
    ),
    live,
  );
  takesFiles(root, openFile);

  function size() {
    const [height, width] = [get("height"), get("width")];
    const room = (root.clientWidth || 900) - 2 * PADDING;
    const seen = (globalThis.innerHeight || 900) - AROUND;
    const tall = Math.min(Math.max(seen, STAGE.least), STAGE.most);
    scales = chooseLayout(room, tall, height, width, counts);
    stage.setAttribute("data-layout", scales.kind);
    // The same height whatever is shown, so that nothing below moves.
    stage.style.minHeight = scales.kind === "narrow" ? "" : `${tall}px`;
    for (const [name, picture] of pictures) {
      const scale = name.startsWith("refined:") ? scales.result : scales.small;
      picture.style.width = `${Math.floor(width * scale)}px`;
      picture.style.height = `${Math.floor(height * scale)}px`;
    }
    small.style.setProperty("--pg2-column", `${Math.floor(width * scales.small)}px`);
    crop.size(room, Math.max(Math.floor(height * scales.pose) - 36, 200));
    paint();
  }

  const listen = (event, listener) => {
    model.on(event, listener);
    listeners.push([event, listener]);
  };
  listen("msg:custom", (content, buffers) => {
    if (content.pictures) show(content, buffers);
    else if (content.download) {
      sender.alive();
      heard();
      if (wantsDownload) download(content.download, content.mime, bytesOf(buffers[0]));
      wantsDownload = false; // all views of this widget receive the file
    }
  });
  const changed = (traits, update) => {
    for (const trait of traits) {
      listen(`change:${trait}`, () => {
        sender.alive();
        heard();
        update();
      });
    }
  };
  changed(["pose"], () => {
    checkJoints();
    repaint();
    if (tells) announce();
    tells = false;
  });
  changed(["can_undo", "can_redo", "rows", "row", "second", "conditions", "condition", "poses",
    "between", "fps", "frames", "still"], controls);
  changed(["frame"], count);
  changed(["playing"], () => {
    if (!get("playing")) drives = false;
    controls();
    pace();
  });
  changed(["key_poses"], () => {
    drawKeys();
    controls();
  });
  changed(["message", "kind"], () => {
    if (get("kind") === "error") wantsDownload = false;
    say(get("message"), get("kind"));
    controls();
  });
  changed(["height", "width"], size);

  el.append(root);
  controls();
  drawKeys();
  say(get("message"), get("kind"));
  size();
  const observer = globalThis.ResizeObserver ? new ResizeObserver(() => size()) : null;
  observer?.observe(root);
  globalThis.addEventListener?.("resize", size); // the height of the window
  ask({ do: "refresh" }); // brings the pictures of a view that was just opened
  pace();

  return () => {
    for (const [event, listener] of listeners) model.off(event, listener);
    observer?.disconnect();
    globalThis.removeEventListener?.("resize", size);
    sender.stop();
    clearTimeout(player);
    cancelAnimationFrame(painting);
    root.remove();
  };
}

export default { render };
