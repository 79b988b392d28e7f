// Block Kit as DOM nodes. `act(kind, control, value)` tells what was pressed or chosen.

import { el, mrkdwn } from "/mrkdwn.js";

export function blocks(list, names, act) {
  return list.map((block) => {
    const draw = BLOCKS[block.type];
    return draw ? draw(block, names, act) : el("p", { className: "unknown" }, `(${block.type} block)`);
  });
}

function words(text, names) {
  if (!text) return "";
  return text.type === "plain_text" ? text.text : mrkdwn(text.text, names);
}

const BLOCKS = {
  section: (block, names, act) =>
    el("div", { className: "section" },
      block.text ? el("div", { className: "words" }, words(block.text, names)) : null,
      block.fields
        ? el("div", { className: "fields" }, block.fields.map((field) => el("div", {}, words(field, names))))
        : null,
      block.accessory ? element(block.accessory, names, act) : null),
  header: (block) => el("h3", {}, block.text.text),
  divider: () => el("hr"),
  context: (block, names) =>
    el("div", { className: "context" },
      block.elements.map((item) => (item.type === "image" ? item.alt_text : el("span", {}, words(item, names))))),
  actions: (block, names, act) =>
    el("div", { className: "actions" }, block.elements.map((item) => element(item, names, act))),
  image: (block) => el("p", {}, el("a", { href: block.image_url, rel: "noopener noreferrer", target: "_blank" }, block.alt_text)),
  rich_text: (block, names) => el("p", {}, plain(block, names)),
  markdown: (block, names) => el("div", {}, mrkdwn(block.text, names)),
  input: (block, names) =>
    el("label", { className: "input" }, el("span", {}, words(block.label, names)), field(block.element, block.block_id),
      block.hint ? el("small", {}, words(block.hint, names)) : null),
};

function plain(node, names) {
  switch (node.type) {
    case "user": return "@" + names.person(node.user_id);
    case "channel": return "#" + (names.channel(node.channel_id) ?? node.channel_id);
    case "usergroup": return "@" + node.usergroup_id;
    case "broadcast": return "@" + node.range;
    default: return node.text ?? node.url ?? (node.elements ?? []).map((part) => plain(part, names)).join("");
  }
}

function element(item, names, act) {
  switch (item.type) {
    case "button":
      return el("button", {
        type: "button",
        className: item.style ?? "",
        data: { testid: "button", label: item.text.text, action: item.action_id },
        on: { click: () => (item.confirm ? ask(item.confirm, names, () => act("click", item.action_id)) : act("click", item.action_id)) },
      }, item.text.text);
    case "static_select":
    case "overflow":
      return choice(item, item.options ?? item.option_groups?.flatMap((group) => group.options) ?? [], act);
    case "users_select":
      return choice(item, names.people().map((person) => ({ value: person.id, text: { text: "@" + person.name } })), act);
    default:
      return el("span", { className: "unknown" }, `(${item.type})`);
  }
}

function choice(item, options, act) {
  const first = el("option", { value: "", disabled: true, selected: true }, item.placeholder?.text ?? "…");
  return el("select", {
    "aria-label": item.placeholder?.text ?? "Choose",
    data: { testid: "select", action: item.action_id },
    on: { change: (event) => act("select", item.action_id, event.target.value) },
  }, first, options.map((option) => el("option", { value: option.value }, option.text.text)));
}

// Slack's confirmation dialog.
export function ask(confirm, names, yes) {
  const dialog = document.getElementById("ask");
  const close = () => dialog.close();
  dialog.replaceChildren(
    el("h2", {}, confirm.title.text),
    el("div", {}, words(confirm.text, names)),
    el("div", { className: "actions" },
      el("button", { type: "button", on: { click: close } }, confirm.deny?.text ?? "Cancel"),
      el("button", { type: "button", className: confirm.style ?? "primary", on: { click: () => { close(); yes(); } } },
        confirm.confirm?.text ?? "Yes")));
  dialog.showModal();
}

function field(item, block) {
  const data = { block, action: item.action_id };
  switch (item.type) {
    case "plain_text_input":
      return el(item.multiline ? "textarea" : "input", { value: item.initial_value ?? "", placeholder: item.placeholder?.text ?? "", data });
    case "static_select":
    case "radio_buttons":
      return el("select", { data }, (item.options ?? []).map((option) => el("option", { value: option.value }, option.text.text)));
    case "datepicker":
      return el("input", { type: "date", value: item.initial_date ?? "", data });
    case "checkboxes":
      return el("span", { data: { ...data, many: "1" } }, (item.options ?? []).map((option) =>
        el("label", {}, el("input", { type: "checkbox", value: option.value }), option.text.text)));
    default:
      return el("span", { className: "unknown" }, `(${item.type})`);
  }
}

// What a modal's fields hold, by block id.
export function values(form) {
  const out = {};
  for (const node of form.querySelectorAll("[data-block]")) {
    out[node.dataset.block] = node.dataset.many
      ? [...node.querySelectorAll(":checked")].map((box) => box.value)
      : node.value;
  }
  return out;
}
