// What the page asks of the node that served it.

/** Sends a request; the answer's JSON, or an error with the node's own words. */
export async function ask(method, path, body) {
  const options = { method, headers: { "X-Cluster-Lab": "1" } };
  if (body !== undefined) {
    options.headers["Content-Type"] = "application/json";
    options.body = JSON.stringify(body);
  }
  const answer = await fetch(path, options);
  const text = await answer.text();
  if (!answer.ok) {
    let message = `the node answered ${answer.status}`;
    try {
      message = JSON.parse(text).message ?? message;
    } catch {
      // It was no JSON.
    }
    throw Object.assign(new Error(message), { status: answer.status });
  }
  return text ? JSON.parse(text) : null;
}

/** The lines of an answer, each a JSON value, as they come; ends when `signal` is aborted. */
export async function* lines(path, signal) {
  const answer = await fetch(path, { signal });
  if (!answer.ok) throw new Error((await answer.json()).message);
  const reader = answer.body.pipeThrough(new TextDecoderStream()).getReader();
  let rest = "";
  for (;;) {
    const { done, value } = await reader.read();
    if (done) return;
    const parts = (rest + value).split("\n");
    rest = parts.pop();
    for (const part of parts) yield JSON.parse(part);
  }
}

/** Calls back for everything that changes: `status`, `overview`, `happened`; and when the connection comes and goes. */
export function watch(handlers) {
  const source = new EventSource("api/v1/live");
  let lost;
  source.onopen = () => {
    clearTimeout(lost);
    handlers.connection(true);
  };
  source.onerror = () => {
    // The node ends a connection every few minutes; that is no loss.
    clearTimeout(lost);
    lost = setTimeout(() => handlers.connection(false), 5000);
    // After some answers, such as one of another program on the port, browsers do not try again by themselves.
    if (source.readyState === EventSource.CLOSED) setTimeout(() => watch(handlers), 3000);
  };
  for (const name of ["status", "overview", "happened"]) {
    source.addEventListener(name, (event) => handlers[name](JSON.parse(event.data)));
  }
}

/** Uses the link that this page was opened with, and takes it out of the address, so that it is not kept. */
export async function useLink() {
  const token = new URLSearchParams(location.hash.slice(1)).get("login");
  if (!token) return false;
  history.replaceState(null, "", location.pathname);
  await ask("POST", "api/v1/session", { token });
  return true;
}
