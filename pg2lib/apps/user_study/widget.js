// The user study in the browser: shows each image for the exposure time, measured on animation
// frames, and sends each answer until Python confirms that it is on the disk.
//
// `createRun` is the logic without a page: clock, frames and messages are passed in, so that it can
// be tested. `render` puts it on the page.

/** The largest integer factor by which an image fits into a space, at least 1. */
export function wholeFactor(width, height, roomWidth, roomHeight) {
  return Math.max(1, Math.floor(Math.min(roomWidth / width, roomHeight / height)));
}

const KEYS = new Map([
  ["r", "real"],
  ["arrowleft", "real"],
  ["f", "generated"],
  ["arrowright", "generated"],
]);

/** The answer of a key, or null. */
export function keyAnswer(key) {
  return KEYS.get(key.toLowerCase()) ?? null;
}

/** The position after so many answers: "practice 3 of 10", "12 of 100". */
export function countText(answered, total, practice) {
  const next = Math.min(answered + 1, total);
  return next <= practice ? `practice ${next} of ${practice}` : `${next - practice} of ${total - practice}`;
}

/**
 * One participant's pass through the images.
 *
 * States: "ready" (waits for begin), "showing" (picture on its way, fixation, picture), "asking"
 * (until the answer is saved), "done".
 *
 * io, what the page does:
 *   frame(callback) -> handle, cancelFrame(handle)   animation frames; callback(time in ms)
 *   now()                                            the same clock
 *   later(callback, ms) -> handle, cancelLater(handle)
 *   hidden()                                         whether the page is hidden
 *   has(trial)                                       whether its picture is decoded
 *   send(message), changed()
 *   fixate(trial), show(), hide()                    cross with the picture ready; picture; nothing
 * options: total, practice, exposure, answered, participant; fixation and resend in ms.
 */
export function createRun(io, options) {
  const { total, practice, exposure, participant, fixation = 500, resend = 2000 } = options;
  const run = { state: "ready", answered: options.answered, shown: 0, measured: null, pausing: false };
  let phase = ""; // in "showing": "waiting", "fixation" or "picture"
  let start = 0; // of the phase, the time of its first frame
  let last = null; // time of the frame before
  let interval = 16; // between frames
  let asked = 0;
  let pending = null; // the answer that is on its way
  let frame = null;
  const timers = {};
  let tries = 0; // of the message that is on its way

  function become(state) {
    run.state = state;
    io.changed();
  }

  // Repeats a message until it is cancelled: it may be lost with its kernel.
  function insist(name, message) {
    io.send(message);
    timers[name] = io.later(() => {
      tries += 1;
      insist(name, message);
      io.changed();
    }, resend);
  }

  function relent(name) {
    io.cancelLater(timers[name]);
    delete timers[name];
    tries = 0;
  }

  function want(trial) {
    if (trial > total || io.has(trial)) return;
    relent("image");
    insist("image", { do: "image", trial });
  }

  function present() {
    phase = "waiting";
    want(run.answered + 1);
    if (!io.has(run.answered + 1) || io.hidden()) return;
    relent("image");
    phase = "fixation";
    last = null;
    io.fixate(run.answered + 1);
    frame = io.frame(tick);
  }

  function tick(time) {
    if (last === null) start = time;
    else interval = Math.min(time - last, 34); // a stutter is not the frame rate
    last = time;
    // The frame nearest to the target time, not the first one after it.
    const over = (wanted) => time - start >= wanted - interval / 2;
    if (phase === "fixation" && over(fixation)) {
      phase = "picture";
      start = time;
      run.shown += 1;
      io.show();
    } else if (phase === "picture" && over(exposure)) {
      frame = null;
      phase = "";
      io.hide();
      run.measured = time - start;
      asked = io.now();
      become("asking");
      want(run.answered + 2); // one ahead
      return;
    }
    frame = io.frame(tick);
  }

  function stop() {
    io.cancelFrame(frame);
    frame = null;
    phase = "";
    io.hide();
  }

  function advance() {
    run.shown = 0;
    if (run.answered >= total) become("done");
    else if (run.answered === practice || run.pausing) {
      run.pausing = false;
      become("ready");
    } else {
      become("showing");
      present();
    }
  }

  run.begin = () => {
    if (run.state !== "ready") return;
    become("showing");
    present();
  };

  /** A picture is decoded. */
  run.arrived = (trial) => {
    if (trial <= run.answered + 2) relent("image");
    if (phase === "waiting" && trial === run.answered + 1) present();
  };

  /** Returns whether the answer was accepted: not before the exposure is over, and only once. */
  run.answer = (answer) => {
    if (run.state !== "asking" || pending) return false;
    pending = {
      do: "answer",
      participant,
      trial: run.answered + 1,
      answer,
      exposure_ms: run.measured,
      response_ms: io.now() - asked,
      shown: run.shown,
    };
    insist("answer", pending);
    io.changed();
    return true;
  };

  run.waiting = () => pending !== null;

  /** Whether a message has had no reply for some seconds. */
  run.unheard = () => tries > 2;

  /** Python has the answers up to this trial on the disk. */
  run.saved = (trial) => {
    if (trial <= run.answered) return;
    run.answered = trial;
    if (pending) {
      relent("answer");
      pending = null;
      advance();
    } else {
      // Answered in another view of the same widget.
      stop();
      relent("image");
      run.shown = 0;
      become(trial >= total ? "done" : "ready");
    }
  };

  run.pause = () => {
    if (run.state !== "showing" && run.state !== "asking") return;
    run.pausing = !run.pausing;
    io.changed();
  };

  /** The page was hidden or shown again. An interrupted exposure does not count. */
  run.visibility = () => {
    if (io.hidden() && (phase === "fixation" || phase === "picture")) {
      stop();
      phase = "waiting";
    } else if (!io.hidden() && phase === "waiting") present();
  };

  run.end = () => {
    stop();
    Object.keys(timers).forEach(relent);
  };

  if (run.answered >= total) run.state = "done";
  return run;
}

// ---- the page

const ROOM = 384; // pixels of height for an image, at most half of the window
const MARGIN = 32; // around it, above and below together

/** HTML of an element that can have the focus. JupyterLab looks for the attribute from the focused
 * element upwards and stops at the first selector that matches, so each control needs its own:
 * without it an answer key would act on the notebook's cell. */
function control(tag, attributes, content = "") {
  const end = tag === "input" ? "" : `${content}</${tag}>`;
  return `<${tag} data-lm-suppress-shortcuts ${attributes}>${end}`;
}

function button(attributes, content) {
  return control("button", `type="button" ${attributes}`, content);
}

export const PAGE = `
  <section data-part="consent">
    <h3>Real or generated?</h3>
    <p data-text="task"></p>
    <p><strong>Your consent.</strong> We record your answers, how long each image was actually
    shown, how long you took to answer, the time, and a name of your choice; nothing else.
    Everything stays in one file on this computer. Participation is voluntary, and you can stop at
    any time by closing the page.</p>
    ${button('class="pg2-study-main" data-do="agree"', 'I agree')}
  </section>
  <div class="pg2-study-begin">
  <form data-part="name">
    <label>Your name in the file
      ${control("input", `name="participant" maxlength="40" autocomplete="off" spellcheck="false"
        required pattern="[A-Za-z0-9][A-Za-z0-9_\\-]*" title="letters, digits, - and _"`)}
    </label>
    <p class="pg2-study-hint">Letters, digits, - and _; it need not be your real name. To resume
    an interrupted session, enter the same name.</p>
  </form>
  <section data-part="ready">
    ${control('p', 'data-text="ready" tabindex="-1"')}
    ${button('class="pg2-study-main" data-do="start"', 'Start')}
  </section>
  </div>
  <section data-part="trial">
    <div class="pg2-study-top">
      <progress class="pg2-study-progress" aria-label="images answered"></progress>
      <span class="pg2-study-count"></span>
      ${button('data-do="pause" aria-pressed="false"', 'Pause')}
    </div>
    <div class="pg2-study-stage"><span class="pg2-study-cross" aria-hidden="true">+</span></div>
    <div class="pg2-study-answers" role="group" aria-label="Was the image real or fake?">
      ${button('data-answer="real"', 'Real <span><kbd>R</kbd> <kbd>←</kbd></span>')}
      ${button('data-answer="fake"', 'Fake <span><kbd>F</kbd> <kbd>→</kbd></span>')}
    </div>
  </section>
  <section data-part="done">
    <h3>Thank you!</h3>
    ${control('p', 'data-text="done" tabindex="-1"')}
    <p class="pg2-study-result"></p>
    ${button('data-do="another"', 'Next participant')}
  </section>
  <p class="pg2-study-message" role="status" aria-live="polite"></p>`;

const SHOWN = {
  consent: ["consent"],
  name: ["name", "ready"],
  ready: ["ready"],
  showing: ["trial"],
  asking: ["trial"],
  done: ["done"],
};

/** "2 of 51 (4 %)" */
function share([wrong, of]) {
  return of ? `${wrong} of ${of} (${Math.round((100 * wrong) / of)} %)` : "none shown";
}

function render({ model, el }) {
  const page = el.ownerDocument;
  const view = page.defaultView;
  const root = page.createElement("div");
  root.className = "pg2-study";
  root.tabIndex = 0;
  root.setAttribute("role", "group");
  root.setAttribute("aria-label", "User study: real or generated?");
  root.setAttribute("data-lm-suppress-shortcuts", "true"); // r and f mean other things to JupyterLab
  root.innerHTML = PAGE;
  el.append(root);

  const find = (selector) => root.querySelector(selector);
  const stage = find(".pg2-study-stage");
  const cross = find(".pg2-study-cross");
  // The same before the first image and whatever its size, so that nothing jumps.
  stage.style.height = `${Math.min(ROOM, Math.floor(view.innerHeight / 2)) + MARGIN}px`;
  const name = find("input");
  const get = (trait) => model.get(trait);
  const pictures = new Map(); // trial -> decoded <img>
  let run = null;
  let agreed = false;
  let starting = false;
  let trouble = "";
  let factor = 0;
  let slow = null;

  /** Send a message; without a kernel nothing happens, and the repetition reports it. */
  function tell(message) {
    try {
      model.send(message);
    } catch {
      // "Cannot send"
    }
  }

  const io = {
    frame: (callback) => view.requestAnimationFrame(callback),
    cancelFrame: (handle) => handle !== null && view.cancelAnimationFrame(handle),
    now: () => view.performance.now(),
    later: (callback, ms) => view.setTimeout(callback, ms),
    cancelLater: (handle) => view.clearTimeout(handle),
    hidden: () => page.hidden,
    has: (trial) => pictures.has(trial),
    send: tell,
    changed: () => update(),
    fixate(trial) {
      const image = pictures.get(trial);
      // The same factor for all images of a session.
      const room = [stage.clientWidth - 24, stage.clientHeight - MARGIN];
      factor ||= wholeFactor(image.naturalWidth, image.naturalHeight, ...room);
      image.width = image.naturalWidth * factor;
      image.height = image.naturalHeight * factor;
      stage.replaceChildren(cross, image);
      cross.style.visibility = "visible";
    },
    show() {
      cross.style.visibility = "hidden";
      stage.lastElementChild.style.visibility = "visible";
    },
    hide() {
      cross.style.visibility = "hidden";
      if (stage.lastElementChild !== cross) stage.lastElementChild.style.visibility = "hidden";
    },
  };

  function forget(upTo) {
    for (const [trial, image] of pictures) {
      if (trial > upTo) continue;
      view.URL.revokeObjectURL(image.src);
      pictures.delete(trial);
    }
  }

  /** Take over Python's session, at the first image without an answer. */
  function enter() {
    run?.end();
    forget(Infinity);
    const participant = get("participant");
    run = null;
    if (participant) {
      const options = Object.fromEntries(
        ["total", "practice", "exposure", "answered"].map((trait) => [trait, get(trait)]),
      );
      run = createRun(io, { ...options, participant });
    }
  }

  function stateName() {
    if (run) return run.state;
    return agreed ? "name" : "consent";
  }

  function readyText() {
    const { total, practice } = { total: get("total"), practice: get("practice") };
    if (!run) return `${practice} images for practice, then ${total - practice} that count.`;
    if (run.answered === 0) return "Ready when you are.";
    if (run.answered === practice) return `Practice is over. The next ${total - practice} images count.`;
    return `${run.answered} of ${total} answers are saved. Continue when you are ready.`;
  }

  function messageText() {
    if (trouble) return trouble;
    if (starting) return "Preparing the images …";
    if (!run) return "";
    if (run.unheard()) {
      return "The kernel does not respond. Saved answers are safe: run the cells again and continue under the same name.";
    }
    if (run.state === "asking") return run.waiting() ? "" : "Real or fake?";
    return run.pausing ? "Pause after this image." : "";
  }

  function update() {
    const state = stateName();
    const before = root.dataset.state;
    root.dataset.state = state === "name" ? "ready" : state;
    root.dataset.trial = run ? run.answered : 0;
    root.dataset.total = get("total");
    root.dataset.practice = get("practice");
    root.dataset.participant = get("participant");
    if (run) {
      root.dataset.shown = run.shown;
      if (run.measured !== null) root.dataset.exposure = run.measured.toFixed(1);
    }
    for (const part of root.querySelectorAll("[data-part]")) {
      part.hidden = !SHOWN[state].includes(part.dataset.part);
    }
    const [total, practice, answered] = [get("total"), get("practice"), run ? run.answered : 0];
    const minutes = Math.max(1, Math.round((total * (get("exposure") + 2000)) / 60000));
    find("[data-text=task]").textContent =
      `You will see ${total} pictures of people, each for ${get("exposure") / 1000} second, and decide for ` +
      `each whether it is real or was generated by a computer. The first ${practice} are for ` +
      `practice. It takes about ${minutes} minute${minutes > 1 ? "s" : ""}.`;
    find("[data-text=ready]").textContent = readyText();
    find("[data-do=start]").textContent = answered ? "Continue" : "Start";
    find("[data-do=start]").disabled = starting;
    find("progress").max = total;
    find("progress").value = answered;
    find(".pg2-study-count").textContent = countText(answered, total, practice);
    find("[data-do=pause]").setAttribute("aria-pressed", String(Boolean(run?.pausing)));
    for (const button of root.querySelectorAll("[data-answer]")) {
      button.disabled = state !== "asking" || run.waiting();
    }
    if (state === "done") {
      const result = get("result");
      find("[data-text=done]").textContent = `All ${total} answers are saved in ${get("where")}.`;
      find(".pg2-study-result").textContent = result.R2G
        ? `Without practice: real images you took for fake (R2G): ${share(result.R2G)}; ` +
          `generated images you took for real (G2R): ${share(result.G2R)}.`
        : "";
    }
    const message = find(".pg2-study-message");
    const text = messageText();
    if (message.textContent !== text) message.textContent = text;
    message.classList.toggle("pg2-study-error", Boolean(trouble));
    if (before && before !== root.dataset.state) focus(root.dataset.state, before);
  }

  // Keys work while the focus is inside; a disabled or hidden button would lose it.
  function focus(state, before) {
    if (state === "ready") (run ? find("[data-do=start]") : name).focus({ preventScroll: true });
    else if (state === "done") find("[data-text=done]").focus({ preventScroll: true });
    else root.focus({ preventScroll: true });
    if (before === "ready" || state === "ready") scroll();
  }

  // The image and the buttons are to be seen together, where the window is tall enough.
  function scroll() {
    root.scrollIntoView({ block: "nearest" });
  }

  function start() {
    if (run) {
      trouble = "";
      return run.begin();
    }
    if (starting || !name.form.reportValidity()) return;
    trouble = "";
    starting = true;
    tell({ do: "start", participant: name.value });
    slow = view.setTimeout(() => {
      trouble = "The kernel does not respond. Run the notebook's cells again, then start again.";
      starting = false;
      update();
    }, 60_000);
    update();
  }

  const buttons = {
    agree() {
      agreed = true;
      update();
    },
    start,
    pause: () => run?.pause(),
    another() {
      agreed = false;
      factor = 0;
      name.value = "";
      tell({ do: "leave" });
      run.end();
      run = null;
      update();
    },
  };

  root.addEventListener("click", (event) => {
    const button = event.target.closest("button");
    if (button?.dataset.do) buttons[button.dataset.do]();
    if (button?.dataset.answer) {
      run?.answer(button.dataset.answer === "real" ? "real" : "generated");
    }
  });
  find("form").addEventListener("submit", (event) => {
    event.preventDefault();
    start();
  });
  root.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.altKey || event.metaKey || event.target === name) return;
    const answer = keyAnswer(event.key);
    if (!run || (run.state !== "showing" && run.state !== "asking")) return;
    const button = event.target.closest("button");
    // Arrows scroll, and the space bar where it presses no button.
    if (answer || event.key === "Escape" || (event.key === " " && !button)) event.preventDefault();
    if (event.key === "Escape") run.pause();
    else if (answer && !event.repeat) run.answer(answer);
  });
  const onVisibility = () => run?.visibility();
  page.addEventListener("visibilitychange", onVisibility);

  async function received(content, buffers) {
    if (content.failed) {
      trouble = content.failed;
      starting = false;
      view.clearTimeout(slow);
    } else if (content.started) {
      const mine = starting; // or of another view of the same widget
      starting = false;
      trouble = "";
      view.clearTimeout(slow);
      enter(); // the traits arrived before this message
      update();
      if (mine && run.answered === 0) run.begin();
      return;
    } else if (run && content.participant === get("participant")) {
      if (content.saved) {
        trouble = "";
        run.saved(content.saved);
        forget(run.answered);
      } else if (content.image > run.answered && !pictures.has(content.image)) {
        const image = new view.Image();
        image.className = "pg2-study-image";
        image.alt = "a person: real or generated?";
        image.style.visibility = "hidden";
        image.src = view.URL.createObjectURL(new view.Blob([buffers[0]], { type: "image/png" }));
        await image.decode();
        if (content.participant !== get("participant") || pictures.has(content.image)) {
          return view.URL.revokeObjectURL(image.src); // another session, or sent twice
        }
        pictures.set(content.image, image);
        run?.arrived(content.image);
        return;
      }
    }
    update();
  }
  model.on("msg:custom", received);

  // Another view started or ended a session.
  const onParticipant = () => {
    if (!starting && !get("participant") && run) {
      run.end();
      run = null;
      agreed = false;
      update();
    }
  };
  model.on("change:participant", onParticipant);

  name.value = get("suggested");
  enter();
  update();

  return () => {
    run?.end();
    forget(Infinity);
    view.clearTimeout(slow);
    page.removeEventListener("visibilitychange", onVisibility);
    model.off("msg:custom", received);
    model.off("change:participant", onParticipant);
  };
}

export default { render };
