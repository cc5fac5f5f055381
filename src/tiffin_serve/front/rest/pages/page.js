// The pages / and /try (the model) and /docs (what its server answers), made from /openapi.json.
// What a model says goes into the page as text, never as HTML.
"use strict";

const MOST_FIELDS = 128;
const MOST_ROWS = 100;
const MOST_COLUMNS = 20;
const MOST_BARS = 10;
const MOST_CHARTS = 5;
const LONGEST_SNIPPET = 4000;
const NUMPY = { FP32: "float32", FP64: "float64", UINT8: "uint8" }; // what pictures can be
const json = JSON.stringify;

let api = null;
let model = null; // what it says of the model
let columns = null; // the form's fields, where rows have any
let mode = "";
let language = "curl";
let dropped = null; // a file that is sent as it is

// --- making elements

const $ = (id) => document.getElementById(id);

function make(tag, attributes = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
    else if (value !== false && value !== undefined) element.setAttribute(name, value);
  }
  element.append(...children.filter((child) => child !== null));
  return element;
}

function show(element, visible) {
  element.hidden = !visible;
}

function makeTabs(list, choices, choose) {
  const select = (key) => {
    for (const tab of list.children) {
      const chosen = tab.dataset.key === key;
      tab.setAttribute("aria-selected", chosen);
      tab.tabIndex = chosen ? 0 : -1;
    }
    choose(key);
  };
  const step = (event) => {
    const by = { ArrowLeft: -1, ArrowRight: 1 }[event.key];
    if (!by) return;
    const keys = choices.map(([key]) => key);
    const next = keys[(keys.indexOf(event.target.dataset.key) + by + keys.length) % keys.length];
    select(next);
    list.querySelector(`[data-key="${next}"]`).focus();
  };
  list.replaceChildren(...choices.map(([key, label, panel]) =>
    make("button", { type: "button", role: "tab", id: `tab-${key}`, "data-key": key, "aria-controls": panel,
      onclick: () => select(key), onkeydown: step }, label)));
  select(choices[0][0]);
  show(list, choices.length > 1);
}

// --- asking the server

async function ask(path, options = {}) {
  const token = $("token").value;
  const headers = token ? { ...options.headers, Authorization: `Bearer ${token}` } : options.headers;
  const response = await fetch(path, { ...options, headers });
  if (response.ok) return response;
  const answer = await response.json().catch(() => ({})); // another form is a proxy's
  throw Object.assign(new Error(answer.error || response.statusText), { status: response.status });
}

async function load() {
  try {
    api = await (await ask("/openapi.json")).json();
  } catch (error) {
    show($("token-form"), error.status === 401);
    tell(error.status === 401 && !$("token").value ? "" : sentence(error), error.status !== 503);
    if (error.status === 401) $("token").focus();
    if (error.status === 503) setTimeout(load, 1000);
    return;
  }
  show($("token-form"), false);
  tell("");
  start();
}

function tell(message, bad) {
  $("notice").textContent = message;
  $("notice").classList.toggle("bad", Boolean(bad));
  show($("notice"), Boolean(message));
}

function sentence(error) {
  if (error.status) return error.message;
  return error instanceof TypeError ? "The server cannot be reached." : error.message;
}

// --- what the model takes

function start() {
  model = api.info["x-model"];
  const docs = location.pathname === "/docs";
  $(docs ? "to-docs" : "to-try").setAttribute("aria-current", "page");
  document.title = `${model.name} · ${docs ? "API" : "Try"}`;
  $("name").textContent = model.name;
  $("about").textContent = [`version ${api.info.version}`, model.platform].filter(Boolean).join(" · ");
  $("server").textContent = `Tiffin ${model.server}`;
  show($(docs ? "docs" : "try"), true);
  (docs ? showDocs : showTry)();
}

function findColumns() {
  const { inputs, columns: names } = model;
  const flat = ({ shape }) => shape[0] === -1 && (shape.length === 1 || (shape.length === 2 && shape[1] === 1));
  if (!inputs.length) return null;
  if (names.length && inputs.length === 1) return names.map((name) => ({ name, datatype: inputs[0].datatype, key: name }));
  if (inputs.every(flat)) return inputs.map(({ name, datatype }) => ({ name, datatype, key: name }));
  const [{ name, shape, datatype }] = inputs;
  if (inputs.length > 1 || shape.length !== 2 || shape[1] < 1) return null;
  return Array.from({ length: shape[1] }, (_, place) => ({ name: `${name} ${place + 1}`, datatype }));
}

function findPicture() {
  if (model.inputs.length !== 1 || !NUMPY[model.inputs[0].datatype]) return null;
  const { shape } = model.inputs[0];
  const one = shape.length === 4 && Math.abs(shape[0]) === 1;
  const [first, second, last] = one ? shape.slice(1) : shape;
  const size = (length) => (length > 0 ? length : 224);
  const colours = (length) => length === 1 || length === 3;
  if (shape.length !== (one ? 4 : 3)) return null;
  if (colours(first)) return { first: true, channels: first, height: size(second), width: size(last), one };
  if (colours(last)) return { first: false, channels: last, height: size(first), width: size(second), one };
  return null;
}

function showTry() {
  columns = findColumns();
  const picture = findPicture();
  const modes = [["text", "JSON or CSV", "mode-text"]];
  if (picture) modes.unshift(["image", "Picture", "mode-image"]);
  else if (columns && columns.length <= MOST_FIELDS) modes.unshift(["form", "Form", "mode-form"]);
  if (picture) showPicture(picture);
  else if (modes.length > 1) fillForm();
  const example = model.rows || model.example;
  $("text").value = example ? json(example, null, 1) : "";
  makeTabs($("modes"), modes, (key) => {
    mode = key;
    for (const [name, , panel] of modes) show($(panel), name === key);
    showSnippet();
  });
  const languages = [["curl", "curl", "snippet"], ["python", "Python", "snippet"]];
  makeTabs($("snippets"), languages, (key) => {
    language = key;
    showSnippet();
  });
}

// --- the form

function fillForm() {
  $("rows").replaceChildren();
  for (const row of model.rows && model.rows.length ? model.rows.slice(0, 20) : [[]]) addRow(row);
}

function addRow(values) {
  const place = $("rows").children.length;
  const cell = (column, index) => (Object(values) === values ? values[Array.isArray(values) ? index : column.name] : values);
  const remove = (event) => {
    event.target.closest("fieldset").remove();
    $("rows").querySelectorAll("legend span").forEach((title, index) => { title.textContent = `Row ${index + 1}`; });
    showSnippet();
  };
  const button = place ? make("button", { type: "button", class: "plain", onclick: remove }, "Remove") : null;
  const fields = columns.map((column, index) => makeField(column, `row${Date.now()}-${place}-${index}`, cell(column, index)));
  const texts = columns.every((column) => column.datatype === "BYTES") && columns.length < 4 ? " texts" : "";
  $("rows").append(make("fieldset", {}, make("legend", {}, make("span", {}, `Row ${place + 1}`), button),
    make("div", { class: `fields${texts}` }, ...fields)));
}

function makeField(column, id, value) {
  const { datatype } = column;
  let input;
  if (datatype === "BOOL") {
    input = make("select", { id }, make("option", { value: "true" }, "true"), make("option", { value: "false" }, "false"));
    input.value = String(value !== false);
  } else {
    const number = datatype !== "BYTES";
    const whole = datatype.includes("INT");
    input = make("input", { id, type: number ? "number" : "text", step: number && (whole ? "1" : "any"),
      required: whole, min: datatype.startsWith("UINT") && "0", placeholder: number && !whole && "missing", autocomplete: "off" });
    input.value = value === undefined || value === null ? "" : typeof value === "object" ? json(value) : value;
  }
  input.dataset.datatype = datatype;
  return make("div", {}, make("label", { for: id }, column.name), input);
}

function literal(input) {
  const { value, dataset } = input;
  if (dataset.datatype === "BYTES") return json(value);
  if (dataset.datatype === "BOOL") return value;
  if (value === "") return "null";
  return dataset.datatype.includes("INT") && /^-?\d+$/.test(value) ? String(BigInt(value)) : String(Number(value));
}

function readForm() {
  return [...$("rows").children].map((row) => [...row.querySelectorAll("input, select")].map(literal));
}

function rowText(cells) {
  if (columns.every((column) => column.key === undefined)) return `[${cells.join(", ")}]`;
  return `{${cells.map((cell, index) => `${json(columns[index].key)}: ${cell}`).join(", ")}}`;
}

// --- pictures

function showPicture(picture) {
  const canvas = $("canvas");
  Object.assign(canvas, { width: picture.width, height: picture.height });
  const context = canvas.getContext("2d", { willReadFrequently: true });
  const paint = context.createLinearGradient(0, 0, picture.width, picture.height);
  ["#0f6b63", "#e8c468", "#b4532a"].forEach((colour, index) => paint.addColorStop(index / 2, colour));
  context.fillStyle = paint;
  context.fillRect(0, 0, picture.width, picture.height);
  $("picture-size").textContent = `drawn to ${picture.width} × ${picture.height}`;
  if (model.inputs[0].datatype === "UINT8") {
    $("scale").value = "byte";
    $("scale").disabled = true;
  }
}

async function draw(file) {
  const canvas = $("canvas");
  try {
    const bitmap = await createImageBitmap(file);
    canvas.getContext("2d").drawImage(bitmap, 0, 0, canvas.width, canvas.height);
    showError(null);
  } catch {
    showError(new Error(`${file.name} is no picture that this browser can read.`));
  }
}

const MEANS = [0.485, 0.456, 0.406];
const DEVIATIONS = [0.229, 0.224, 0.225];
const SCALES = {
  unit: (value) => value / 255,
  byte: (value) => value,
  sign: (value) => value / 127.5 - 1,
  imagenet: (value, channel) => (value / 255 - MEANS[channel]) / DEVIATIONS[channel],
};

function readPicture() {
  const { channels, first, height, width, one } = findPicture();
  const { data } = $("canvas").getContext("2d").getImageData(0, 0, width, height);
  const kinds = { FP32: Float32Array, FP64: Float64Array, UINT8: Uint8Array };
  const values = new kinds[model.inputs[0].datatype](channels * height * width);
  const scale = SCALES[$("scale").value];
  for (let pixel = 0; pixel < height * width; pixel++) {
    const [red, green, blue] = data.subarray(pixel * 4);
    const found = channels === 3 ? [red, green, blue] : [0.299 * red + 0.587 * green + 0.114 * blue];
    found.forEach((value, channel) => {
      values[first ? channel * height * width + pixel : pixel * channels + channel] = scale(value, channel);
    });
  }
  return { values, shape: [...(one ? [1] : []), ...(first ? [channels, height, width] : [height, width, channels])] };
}

// --- requests

const inferPath = () => `/v2/models/${model.name}/infer`;
const JSON_TYPE = { "Content-Type": "application/json" };

function streamPath() {
  const path = `/v2/models/${model.name}/generate_stream`;
  return model.streams && api.paths[path] ? path : null;
}

function makeRequest() {
  if (mode === "image") return pictureRequest();
  if (mode === "text") return textRequest();
  const rows = readForm().map(rowText);
  if (streamPath() && columns.every((column) => column.key !== undefined))
    return { path: streamPath(), headers: { ...JSON_TYPE, Accept: "application/x-ndjson" }, body: rows[0], streams: true };
  return { path: "/predict", headers: JSON_TYPE, body: `[${rows.join(", ")}]` };
}

function pictureRequest() {
  const { values, shape } = readPicture();
  const { name, datatype } = model.inputs[0];
  const head = json({ inputs: [{ name, datatype, shape, parameters: { binary_data_size: values.byteLength } }] });
  const bytes = new TextEncoder().encode(head);
  return { path: inferPath(), headers: { "Inference-Header-Content-Length": String(bytes.length) }, body: new Blob([bytes, values]), shape };
}

function textRequest() {
  if (dropped) return { path: "/predict", headers: { "Content-Type": "application/x-npy" }, body: dropped };
  const body = $("text").value;
  if (!/^\s*[[{]/.test(body)) return { path: "/predict", headers: { "Content-Type": "text/csv" }, body };
  if (/[\]}] *\r?\n *[[{]/.test(body)) return { path: "/predict", headers: { "Content-Type": "application/x-ndjson" }, body };
  return { path: /^\s*\{\s*"(id|inputs)"[^]*"datatype"/.test(body) ? inferPath() : "/predict", headers: JSON_TYPE, body };
}

async function send(event) {
  event.preventDefault();
  showError(null);
  $("send").disabled = true;
  $("latency").textContent = "asking …";
  try {
    const request = makeRequest();
    const began = performance.now();
    const response = await ask(request.path, { method: "POST", headers: request.headers, body: request.body });
    if (request.streams) await showStream(response);
    else await showAnswer(await response.text());
    $("latency").textContent = `${(performance.now() - began).toFixed(1)} ms`;
  } catch (error) {
    $("latency").textContent = "";
    showError(error);
  } finally {
    $("send").disabled = false;
  }
}

function showError(error) {
  const status = error && error.status;
  if (error) {
    $("error").textContent = (status ? `${status}: ` : "") + sentence(error);
    $("result").replaceChildren();
    show($("raw"), false);
    if (status === 401) show($("token-form"), true);
  }
  show($("error"), Boolean(error));
}

// --- answers

function showAnswer(text) {
  const answer = JSON.parse(text);
  const outputs = answer.model_name ? inferred(answer.outputs) : predicted(answer);
  $("result").replaceChildren(...outputs.flatMap(showOutput));
  $("raw-text").textContent = text.slice(0, 20000);
  show($("raw"), true);
}

function predicted(answer) {
  const outputs = [{ name: "predictions", rows: answer.predictions }];
  if (answer.probabilities) outputs.push({ name: "probabilities", rows: answer.probabilities });
  for (const [name, rows] of Object.entries(answer.outputs || {})) outputs.push({ name, rows });
  return outputs;
}

function inferred(outputs) {
  return outputs.map(({ name, shape, data }) => {
    const rows = shape.length === 2 && shape[1] > 1
      ? Array.from({ length: shape[0] }, (_, row) => data.slice(row * shape[1], (row + 1) * shape[1])) : data;
    return { name, rows, note: shape.length > 2 ? `shape ${shape.join(" × ")}` : "" };
  });
}

function areShares(rows) {
  const share = (row) => Array.isArray(row) && row.length > 1 && row.every((value) => value >= 0 && value <= 1) &&
    Math.abs(row.reduce((sum, value) => sum + value, 0) - 1) < 0.01;
  return Array.isArray(rows) && rows.length > 0 && rows.every(share);
}

function showOutput({ name, rows, note }) {
  const title = make("h3", {}, note ? `${name} (${note})` : name);
  if (!Array.isArray(rows)) return [title, make("p", { class: "one" }, text(rows))];
  if (areShares(rows)) return [title, ...rows.slice(0, MOST_CHARTS).flatMap((row, place) => showBars(row, rows.length > 1 ? place : null))];
  const single = rows.length === 1 && !Array.isArray(rows[0]);
  return single ? [title, make("p", { class: "one" }, text(rows[0]))] : [title, showTable(rows)];
}

function showBars(row, place) {
  const label = (index) => text(model.classes[index] ?? `class ${index}`);
  const best = row.map((value, index) => ({ value, label: label(index) })).sort((a, b) => b.value - a.value).slice(0, MOST_BARS);
  const bars = best.map(({ value, label: name }) => {
    const bar = make("i");
    bar.style.width = `${value * 100}%`;
    return make("li", {}, make("span", {}, name), make("b", {}, bar), make("span", {}, `${(value * 100).toFixed(1)} %`));
  });
  const list = make("ul", { class: "bars", "aria-label": place === null ? "Probabilities" : `Probabilities of row ${place + 1}` }, ...bars);
  return place === null ? [list] : [quiet(`row ${place + 1}`), list];
}

function showTable(rows) {
  const wide = rows.some(Array.isArray);
  const width = wide ? Math.min(Math.max(...rows.map((row) => row.length || 1)), MOST_COLUMNS) : 1;
  const heads = wide ? Array.from({ length: width }, (_, index) => String(index)) : ["value"];
  const lines = rows.slice(0, MOST_ROWS).map((row, place) => [place + 1, ...(wide ? row.slice(0, width) : [row])]);
  const more = rows.length > MOST_ROWS ? quiet(`and ${rows.length - MOST_ROWS} more rows`) : null;
  return make("div", {}, table(["row", ...heads], lines), more);
}

function table(heads, lines) {
  const line = (tag, cells) => make("tr", {}, ...cells.map((cell) => make(tag, {}, text(cell))));
  return make("div", { class: "scroll", tabindex: "0" },
    make("table", {}, make("thead", {}, line("th", heads)), make("tbody", {}, ...lines.map((cells) => line("td", cells)))));
}

const quiet = (...words) => make("p", { class: "quiet small" }, ...words);

function text(value) {
  if (typeof value === "number" && !Number.isInteger(value)) return String(Number(value.toPrecision(6)));
  return typeof value === "string" ? value : json(value);
}

async function showStream(response) {
  const shown = make("p", { class: "stream" });
  $("result").replaceChildren(shown);
  show($("raw"), false);
  const told = (line) => {
    const { model_name: _, model_version: __, id: ___, error, ...values } = JSON.parse(line);
    if (error) throw new Error(error);
    for (const value of Object.values(values)) shown.append(typeof value === "string" ? value : `${json(value)} `);
  };
  const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
  let rest = "";
  for (;;) {
    const { done, value } = await reader.read();
    const lines = (rest + (value || "")).split("\n");
    rest = lines.pop();
    lines.filter(Boolean).forEach(told);
    if (done) return;
  }
}

// --- snippets

function python(value) {
  if (value === null) return "None";
  if (typeof value === "boolean") return value ? "True" : "False";
  if (Array.isArray(value)) return `[${value.map(python).join(", ")}]`;
  if (typeof value === "object") return `{${Object.entries(value).map(([key, item]) => `${json(key)}: ${python(item)}`).join(", ")}}`;
  return json(value);
}

const quote = (value) => `'${value.replaceAll("'", "'\\''")}'`;

function showSnippet() {
  if (!model || !mode) return;
  const request = mode === "image"
    ? { path: inferPath(), headers: { "Inference-Header-Content-Length": "0" }, file: "picture.raw" } : makeRequest();
  const kind = request.headers["Content-Type"];
  if (!request.file && (typeof request.body !== "string" || request.body.length > LONGEST_SNIPPET))
    request.file = { "text/csv": "rows.csv", "application/x-npy": "rows.npy" }[kind] || "request.json";
  $("snippet").textContent = { curl: curlSnippet, python: pythonSnippet }[language](request);
}

function curlSnippet({ path, headers, body, file }) {
  const token = $("token").value ? ` \\\n  -H "Authorization: Bearer $TOKEN"` : "";
  const told = Object.entries(headers).map(([name, value]) => ` \\\n  -H ${quote(`${name}: ${value}`)}`).join("");
  return `curl -s ${quote(location.origin + path)}${told}${token} \\\n  --data-binary ${file ? `@${file}` : quote(body)}`;
}

function pythonSnippet({ path, headers, body, file }) {
  let told = python($("token").value ? { ...headers, Authorization: "Bearer …" } : headers);
  let content = file ? `open(${json(file)}, "rb").read()` : `${json(body)}.encode()`;
  let before = "";
  if (mode === "image") {
    const { name, datatype } = model.inputs[0];
    const head = `{**${python({ name, datatype })}, "shape": tensor.shape, "parameters": {"binary_data_size": tensor.nbytes}}`;
    before = `${pythonPicture()}head = json.dumps({"inputs": [${head}]}).encode()\n`;
    content = "head + tensor.tobytes()";
    told = told.replace('"0"', "str(len(head))");
  } else if (!file && headers["Content-Type"] === "application/json") {
    try {
      before = `request = ${python(JSON.parse(body))}\n`;
      content = "json.dumps(request).encode()";
    } catch {} // not JSON yet: shown as it is typed
  }
  const last = headers.Accept ? "    for line in answer:\n        print(line)" : "    print(json.load(answer))";
  return `import json
import urllib.request

${before}asked = urllib.request.Request(
    ${json(location.origin + path)},
    ${content},
    ${told},
)
with urllib.request.urlopen(asked) as answer:
${last}`;
}

function pythonPicture() {
  const { channels, first, height, width, one } = findPicture();
  const scaled = {
    unit: "picture / 255",
    byte: "picture",
    sign: "picture / 127.5 - 1",
    imagenet: `(picture / 255 - ${json(MEANS.slice(0, channels))}) / ${json(DEVIATIONS.slice(0, channels))}`,
  }[$("scale").value];
  const turned = `${channels === 1 ? "[..., None]" : ""}${first ? ".transpose(2, 0, 1)" : ""}${one ? "[None]" : ""}`;
  return `import numpy as np
from PIL import Image

picture = Image.open("picture.jpg").convert("${channels === 3 ? "RGB" : "L"}")
picture = np.asarray(picture.resize((${width}, ${height})))
tensor = np.asarray(${scaled}, "${NUMPY[model.inputs[0].datatype]}")${turned}
`;
}

// --- the document, to read

function showDocs() {
  const operations = Object.entries(api.paths).flatMap(([path, methods]) =>
    Object.entries(methods).map(([method, operation]) => ({ path, method, operation })));
  const told = operations.filter(({ operation }) => !operation["x-same-as"]);
  const sections = api.tags.map(({ name, description }) => card(name[0].toUpperCase() + name.slice(1), description,
    ...told.filter(({ operation }) => operation.tags.includes(name)).map((item) => showOperation(item, operations))));
  $("docs").replaceChildren(showSignature(), ...sections);
}

function showSignature() {
  const specs = (title, tensors) => make("div", {}, make("h3", {}, title), tensors.length
    ? table(["name", "datatype", "shape"], tensors.map(({ name, datatype, shape }) => [name, datatype, shape]))
    : quiet("whatever it is sent"));
  const chips = (title, values) => (values.length ? make("div", {}, make("h3", {}, title),
    make("ul", { class: "chips" }, ...values.map((value) => make("li", {}, text(value))))) : null);
  return card("Signature", "", make("div", { class: "shape" }, specs("Inputs", model.inputs), specs("Outputs", model.outputs),
    chips("Columns", model.columns), chips("Classes", model.classes)));
}

function card(title, about, ...inside) {
  return make("section", { class: "card" }, make("div", { class: "head" }, make("h2", {}, title), quiet(about)), ...inside);
}

function showOperation({ path, method, operation }, all) {
  const same = all.filter((other) => other.method === method && other.operation["x-same-as"] === path);
  const tries = method === "post" && ["/predict", inferPath()].includes(path);
  const contents = (verb, content) => Object.entries(content || {}).flatMap(([kind, one]) => [make("h3", {}, `${verb} ${kind}`), ...showContent(one)]);
  const code = (...words) => make("code", {}, ...words);
  return make("details", { class: "operation" },
    make("summary", {}, make("span", { class: `method ${method}` }, method.toUpperCase()), code(path), quiet(operation.summary)),
    make("div", { class: "inside small" },
      same.length ? quiet("Also at ", ...same.map((other) => code(`${other.path} `))) : null,
      tries ? make("p", {}, make("a", { href: "/try" }, "Try it")) : null,
      ...(operation.parameters || []).map((one) => make("p", {}, "The header ", code(one.name), ` says ${one.description}.`)),
      ...contents("Takes", operation.requestBody && operation.requestBody.content),
      ...contents("Gives", operation.responses[200] && operation.responses[200].content),
      make("h3", {}, "When it fails"), make("p", {}, "4xx or 5xx with ", code('{"error": "what is wrong, and where"}'))));
}

function showContent({ schema, examples }) {
  const block = (value) => make("pre", { class: "block", tabindex: "0" }, value);
  const [example] = Object.values(examples || {});
  const bare = !schema.$ref && !schema.properties;
  let words = notation(schema, "");
  if (/\bRow\b/.test(words)) words += `\n\nRow: ${notation(api.components.schemas.Row, "")}`;
  const shown = example ? [quiet("For example"), block(typeof example.value === "string" ? example.value : json(example.value, null, 2))] : [];
  return [bare ? quiet(schema.description || schema.type || "") : block(words), ...shown];
}

function resolve(schema) {
  return schema.$ref ? schema.$ref.slice(2).split("/").reduce((place, key) => place[key], api) : schema;
}

// A schema in a few words: [number × 4], "a" | "b"
function notation(schema, indent) {
  if (schema.$ref === "#/components/schemas/Row") return "Row";
  const found = resolve(schema);
  const inner = `${indent}  `;
  const alternatives = found.anyOf || found.oneOf;
  if (alternatives) return [...new Set(alternatives.map((one) => notation(one, indent)))].join(" | ");
  if (found.const !== undefined) return json(found.const);
  if (found.enum) return found.enum.map((value) => json(value)).join(" | ");
  if (found.properties) {
    const lines = Object.entries(found.properties).map(([name, one]) =>
      `${inner}${json(name)}${(found.required || []).includes(name) ? "" : "?"}: ${notation(one, inner)}`);
    return `{\n${lines.join(",\n")}\n${indent}}`;
  }
  if (found.prefixItems) return `[${found.prefixItems.map((one) => notation(one, indent)).join(", ")}]`;
  if (found.type === "array" && found.items) {
    const count = found.maxItems && found.maxItems === found.minItems ? ` × ${found.maxItems}` : ", …";
    return `[${notation(found.items, indent).replace(/^\w.* \| .*$/, "($&)")}${count}]`;
  }
  return [found.type || "any"].flat().join(" | ") + (found.description && !found.type ? ` (${found.description})` : "");
}

// --- wiring

const on = (id, kind, act) => $(id).addEventListener(kind, act);
on("ask", "submit", send);
on("ask", "input", showSnippet);
on("add", "click", () => {
  addRow(model.rows ? model.rows[0] : []);
  showSnippet();
});
on("picture", "change", (event) => event.target.files[0] && draw(event.target.files[0]));
on("token-form", "submit", (event) => {
  event.preventDefault();
  if (!api) return load();
  show($("token-form"), false);
  showSnippet();
});
on("copy", "click", async () => {
  getSelection().selectAllChildren($("snippet"));
  try {
    await navigator.clipboard.writeText($("snippet").textContent); // there is none on plain HTTP beyond this machine
    $("copy").textContent = "Copied";
  } catch {
    $("copy").textContent = "Selected";
  }
  setTimeout(() => { $("copy").textContent = "Copy"; }, 1500);
});

async function take(file) {
  dropped = file.name.endsWith(".npy") ? file : null;
  $("text").value = dropped ? `${file.name}, ${file.size} bytes` : await file.text();
  showSnippet();
}
on("text", "input", () => { dropped = null; });
on("file", "change", (event) => event.target.files[0] && take(event.target.files[0]));
for (const kind of ["dragover", "dragleave", "drop"]) {
  on("ask", kind, (event) => {
    event.preventDefault();
    $("text").classList.toggle("over", kind === "dragover");
    const file = kind === "drop" && event.dataTransfer.files[0];
    if (!file) return;
    if (mode === "image") draw(file);
    else {
      $("tab-text").click();
      take(file);
    }
  });
}
load();
