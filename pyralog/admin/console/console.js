// A read-only view of /api/v1. No library; nothing is ever put into the page but as text.
"use strict";

const REFRESH_MS = 5000, PAGE_SIZE = 200, POINTS = 60;
const main = document.getElementById("main"), state = document.getElementById("state");
let paused = false, timer = 0, turn = 0, shown = "";
const rates = new Map();

// --- making elements ---

function el(name, properties = {}, ...children) {
  const made = document.createElement(name);
  for (const [key, value] of Object.entries(properties)) {
    if (value === undefined || value === null) continue;
    if (key === "onclick" || key === "oninput") made[key] = value;
    else if (key === "class") made.className = value;
    else made.setAttribute(key, value);
  }
  made.append(...children.filter((child) => child !== null && child !== undefined));
  return made;
}

const link = (text, ...parts) => el("a", { href: "#/" + parts.map(encodeURIComponent).join("/") }, text);

// --- words and numbers ---

const count = (value) => (value === null || value === undefined ? "–" : Math.round(value).toLocaleString());

function size(value) {
  if (value === null || value === undefined) return "–";
  const units = ["B", "KiB", "MiB", "GiB", "TiB", "PiB"];
  let unit = 0;
  while (value >= 1024 && unit < units.length - 1) { value /= 1024; unit += 1; }
  return (unit === 0 ? Math.round(value) : value.toFixed(value < 10 ? 2 : 1)) + " " + units[unit];
}

function duration(ms) {
  const s = Math.floor(ms / 1000), days = Math.floor(s / 86400), hours = Math.floor(s / 3600) % 24;
  const minutes = Math.floor(s / 60) % 60;
  if (days) return `${days} d ${hours} h`;
  return hours ? `${hours} h ${minutes} min` : minutes ? `${minutes} min ${s % 60} s` : `${s} s`;
}

// Local time; UTC when the pointer rests on it.
function time(ms) {
  if (ms === null || ms === undefined || ms < 0) return "–";
  const at = new Date(ms);
  return el("time", { datetime: at.toISOString(), title: at.toISOString() }, at.toLocaleString());
}

function verdict(text) {
  const tone = { ok: "good", Stable: "good", CompleteCommit: "good", Empty: "quiet", under_replicated: "warn" }[text];
  const bad = ["failed", "offline", "under_min_isr", "Dead", "draining"].includes(text);
  return el("span", { class: tone || (bad ? "bad" : "") }, String(text).replaceAll("_", " "));
}

// --- asking ---

async function ask(path) {
  const answer = await fetch(path, { headers: { Accept: "application/json" }, cache: "no-store" });
  const found = await answer.json().catch(() => ({ error: `status ${answer.status}, and no JSON` }));
  if (!answer.ok && found.error !== undefined) throw new Error(found.error);
  return found;
}

// A rate from two totals of the same name; null at first.
function rate(name, total) {
  const now = performance.now(), known = rates.get(name) || { points: [] };
  if (known.at !== undefined && now > known.at) {
    known.points.push(Math.max(0, ((total - known.total) * 1000) / (now - known.at)));
    known.points.splice(0, known.points.length - POINTS);
  }
  rates.set(name, Object.assign(known, { at: now, total }));
  return known.points;
}

// --- parts of pages ---

function card(label, value, tone, points) {
  const made = el("div", { class: "card" }, el("b", { class: tone || "" }, value), el("span", {}, label));
  if (points && points.length > 1) made.append(spark(label, points));
  return made;
}

function spark(label, points) {
  const space = "http://www.w3.org/2000/svg", most = Math.max(...points, 1);
  const picture = document.createElementNS(space, "svg"), line = document.createElementNS(space, "path");
  picture.setAttribute("viewBox", `0 0 ${POINTS} 20`);
  picture.setAttribute("preserveAspectRatio", "none");
  picture.setAttribute("role", "img");
  picture.setAttribute("aria-label", `${label}, the last minutes`);
  const first = POINTS - points.length;
  line.setAttribute("d", points.map((y, x) => `${x ? "L" : "M"}${first + x} ${19 - (18 * y) / most}`).join(""));
  picture.append(line);
  return picture;
}

// columns: [title, value of a row to sort and filter by, what is shown (optional), "number" (optional)]
function table(name, columns, rows, empty) {
  if (!rows.length) return el("p", { class: "note" }, empty);
  const sorting = memory(`sort ${name}`, { column: 0, down: false });
  const holder = el("div", { class: "wide" });
  function draw() {
    const [, value] = columns[sorting.column] || columns[0], way = sorting.down ? -1 : 1;
    const compare = (a, b) => (typeof a === "number" && typeof b === "number" ? a - b : String(a).localeCompare(String(b), undefined, { numeric: true }));
    const sorted = [...rows].sort((a, b) => way * compare(value(a) ?? "", value(b) ?? ""));
    const heads = columns.map(([title, , , kind], column) => {
      const chosen = column === sorting.column;
      const button = el("button", { type: "button", onclick: () => { sorting.down = chosen && !sorting.down; sorting.column = column; draw(); holder.querySelectorAll("th button")[column].focus(); } }, title);
      return el("th", { scope: "col", class: kind || "", "aria-sort": chosen ? (sorting.down ? "descending" : "ascending") : "none" }, button);
    });
    const lines = sorted.map((row) => el("tr", {}, ...columns.map(([, of, show, kind]) => {
      const text = show ? show(row) : of(row);
      return el("td", { class: kind || "" }, text === null || text === undefined ? "–" : text);
    })));
    holder.replaceChildren(el("table", {}, el("thead", {}, el("tr", {}, ...heads)), el("tbody", {}, ...lines)));
  }
  draw();
  return holder;
}

// What a page remembers while it is refreshed.
const kept = new Map();
function memory(name, initial) {
  if (!kept.has(name)) kept.set(name, initial);
  return kept.get(name);
}

// A list with a filter and pages; `path` is the route of the interface.
async function list(name, path, columns, empty, options = []) {
  const view = memory(`list ${name}`, { offset: 0, filter: "" });
  for (const [key, initial] of options) if (!(key in view)) view[key] = initial;
  const extra = options.map(([key]) => `&${key}=${view[key]}`).join("");
  const found = await ask(`${path}?limit=${PAGE_SIZE}&offset=${view.offset}${extra}`);
  const place = el("div", {});
  function fill() {
    const wanted = view.filter.toLowerCase();
    const rows = found.items.filter((row) => !wanted || columns.some(([, of]) => String(of(row)).toLowerCase().includes(wanted)));
    place.replaceChildren(table(name, columns, rows, view.filter ? "Nothing on this page matches the filter." : empty));
  }
  const filter = el("input", { type: "search", id: "filter", placeholder: "Filter this page", "aria-label": "Filter this page", value: view.filter, oninput: (event) => { view.filter = event.target.value; fill(); } });
  const move = (offset) => () => { view.offset = Math.max(0, offset); refresh(); };
  const last = view.offset + found.items.length;
  const tools = el("div", { class: "tools" }, filter, el("span", { class: "quiet" }, found.total ? `${count(view.offset + 1)}–${count(last)} of ${count(found.total)}` : ""));
  if (found.total > PAGE_SIZE) {
    const back = el("button", { type: "button", onclick: move(view.offset - PAGE_SIZE) }, "Previous"), on = el("button", { type: "button", onclick: move(found.next) }, "Next");
    back.disabled = view.offset === 0;
    on.disabled = found.next === null;
    tools.append(back, on);
  }
  for (const [key, , text] of options) {
    const box = el("input", { type: "checkbox", onclick: () => { view[key] = box.checked; view.offset = 0; refresh(); } });
    box.checked = view[key];
    tools.append(el("label", {}, box, " " + text));
  }
  fill();
  return [tools, place];
}

const facts = (pairs) => el("dl", {}, ...pairs.flatMap(([term, value]) => [el("dt", {}, term), el("dd", {}, value)]));

const partitionColumns = (withTopic) => [
  ...(withTopic ? [["Topic", (row) => row.topic, (row) => link(row.topic, "topics", row.topic)]] : []),
  ["Partition", (row) => row.partition, null, "number"],
  ["State", (row) => row.state, (row) => verdict(row.state)],
  ["Leader", (row) => row.leader, null, "number"],
  ["Epoch", (row) => row.leader_epoch, null, "number"],
  ["Replicas", (row) => row.replicas.join(", ")],
  ["In sync", (row) => row.isr.join(", ")],
  ["First offset", (row) => row.log_start_offset, (row) => count(row.log_start_offset), "number"],
  ["High watermark", (row) => row.high_watermark, (row) => count(row.high_watermark), "number"],
  ["End", (row) => row.log_end_offset, (row) => count(row.log_end_offset), "number"],
  ["Size", (row) => row.size_bytes, (row) => size(row.size_bytes), "number"],
];

// --- pages ---

const pages = {
  async overview() {
    const [cluster, status] = await Promise.all([ask("/api/v1/cluster"), ask("/status")]);
    const p = cluster.partitions, dirs = status.log_dirs;
    const received = rate("received", status.traffic.received_bytes), sent = rate("sent", status.traffic.sent_bytes);
    const requests = rate("requests", status.traffic.requests), latest = (points) => (points.length ? points.at(-1) : null);
    const perSecond = (points, form) => (latest(points) === null ? "…" : `${form(latest(points))}/s`);
    const zero = (value) => [count(value), value ? "bad" : "good"];
    return ["Overview",
      el("div", { class: "cards" },
        card("This node", cluster.status, cluster.status === "ok" ? "good" : "bad"),
        card("Nodes up", `${status.brokers.filter((one) => !one.fenced).length} of ${status.brokers.length}`),
        card("Controller", cluster.controller_id < 0 ? "none" : String(cluster.controller_id), cluster.controller_id < 0 ? "bad" : ""),
        card("Partitions offline", ...zero(p.offline)),
        card("Under-replicated", ...zero(p.under_replicated)),
        card("Refusing acks=all", ...zero(p.under_min_isr)),
        card("Topics", count(cluster.topics)), card("Partitions", count(p.partitions)), card("Groups", count(cluster.groups)),
        card("Received", perSecond(received, size), "", received), card("Sent", perSecond(sent, size), "", sent),
        card("Requests", perSecond(requests, count), "", requests),
        card("Kafka connections", count(status.connections.kafka)),
        card("Running for", duration(status.uptime_ms))),
      el("h2", {}, "Nodes"),
      table("nodes", [
        ["Node", (row) => row.node_id, null, "number"], ["Address", (row) => `${row.host}:${row.port}`],
        ["Rack", (row) => row.rack], ["Role", (row) => (row.controller ? "controller" : "broker")],
        ["State", (row) => (row.fenced ? "fenced" : "ok"), (row) => verdict(row.fenced ? "offline" : "ok")]], status.brokers, "No node has registered."),
      el("h2", {}, "Log directories"),
      table("dirs", [
        ["Folder", (row) => row.path], ["State", (row) => (row.failed ? "failed" : "ok"), (row) => verdict(row.failed ? "failed" : "ok")],
        ["Free", (row) => row.free, (row) => `${size(row.free)} (${Math.round((100 * row.free) / row.total)} %)`, "number"],
        ["Total", (row) => row.total, (row) => size(row.total), "number"]], dirs, "None."),
      el("h2", {}, "What an acknowledgement means"),
      facts([["acks=1", cluster.acknowledgement.acks_1], ["acks=all", cluster.acknowledgement.acks_all],
        ["Survives power failure", cluster.acknowledgement.survives_power_failure ? "yes" : "no"],
        ["Survives lost nodes", String(cluster.acknowledgement.survives_lost_nodes)]])];
  },

  async topics(name) {
    if (name === undefined) {
      return ["Topics", ...await list("topics", "/api/v1/topics", [
        ["Topic", (row) => row.topic, (row) => link(row.topic, "topics", row.topic)],
        ["Partitions", (row) => row.partitions, (row) => count(row.partitions), "number"],
        ["Replicas", (row) => row.replication_factor, null, "number"], ["Cleanup", (row) => row.cleanup_policy],
        ["Offsets", (row) => row.offsets, (row) => count(row.offsets), "number"],
        ["Size", (row) => row.size_bytes, (row) => size(row.size_bytes), "number"],
        ["Received", (row) => row.received_bytes, (row) => size(row.received_bytes), "number"],
        ["Sent", (row) => row.sent_bytes, (row) => size(row.sent_bytes), "number"]],
        "There are no topics yet. A producer makes one, or: pyralog-admin topic create NAME", [["internal", false, "Internal topics"]])];
    }
    const path = `/api/v1/topics/${encodeURIComponent(name)}`;
    const [topic, configs] = await Promise.all([ask(path), ask(`${path}/configs`)]);
    const groups = topic.groups.flatMap((group, n) => [n ? ", " : "", link(group, "groups", group)]);
    return [name,
      facts([["Id", topic.topic_id], ["Size", size(topic.size_bytes)], ["Cleanup policy", topic.cleanup_policy],
        ["Groups", topic.groups.length ? el("span", {}, ...groups) : "none"]]),
      el("h2", {}, "Partitions"), table(`topic ${name}`, partitionColumns(false), topic.items, "None."),
      el("h2", {}, "Configuration"), configTable(`configs ${name}`, configs.items)];
  },

  async partitions() {
    return ["Partitions", ...await list("partitions", "/api/v1/partitions", partitionColumns(true), "There are no partitions yet.", [["internal", false, "Internal topics"]])];
  },

  async groups(name) {
    if (name === undefined) {
      return ["Consumer groups", ...await list("groups", "/api/v1/groups", [
        ["Group", (row) => row.group, (row) => link(row.group, "groups", row.group)], ["Protocol", (row) => row.kind],
        ["State", (row) => row.state, (row) => verdict(row.state)],
        ["Members", (row) => row.members, (row) => count(row.members), "number"],
        ["Partitions", (row) => row.partitions, (row) => count(row.partitions), "number"],
        ["Lag", (row) => row.lag ?? -1, (row) => count(row.lag), "number"]], "No group has been seen yet.")];
    }
    const group = await ask(`/api/v1/groups/${encodeURIComponent(name)}`);
    const owned = (member) => (member.assignment === null ? "not known" : member.assignment.map((one) => `${one.topic}: ${one.partitions.join(", ")}`).join("; ") || "nothing");
    return [name,
      facts([["State", verdict(group.state)], ["Protocol", group.kind], ["Lag", count(group.lag)]]),
      el("h2", {}, "Partitions"),
      table(`group ${name}`, [
        ["Topic", (row) => row.topic, (row) => link(row.topic, "topics", row.topic)], ["Partition", (row) => row.partition, null, "number"],
        ["Committed", (row) => row.committed_offset, (row) => count(row.committed_offset), "number"],
        ["High watermark", (row) => row.high_watermark, (row) => count(row.high_watermark), "number"],
        ["Lag", (row) => row.lag ?? -1, (row) => count(row.lag), "number"], ["Committed at", (row) => row.commit_ms, (row) => time(row.commit_ms)],
        ["Member", (row) => row.member_id, (row) => row.member_id ?? "nobody"]],
        group.items, "The group has committed no offsets, and nobody in it is assigned anything."),
      el("h2", {}, "Members"),
      table(`members ${name}`, [
        ["Client", (row) => row.client_id], ["Host", (row) => row.client_host], ["Member", (row) => row.member_id],
        ["Instance", (row) => row.instance_id], ["Assigned", owned]], group.members, "Nobody is in the group at present.")];
  },

  async transactions() {
    return ["Transactions", ...await list("transactions", "/api/v1/transactions", [
      ["Transactional id", (row) => row.transactional_id], ["State", (row) => row.state, (row) => verdict(row.state)],
      ["Producer", (row) => row.producer_id, null, "number"], ["Epoch", (row) => row.producer_epoch, null, "number"],
      ["Began", (row) => row.start_ms, (row) => time(row.start_ms)], ["Changed", (row) => row.updated_ms, (row) => time(row.updated_ms)],
      ["Timeout", (row) => row.timeout_ms, (row) => duration(row.timeout_ms), "number"],
      ["Partitions", (row) => row.partitions.length, null, "number"]], "No transactional producer has been seen yet.")];
  },

  async configs() {
    const found = await ask("/api/v1/configs");
    return [`Configuration of node ${found.node_id}`, configTable("configs", found.items)];
  },
};

function configTable(name, items) {
  return table(name, [
    ["Name", (row) => row.name], ["Value", (row) => row.value, (row) => (row.sensitive ? "(secret)" : row.value)],
    ["Source", (row) => row.source, (row) => row.source.replaceAll("_", " ")], ["Meaning", (row) => row.documentation]], items, "None.");
}

// --- showing ---

function where() {
  const [page, ...rest] = location.hash.replace(/^#\/?/, "").split("/").map(decodeURIComponent);
  return pages[page] ? [page, ...rest] : ["overview"];
}

// Draws the page again; what has the focus keeps it.
async function refresh() {
  clearTimeout(timer);
  const mine = ++turn, [page, name] = where(), place = JSON.stringify([page, name]);
  if (place !== shown) {
    main.replaceChildren(el("p", { class: "note", role: "status" }, "Loading…"));
    for (const each of document.querySelectorAll("nav a")) {
      if (each.hash !== `#/${page}`) { each.removeAttribute("aria-current"); continue; }
      each.setAttribute("aria-current", "page");
      each.scrollIntoView({ block: "nearest", inline: "nearest" });  // on a narrow screen the pages are a row to be moved
    }
  }
  try {
    const [title, ...parts] = await pages[page](name);
    if (mine !== turn) return;
    const focus = remembered();
    main.replaceChildren(el("h1", {}, title), ...parts);
    focus();
    document.title = `${title} – Pyralog`;
    say("ok", "good");
  } catch (error) {
    if (mine !== turn) return;
    say("no answer", "bad");
    if (place !== shown || error.message.startsWith("there is no") || error.message.startsWith("this node knows")) {
      main.replaceChildren(el("p", { class: "note bad", role: "alert" }, String(error.message)));
    }
  }
  if (place !== shown && shown) {
    main.focus({ preventScroll: true });  // by itself it would put the title beneath the header
    scrollTo(0, 0);
  }
  shown = place;
  if (!paused && !document.hidden) timer = setTimeout(refresh, REFRESH_MS);
}

function remembered() {
  const active = document.activeElement;
  if (!main.contains(active)) return () => {};
  const all = (root) => [...root.querySelectorAll("a, button, input")], at = all(main).indexOf(active), caret = active.selectionStart;
  return () => {
    const again = all(main)[at];
    if (!again) return;
    again.focus({ preventScroll: true });
    if (caret !== undefined && caret !== null && again.type === "search") again.setSelectionRange(caret, caret);
  };
}

function say(text, tone) {
  state.textContent = paused ? "paused" : text;
  state.className = paused ? "warn" : tone;
}

async function identify() {
  try {
    const found = await ask("/health/live");
    document.getElementById("identity").textContent = `Pyralog ${found.version}, node ${found.node_id}, cluster ${found.cluster_id}`;
  } catch (error) {
    document.getElementById("identity").textContent = String(error.message);
  }
}

// --- light, dark, and keys ---

const dark = matchMedia("(prefers-color-scheme: dark)");
function paint() {
  const chosen = localStorage.getItem("theme") || (dark.matches ? "dark" : "light");
  document.documentElement.dataset.theme = chosen;
}
function turnTheme() {
  localStorage.setItem("theme", document.documentElement.dataset.theme === "dark" ? "light" : "dark");
  paint();
}
function turnPause() {
  paused = !paused;
  document.getElementById("pause").setAttribute("aria-pressed", String(paused));
  say("ok", "good");
  if (!paused) refresh();
  else clearTimeout(timer);
}

document.getElementById("theme").onclick = turnTheme;
document.getElementById("pause").onclick = turnPause;
dark.addEventListener("change", paint);
addEventListener("hashchange", refresh);
document.addEventListener("visibilitychange", () => { if (!document.hidden && !paused) refresh(); });
addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.metaKey || event.altKey || /INPUT|TEXTAREA|SELECT/.test(event.target.tagName)) return;
  const links = document.querySelectorAll("nav a");
  if (event.key === "/") { event.preventDefault(); document.getElementById("filter")?.focus(); }
  else if (event.key === "p") turnPause();
  else if (event.key === "t") turnTheme();
  else if (/^[1-9]$/.test(event.key) && links[event.key - 1]) links[event.key - 1].click();
});
paint();
identify();
refresh();
