//! Sets one key in a YAML text and leaves every other byte as it is: comments, order, quotes, line ends.
//!
//! For block mappings, which is what the settings files of card images are. What a line editor cannot change safely
//! (`{a: b}` on the way to the key, a list, an alias) is refused.

/// What a key is set to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Value {
    /// On the line of the key. Must be valid YAML as it is: see [`quoted`].
    Scalar(String),
    /// On lines of its own below the key, without the indentation that all of them get.
    Block(Vec<String>),
}

/// The text is not shaped so that the key can be set.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("it is not made of keys on lines of their own there")]
pub(crate) struct Shape;

/// A double-quoted scalar that is this text and nothing else. Control characters are the caller's to refuse.
pub(crate) fn quoted(text: &str) -> String {
    format!("\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\""))
}

/// Whether the first document has this key at its top level.
pub(crate) fn has(text: &str, key: &str) -> bool {
    let lines: Vec<String> = text.split_inclusive('\n').map(str::to_owned).collect();
    document(&lines).is_ok_and(|(from, until)| find(&lines[from..until], 0, key).is_some())
}

/// `text` with the key at the end of `path` set. Keys on the way are made where they are missing.
pub(crate) fn set(text: &str, path: &[&str], value: &Value) -> Result<String, Shape> {
    let body = text.strip_prefix('\u{feff}').unwrap_or(text);
    let mark = &text[..text.len() - body.len()];
    let mut lines: Vec<String> = body.split_inclusive('\n').map(str::to_owned).collect();
    let end = lines.first().map_or("\n", |line| line_end(line)).to_owned();
    let end = if end.is_empty() { "\n".to_owned() } else { end };
    if let Some(last) = lines.last_mut().filter(|line| !line.ends_with('\n')) {
        last.push_str(&end);
    }
    let (mut from, mut until) = document(&lines)?;
    let mut indent = 0;
    for (depth, key) in path.iter().enumerate() {
        let Some(at) = find(&lines[from..until], indent, key).map(|at| from + at) else {
            let last = lines[from..until].iter().rposition(|line| is_content(line));
            let at = last.map_or(until, |last| from + last + 1);
            lines.splice(at..at, made(&path[depth..], value, indent, &end));
            break;
        };
        let block_end = at + 1 + block_length(&lines[at + 1..until], indent);
        if depth + 1 == path.len() {
            replace(&mut lines, at, block_end, key, value, indent, &end);
            break;
        }
        let inline = without_comment(after_key(&lines[at], key));
        let first = lines[at + 1..block_end].iter().find(|line| is_content(line));
        match (inline, first) {
            ("", Some(line)) if !line.trim_start().starts_with(['-', '{', '[']) => indent = indentation(line),
            ("" | "{}" | "~" | "null", None) => {
                let spaces = " ".repeat(indent);
                lines[at] = format!("{spaces}{key}:{end}");
                lines.splice(at + 1..at + 1, made(&path[depth + 1..], value, indent + 2, &end));
                break;
            }
            _ => return Err(Shape),
        }
        (from, until) = (at + 1, block_end);
    }
    Ok(format!("{mark}{}", lines.concat()))
}

/// The lines of the first document: from, until.
fn document(lines: &[String]) -> Result<(usize, usize), Shape> {
    let is_mark = |line: &String| line.starts_with("---") || line.starts_with("...");
    let first = lines.iter().position(|line| is_content(line));
    let from = match first {
        Some(at) if is_mark(&lines[at]) => at + 1,
        _ => 0,
    };
    let until = lines[from..]
        .iter()
        .position(is_mark)
        .map_or(lines.len(), |at| from + at);
    match lines[from..until].iter().find(|line| is_content(line)) {
        Some(line) if line.starts_with([' ', '\t', '{', '[', '-']) => Err(Shape),
        _ => Ok((from, until)),
    }
}

/// The last line with this key at this depth: of a key given twice the last one counts.
fn find(lines: &[String], indent: usize, key: &str) -> Option<usize> {
    lines.iter().rposition(|line| {
        indentation(line) == indent
            && is_content(line)
            && [key, &format!("\"{key}\""), &format!("'{key}'")]
                .iter()
                .any(|key| {
                    let rest = line.trim_start().strip_prefix(*key);
                    let rest = rest.and_then(|rest| rest.strip_prefix(':'));
                    rest.is_some_and(|rest| rest.is_empty() || rest.starts_with([' ', '\t', '\r', '\n']))
                })
    })
}

/// How many of the lines below a key belong to its value.
fn block_length(lines: &[String], indent: usize) -> usize {
    let is_outside = |line: &String| {
        let item = line.trim_start().starts_with("- ") || line.trim() == "-";
        is_content(line) && (indentation(line) < indent || indentation(line) == indent && !item)
    };
    let until = lines.iter().position(is_outside).unwrap_or(lines.len());
    lines[..until]
        .iter()
        .rposition(|line| is_content(line))
        .map_or(0, |at| at + 1)
}

fn replace(
    lines: &mut Vec<String>,
    at: usize,
    block_end: usize,
    key: &str,
    value: &Value,
    indent: usize,
    end: &str,
) {
    let comments = lines[at + 1..block_end].iter().filter(|line| !is_content(line));
    let mut new: Vec<String> = match value {
        Value::Scalar(scalar) => {
            let after = after_scalar(after_key(&lines[at], key));
            vec![format!("{}{key}: {scalar}{after}", " ".repeat(indent))]
        }
        Value::Block(_) => made(&[key], value, indent, end),
    };
    new.extend(comments.cloned());
    lines.splice(at..block_end, new);
}

/// Lines for keys that are not there yet.
fn made(path: &[&str], value: &Value, indent: usize, end: &str) -> Vec<String> {
    let mut lines = Vec::new();
    for (depth, key) in path.iter().enumerate() {
        let spaces = " ".repeat(indent + 2 * depth);
        match value {
            Value::Scalar(scalar) if depth + 1 == path.len() => {
                lines.push(format!("{spaces}{key}: {scalar}{end}"));
            }
            Value::Block(block) if depth + 1 == path.len() => {
                lines.push(format!("{spaces}{key}:{end}"));
                lines.extend(block.iter().map(|line| format!("{spaces}  {line}{end}")));
            }
            _ => lines.push(format!("{spaces}{key}:{end}")),
        }
    }
    lines
}

fn indentation(line: &str) -> usize {
    line.len() - line.trim_start_matches(' ').len()
}

pub(crate) fn is_content(line: &str) -> bool {
    let line = line.trim();
    !line.is_empty() && !line.starts_with('#')
}

pub(crate) fn line_end(line: &str) -> &str {
    let kept = line.trim_end_matches(['\r', '\n']).len();
    &line[kept..]
}

/// What follows `key:` on its line.
fn after_key<'a>(line: &'a str, key: &str) -> &'a str {
    let from = line.find(key).map_or(0, |at| at + key.len());
    line[from..].find(':').map_or("", |at| &line[from + at + 1..])
}

fn without_comment(value: &str) -> &str {
    let value = value.trim();
    if value.starts_with('#') {
        return "";
    }
    value.split(" #").next().unwrap_or_default().trim_end()
}

/// What follows the scalar on its line: blanks with a comment, and the line's end.
pub(crate) fn after_scalar(value: &str) -> &str {
    let quoted = value
        .trim_start()
        .chars()
        .next()
        .filter(|c| ['"', '\''].contains(c));
    let from = quoted.map_or(0, |quote| {
        let opened = value.find(quote).map_or(0, |at| at + 1);
        value[opened..].find(quote).map_or(opened, |at| opened + at + 1)
    });
    let comment = value[from..].find(" #").or_else(|| value[from..].find("\t#"));
    match comment {
        Some(at) => &value[from + at..],
        None => line_end(value),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::{Just, Strategy, prop, prop_oneof, proptest};

    fn scalar(text: &str, path: &[&str], value: &str) -> Result<String, Shape> {
        set(text, path, &Value::Scalar(quoted(value)))
    }

    #[test]
    fn a_key_is_set_where_it_is_or_made() {
        let wifi = ["wifi", "interfaces", "wlan0", "ssid"];
        for (old, path, new) in [
            (
                "",
                &wifi[..],
                "wifi:\n  interfaces:\n    wlan0:\n      ssid: \"x\"\n",
            ),
            (
                "hostname: a\nwifi:\n  interfaces:\n    wlan0:\n      ssid: \"old\" # mine\n      password: p\n# end\n",
                &wifi,
                "hostname: a\nwifi:\n  interfaces:\n    wlan0:\n      ssid: \"x\" # mine\n      password: p\n# end\n",
            ),
            (
                "wifi:\r\n    interfaces:\r\n        wlan1:\r\n            ssid: a\r\nlast: 1",
                &wifi,
                "wifi:\r\n    interfaces:\r\n        wlan1:\r\n            ssid: a\r\n        wlan0:\r\n          ssid: \"x\"\r\nlast: 1\r\n",
            ),
            ("wifi: {}\n", &wifi[..2], "wifi:\n  interfaces: \"x\"\n"),
            (
                "wifi: # later\nb: 1\n",
                &wifi[..2],
                "wifi:\n  interfaces: \"x\"\nb: 1\n",
            ),
            ("# wifi: no\n# x\n", &["wifi"], "# wifi: no\n# x\nwifi: \"x\"\n"),
            (
                "---\na: 1\n---\nb: 2\n",
                &["b"],
                "---\na: 1\nb: \"x\"\n---\nb: 2\n",
            ),
            (
                "a: |\n  text\n  b: no\nb: 1\n",
                &["b"],
                "a: |\n  text\n  b: no\nb: \"x\"\n",
            ),
            ("'b': 1\n", &["b"], "b: \"x\"\n"),
        ] {
            let set = scalar(old, path, "x").unwrap();
            assert_eq!(set, new, "{old:?}");
            assert_eq!(scalar(&set, path, "x").unwrap(), set, "twice");
        }
    }

    #[test]
    fn a_list_is_replaced_as_a_whole() {
        let block = Value::Block(vec!["- name: pi".to_owned(), "  shell: /bin/sh".to_owned()]);
        for old in [
            "users:\n- name: pirate\n  x: 1\n- default\nlocale: C\n",
            "users:\n  - name: pirate\n\n  - x\nlocale: C\n",
            "users: [a, b]\nlocale: C\n",
        ] {
            let new = set(old, &["users"], &block).unwrap();
            assert_eq!(
                new.replace("\n\n", "\n"),
                "users:\n  - name: pi\n    shell: /bin/sh\nlocale: C\n",
                "{old:?}"
            );
        }
    }

    #[test]
    fn what_cannot_be_edited_safely_is_refused() {
        for text in [
            "wifi: {a: b}\n",
            "wifi:\n  - a\n",
            "{wifi: 1}\n",
            "- a\n",
            "wifi: *x\n",
        ] {
            assert_eq!(scalar(text, &["wifi", "ssid"], "x"), Err(Shape), "{text:?}");
        }
    }

    #[test]
    fn any_text_is_data() {
        let value = "a\\b\"c' $x `y` & / # ä: {";
        assert_eq!(
            scalar("k: 1\n", &["k"], value).unwrap(),
            "k: \"a\\\\b\\\"c' $x `y` & / # ä: {\"\n"
        );
    }

    /// Lines as files on boot partitions have them, and some that they do not.
    fn texts() -> impl Strategy<Value = String> {
        let line =
            "( {0,4}(- )?(wifi|ssid|users|a|#|---|\\.\\.\\.)?(: ?| |)(\\{\\}|\\[|\"|'|~|\\||\\PC{0,6}))";
        let end = prop_oneof![Just("\n"), Just("\r\n")];
        (prop::collection::vec(line, 0..8), end).prop_map(|(lines, end)| lines.join(end))
    }

    proptest! {
        #[test]
        fn whatever_the_text_the_key_is_set_once_or_refused(text in texts(), value in "[^\\pC]{0,12}") {
            for path in [&["wifi"][..], &["wifi", "ssid"]] {
                let Ok(new) = scalar(&text, path, &value) else {
                    continue;
                };
                let last = path[path.len() - 1];
                assert!(new.contains(&format!("{last}: {}", quoted(&value))), "{new:?}");
                assert_eq!(scalar(&new, path, &value).as_ref(), Ok(&new), "twice");
                // Comments are nobody's to change.
                for comment in text.lines().filter(|line| line.starts_with('#')) {
                    assert!(new.contains(comment), "{comment:?} of {text:?} is gone: {new:?}");
                }
            }
        }
    }
}
