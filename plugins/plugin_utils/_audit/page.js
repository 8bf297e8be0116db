// SPDX-License-Identifier: GPL-3.0-or-later
"use strict";
(() => {
  const data = JSON.parse(document.getElementById("data").textContent);
  const at = (id) => document.getElementById(id);
  // ROW, HEIGHT: pixels of a row, and of the box as page.css limits it
  const HERE = -1, ROW = 28, HEIGHT = 704, SPARE = 12;

  const domains = data.domains.map(([name, uuid, host, state, memory, runs, out]) => {
    const ways = [];
    for (let i = 0; i < runs.length; i += 2) for (let n = runs[i + 1]; n > 0; n--) ways.push(runs[i]);
    const open = ways.filter((way) => way === 0).length;
    return { name, uuid, host, state, memory, ways, out, open, trapped: open === 0 };
  });
  const unseen = data.sets.map((set) => set.length > 0 && set.every((number) => data.obstacles[number][1]));

  function make(tag, properties = {}, ...inside) {
    const made = Object.assign(document.createElement(tag), properties);
    made.append(...inside);
    return made;
  }

  const kind = (way) => (way === HERE ? "here" : way === 0 ? "go" : unseen[way] ? "un" : "no");
  const sign = (way) => ({ here: "●", go: "✓", un: "?", no: String((data.sets[way] || []).length) })[kind(way)];
  function words(domain, index) {
    const way = domain.ways[index], many = (data.sets[way] || []).length;
    const said = {
      here: "is here", go: "can go", un: "could not be looked at", no: `cannot, ${many} reason${many === 1 ? "" : "s"}`,
    };
    return `${domain.name} to ${data.hosts[index]}: ${said[kind(way)]}`;
  }

  // What is shown and where the focus is; everything but the focus is in the address.
  const state = { q: "", host: "", trapped: false, d: "", to: "" };
  let rows = domains, focus = { row: 0, column: 0 }, drawn = [0, 0], frame = 0;

  function read() {
    const given = new URLSearchParams(location.hash.slice(1));
    for (const key of Object.keys(state)) state[key] = key === "trapped" ? given.has(key) : given.get(key) || "";
  }

  function write() {
    const given = new URLSearchParams();
    for (const [key, value] of Object.entries(state)) if (value) given.set(key, value === true ? "1" : value);
    const text = given.toString();
    history.replaceState(null, "", text ? `#${text}` : location.pathname + location.search);
  }

  function haystack(domain) {
    if (!domain.text) {
      const numbers = new Set(domain.ways.filter((way) => way > 0).flatMap((way) => data.sets[way]));
      const reasons = [...numbers].map((number) => data.obstacles[number].filter((part) => part !== 1).join(" "));
      const parts = [domain.name, domain.uuid, data.hosts[domain.host] || "", domain.state, ...reasons];
      domain.text = parts.join("\n").toLowerCase();
    }
    return domain.text;
  }

  function filter() {
    const wanted = state.q.toLowerCase().split(/\s+/).filter(Boolean);
    rows = domains.filter((domain) =>
      (!state.host || data.hosts[domain.host] === state.host) && (!state.trapped || domain.trapped) &&
      wanted.every((word) => haystack(domain).includes(word)));
    at("shown").textContent = `${rows.length} of ${domains.length} domains`;
    at("none").hidden = rows.length > 0;
    at("box").hidden = rows.length === 0;
    at("grid").setAttribute("aria-rowcount", rows.length + 1);
    focus = { row: Math.min(focus.row, Math.max(rows.length - 1, 0)), column: focus.column };
    at("box").scrollTop = 0;
    for (const row of document.querySelectorAll("#hosts-table tbody tr"))
      row.hidden = Boolean(state.host) && row.cells[0].textContent !== state.host;
    draw(true);
  }

  function cell(domain, row, column) {
    const first = column === 0, way = first ? 0 : domain.ways[column - 1];
    const made = make(first ? "th" : "td", { tabIndex: row === focus.row && column === focus.column ? 0 : -1 });
    made.dataset.row = row;
    made.dataset.column = column;
    made.setAttribute("role", first ? "rowheader" : "gridcell");
    made.setAttribute("aria-colindex", column + 1);
    if (first) {
      const told = domain.state === "running" ? "" : `, ${domain.state}`;
      made.append(domain.name, make("small", {}, `${data.hosts[domain.host] || ""}${told}`));
      made.title = `${domain.name}: ${domain.open} of ${data.hosts.length - 1} hosts`;
    } else {
      made.className = kind(way);
      made.textContent = sign(way);
      made.setAttribute("aria-label", words(domain, column - 1));
      made.title = words(domain, column - 1);
    }
    return made;
  }

  function line(row) {
    const domain = rows[row], made = make("tr", { className: domain.trapped ? "trapped" : "" });
    made.setAttribute("aria-rowindex", row + 2);
    for (let column = 0; column <= data.hosts.length; column++) made.append(cell(domain, row, column));
    return made;
  }

  function space(height) {
    const made = make("tr", { className: "space" }, make("td", { colSpan: data.hosts.length + 1 }));
    made.setAttribute("aria-hidden", "true");
    made.firstChild.style.height = `${height}px`;
    return made;
  }

  // Only the rows that are seen are there, and some before and after them.
  function draw(anew) {
    const box = at("box"), seen = Math.ceil(HEIGHT / ROW);
    const top = Math.floor(box.scrollTop / ROW);
    const first = Math.max(0, top - SPARE), last = Math.min(rows.length, top + seen + SPARE);
    if (!anew && Math.abs(first - drawn[0]) < SPARE / 2 && Math.abs(last - drawn[1]) < SPARE / 2) return;
    const focused = at("grid").contains(document.activeElement);
    const made = [];
    if (first > 0) made.push(space(first * ROW));
    for (let row = first; row < last; row++) made.push(line(row));
    if (last < rows.length) made.push(space((rows.length - last) * ROW));
    at("grid").tBodies[0].replaceChildren(...made);
    drawn = [first, last];
    if (focused) focused_cell()?.focus({ preventScroll: true });
  }

  const focused_cell = () => document.querySelector(`#grid [data-row="${focus.row}"][data-column="${focus.column}"]`);

  function move(row, column) {
    const old = focused_cell();
    if (old) old.tabIndex = -1;
    focus = {
      row: Math.max(0, Math.min(rows.length - 1, row)), column: Math.max(0, Math.min(data.hosts.length, column)),
    };
    const box = at("box"), y = focus.row * ROW;
    if (y < box.scrollTop) box.scrollTop = y;
    const room = box.clientHeight - at("grid").tHead.offsetHeight - ROW;
    if (y > box.scrollTop + room) box.scrollTop = y - room;
    draw(false);
    const now = focused_cell();
    if (!now) return;
    now.tabIndex = 0;
    now.focus({ preventScroll: true });
    now.scrollIntoView({ block: "nearest", inline: "nearest" });
  }

  const text = (number, domain) => data.obstacles[number].map(
    (part) => (typeof part === "string" ? part.replaceAll("{domain}", domain.name) : part));

  function reason(check, message, remedy, hosts) {
    const to = hosts.length ? `to ${hosts.length > 1 && hosts.length === data.hosts.length - 1 ? "every other host" : hosts.join(", ")}: ` : "";
    return make("li", {}, `${to}${message} `, make("code", {}, check), make("p", { className: "remedy" }, remedy));
  }

  const reasons = (numbers, domain) => make("ul", {}, ...numbers.map((number) => {
    const [check, , message, remedy] = text(number, domain);
    return reason(check, message, remedy, []);
  }));

  // What several destinations lack alike is said once.
  function merged(hosts, domain) {
    const groups = new Map();
    for (const [number, names] of hosts) for (const host of names) {
      const name = new RegExp(`(?<![\\w-])${host.replace(/[.*+?^${}()|[\]\\]/g, "\\$&")}(?![\\w-])`, "g");
      const [check, , message, remedy] = text(number, domain);
      const key = [check, message.replace(name, () => "the destination"), remedy.replace(name, () => "the destination")];
      const group = groups.get(key.join("\n")) || { key, own: [check, message, remedy], names: [] };
      group.names.push(host);
      groups.set(key.join("\n"), group);
    }
    return make("ul", {}, ...[...groups.values()].map(
      ({ key, own, names }) => reason(...(names.length === 1 ? own : key), names)));
  }

  function of_way(domain, index) {
    const way = domain.ways[index];
    if (way === HERE) return [make("p", {}, "It is here.")];
    if (way === 0) return [make("p", {}, "It can go there; nothing speaks against it.")];
    return [make("p", {}, words(domain, index).split(": ").pop() + "."), reasons(data.sets[way], domain)];
  }

  function of_domain(domain) {
    const there = data.hosts.filter((_host, index) => domain.ways[index] === 0);
    const hosts = new Map(), ways = domain.ways.filter((way) => way > 0);
    // What is in every way of a domain that can go nowhere holds whatever the destination.
    const always = there.length || !ways.length ? [] :
      data.sets[ways[0]].filter((number) => ways.every((way) => data.sets[way].includes(number)));
    domain.ways.forEach((way, index) => {
      for (const number of way > 0 ? data.sets[way] : [])
        if (!always.includes(number)) hosts.set(number, [...(hosts.get(number) || []), data.hosts[index]]);
    });
    const facts = `${domain.state} on ${data.hosts[domain.host] || "no known host"}` +
      (domain.memory === null ? "" : `, ${domain.memory} MiB`);
    const made = [make("p", {}, `${facts}. ${there.length ? `Can go to ${there.join(", ")}.` : "Can go nowhere."}`)];
    if (domain.out && domain.out[1].length > 1) {
      const checks = domain.out[1].map((number) => data.obstacles[number][0]).join(", ");
      made.push(make("p", {}, `No single change frees it. The fewest for a destination are ${domain.out[1].length} together, ` +
        `for ${domain.out[0]}: ${checks}.`));
    }
    if (always.length) made.push(reasons(always, domain));
    if (hosts.size) made.push(merged(hosts, domain));
    return made;
  }

  function panel() {
    const dialog = at("panel"), domain = domains.find((entry) => entry.uuid === state.d);
    const index = data.hosts.indexOf(state.to);
    if (!domain) {
      if (dialog.open) dialog.close();
      return;
    }
    at("panel-title").textContent = index < 0 ? domain.name : `${domain.name} → ${data.hosts[index]}`;
    at("panel-body").replaceChildren(...(index < 0 ? of_domain(domain) : of_way(domain, index)));
    if (!dialog.open) dialog.showModal();
  }

  function open(domain, to) {
    state.d = domain.uuid;
    state.to = to;
    write();
    panel();
  }

  function open_cell(target) {
    const made = target.closest("[data-row]");
    if (!made) return;
    const row = Number(made.dataset.row), column = Number(made.dataset.column);
    move(row, column);
    if (kind(rows[row].ways[column - 1]) !== "here") open(rows[row], column ? data.hosts[column - 1] : "");
  }

  function key(event) {
    const page = Math.max(1, Math.floor(at("box").clientHeight / ROW) - 2);
    const steps = {
      ArrowUp: [-1, 0], ArrowDown: [1, 0], ArrowLeft: [0, -1], ArrowRight: [0, 1], PageUp: [-page, 0], PageDown: [page, 0],
      Home: [0, -1e6], End: [0, 1e6],
    };
    if (event.key === "Enter" || event.key === " ") open_cell(event.target);
    else if (steps[event.key]) move(focus.row + steps[event.key][0], focus.column + steps[event.key][1]);
    else return;
    event.preventDefault();
  }

  function head() {
    const many = data.hosts.length > 8, row = make("tr");
    row.setAttribute("aria-rowindex", 1);
    row.append(make("th", { scope: "col" }, "domain"));
    data.hosts.forEach((host, index) => {
      const silent = data.silent[index] ? " silent" : "";
      const name = make("div", { className: many ? "many" : "" }, host);
      row.append(make("th", { scope: "col", className: silent.trim(), title: silent ? `${host} does not answer` : host }, name));
    });
    for (const made of row.cells) made.setAttribute("role", "columnheader");
    at("grid").tHead.replaceChildren(row);
    const widths = [make("col"), ...data.hosts.map(() => make("col"))];
    const narrow = matchMedia("(max-width: 40rem)").matches;
    const first = narrow ? "9rem" : "17rem", rest = many ? "30px" : narrow ? "3.25rem" : "4.5rem";
    widths.forEach((column, index) => { column.style.width = index ? rest : first; });
    at("grid").querySelector("colgroup")?.remove();
    at("grid").prepend(make("colgroup", {}, ...widths));
    at("grid").style.width = `calc(${first} + ${data.hosts.length} * ${rest})`;
    at("grid").setAttribute("aria-colcount", data.hosts.length + 1);
  }

  // The names in the list of hosts open what is known of the domain.
  function names() {
    for (const item of document.querySelectorAll("#hosts-table .chips li")) {
      const host = data.hosts.indexOf(item.closest("tr").cells[0].textContent);
      const domain = domains.find((entry) => entry.name === item.textContent && entry.host === host);
      if (!domain) continue;
      const button = make("button", { type: "button" }, item.textContent);
      button.addEventListener("click", () => open(domain, ""));
      item.replaceChildren(button);
    }
  }

  function show() {
    at("q").value = state.q;
    at("host").value = state.host;
    at("trapped").checked = state.trapped;
    filter();
    panel();
  }

  function change() {
    Object.assign(state, { q: at("q").value.trim(), host: at("host").value, trapped: at("trapped").checked });
    write();
    filter();
  }

  at("matrix-parts").hidden = domains.length === 0;
  if (domains.length === 0) return;
  for (const id of ["plain", "reasons"]) at(id)?.removeAttribute("open");
  addEventListener("beforeprint", () => document.querySelectorAll("details").forEach((part) => { part.open = true; }));
  at("filter").addEventListener("input", change);
  at("filter").addEventListener("submit", (event) => event.preventDefault());
  at("box").addEventListener("scroll", () => {
    cancelAnimationFrame(frame);
    frame = requestAnimationFrame(() => draw(false));
  }, { passive: true });
  at("grid").addEventListener("click", (event) => open_cell(event.target));
  at("grid").addEventListener("keydown", key);
  at("panel").addEventListener("click", (event) => { if (event.target === at("panel")) at("panel").close(); });
  at("panel").addEventListener("close", () => {
    state.d = state.to = "";
    write();
    if (rows.length) focused_cell()?.focus({ preventScroll: true });
  });
  addEventListener("hashchange", () => {
    // A link to a reason is no state.
    if (/^#[a-z][a-z0-9-]*$/.test(location.hash)) {
      const target = document.getElementById(location.hash.slice(1));
      const folded = target && target.closest("details");
      if (folded) folded.open = true;
      target?.scrollIntoView();
      return;
    }
    read();
    show();
  });
  addEventListener("resize", () => { head(); draw(true); });
  read();
  head();
  names();
  show();
})();
