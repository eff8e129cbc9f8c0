"use strict";

// Elements with data-live are refreshed every two seconds while the page is visible.
const refreshInterval = 2000;

// On narrow screens, the cells of a row are below each other, each with the name of its column.
const labelCells = (root) => {
  for (const table of root.querySelectorAll(".scroll table")) {
    const names = [...table.querySelectorAll("thead th")].map((th) => th.textContent.trim());
    for (const row of table.querySelectorAll("tbody tr")) {
      if (row.cells.length === names.length) [...row.cells].forEach((cell, i) => { if (names[i]) cell.dataset.label = names[i]; });
    }
    table.classList.add("labelled");
  }
};
labelCells(document);

// A replaced part keeps its open details, the focus, and how far its regions are scrolled.
const nameOf = (e) => e && (e.id || e.getAttribute("aria-label") || e.getAttribute("href") || e.textContent);
const replacePart = (part, text) => {
  const open = [...part.querySelectorAll("details")].map((d) => d.open);
  const scrolled = [...part.querySelectorAll(".scroll, pre")].map((e) => [e.scrollLeft, e.scrollTop]);
  const active = part.contains(document.activeElement) ? document.activeElement : null;
  const selector = active && active.tagName, name = nameOf(active);
  part.innerHTML = text;
  labelCells(part);
  part.querySelectorAll("details").forEach((d, i) => { if (i in open) d.open = open[i]; });
  part.querySelectorAll(".scroll, pre").forEach((e, i) => { if (i in scrolled) [e.scrollLeft, e.scrollTop] = scrolled[i]; });
  if (active) [...part.querySelectorAll(selector)].find((e) => nameOf(e) === name)?.focus({ preventScroll: true });
};
for (const part of document.querySelectorAll("[data-live]")) {
  let last = null;
  const refresh = async () => {
    if (!document.hidden && String(getSelection()) === "") {
      try {
        const response = await fetch(part.dataset.live, { signal: AbortSignal.timeout(10000) });
        if (response.status === 401) return location.reload();
        const text = response.ok ? await response.text() : last;
        if (text !== last && text !== null) {
          replacePart(part, text);
          last = text;
        }
      } catch { /* the server is unreachable: retry */ }
    }
    setTimeout(refresh, refreshInterval);
  };
  setTimeout(refresh, refreshInterval);
}

// The setup form updates its preview while the user types.
const form = document.querySelector("form[data-preview]");
if (form) {
  let timer, updating = false, changed = false;
  const showPreview = (preview) => {
    for (const [id, text] of Object.entries(preview.parts)) {
      const part = document.getElementById(id);
      const inputs = part && part.classList.contains("field-inputs"); // these change while they have the same text
      if (!part || part.dataset.last === text && !inputs) continue;
      const focused = part.contains(document.activeElement) ? document.activeElement.id : "";
      const open = [...part.querySelectorAll("details")].map((d) => d.open);
      part.innerHTML = text;
      part.dataset.last = text;
      part.querySelectorAll("details").forEach((d, i) => { if (i in open) d.open = open[i]; });
      if (focused) document.getElementById(focused)?.focus();
      if (inputs) form.dispatchEvent(new Event("inputs"));
    }
    for (const [id, hidden] of Object.entries(preview.hidden)) {
      const row = document.getElementById(id);
      if (row) row.hidden = hidden;
    }
  };
  // One request runs at a time, so that a slow server does not get more than it can answer.
  const updatePreview = async () => {
    changed = true;
    if (updating) return;
    updating = true;
    while (changed) {
      changed = false;
      try {
        const response = await fetch(form.dataset.preview, { method: "POST", body: new URLSearchParams(new FormData(form)), signal: AbortSignal.timeout(10000) });
        const preview = response.ok ? await response.json() : null;
        if (preview && !changed) showPreview(preview);
      } catch { // the server is slow or unreachable: retry
        changed = true;
        await new Promise((resolve) => { setTimeout(resolve, refreshInterval); });
      }
    }
    updating = false;
  };
  form.addEventListener("input", (e) => {
    // Typing into a field with the default mapping switches it to a path or a fixed value.
    const from = e.target.closest(".from");
    if (from && e.target.tagName !== "SELECT") {
      const mode = from.querySelector("select");
      if (mode.value === "default") mode.value = e.target.value.startsWith("$.") ? "path" : "text";
    }
    clearTimeout(timer);
    timer = setTimeout(updatePreview, 250);
  });
}

// A value of the sample's tree fills the field that had the focus last.
let target = null;
document.addEventListener("focusin", (e) => { if (e.target.matches(".from input, .from textarea, input[data-path]")) target = e.target; });
document.addEventListener("click", (e) => {
  const button = e.target.closest("[data-use]");
  if (!button) return;
  if (!target || !target.isConnected) return alert("Select a field of the form first.");
  const from = target.closest(".from");
  if (from) { const mode = from.querySelector("select"); mode.value = "path"; }
  target.value = button.dataset.use;
  target.dispatchEvent(new Event("input", { bubbles: true }));
  target.focus();
});

// Selecting a sample submits the form. Without script, the user presses the button.
for (const select of document.querySelectorAll(".pick select")) {
  const button = select.closest(".pick").querySelector("button");
  button.hidden = true;
  select.addEventListener("change", () => button.click());
}

// JSON mode replaces the single-line input with a text area.
document.addEventListener("change", (e) => {
  if (e.target.matches(".from select") && e.target.value === "json") {
    const input = e.target.parentElement.querySelector("input");
    if (!input) return;
    const area = document.createElement("textarea");
    for (const name of ["id", "name", "aria-describedby"]) area.setAttribute(name, input.getAttribute(name) || "");
    area.rows = 3;
    area.className = "code";
    area.value = input.value;
    input.replaceWith(area);
  }
});

document.addEventListener("click", async (e) => {
  const button = e.target.closest("[data-copy], [data-save]");
  if (!button) return;
  const text = document.getElementById(button.dataset.copy || button.dataset.save).textContent;
  if (button.dataset.save) {
    const link = document.createElement("a");
    link.href = URL.createObjectURL(new Blob([text], { type: "application/yaml" }));
    link.download = button.dataset.name;
    link.click();
    setTimeout(() => URL.revokeObjectURL(link.href), 1000);
    return;
  }
  let message = "Copied.";
  try { await navigator.clipboard.writeText(text); } catch { message = "The browser blocked copying. Select the text below and copy it."; }
  document.getElementById("copied").textContent = message;
});

// A checkbox with data-all selects all checkboxes with that name, and none.
for (const all of document.querySelectorAll("input[data-all]")) {
  const list = () => document.querySelectorAll(`input[name="${all.dataset.all}"]`);
  all.hidden = false;
  all.addEventListener("change", () => { for (const box of list()) box.checked = all.checked; });
  document.addEventListener("change", (e) => { if (e.target.name === all.dataset.all) all.checked = [...list()].every((box) => box.checked); });
}
