// As much of a browser as the widgets' modules touch, for node: elements, events, canvases, and a
// model as anywidget hands it over.

export class FakeElement {
  constructor(tag) {
    this.tagName = tag.toUpperCase();
    this.attributes = {};
    this.children = [];
    this.listeners = {};
    this.parent = null;
    this.text = "";
    this.value = "";
    this.files = [];
    this.checked = this.disabled = this.hidden = false;
    this.clientWidth = 1000;
    this.style = { setProperty(name, value) { this[name] = value; } };
    this.drawn = []; // ["putImageData", ...] and so on, of a canvas
    this.captured = null;
    const names = () => new Set((this.attributes.class ?? "").split(" ").filter(Boolean));
    this.classList = {
      contains: (name) => names().has(name),
      toggle: (name, on) => {
        const all = names();
        on ? all.add(name) : all.delete(name);
        this.attributes.class = [...all].join(" ");
      },
    };
  }
  setAttribute(name, value) {
    this.attributes[name] = String(value);
    if (["value", "hidden"].includes(name)) this[name] = name === "hidden" || String(value);
  }
  getAttribute(name) {
    return this.attributes[name] ?? null;
  }
  append(...children) {
    for (const child of children) {
      child.parent = this;
      this.children.push(child);
    }
  }
  replaceChildren(...children) {
    this.children = [];
    this.append(...children);
  }
  remove() {
    if (this.parent) this.parent.children = this.parent.children.filter((one) => one !== this);
  }
  get textContent() {
    return this.text + this.children.map((child) => child.textContent).join("");
  }
  set textContent(text) {
    this.children = [];
    this.text = String(text);
  }
  addEventListener(event, listener) {
    (this.listeners[event] ??= []).push(listener);
  }
  removeEventListener(event, listener) {
    this.listeners[event] = (this.listeners[event] ?? []).filter((one) => one !== listener);
  }
  /** Calls the listeners for an event; returns it, to see whether its default was prevented. */
  fire(type, fields = {}) {
    const event = {
      type,
      target: this,
      button: 0,
      pointerId: 1,
      pointerType: "mouse",
      defaultPrevented: false,
      preventDefault: () => (event.defaultPrevented = true),
      stopPropagation() {},
      ...fields,
    };
    for (const listener of this.listeners[type] ?? []) listener(event);
    return event;
  }
  click() {
    if (!this.disabled) this.fire("click");
  }
  focus() {
    document.activeElement = this;
    this.fire("focus");
  }
  setPointerCapture(pointer) {
    this.captured = pointer;
  }
  getBoundingClientRect() {
    return { left: 0, top: 0 };
  }
  getContext() {
    const drawn = this.drawn;
    return new Proxy(
      { measureText: (text) => ({ width: 6 * text.length }) },
      { get: (own, name) => own[name] ?? ((...given) => drawn.push([name, ...given])) },
    );
  }
  /** All elements below for which `wanted(element)` holds. */
  all(wanted) {
    const self = (child) => (wanted(child) ? [child] : []);
    return this.children.flatMap((child) => [...self(child), ...child.all(wanted)]);
  }
  /** All elements below with that tag, which is all that is understood. */
  querySelectorAll(tag) {
    return this.all(({ tagName }) => tagName === tag.toUpperCase());
  }
  /** The one element below whose attribute has that value; throws where there is none. */
  one(name, value) {
    const [found] = this.all((element) => element.getAttribute(name) === String(value));
    if (!found) throw new Error(`no element with ${name}="${value}"`);
    return found;
  }
}

/** Puts a document and the rest of a browser into the globals of node. */
export function installBrowser() {
  globalThis.document = {
    activeElement: null,
    body: new FakeElement("body"),
    createElement: (tag) => new FakeElement(tag),
  };
  globalThis.ImageData = class {
    constructor(data, width, height) {
      Object.assign(this, { data, width, height });
    }
  };
  globalThis.requestAnimationFrame = (call) => setTimeout(call, 0);
  globalThis.cancelAnimationFrame = (handle) => clearTimeout(handle);
}

/** A model: traits, listeners, and all that was sent, `sent` [{message, buffers, callbacks}]. */
export class FakeModel {
  constructor(traits) {
    this.traits = traits;
    this.listeners = [];
    this.sent = [];
  }
  get(name) {
    if (!(name in this.traits)) throw new Error(`the model has no trait ${name}`);
    return this.traits[name];
  }
  on(event, listener) {
    this.listeners.push({ event, listener });
  }
  off(event, listener) {
    this.listeners = this.listeners.filter(
      (one) => one.event !== event || one.listener !== listener,
    );
  }
  send(message, callbacks, buffers) {
    this.sent.push({ message, callbacks, buffers });
  }
  trigger(event, ...given) {
    for (const one of [...this.listeners]) if (one.event === event) one.listener(...given);
  }
  /** Sets a trait as Python does. */
  change(name, value) {
    this.traits[name] = value;
    this.trigger(`change:${name}`);
  }
  /** The messages sent since the last call. */
  take() {
    return this.sent.splice(0).map(({ message }) => message);
  }
}
