// The page: it draws the newest update, says that it has drawn it, and sends what the user asks for.

const $ = (id) => document.getElementById(id);
const QUERY = new URLSearchParams(location.search), TOKEN = QUERY.get("token");
const withToken = (path) => TOKEN ? `${path}?token=${encodeURIComponent(TOKEN)}` : path;
const TRACE_SECONDS = 10;
const RETRY = 1000;  // ms
const FULL_TENSION = 16;  // N, of a full bar and of the strongest colour of a cable
const STATE_PERIOD = 100;  // ms; numbers that change more often cannot be read
// Shortest time between two frames where a processor draws [ms]; updates are received and answered meanwhile.
const SLOW_PERIOD = 160 / (navigator.hardwareConcurrency || 2);

let view = null, socket = null, newest = null, picture = null, shown = null, held = null, idleChange = 0;
let stated = 0, drawn = 0, jpeg = null;
const traces = [], arrivals = [], sliders = {};

function send(request) {
  if (socket && socket.readyState === WebSocket.OPEN) socket.send(JSON.stringify(request));
}

function connect() {
  const scheme = location.protocol === "https:" ? "wss:" : "ws:";
  const opened = socket = new WebSocket(`${scheme}//${location.host}${withToken("/updates")}`);
  opened.binaryType = "arraybuffer";
  opened.onopen = () => { $("lost").hidden = true; };
  opened.onmessage = (event) => typeof event.data === "string" ? answer(JSON.parse(event.data)) : receive(event.data);
  opened.onclose = () => {
    $("lost").hidden = false;
    setTimeout(connect, RETRY);
  };
}

// An update: length of the header, header, vertices, picture; `eva_sim/live/wire.py` packs it.
function receive(buffer) {
  const length = new DataView(buffer).getUint32(0, true);
  const header = JSON.parse(new TextDecoder().decode(new Uint8Array(buffer, 4, length)));
  const {vertices, picture: size} = header.sizes;
  if (document.visibilityState === "hidden") return;  // a page that nobody sees is silent, as a lost one is
  if (view) {
    view.update(new Int16Array(buffer, 4 + length, vertices / 2));
    view.cables.update(header.cables, header.tension.map((tension) => Math.min(1, tension / FULL_TENSION)));
  }
  newest = shown = header;
  keepTrace(header);
  send({type: "seen", number: header.number});
  arrivals.push(performance.now());
  while (arrivals[0] < performance.now() - 2000) arrivals.shift();
  if (size) jpeg = new Uint8Array(buffer, 4 + length + vertices, size);
}

// Shows the newest picture of the person with its landmarks, once it is decoded.
async function showPerson(header) {
  if (jpeg) {
    const blob = new Blob([jpeg], {type: "image/jpeg"});
    jpeg = null;
    const decoded = await createImageBitmap(blob);
    if (picture) picture.close();
    picture = decoded;
  }
  if (picture) drawPerson(header.points || []);
}

function answer(message) {
  if (message.error || message.note) say(message.error || message.note, Boolean(message.error));
  if (message.file) save(message.file, message.text);
}

// Shows a text. The same text again would make the browser lay out the page anew.
function put(element, text) {
  if (element.textContent !== text) element.textContent = text;
}

const camera = new PageCamera((jpeg) => socket.send(jpeg),
  () => socket && socket.readyState === WebSocket.OPEN && socket.bufferedAmount === 0);

async function switchCamera() {
  try {
    if (camera.stream) camera.stop(); else await camera.start();
  } catch (error) {
    say(`There are no pictures: ${error.message || error}`, true);
  }
  put($("own-camera"), camera.stream ? "Switch the camera off" : "Use the camera of this browser");
}

let said = 0;
function say(text, trouble) {
  put($("state"), text);
  $("state").title = text;
  $("state").classList.toggle("trouble", trouble);
  said = performance.now() + 6000;
}

function save(name, text) {
  const link = document.createElement("a");
  link.href = URL.createObjectURL(new Blob([text], {type: "text/plain"}));
  link.download = name;
  link.click();
  URL.revokeObjectURL(link.href);
}

function frame() {
  requestAnimationFrame(frame);
  if (view && view.slow && performance.now() < drawn + SLOW_PERIOD) return;
  drawn = performance.now();
  if (newest) {
    const header = newest;
    newest = null;
    if (performance.now() > stated + STATE_PERIOD) showState(header);
    showPerson(header);
    drawTraces(header);
  }
  if (view) view.draw();
}

function showState(header) {
  stated = performance.now();
  for (const [id, on] of [["mirror", header.mode === "mirror"], ["panel", header.mode === "panel"],
    ["record", header.recording], ["replay", header.mode === "replay"]]) $(id).classList.toggle("on", on);
  $("replay").disabled = $("export-animation").disabled = !header.recorded;
  $("arm").hidden = !header.robot;
  $("arm").disabled = header.armed;
  if (performance.now() > idleChange) $("idle").checked = header.idle;
  put($("prompt"), header.prompt);
  const span = (arrivals[arrivals.length - 1] - arrivals[0]) / 1000;
  put($("rate"), span > 0.2 ? `${((arrivals.length - 1) / span).toFixed(1)} / s` : "–");
  put($("delay"), header.delay === null ? "–" : `${header.delay.toFixed(0)} ms`);
  if (performance.now() > said) {
    const armed = header.robot ? (header.armed ? "The robot is armed." : "The robot is not armed: nothing moves it.") : "";
    put($("state"), $("state").title = header.trouble || armed);
    $("state").classList.toggle("trouble", Boolean(header.trouble));
  }
  header.sent.forEach((value, i) => showSlider(PANEL.face[i], value));
  (header.temperature || []).forEach((degrees, i) => {
    put(sliders[PANEL.face[i]].heat, degrees === null ? "" : `${degrees.toFixed(0)} °C`);
  });
  header.tension.forEach((value, i) => {
    const row = $("tension").children[i];
    row.firstChild.style.transform = `scaleX(${Math.min(1, value / FULL_TENSION).toFixed(3)})`;
    put(row.lastChild, value.toFixed(1));
  });
}

function showSlider(name, value) {
  const slider = sliders[name];
  if (held === name || performance.now() < slider.until) return;
  const text = value.toFixed(2);
  if (slider.output.textContent === text) return;
  slider.input.value = value;
  slider.output.textContent = text;
}

function drawPerson(points) {
  const canvas = $("person");
  const height = Math.round(canvas.clientWidth * picture.height / picture.width);
  if (canvas.width !== canvas.clientWidth || canvas.height !== height) {
    [canvas.width, canvas.height] = [canvas.clientWidth, height];
  }
  const pen = canvas.getContext("2d");
  pen.drawImage(picture, 0, 0, canvas.width, canvas.height);
  pen.fillStyle = "#50e6a0";
  for (let i = 0; i < points.length; i += 2) {
    pen.fillRect(points[i] * canvas.width - 1, points[i + 1] * canvas.height - 1, 2, 2);
  }
}

// Every update is kept, also those that come faster than the page draws.
function keepTrace(header) {
  traces.push([header.time, header.person_mouth, header.mouth]);
  while (traces[0][0] < header.time - TRACE_SECONDS) traces.shift();
}

function drawTraces(header) {
  const canvas = $("traces"), pen = canvas.getContext("2d");
  if (canvas.width !== canvas.clientWidth) canvas.width = canvas.clientWidth;
  pen.clearRect(0, 0, canvas.width, canvas.height);
  const most = Math.max(0.1, ...traces.flatMap((row) => [row[1] || 0, row[2]]));
  for (const [column, colour] of [[1, "#d9822b"], [2, "#2d5bd0"]]) {
    pen.strokeStyle = colour;
    pen.lineWidth = 1.6;
    pen.beginPath();
    let drawn = false;
    for (const row of traces) {
      if (row[column] === null) { drawn = false; continue; }
      const x = canvas.width * (1 + (row[0] - header.time) / TRACE_SECONDS);
      const y = canvas.height - 6 - (canvas.height - 12) * row[column] / most;
      if (drawn) pen.lineTo(x, y); else pen.moveTo(x, y);
      drawn = true;
    }
    pen.stroke();
  }
}

function makeSlider(about) {
  const row = document.createElement("label"), text = document.createElement("span");
  row.className = "slider";
  row.title = about.meaning;
  const name = document.createElement("b"), codes = document.createElement("small");
  name.textContent = about.name.replaceAll("_", " ");
  codes.textContent = `${about.codes} ${about.meaning}`;
  text.append(name, codes);
  const input = document.createElement("input"), figures = document.createElement("span");
  const output = document.createElement("output"), heat = document.createElement("i");
  heat.title = "temperature of the servo";
  figures.append(output, heat);
  Object.assign(input, {type: "range", min: -1, max: 1, step: 0.01, value: about.neutral, id: `slider-${about.name}`});
  output.textContent = about.neutral.toFixed(2);
  row.append(text, input, figures);
  sliders[about.name] = {input, output, heat, until: 0};
  input.addEventListener("pointerdown", () => { held = about.name; });
  input.addEventListener("pointerup", () => { held = null; });
  input.addEventListener("input", () => {
    const names = [about.name];
    if ($("both").checked && about.other_side) names.push(about.other_side);
    for (const each of names) {
      Object.assign(sliders[each], {until: performance.now() + 500});
      sliders[each].input.value = input.value;
      sliders[each].output.textContent = Number(input.value).toFixed(2);
      send({type: "slider", name: each, value: Number(input.value)});
    }
  });
  return row;
}

function makePanel() {
  $("title").textContent = PANEL.title;
  for (const [region, rows] of Object.entries(PANEL.regions)) {
    const heading = document.createElement("h2");
    heading.textContent = region;
    $("sliders").append(heading, ...rows.map(makeSlider));
  }
  for (const name of PANEL.expressions) $("expression").add(new Option(name));
  for (const name of PANEL.cables) {
    const row = document.createElement("div");
    row.innerHTML = "<i></i><span></span><span></span>";
    row.children[1].textContent = name.replaceAll("_", " ");
    $("tension").append(row);
  }
  const express = () => send({
    type: "expression", name: $("expression").value, intensity: Number($("intensity").value),
  });
  $("expression").addEventListener("change", express);
  $("intensity").addEventListener("input", express);
  const clicked = (id, request) => $(id).addEventListener("click", () => send(request()));
  clicked("neutral", () => ({type: "neutral"}));
  clicked("mirror", () => ({type: "mode", mode: "mirror"}));
  clicked("panel", () => ({type: "mode", mode: "panel"}));
  clicked("record", () => ({type: "record", on: !(shown && shown.recording)}));
  clicked("replay", () => ({type: "replay"}));
  clicked("export-pose", () => ({type: "export", what: "pose"}));
  clicked("export-animation", () => ({type: "export", what: "animation"}));
  clicked("arm", () => ({type: "arm"}));
  clicked("stop", () => ({type: "stop"}));
  $("own-camera").hidden = !PANEL.browser_camera;
  $("own-camera").addEventListener("click", switchCamera);
  $("idle").addEventListener("change", () => {
    idleChange = performance.now() + 500;
    send({type: "idle", on: $("idle").checked});
  });
  $("displacement").addEventListener("change", () => {
    view.displacement = $("displacement").checked;
    view.changed = true;
    $("scale").hidden = !view.displacement;
  });
  $("cables").addEventListener("change", () => {
    view.transparent = $("cables").checked;
    view.changed = true;
  });
  $("front").addEventListener("click", () => view.turn(0, 0));
  $("side").addEventListener("click", () => view.turn(Math.PI / 2, 0));
  addEventListener("keydown", (event) => {
    if (event.code === "Space" && !["INPUT", "SELECT"].includes(event.target.tagName)) {
      event.preventDefault();
      send({type: "stop"});
    }
  });
}

async function begin() {
  makePanel();
  try {
    const scene = await fetch(withToken("/scene"));
    if (!scene.ok) throw new Error(await scene.text());
    view = new HeadView($("head"), await scene.arrayBuffer(), QUERY.get("quality") === "fine");
  } catch (error) {
    say(String(error.message || error), true);
    console.error(error);
  }
  connect();
  requestAnimationFrame(frame);
}

begin();
