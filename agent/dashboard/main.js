// The dashboard: shows what the node tells, and asks it for changes. It decides nothing itself.

import { ask, lines, useLink, watch } from "./api.js";
import { byId, make, setText } from "./dom.js";
import { showNodes } from "./nodes.js";
import { definitionOf, showServices } from "./services.js";

const LEVELS = ["anybody", "reader", "administrator"];
const EVENTS_SHOWN = 200;
const LOG_SHOWN = 2000;

let status = null;
let overview = null;
let level = "anybody";
let newest = 0;
let quiet;

function say(text, bad = true) {
  const message = byId("message");
  message.className = bad ? "bad" : "";
  message.hidden = !text;
  setText(message, text);
  clearTimeout(quiet);
  if (text && !bad) quiet = setTimeout(() => say(""), 6000);
}

async function act(method, path, body) {
  try {
    const answer = await ask(method, path, body);
    say("");
    return answer;
  } catch (error) {
    say(error.message);
    if (error.status === 401) await refreshLogin();
    return undefined;
  }
}

function show() {
  showNodes(status, overview);
  showServices(overview, { act, logs: openLogs, remove: askToRemove });
  for (const element of document.querySelectorAll("[data-needs]")) {
    element.hidden = LEVELS.indexOf(level) < LEVELS.indexOf(element.dataset.needs);
  }
}

async function refreshLogin() {
  try {
    const me = await ask("GET", "api/v1/session");
    level = me.level;
    setText(byId("who"), level === "anybody" ? "" : `logged in as ${level}`);
    byId("log-in").hidden = level !== "anybody";
    byId("log-out").hidden = level === "anybody";
  } catch (error) {
    say(error.message);
  }
  show();
}

async function openLogs(name) {
  const dialog = byId("logs-dialog");
  const text = byId("logs-text");
  setText(byId("logs-title"), `Log of ${name}`);
  text.textContent = "";
  dialog.showModal();
  const end = new AbortController();
  dialog.addEventListener("close", () => end.abort(), { once: true });
  try {
    for await (const { line } of lines(`api/v1/services/${encodeURIComponent(name)}/logs?tail=200&follow=true`, end.signal)) {
      const atEnd = text.scrollTop + text.clientHeight >= text.scrollHeight - 4;
      text.append(`${line}\n`);
      while (text.childNodes.length > LOG_SHOWN) text.firstChild.remove();
      if (atEnd) text.scrollTop = text.scrollHeight;
    }
  } catch (error) {
    if (error.name !== "AbortError") text.append(`(${error.message})\n`);
  }
}

function askToRemove(name) {
  const dialog = byId("confirm-dialog");
  setText(byId("confirm-title"), `Remove the service ${name} and its containers?`);
  dialog.returnValue = "no";
  dialog.addEventListener("close", () => {
    if (dialog.returnValue === "yes") act("DELETE", `api/v1/services/${encodeURIComponent(name)}`);
  }, { once: true });
  dialog.showModal();
}

const handlers = {
  connection(there) {
    byId("connection").className = there ? "" : "lost";
    setText(byId("connection"), there ? "live" : "no connection to the node; trying again");
    if (there) {
      newest = 0;
      byId("events").textContent = "";
    }
  },
  status(value) {
    status = value;
    setText(byId("cluster"), status.cluster);
    setText(byId("version"), `${status.hostname}, cluster-lab ${status.version}`);
    setText(byId("login-node"), status.hostname);
    document.title = `Cluster Lab ${status.cluster}`;
    const lines = [...status.warnings];
    for (const waiting of [status["waiting-for"], status.engine["waiting-for"]]) if (waiting) lines.push(`waiting for ${waiting}`);
    byId("warnings").hidden = lines.length === 0;
    byId("warnings").replaceChildren(...lines.map((line) => make("li", { textContent: line })));
    show();
  },
  overview(value) {
    overview = value;
    show();
  },
  happened({ number, at, text }) {
    if (number <= newest) return;
    newest = number;
    const time = new Date(at * 1000);
    const list = byId("events");
    list.prepend(make("li", {}, make("time", { dateTime: time.toISOString(), textContent: time.toLocaleTimeString() }), text));
    while (list.children.length > EVENTS_SHOWN) list.lastChild.remove();
  },
};

byId("consul").href = `http://${location.hostname}:8500/`;
byId("log-in").onclick = () => byId("login-dialog").showModal();
byId("log-out").onclick = async () => {
  await act("DELETE", "api/v1/session");
  await refreshLogin();
};
byId("create").onsubmit = async (event) => {
  event.preventDefault();
  const form = event.target;
  try {
    const { name, definition } = definitionOf(form);
    if (overview?.services.some((service) => service.name === name)) throw new Error(`there is a service '${name}' already`);
    if (await act("PUT", `api/v1/services/${encodeURIComponent(name)}`, definition)) {
      say(`${name} starts`, false);
      form.reset();
    }
  } catch (error) {
    say(error.message);
  }
};

try {
  if (await useLink()) say("You are logged in.", false);
} catch (error) {
  say(error.message);
}
window.addEventListener("hashchange", () => location.hash.startsWith("#login=") && location.reload());
await refreshLogin();
watch(handlers);
