// The playground in the browser: plain DOM and anywidget's model, nothing of any host's and nothing loaded.
// What a prompt says is put in as text, never as HTML.

const LONGEST_ECHO = 100_000; // characters; of more the kernel shows a part
const BUSY_AFTER = 400; // milliseconds without an answer of the kernel's
const RUNNING = new Set(["waiting", "streaming"]);
const STATES = { waiting: "Waiting for the model …", streaming: "Answering …", done: "Done", failed: "Failed", stopped: "Stopped" };

function element(tag, className = "", text = "") {
  const made = document.createElement(tag);
  if (className) made.className = className;
  if (text) made.textContent = text;
  return made;
}

function labelled(text, control, className) {
  const row = element("div", className);
  const label = element("label", "pw-label", text);
  label.htmlFor = control.id = `pw-${Math.random().toString(36).slice(2)}`;
  row.append(label, control);
  return row;
}

// A browser breaks a megabyte into lines for seconds, at every key press.
function wrap(area, text) {
  area.wrap = text.length > LONGEST_ECHO ? "off" : "soft";
}

function enter(area, text) {
  if (area.value === text) return;
  wrap(area, text);
  area.value = text;
}

// One message. What is unchanged stays in the page, so that a key press costs what it changes.
class Block {
  constructor() {
    this.heading = element("div", "pw-role");
    this.pre = element("pre");
    this.pre.dir = "auto";
    this.pre.tabIndex = 0;
    this.pieces = [];
  }

  update({ heading, spans }) {
    if (this.heading.textContent !== heading) this.heading.textContent = heading;
    if (spans.length !== this.pieces.length || spans.some(([kind], at) => (kind === "text") !== this.pieces[at].plain)) {
      this.pieces = spans.map(([kind]) => {
        const plain = kind === "text";
        return { plain, node: plain ? document.createTextNode("") : element("span"), text: "", kind: "", variable: "" };
      });
      this.pre.replaceChildren(...this.pieces.map((piece) => piece.node));
    }
    const atEnd = this.pre.scrollTop + this.pre.clientHeight >= this.pre.scrollHeight - 4;
    spans.forEach(([kind, text, note, variable], at) => {
      const piece = this.pieces[at];
      piece.variable = variable;
      say(piece, kind, text);
      if (!piece.plain && piece.node.title !== note) piece.node.title = note;
    });
    return atEnd;
  }
}

function say(piece, kind, text) {
  if (piece.text !== text) piece.node.textContent = piece.text = text;
  if (!piece.plain && piece.kind !== kind) piece.node.className = `pw-${(piece.kind = kind)}`;
}

class Blocks {
  constructor(className) {
    this.root = element("div", className);
    this.list = [];
  }

  update(told, follow = false) {
    while (this.list.length > told.length) {
      const { heading, pre } = this.list.pop();
      heading.remove();
      pre.remove();
    }
    told.forEach((one, at) => {
      if (at === this.list.length) {
        const made = new Block();
        this.list.push(made);
        this.root.append(made.heading, made.pre);
      }
      const block = this.list[at];
      if (block.update(one) && follow) block.pre.scrollTop = block.pre.scrollHeight;
    });
  }

  // A variable's new text, before the kernel has said the same.
  echo(name, text) {
    for (const { pieces } of this.list) {
      for (const piece of pieces) {
        if (piece.variable === name && !piece.plain) say(piece, text ? "value" : "missing", text || `{{${name}}}`);
      }
    }
  }
}

function facts(list, told) {
  list.replaceChildren(...told.map(([name, value]) => {
    const pair = element("div");
    pair.append(element("dt", "", name), element("dd", "", value));
    return pair;
  }));
  list.hidden = told.length === 0;
}

function fill(select, groups, value) {
  const told = JSON.stringify(groups);
  if (select.told !== told) {
    select.told = told;
    select.replaceChildren(...groups.map(({ name, choices }) => {
      const options = choices.map(({ key, text }) => new Option(text, key));
      if (!name) return options;
      const group = element("optgroup");
      group.label = name;
      group.append(...options);
      return [group];
    }).flat());
  }
  select.value = value;
}

class Pane {
  constructor(number, pick) {
    this.root = element("section", "pw-pane");
    this.root.setAttribute("aria-label", `side ${number}`);
    this.version = element("select");
    this.model = element("select");
    this.version.onchange = () => pick({ version: this.version.value });
    this.model.onchange = () => pick({ model: this.model.value });
    const pickers = element("div", "pw-pickers");
    pickers.append(labelled("version", this.version, "pw-picker"), labelled("model", this.model, "pw-picker"));
    this.marks = element("div", "pw-marks");
    this.messages = new Blocks("pw-messages");
    const settings = element("details", "pw-settings");
    this.facts = element("dl");
    settings.append(element("summary", "", "settings"), this.facts);
    this.settings = settings;
    this.state = element("div", "pw-state");
    this.answer = new Blocks("pw-said");
    this.error = new Blocks("pw-failed");
    this.told = element("dl", "pw-line");
    this.answered = element("div", "pw-answer");
    this.answered.append(this.state, this.answer.root, this.error.root, this.told);
    this.root.append(pickers, this.marks, this.messages.root, settings, this.answered);
  }

  choose(picked, versions, models, own) {
    fill(this.version, versions, picked.version);
    const named = models.includes(picked.model) || !picked.model ? models : [...models, picked.model];
    const choices = [{ key: "", text: own ? `${own} (the prompt’s)` : "none named" }];
    fill(this.model, [{ name: "", choices: choices.concat(named.map((key) => ({ key, text: key }))) }], picked.model);
  }

  draw(told) {
    this.messages.update(told.blocks);
    this.messages.root.classList.toggle("pw-failed", told.state === "failed");
    const marks = told.state === "loading" ? ["fetching …"] : told.marks.filter((mark) => mark !== "rendered");
    if (this.marks.textContent !== marks.join("")) {
      this.marks.replaceChildren(...marks.map((mark) => element("span", "pw-mark", mark)));
    }
    facts(this.facts, told.facts);
    this.settings.hidden = told.facts.length === 0;
    this.settings.firstChild.textContent = told.state === "failed" ? "details" : "settings";
  }

  hear(told) {
    this.answered.hidden = !told;
    if (!told) return;
    this.answered.dataset.state = told.state;
    this.state.textContent = told.error ? told.error.title : told.state === "done" ? "" : STATES[told.state];
    this.state.hidden = !this.state.textContent;
    this.answer.update(told.answer?.blocks ?? [], true);
    this.error.update(told.error?.blocks ?? []);
    facts(this.told, told.answer?.facts ?? told.error?.facts ?? []);
  }
}

class Fields {
  constructor(type) {
    this.root = element("div", "pw-fields");
    this.type = type;
    this.made = new Map();
    this.kinds = new Map();
  }

  update(told, values) {
    this.kinds = new Map(told.map(({ name, kind }) => [name, kind]));
    const rows = told.map(({ name, kind, label, hint }) => {
      if (!this.made.has(name)) {
        const area = element("textarea");
        area.rows = 1;
        area.dir = "auto";
        area.spellcheck = false;
        enter(area, values[name] ?? "");
        area.oninput = () => {
          wrap(area, area.value);
          this.type(name, area.value);
        };
        this.made.set(name, labelled(label, area, "pw-field"));
      }
      const row = this.made.get(name);
      row.lastChild.placeholder = hint;
      return row;
    });
    const same = rows.length === this.root.children.length && rows.every((row, at) => row === this.root.children[at]);
    if (!same) this.root.replaceChildren(...rows);
    this.root.hidden = rows.length === 0;
  }

  // What another view of this widget typed.
  follow(values) {
    for (const [name, row] of this.made) {
      enter(row.lastChild, values[name] ?? "");
    }
  }
}

function render({ model, el }) {
  const get = (name, otherwise) => model.get(name) ?? otherwise;
  const put = (name, value) => {
    model.set(name, value);
    model.save_changes();
  };
  let asked = ""; // what the kernel has not reacted to yet
  let busy = 0;

  const root = element("div", "promptwire pw-play");
  root.dataset.lmSuppressShortcuts = "true"; // Jupyter's keys are for cells
  root.setAttribute("role", "group");
  root.setAttribute("aria-label", `playground of ${get("title", "")}`);
  const both = element("input");
  both.type = "checkbox";
  const head = element("div", "pw-head");
  head.append(element("b", "", get("title", "")), labelled("side by side", both, "pw-both"));
  const note = element("div", "pw-note");
  const fields = new Fields(typed);
  const run = element("button", "pw-run", "Run");
  const stop = element("button", "pw-stop", "Stop");
  for (const button of [run, stop]) button.type = "button";
  run.title = "Ctrl+Enter";
  stop.title = "Escape";
  const status = element("span", "pw-status");
  status.setAttribute("role", "status");
  const bar = element("div", "pw-bar");
  bar.append(run, stop, status);
  const panes = [];
  const row = element("div", "pw-panes");
  root.append(head, note, fields.root, bar, row);
  el.append(root);

  function isRunning() {
    return asked === "run" || (asked !== "stop" && get("answers", []).some(({ state }) => RUNNING.has(state)));
  }

  function typed(name, text) {
    const { serial = 0, values = {} } = get("typed", {});
    if (fields.kinds.get(name) === "text" && text.length <= LONGEST_ECHO) {
      for (const pane of panes) pane.messages.echo(name, text);
    }
    put("typed", { serial: serial + 1, values: { ...values, [name]: text } });
    clearTimeout(busy);
    busy = setTimeout(say_status, BUSY_AFTER);
  }

  function pick(at, change) {
    put("picked", get("picked", []).map((one, place) => (place === at ? { ...one, ...change } : one)));
  }

  function send(type) {
    if (isRunning() === (type === "run")) return;
    asked = type;
    model.send({ type });
    say_status();
  }

  function behind() {
    return (get("drawn", {}).serial ?? 0) < (get("typed", {}).serial ?? 0);
  }

  function say_status() {
    const answers = get("answers", []);
    const missing = [...new Set(get("drawn", { panes: [] }).panes.flatMap((pane) => pane.missing))];
    const running = isRunning();
    run.setAttribute("aria-disabled", String(running));
    stop.setAttribute("aria-disabled", String(!running));
    const state = answers.map((one) => one.state).find((one) => RUNNING.has(one)) ?? answers[0]?.state;
    let text = STATES[state] ?? "";
    if (asked) text = "Waiting for the kernel …";
    else if (!running && behind()) text = "The kernel is busy …";
    else if (!running && missing.length) text = `Empty: ${missing.join(", ")}`;
    if (status.textContent !== text) status.textContent = text;
  }

  function draw() {
    const told = get("drawn", { panes: [] });
    if (behind()) return; // a later key press is on its way
    clearTimeout(busy);
    const picked = get("picked", []);
    while (panes.length > told.panes.length) panes.pop().root.remove();
    told.panes.forEach((one, at) => {
      if (at === panes.length) {
        panes.push(new Pane(at + 1, (change) => pick(at, change)));
        row.append(panes[at].root);
      }
      panes[at].draw(one);
      if (picked[at]) panes[at].choose(picked[at], get("versions", []), get("models", []), one.own);
    });
    both.checked = picked.length > 1;
    row.dataset.panes = String(panes.length);
    hear();
  }

  function hear() {
    const answers = get("answers", []);
    panes.forEach((pane, at) => pane.hear(answers[at]));
    say_status();
  }

  const heard = {
    "change:title": () => (head.firstChild.textContent = get("title", "")),
    "change:note": () => {
      note.textContent = get("note", "");
      note.hidden = !note.textContent;
    },
    "change:fields": () => fields.update(get("fields", []), get("typed", {}).values ?? {}),
    "change:typed": () => fields.follow(get("typed", {}).values ?? {}),
    "change:versions": draw,
    "change:models": draw,
    "change:picked": draw,
    "change:drawn": draw,
    "change:answers": () => {
      asked = "";
      hear();
    },
  };
  for (const [event, react] of Object.entries(heard)) model.on(event, react);
  for (const event of ["change:note", "change:fields", "change:drawn"]) heard[event]();

  run.onclick = () => send("run");
  stop.onclick = () => send("stop");
  both.onchange = () => {
    const [first] = get("picked", []);
    const keys = get("versions", []).flatMap(({ choices }) => choices.map(({ key }) => key));
    const other = keys[keys.indexOf(first.version) + 1] ?? first.version;
    put("picked", both.checked ? [first, { ...first, version: other }] : [first]);
  };
  root.onkeydown = (event) => {
    const act = event.key === "Enter" && (event.ctrlKey || event.metaKey) ? "run" : event.key === "Escape" ? "stop" : "";
    if (!act) return;
    event.preventDefault();
    event.stopPropagation();
    send(act);
  };

  return () => {
    clearTimeout(busy);
    for (const [event, react] of Object.entries(heard)) model.off(event, react);
    root.remove();
  };
}

export default { render };
