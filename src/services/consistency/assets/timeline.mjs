/* How the timeline answers: zooming, moving, selecting. Runs in a browser, put behind the rest. */
import {
  axisHeightPx,
  draw,
  drawMap,
  labelWidthPx,
  laneHeightPx,
  operationAt,
  timeOf,
  topPx,
} from "./timeline-draw.mjs";
import { decode, levelOf, opOf, outcomeOf, timeText, valueOf } from "./timeline-model.mjs";

const heightAtMostPx = 620;
const zoomStep = 1.35;
const keysAtMost = 2_000;
const byId = (id) => document.getElementById(id);
const model = decode(JSON.parse(byId("data").textContent));
const canvas = byId("lanes");
const map = byId("map");
/** Operations of the counterexample that is shown, with their numbers in it. */
const shown = new Map();
const everyRow = model.lanes.map((_, lane) => lane);
let wantedKey = -1;
let activeWitness = -1;
let isScheduled = false;
const view = {
  from: model.from,
  pxPerUnit: 1,
  scrollPx: 0,
  width: 0,
  height: 0,
  selected: -1,
  rows: everyRow,
  map: { width: 0, height: 44, counts: [], countedFor: -1 },
  isHidden: (at) => wantedKey >= 0 && model.key[at] !== wantedKey,
};

const colourNames = "card ink soft line stripe bad accent read write cas append delete fault";

function coloursNow() {
  const style = getComputedStyle(document.documentElement);
  const colours = { onBar: "#ffffff" };
  for (const name of colourNames.split(" ")) {
    colours[name] = style.getPropertyValue(`--${name}`).trim();
  }
  return colours;
}

const fontOf = (weight, px) => `${weight} ${px}px ${getComputedStyle(document.body).fontFamily}`;

function paintOf(target) {
  const context = target.getContext("2d");
  const scale = globalThis.devicePixelRatio || 1;
  context.setTransform(scale, 0, 0, scale, 0, 0);
  return {
    context,
    shown,
    colours: coloursNow(),
    font: fontOf(500, 12.5),
    smallFont: fontOf(400, 11.5),
    barFont: fontOf(600, 11),
    boldFont: fontOf(700, 11),
  };
}

function redraw() {
  if (isScheduled) return;
  isScheduled = true;
  requestAnimationFrame(() => {
    isScheduled = false;
    draw(paintOf(canvas), model, view);
    drawMap(paintOf(map), model, view);
  });
}

const lanesHeight = () => view.rows.length * laneHeightPx;
const roomPx = () => view.width - labelWidthPx;

function resize() {
  const scale = globalThis.devicePixelRatio || 1;
  const span = view.width > 0 ? roomPx() / view.pxPerUnit : model.to - model.from;
  view.width = canvas.clientWidth;
  view.height = Math.min(heightAtMostPx, lanesHeight() + topPx + 6);
  canvas.style.height = `${view.height}px`;
  canvas.width = view.width * scale;
  canvas.height = view.height * scale;
  view.map.width = map.clientWidth;
  map.width = view.map.width * scale;
  map.height = view.map.height * scale;
  view.pxPerUnit = roomPx() / span;
  clamp();
}

/** Keeps what is in view inside of what there is. */
function clamp() {
  const whole = model.to - model.from;
  const least = roomPx() / whole;
  const most = roomPx() / Math.max(whole * 1e-7, 0.002);
  view.pxPerUnit = Math.min(Math.max(view.pxPerUnit, least), Math.max(most, least));
  const span = roomPx() / view.pxPerUnit;
  view.from = Math.max(Math.min(view.from, model.to - span), model.from);
  const hidden = Math.max(0, lanesHeight() + topPx + 6 - view.height);
  view.scrollPx = Math.min(Math.max(view.scrollPx, 0), hidden);
  redraw();
}

function zoom(factor, x = labelWidthPx + roomPx() / 2) {
  const at = timeOf(view, x);
  view.pxPerUnit *= factor;
  clamp();
  view.from = at - (x - labelWidthPx) / view.pxPerUnit;
  clamp();
}

function showSpan(from, to) {
  const margin = Math.max((to - from) * 0.25, (model.to - model.from) * 1e-6);
  view.pxPerUnit = roomPx() / (to - from + margin * 2);
  view.from = from - margin;
  clamp();
}

/** Moves so that an operation is in view. */
function reveal(at) {
  const span = roomPx() / view.pxPerUnit;
  const isBeside = model.call[at] < view.from || model.call[at] > view.from + span;
  if (isBeside) view.from = model.call[at] - span / 3;
  const y = view.rows.indexOf(model.lane[at]) * laneHeightPx;
  const room = view.height - topPx - laneHeightPx - 6;
  if (y < view.scrollPx) view.scrollPx = y;
  if (y > view.scrollPx + room) view.scrollPx = y - room;
  clamp();
}

function select(at, isInView = false) {
  view.selected = at;
  if (at >= 0 && !isInView) reveal(at);
  describe(at);
  redraw();
}

function showWitness(which) {
  const witness = model.witnesses[which];
  if (!witness) return;
  activeWitness = which;
  shown.clear();
  witness.operations.forEach((at, number) => shown.set(at, number + 1));
  chooseRows();
  const calls = witness.operations.map((at) => model.call[at]);
  const ends = witness.operations.map((at) => model.end[at]).filter((end) => !Number.isNaN(end));
  showSpan(Math.min(...calls), Math.max(...calls, ...ends));
  select(witness.operations[0]);
}

function chooseRows() {
  const lanes = new Set([...shown.keys()].map((at) => model.lane[at]));
  const isPart = byId("only").checked && lanes.size > 0;
  view.rows = isPart ? everyRow.filter((lane) => lanes.has(lane)) : everyRow;
  resize();
}

function valueFact(at) {
  const value = valueOf(model, model.value[at]);
  const name = opOf(model, at);
  if (name === "cas") return `${valueOf(model, model.expected[at])} → ${value}`;
  return name === "read" && outcomeOf(model, at) !== "ok" ? "–" : value;
}

function factsOf(at) {
  const end = model.end[at];
  const isAnswered = !Number.isNaN(end);
  const hasVersion = model.version && model.version[at * 2] >= 0;
  const outcome = outcomeOf(model, at);
  const length = isAnswered ? timeText(model, end - model.call[at]) : "never answered";
  return [
    ["Operation", model.ids[at]],
    [opOf(model, at), valueFact(at)],
    ["Key", model.keys[model.key[at]]],
    ["Outcome", outcome === "info" ? "unknown" : outcome],
    ["Client", model.lanes[model.lane[at]].name],
    ["Session", model.lanes[model.lane[at]].session],
    ["Level", levelOf(model, at)],
    ["Replica", model.replicas[model.replica[at]] ?? null],
    ["Version", hasVersion ? `${model.version[at * 2]}.${model.version[at * 2 + 1]}` : null],
    ["Called", timeText(model, model.call[at])],
    ["Returned", isAnswered ? timeText(model, end) : null],
    ["Took", model.clock === "ms" ? length : null],
  ].filter(([, text]) => text !== null);
}

function element(name, text, ...children) {
  const made = document.createElement(name);
  if (text) made.textContent = text;
  made.append(...children);
  return made;
}

function describe(at) {
  const target = byId("details");
  if (at < 0) {
    target.replaceChildren(element("p", "No operation is selected."));
    return;
  }
  const list = element("dl");
  for (const [name, text] of factsOf(at)) {
    list.append(element("div", "", element("dt", name), element("dd", text)));
  }
  const number = shown.get(at);
  const sentence = number ? model.witnesses[activeWitness].sentence : "";
  const title = number ? [element("p", `${number} of the counterexample: ${sentence}`)] : [];
  target.replaceChildren(...title, list);
}

function hover(event) {
  const tip = byId("tip");
  const at = operationAt(model, view, event.offsetX, event.offsetY);
  tip.hidden = at === null;
  if (at === null) return;
  const facts = factsOf(at).slice(0, 4);
  tip.textContent = facts.map(([name, text]) => `${name.toLowerCase()} ${text}`).join(" · ");
  const left = Math.min(event.offsetX + 14, view.width - tip.offsetWidth - 8);
  tip.style.left = `${Math.max(left, 4)}px`;
  tip.style.top = `${event.offsetY + 18}px`;
}

/** The operation beside the selected one: in its lane, or nearest in the next lane. */
function neighbour(key) {
  if (view.selected < 0) return model.witnesses[0]?.operations[0] ?? 0;
  const lane = model.lane[view.selected];
  if (key === "ArrowLeft" || key === "ArrowRight") {
    const own = model.byLane[lane];
    const next = own.indexOf(view.selected) + (key === "ArrowRight" ? 1 : -1);
    return own[next] ?? view.selected;
  }
  const row = view.rows.indexOf(lane) + (key === "ArrowDown" ? 1 : -1);
  const other = model.byLane[view.rows[row]] ?? [view.selected];
  const away = (at) => Math.abs(model.call[at] - model.call[view.selected]);
  return other.reduce((best, at) => (away(at) < away(best) ? at : best), other[0]);
}

function move(xPx, yPx) {
  view.from -= xPx / view.pxPerUnit;
  view.scrollPx -= yPx;
  clamp();
}

const ownLane = () => model.byLane[model.lane[Math.max(view.selected, 0)]];
const pagePx = () => (view.height - axisHeightPx) * 0.9;
const keyActs = {
  "+": () => zoom(zoomStep),
  "=": () => zoom(zoomStep),
  "-": () => zoom(1 / zoomStep),
  0: () => showSpan(model.from, model.to),
  w: () => showWitness((activeWitness + 1) % Math.max(model.witnesses.length, 1)),
  Escape: () => select(-1),
  Home: () => select(ownLane()[0]),
  End: () => select(ownLane().at(-1)),
  PageDown: () => move(0, -pagePx()),
  PageUp: () => move(0, pagePx()),
};

function onKey(event) {
  if (event.ctrlKey || event.metaKey || event.altKey) return;
  const name = event.key.length === 1 ? event.key.toLowerCase() : event.key;
  const act = name.startsWith("Arrow") ? () => select(neighbour(name)) : keyActs[name];
  if (!act) return;
  event.preventDefault();
  act();
}

function onWheel(event) {
  event.preventDefault();
  const isSideways = event.shiftKey || Math.abs(event.deltaX) > Math.abs(event.deltaY);
  if (isSideways) move(-(event.deltaX || event.deltaY), 0);
  else if (event.altKey || event.offsetX < labelWidthPx) move(0, -event.deltaY);
  else zoom(Math.exp(-event.deltaY / 400), event.offsetX);
}

/** One pointer drags, two pinch, a click selects. */
function listenToPointers() {
  const pointers = new Map();
  let isMoved = false;
  canvas.addEventListener("pointerdown", (event) => {
    pointers.set(event.pointerId, event);
    canvas.setPointerCapture(event.pointerId);
    isMoved = false;
  });
  canvas.addEventListener("pointermove", (event) => {
    const before = pointers.get(event.pointerId);
    if (!before) {
      hover(event);
      return;
    }
    const [xPx, yPx] = [event.offsetX - before.offsetX, event.offsetY - before.offsetY];
    if (!isMoved && Math.abs(xPx) + Math.abs(yPx) < 4) return;
    isMoved = true;
    canvas.classList.add("dragging");
    const other = [...pointers.values()].find(({ pointerId }) => pointerId !== event.pointerId);
    const awayPx = (one) => Math.max(Math.abs(one.offsetX - other.offsetX), 20);
    if (other) zoom(awayPx(event) / awayPx(before), other.offsetX);
    else move(xPx, yPx);
    pointers.set(event.pointerId, event);
  });
  const release = ({ pointerId }) => {
    pointers.delete(pointerId);
    canvas.classList.remove("dragging");
  };
  canvas.addEventListener("pointerup", (event) => {
    if (!isMoved) select(operationAt(model, view, event.offsetX, event.offsetY) ?? -1, true);
    release(event);
  });
  canvas.addEventListener("pointercancel", release);
  canvas.addEventListener("pointerleave", () => {
    byId("tip").hidden = true;
  });
  canvas.addEventListener("wheel", onWheel, { passive: false });
}

function listenToMap() {
  const go = (event) => {
    if (event.buttons === 0) return;
    const at = model.from + (event.offsetX / view.map.width) * (model.to - model.from);
    view.from = at - roomPx() / view.pxPerUnit / 2;
    clamp();
  };
  map.addEventListener("pointerdown", (event) => {
    map.setPointerCapture(event.pointerId);
    go(event);
  });
  map.addEventListener("pointermove", go);
}

function listenToTools() {
  const chooser = byId("key");
  model.keys.slice(0, keysAtMost).forEach((name, key) => {
    const option = element("option", name);
    option.value = String(key);
    chooser.append(option);
  });
  chooser.parentElement.hidden = model.keys.length < 2;
  chooser.addEventListener("change", () => {
    wantedKey = Number(chooser.value);
    redraw();
  });
  byId("only").addEventListener("change", chooseRows);
  byId("in").addEventListener("click", () => zoom(zoomStep));
  byId("out").addEventListener("click", () => zoom(1 / zoomStep));
  byId("all").addEventListener("click", keyActs[0]);
  byId("witness").addEventListener("click", keyActs.w);
  byId("witness").hidden = model.witnesses.length === 0;
  byId("only").parentElement.hidden = model.witnesses.length === 0;
  byId("find").addEventListener("change", ({ target }) => {
    const at = model.ids.indexOf(target.value.trim());
    if (at >= 0) select(at);
  });
  for (const button of document.querySelectorAll("button[data-witness]")) {
    button.addEventListener("click", () => {
      showWitness(Number(button.dataset.witness));
      if (button.dataset.operation) select(Number(button.dataset.operation));
      canvas.focus();
    });
  }
}

canvas.addEventListener("keydown", onKey);
listenToPointers();
listenToMap();
listenToTools();
globalThis.addEventListener("resize", resize);
matchMedia("(prefers-color-scheme: dark)").addEventListener("change", redraw);
resize();
showWitness(0);
document.body.dataset.ready = "yes";
