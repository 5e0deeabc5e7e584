"use strict";

/* Tables: a click on a heading sorts by its column, a second click turns the order round. */
for (const table of document.querySelectorAll("table")) {
  const body = table.tBodies[0];
  const rows = [...body.rows];
  [...table.tHead.rows[table.tHead.rows.length - 1].cells].forEach((head, column) => {
    if (!rows.some((row) => row.cells[column].dataset.order !== undefined)) return;
    head.classList.add("sortable");
    head.tabIndex = 0;
    const sort = () => {
      const down = head.getAttribute("aria-sort") !== "descending";
      for (const other of head.parentNode.cells) other.removeAttribute("aria-sort");
      head.setAttribute("aria-sort", down ? "descending" : "ascending");
      const value = (row) => {
        const text = row.cells[column].dataset.order;
        return text === undefined ? -Infinity : Number(text) * (down ? 1 : -1);
      };
      body.append(...[...rows].sort((a, b) => (value(b) === value(a) ? 0 : value(b) - value(a))));
    };
    head.addEventListener("click", sort);
    head.addEventListener("keydown", (event) => { if (event.key === "Enter") sort(); });
  });
}

/* Questions: unpacked at once, built only as far as they are shown. */
const STEP = 40;

function make(kind, className, text) {
  const node = document.createElement(kind);
  if (className) node.className = className;
  if (text !== undefined) node.textContent = text;
  return node;
}

async function unpack() {
  const raw = atob(document.getElementById("packed").textContent);
  const bytes = Uint8Array.from(raw, (character) => character.charCodeAt(0));
  const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("gzip"));
  return new Response(stream).json();
}

function score(value) { return (100 * value).toFixed(0); }

function chip(name, answer) {
  if (answer.x !== undefined) return make("span", "chip error", `${name} error`);
  const shown = answer.s.abstention ?? answer.s.judge_generous ?? answer.s.mem0_f1;
  return make("span", answer.r ? "chip right" : "chip", `${name} ${shown === undefined ? "–" : score(shown)}`);
}

function memoryItem(data, coded, evidence) {
  const [text, turns] = data.memories[coded >> 1];
  const item = make("li", coded & 1 ? "kept" : "", text);
  if (turns.length) {
    const where = make("span", "turns");
    for (const turn of turns) {
      where.append(" ", make("span", evidence.has(turn) ? "hit" : "", turn));
    }
    item.append(where);
  }
  return item;
}

function answerBlock(data, question, place) {
  const answer = question.a[place];
  const block = make("div", "answer");
  block.append(make("div", "who", data.systems[place]));
  if (answer === null) {
    block.append(make("div", "said", "(not asked)"));
    return block;
  }
  if (answer.x !== undefined) block.append(make("div", "said error", `Error: ${answer.x}`));
  else {
    const said = answer.t.trim() || (answer.n ? "(abstained)" : "(empty answer)");
    block.append(make("div", answer.r ? "said right" : "said", said));
    const parts = Object.entries(answer.s).map(([name, value]) => `${data.metrics[name] ?? name} ${score(value)}`);
    if (answer.n) parts.unshift("abstained");
    parts.push(`LM calls ${answer.k[0]}`, `tokens ${answer.k[1].toLocaleString("en")}`, `seconds ${answer.w}`);
    block.append(make("div", "scores", parts.join(" · ")));
  }
  if (answer.m.length) {
    const kept = answer.m.filter((coded) => coded & 1).length;
    const details = make("details");
    const distilled = data.distils[place] ? `, ${kept || "none"} kept` : "";
    details.append(make("summary", "", `${answer.m.length} ${answer.m.length === 1 ? "memory" : "memories"} given${distilled}`));
    details.addEventListener("toggle", () => {
      if (details.children.length > 1) return;
      const list = make("ol");
      const evidence = new Set(question.e);
      for (const coded of answer.m) list.append(memoryItem(data, coded, evidence));
      details.append(list);
    });
    block.append(details);
  }
  return block;
}

function questionBlock(data, question, labels) {
  const block = make("details", "question");
  const summary = make("summary");
  summary.append(make("b", "", question.q));
  const meta = make("span", "meta");
  meta.append("gold: ", make("span", "gold", question.g ?? "the conversation does not say"));
  meta.append(` · ${labels.get(question.c) ?? question.c} · ${question.i}`);
  if (question.e.length) meta.append(` · evidence ${question.e.join(", ")}`);
  const chips = make("span", "chips");
  question.a.forEach((answer, place) => { if (answer) chips.append(chip(data.systems[place], answer)); });
  summary.append(meta, chips);
  block.append(summary);
  block.addEventListener("toggle", () => {
    if (block.children.length > 1) return;
    const answers = make("div", "answers");
    question.a.forEach((_, place) => answers.append(answerBlock(data, question, place)));
    block.append(answers);
  });
  return block;
}

function wanted(question, filters) {
  const given = question.a.filter((answer) => answer);
  const right = given.filter((answer) => answer.r).length;
  const { category, show, text } = filters;
  if (category && question.c !== category) return false;
  if (show === "split" && (right === 0 || right === given.length)) return false;
  if (show === "none" && right > 0) return false;
  if (show === "every" && right < given.length) return false;
  if (show === "error" && !given.some((answer) => answer.x !== undefined)) return false;
  if (filters.right !== "" && question.a[filters.right]?.r !== true) return false;
  if (filters.wrong !== "" && question.a[filters.wrong]?.r !== false) return false;
  if (!text) return true;
  const all = [question.q, question.g ?? "", question.i, ...given.map((answer) => answer.t ?? answer.x)].join("\n");
  return text.toLowerCase().split(/\s+/).every((word) => all.toLowerCase().includes(word));
}

async function browse() {
  const form = document.getElementById("filters");
  const list = document.getElementById("list");
  const more = document.getElementById("more");
  const count = document.getElementById("count");
  const data = await unpack();
  const labels = new Map(data.categories);
  const add = (select, value, text) => {
    const option = make("option", "", text);
    option.value = value;
    form.elements[select].append(option);
  };
  for (const [key, label] of data.categories) add("category", key, label);
  data.systems.forEach((name, place) => { add("right", place, name); add("wrong", place, name); });
  let found = [];
  const show = () => {
    const from = list.children.length;
    for (const question of found.slice(from, from + STEP)) list.append(questionBlock(data, question, labels));
    more.hidden = list.children.length >= found.length;
  };
  const filter = () => {
    const filters = Object.fromEntries([...form.elements].map((field) => [field.name, field.value.trim()]));
    found = data.questions.filter((question) => wanted(question, filters));
    count.textContent = `${found.length.toLocaleString("en")} of ${data.questions.length.toLocaleString("en")} questions`;
    list.replaceChildren();
    show();
  };
  form.addEventListener("input", filter);
  more.addEventListener("click", show);
  form.hidden = false;
  filter();
}

browse().catch((error) => {
  document.getElementById("count").textContent =
    `The questions cannot be shown (${error.message}). They are in systems/NAME/predictions.jsonl of the run's folder.`;
});
