"use strict";
/* Chapters are drawn when they come near the screen, so that a large model opens at once. */
(() => {
  const pending = new Map();
  function drawNow(section) {
    const values = pending.get(section);
    if (!values) return;
    pending.delete(section);
    const name = section.id;
    draw[name](document.getElementById(`${name}-picture`), values);
    section.dataset.drawn = "true";
  }
  const near = new IntersectionObserver((entries) => entries.forEach((entry) => {
    if (entry.isIntersecting) drawNow(entry.target);
  }), { rootMargin: "800px" });
  const links = new Map([...document.querySelectorAll("nav a")].map((link) => [link.hash.slice(1), link]));
  const read = new IntersectionObserver((entries) => entries.forEach((entry) => {
    const link = links.get(entry.target.id);
    if (entry.isIntersecting) {
      links.forEach((other) => other.removeAttribute("aria-current"));
      link.setAttribute("aria-current", "true");
      link.parentElement.parentElement.scrollTo({ left: link.offsetLeft - 60 });
    }
  }), { rootMargin: "-20% 0px -70% 0px" });
  for (const [name, values] of Object.entries(DATA.chapters)) {
    const section = document.getElementById(name);
    pending.set(section, values);
    near.observe(section);
    read.observe(section);
  }
  addEventListener("beforeprint", () => [...pending.keys()].forEach(drawNow));
})();
