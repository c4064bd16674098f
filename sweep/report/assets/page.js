"use strict";

// Draws the figures in the reader's colours and width, and sorts the table of trials.

const config = { displayModeBar: false };
const dark = window.matchMedia("(prefers-color-scheme: dark)");
const narrow = window.matchMedia("(max-width: 40rem)");
const counterparts = content("colours");
const places = [...document.querySelectorAll("[data-figure]")];
const paper = 640; // pixels across a printed page
let printing = false;
let width = window.innerWidth;

function content(id) {
  return JSON.parse(document.getElementById(id).textContent);
}

function darkened(value) {
  if (typeof value === "string") {
    const found = counterparts[value.slice(0, 7)];
    return found === undefined ? value : found + value.slice(7);
  }
  if (Array.isArray(value)) return value.map(darkened);
  if (value === null || typeof value !== "object") return value;
  return Object.fromEntries(Object.entries(value).map(([key, inner]) => [key, darkened(inner)]));
}

function change(layout, path, value) {
  const keys = path.split(".");
  const last = keys.pop();
  const target = keys.reduce((inner, key) => (inner[key] ??= {}), layout);
  target[last] = value;
}

function draw(place) {
  let figure = content(place.dataset.figure);
  if (dark.matches && !printing) figure = darkened(figure);
  const { layout } = figure;
  const changes = narrow.matches && !printing ? (layout.meta?.narrow ?? {}) : {};
  Object.entries(changes).forEach(([path, value]) => change(layout, path, value));
  Object.assign(layout, { showlegend: false, dragmode: false, width: printing ? paper : place.clientWidth });
  Plotly.react(place, figure.data, layout, config);
}

function drawAll() {
  width = window.innerWidth;
  places.forEach(draw);
}

function prepare(begun) {
  printing = begun;
  drawAll();
}

function key(cell) {
  const number = Number(cell.dataset.value);
  return cell.dataset.value !== "" && Number.isFinite(number) ? number : cell.dataset.value;
}

function compare(one, other) {
  return typeof one === "number" && typeof other === "number" ? one - other : String(one).localeCompare(String(other));
}

function sort(table, heading) {
  const headings = [...table.tHead.rows[0].cells];
  const column = headings.indexOf(heading);
  const next = heading.getAttribute("aria-sort") === "descending" ? "ascending" : "descending";
  const sign = next === "ascending" ? 1 : -1;
  const rows = [...table.tBodies[0].rows].map((row) => [key(row.cells[column]), row]);
  rows.sort(([one], [other]) => {
    if (one === "" || other === "") return (one === "") - (other === ""); // what is missing stays last
    return sign * compare(one, other);
  });
  headings.forEach((each) => each.removeAttribute("aria-sort"));
  heading.setAttribute("aria-sort", next);
  table.tBodies[0].append(...rows.map(([, row]) => row));
}

document.querySelectorAll("table.sortable").forEach((table) => {
  table.tHead.addEventListener("click", (event) => {
    const button = event.target.closest("button");
    if (button) sort(table, button.closest("th"));
  });
});

dark.addEventListener("change", drawAll);
window.addEventListener("resize", () => requestAnimationFrame(() => width !== window.innerWidth && drawAll()));
window.addEventListener("beforeprint", () => prepare(true));
window.addEventListener("afterprint", () => prepare(false));
drawAll();
