// The pose studio's module under node: its helpers, and the widget on a fake page.

import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { afterEach, beforeEach, mock, test } from "node:test";

import { FakeElement, FakeModel, installBrowser } from "./fake_dom.mjs";

const FILE = new URL("../../pg2lib/apps/pose_studio/widget.js", import.meta.url);
const studio = await import(
  `data:text/javascript;base64,${readFileSync(FILE).toString("base64")}`
);

// --- helpers -----------------------------------------------------------------------------------

test("a place on the canvas is the middle of its pixel", () => {
  assert.deepEqual(studio.toCanvas([0, 0], 4), [2, 2]);
  assert.deepEqual(studio.toCanvas([10, 20.5], 4), [42, 84]);
});

test("a joint stays inside the frame, where -1 would mean missing", () => {
  assert.deepEqual(studio.within([-50, -50], 128, 64), [0, 0]);
  assert.deepEqual(studio.within([9999, 9999], 128, 64), [63, 127]);
  assert.deepEqual(studio.within([1.23456, 200], 128, 64), [1.23, 127]);
});

test("the nearest joint within reach is taken, hidden ones never", () => {
  const pose = [[10, 10], null, [13, 10], [40, 40]];
  assert.equal(studio.nearestJoint(pose, [11, 10], 5), 0);
  assert.equal(studio.nearestJoint(pose, [12, 10], 5), 2);
  assert.equal(studio.nearestJoint(pose, [40, 44], 5), 3);
  assert.equal(studio.nearestJoint(pose, [40, 46], 5), -1);
});

test("joints are gone through in a circle", () => {
  assert.equal(studio.nextJoint(-1, 1, 18), 0);
  assert.equal(studio.nextJoint(-1, -1, 18), 17);
  assert.equal(studio.nextJoint(17, 1, 18), 0);
  assert.equal(studio.nextJoint(0, -1, 18), 17);
});

const SHAPES = [[128, 64], [64, 32], [256, 128], [256, 176], [256, 256]];
const TWO_ROWS = { results: 2, small: 5, columns: 3 };

/** The width and height that a layout needs, by its parts. */
function needed({ kind, pose, result, small }, height, width, shown) {
  const line = (count, wide) => count * wide + (count - 1) * 8;
  const own = width * pose + 16 + 144 + 16;
  const results = line(shown.results, width * result);
  const [high, caption] = [height * result, 18];
  if (kind === "beside") {
    const smalls = 2 * (height * small + caption) + 8;
    const across = own + results + 16 + line(shown.columns, width * small);
    return [across, Math.max(high + caption, smalls)];
  }
  const across = own + Math.max(results, line(shown.small, width * small));
  return [across, high + caption + 8 + height * small + caption];
}

test("a laptop's page shows pose, results as large and small pictures side by side", () => {
  for (const [height, width] of SHAPES) {
    for (const shown of [TWO_ROWS, { ...TWO_ROWS, results: 1 }, { results: 2, small: 7, columns: 4 }]) {
      for (const [room, tall] of [[900, 380], [1000, 380], [1300, 380], [1600, 640], [1000, 340]]) {
        const sizes = studio.chooseLayout(room, tall, height, width, shown);
        const [across, down] = needed(sizes, height, width, shown);
        const about = `${height}x${width} in ${room}x${tall}: ${JSON.stringify(sizes)}`;
        assert.notEqual(sizes.kind, "narrow", about);
        assert.ok(across <= room + 1e-6, `${about}: ${across} wide`);
        assert.ok(down <= tall + 1e-6, `${about}: ${down} high`);
        assert.equal(sizes.result, sizes.pose, "the result is as large as the skeleton");
        assert.ok(width * sizes.pose >= 132 && sizes.small >= sizes.pose / 4, about);
      }
    }
  }
  const [small, large] = [[64, 32], [128, 64]].map(([height, width]) =>
    studio.chooseLayout(1000, 380, height, width, TWO_ROWS));
  assert.ok(Math.abs(small.pose - 2 * large.pose) < 1e-9, "the same on the screen at either size");
});

test("on a narrow page nothing is wider than the page", () => {
  for (const [height, width] of SHAPES) {
    for (const room of [300, 420, 600]) {
      const { pose, result, small } = studio.chooseLayout(room, 380, height, width, TWO_ROWS);
      assert.ok(width * pose <= room && 2 * width * result + 8 <= room + 1e-6);
      assert.ok(3 * width * small + 16 <= room + 1e-6);
      assert.ok(width * pose >= 120, "still large enough to drag a joint");
    }
  }
});

test("a crop starts as the largest in the middle, and the whole photo can be shown", () => {
  assert.deepEqual(studio.middleCrop(1200, 800, 0.5), { left: 400, top: 0, height: 800 });
  assert.deepEqual(studio.middleCrop(100, 800, 0.5), { left: 0, top: 300, height: 200 });
  assert.deepEqual(studio.wholeCrop(1200, 800, 0.5), { left: 0, top: -800, height: 2400 });
});

test("a crop is moved, zoomed about a place, and never lost", () => {
  const start = { left: 400, top: 0, height: 800 };
  const change = (more, crop = start) => studio.changedCrop(crop, 1200, 800, 0.5, more);
  assert.deepEqual(change({ dx: 100 }), { left: 500, top: 0, height: 800 });
  assert.deepEqual(change({ by: 0.5 }), { left: 500, top: 200, height: 400 });
  const about = [450, 100];
  const zoomed = change({ by: 0.5, about });
  assert.deepEqual(zoomed, { left: 425, top: 50, height: 400 }, "what is below the pointer stays");
  assert.deepEqual(change({ dx: 9999, dy: -9999 }), { left: 1000, top: -400, height: 800 });
  assert.equal(change({ by: 100 }).height, 2400, "not beyond the whole photo");
  assert.equal(change({ by: 0.0001 }).height, 32, "16 pixels wide at least");
});

test("files are told apart by type and name", () => {
  const kind = (name, type) => studio.fileKind({ name, type });
  assert.equal(kind("me.jpg", "image/jpeg"), "photo");
  assert.equal(kind("ME.TIFF", ""), "photo");
  assert.equal(kind("pose.json", ""), "pose");
  assert.equal(kind("pose", "application/json"), "pose");
  assert.equal(kind("notes.txt", "text/plain"), "");
});

test("the rate counts the last second only", () => {
  const rate = studio.rateCounter();
  assert.equal(rate.tick(0), 0);
  assert.equal(rate.tick(100), 10);
  assert.equal(rate.tick(200), 10);
  assert.equal(rate.tick(5000), 0, "a second of rest starts it again");
  assert.equal(rate.tick(5500), 2);
  rate.clear();
  assert.equal(rate.tick(5600), 0);
});

test("the newest place of a joint replaces the one that waits, a drop is never lost", () => {
  const put = (...requests) =>
    requests.reduce((waiting, request) => studio.queued(waiting, request), []);
  const move = { do: "move", joint: 3, x: 1 };
  const further = { do: "move", joint: 3, x: 2 };
  const drop = { do: "drop", joint: 3, x: 3 };
  const other = { do: "move", joint: 4, x: 4 };
  assert.deepEqual(put(move, further), [further]);
  assert.deepEqual(put(move, drop), [drop]);
  assert.deepEqual(put(drop, { ...drop, x: 9 }), [{ ...drop, x: 9 }]);
  assert.deepEqual(put(drop, other), [drop, other]);
  assert.deepEqual(put(drop, further), [drop, further], "the drop is an undo step of its own");
  const [first, second] = [{ do: "seek", frame: 1 }, { do: "seek", frame: 2 }];
  assert.deepEqual(put(first, second), [second]);
  assert.deepEqual(put(drop, first), [drop, first]);
});

test("bytes are those of the view, not of all that came with it", () => {
  const whole = new Uint8Array([9, 9, 1, 2, 3, 4, 9]);
  const view = new DataView(whole.buffer, 2, 4);
  assert.deepEqual([...studio.bytesOf(view)], [1, 2, 3, 4]);
  assert.deepEqual([...studio.bytesOf(whole.buffer)], [...whole]);
});

test("pictures come in a line per row, with their row's name taken off", () => {
  const names = ["condition", "mask", "coarse:G1+D", "refined:G1+D", "refined:G2+D"];
  const lines = studio.byRow(names.map((name) => ({ name })));
  assert.deepEqual(lines.map(({ row }) => row), ["", "G1+D", "G2+D"]);
  assert.deepEqual(lines[1].pictures.map(({ name }) => name), ["coarse:G1+D", "refined:G1+D"]);
  assert.equal(studio.caption("G1+D, refined", "G1+D"), "Refined");
  assert.equal(studio.caption("Mask", ""), "Mask");
});

test("the coarse result is shown of rows with two stages only", () => {
  const names = ["coarse:G1+D", "refined:G1+D", "coarse:A", "difference:A", "refined:A"];
  const shown = studio.worthShowing(names.map((name) => ({ name }))).map(({ name }) => name);
  assert.deepEqual(shown, ["refined:G1+D", "coarse:A", "difference:A", "refined:A"]);
});

test("keys", () => {
  const key = (name, more = {}) => studio.keyAction({ key: name, ...more });
  assert.deepEqual(key("ArrowLeft"), { dx: -1, dy: 0 });
  assert.deepEqual(key("ArrowDown", { shiftKey: true }), { dx: 0, dy: 5 });
  assert.deepEqual(key("z", { ctrlKey: true }), { do: "undo" });
  assert.deepEqual(key("Z", { ctrlKey: true, shiftKey: true }), { do: "redo" });
  assert.deepEqual(key("z", { metaKey: true }), { do: "undo" });
  assert.deepEqual(key("m"), { do: "mirror" });
  assert.deepEqual([key("]").choose, key("p").choose, key("Tab").choose], [1, -1, 1]);
  assert.equal(key("Tab", { shiftKey: true }).choose, -1);
  assert.deepEqual([key("r"), key("R", { shiftKey: true })], [{ row: 1 }, { row: -1 }]);
  assert.equal(key("z"), null);
  assert.equal(key("s", { ctrlKey: true }), null, "Ctrl+S stays the notebook's");
});

// --- the widget --------------------------------------------------------------------------------

const JOINTS = Array.from({ length: 18 }, (_, joint) => `joint_${joint}`);
const POSE = JOINTS.map((_, joint) => (joint === 5 ? null : [3 * joint, 6 * joint + 10]));
const SCALE = 362 / 128; // of the pose where the page is 1000 wide and the window 900 high
const ELBOW = 3; // at [9, 28]
let model, page, root, canvas, close;

const traits = () => ({
  height: 128,
  width: 64,
  joints: JOINTS,
  limbs: [[0, 1], [1, 5], [2, 3]],
  colours: JOINTS.map(() => [200, 100, 0]),
  pose: POSE,
  can_undo: false,
  can_redo: false,
  rows: ["G1+D", "G1+G2+D"],
  row: "G1+G2+D",
  second: "",
  conditions: ["one", "two", "three"],
  condition: 0,
  poses: ["first", "second"],
  key_poses: [],
  between: 3,
  fps: 10,
  frame: 0,
  frames: 0,
  playing: false,
  still: true,
  message: "",
  kind: "",
});

function open() {
  model = new FakeModel(traits());
  page = new FakeElement("div");
  close = studio.default.render({ model, el: page });
  root = page.one("data-lm-suppress-shortcuts", "");
  canvas = page.all((element) => element.classList.contains("pg2-pose"))[0];
  answer(model.take()[0].serial);
}

/** Pictures as Python sends them; every byte of one is `grey`. */
function answer(serial, grey = 7, names = ["condition", "mask", "difference:G1+G2+D",
  "coarse:G1+G2+D", "refined:G1+G2+D"]) {
  const pictures = names.map((name) => ({ name, title: name, width: 64, height: 128 }));
  const buffers = names.map(() => new DataView(new Uint8Array(64 * 128 * 4).fill(grey).buffer));
  model.trigger("msg:custom", { pictures, serial, milliseconds: 12 }, buffers);
}

/** Where a joint is drawn, as fields of a pointer event, `dx`, `dy` frame pixels away. */
const at = ([x, y], dx = 0, dy = 0) => ({
  clientX: (x + dx + 0.5) * SCALE,
  clientY: (y + dy + 0.5) * SCALE,
});
const press = (key, more = {}) => canvas.fire("keydown", { key, ...more });
const later = async () => {
  for (let turn = 0; turn < 4; turn++) await new Promise(setImmediate);
};
const words = () => page.all((one) => one.classList.contains("pg2-message"))[0].textContent;
const button = (action) => page.one("data-do", action);

beforeEach(() => {
  mock.timers.enable({ apis: ["setTimeout"] });
  installBrowser();
  open();
});
afterEach(() => {
  close();
  mock.timers.reset();
  mock.restoreAll();
});

test("a view that opens asks for its pictures", () => {
  close();
  model = new FakeModel(traits());
  close = studio.default.render({ model, el: new FakeElement("div") });
  const [request, ...more] = model.take();
  assert.equal(request.do, "refresh");
  assert.ok(request.serial > 0);
  assert.deepEqual(more, []);
});

test("a drag moves the joint by what the pointer moved, and drops it", () => {
  canvas.fire("pointerdown", at(POSE[ELBOW], 1, 0)); // gripped a pixel beside its middle
  assert.equal(canvas.captured, 1);
  assert.deepEqual(model.take(), []);
  canvas.fire("pointermove", at(POSE[ELBOW], 6, 2));
  const [move] = model.take();
  assert.deepEqual({ ...move, serial: 0 }, { do: "move", joint: ELBOW, x: 14, y: 30, serial: 0 });
  answer(move.serial);
  canvas.fire("pointerup", at(POSE[ELBOW], 9, 2));
  const [drop] = model.take();
  assert.deepEqual({ ...drop, serial: 0 }, { do: "drop", joint: ELBOW, x: 17, y: 30, serial: 0 });
  assert.ok(drop.serial > move.serial);
  canvas.fire("pointermove", at(POSE[ELBOW], 20, 20));
  assert.deepEqual(model.take(), [], "the joint was let go");
});

test("while an answer is awaited only the newest place is kept", () => {
  canvas.fire("pointerdown", at(POSE[ELBOW]));
  for (let step = 1; step <= 20; step++) canvas.fire("pointermove", at(POSE[ELBOW], step, 0));
  const [first, ...others] = model.take();
  assert.equal(first.x, 10);
  assert.deepEqual(others, []);
  answer(first.serial);
  const [newest, ...more] = model.take();
  assert.equal(newest.x, 29);
  assert.deepEqual(more, []);
  answer(newest.serial);
  assert.deepEqual(model.take(), []);
});

test("a click without a drag changes nothing, and a click beside all joints lets go", () => {
  canvas.fire("pointerdown", at(POSE[ELBOW]));
  canvas.fire("pointerup", at(POSE[ELBOW]));
  press("ArrowRight");
  assert.equal(model.take()[0].joint, ELBOW, "it chose the joint");
  canvas.fire("pointerdown", at([60, 3]));
  press("ArrowRight");
  assert.deepEqual(model.take(), []);
});

test("neither another button nor a second finger drags", () => {
  canvas.fire("pointerdown", { ...at(POSE[ELBOW]), button: 2 });
  canvas.fire("pointermove", at(POSE[ELBOW], 5, 0));
  assert.deepEqual(model.take(), []);
  canvas.fire("pointerdown", at(POSE[ELBOW]));
  canvas.fire("pointerdown", { ...at(POSE[10]), pointerId: 2 });
  canvas.fire("pointermove", { ...at(POSE[10], 5, 0), pointerId: 2 });
  canvas.fire("pointerup", { ...at(POSE[10], 5, 0), pointerId: 2 });
  assert.deepEqual(model.take(), []);
  canvas.fire("pointermove", at(POSE[ELBOW], 5, 0));
  assert.equal(model.take()[0].joint, ELBOW);
});

test("a finger takes hold from further away than a mouse", () => {
  const beside = at(POSE[ELBOW], -5, 0); // 20 CSS pixels
  canvas.fire("pointerdown", beside);
  canvas.fire("pointermove", at(POSE[ELBOW], -4, 0));
  assert.deepEqual(model.take(), []);
  canvas.fire("pointerdown", { ...beside, pointerType: "touch" });
  canvas.fire("pointermove", at(POSE[ELBOW], -4, 0));
  assert.equal(model.take()[0].do, "move");
});

test("the skeleton is drawn where the pointer is before Python answers", () => {
  const joints = () => {
    canvas.drawn.length = 0;
    mock.timers.tick(1);
    return canvas.drawn.filter(([name]) => name === "arc").map(([, x, y]) => [x, y]);
  };
  canvas.fire("pointerdown", at(POSE[ELBOW]));
  canvas.fire("pointermove", at(POSE[ELBOW], 10, 0));
  assert.ok(joints().some(([x, y]) => x === 19.5 * SCALE && y === 28.5 * SCALE));
  // The answer to the drop brings Python's truth back.
  canvas.fire("pointerup", at(POSE[ELBOW], 10, 0));
  for (const { serial } of model.take()) answer(serial);
  for (const { serial } of model.take()) answer(serial);
  assert.ok(joints().some(([x]) => x === 9.5 * SCALE));
});

test("pictures are put as they come, each into its canvas", () => {
  canvas.fire("pointerdown", at(POSE[ELBOW]));
  canvas.fire("pointermove", at(POSE[ELBOW], 1, 0));
  const { serial } = model.take()[0];
  answer(serial, 99);
  const picture = page.one("data-picture", "refined:G1+G2+D");
  const [name, image, x, y] = picture.drawn.at(-1);
  assert.deepEqual([name, image.width, image.height, x, y], ["putImageData", 64, 128, 0, 0]);
  assert.ok(image.data.every((byte) => byte === 99));
  assert.deepEqual([picture.width, picture.height], [64, 128]);
  assert.equal(picture.style.width, "181px", "as wide as the pose");
  assert.equal(root.getAttribute("data-serial"), String(serial));
});

test("an answer without pictures, after a mistake, leaves those that are there", () => {
  press("n");
  press("ArrowRight");
  const { serial } = model.take()[0];
  press("ArrowRight");
  model.trigger("msg:custom", { pictures: [], serial, milliseconds: 0 }, []);
  assert.ok(page.one("data-picture", "mask"));
  assert.equal(model.take()[0].do, "drop", "the next request goes out");
});

test("another row brings other pictures, the result under its name", () => {
  answer(null, 1, ["condition", "refined:G1+D"]);
  assert.equal(page.one("data-picture", "refined:G1+D").parent.textContent, "G1+D");
  assert.throws(() => page.one("data-picture", "mask"));
});

test("the rate of pictures is shown while dragging", () => {
  let now = 0;
  mock.method(performance, "now", () => now);
  canvas.fire("pointerdown", at(POSE[ELBOW]));
  for (let step = 1; step <= 6; step++) {
    canvas.fire("pointermove", at(POSE[ELBOW], step, 0));
    now += 50;
    answer(model.take()[0].serial);
  }
  assert.equal(root.getAttribute("data-fps"), "20.0");
  assert.match(page.textContent, /20 pictures\/s/);
});

test("keys choose a joint, move it, hide and show it, mirror, undo and redo", () => {
  press("n");
  press("]");
  press("p");
  press("Tab");
  assert.deepEqual(model.take(), []);
  assert.match(page.textContent, /joint 1, x 3, y 16/);
  press("ArrowRight");
  const [first] = model.take();
  assert.deepEqual({ ...first, serial: 0 }, { do: "drop", joint: 1, x: 4, y: 16, serial: 0 });
  press("ArrowUp", { shiftKey: true });
  answer(first.serial);
  assert.deepEqual(model.take().map(({ x, y }) => [x, y]), [[4, 11]], "from where it is drawn");
  for (const [key, more, what] of [
    ["h", {}, "hide"],
    ["m", {}, "mirror"],
    ["z", { ctrlKey: true }, "undo"],
    ["Z", { ctrlKey: true, shiftKey: true }, "redo"],
  ]) {
    assert.ok(press(key, more).defaultPrevented);
    assert.equal(model.take().at(-1).do, what);
  }
  press("r");
  press("R", { shiftKey: true });
  assert.deepEqual(model.take().map(({ name }) => name), ["G1+D", "G1+D"], "of two rows, the other");
  for (let step = 0; step < 4; step++) press("n"); // to joint 5, which is hidden
  assert.match(page.textContent, /joint 5, hidden/);
  press("ArrowRight");
  assert.deepEqual(model.take(), [], "a hidden joint does not move");
  press("h");
  assert.deepEqual(model.take(), [{ do: "show", joint: 5 }]);
});

test("what a key did is told once Python has done it", () => {
  press("n");
  press("h");
  assert.match(page.textContent, /joint 0, x 0, y 10/);
  model.change("pose", POSE.with(0, null));
  assert.match(page.textContent, /joint 0, hidden/);
});

test("undo works from the buttons as well, but leaves fields alone", () => {
  const control = { key: "z", ctrlKey: true };
  root.fire("keydown", { ...control, target: button("mirror") });
  assert.deepEqual(model.take(), [{ do: "undo" }]);
  root.fire("keydown", { ...control, target: { type: "number" } });
  root.fire("keydown", { key: "m", target: button("mirror") });
  assert.deepEqual(model.take(), []);
});

test("Tab leaves the pose after the last joint, and at once after Escape", () => {
  for (let step = 0; step < 18; step++) assert.ok(press("Tab").defaultPrevented);
  assert.ok(!press("Tab").defaultPrevented);
  assert.ok(press("Tab", { shiftKey: true }).defaultPrevented);
  press("Escape");
  assert.ok(!press("Tab").defaultPrevented);
});

test("a key held down does not queue up steps", () => {
  for (let step = 0; step < 5; step++) press("z", { ctrlKey: true, repeat: step > 0 });
  assert.equal(model.take().length, 1);
  model.change("can_redo", true); // Python did it
  press("z", { ctrlKey: true, repeat: true });
  assert.equal(model.take().length, 1);
});

test("a step of the editor goes after the places that still wait", () => {
  press("n");
  press("ArrowRight");
  press("ArrowRight");
  button("mirror").click();
  assert.deepEqual(model.take().map((message) => message.do), ["drop", "drop", "mirror"]);
});

test("five seconds without an answer are said, and the next request is tried", () => {
  press("n");
  press("ArrowRight");
  mock.timers.tick(4900);
  assert.equal(words(), "");
  mock.timers.tick(200);
  assert.match(words(), /No answer from Python for 5 seconds/);
  model.take();
  press("ArrowRight");
  const [request] = model.take();
  assert.equal(request.do, "drop");
  answer(request.serial);
  assert.equal(words(), "", "it is taken back once Python answers");
  mock.timers.tick(20_000);
  assert.equal(words(), "", "nothing is awaited now");
});

test("a message that the kernel dealt with is answered, whatever it sent", () => {
  button("reset").click();
  const [{ callbacks }] = model.sent;
  callbacks.iopub.status({ content: { execution_state: "busy" } });
  callbacks.iopub.status({ content: { execution_state: "idle" } });
  mock.timers.tick(20_000);
  assert.equal(words(), "");
});

test("buttons, lists and fields send what they say", () => {
  const sends = (act, ...expected) => {
    act();
    assert.deepEqual(model.take(), expected);
  };
  const choose = (name, value) => () => {
    const control = page.one("data-choice", name);
    control.value = String(value);
    control.fire("change");
  };
  sends(choose("condition", 2), { do: "condition", index: 2 });
  sends(() => button("previous").click(), { do: "condition", index: 2 });
  sends(() => button("next").click(), { do: "condition", index: 1 });
  sends(choose("row", "G1+D"), { do: "row", name: "G1+D" });
  sends(choose("second", "G1+D"), { do: "second", name: "G1+D" });
  sends(choose("between", 99), { do: "between", value: 20 });
  sends(choose("fps", 0), { do: "fps", value: 1 });
  page.one("data-choice", "pose").value = "1";
  sends(() => button("take").click(), { do: "take", pose: 1 });
  const still = page.one("data-choice", "still");
  assert.ok(still.checked && /mean of its images outside/.test(still.getAttribute("title")));
  still.checked = false;
  sends(() => still.fire("change"), { do: "still", value: 0 });
  const box = page.one("data-joint", 4);
  box.checked = false;
  sends(() => box.fire("change"), { do: "hide", joint: 4 });
  for (const action of ["mirror", "reset", "key_add", "walk", "export"]) {
    sends(() => button(action).click(), { do: action });
  }
});

test("controls follow the traits", () => {
  assert.ok(button("undo").disabled && button("play").disabled && button("gif").disabled);
  assert.equal(page.one("data-joint", 5).checked, false);
  model.change("can_undo", true);
  model.change("pose", POSE.map((place) => place ?? [1, 1]));
  assert.ok(!button("undo").disabled);
  assert.equal(page.one("data-joint", 5).checked, true);
  model.change("condition", -1);
  assert.equal(page.one("data-choice", "condition").value, "-1");
  assert.match(page.one("data-choice", "condition").textContent, /own image/);
  model.change("message", "No such pose.");
  model.change("kind", "error");
  assert.equal(words(), "No such pose.");
});

test("a choice that Python refused goes back", () => {
  const rows = page.one("data-choice", "row");
  rows.value = "G1+D";
  rows.fire("change");
  model.sent[0].callbacks.iopub.status({ content: { execution_state: "idle" } });
  assert.equal(rows.value, "G1+G2+D");
});

test("key poses are listed, and can be loaded, moved and removed", () => {
  model.change("key_poses", [{ name: "a", pose: POSE }, { name: "b", pose: POSE }]);
  model.change("frames", 5);
  const [, second] = page.all((one) => one.getAttribute("data-do") === "key_load");
  second.click();
  const ups = page.all((one) => one.getAttribute("data-do") === "key_up");
  const removes = page.all((one) => one.getAttribute("data-do") === "key_remove");
  assert.deepEqual(ups.map(({ disabled }) => disabled), [true, false]);
  ups[1].click();
  removes[0].click();
  assert.deepEqual(model.take(), [
    { do: "key_load", index: 1 },
    { do: "key_up", index: 1 },
    { do: "key_remove", index: 0 },
  ]);
  assert.match(page.textContent, /frame 1 of 5/);
});

test("the focus stays where the work is", () => {
  const three = ["a", "b", "c"].map((name) => ({ name, pose: POSE }));
  const focus = () => [document.activeElement.getAttribute("data-do"),
    document.activeElement.getAttribute("title")];
  const last = (action) => page.all((one) => one.getAttribute("data-do") === action).at(-1);
  model.change("key_poses", three);
  last("key_up").click();
  model.change("key_poses", [three[0], three[2], three[1]]);
  assert.deepEqual(focus(), ["key_up", "Move key pose 2, c earlier"]);
  last("key_remove").click();
  model.change("key_poses", three.slice(0, 2));
  assert.deepEqual(focus(), ["key_remove", "Remove key pose 2, b"]);
  model.change("can_undo", true);
  button("undo").focus();
  model.change("can_undo", false);
  assert.equal(document.activeElement, canvas);
});

test("playing asks for the next frame when the picture came and its time is over", () => {
  mock.method(performance, "now", () => 0); // whatever time the test itself takes
  model.change("frames", 3);
  model.change("frame", 1);
  button("play").click();
  assert.deepEqual(model.take(), [{ do: "play" }]);
  model.change("playing", true);
  assert.ok(button("play").hidden && !button("stop").hidden);
  const frames = [];
  for (let step = 0; step < 3; step++) {
    mock.timers.tick(5000 / 10); // no second request before the first is answered
    const asked = model.take();
    assert.equal(asked.length, 1);
    frames.push(asked[0].frame);
    answer(asked[0].serial);
    mock.timers.tick(50); // half of a frame's time at 10 frames per second
    assert.deepEqual(model.take(), []);
  }
  assert.deepEqual(frames, [2, 0, 1], "around the end");
  model.change("playing", false);
  mock.timers.tick(3000);
  assert.deepEqual(model.take(), []);
});

test("the slider asks for its frame, the newest only", () => {
  model.change("frames", 9);
  const slider = page.one("data-choice", "frame");
  for (const frame of [1, 2, 3, 4]) {
    slider.value = String(frame);
    slider.fire("input");
  }
  const [first, ...others] = model.take();
  assert.deepEqual([first.do, first.frame, others.length], ["seek", 1, 0]);
  model.change("frame", 1);
  assert.equal(slider.value, "4", "the hand is not pulled back");
  answer(first.serial);
  assert.equal(model.take()[0].frame, 4);
});

test("files are sent: a pose as text, a photo as bytes; a huge one is refused here", async () => {
  const file = (name, content) => Object.assign(new Blob([content]), { name });
  const drop = (element, dropped) => element.fire("drop", { dataTransfer: { files: [dropped] } });
  drop(root, file("p.json", '{"people": []}'));
  drop(root, file("me.png", new Uint8Array([1, 2, 3]))); // which no browser can read
  await later();
  const sent = model.sent.splice(0).sort((a, b) => (a.message.do < b.message.do ? 1 : -1));
  const [pose, photo] = sent; // read side by side, in either order
  assert.deepEqual(pose.message, { do: "import", text: '{"people": []}', name: "p.json" });
  assert.deepEqual(photo.message, { do: "condition_file", name: "me.png" });
  assert.deepEqual([...new Uint8Array(photo.buffers[0])], [1, 2, 3]);
  assert.match(words(), /Reading me.png/);
  drop(root, { name: "notes.txt", type: "text/plain", size: 9 });
  assert.match(words(), /notes.txt is neither a photo nor a pose/);
  drop(root, { name: "big.png", size: 9 * 2 ** 20 });
  assert.deepEqual(model.take(), []);
  assert.match(words(), /big.png has 9.0 MiB; at most 8 can/);
  model.change("condition", 1);
  assert.equal(words(), "");
});

/** A photo of the given size dropped on the studio. */
async function dropPhoto(width, height) {
  globalThis.createImageBitmap = async () => ({ width, height });
  const photo = Object.assign(new Blob([new Uint8Array([1, 2])]), { name: "me.jpg" });
  root.fire("drop", { dataTransfer: { files: [photo] } });
  await later();
}

test("a photo is cropped before it is sent", async () => {
  await dropPhoto(1200, 800);
  const [view] = page.all((element) => element.classList.contains("pg2-crop"));
  const [photo] = page.all((element) => element.classList.contains("pg2-photo"));
  assert.ok(!view.hidden);
  assert.equal(document.activeElement, photo);
  assert.deepEqual(model.take(), [], "nothing is sent yet");
  const key = (name) => view.fire("keydown", { key: name, target: photo });
  key("ArrowRight"); // a twentieth of 800
  assert.match(view.textContent, /400x800 in the frame/);
  button("crop_use").click();
  await later();
  const [sent] = model.sent.splice(0);
  assert.deepEqual(sent.message,
    { do: "condition_file", name: "me.jpg", left: 440, top: 0, height: 800 });
  assert.deepEqual([...new Uint8Array(sent.buffers[0])], [1, 2]);
  assert.ok(view.hidden);
  assert.equal(document.activeElement, canvas);
});

test("a photo is moved by the hand, zoomed by the wheel and left alone", async () => {
  await dropPhoto(1200, 800);
  const [view] = page.all((element) => element.classList.contains("pg2-crop"));
  const [photo] = page.all((element) => element.classList.contains("pg2-photo"));
  photo.fire("pointerdown", { clientX: 500, clientY: 100 });
  photo.fire("pointermove", { clientX: 400, clientY: 100 });
  photo.fire("pointerup");
  photo.fire("pointermove", { clientX: 0, clientY: 0 });
  assert.ok(photo.fire("wheel", { deltaY: -200, clientX: 0, clientY: 0 }).defaultPrevented);
  assert.match(view.textContent, /268x536 in the frame/); // 800 / e^0.4
  assert.ok(view.fire("keydown", { key: "Escape", target: photo }).defaultPrevented);
  assert.ok(view.hidden);
  await later();
  assert.deepEqual(model.take(), []);
  await dropPhoto(1, 1); // Python says why not
  assert.deepEqual(model.take(), [{ do: "condition_file", name: "me.jpg" }]);
});

test("only the view that asked for a file offers it", () => {
  const offered = [];
  mock.method(URL, "createObjectURL", () => "blob:x");
  mock.method(FakeElement.prototype, "click", function () {
    if (this.tagName === "A") offered.push(this.getAttribute("download"));
    else this.fire("click");
  });
  const deliver = () =>
    model.trigger("msg:custom", { download: "pose.json", mime: "application/json" }, [
      new DataView(new ArrayBuffer(2)),
    ]);
  deliver();
  assert.deepEqual(offered, []);
  button("export").click();
  deliver();
  assert.deepEqual(offered, ["pose.json"]);
});

test("two views of one model show the same pictures and leave nothing behind", () => {
  const other = new FakeElement("div");
  const closeOther = studio.default.render({ model, el: other });
  const { serial } = model.take()[0];
  answer(serial, 42);
  for (const view of [page, other]) {
    const [, image] = view.one("data-picture", "mask").drawn.at(-1);
    assert.equal(image.data[0], 42);
  }
  model.change("frames", 2);
  model.change("playing", true);
  closeOther();
  assert.equal(other.children.length, 0);
  close();
  assert.equal(model.listeners.length, 0);
  model.change("message", "later");
  mock.timers.tick(60_000);
  assert.deepEqual(model.take(), []);
});

test("every control has a name", () => {
  model.change("key_poses", [{ name: "a", pose: POSE }]);
  const controls = page.all(({ tagName }) => ["BUTTON", "SELECT", "INPUT"].includes(tagName));
  assert.ok(controls.length > 40);
  for (const control of controls) {
    assert.ok(control.getAttribute("title") || control.getAttribute("aria-label"));
  }
  assert.match(canvas.getAttribute("aria-label"), /18 joints/);
});

test("every control keeps its keys from JupyterLab, also one that is made later", () => {
  model.change("key_poses", [{ name: "a", pose: POSE }]);
  const kinds = ["BUTTON", "SELECT", "INPUT"];
  const controls = page.all(
    (one) => kinds.includes(one.tagName) || one.getAttribute("tabindex") !== null,
  );
  assert.ok(controls.includes(canvas) && controls.includes(button("key_remove")));
  for (const control of controls) {
    assert.equal(control.getAttribute("data-lm-suppress-shortcuts"), "", control.tagName);
  }
});
