/* How the timeline is drawn. Runs in a browser, put into one script with the rest. */
import { opOf, outcomeOf, shortText, timeText } from "./timeline-model.mjs";

export const laneHeightPx = 26;
export const axisHeightPx = 26;
/** Where the first lane begins: room for the number of its counterexample. */
export const topPx = axisHeightPx + 10;
export const labelWidthPx = 92;
const barHeightPx = 16;
const textFromPx = 46;
const roundFromPx = 7;

/** A step between marks of 1, 2 or 5 times a power of ten. */
function niceStep(span, marks) {
  const rough = span / marks;
  const power = 10 ** Math.floor(Math.log10(rough));
  return power * ([1, 2, 5, 10].find((factor) => factor * power >= rough) ?? 10);
}

/** Where a lane's first operation may be that ends after a time. */
function firstVisible(model, lane, from) {
  const operations = model.byLane[lane];
  let [low, high] = [0, operations.length];
  while (low < high) {
    const middle = (low + high) >> 1;
    if (model.drawnTo[operations[middle]] < from) low = middle + 1;
    else high = middle;
  }
  return low;
}

const xOf = (view, at) => labelWidthPx + (at - view.from) * view.pxPerUnit;
/** The time that stands at a place from the left. */
export const timeOf = (view, x) => view.from + (x - labelWidthPx) / view.pxPerUnit;
const yOf = (view, row) => topPx + row * laneHeightPx - view.scrollPx;

function drawAxis(paint, model, view) {
  const { context, colours } = paint;
  const span = timeOf(view, view.width) - view.from;
  const step = niceStep(span, Math.max(2, (view.width - labelWidthPx) / 110));
  context.fillStyle = colours.card;
  context.fillRect(0, 0, view.width, axisHeightPx);
  context.font = paint.smallFont;
  context.textBaseline = "middle";
  context.textAlign = "center";
  for (let at = Math.ceil(view.from / step) * step; at < view.from + span; at += step) {
    const x = Math.round(xOf(view, at)) + 0.5;
    context.fillStyle = colours.soft;
    if (x > labelWidthPx + 20) context.fillText(timeText(model, at), x, axisHeightPx / 2);
    context.fillStyle = colours.line;
    context.fillRect(x, axisHeightPx - 4, 1, 4);
  }
  context.fillStyle = colours.line;
  context.fillRect(0, axisHeightPx - 1, view.width, 1);
}

function drawFaults({ context, colours, smallFont }, model, view) {
  for (const { name, from, to } of model.faults) {
    const [left, right] = [xOf(view, from), xOf(view, to ?? model.to)];
    if (right < labelWidthPx || left > view.width) continue;
    context.fillStyle = colours.fault;
    context.fillRect(left, axisHeightPx, right - left, view.height);
    context.fillStyle = colours.bad;
    context.font = smallFont;
    context.textAlign = "left";
    context.textBaseline = "bottom";
    const start = Math.max(left, labelWidthPx) + 5;
    const room = Math.min(right, view.width) - start;
    if (context.measureText(name).width < room) context.fillText(name, start, view.height - 4);
  }
}

function drawBar(paint, model, view, at, y) {
  const { context, colours, shown } = paint;
  const left = xOf(view, model.call[at]);
  const right = xOf(view, model.drawnTo[at]);
  const width = Math.max(right - left, 2);
  const top = y + (laneHeightPx - barHeightPx) / 2;
  const colour = colours[opOf(model, at)];
  const outcome = outcomeOf(model, at);
  const number = shown.get(at);
  const isFaded = (shown.size > 0 && number === undefined) || view.isHidden(at);
  context.globalAlpha = isFaded ? 0.3 : 1;
  if (outcome === "fail") {
    context.strokeStyle = colour;
    context.setLineDash([4, 3]);
    context.strokeRect(left + 0.5, top + 0.5, width - 1, barHeightPx - 1);
    context.setLineDash([]);
  } else {
    context.fillStyle = outcome === "info" ? fade(context, left, right, colour) : colour;
    if (width < roundFromPx) context.fillRect(left, top, width, barHeightPx);
    else {
      context.beginPath();
      context.roundRect(left, top, width, barHeightPx, 3);
      context.fill();
    }
  }
  context.globalAlpha = isFaded ? 0.65 : 1;
  const isDark = isFaded || outcome === "fail" || outcome === "info";
  if (width >= textFromPx) drawBarText(paint, model, at, { left, width, top, isDark });
  context.globalAlpha = 1;
  if (view.selected === at) {
    context.strokeStyle = colours.ink;
    context.lineWidth = 2;
    context.strokeRect(left - 4, top - 4, width + 8, barHeightPx + 8);
    context.lineWidth = 1;
  }
  if (number !== undefined) drawNumber(paint, { left, width, top, number });
}

function fade(context, left, right, colour) {
  const gradient = context.createLinearGradient(Math.max(left, -1e4), 0, Math.min(right, 1e5), 0);
  gradient.addColorStop(0, colour);
  gradient.addColorStop(1, "transparent");
  return gradient;
}

function drawBarText({ context, colours, barFont }, model, at, { left, width, top, isDark }) {
  const from = Math.max(left, labelWidthPx);
  const room = left + width - from - 10;
  if (room < 24) return;
  context.save();
  context.beginPath();
  context.rect(from, top, room + 5, barHeightPx);
  context.clip();
  context.fillStyle = isDark ? colours.ink : colours.onBar;
  context.font = barFont;
  context.textAlign = "left";
  context.textBaseline = "middle";
  context.fillText(shortText(model, at), from + 5, top + barHeightPx / 2 + 0.5);
  context.restore();
}

/** The mark of an operation of the counterexample, with lines at its call and its return. */
function drawNumber({ context, colours, boldFont }, { left, width, top, number }) {
  context.strokeStyle = colours.bad;
  context.lineWidth = 2;
  context.strokeRect(left - 2, top - 2, width + 4, barHeightPx + 4);
  context.lineWidth = 1;
  const x = Math.max(left - 2, labelWidthPx + 9);
  context.fillStyle = colours.bad;
  context.beginPath();
  context.arc(x, top - 2, 8, 0, Math.PI * 2);
  context.fill();
  context.fillStyle = colours.card;
  context.font = boldFont;
  context.textAlign = "center";
  context.textBaseline = "middle";
  context.fillText(String(number), x, top - 1.5);
}

/** Lines at the calls and ends of the counterexample. */
function drawGuides({ context, colours, shown }, model, view) {
  context.strokeStyle = colours.bad;
  context.setLineDash([2, 4]);
  context.globalAlpha = 0.4;
  for (const at of shown.keys()) {
    for (const moment of [model.call[at], model.end[at]]) {
      const x = Math.round(xOf(view, moment)) + 0.5;
      if (Number.isNaN(moment) || x < labelWidthPx || x > view.width) continue;
      context.beginPath();
      context.moveTo(x, axisHeightPx);
      context.lineTo(x, view.height);
      context.stroke();
    }
  }
  context.setLineDash([]);
  context.globalAlpha = 1;
}

/** Arrows from what had ended to what was called next, in the counterexample. */
function drawArrows({ context, colours, shown }, model, view) {
  const operations = [...shown.keys()];
  const middleOf = (at) => yOf(view, view.rows.indexOf(model.lane[at])) + laneHeightPx / 2;
  context.strokeStyle = colours.bad;
  context.fillStyle = colours.bad;
  context.lineWidth = 1.5;
  operations.slice(1).forEach((late, position) => {
    const early = operations
      .slice(0, position + 1)
      .findLast((at) => model.end[at] < model.call[late]);
    if (early === undefined) return;
    const [fromX, toX] = [xOf(view, model.end[early]) + 3, xOf(view, model.call[late]) - 4];
    const [fromY, toY] = [middleOf(early), middleOf(late)];
    if (toX - fromX < 6) return;
    const bend = (toX - fromX) / 2;
    context.beginPath();
    context.moveTo(fromX, fromY);
    context.bezierCurveTo(fromX + bend, fromY, toX - bend, toY, toX - 6, toY);
    context.stroke();
    context.beginPath();
    context.moveTo(toX, toY);
    context.lineTo(toX - 8, toY - 4.5);
    context.lineTo(toX - 8, toY + 4.5);
    context.fill();
  });
  context.lineWidth = 1;
}

/** A lane's bars; of what falls on the same pixel only one is drawn. */
function drawLane(paint, model, view, row) {
  const lane = view.rows[row];
  const y = yOf(view, row);
  const until = timeOf(view, view.width);
  const operations = model.byLane[lane];
  const kept = [];
  let lastPx = -Infinity;
  for (let next = firstVisible(model, lane, view.from); next < operations.length; next += 1) {
    const at = operations[next];
    if (model.call[at] > until) break;
    if (paint.shown.has(at) || view.selected === at) {
      kept.push(at);
      continue;
    }
    const right = xOf(view, model.drawnTo[at]);
    if (right < lastPx + 1.5) continue;
    lastPx = right;
    drawBar(paint, model, view, at, y);
  }
  for (const at of kept) drawBar(paint, model, view, at, y);
}

function drawLabels({ context, colours, font }, model, view) {
  context.fillStyle = colours.card;
  context.fillRect(0, axisHeightPx, labelWidthPx, view.height);
  context.fillStyle = colours.line;
  context.fillRect(labelWidthPx - 1, 0, 1, view.height);
  context.font = font;
  context.textBaseline = "middle";
  context.textAlign = "left";
  view.rows.forEach((lane, row) => {
    const y = yOf(view, row);
    if (y < -laneHeightPx || y > view.height) return;
    const { name } = model.lanes[lane];
    context.fillStyle = colours.ink;
    context.fillText(name.length > 12 ? `${name.slice(0, 11)}…` : name, 12, y + laneHeightPx / 2);
  });
}

/** Draws what is in view, from the back to the front. */
export function draw(paint, model, view) {
  const { context, colours } = paint;
  context.fillStyle = colours.card;
  context.fillRect(0, 0, view.width, view.height);
  view.rows.forEach((_, row) => {
    const y = yOf(view, row);
    if (y > view.height || y < -laneHeightPx || row % 2 === 0) return;
    context.fillStyle = colours.stripe;
    context.fillRect(0, y, view.width, laneHeightPx);
  });
  drawFaults(paint, model, view);
  drawGuides(paint, model, view);
  view.rows.forEach((_, row) => {
    const y = yOf(view, row);
    if (y <= view.height && y >= -laneHeightPx) drawLane(paint, model, view, row);
  });
  drawArrows(paint, model, view);
  drawLabels(paint, model, view);
  drawAxis(paint, model, view);
  context.fillStyle = colours.card;
  context.fillRect(0, 0, labelWidthPx - 1, axisHeightPx - 1);
}

/** How many operations were called within each pixel of the map. */
function countCalls(model, width) {
  const counts = new Float64Array(Math.max(1, Math.ceil(width)));
  const scale = counts.length / (model.to - model.from);
  for (let at = 0; at < model.count; at += 1) {
    counts[Math.min(counts.length - 1, Math.floor((model.call[at] - model.from) * scale))] += 1;
  }
  return counts;
}

/** How busy the whole is, where the counterexample lies, and what is in view. */
export function drawMap({ context, colours, shown }, model, view) {
  const { width, height } = view.map;
  if (view.map.countedFor !== width) {
    view.map.counts = countCalls(model, width);
    view.map.countedFor = width;
  }
  const { counts } = view.map;
  const scale = counts.length / (model.to - model.from);
  const most = counts.reduce((a, b) => Math.max(a, b), 1);
  context.fillStyle = colours.stripe;
  context.fillRect(0, 0, width, height);
  context.fillStyle = colours.read;
  context.globalAlpha = 0.6;
  counts.forEach((count, x) => {
    const tall = (count / most) * (height - 8);
    context.fillRect(x, height - tall, 1, tall);
  });
  context.globalAlpha = 1;
  context.fillStyle = colours.bad;
  for (const at of shown.keys()) {
    context.fillRect((model.call[at] - model.from) * scale - 1, 0, 2.5, height);
  }
  const left = (view.from - model.from) * scale;
  const right = (timeOf(view, view.width) - model.from) * scale;
  context.strokeStyle = colours.accent;
  context.lineWidth = 2;
  context.strokeRect(left + 1, 1, Math.max(right - left - 2, 3), height - 2);
  context.lineWidth = 1;
}

/** The operation at a place of the canvas, or null; a little beside a short one counts. */
export function operationAt(model, view, x, y) {
  const row = Math.floor((y - topPx + view.scrollPx) / laneHeightPx);
  const lane = view.rows[row];
  if (lane === undefined || y < axisHeightPx || x < labelWidthPx) return null;
  const operations = model.byLane[lane];
  const first = firstVisible(model, lane, timeOf(view, x - 4));
  let [best, bestPx] = [null, 5];
  for (let next = first; next < operations.length; next += 1) {
    const at = operations[next];
    const left = xOf(view, model.call[at]);
    const right = xOf(view, model.drawnTo[at]);
    if (left > x + 4) break;
    const away = Math.max(left - x, x - right, 0);
    if (away < bestPx && !view.isHidden(at)) [best, bestPx] = [at, away];
  }
  return best;
}
