//! What a new container asks of its node, taken out of the request that makes it: `-e constraint:...`,
//! `-e affinity:...`, the labels that stand for them, published ports, other containers, reservations.

use serde_json::Value;

use super::message::Fault;

const CONSTRAINTS: &str = "com.docker.swarm.constraints";
const AFFINITIES: &str = "com.docker.swarm.affinities";
/// What is reserved for a container is written on it, so that a list of containers tells it. Ours.
pub(super) const RESERVED_CPUS: &str = "cluster-lab.reserved-cpus";
/// See [`RESERVED_CPUS`].
pub(super) const RESERVED_MEMORY: &str = "cluster-lab.reserved-memory";

/// What is asked.
#[derive(Clone, Debug, Default)]
pub(super) struct Wish {
    pub(super) constraints: Vec<Expression>,
    pub(super) affinities: Vec<Expression>,
    /// Ports of the node, such as `80/tcp`.
    pub(super) ports: Vec<String>,
    /// Containers that must be on the same node.
    pub(super) depends_on: Vec<String>,
    /// To be reserved, in billionths.
    pub(super) cpus: i64,
    /// To be reserved, in bytes.
    pub(super) memory: i64,
}

/// `key==value` and its like.
#[derive(Clone, Debug)]
pub(super) struct Expression {
    text: String,
    pub(super) key: String,
    is_not: bool,
    /// Whether it is only a preference.
    pub(super) is_soft: bool,
    pattern: Pattern,
}

#[derive(Clone, Debug)]
enum Pattern {
    /// With `*` for any characters.
    Glob(String),
    Regex(regex_lite::Regex),
}

impl Wish {
    /// Takes the wishes out of a request; the engine gets the rest, with the wishes as labels.
    ///
    /// # Errors
    /// When one cannot be understood.
    pub(super) fn take(body: &mut Value) -> Result<Self, Fault> {
        let (mut constraints, mut affinities) = (Vec::new(), Vec::new());
        if let Some(env) = body["Env"].as_array_mut() {
            env.retain(|entry| {
                let entry = entry.as_str().unwrap_or_default();
                let list = match entry.split_once(':') {
                    Some(("constraint", text)) => Some((&mut constraints, text)),
                    Some(("affinity", text)) => Some((&mut affinities, text)),
                    _ => None,
                };
                let Some((list, text)) = list else { return true };
                list.push(text.to_owned());
                false
            });
        }
        for (label, list) in [(CONSTRAINTS, &mut constraints), (AFFINITIES, &mut affinities)] {
            if let Some(text) = body["Labels"][label].as_str() {
                let labelled: Vec<String> = serde_json::from_str(text)
                    .map_err(|error| Fault::bad(format!("the label {label} is no list of texts: {error}")))?;
                list.extend(labelled);
            }
            if !list.is_empty() {
                set_label(body, label, &Value::from(list.clone()).to_string());
            }
        }
        let host = &body["HostConfig"];
        let number = |key: &str| host[key].as_i64().unwrap_or_default();
        let memory = number("MemoryReservation");
        let wish = Self {
            constraints: parsed(&constraints)?,
            affinities: parsed(&affinities)?,
            ports: ports(host),
            depends_on: dependencies(host),
            cpus: number("NanoCpus"),
            memory: if memory == 0 { number("Memory") } else { memory },
        };
        for (label, amount) in [(RESERVED_CPUS, wish.cpus), (RESERVED_MEMORY, wish.memory)] {
            if amount > 0 {
                set_label(body, label, &amount.to_string());
            }
        }
        Ok(wish)
    }
}

fn set_label(body: &mut Value, label: &str, text: &str) {
    // A request without labels may have none or null.
    if !body["Labels"].is_object() {
        body["Labels"] = Value::Object(serde_json::Map::new());
    }
    body["Labels"][label] = text.into();
}

fn parsed(texts: &[String]) -> Result<Vec<Expression>, Fault> {
    texts.iter().map(|text| Expression::parse(text)).collect()
}

fn ports(host: &Value) -> Vec<String> {
    let bindings = host["PortBindings"].as_object().into_iter().flatten();
    let mut ports = Vec::new();
    for (inside, outside) in bindings {
        let protocol = inside.split_once('/').map_or("tcp", |(_, protocol)| protocol);
        for binding in outside.as_array().into_iter().flatten() {
            let port = binding["HostPort"].as_str().unwrap_or_default();
            // None, 0 and a range are for the engine to choose from.
            if port.parse::<u16>().is_ok_and(|port| port != 0) {
                ports.push(format!("{port}/{protocol}"));
            }
        }
    }
    ports
}

fn dependencies(host: &Value) -> Vec<String> {
    let first = |text: &str| text.split(':').next().unwrap_or_default().to_owned();
    let texts = |key: &str| -> Vec<String> {
        let list = host[key].as_array().into_iter().flatten();
        list.filter_map(Value::as_str).map(first).collect()
    };
    let mut needed = texts("VolumesFrom");
    needed.extend(texts("Links"));
    for mode in ["NetworkMode", "IpcMode", "PidMode"] {
        let mode = host[mode].as_str().unwrap_or_default();
        needed.extend(mode.strip_prefix("container:").map(str::to_owned));
    }
    needed
}

impl Expression {
    /// `KEY==VALUE`, `KEY!=VALUE`; `~` before the value makes it a preference, `*` in it stands for anything, slashes
    /// around it make it a regular expression. `KEY=~EXPRESSION` is the latter, `KEY~=VALUE` a preference.
    fn parse(text: &str) -> Result<Self, Fault> {
        let wrong = |why: &str| Fault::bad(format!("{text}: {why}; write KEY==VALUE or KEY!=VALUE"));
        let found = ["==", "!=", "=~", "~="]
            .into_iter()
            .filter_map(|operator| Some((text.find(operator)?, operator)))
            .min_by_key(|(at, _)| *at);
        let Some((at, operator)) = found else {
            return Err(wrong("it compares nothing"));
        };
        let (key, mut value) = (&text[..at], &text[at + operator.len()..]);
        if key.is_empty()
            || !key
                .bytes()
                .all(|byte| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte))
        {
            return Err(wrong(
                "what is compared has letters, digits, '-', '_' and '.' only",
            ));
        }
        let mut is_soft = operator == "~=";
        if let (true, Some(rest)) = (operator != "=~", value.strip_prefix('~')) {
            (is_soft, value) = (true, rest);
        }
        let between = value.strip_prefix('/').and_then(|value| value.strip_suffix('/'));
        let regex = if operator == "=~" {
            Some(between.unwrap_or(value))
        } else {
            between
        };
        let pattern = match regex {
            Some(regex) => {
                Pattern::Regex(regex_lite::Regex::new(regex).map_err(|error| wrong(&error.to_string()))?)
            }
            None => Pattern::Glob(value.to_owned()),
        };
        Ok(Self {
            text: text.to_owned(),
            key: key.to_owned(),
            is_not: operator == "!=",
            is_soft,
            pattern,
        })
    }

    /// Whether it holds where these are the values.
    pub(super) fn holds<'a>(&self, values: impl IntoIterator<Item = &'a str>) -> bool {
        let any = values.into_iter().any(|value| match &self.pattern {
            Pattern::Glob(glob) => matches_glob(glob, value),
            Pattern::Regex(regex) => regex.is_match(value),
        });
        any != self.is_not
    }
}

impl std::fmt::Display for Expression {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.text)
    }
}

/// Only `*` is special.
fn matches_glob(glob: &str, text: &str) -> bool {
    let mut parts = glob.split('*');
    let first = parts.next().unwrap_or_default();
    let Some(mut rest) = text.strip_prefix(first) else {
        return false;
    };
    let Some(last) = parts.next_back() else {
        return rest.is_empty();
    };
    for part in parts {
        match rest.find(part) {
            Some(at) => rest = &rest[at + part.len()..],
            None => return false,
        }
    }
    rest.ends_with(last)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_star_stands_for_anything() {
        for (glob, text, expected) in [
            ("a", "a", true),
            ("a", "ab", false),
            ("a*", "ab", true),
            ("*", "", true),
            ("*b", "ab", true),
            ("a*c*e", "abcde", true),
            ("a*c*e", "abde", false),
            ("ab*ba", "aba", false),
        ] {
            assert_eq!(matches_glob(glob, text), expected, "{glob} {text}");
        }
    }

    #[test]
    fn wishes_become_labels_and_leave_the_environment() {
        let mut body = json!({
            "Env": ["A=1", "constraint:node==n1", "affinity:image==~x"], "Labels": null,
            "HostConfig": {"NanoCpus": 500_000_000, "PortBindings": {"80/tcp": [{"HostPort": "8080"}, {"HostPort": ""}]}},
        });
        let wish = Wish::take(&mut body).unwrap();
        assert_eq!(body["Env"], json!(["A=1"]));
        assert_eq!(
            body["Labels"],
            json!({CONSTRAINTS: r#"["node==n1"]"#, AFFINITIES: r#"["image==~x"]"#, RESERVED_CPUS: "500000000"})
        );
        assert_eq!((wish.constraints.len(), wish.affinities[0].is_soft), (1, true));
        assert_eq!(wish.ports, ["8080/tcp"]);
        let again = Wish::take(&mut body).unwrap();
        assert_eq!(
            again.constraints[0].to_string(),
            "node==n1",
            "labels say the same"
        );
        assert!(Wish::take(&mut json!({})).is_ok());
    }

    #[test]
    fn what_cannot_be_understood_is_refused() {
        for (text, expected) in [
            (
                "node",
                "node: it compares nothing; write KEY==VALUE or KEY!=VALUE",
            ),
            ("==x", "==x: what is compared has"),
            ("a b==x", "a b==x: what is compared has"),
            ("a==/[/", "a==/[/: "),
        ] {
            let mut body = json!({"Env": [format!("constraint:{text}")]});
            let message = Wish::take(&mut body).unwrap_err().message;
            assert!(message.starts_with(expected), "{message}");
        }
        let mut body = json!({"Labels": {CONSTRAINTS: "node==n1"}});
        assert!(
            Wish::take(&mut body)
                .unwrap_err()
                .message
                .contains("no list of texts")
        );
    }
}
