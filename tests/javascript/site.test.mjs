// The parts of the pose studio's page that Python does in a notebook.

import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test } from "node:test";

const read = (name) => readFileSync(new URL(`../../pg2lib/apps/${name}`, import.meta.url), "utf8");
const address = (text) => `data:text/javascript;base64,${Buffer.from(text).toString("base64")}`;
const widget = address(read("pose_studio/widget.js"));
const parts = await import(
  address(read("site/parts.js").replace("../pose_studio/widget.js", widget))
);

const STANDING = [[10, 20], [30, 40], [50, 60]];
const FRAME = { height: 128, width: 64, swap: [0, 2, 1], body25: [], limbs: [[0, 1], [1, 2]],
  standing: STANDING, framing: { fewest: 6, farthest: 1e5 } };
const START = [[10, 20], [30, 40], null];
const editor = () => new parts.Editor(FRAME, START);

test("a drag is one step, and undo takes it back", () => {
  const one = editor();
  one.move({ joint: 0, x: 12, y: 22 });
  assert.ok(one.moved);
  one.drop({ joint: 0, x: 99, y: -5 });
  assert.deepEqual(one.pose[0], [63, 0]); // inside the frame
  one.undo();
  assert.deepEqual(one.pose, START);
  one.redo();
  assert.deepEqual(one.pose[0], [63, 0]);
  one.move({ joint: 0, x: 1, y: 1 });
  one.undo(); // of a drag that is under way
  assert.deepEqual(one.pose[0], [63, 0]);
});

test("a hidden joint comes back where it was, a missing one where it is guessed", () => {
  const one = editor();
  one.hide({ joint: 1 });
  assert.equal(one.pose[1], null);
  one.show({ joint: 1 });
  one.show({ joint: 2 });
  assert.deepEqual(one.pose, STANDING);
});

test("the guess follows the pose that is shown", () => {
  const one = editor();
  one.mirror(); // to half the standing person's size, seen from the other side
  one.show({ joint: 1 });
  assert.deepEqual(one.pose[1], [43, 30]);
});

test("mirrored, left becomes right, and reset returns to the pose taken", () => {
  const one = editor();
  one.mirror();
  assert.deepEqual(one.pose, [[53, 20], null, [33, 40]]);
  one.reset();
  assert.deepEqual(one.pose, START);
});

test("poses in between are evenly spaced; a joint that one lacks is missing there", () => {
  const [a, b] = [[[0, 0], [4, 4], null], [[4, 8], null, [1, 1]]];
  assert.deepEqual(parts.inBetween([a, b], 1), [a, [[2, 4], null, null], b]);
  assert.deepEqual(parts.inBetween([a], 3), [a]);
});

test("the surest person of a file is read, and what is no pose in pixels is refused", () => {
  const person = (confidence, scale = 1, shift = 0) => ({
    pose_keypoints_2d: Array.from({ length: 18 },
      (_, k) => [scale * k + shift, scale * (k + 20), confidence]).flat(),
  });
  const read = (...people) => parts.readPose(JSON.stringify({ people }), FRAME);
  assert.deepEqual(read(person(0.05), person(0.9, 2))[3], [6, 46]);
  assert.equal(read(person(0.9, 1, -2))[1], null); // left of the picture
  assert.throws(() => read(person(0.9, 0.01)), /keypoint_scale 0/);
  assert.throws(() => read({ pose_keypoints_2d: Array(54).fill("3") }), /no number/);
  assert.throws(() => read(person(0.9), {}), /COCO-18/);
  assert.throws(() => parts.readPose("{}", FRAME), parts.Mistake);
  assert.throws(() => read(person(0.9, 1e5)), /not pixels/);
  const [{ pose_keypoints_2d: old }] = [person(0.9)];
  assert.deepEqual(read({ pose_keypoints: old })[3], [3, 23]);
  const still = { pose_keypoints_2d: Array(18).fill([500, 700, 1]).flat() };
  assert.throws(() => read(still), /one place/);
});
