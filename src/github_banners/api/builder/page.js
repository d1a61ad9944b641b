// The builder page: draws the chosen banner while the user types, and copies the code for a README.
// Everything that is chosen is in the form; the form's state is also the query of the page's address.

const UPDATE_MILLISECONDS = 400;
// The server sends an explanation in place of a picture that takes longer than this.
const MIN_EXPLAINED_MILLISECONDS = 1500;
const MAX_RETRIES = 10;
// With a longer `Retry-After` something is down; else the numbers of a new user are being fetched.
const MAX_WAITING_SECONDS = 5;
const MIN_CONTRAST = 4.5;
const PAGE_DEFAULTS = {view: "both", code: "picture", ground: "all", layout: "classic"};
const NO_TEXT_COLOURS = ["bg_color", "border_color"];

const page = JSON.parse(document.getElementById("page-data").textContent);
const {words, base} = page;
const origin = page.origin || location.origin;
const form = document.getElementById("builder");
const byId = (id) => document.getElementById(id);
// Keys come from the address, so `constructor` and the like must not be found.
const table = (object) => Object.assign(Object.create(null), object);
const [sizes, limits, ignored, reasons] = ["sizes", "limits", "ignored", "reasons"].map((name) => table(page[name]));
// The colours of themes by part, and the light and the dark theme of each pair.
const [palettes, pairs] = [table(), table()];
for (const family of page.families) {
  const [light, ...darks] = family.map((row) => {
    const [theme, ...colours] = row.split(" ");
    palettes[theme] = Object.fromEntries(colours.map((colour, index) => [page.parts[index], colour]));
    return theme;
  });
  pairs[`auto-${light}`] = [light, darks[0]];
  for (const dark of darks) pairs[`auto-${dark}`] = [light, dark];
}
pairs.auto = pairs["auto-default"];
const permanentUrls = new Map();

let displayName = "";
let nameOf = "";
let updateTimer = 0;
let lastUpdate = -Infinity;
let isTyping = false;
let retries = 0;
// A number in the addresses of the pictures: a new one replaces explanations that the browser has cached.
let attempt = 0;
let request = new AbortController();
// The last query that was answered for good, so that another view of the same banner sends no request.
let answered = "";
// Parameters of the address that are no options; the API says what they were meant to be.
let unknown = {};
// Values of the address that no radio button or checkbox has: the preview explains them.
let invalid = {};
// The numbers to show, in the order of choosing.
let shownNumbers = [];

const fillIn = (text, values) => text.replace(/\{(\w+)\}/g, (_, name) => values[name] ?? "");
const login = () => form.elements.username.value.trim();
const checked = (name) => invalid[name] ?? form.querySelector(`[name=${name}]:checked`)?.value ?? PAGE_DEFAULTS[name];
const controls = () => [...form.querySelectorAll(".control")];
const controlOf = (name) => form.querySelector(`.control[data-name="${name}"]`);
const labelOf = (name) => page.labels[name] ?? controlOf(name)?.querySelector("legend, label").textContent;

// What the layout ignores is hidden and stays out of the banner, but not forgotten.
const isUsed = ({dataset}) => !ignored[checked("layout")]?.split(" ").includes(dataset.name);
const shownLimit = () => limits[checked("layout")] ?? Infinity;

// The options of the banner: those that differ from the API's defaults, and always the type.
function readOptions() {
  const options = {};
  for (const control of controls().filter(isUsed)) {
    const value = readControl(control);
    if (value !== control.dataset.default || control.dataset.name === "type") options[control.dataset.name] = value;
  }
  if (checked("layout") !== PAGE_DEFAULTS.layout) options.layout = checked("layout");
  return options;
}

function readControl(control) {
  const {kind, name, default: usual} = control.dataset;
  if (name === "show") return invalid[name] ?? (shownNumbers.slice(0, shownLimit()).join(",") || usual);
  if (kind === "choices") {
    return invalid[name] ?? [...control.querySelectorAll(":checked")].map((box) => box.value).join(",");
  }
  if (kind === "switch") return String(control.querySelector("[type=checkbox]").checked);
  return control.querySelector(`[name="${name}"]`).value.trim() || usual;
}

function writeControl(control, value) {
  const {kind, name} = control.dataset;
  if (kind === "choices") {
    check(name, value ? value.toLowerCase().split(",") : []);
  } else if (kind === "switch") {
    control.querySelector("[type=checkbox]").checked = value.toLowerCase() === "true";
  } else {
    const field = control.querySelector(`[name="${name}"]`);
    field.value = kind === "choice" ? value.toLowerCase() : value;
    // A value that the list lacks stays chosen: the preview explains it.
    if (kind === "choice" && !field.value) field.add(new Option(value, value, true, true));
  }
}

// Check the radio buttons or checkboxes with these values, and remember the values if one has none.
function check(name, values) {
  const boxes = [...form.querySelectorAll(`[name="${name}"]`)];
  for (const box of boxes) box.checked = values.includes(box.value);
  if (name === "show") shownNumbers = [...new Set(values)];
  const isValid = values.every((value) => boxes.some((box) => box.value === value));
  if (isValid) delete invalid[name];
  else invalid[name] = values.join(",");
}

function pictureUrl(options) {
  const [path, user] = login() ? ["/banners/preview", {username: login()}] : ["/page/sample.svg", {}];
  return `${base}${path}?${new URLSearchParams({...user, ...options})}`;
}

const previewUrl = (options) => pictureUrl({...options, ...(attempt && {attempt})});

// A pair of themes is shown by its light and its dark one; any other theme is the same on both.
const lightAndDark = (type) => pairs[type] ?? [type, type];

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
  showLinks(query);
  if (search === location.search) return;
  history[isTyping ? "replaceState" : "pushState"](null, "", `${location.pathname}${search}${location.hash}`);
  isTyping = false;
}

// Links to this page in another language or with another theme keep the other choices.
function showLinks(query) {
  const link = (name, value) => `${base}/?${new URLSearchParams({...Object.fromEntries(query), [name]: value})}`;
  for (const footer of document.querySelectorAll("footer a")) footer.href = link("lang", footer.lang.toLowerCase());
  for (const theme of document.querySelectorAll("#themes a")) theme.href = link("type", theme.textContent);
}

const defaultOf = (name) => controlOf(name).dataset.default;

// Parse the query as the server's page does: names in any case, the last of repeated ones, lists joined.
function parseQuery() {
  const query = {};
  for (const [rawName, value] of new URLSearchParams(location.search)) {
    const name = rawName.toLowerCase();
    const isList = name in query && controlOf(CSS.escape(name))?.dataset.kind === "choices";
    query[name] = isList ? `${query[name]},${value}` : value;
  }
  query.type ??= query.theme ?? "";
  delete query.theme;
  return query;
}

// An empty list of what is counted is a choice; any other empty value means the default.
const valueIn = (query, {dataset: {name, default: usual}}) =>
  (name === "include" ? query[name] : query[name] || null) ?? usual;

function readAddress() {
  const query = parseQuery();
  const known = ["username", "lang", ...Object.keys(PAGE_DEFAULTS), ...controls().map(({dataset}) => dataset.name)];
  unknown = Object.fromEntries(Object.entries(query).filter(([name]) => !known.includes(name)));
  form.elements.username.value = query.username ?? "";
  for (const control of controls()) writeControl(control, valueIn(query, control));
  for (const [name, value] of Object.entries(PAGE_DEFAULTS)) {
    check(name, [query[name]?.toLowerCase() || value]);
    if (name !== "layout" && name in invalid) check(name, [value]);
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
  showControls();
  showPictures();
  showCode();
  showContrasts();
  showThemes();
  checkChoices();
}

// Show the controls that the layout uses; number what is shown, and offer no more than there is room for.
function showControls() {
  for (const control of controls()) control.hidden = !isUsed(control);
  for (const box of controlOf("show").querySelectorAll("[type=checkbox]")) {
    const position = shownNumbers.indexOf(box.value) + 1;
    box.disabled = !position && shownNumbers.length >= shownLimit();
    const {dataset} = box.parentElement;
    if (position && position <= shownLimit()) dataset.position = position;
    else delete dataset.position;
  }
}

function showPictures() {
  const options = readOptions();
  const isTall = options.layout === "card" && options.show?.split(",").length > limits.classic;
  const [width, height] = isTall ? page.tallCard : (sizes[checked("layout")] ?? sizes.classic);
  lightAndDark(options.type).forEach((type, index) => {
    const picture = byId(["light", "dark"][index]);
    const url = previewUrl({...options, type});
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

function altText() {
  const repo = checked("layout") === "repository" && (login() ? readOptions().repo : page.sampleRepo);
  return fillIn(repo ? words.alt_repository : words.alt, {name: shownName(), repo: repo && repo.split("/").pop()});
}

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
  const query = String(new URLSearchParams({...unknown, username: login(), ...readOptions(), format: "json"}));
  if (query === answered) return;
  request.abort();
  request = new AbortController();
  const {signal} = request;
  byId("problems").replaceChildren();
  answered = "";
  if (!login()) return;
  const user = login();
  const start = performance.now();
  try {
    const response = await fetch(`${base}/banners/preview?${query}`, {signal, headers: {accept: "application/json"}});
    const answer = await response.json();
    if (signal.aborted) return;
    if (response.status < 429) answered = query;
    if (response.ok) {
      retries = 0;
      [nameOf, displayName] = [user, answer.display_name ?? user];
      showCode();
      if (performance.now() - start > MIN_EXPLAINED_MILLISECONDS) drawAgain();
      else showNames();
    } else {
      explainProblem(response, answer);
    }
    showUnknown(answer.unknown);
  } catch (error) {
    if (error.name !== "AbortError") showProblem(words.unavailable);
  }
}

// Pictures that did not wait for the numbers are explanations: replace them.
function drawAgain() {
  attempt += 1;
  showPictures();
  showThemes();
}

function explainProblem(response, answer) {
  const {field, suggestion} = answer;
  const values = {value: login(), option: labelOf(field), allowed: shorten(answer.allowed), repo: readOptions().repo};
  const reason = reasons[answer.error];
  if (reason) {
    showProblem(fillIn(words[reason], values), suggestion, () => choose("repo", suggestion));
  } else if (field) {
    const control = controlOf(field);
    values.value = control ? readControl(control) : field === "layout" ? checked("layout") : login();
    const isMissing = field === "repo" && !values.value;
    showProblem(fillIn(isMissing ? words.no_repository : words.invalid, values), suggestion, () => choose(field, suggestion));
  } else if (response.status === 503 && retries < MAX_RETRIES) {
    const seconds = Number(response.headers.get("retry-after")) || 2;
    showProblem(seconds > MAX_WAITING_SECONDS ? words.unavailable : words.waiting);
    retries += 1;
    attempt += 1;
    scheduleUpdate(1000 * seconds);
  } else {
    showProblem(words.unavailable);
  }
}

function shorten(allowed = []) {
  return allowed.length > 12 ? `${allowed.slice(0, 12).join(", ")} …` : allowed.join(", ");
}

function choose(name, value) {
  if (controlOf(name)) writeControl(controlOf(name), value);
  else if (name === "layout") check(name, [value]);
  else form.elements[name].value = value;
  change();
}

function showUnknown(intended = {}) {
  for (const [name, option] of Object.entries(intended)) {
    const value = unknown[name];
    const field = option === "theme" ? "type" : option;
    if (!controlOf(field) && !["layout", "username"].includes(field)) continue;
    showProblem(fillIn(words.unknown_option, {option: name}), `${field}=${value}`, () => {
      delete unknown[name];
      choose(field, value);
    });
  }
}

function showProblem(text, suggestion, correct) {
  const line = document.createElement("p");
  line.textContent = text;
  if (suggestion) {
    const button = document.createElement("button");
    button.type = "button";
    button.textContent = fillIn(words.suggestion, {value: suggestion});
    button.addEventListener("click", correct);
    line.append(" ", button);
  }
  byId("problems").append(line);
}

// ---- The code ----------------------------------------------------------------------------------

// Types of the banners that the chosen code shows: a light and a dark one, or the chosen type.
function shownTypes() {
  const {type} = readOptions();
  return checked("code") === "picture" ? [...new Set(lightAndDark(type))] : [type];
}

const bannerRequest = (type) => JSON.stringify({username: login(), ...readOptions(), type});

function bannerUrl(type) {
  return permanentUrls.get(bannerRequest(type)) ?? origin + pictureUrl({...readOptions(), type});
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
  let problem = "";
  // Another choice that is made meanwhile needs banners of its own.
  while (!problem && shownTypes().some((type) => !permanentUrls.has(bannerRequest(type)))) problem = await makePermanent();
  showCode();
  if (problem) return announce(fillIn(words.not_made, {reason: problem}));
  const isCopied = await writeClipboard(codeText());
  announce(isCopied ? words.copied : words.copy_refused);
  if (isCopied) setTimeout(() => announce("", words.copied), 2000);
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
      permanentUrls.set(body, origin + answer.url);
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

// Announce a text, or only in place of another one.
function announce(text, replaced) {
  const announcement = byId("announcement");
  if (!replaced || announcement.textContent === replaced) announcement.textContent = text;
}

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

const blend = ([r, g, b, alpha = 255], bg) =>
  [r, g, b].map((byte, index) => (byte * alpha + bg[index] * (255 - alpha)) / 255);

function showContrasts() {
  const {type} = readOptions();
  const shown = lightAndDark(type).map((name) => palettes[name] ?? palettes.default);
  const field = (name) => form.elements[name]?.value.trim() ?? "";
  for (const control of form.querySelectorAll("[data-kind=colour]")) {
    const {name} = control.dataset;
    const part = name.replace(/_color$/, "");
    const themeColour = shown[0][part] ?? shown[0].text;
    const colour = parseColour(field(name));
    control.querySelector("[type=color]").value = `#${toHex(colour ?? parseColour(themeColour))}`;
    const output = control.querySelector("output");
    if (NO_TEXT_COLOURS.includes(name)) continue;
    const ratios = shown.map((palette, index) => {
      const paper = index ? [13, 17, 23] : [255, 255, 255];
      const bg = blend(parseColour(field("bg_color")) ?? parseColour(palette.bg), paper);
      return contrast(blend(colour ?? parseColour(palette[part] ?? palette.text), bg), bg);
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
  for (const link of document.querySelectorAll("#themes a")) {
    const theme = link.textContent;
    const isChosen = theme === type;
    if (isChosen) link.setAttribute("aria-current", "true");
    else link.removeAttribute("aria-current");
    const picture = link.querySelector("img");
    const options = {type: theme, layout: "card", animate: "false", ...(locale && {locale})};
    picture.dataset.src = previewUrl(options);
    loadTheme(picture);
  }
}

// ---- Options that the server added after this page was written ----------------------------------

async function addMissingControls() {
  const response = await fetch(`${base}/docs/openapi.json`);
  const {paths} = await response.json();
  const query = parseQuery();
  for (const {name, schema} of paths["/banners/preview"].get.parameters) {
    if (["username", "format", "layout"].includes(name) || controlOf(name)) continue;
    const control = makeControl(name, schema);
    byId("more").append(control);
    writeControl(control, valueIn(query, control));
    if (name in unknown) change();
    delete unknown[name];
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
  delete invalid[target.name];
  if (target.name === "show") {
    const others = shownNumbers.filter((value) => value !== target.value);
    shownNumbers = target.checked ? [...others, target.value] : others;
  }
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
  const link = event.target.closest("a");
  if (!link || event.metaKey || event.ctrlKey || event.shiftKey || event.button) return;
  event.preventDefault();
  choose("type", link.textContent);
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
// Without the document the page has the controls that the server knew when it rendered them.
addMissingControls().catch(() => {});
