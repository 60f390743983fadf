// The little window beside a token: its probability and the ten likeliest tokens in its place.

import { element, isSpecial, percent, visible } from "./tokens.js";

const LEAVE_MS = 250;

export class Alternatives {
  #window = document.getElementById("alternatives");
  #token = null;
  #leaving = 0;

  /** `find(span)` gives { token, branch }, and branch(alternative) is missing if it cannot be. */
  constructor(root, find, shown) {
    this.find = find;
    this.shown = shown;
    root.addEventListener("pointerover", (event) => this.#enter(event.target));
    root.addEventListener("pointerout", () => this.#leave());
    root.addEventListener("focusin", (event) => this.#enter(event.target));
    root.addEventListener("keydown", (event) => this.#move(event));
    this.#window.addEventListener("pointerover", () => clearTimeout(this.#leaving));
    this.#window.addEventListener("pointerout", () => this.#leave());
    this.#window.addEventListener("keydown", (event) => this.#choose(event));
    document.addEventListener("focusin", (event) => {
      if (!this.#window.contains(event.target) && !event.target.closest(".token")) this.close();
    });
    document.addEventListener("pointerdown", (event) => {
      if (!this.#window.contains(event.target) && !event.target.closest(".token")) this.close();
    });
  }

  /** Whether it was open. */
  close() {
    const open = !this.#window.hidden;
    clearTimeout(this.#leaving);
    this.#window.hidden = true;
    this.#token?.removeAttribute("aria-describedby");
    this.#token?.classList.remove("shown");
    return open;
  }

  #enter(target) {
    const span = target.closest?.(".token");
    if (!span) return;
    clearTimeout(this.#leaving);
    if (span === this.#token && !this.#window.hidden) return;
    this.#show(span);
  }

  #leave() {
    clearTimeout(this.#leaving);
    this.#leaving = setTimeout(() => {
      const inside = this.#window.contains(document.activeElement);
      if (!inside && document.activeElement !== this.#token) this.close();
    }, LEAVE_MS);
  }

  #show(span) {
    const found = this.find(span);
    if (!found || found.token.logprob == null) return;
    this.close();
    this.#token = span;
    this.#fill(found);
    this.#window.hidden = false;
    span.classList.add("shown");
    span.setAttribute("aria-describedby", "alternatives-head");
    this.#place(span);
    this.shown(found.token);
  }

  #fill({ token, branch }) {
    const head = element("p", { id: "alternatives-head", class: "head" });
    head.append(
      element("bdi", { text: visible(token.text) }),
      element("strong", { text: percent(Math.exp(token.logprob)) }),
    );
    const list = element("ul");
    for (const [text, logprob] of token.top) {
      const share = Math.exp(logprob);
      const row = element(
        "button",
        { type: "button", disabled: !branch || unreadable(text), "aria-current": text === token.text && "true" },
        element("bdi", { text: visible(text) }),
        element("span", { class: "bar", "aria-hidden": "true" }),
        element("span", { class: "share", text: percent(share) }),
      );
      row.querySelector(".bar").style.setProperty("--share", share);
      row.addEventListener("click", () => {
        this.close();
        branch({ text, logprob, top: token.top });
      });
      list.append(element("li", {}, row));
    }
    const note = branch ? "Choose one to continue from it." : "";
    this.#window.replaceChildren(head, list, element("p", { class: "note", text: noteOf(token, note) }));
  }

  #place(span) {
    const at = span.getClientRects()[0] || span.getBoundingClientRect();
    const { offsetWidth: width, offsetHeight: height } = this.#window;
    const room = document.documentElement.clientWidth;
    const left = Math.max(8, Math.min(at.left, room - width - 8));
    const below = at.bottom + 6 + height < window.innerHeight || at.top < height + 6;
    this.#window.style.left = `${left + window.scrollX}px`;
    this.#window.style.top = `${(below ? at.bottom + 6 : at.top - height - 6) + window.scrollY}px`;
  }

  /** Arrow keys go from token to token, in the direction in which the paragraph is read. */
  #move(event) {
    const span = event.target.closest(".token");
    if (!span) return;
    if (event.key === "Enter" || event.key === "ArrowDown") {
      event.preventDefault();
      this.#show(span);
      this.#rows()[0]?.focus();
      return;
    }
    const turn = { ArrowRight: 1, ArrowLeft: -1, Home: -Infinity, End: Infinity }[event.key];
    if (!turn) return;
    event.preventDefault();
    const all = [...span.closest(".text").querySelectorAll(".token")];
    const rtl = getComputedStyle(span).direction === "rtl" && Number.isFinite(turn);
    const wanted = all.indexOf(span) + (rtl ? -turn : turn);
    const next = all[Math.max(0, Math.min(all.length - 1, wanted))];
    span.tabIndex = -1;
    next.tabIndex = 0;
    next.focus();
  }

  #choose(event) {
    const rows = this.#rows();
    const at = rows.indexOf(document.activeElement);
    if (event.key === "Escape") {
      event.preventDefault();
      event.stopPropagation();
      this.#token?.focus();
      this.close();
    } else if (event.key === "ArrowDown" || event.key === "ArrowUp") {
      event.preventDefault();
      const turn = event.key === "ArrowDown" ? 1 : -1;
      rows[(at + turn + rows.length) % rows.length]?.focus();
    } else if (event.key === "Tab") {
      this.#token?.focus();
    }
  }

  #rows() {
    return [...this.#window.querySelectorAll("button:not(:disabled)")];
  }
}

/** Whether a token is part of a letter only or no text, so that nothing can continue from it. */
function unreadable(text) {
  return !text || text.includes("\ufffd") || text.startsWith("bytes:") || isSpecial(text);
}

function noteOf(token, note) {
  if (!token.top.length) return "Several tokens make up this character.";
  if (token.picked) return "You chose this one.";
  const among = token.top.some(([text]) => text === token.text);
  return among ? note : `An unlikely draw: it is not among the ${token.top.length} likeliest. ${note}`;
}
