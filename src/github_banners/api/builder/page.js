// The builder page: draws the chosen banner while the user types, and copies the code for a README.
// Everything that is chosen is in the form; the form's state is also the query of the page's address.

const UPDATE_MILLISECONDS = 400;
const MAX_RETRIES = 10;
const MIN_CONTRAST = 4.5;
const PAGE_DEFAULTS = {view: "both", code: "picture", ground: "all", layout: "classic"};
const NO_TEXT_COLOURS = ["bg_color", "border_color"];

const page = JSON.parse(document.getElementById("page-data").textContent);
const {words, base} = page;
const form = document.getElementById("builder");
const byId = (id) => document.getElementById(id);
const palettes = Object.fromEntries(Object.entries(page.colours).map(([theme, colours]) =>
  [theme, Object.fromEntries(colours.split(" ").map((colour, index) => [page.parts[index], colour]))]));
const permanentUrls = new Map();

let displayName = "";
let nameOf = "";
let updateTimer = 0;
let lastUpdate = -Infinity;
let isTyping = false;
let retries = 0;
let request = new AbortController();
// Parameters of the address that are no options; the API says what they were meant to be.
let unknown = {};

const fillIn = (text, values) => text.replace(/\{(\w+)\}/g, (_, name) => values[name] ?? "");
const login = () => form.elements.username.value.trim();
const checked = (name) => form.querySelector(`[name=${name}]:checked`)?.value ?? PAGE_DEFAULTS[name];
const controls = () => [...form.querySelectorAll(".control")];
const labelOf = (name) => page.labels[name] ?? name;

// The options of the banner: those that differ from the API's defaults, and always the type.
function readOptions() {
  const options = {};
  for (const control of controls()) {
    const value = readControl(control);
    if (value !== control.dataset.default || control.dataset.name === "type") options[control.dataset.name] = value;
  }
  if (checked("layout") !== PAGE_DEFAULTS.layout) options.layout = checked("layout");
  return options;
}

function readControl(control) {
  const {kind, name} = control.dataset;
  if (kind === "choices") return [...control.querySelectorAll(":checked")].map((box) => box.value).join(",");
  if (kind === "switch") return String(control.querySelector("[type=checkbox]").checked);
  return control.querySelector(`[name="${name}"]`).value.trim() || control.dataset.default;
}

function writeControl(control, value) {
  const {kind, name} = control.dataset;
  if (kind === "choices") {
    const values = value.split(",");
    for (const box of control.querySelectorAll("input")) box.checked = values.includes(box.value);
  } else if (kind === "switch") {
    control.querySelector("[type=checkbox]").checked = value.toLowerCase() !== "false";
  } else {
    const field = control.querySelector(`[name="${name}"]`);
    field.value = value;
    // A value that the list lacks stays chosen: the preview explains it.
    if (field.value !== value && kind === "choice") {
      field.add(new Option(value, value));
      field.value = value;
    }
  }
}

function pictureUrl(options) {
  const [path, user] = login() ? ["/banners/preview", {username: login()}] : ["/page/sample.svg", {}];
  return `${base}${path}?${new URLSearchParams({...user, ...options})}`;
}

// A pair of themes is shown by its light and its dark one; any other theme is the same on both.
const lightAndDark = (type) => page.pairs[type] ?? [type, type];

// ---- The address -------------------------------------------------------------------------------

function writeAddress() {
  const query = new URLSearchParams(login() ? {username: login()} : {});
  for (const [name, value] of Object.entries(readOptions())) {
    if (name !== "type" || value !== defaultOf("type")) query.set(name, value);
  }
  for (const name of ["view", "code", "ground"]) {
    if (checked(name) !== PAGE_DEFAULTS[name]) query.set(name, checked(name));
  }
  for (const [name, value] of Object.entries(unknown)) query.set(name, value);
  const lang = new URLSearchParams(location.search).get("lang");
  if (lang) query.set("lang", lang);
  const search = query.size ? `?${query}` : "";
  if (search === location.search) return;
  history[isTyping ? "replaceState" : "pushState"](null, "", `${location.pathname}${search}${location.hash}`);
  isTyping = false;
  for (const link of document.querySelectorAll("[data-lang]")) {
    query.set("lang", link.dataset.lang);
    link.href = `${base}/?${query}`;
  }
}

const defaultOf = (name) => form.querySelector(`.control[data-name="${name}"]`).dataset.default;

function readAddress() {
  const query = new URLSearchParams(location.search);
  const known = ["username", "lang", ...Object.keys(PAGE_DEFAULTS), ...controls().map(({dataset}) => dataset.name)];
  unknown = Object.fromEntries([...query].filter(([name]) => !known.includes(name)));
  form.elements.username.value = query.get("username") ?? "";
  for (const control of controls()) writeControl(control, query.get(control.dataset.name) ?? control.dataset.default);
  for (const [name, value] of Object.entries(PAGE_DEFAULTS)) {
    const wanted = query.get(name) ?? value;
    for (const box of form.querySelectorAll(`[name=${name}]`)) box.checked = box.value === wanted;
  }
}

// ---- Updates -----------------------------------------------------------------------------------

function scheduleUpdate(milliseconds) {
  clearTimeout(updateTimer);
  const earliest = lastUpdate + UPDATE_MILLISECONDS - performance.now();
  updateTimer = setTimeout(update, Math.max(milliseconds, earliest));
}

function update() {
  clearTimeout(updateTimer);
  lastUpdate = performance.now();
  writeAddress();
  showPictures();
  showCode();
  showContrasts();
  showThemes();
  checkChoices();
}

function showPictures() {
  const options = readOptions();
  const [width, height] = page.sizes[checked("layout")] ?? page.sizes.classic;
  lightAndDark(options.type).forEach((type, index) => {
    const picture = byId(["light", "dark"][index]);
    // A picture that was an explanation is in the browser's cache: another address replaces it.
    const url = pictureUrl({...options, type, ...(retries && {retry: retries})});
    [picture.width, picture.height] = [width, height];
    if (picture.getAttribute("src") !== url) picture.src = url;
  });
  showNames();
}

function showNames() {
  for (const id of ["light", "dark"]) byId(id).alt = altText();
  for (const head of document.querySelectorAll(".login")) head.textContent = login() || page.sampleLogin;
  for (const title of document.querySelectorAll(".readme-title")) {
    title.textContent = fillIn(words.readme_greeting, {name: shownName()});
  }
}

const shownName = () => (nameOf === login() && displayName) || login() || page.sample;
const altText = () => fillIn(words.alt, {name: shownName()});

function showTiming() {
  const [entry] = performance.getEntriesByName(byId("light").src).slice(-1);
  byId("timing").textContent = entry?.encodedBodySize
    ? fillIn(words.drawn, {
        milliseconds: Math.max(1, Math.round(entry.responseEnd - entry.requestStart)),
        kilobytes: (entry.encodedBodySize / 1000).toFixed(1),
      })
    : "";
}

// One JSON request per update says whether the user and the options are right, and the display name.
async function checkChoices() {
  request.abort();
  request = new AbortController();
  const {signal} = request;
  showProblem("");
  if (!login()) return;
  const query = new URLSearchParams({...unknown, username: login(), ...readOptions(), format: "json"});
  const asked = login();
  try {
    const response = await fetch(`${base}/banners/preview?${query}`, {signal, headers: {accept: "application/json"}});
    const answer = await response.json();
    if (signal.aborted) return;
    if (response.ok) {
      retries = 0;
      [nameOf, displayName] = [asked, answer.display_name ?? asked];
      showCode();
      showNames();
      showUnknown(answer.unknown);
    } else {
      explainProblem(response, answer);
    }
  } catch (error) {
    if (error.name !== "AbortError") showProblem(fillIn(words.unavailable, {reason: words.no_service}));
  }
}

function explainProblem(response, answer) {
  const values = {value: login(), option: labelOf(answer.field), allowed: shorten(answer.allowed), reason: answer.error};
  if (response.status === 404) {
    showProblem(fillIn(words.unknown_user, values));
  } else if (answer.field) {
    const control = form.querySelector(`.control[data-name="${answer.field}"]`);
    values.value = control ? readControl(control) : answer.field === "layout" ? checked("layout") : login();
    showProblem(fillIn(words.invalid, values), answer.suggestion, () => choose(answer.field, answer.suggestion));
  } else if (response.status === 503 && retries < MAX_RETRIES) {
    showProblem(words.waiting);
    retries += 1;
    scheduleUpdate(1000 * (Number(response.headers.get("retry-after")) || 2));
  } else {
    showProblem(fillIn(words.unavailable, values));
  }
}

function shorten(allowed = []) {
  return allowed.length > 12 ? `${allowed.slice(0, 12).join(", ")} …` : allowed.join(", ");
}

function choose(name, value) {
  const control = form.querySelector(`.control[data-name="${name}"]`);
  if (control) writeControl(control, value);
  else for (const box of form.querySelectorAll(`[name="${name}"]`)) box.checked = box.value === value;
  change();
}

function showUnknown(intended = {}) {
  const [name] = Object.keys(intended);
  if (!name) return;
  const value = unknown[name];
  showProblem(fillIn(words.unknown_option, {option: name}), `${intended[name]}=${value}`, () => {
    delete unknown[name];
    choose(intended[name], value);
  });
}

function showProblem(text, suggestion, correct) {
  const problems = byId("problems");
  if (!text) return problems.replaceChildren();
  const line = document.createElement("p");
  line.textContent = text;
  if (suggestion) {
    const button = document.createElement("button");
    button.type = "button";
    button.textContent = fillIn(words.suggestion, {value: suggestion});
    button.addEventListener("click", correct);
    line.append(" ", button);
  }
  problems.replaceChildren(line);
}

// ---- The code ----------------------------------------------------------------------------------

// Types of the banners that the chosen code shows: a light and a dark one, or the chosen type.
function shownTypes() {
  const {type} = readOptions();
  return checked("code") === "picture" ? [...new Set(lightAndDark(type))] : [type];
}

const bannerRequest = (type) => JSON.stringify({username: login(), ...readOptions(), type});

function bannerUrl(type) {
  return permanentUrls.get(bannerRequest(type)) ?? page.origin + pictureUrl({...readOptions(), type});
}

const escapeHtml = (text) => text.replace(/[&<>"]/g, (c) => ({"&": "&amp;", "<": "&lt;", ">": "&gt;", '"': "&quot;"})[c]);
const escapeMarkdown = (text) => text.replace(/[\\[\]]/g, "\\$&");

function codeText() {
  const urls = shownTypes().map(bannerUrl);
  const alt = altText();
  const image = `<img alt="${escapeHtml(alt)}" src="${escapeHtml(urls[0])}">`;
  switch (checked("code")) {
    case "markdown":
      return `![${escapeMarkdown(alt)}](${urls[0]})`;
    case "html":
      return image;
    case "address":
      return urls[0];
    default:
      return urls.length === 1
        ? `<picture>\n  ${image}\n</picture>`
        : `<picture>\n  <source media="(prefers-color-scheme: dark)" srcset="${escapeHtml(urls[1])}">\n  ${image}\n</picture>`;
  }
}

function showCode() {
  const parts = codeText().split(/("[^"]*")/).map((part) => {
    if (!part.startsWith('"')) return part;
    const string = document.createElement("span");
    string.className = "string";
    string.textContent = part;
    return string;
  });
  byId("code").replaceChildren(...parts);
}

async function copy() {
  if (!login()) {
    form.elements.username.focus();
    return announce(words.no_login);
  }
  announce(words.copying);
  const problem = await makePermanent();
  showCode();
  if (problem) return announce(fillIn(words.not_made, {reason: problem}));
  const isCopied = await writeClipboard(codeText());
  announce(isCopied ? words.copied : words.copy_refused);
  if (isCopied) setTimeout(() => announce(""), 2000);
}

// Create the shown banners; return what went wrong, as text.
async function makePermanent() {
  for (const type of shownTypes()) {
    const body = bannerRequest(type);
    if (permanentUrls.has(body)) continue;
    try {
      const response = await fetch(`${base}/banners`, {
        method: "POST",
        headers: {"content-type": "application/json", accept: "application/json"},
        body,
      });
      const answer = await response.json();
      if (!response.ok) return answer.error;
      permanentUrls.set(body, page.origin + answer.url);
    } catch {
      return words.no_service;
    }
  }
  return "";
}

async function writeClipboard(text) {
  try {
    await navigator.clipboard.writeText(text);
    return true;
  } catch {
    // Browsers offer the clipboard only over HTTPS and on the own machine.
    getSelection().selectAllChildren(byId("code"));
    return document.execCommand("copy");
  }
}

const announce = (text) => { byId("announcement").textContent = text; };

// ---- Colours -----------------------------------------------------------------------------------

function parseColour(text) {
  const digits = text.replace(/^#/, "");
  if (!/^([\da-f]{3,4}|[\da-f]{6}|[\da-f]{8})$/i.test(digits)) return null;
  const long = digits.length < 6 ? digits.replace(/./g, "$&$&") : digits;
  return long.match(/../g).map((pair) => parseInt(pair, 16));
}

// https://www.w3.org/TR/WCAG22/#dfn-relative-luminance
function luminance(rgb) {
  const [red, green, blue] = rgb.map((byte) => {
    const share = byte / 255;
    return share <= 0.04045 ? share / 12.92 : ((share + 0.055) / 1.055) ** 2.4;
  });
  return 0.2126 * red + 0.7152 * green + 0.0722 * blue;
}

function contrast(first, second) {
  const [dark, light] = [luminance(first), luminance(second)].sort((a, b) => a - b);
  return (light + 0.05) / (dark + 0.05);
}

const blend = ([r, g, b, alpha = 255], ground) =>
  [r, g, b].map((byte, index) => (byte * alpha + ground[index] * (255 - alpha)) / 255);

function showContrasts() {
  const {type} = readOptions();
  const shown = lightAndDark(type).map((name) => palettes[name] ?? palettes.default);
  const field = (name) => form.elements[name]?.value.trim() ?? "";
  for (const control of form.querySelectorAll(".control.colour")) {
    const {name} = control.dataset;
    const part = name.replace(/_color$/, "");
    const themeColour = shown[0][part] ?? shown[0].text;
    const colour = parseColour(field(name));
    control.querySelector("[type=color]").value = `#${toHex(colour ?? parseColour(themeColour))}`;
    const output = control.querySelector("output");
    if (NO_TEXT_COLOURS.includes(name)) continue;
    const ratios = shown.map((palette, index) => {
      const paper = index ? [13, 17, 23] : [255, 255, 255];
      const ground = blend(parseColour(field("bg_color")) ?? parseColour(palette.bg), paper);
      return contrast(blend(colour ?? parseColour(palette[part] ?? palette.text), ground), ground);
    });
    const ratio = Math.min(...ratios);
    output.textContent = ratio.toFixed(1);
    output.classList.toggle("low", ratio < MIN_CONTRAST);
    const text = fillIn(ratio < MIN_CONTRAST ? words.low_contrast : words.contrast, {ratio: ratio.toFixed(1)});
    output.title = text;
    output.setAttribute("aria-label", text);
    if (ratio < MIN_CONTRAST) output.textContent += " ⚠";
  }
}

const toHex = (rgb) => rgb.slice(0, 3).map((byte) => byte.toString(16).padStart(2, "0")).join("");

// ---- The gallery of themes ---------------------------------------------------------------------

const visibleThemes = new Set();

// Only pictures on the screen are loaded; one that leaves it before it has arrived is cancelled.
const gallery = new IntersectionObserver((entries) => {
  for (const {target, isIntersecting} of entries) {
    if (isIntersecting) visibleThemes.add(target);
    else visibleThemes.delete(target);
    loadTheme(target);
  }
}, {rootMargin: "100px"});

function loadTheme(picture) {
  if (visibleThemes.has(picture)) {
    if (picture.getAttribute("src") !== picture.dataset.src) picture.src = picture.dataset.src;
  } else if (!picture.complete) {
    picture.removeAttribute("src");
  }
}

function showThemes() {
  const {type, locale} = readOptions();
  for (const link of document.querySelectorAll("[data-theme]")) {
    const isChosen = link.dataset.theme === type;
    if (isChosen) link.setAttribute("aria-current", "true");
    else link.removeAttribute("aria-current");
    const picture = link.querySelector("img");
    const options = {type: link.dataset.theme, layout: "card", animate: "false", ...(locale && {locale})};
    picture.dataset.src = pictureUrl(options);
    loadTheme(picture);
  }
}

// ---- Options that the server added after this page was written ----------------------------------

async function addMissingControls() {
  const response = await fetch(`${base}/docs/openapi.json`);
  const {paths} = await response.json();
  for (const {name, schema} of paths["/banners/preview"].get.parameters) {
    const isKnown = ["username", "format", "layout"].includes(name) || form.querySelector(`.control[data-name="${name}"]`);
    if (!isKnown) byId("more").append(makeControl(name, schema));
  }
}

function makeControl(name, schema) {
  const kind = schema.type === "boolean" ? "switch" : schema.enum ? "choice" : schema.type === "integer" ? "number" : "text";
  const control = byId(`control-${kind}`).content.cloneNode(true).querySelector(".control");
  const label = name[0].toUpperCase() + name.slice(1).replaceAll("_", " ");
  control.dataset.name = name;
  control.dataset.default = String(schema.default ?? "");
  control.querySelector("label").textContent = label;
  control.querySelector("label").htmlFor = `option-${name}`;
  for (const field of control.querySelectorAll("[name]")) field.name = name;
  const field = control.querySelector("[id]");
  field.id = `option-${name}`;
  if (kind === "number") [field.min, field.max] = [schema.minimum ?? "", schema.maximum ?? ""];
  if (kind === "choice") field.replaceChildren(...schema.enum.map((value) => new Option(value, value)));
  writeControl(control, new URLSearchParams(location.search).get(name) ?? control.dataset.default);
  return control;
}

// ---- Events ------------------------------------------------------------------------------------

function type() {
  isTyping = true;
  retries = 0;
  scheduleUpdate(UPDATE_MILLISECONDS);
}

function change() {
  isTyping = false;
  retries = 0;
  scheduleUpdate(0);
}

form.addEventListener("input", ({target}) => {
  if (target.type === "color") {
    target.closest(".control").querySelector("[type=text]").value = target.value.slice(1);
    showContrasts();
    type();
  } else if (["text", "number"].includes(target.type)) {
    showContrasts();
    type();
  } else {
    change();
  }
});

form.addEventListener("submit", (event) => {
  event.preventDefault();
  change();
});

byId("themes").addEventListener("click", (event) => {
  const link = event.target.closest("[data-theme]");
  if (!link || event.metaKey || event.ctrlKey || event.shiftKey || event.button) return;
  event.preventDefault();
  choose("type", link.dataset.theme);
  byId("preview").scrollIntoView({block: "nearest"});
});

byId("copy").addEventListener("click", copy);
byId("light").addEventListener("load", () => setTimeout(showTiming));
addEventListener("popstate", () => {
  readAddress();
  update();
});

document.documentElement.classList.add("live");
for (const picture of document.querySelectorAll("#themes img")) gallery.observe(picture);
readAddress();
isTyping = true;
update();
if (byId("light").complete) showTiming();
addMissingControls();
