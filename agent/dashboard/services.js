// The services, and what can be done with them.

import { byId, make, reconcile, setText } from "./dom.js";

const path = (name, rest = "") => `api/v1/services/${encodeURIComponent(name)}${rest}`;

function button(text, label, needs, click) {
  const made = make("button", { type: "button", textContent: text, onclick: click });
  made.setAttribute("aria-label", label);
  made.dataset.needs = needs;
  return made;
}

/** `act(method, path, body)` changes something; `logs(name)` and `remove(name)` open their dialogs. */
export function showServices(overview, { act, logs, remove }) {
  const services = overview?.services ?? [];
  const nodes = (overview?.nodes ?? []).map((node) => node.hostname);
  setText(byId("services-count"), services.length ? String(services.length) : "");
  byId("no-services").hidden = services.length > 0;
  setText(byId("no-services"), overview ? "No service runs yet." : "There is no swarm yet.");

  const create = ({ name }) => {
    const scale = (by) => act("POST", path(name, "/scale"), { replicas: Math.max(0, Number(card.dataset.replicas) + by) });
    const place = make("select", {
      onchange: () => act("POST", path(name, "/move"), { node: place.value || null }),
    });
    place.setAttribute("aria-label", `Where ${name} runs`);
    place.dataset.needs = "administrator";
    const card = make("li", { className: "card" },
      make("h3", { textContent: name }),
      make("span", { className: "state" }),
      make("span", { className: "image" }),
      make("div", { className: "actions" },
        button("−", `One task of ${name} less`, "administrator", () => scale(-1)),
        button("+", `One task of ${name} more`, "administrator", () => scale(1)),
        place,
        button("Restart", `Restart ${name}`, "administrator", () => act("POST", path(name, "/restart"), {})),
        button("Logs", `Logs of ${name}`, "reader", () => logs(name)),
        button("Remove", `Remove ${name}`, "administrator", () => remove(name))),
      make("p", { className: "error", hidden: true }));
    return card;
  };

  const update = (card, service) => {
    const wanted = service.replicas ?? overview.nodes.length;
    const [, state, image, actions, error] = card.children;
    card.dataset.replicas = wanted;
    state.className = `state ${service.running === wanted ? "good" : "bad"}`;
    setText(state, `${service.running} of ${service.replicas ?? "every node"} run`);
    const ports = service.ports.map((port) => `${port.published}→${port.target}${port.protocol === "udp" ? " UDP" : ""}`);
    setText(image, [service.image, ...ports].join(" · "));
    const [less, more, place] = actions.children;
    less.disabled = more.disabled = service.replicas === null;
    const choices = [["", "on any node"], ...nodes.map((node) => [node, `only on ${node}`])];
    reconcile(place, choices, ([value]) => value || "*", () => make("option"), (option, [value, text]) => {
      option.value = value;
      setText(option, text);
    });
    if (document.activeElement !== place) place.value = service.node ?? "";
    const failed = overview.tasks.find((task) => task.service === service.name && task.error);
    const shown = failed && service.running !== wanted;
    error.hidden = !shown;
    setText(error, shown ? `${failed.node ?? "no node"}: ${failed.error}` : "");
  };
  reconcile(byId("service-list"), services, (service) => service.name, create, update);
}

/** What the form asks for: the name, and the definition. */
export function definitionOf(form) {
  const fields = Object.fromEntries(new FormData(form));
  const ports = fields.ports.split(/[\s,]+/).filter(Boolean).map((text) => {
    const [, published, target, protocol] = text.match(/^(\d+)(?::(\d+))?(?:\/(tcp|udp))?$/) ?? [];
    if (!published) throw new Error(`'${text}' is no port; examples are 80, 8080:80 and 53:53/udp`);
    return { published: Number(published), target: Number(target ?? published), protocol: protocol ?? "tcp" };
  });
  return {
    name: fields.name.trim(),
    definition: {
      image: fields.image.trim(),
      replicas: Number(fields.replicas),
      ports,
      command: fields.command.split(/\s+/).filter(Boolean),
    },
  };
}
