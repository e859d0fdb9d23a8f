// The nodes, as units in a rack.

import { byId, make, reconcile, setText } from "./dom.js";

/** One list of what the cluster network and the swarm know of the nodes. */
export function nodesOf(status, overview) {
  const nodes = new Map();
  const add = (name, fields) => nodes.set(name, { ...nodes.get(name), name, ...fields });
  for (const peer of status?.peers ?? []) add(peer.hostname ?? peer.address, { address: peer.address, role: "node", seen: true });
  if (status) add(status.hostname, { address: status["node-address"], role: status.role, seen: true });
  if (status?.master?.hostname) add(status.master.hostname, { role: "master", seen: true });
  for (const node of overview?.nodes ?? []) {
    // A card that was flashed anew is two nodes of one name for a while: the one that answers counts.
    if (!node.ready && nodes.get(node.hostname)?.swarm?.ready) continue;
    add(node.hostname, { swarm: node, address: nodes.get(node.hostname)?.address ?? node.address });
  }
  const order = new Intl.Collator("en", { numeric: true });
  return [...nodes.values()].sort((a, b) => order.compare(a.name, b.name));
}

const gibibytes = (bytes) => `${(bytes / 2 ** 30).toFixed(1)} GiB`;

function facts({ swarm }) {
  if (!swarm) return "not in the swarm";
  const { docker, architecture, processors, memory } = swarm;
  const words = [architecture, processors && `${processors} processors`, memory && gibibytes(memory), docker && `Docker ${docker}`];
  return words.filter(Boolean).join(" · ");
}

function create() {
  return make("li", { className: "unit" },
    make("span", { className: "lamp" }),
    make("span", { className: "name" }),
    make("span", { className: "address" }),
    make("span", { className: "part" }),
    make("span", { className: "facts" }),
    make("span", { className: "health" }),
    make("ul", { className: "tasks" }));
}

function update(unit, node, tasks) {
  const away = node.swarm ? !node.swarm.ready : !node.seen;
  const [lamp, name, address, part, known, health, chips] = unit.children;
  unit.className = `unit${node.role === "master" ? " master" : ""}${away ? " away" : ""}`;
  lamp.className = `lamp ${away ? "bad" : node.swarm ? "good" : ""}`;
  setText(name, node.name);
  setText(address, node.address ?? "");
  setText(part, [node.role, node.swarm?.part].filter(Boolean).join(", "));
  setText(known, facts(node));
  setText(health, away ? "away" : node.swarm ? "answers" : "on the network");
  chips.setAttribute("aria-label", `Tasks on ${node.name}`);
  reconcile(chips, tasks, (task) => task.id, () => make("li"), (chip, task) => {
    chip.className = task.state === "running" ? "good" : ["failed", "rejected"].includes(task.state) ? "bad" : "";
    setText(chip, `${task.service}${task.slot ? `.${task.slot}` : ""}${task.state === "running" ? "" : `: ${task.state}`}`);
  });
}

/** Shows the rack. */
export function showNodes(status, overview) {
  const nodes = nodesOf(status, overview);
  const tasksOn = (name) => (overview?.tasks ?? []).filter((task) => task.node === name && task.desired === "running");
  setText(byId("nodes-count"), nodes.length ? `${nodes.filter((node) => node.swarm?.ready).length} of ${nodes.length} answer` : "");
  reconcile(byId("rack"), nodes, (node) => node.name, create, (unit, node) => update(unit, node, tasksOn(node.name)));
}
