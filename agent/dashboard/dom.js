// The page's elements, made and kept by hand: text is always text, never markup.

/** The element with this id. */
export const byId = (id) => document.getElementById(id);

/** Makes an element. `properties` are set on it; `children` are elements or text. */
export function make(tag, properties = {}, ...children) {
  const element = Object.assign(document.createElement(tag), properties);
  element.append(...children.filter((child) => child !== null));
  return element;
}

/** Sets the text of an element, unless it is that already: a screen reader would say it again. */
export function setText(element, text) {
  if (element.textContent !== text) element.textContent = text;
}

/**
 * Brings the children of a list in line with items, by key. What stays is kept, and with it the keyboard's place.
 * `create(item)` makes an element, `update(element, item)` fills it.
 */
export function reconcile(list, items, keyOf, create, update) {
  const old = new Map([...list.children].map((child) => [child.dataset.key, child]));
  let place = null;
  for (const item of items) {
    const key = keyOf(item);
    let element = old.get(key);
    if (element) {
      old.delete(key);
    } else {
      element = create(item);
      element.dataset.key = key;
    }
    update(element, item);
    const next = place ? place.nextSibling : list.firstChild;
    if (next !== element) list.insertBefore(element, next);
    place = element;
  }
  for (const element of old.values()) element.remove();
}
