"use strict";

// A form with data-draft keeps what is typed in this browser, so that it survives a reload, Back and a restart of the server. Passwords are
// never kept. The draft ends when the form is saved.
for (const form of document.querySelectorAll("form[data-draft]")) {
  const key = "landfall-draft:" + location.pathname + ":" + form.dataset.draft;
  const fields = () => [...form.elements].filter((e) => e.name && !["hidden", "password", "submit", "button"].includes(e.type));
  const read = () => JSON.stringify(fields().map((e) => [e.name, e.value, e.checked === true]));
  const shown = read();
  let submitting = false;
  // Says that the form differs from what is saved, and offers to discard the difference.
  const showRestored = () => {
    const note = document.createElement("p");
    note.className = "note";
    note.setAttribute("role", "status");
    const discard = document.createElement("button");
    discard.type = "button";
    discard.textContent = "Discard changes";
    discard.addEventListener("click", () => { submitting = true; sessionStorage.removeItem(key); location.reload(); });
    note.append("The changes that you had not saved are in the form again. ", discard);
    form.prepend(note);
  };
  try {
    const saved = JSON.parse(sessionStorage.getItem(key) || "null");
    if (saved && saved.base === shown) {
      const values = new Map();
      for (const v of JSON.parse(saved.now)) values.set(v[0], [...(values.get(v[0]) || []), v]);
      // Inputs that the form does not have yet get their values when they appear.
      const restore = () => {
        let found = false;
        for (const e of fields()) {
          const v = values.get(e.name)?.shift();
          if (!v) continue;
          found = true;
          if (e.type === "checkbox" || e.type === "radio") e.checked = v[2]; else e.value = v[1];
        }
        if (found) form.dispatchEvent(new Event("input", { bubbles: true }));
      };
      form.addEventListener("inputs", restore);
      restore();
      showRestored();
    }
  } catch { /* a damaged draft is not used */ }
  // A form with data-ask asks before it is left with changes.
  form.addEventListener("submit", () => { submitting = true; });
  addEventListener("pageshow", () => { submitting = false; });
  if (form.dataset.ask) addEventListener("beforeunload", (e) => {
    if (!submitting && (form.dataset.ask === "changed" || read() !== shown)) e.preventDefault();
  });
  form.addEventListener("input", () => {
    const now = read();
    try { now === shown ? sessionStorage.removeItem(key) : sessionStorage.setItem(key, JSON.stringify({ base: shown, now })); } catch { /* no room: no draft */ }
  });
}
