// A box of messages: what is unchanged stays as it is, and who reads the end goes on reading the end.

import { el } from "/mrkdwn.js";

const feeds = new WeakMap();

// `told(atEnd)` hears whether the newest is in sight.
export function following(box, told) {
  const feed = { follow: true, top: 0, drawn: new Map(), open: new Set(), told };
  feeds.set(box, feed);
  box.addEventListener("scroll", () => {
    const atEnd = box.scrollHeight - box.scrollTop - box.clientHeight < 60;
    // What grows below (a picture that comes late) is no reading upwards.
    if (atEnd) feed.follow = true;
    else if (box.scrollTop < feed.top) feed.follow = false;
    feed.top = box.scrollTop;
    told(feed.follow);
  });
  box.addEventListener("load", () => settle(box, feed), true);
  new ResizeObserver(() => settle(box, feed)).observe(box);
}

export function toEnd(box) {
  const feed = feeds.get(box);
  feed.follow = true;
  settle(box, feed);
}

function settle(box, feed) {
  if (feed.follow) box.scrollTop = box.scrollHeight;
  feed.told(feed.follow);
}

// Shows `[key, stamp, draw]`s in their order; of the same key and stamp is what stands there already.
export function fill(box, list) {
  const feed = feeds.get(box);
  const drawn = new Map();
  const fresh = [];
  for (const [key, stamp, draw] of list) {
    let one = feed.drawn.get(key);
    // A menu that is open must not be taken from under the finger.
    const held = document.activeElement?.tagName === "SELECT" && one?.node.contains(document.activeElement);
    if (!one || (one.stamp !== stamp && !held)) {
      one = { stamp, node: draw() };
      fresh.push([key, one.node]);
    }
    drawn.set(key, one);
  }
  feed.drawn = drawn;
  const nodes = [...drawn.values()].map((one) => one.node);
  const wanted = new Set(nodes);
  for (const old of [...box.children]) if (!wanted.has(old)) old.remove();
  nodes.forEach((node, at) => { if (box.children[at] !== node) box.insertBefore(node, box.children[at] ?? null); });
  for (const [key, node] of fresh) fold(feed, key, node);
  settle(box, feed);
}

// Long logs, tables and texts show their beginning; a press shows the rest.
function fold(feed, key, node) {
  node.querySelectorAll("pre, .section > .words:not(:has(pre))").forEach((long, at) => {
    const name = key + " " + at;
    const fits = long.scrollHeight <= long.clientHeight + 24;
    if (fits || feed.open.has(name)) return void long.classList.add("open");
    long.classList.add("folded");
    const show = (event) => {
      feed.open.add(name);
      long.classList.replace("folded", "open");
      event.target.remove();
    };
    long.after(el("button", { type: "button", className: "link", data: { testid: "more" }, on: { click: show } }, "Show more"));
  });
}
