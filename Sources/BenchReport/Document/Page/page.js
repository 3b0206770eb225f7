"use strict";
for (const table of document.querySelectorAll("table")) {
  const heads = [...table.tHead.rows[0].cells], body = table.tBodies[0];
  const key = (row, column) => {
    const cell = row.cells[Math.min(column, row.cells.length - 1)];
    if (cell.dataset.key !== undefined) return Number(cell.dataset.key);
    const text = cell.textContent.trim(), number = Number.parseFloat(text.replace(/,/g, ""));
    return /^[+\-−±]?[0-9]/.test(text) && !Number.isNaN(number) ? number : text;
  };
  heads.forEach((head, column) => head.firstChild.addEventListener("click", () => {
    const up = head.getAttribute("aria-sort") !== "ascending";
    for (const other of heads) other.removeAttribute("aria-sort");
    head.setAttribute("aria-sort", up ? "ascending" : "descending");
    const rows = [...body.rows].map(row => [key(row, column), row]);
    rows.sort(([a], [b]) => {
      if (typeof a !== typeof b) return typeof a === "number" ? -1 : 1;
      const order = typeof a === "number" ? a - b : a.localeCompare(b);
      return up ? order : -order;
    });
    body.append(...rows.map(([, row]) => row));
  }));
}

const form = document.getElementById("filters");
if (form) {
  const tagged = [...document.querySelectorAll("tbody tr, svg g")].filter(item => item.dataset.model !== undefined);
  // Passes are several words, and a model's name may have blanks in it.
  const parts = (item, name) => name === "passes" ? (item.dataset[name] ?? "").split(" ") : [item.dataset[name] ?? ""];
  const words = name => [...new Set(tagged.flatMap(item => parts(item, name)))].filter(Boolean);
  const add = (name, title, choices) => {
    if (choices.length < 2) return;
    const label = document.createElement("label"), select = document.createElement("select");
    select.name = name;
    select.append(new Option("all", ""), ...choices.map(([text, value]) => new Option(text, value)));
    label.append(title, select);
    form.append(label);
  };
  const plain = list => list.map(word => [word, word]);
  add("model", "model", plain(words("model")));
  add("backend", "backend", plain(words("backend")));
  add("passes", "optimisation", words("passes").flatMap(word => [["with " + word, word], ["without " + word, "!" + word]]));
  const label = document.createElement("label"), input = document.createElement("input");
  Object.assign(input, {type: "search", name: "text", placeholder: "part of a name"});
  label.append("text", input);
  form.append(label);
  const update = () => {
    const chosen = new FormData(form);
    const fits = item => {
      for (const name of ["model", "backend", "passes"]) {
        const wanted = chosen.get(name);
        if (!wanted) continue;
        const has = parts(item, name).includes(wanted.replace("!", ""));
        if (has === wanted.startsWith("!")) return false;
      }
      return item.textContent.toLowerCase().includes((chosen.get("text") ?? "").toLowerCase());
    };
    for (const item of tagged) {
      const shown = fits(item);
      if (item.tagName === "TR") item.hidden = !shown; else item.toggleAttribute("data-off", !shown);
    }
  };
  form.addEventListener("input", update);
  form.addEventListener("submit", event => event.preventDefault());
}

// A link of the contents opens what it goes to.
const open = () => {
  let name = location.hash.slice(1);
  try { name = decodeURIComponent(name); } catch { /* It is taken as it stands. */ }
  const part = document.getElementById(name);
  if (part?.tagName === "DETAILS") {
    part.open = true;
    part.scrollIntoView();
  }
};
addEventListener("hashchange", open);
open();
for (const link of document.querySelectorAll("nav a")) link.addEventListener("click", () => setTimeout(open));
