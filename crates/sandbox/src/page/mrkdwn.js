// Slack's mrkdwn as DOM nodes. Text only ever becomes text nodes.

const EMOJI = {
  white_check_mark: "✅", x: "❌", warning: "⚠️", hourglass_flowing_sand: "⏳", question: "❓",
  large_green_circle: "🟢", red_circle: "🔴", large_yellow_circle: "🟡", rocket: "🚀", memo: "📝",
  rotating_light: "🚨", fire: "🔥", eyes: "👀", "+1": "👍", tada: "🎉",
};

export function el(tag, props = {}, ...children) {
  const node = document.createElement(tag);
  for (const [name, value] of Object.entries(props)) {
    if (name === "on") for (const [event, handler] of Object.entries(value)) node.addEventListener(event, handler);
    else if (name === "data") Object.assign(node.dataset, value);
    else if (name in node && name !== "list") node[name] = value;
    else node.setAttribute(name, value);
  }
  node.append(...children.flat().filter((child) => child !== null && child !== undefined));
  return node;
}

export function decode(text) {
  return text.replace(/&lt;/g, "<").replace(/&gt;/g, ">").replace(/&amp;/g, "&");
}

// `names` finds people and channels by id.
export function mrkdwn(text, names) {
  const out = document.createDocumentFragment();
  text.split(/```/).forEach((part, index) => {
    if (index % 2) out.append(el("pre", {}, el("code", {}, decode(part.replace(/^\n|\n$/g, "")))));
    else lines(part, names, out);
  });
  return out;
}

function lines(text, names, out) {
  text.split("\n").forEach((line, index, all) => {
    if (line.startsWith("&gt; ") || line === "&gt;") {
      const quote = el("blockquote");
      inline(line.slice(5), names, quote);
      out.append(quote);
      return;
    }
    inline(line, names, out);
    if (index < all.length - 1) out.append(el("br"));
  });
}

const TOKEN = /`([^`\n]+)`|<([^<>\n]+)>|:([a-z0-9_+-]+):|(^|[\s(.,:;“"'])([*_~])(?=\S)([^\n]*?\S)\5(?=$|[\s).,:;!?”"'])/;

function inline(text, names, out) {
  let rest = text;
  for (;;) {
    const found = TOKEN.exec(rest);
    if (!found) break;
    out.append(decode(rest.slice(0, found.index)));
    const [all, code, angle, emoji, before, mark, inside] = found;
    if (code !== undefined) out.append(el("code", {}, decode(code)));
    else if (angle !== undefined) out.append(special(angle, names));
    else if (emoji !== undefined) out.append(EMOJI[emoji] ?? all);
    else {
      out.append(decode(before));
      const node = el({ "*": "strong", _: "em", "~": "s" }[mark]);
      inline(inside, names, node);
      out.append(node);
    }
    rest = rest.slice(found.index + all.length);
  }
  out.append(decode(rest));
}

function special(body, names) {
  const [target, label] = body.split("|");
  if (target.startsWith("@")) return el("span", { className: "mention" }, "@" + names.person(target.slice(1)));
  if (target.startsWith("#")) {
    const name = names.channel(target.slice(1)) ?? label ?? target.slice(1);
    return el("a", { className: "mention", href: "#" + target.slice(1) }, "#" + name);
  }
  if (target.startsWith("!date^")) {
    const at = new Date(Number(target.split("^")[1]) * 1000);
    return el("time", { title: label ?? "" }, at.toLocaleString([], { month: "short", day: "numeric", hour: "2-digit", minute: "2-digit", second: "2-digit", hourCycle: "h23" }));
  }
  if (target.startsWith("!")) return el("span", { className: "mention" }, label ?? "@" + target.slice(1));
  if (/^(https?|mailto):/.test(target)) {
    return el("a", { href: decode(target), rel: "noopener noreferrer", target: "_blank" }, decode(label ?? target));
  }
  return decode(body);
}
