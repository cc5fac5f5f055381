// The two pages of a model: trying it (/ and /try), and reading what its server answers (/docs).
// Both are made from /openapi.json. What a model says goes into the page as text, never as HTML.
"use strict";

const MOST_FIELDS = 128;
const MOST_SHOWN = 100;
const MOST_BARS = 10;
const MOST_CHARTS = 5;
const LONGEST_SNIPPET = 4000;

let api = null; // the document
let model = null; // what it says of the model
let columns = null; // the form's fields, where rows have any
let mode = "";
let language = "curl";
let dropped = null; // a file that is sent as it is

// --- making elements

const $ = (id) => document.getElementById(id);

function make(tag, attributes, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes || {})) {
    if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
    else if (value === true) element.setAttribute(name, "");
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
      const on = tab.dataset.key === key;
      tab.setAttribute("aria-selected", on);
      tab.tabIndex = on ? 0 : -1;
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

function withToken(headers) {
  const token = $("token").value;
  return token ? { ...headers, Authorization: `Bearer ${token}` } : headers;
}

class Refusal extends Error {
  constructor(status, message) {
    super(message);
    this.status = status;
  }
}

async function refusal(response) {
  const text = await response.text();
  let message = text.slice(0, 500) || response.statusText;
  try {
    message = JSON.parse(text).error || message;
  } catch {} // not in the server's own form: a proxy's, perhaps
  return new Refusal(response.status, message);
}

async function ask(path, options = {}) {
  const response = await fetch(path, { ...options, headers: withToken(options.headers) });
  if (!response.ok) throw await refusal(response);
  return response;
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
  show($("try"), !docs);
  show($("docs"), docs);
  if (docs) showDocs();
  else showTry();
}

function findColumns() {
  const { inputs, columns: names } = model;
  const flat = (spec) => spec.shape.length === 1 || (spec.shape.length === 2 && spec.shape[1] === 1);
  if (!inputs.length) return null;
  if (names.length && inputs.length === 1) return names.map((name) => ({ name, datatype: inputs[0].datatype, key: name }));
  if (inputs.every((spec) => flat(spec) && spec.shape[0] === -1))
    return inputs.map((spec) => ({ name: spec.name, datatype: spec.datatype, key: spec.name }));
  const [{ name, shape, datatype }] = inputs;
  if (inputs.length > 1 || shape.length !== 2 || shape[1] < 1) return null;
  return Array.from({ length: shape[1] }, (_, place) => ({ name: `${name} ${place + 1}`, datatype }));
}

function findPicture() {
  if (model.inputs.length !== 1 || !["FP32", "FP64", "UINT8"].includes(model.inputs[0].datatype)) return null;
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
  $("text").value = example ? JSON.stringify(example, null, 1) : "";
  makeTabs($("modes"), modes, (key) => {
    mode = key;
    for (const [name, , panel] of modes) show($(panel), name === key);
    showSnippet();
  });
  const languages = [["curl", "curl", "snippet"], ["python", "Python", "snippet"], ["triton", "tritonclient", "snippet"]];
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
  const cell = (column, index) => (Array.isArray(values) ? values[index] : values && typeof values === "object" ? values[column.name] : values);
  const remove = (event) => {
    event.target.closest("fieldset").remove();
    [...$("rows").children].forEach((row, index) => { row.querySelector("legend span").textContent = `Row ${index + 1}`; });
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
    input.value = value === undefined || value === null ? "" : typeof value === "object" ? JSON.stringify(value) : value;
  }
  input.dataset.datatype = datatype;
  return make("div", {}, make("label", { for: id }, column.name), input);
}

function literal(input) {
  const { value, dataset } = input;
  if (dataset.datatype === "BYTES") return JSON.stringify(value);
  if (dataset.datatype === "BOOL") return value;
  if (value === "") return "null";
  return dataset.datatype.includes("INT") && /^-?\d+$/.test(value) ? String(BigInt(value)) : String(Number(value));
}

function readForm() {
  return [...$("rows").children].map((row) => [...row.querySelectorAll("input, select")].map(literal));
}

function rowText(cells) {
  if (columns.every((column) => column.key === undefined)) return `[${cells.join(", ")}]`;
  return `{${cells.map((cell, index) => `${JSON.stringify(columns[index].key)}: ${cell}`).join(", ")}}`;
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
    const [red, green, blue] = data.subarray(pixel * 4, pixel * 4 + 3);
    const found = channels === 3 ? [red, green, blue] : [0.299 * red + 0.587 * green + 0.114 * blue];
    found.forEach((value, channel) => {
      values[first ? channel * height * width + pixel : pixel * channels + channel] = scale(value, channel);
    });
  }
  const shape = first ? [channels, height, width] : [height, width, channels];
  return { values, shape: one ? [1, ...shape] : shape };
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
  const head = JSON.stringify({ inputs: [{ name, datatype, shape, parameters: { binary_data_size: values.byteLength } }] });
  const bytes = new TextEncoder().encode(head);
  return { path: inferPath(), headers: { "Inference-Header-Content-Length": String(bytes.length) }, body: new Blob([bytes, values]), shape };
}

function textRequest() {
  if (dropped) return { path: "/predict", headers: { "Content-Type": "application/x-npy" }, body: dropped };
  const body = $("text").value;
  if (!/^\s*[[{]/.test(body)) return { path: "/predict", headers: { "Content-Type": "text/csv" }, body };
  let document;
  try {
    document = JSON.parse(body);
  } catch {
    const lines = body.trim().split("\n");
    if (lines.length > 1 && lines.every((line) => /^\s*(\[.*\]|\{.*\})?\s*$/.test(line)))
      return { path: "/predict", headers: { "Content-Type": "application/x-ndjson" }, body };
  }
  const tensors = document && Array.isArray(document.inputs) && document.inputs[0] && document.inputs[0].datatype;
  return { path: tensors ? inferPath() : "/predict", headers: JSON_TYPE, body };
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
  $("raw-text").textContent = text.length > 20000 ? `${text.slice(0, 20000)} …` : text;
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

function areShares(name, rows) {
  const share = (row) => Array.isArray(row) && row.length > 1 && row.every((value) => value >= 0 && value <= 1) &&
    Math.abs(row.reduce((sum, value) => sum + value, 0) - 1) < 0.01;
  return Array.isArray(rows) && rows.length > 0 && rows.every(share);
}

function showOutput({ name, rows, note }, _, outputs) {
  const title = make("h3", {}, note ? `${name} (${note})` : name);
  if (!Array.isArray(rows)) return [title, make("p", { class: "one" }, text(rows))];
  if (areShares(name, rows)) return [title, ...rows.slice(0, MOST_CHARTS).map((row, place) => showBars(row, rows.length > 1 ? place : null)).flat()];
  const single = rows.length === 1 && !Array.isArray(rows[0]);
  return single ? [title, make("p", { class: "one" }, text(rows[0]))] : [title, showTable(rows, outputs)];
}

function showBars(row, place) {
  const label = (index) => (model.classes.length === row.length ? text(model.classes[index]) : `class ${index}`);
  const best = row.map((value, index) => ({ value, label: label(index) })).sort((a, b) => b.value - a.value).slice(0, MOST_BARS);
  const bars = best.map(({ value, label: name }, rank) => {
    const bar = make("span", { class: "bar" });
    bar.style.width = `${value * 100}%`;
    return make("li", {}, make("span", { class: rank ? "" : "best" }, name), make("span", { class: rank ? "track" : "track best", "aria-hidden": "true" }, bar),
      make("span", { class: rank ? "value" : "value best" }, `${(value * 100).toFixed(1)} %`));
  });
  const list = make("ul", { class: "bars", "aria-label": place === null ? "Probabilities" : `Probabilities of row ${place + 1}` }, ...bars);
  return place === null ? [list] : [make("p", { class: "quiet small" }, `row ${place + 1}`), list];
}

function showTable(rows) {
  const wide = rows.some((row) => Array.isArray(row));
  const width = wide ? Math.min(Math.max(...rows.map((row) => (Array.isArray(row) ? row.length : 1))), 20) : 1;
  const heads = [make("th", { scope: "col" }, "row"), ...Array.from({ length: width }, (_, index) => make("th", { scope: "col" }, wide ? String(index) : "value"))];
  const lines = rows.slice(0, MOST_SHOWN).map((row, place) => make("tr", {}, make("td", { class: "count" }, String(place + 1)),
    ...(wide ? row.slice(0, width) : [row]).map((value) => make("td", {}, text(value)))));
  const more = rows.length > MOST_SHOWN ? make("p", { class: "quiet small" }, `${rows.length - MOST_SHOWN} more rows are below, as they came.`) : null;
  return make("div", { class: "scroll", tabindex: "0" }, make("table", {}, make("thead", {}, make("tr", {}, ...heads)), make("tbody", {}, ...lines)), more);
}

function text(value) {
  if (typeof value === "number" && !Number.isInteger(value)) return String(Number(value.toPrecision(6)));
  return typeof value === "string" ? value : JSON.stringify(value);
}

async function showStream(response) {
  const shown = make("p", { class: "stream" });
  $("result").replaceChildren(shown);
  show($("raw"), false);
  const told = (line) => {
    const { model_name: _, model_version: __, id: ___, error, ...values } = JSON.parse(line);
    if (error) throw new Error(error);
    for (const value of Object.values(values)) shown.append(typeof value === "string" ? value : `${JSON.stringify(value)} `);
  };
  const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
  let rest = "";
  for (;;) {
    const { done, value } = await reader.read();
    const lines = (rest + (value || "")).split("\n");
    rest = done ? "" : lines.pop();
    lines.filter((line) => line.trim()).forEach(told);
    if (done) return;
  }
}

// --- snippets

function python(value) {
  if (value === null) return "None";
  if (typeof value === "boolean") return value ? "True" : "False";
  if (Array.isArray(value)) return `[${value.map(python).join(", ")}]`;
  if (typeof value === "object") return `{${Object.entries(value).map(([key, item]) => `${JSON.stringify(key)}: ${python(item)}`).join(", ")}}`;
  return JSON.stringify(value);
}

const quote = (value) => `'${value.replaceAll("'", "'\\''")}'`;

function showSnippet() {
  if (!model || !mode) return;
  const request = mode === "image"
    ? { path: inferPath(), headers: { "Inference-Header-Content-Length": "0" }, file: "picture.raw" } : makeRequest();
  const kind = request.headers["Content-Type"];
  if (!request.file && (typeof request.body !== "string" || request.body.length > LONGEST_SNIPPET))
    request.file = { "text/csv": "rows.csv", "application/x-npy": "rows.npy" }[kind] || "request.json";
  $("snippet").textContent = { curl: curlSnippet, python: pythonSnippet, triton: tritonSnippet }[language](request);
}

function curlSnippet({ path, headers, body, file }) {
  const token = $("token").value ? ` \\\n  -H "Authorization: Bearer $TOKEN"` : "";
  const told = Object.entries(headers).map(([name, value]) => ` \\\n  -H ${quote(`${name}: ${value}`)}`).join("");
  return `curl -s ${quote(location.origin + path)}${told}${token} \\\n  --data-binary ${file ? `@${file}` : quote(body)}`;
}

function pythonSnippet({ path, headers, body, file }) {
  const token = $("token").value ? { ...headers, Authorization: "Bearer …" } : headers;
  let content = file ? `open(${JSON.stringify(file)}, "rb").read()` : `${JSON.stringify(body)}.encode()`;
  let before = "";
  if (!file && headers["Content-Type"] === "application/json") {
    try {
      before = `request = ${python(JSON.parse(body))}\n`;
      content = "json.dumps(request).encode()";
    } catch {} // not JSON yet: shown as it is typed
  }
  const lines = headers.Accept || file === "picture.raw" ? "    print(answer.read())" : "    print(json.load(answer))";
  return `import json\nimport urllib.request\n\n${before}asked = urllib.request.Request(\n    ${JSON.stringify(location.origin + path)},\n    ${content},\n    ${python(token)},\n)\nwith urllib.request.urlopen(asked) as answer:\n${lines}`;
}

const NUMPY = { BOOL: "bool", FP16: "float16", BF16: "float32", FP32: "float32", FP64: "float64", BYTES: "object" };

function tritonSnippet() {
  const known = mode === "form" ? formTensors() : (model.example ? model.example.inputs : [])
    .map(({ name, datatype, shape, data }) => ({ name, datatype, shape, values: python(data) }));
  const tensors = known.length ? known : model.inputs.map(({ name, datatype, shape }) => ({ name, datatype, shape: shape.map((size) => Math.abs(size)), values: null }));
  const inputs = tensors.map(({ name, datatype, shape, values }) => {
    const dtype = `np.${NUMPY[datatype] || datatype.toLowerCase()}`.replace("np.object", "object").replace("np.bool", "bool");
    const array = values === null ? `np.zeros(${JSON.stringify(shape)}, ${dtype})` : `np.array(${values}, ${dtype}).reshape(${JSON.stringify(shape)})`;
    return `tensor = http.InferInput(${JSON.stringify(name)}, ${JSON.stringify(shape)}, "${datatype}")\ntensor.set_data_from_numpy(${array})\ninputs.append(tensor)\n`;
  });
  const token = $("token").value ? `, headers={"Authorization": "Bearer …"}` : "";
  return `import numpy as np\nimport tritonclient.http as http\n\nclient = http.InferenceServerClient(${JSON.stringify(location.host)})\ninputs = []\n${inputs.join("")}answer = client.infer(${JSON.stringify(model.name)}, inputs${token})\nprint(answer.get_response())`;
}

function formTensors() {
  const rows = readForm().map((row) => row.map((cell) => ({ null: "np.nan", true: "True", false: "False" })[cell] || cell));
  if (model.inputs.length === 1) {
    const shape = model.inputs[0].shape.length === 1 ? [rows.length] : [rows.length, columns.length];
    return [{ ...model.inputs[0], shape, values: `[${rows.map((row) => `[${row.join(", ")}]`).join(", ")}]` }];
  }
  return model.inputs.map((spec, index) => ({ ...spec, shape: [rows.length, ...spec.shape.slice(1)],
    values: `[${rows.map((row) => row[index]).join(", ")}]` }));
}

// --- the document, to read

function showDocs() {
  const operations = Object.entries(api.paths).flatMap(([path, methods]) =>
    Object.entries(methods).map(([method, operation]) => ({ path, method, operation })));
  const told = operations.filter(({ operation }) => !operation["x-same-as"]);
  const sections = api.tags.map(({ name, description }) => {
    const inside = told.filter(({ operation }) => operation.tags.includes(name));
    return make("section", { class: "card" }, make("div", { class: "head" }, make("h2", {}, name[0].toUpperCase() + name.slice(1)), make("span", { class: "quiet small" }, description)),
      ...inside.map((item) => showOperation(item, operations)));
  });
  $("docs").replaceChildren(showSignature(), ...sections);
}

function showSignature() {
  const table = (title, specs) => make("div", {}, make("h3", {}, title), specs.length ? make("div", { class: "scroll" }, make("table", {},
    make("thead", {}, make("tr", {}, ...["name", "datatype", "shape"].map((head) => make("th", { scope: "col" }, head)))),
    make("tbody", {}, ...specs.map((spec) => make("tr", {}, ...[spec.name, spec.datatype, JSON.stringify(spec.shape)].map((cell) => make("td", {}, cell)))))))
    : make("p", { class: "quiet" }, "whatever it is sent"));
  const chips = (title, values) => (values.length ? make("div", {}, make("h3", {}, title), make("ul", { class: "chips" }, ...values.map((value) => make("li", {}, text(value))))) : null);
  return make("section", { class: "card" }, make("div", { class: "head" }, make("h2", {}, "Signature")),
    make("div", { class: "shape" }, table("Inputs", model.inputs), table("Outputs", model.outputs), chips("Columns", model.columns), chips("Classes", model.classes)));
}

function showOperation({ path, method, operation }, all) {
  const same = all.filter((other) => other.method === method && other.operation["x-same-as"] === path);
  const tries = ["/predict", inferPath()].includes(path) && method === "post";
  const bodies = Object.entries((operation.requestBody || { content: {} }).content);
  const answers = Object.entries(operation.responses).flatMap(([status, response]) =>
    Object.entries(resolve(response).content || {}).map(([kind, content]) => ({ status, kind, content })));
  const parameters = (operation.parameters || []).map((one) => make("p", {}, make("code", {}, one.name), ` ${one.description}`));
  return make("details", { class: "operation" },
    make("summary", {}, make("span", { class: `method ${method}` }, method.toUpperCase()), make("code", {}, path), make("span", { class: "quiet small" }, operation.summary)),
    make("div", { class: "inside small" },
      same.length ? make("p", { class: "quiet" }, "Also at ", ...same.map((other) => make("code", {}, `${other.path} `))) : null,
      tries ? make("p", {}, make("a", { href: "/try" }, "Try it")) : null,
      ...(parameters.length ? [make("h3", {}, "Headers"), ...parameters] : []),
      ...bodies.flatMap(([kind, content]) => [make("h3", {}, `Takes ${kind}`), ...showContent(content)]),
      ...answers.filter(({ status }) => status === "200").flatMap(({ kind, content }) => [make("h3", {}, `Gives ${kind}`), ...showContent(content)]),
      make("h3", {}, "When it fails"), make("p", {}, "4xx or 5xx with ", make("code", {}, '{"error": "what is wrong, and where"}'))));
}

function showContent({ schema, examples }) {
  const block = (value) => make("pre", { class: "block", tabindex: "0" }, value);
  const shown = Object.keys(schema).length ? [block(notation(schema, ""))] : [];
  return [...shown, ...Object.entries(examples || {}).flatMap(([name, { value }]) =>
    [make("p", { class: "quiet" }, `Example: ${name}`), block(typeof value === "string" ? value : JSON.stringify(value, null, 2))])];
}

function resolve(schema) {
  if (!schema.$ref) return schema;
  return schema.$ref.slice(2).split("/").reduce((place, key) => place[key], api);
}

// A schema in a few words: {"name": number, ...}, [number × 4], "a" | "b".
function notation(schema, indent) {
  const found = resolve(schema);
  const inner = `${indent}  `;
  const alternatives = found.anyOf || found.oneOf;
  if (alternatives) return [...new Set(alternatives.map((one) => notation(one, indent)))].join(" | ");
  if (found.const !== undefined) return JSON.stringify(found.const);
  if (found.enum) return found.enum.map((value) => JSON.stringify(value)).join(" | ");
  if (found.properties) {
    const lines = Object.entries(found.properties).map(([name, one]) =>
      `${inner}${JSON.stringify(name)}${(found.required || []).includes(name) ? "" : "?"}: ${notation(one, inner)}`);
    return `{\n${lines.join(",\n")}\n${indent}}`;
  }
  if (found.prefixItems) return `[${found.prefixItems.map((one) => notation(one, indent)).join(", ")}]`;
  if (found.type === "array" && found.items) {
    const count = found.maxItems && found.maxItems === found.minItems ? ` × ${found.maxItems}` : ", …";
    return `[${notation(found.items, indent)}${count}]`;
  }
  return [found.type || "any"].flat().join(" | ") + (found.description && !found.type ? ` (${found.description})` : "");
}

// --- wiring

$("ask").addEventListener("submit", send);
$("ask").addEventListener("input", showSnippet);
$("add").addEventListener("click", () => {
  addRow(model.rows ? model.rows[0] : []);
  showSnippet();
});
$("picture").addEventListener("change", (event) => event.target.files[0] && draw(event.target.files[0]));
$("token-form").addEventListener("submit", (event) => {
  event.preventDefault();
  if (api) show($("token-form"), false);
  else load();
  if (api) showSnippet();
});
$("copy").addEventListener("click", async () => {
  const range = document.createRange();
  range.selectNodeContents($("snippet"));
  getSelection().removeAllRanges();
  getSelection().addRange(range);
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
$("text").addEventListener("input", () => { dropped = null; });
$("file").addEventListener("change", (event) => event.target.files[0] && take(event.target.files[0]));
for (const kind of ["dragover", "dragleave", "drop"]) {
  $("ask").addEventListener(kind, (event) => {
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
