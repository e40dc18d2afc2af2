// The course of the user study with a clock, frames and messages of our own.

import assert from "node:assert/strict";
import { readFile } from "node:fs/promises";
import { test } from "node:test";

// The package has no package.json that calls .js a module.
const source = await readFile(new URL("../../pg2lib/apps/user_study/widget.js", import.meta.url), "utf8");
const { PAGE, countText, createRun, keyAnswer, wholeFactor } = await import(
  `data:text/javascript,${encodeURIComponent(source)}`
);

/** A page whose time passes when it is told to: frames every `step` ms. */
function page({ step = 1000 / 60, loaded = true } = {}) {
  const it = {
    time: 5000,
    step,
    isHidden: false,
    sent: [],
    seen: [], // [what, time of the frame]
    decoded: new Set(loaded ? Array.from({ length: 200 }, (_, k) => k) : []),
    frames: new Map(),
    timers: new Map(),
    handles: 0,
  };
  it.io = {
    frame: (callback) => (it.frames.set(++it.handles, callback), it.handles),
    cancelFrame: (handle) => it.frames.delete(handle),
    now: () => it.time,
    later: (callback, ms) => (it.timers.set(++it.handles, [it.time + ms, callback]), it.handles),
    cancelLater: (handle) => it.timers.delete(handle),
    hidden: () => it.isHidden,
    has: (trial) => it.decoded.has(trial),
    send: (message) => it.sent.push({ ...message }),
    changed() {},
    fixate: (trial) => it.seen.push([`fixate ${trial}`, it.time]),
    show: () => it.seen.push(["show", it.time]),
    hide: () => it.seen.push(["hide", it.time]),
  };
  it.frame = (step = it.step) => {
    it.time += step;
    for (const [handle, [due, callback]] of [...it.timers]) {
      if (due <= it.time && it.timers.delete(handle)) callback();
    }
    if (it.isHidden) return; // browsers stop frames then
    const due = [...it.frames.values()];
    it.frames.clear();
    for (const callback of due) callback(it.time);
  };
  it.until = (done) => {
    for (let k = 0; k < 10_000; k++) {
      if (done()) return;
      it.frame();
    }
    assert.fail("it never came to that");
  };
  it.when = (what) => it.seen.filter(([name]) => name === what).map(([, time]) => time);
  it.answers = () => it.sent.filter((message) => message.do === "answer");
  return it;
}

function start(it, more = {}) {
  const run = createRun(it.io, {
    total: 12, practice: 3, exposure: 1000, answered: 0, participant: "ann", ...more,
  });
  run.begin();
  return run;
}

for (const rate of [60, 144, 59.94, 30]) {
  test(`the exposure at ${rate} frames a second is the nearest number of frames`, () => {
    const it = page({ step: 1000 / rate });
    const run = start(it);
    it.until(() => run.state === "asking");
    const [shown, hidden] = [it.when("show")[0], it.when("hide").at(-1)];
    assert.ok(Math.abs(hidden - shown - 1000) <= 500 / rate + 1e-6);
    assert.ok(Math.abs(run.measured - (hidden - shown)) < 1e-9);
    assert.ok(shown - it.when("fixate 1")[0] >= 500 - 1000 / rate);
  });
}

test("a late frame is measured, not hidden", () => {
  const it = page();
  const run = start(it);
  it.until(() => it.when("show").length === 1);
  for (let k = 0; k < 50; k++) it.frame();
  it.frame(400); // the page was busy
  assert.equal(run.state, "asking");
  assert.ok(Math.abs(run.measured - (50 * it.step + 400)) < 1e-6);
});

test("answers before the exposure is over are ignored", () => {
  const it = page();
  const run = start(it);
  assert.equal(run.answer("real"), false);
  it.until(() => it.when("show").length === 1);
  assert.equal(run.answer("real"), false);
  it.until(() => run.state === "asking");
  assert.deepEqual(it.answers(), []);
  it.time += 321;
  assert.equal(run.answer("generated"), true);
  const [answer] = it.answers();
  assert.deepEqual(
    { ...answer, exposure_ms: Math.round(answer.exposure_ms) },
    {
      do: "answer", participant: "ann", trial: 1, answer: "generated", exposure_ms: 1000,
      response_ms: 321, shown: 1,
    },
  );
});

test("a second answer to the same image is ignored", () => {
  const it = page();
  const run = start(it);
  it.until(() => run.state === "asking");
  run.answer("real");
  assert.equal(run.answer("generated"), false);
  assert.equal(it.answers().length, 1);
});

test("nothing is shown before its picture is decoded", () => {
  const it = page({ loaded: false });
  const run = start(it);
  assert.deepEqual(it.sent, [{ do: "image", trial: 1 }]);
  for (let k = 0; k < 60; k++) it.frame();
  assert.deepEqual(it.seen, []);
  it.decoded.add(1);
  run.arrived(1);
  it.until(() => run.state === "asking");
  assert.deepEqual(it.sent.at(-1), { do: "image", trial: 2 }); // one ahead
  assert.ok(Math.abs(run.measured - 1000) < it.step);
});

test("a hidden page makes the exposure void and shows the image again", () => {
  const it = page();
  const run = start(it);
  it.until(() => it.when("show").length === 1);
  for (let k = 0; k < 20; k++) it.frame();
  it.isHidden = true;
  run.visibility();
  assert.equal(it.seen.at(-1)[0], "hide");
  for (let k = 0; k < 300; k++) it.frame();
  assert.equal(run.state, "showing");
  it.isHidden = false;
  run.visibility();
  it.until(() => run.state === "asking");
  assert.equal(it.when("show").length, 2);
  assert.ok(Math.abs(run.measured - 1000) < it.step);
  run.answer("real");
  assert.equal(it.answers()[0].shown, 2);
});

test("a page hidden during the fixation has shown nothing", () => {
  const it = page();
  const run = start(it);
  it.frame();
  it.isHidden = true;
  run.visibility();
  it.isHidden = false;
  run.visibility();
  it.until(() => run.state === "asking");
  assert.equal(run.shown, 1);
});

test("a page hidden while asking changes nothing", () => {
  const it = page();
  const run = start(it);
  it.until(() => run.state === "asking");
  it.isHidden = true;
  run.visibility();
  it.isHidden = false;
  run.visibility();
  assert.equal(run.state, "asking");
  assert.equal(run.shown, 1);
});

test("an answer is sent again until it is saved, and only then it goes on", () => {
  const it = page();
  const run = start(it);
  it.until(() => run.state === "asking");
  run.answer("real");
  for (let k = 0; k < 5 * 60; k++) it.frame();
  assert.equal(it.answers().length, 3); // at 0, 2 and 4 s
  assert.deepEqual(it.answers()[2], it.answers()[0]);
  assert.equal(run.state, "asking");
  assert.equal(run.unheard(), false);
  it.until(() => run.unheard());
  run.saved(1);
  assert.equal(run.unheard(), false);
  assert.equal(run.state, "showing");
  assert.equal(run.answered, 1);
  const count = it.answers().length;
  run.saved(1); // the answer to the repetition
  it.until(() => run.state === "asking");
  assert.equal(it.answers().length, count);
  assert.equal(it.when("fixate 2").length, 1);
});

test("a picture is asked for again until it is there", () => {
  const it = page({ loaded: false });
  const run = start(it);
  for (let k = 0; k < 5 * 60; k++) it.frame();
  assert.deepEqual(it.sent, Array(3).fill({ do: "image", trial: 1 }));
  it.decoded.add(1);
  run.arrived(1);
  for (let k = 0; k < 60; k++) it.frame();
  assert.equal(it.sent.length, 3);
});

test("from the first image to the last, with a rest after practice", () => {
  const it = page();
  const run = start(it);
  const rests = [];
  while (run.state !== "done") {
    if (run.state === "ready") {
      rests.push(run.answered);
      run.begin();
    }
    it.until(() => run.state === "asking");
    run.answer("real");
    run.saved(run.answered + 1);
  }
  assert.deepEqual(rests, [3]);
  assert.deepEqual(it.answers().map((answer) => answer.trial), Array.from({ length: 12 }, (_, k) => k + 1));
  assert.equal(run.answer("real"), false);
});

test("a pause comes after the answer, and can be taken back", () => {
  const it = page();
  const run = start(it);
  run.pause();
  run.pause();
  run.pause();
  it.until(() => run.state === "asking");
  run.answer("real");
  run.saved(1);
  assert.equal(run.state, "ready");
  run.begin();
  it.until(() => run.state === "asking");
  run.answer("real");
  run.saved(2);
  assert.equal(run.state, "showing");
});

test("an answer given in another view is not asked for again", () => {
  const it = page();
  const run = start(it);
  it.until(() => it.when("show").length === 1);
  run.saved(1);
  assert.equal(run.state, "ready");
  assert.equal(it.seen.at(-1)[0], "hide");
  run.begin();
  it.until(() => run.state === "asking");
  run.answer("real");
  assert.equal(it.answers()[0].trial, 2);
});

test("somebody who is through is not asked again", () => {
  const it = page();
  const run = start(it, { answered: 12 });
  assert.equal(run.state, "done");
  assert.deepEqual(it.sent, []);
});

test("nothing goes on after the end of a view", () => {
  const it = page();
  const run = start(it);
  it.until(() => run.state === "asking");
  run.answer("real");
  run.end();
  for (let k = 0; k < 600; k++) it.frame();
  assert.equal(it.answers().length, 1);
  assert.equal(it.frames.size + it.timers.size, 0);
});

test("keys", () => {
  for (const key of ["r", "R", "ArrowLeft"]) assert.equal(keyAnswer(key), "real");
  for (const key of ["f", "F", "ArrowRight"]) assert.equal(keyAnswer(key), "generated");
  for (const key of ["x", "Enter", "ArrowUp", "constructor"]) assert.equal(keyAnswer(key), null);
});

test("images are enlarged by the largest whole factor that fits", () => {
  assert.equal(wholeFactor(64, 128, 600, 384), 3);
  assert.equal(wholeFactor(32, 64, 600, 384), 6);
  assert.equal(wholeFactor(32, 64, 100, 384), 3);
  assert.equal(wholeFactor(256, 256, 200, 384), 1);
});

test("the count", () => {
  assert.equal(countText(0, 110, 10), "practice 1 of 10");
  assert.equal(countText(9, 110, 10), "practice 10 of 10");
  assert.equal(countText(10, 110, 10), "1 of 100");
  assert.equal(countText(110, 110, 10), "100 of 100");
});

test("every control keeps its keys from JupyterLab", () => {
  const tags = PAGE.match(/<[^/][^>]*>/g);
  const controls = tags.filter((tag) => /^<(button|input|select)\b|tabindex/.test(tag));
  assert.ok(controls.length >= 9);
  for (const control of controls) assert.match(control, /\bdata-lm-suppress-shortcuts\b/);
});
