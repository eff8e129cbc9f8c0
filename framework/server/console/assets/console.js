"use strict";

// Parts that change by themselves are asked for again every two seconds, while somebody can see the page.
const pause = 2000;
for (const part of document.querySelectorAll("[data-live]")) {
  let last = null;
  const again = async () => {
    if (!document.hidden && !part.contains(document.activeElement) && String(getSelection()) === "") {
      try {
        const answer = await fetch(part.dataset.live, { signal: AbortSignal.timeout(10000) });
        if (answer.status === 401) return location.reload();
        const text = answer.ok ? await answer.text() : last;
        if (text !== last && text !== null && !part.contains(document.activeElement)) {
          const open = [...part.querySelectorAll("details")].map((d) => d.open);
          part.innerHTML = text;
          part.querySelectorAll("details").forEach((d, i) => { if (i in open) d.open = open[i]; });
          last = text;
        }
      } catch { /* the server is away: ask again */ }
    }
    setTimeout(again, pause);
  };
  setTimeout(again, pause);
}

// What a form becomes is shown while somebody types.
const form = document.querySelector("form[data-preview]");
if (form) {
  let timer, asked = 0;
  const show = async () => {
    const mine = ++asked;
    try {
      const answer = await fetch(form.dataset.preview, { method: "POST", body: new URLSearchParams(new FormData(form)), signal: AbortSignal.timeout(10000) });
      if (!answer.ok || mine !== asked) return;
      const said = await answer.json();
      if (mine !== asked) return;
      for (const [id, text] of Object.entries(said.parts)) {
        const part = document.getElementById(id);
        if (!part || part.dataset.last === text) continue;
        const open = [...part.querySelectorAll("details")].map((d) => d.open);
        part.innerHTML = text;
        part.dataset.last = text;
        part.querySelectorAll("details").forEach((d, i) => { if (i in open) d.open = open[i]; });
      }
      for (const [id, hidden] of Object.entries(said.hidden)) {
        const row = document.getElementById(id);
        if (row) row.hidden = hidden;
      }
    } catch { /* the next key asks again */ }
  };
  form.addEventListener("input", (e) => {
    // A field that is typed into is mapped by what is typed.
    const from = e.target.closest(".from");
    if (from && e.target.tagName !== "SELECT") {
      const mode = from.querySelector("select");
      if (mode.value === "default") mode.value = e.target.value.startsWith("$.") ? "path" : "text";
    }
    clearTimeout(timer);
    timer = setTimeout(show, 250);
  });
}

// A chosen sample is taken at once; without script there is a button.
for (const select of document.querySelectorAll(".pick select")) {
  const button = select.closest(".pick").querySelector("button");
  button.hidden = true;
  select.addEventListener("change", () => button.click());
}

// A field's JSON needs room.
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
  let said = "Copied.";
  try { await navigator.clipboard.writeText(text); } catch { said = "This browser does not let the page copy: select the text below."; }
  document.getElementById("copied").textContent = said;
});
