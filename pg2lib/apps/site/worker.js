// The networks at work beside the page, which so hears the mouse while they paint.
import * as ort from "./vendor/ort.wasm.bundle.min.mjs";

const sessions = new Map(); // name -> promise

/** Starts, opens a graph, or runs one: what it makes of tensors [data, shape], by name. */
async function answer({ wasm, name, bytes, given }) {
  if (wasm) {
    ort.env.wasm.numThreads = 1; // more need a server that isolates the page
    ort.env.wasm.wasmBinary = wasm;
  } else if (bytes) {
    sessions.set(name, ort.InferenceSession.create(bytes));
    await sessions.get(name);
  } else {
    const session = await sessions.get(name);
    const tensor = (input) => [input, new ort.Tensor("float32", ...given[input])];
    const made = await session.run(Object.fromEntries(session.inputNames.map(tensor)));
    return Object.fromEntries(Object.entries(made).map(([output, { data }]) => [output, data]));
  }
}

addEventListener("message", async ({ data: { id, ...message } }) => {
  try {
    postMessage({ id, made: await answer(message) });
  } catch (error) {
    postMessage({ id, error: error.message });
  }
});
