// The simulated treasury stack beside the chat: how it is, and faults to put in.

import { el, mrkdwn } from "/mrkdwn.js";

const panel = document.getElementById("panel");
const toggle = document.getElementById("panel-toggle");

let names = null;

export async function panelStart(known, about) {
  names = known;
  sending(about.alerts);
  if (!(await refresh())) return;
  toggle.hidden = false;
  panel.hidden = innerWidth < 1100;
  toggle.addEventListener("click", () => { panel.hidden = !panel.hidden; });
  setInterval(() => { if (!panel.hidden && !document.hidden) refresh(); }, 1000);
}

// How an alert is sent to the bot from a terminal.
function sending(alerts) {
  if (!alerts) return;
  document.getElementById("alert-token").textContent = alerts.token;
  document.getElementById("alert-line").textContent = alerts.line;
  document.getElementById("alert-copy").addEventListener("click", () => navigator.clipboard.writeText(alerts.line));
  document.getElementById("alert").hidden = false;
}

async function refresh() {
  const answer = await fetch("/stack").catch(() => null);
  if (!answer?.ok) return false;
  draw(await answer.json());
  return true;
}

function draw(stack) {
  document.getElementById("services").replaceChildren(...stack.services.map(service));
  const active = new Set(stack.faults.map((fault) => fault.fault));
  const list = document.getElementById("faults");
  // Rebuilt only when something changed: a switch under the finger must not jump.
  const state = JSON.stringify([...active]);
  if (list.dataset.state === state) return;
  list.dataset.state = state;
  list.replaceChildren(...stack.available.map((fault) =>
    el("label", { className: "fault", title: fault.description.replaceAll("`", "") },
      el("input", {
        type: "checkbox",
        checked: active.has(fault.fault),
        data: { testid: "fault", fault: fault.fault },
        on: { change: (event) => set(fault.fault, event.target.checked) },
      }),
      el("span", {}, el("strong", {}, fault.title), el("small", {}, mrkdwn(fault.description, names))))));
}

async function set(fault, on) {
  await fetch("/stack/faults", {
    method: "POST",
    headers: { "content-type": "application/json" },
    body: JSON.stringify({ fault, on }),
  });
  refresh();
}

function service(one) {
  const facts = [`p95 ${Math.round(one.p95_ms)} ms`, `${one.error_percent.toFixed(1)} % errors`];
  if (one.connections) facts.push(`${one.connections.used}/${one.connections.max} connections`);
  if (one.hit_percent !== null) facts.push(`${Math.round(one.hit_percent)} % cache hits`);
  const well = one.replicas.filter((replica) => replica.state === "running" && replica.health !== "unhealthy").length;
  return el("article", {},
    el("h3", {}, el("span", { className: "dot " + (well === one.replicas.length ? "good" : well ? "fair" : "bad") }), one.name,
      el("small", {}, facts.join(" · "))),
    one.replicas.map((replica) =>
      el("div", { className: "replica" },
        el("span", {}, replica.name.replace(/^treasury-/, "")),
        el("meter", { min: 0, max: 100, low: 75, high: 90, optimum: 10, value: replica.memory_percent, title: `memory ${Math.round(replica.memory_percent)} %` }),
        el("small", {}, `${Math.round(replica.memory_percent)} % mem · ${replica.state === "running" ? replica.health : replica.state}${replica.oom_killed ? " · OOM" : ""}`))));
}
