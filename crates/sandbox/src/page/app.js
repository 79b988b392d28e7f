// The chat: state from the sandbox, of which only what is new is loaded and drawn.

import { el, mrkdwn } from "/mrkdwn.js";
import { blocks, values } from "/blocks.js";
import { panelStart } from "/panel.js";
import { fill, following, toEnd } from "/feed.js";

const $ = (id) => document.getElementById(id);
// What the demo tells of the bot behind the page: its commands, its address for alerts.
const about = await fetch("/about.json").then((answer) => answer.json()).catch(() => ({}));
const EXAMPLES = ["/treasury", "/treasury status", "/treasury restart frontend",
  "/treasury incident declare Frontend is slow --service frontend"];

let state = null;
let who = sessionStorage.getItem("who") ?? "ana";
let channel = null;
let thread = null;
const seen = JSON.parse(sessionStorage.getItem("seen") ?? "{}");
const history = [];
let recall = 0;

const names = {
  person: (id) => state.people.find((p) => p.id === id)?.name ?? (id === state.bot.user_id ? state.bot.name : id),
  channel: (id) => state.channels.find((c) => c.id === id)?.name,
  people: () => state.people,
};

async function post(path, body) {
  const answer = await fetch("/sandbox/" + path, {
    method: "POST",
    headers: { "content-type": "application/json" },
    body: JSON.stringify({ person: who, ...body }),
  });
  const told = await answer.json().catch(() => ({}));
  if (!answer.ok) complain(told.error ?? `the sandbox answered ${answer.status}`);
  return told;
}

function complain(text) {
  $("private").textContent = text;
  $("private").hidden = false;
}

let loading = null;
let again = false;

// One load at a time; what changes meanwhile is loaded after it.
function load() {
  again = true;
  loading ??= (async () => {
    while (again) {
      again = false;
      await fetchNew().catch(() => complain("The demo has ended"));
    }
    loading = null;
  })();
  return loading;
}

async function fetchNew() {
  const person = who;
  const had = state?.person === person ? state : null;
  const query = new URLSearchParams({ person });
  if (had) {
    query.set("since", had.as_of);
    query.set("known", had.channels.map((c) => c.id).join());
  }
  const now = await (await fetch("/sandbox/state?" + query)).json();
  if (person !== who) return void (again = true);
  for (const c of now.channels) {
    const before = had?.channels.find((one) => one.id === c.id);
    const all = new Map((before?.messages ?? []).map((m) => [m.ts, m]));
    for (const ts of c.gone) all.delete(ts);
    for (const m of c.messages) all.set(m.ts, m);
    c.messages = [...all.values()].sort((a, b) => (a.ts < b.ts ? -1 : 1)).slice(-500);
  }
  state = { ...now, person };
  draw();
}

function draw() {
  const home = state.channels.find((c) => c.name === "treasury-incidents") ?? state.channels[0];
  const wanted = location.hash.slice(1);
  channel = state.channels.find((c) => c.id === (wanted || channel?.id)) ?? home;
  drawSide();
  $("title").textContent = "#" + channel.name;
  $("topic").textContent = channel.topic || (channel.bot_is_member ? "" : "The bot is not a member here");
  document.title = `#${channel.name} – Treasury`;
  // The topic stands above already.
  const shown = channel.messages.filter((m) => m.subtype !== "channel_topic" && (!m.thread_ts || m.thread_ts === m.ts || m.broadcast));
  fill($("messages"), shown.length ? messages(shown) : [["empty", channel.id, empty]]);
  drawThread();
  drawModal();
  if (!document.hidden) {
    seen[channel.id] = channel.messages.at(-1)?.ts ?? "";
    sessionStorage.setItem("seen", JSON.stringify(seen));
  }
}

function drawSide() {
  $("channels").replaceChildren(...state.channels.map((c) => {
    const unread = c.id !== channel.id && c.messages.some((m) => m.ts > (seen[c.id] ?? "") && !m.subtype);
    const name = c.kind === "direct" ? state.bot.name : c.name;
    return el("a", {
      href: "#" + c.id, data: { testid: "channel", name: c.name },
      className: (c.id === channel.id ? "here " : "") + (unread ? "unread" : ""),
      on: { click: () => document.body.classList.remove("side") },
    }, (c.kind === "direct" ? "" : "# ") + name);
  }));
  if ($("who").children.length !== state.people.length) {
    $("who").replaceChildren(...state.people.map((p) =>
      el("option", { value: p.name, selected: p.name === who }, `${p.real_name} – ${p.title}`)));
  }
}

// What is to be seen, as `fill` takes it: a key, a stamp that differs when it has to be drawn anew, and
// how it is drawn.
function messages(list) {
  const out = [];
  let before = null;
  for (const message of list) {
    const day = new Date(Number(message.ts) * 1000).toDateString();
    if (!before || before.day !== day) out.push(["day " + day, day, () => el("div", { className: "day" }, day)]);
    const last = before;
    const replies = channel.messages.filter((m) => m.thread_ts === message.ts && m.ts !== message.ts).length;
    const stamp = [who, message.changed, last?.user, last?.plain, replies, state.channels.length].join();
    out.push([channel.id + message.ts, stamp, () => draft(message, last, replies)]);
    before = { day, user: message.user, at: Number(message.ts), plain: Boolean(message.subtype) };
  }
  return out;
}

function draft(message, before, replies) {
  const name = names.person(message.user);
  const at = new Date(Number(message.ts) * 1000);
  if (message.subtype) {
    return el("div", { className: "event" }, mrkdwn(message.text, names));
  }
  const same = before && !before.plain && before.user === message.user && Number(message.ts) - before.at < 120 && !message.visible_to;
  return el("article", {
    className: "message" + (same ? " same" : "") + (message.visible_to ? " ephemeral" : ""),
    data: { testid: "message", ts: message.ts },
  },
    el("div", { className: "avatar" + (message.by_bot ? " bot" : "") }, name.slice(0, 2)),
    el("div", { className: "body" },
      message.visible_to ? el("div", { className: "only" }, "👁 Only visible to you") : null,
      el("div", { className: "by" }, el("strong", {}, name), message.by_bot ? el("span", { className: "app" }, "APP") : null,
        el("time", { title: at.toLocaleString() }, at.toLocaleTimeString([], { hour: "2-digit", minute: "2-digit", hourCycle: "h23" })),
        message.edited ? el("small", {}, "(edited)") : null),
      content(message),
      message.files.map(file),
      message.reactions.length ? el("div", { className: "actions" }, message.reactions.map((r) => el("span", { className: "reaction" }, `:${r.name}: ${r.users.length}`))) : null,
      el("div", { className: "thread-bar" + (replies ? "" : " none") },
        el("button", { type: "button", className: "link", on: { click: () => { thread = message.thread_ts ?? message.ts; drawThread(); } } },
          replies ? `${replies} ${replies === 1 ? "reply" : "replies"}` : message.visible_to ? "" : "Reply"))));
}

function content(message) {
  const act = (kind, control, value) => post(kind, { channel: message.channel, ts: message.ts, control, value });
  const parts = message.blocks.length ? blocks(message.blocks, names, act) : message.text ? [el("div", { className: "words" }, mrkdwn(message.text, names))] : [];
  for (const attachment of message.attachments) {
    const box = el("div", { className: "attachment" }, blocks(attachment.blocks ?? [], names, act), attachment.text ? mrkdwn(attachment.text, names) : null);
    if (/^#?[0-9a-f]{6}$/i.test(attachment.color ?? "")) box.style.borderColor = "#" + attachment.color.replace("#", "");
    parts.push(box);
  }
  return el("div", { className: "content" }, parts);
}

function file(one) {
  if (one.mimetype === "image/png") {
    return el("div", { className: "file" },
      el("a", { href: "/sandbox/files/" + one.id, download: one.name }, el("img", { src: "/sandbox/files/" + one.id, alt: one.alt_txt })),
      el("small", {}, one.name));
  }
  const preview = el("pre", { hidden: true });
  const show = async () => {
    if (preview.hidden && !preview.textContent) {
      const text = await (await fetch("/sandbox/files/" + one.id)).text();
      preview.textContent = text.slice(0, 4000) + (text.length > 4000 ? "\n…" : "");
    }
    preview.hidden = !preview.hidden;
  };
  return el("div", { className: "file" },
    el("a", { href: "/sandbox/files/" + one.id, download: one.name }, "📄 " + one.name),
    el("small", {}, ` ${one.size} bytes `),
    el("button", { type: "button", className: "link", on: { click: show } }, "look"), preview);
}

function drawThread() {
  const root = thread && channel.messages.find((m) => m.ts === thread);
  $("thread").hidden = !root;
  if (root) fill($("replies"), messages([root, ...channel.messages.filter((m) => m.thread_ts === thread && m.ts !== thread)]));
}

function drawModal() {
  const view = state.views.at(-1);
  const old = document.querySelector("[data-testid=modal]");
  if (!view) return old?.remove();
  const key = view.id + view.hash + JSON.stringify(view.errors);
  if (old?.dataset.key === key) return;
  old?.remove();
  const act = (kind, control, value) => post(kind, { view_id: view.id, control, value });
  const form = el("form", { on: { submit: (event) => { event.preventDefault(); post("submit", { view_id: view.id, values: values(form) }); } } },
    el("h2", {}, view.body.title?.text ?? ""),
    blocks(view.body.blocks ?? [], names, act),
    Object.entries(view.errors).map(([block, error]) => el("p", { className: "error" }, `${block}: ${error}`)),
    el("div", { className: "actions" },
      el("button", { type: "button", on: { click: () => post("close", { view_id: view.id }) } }, view.body.close?.text ?? "Cancel"),
      view.body.submit ? el("button", { className: "primary" }, view.body.submit.text) : null));
  const dialog = el("dialog", { data: { testid: "modal", key }, on: { cancel: () => post("close", { view_id: view.id }) } }, form);
  document.body.append(dialog);
  dialog.showModal();
}

function empty() {
  return el("div", { className: "empty" },
    el("h2", {}, "Nothing has happened here yet"),
    el("p", {}, "Type a command, or try one of these:"),
    EXAMPLES.map((line) => el("button", { type: "button", on: { click: () => say(line) } }, line)));
}

async function say(line, reply = null) {
  const text = line.trim();
  if (!text) return;
  history.push(line);
  recall = history.length;
  $("private").hidden = true;
  toEnd(reply ? $("replies") : $("messages"));
  const mentioned = text.replace(/@treasury\b/g, `<@${state.bot.user_id}>`);
  const told = text.startsWith("/") && !reply
    ? await post("command", { channel: channel.id, text })
    : await post("message", { channel: channel.id, text: mentioned, thread_ts: reply });
  if (told.result?.error) complain(`${text.split(" ")[0]} failed with the error “${told.result.error}”`);
}

function composer(form, box, target) {
  const grow = () => { box.style.height = "auto"; box.style.height = Math.min(box.scrollHeight, 160) + "px"; };
  const send = () => { say(box.value, target()); box.value = ""; grow(); suggest(""); };
  form.addEventListener("submit", (event) => { event.preventDefault(); send(); });
  box.addEventListener("input", () => { grow(); if (box === $("text")) suggest(box.value); });
  box.addEventListener("keydown", (event) => {
    if (event.key === "Enter" && !event.shiftKey && !event.isComposing) { event.preventDefault(); send(); }
    if (event.key === "Escape") suggest("");
    if (event.key === "Tab" && !$("suggest").hidden) { event.preventDefault(); $("suggest").firstChild?.click(); }
    if (event.key === "ArrowUp" && (!box.value || box.value === history[recall]) && recall > 0) { box.value = history[--recall]; grow(); event.preventDefault(); }
  });
}

function suggest(text) {
  const command = state.command + " ";
  const known = (about.commands ?? []).map(([usage]) => usage);
  // The words of a usage that are typed as they stand.
  const words = (usage) => usage.split(" ").filter((word) => !/^[[<]/.test(word)).join(" ");
  let found = [];
  if (text && command.startsWith(text)) found = known.map((usage) => [command + words(usage), usage]);
  else if (text.startsWith(command)) {
    const typed = text.slice(command.length).toLowerCase();
    const begin = known.filter((usage) => words(usage).startsWith(typed));
    // While its arguments are typed, how a command goes on stays in sight.
    const within = known.filter((usage) => typed.startsWith(words(usage) + " ")).slice(-1);
    found = [...begin.map((usage) => [command + words(usage), usage]), ...within.map((usage) => [text, usage])];
  } else if (/(^|\s)@\w*$/.test(text)) {
    const [, start, part] = /^(.*(?:^|\s))@(\w*)$/s.exec(text);
    found = [state.bot.name, ...state.people.map((p) => p.name)].filter((n) => n.startsWith(part)).map((n) => [`${start}@${n}`, "@" + n]);
  }
  $("suggest").hidden = !found.length;
  $("suggest").replaceChildren(...found.map(([line, usage]) => el("button", {
    type: "button", role: "option", data: { testid: "suggestion" },
    on: { click: () => {
      if (line !== text) $("text").value = line + " ";
      $("text").focus();
      suggest($("text").value);
    } },
  }, usage, el("small", {}, (about.commands ?? []).find(([one]) => one === usage)?.[1] ?? ""))));
}

composer($("compose"), $("text"), () => null);
composer($("reply"), $("reply-text"), () => thread);
$("who").addEventListener("change", (event) => { who = event.target.value; sessionStorage.setItem("who", who); load(); });
$("menu").addEventListener("click", () => document.body.classList.toggle("side"));
$("thread-close").addEventListener("click", () => { thread = null; drawThread(); });
addEventListener("hashchange", () => { thread = null; toEnd($("messages")); draw(); toEnd($("messages")); });
following($("messages"), (atEnd) => { $("newest").hidden = atEnd; });
following($("replies"), () => {});
$("newest").addEventListener("click", () => toEnd($("messages")));

let due = null;
new EventSource("/sandbox/events").addEventListener("message", () => {
  clearTimeout(due);
  due = setTimeout(load, 50);
});
await load();
panelStart(names, about);
