//! On which node a new container runs. Pure: the nodes as they are and what the container asks for, then one node or the
//! reason why there is none. Filters and strategies are standalone Swarm's
//! (<https://github.com/docker-archive/classicswarm/tree/master/scheduler>).

use std::cmp::Reverse;
use std::collections::BTreeMap;

use super::wish::{Expression, Wish};

/// What decides between nodes that would all do.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Strategy {
    /// The node with the fewest containers.
    #[default]
    Spread,
    /// The node that is fullest and still has room.
    #[cfg_attr(not(test), expect(dead_code, reason = "no setting chooses it yet"))]
    Binpack,
    /// Any.
    #[cfg_attr(not(test), expect(dead_code, reason = "no setting chooses it yet"))]
    Random,
}

/// A node whose engine answers.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Candidate {
    pub(super) name: String,
    /// Other names that people give it.
    pub(super) aliases: Vec<String>,
    pub(super) labels: BTreeMap<String, String>,
    pub(super) residents: Vec<Resident>,
    /// Names and identifiers of its images.
    pub(super) images: Vec<String>,
    /// In billionths.
    pub(super) cpus: i64,
    /// In bytes.
    pub(super) memory: i64,
}

/// A container that is there.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Resident {
    pub(super) id: String,
    pub(super) name: String,
    pub(super) labels: BTreeMap<String, String>,
    /// Ports of the node that it has, such as `80/tcp`.
    pub(super) ports: Vec<String>,
    /// What was reserved for it.
    pub(super) cpus: i64,
    pub(super) memory: i64,
}

impl Candidate {
    fn has(&self, reference: &str) -> bool {
        self.residents.iter().any(|resident| resident.is(reference))
    }

    pub(super) fn reserved(&self) -> (i64, i64) {
        let sum = |of: fn(&Resident) -> i64| self.residents.iter().map(of).sum();
        (sum(|resident| resident.cpus), sum(|resident| resident.memory))
    }

    fn is_constrained_to(&self, expression: &Expression) -> bool {
        if expression.key == "node" {
            return expression
                .holds(std::iter::once(self.name.as_str()).chain(self.aliases.iter().map(String::as_str)));
        }
        expression.holds(self.labels.get(&expression.key).map(String::as_str))
    }

    fn has_affinity(&self, expression: &Expression) -> bool {
        match expression.key.as_str() {
            "container" => {
                let known = self.residents.iter();
                expression.holds(known.flat_map(|resident| [resident.id.as_str(), resident.name.as_str()]))
            }
            "image" => expression.holds(self.images.iter().map(String::as_str)),
            label => expression.holds(
                self.residents
                    .iter()
                    .filter_map(|resident| resident.labels.get(label))
                    .map(String::as_str),
            ),
        }
    }

    /// Whether there is room for what is to be reserved.
    fn has_room(&self, wish: &Wish) -> bool {
        let (cpus, memory) = self.reserved();
        (wish.cpus == 0 || cpus + wish.cpus <= self.cpus)
            && (wish.memory == 0 || memory + wish.memory <= self.memory)
    }
}

impl Resident {
    pub(super) fn is(&self, reference: &str) -> bool {
        let reference = reference.trim_start_matches('/');
        let name = reference.rsplit('/').next().unwrap_or(reference);
        self.name == name || (!reference.is_empty() && self.id.starts_with(reference))
    }
}

/// The index of the node.
///
/// # Errors
/// Why no node will do.
pub(super) fn choose(
    strategy: Strategy,
    wish: &Wish,
    candidates: &[Candidate],
    pick: impl FnOnce(usize) -> usize,
) -> Result<usize, String> {
    let mut left: Vec<&Candidate> = candidates.iter().collect();
    if left.is_empty() {
        return Err("no node's Docker answers".to_owned());
    }
    for constraint in &wish.constraints {
        let what = || format!("no node satisfies constraint:{constraint}");
        left = kept(
            left,
            constraint.is_soft,
            |node| node.is_constrained_to(constraint),
            what,
        )?;
    }
    for port in &wish.ports {
        let free = |node: &Candidate| {
            !node
                .residents
                .iter()
                .any(|resident| resident.ports.contains(port))
        };
        left = kept(left, false, free, || {
            format!("port {port} is taken on every node that would do")
        })?;
    }
    for other in &wish.depends_on {
        let what = || format!("no node that would do has the container {other}, which this one depends on");
        left = kept(left, false, |node| node.has(other), what)?;
    }
    for affinity in &wish.affinities {
        let what = || format!("no node satisfies affinity:{affinity}");
        left = kept(left, affinity.is_soft, |node| node.has_affinity(affinity), what)?;
    }
    let what = || "no node that would do has enough CPUs and memory that are not reserved".to_owned();
    left = kept(left, false, |node| node.has_room(wish), what)?;
    let chosen = match strategy {
        Strategy::Spread => left
            .iter()
            .min_by_key(|node| (node.residents.len(), node.reserved(), &node.name)),
        Strategy::Binpack => left.iter().min_by_key(|node| {
            (
                Reverse(node.reserved()),
                Reverse(node.residents.len()),
                &node.name,
            )
        }),
        Strategy::Random => left.get(pick(left.len()) % left.len()),
    };
    let index = chosen.and_then(|chosen| candidates.iter().position(|node| std::ptr::eq(node, *chosen)));
    index.ok_or_else(|| "no node will do".to_owned())
}

/// Those that pass; all of them when none does and it is only a preference.
fn kept(
    nodes: Vec<&Candidate>,
    is_soft: bool,
    passes: impl Fn(&Candidate) -> bool,
    what: impl FnOnce() -> String,
) -> Result<Vec<&Candidate>, String> {
    let passing: Vec<_> = nodes.iter().copied().filter(|node| passes(node)).collect();
    match (passing.is_empty(), is_soft) {
        (false, _) => Ok(passing),
        (true, true) => Ok(nodes),
        (true, false) => Err(what()),
    }
}

impl std::fmt::Display for Strategy {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Spread => "spread",
            Self::Binpack => "binpack",
            Self::Random => "random",
        })
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn map(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
        pairs
            .iter()
            .map(|(key, value)| ((*key).to_owned(), (*value).to_owned()))
            .collect()
    }

    fn resident(name: &str, port: Option<&str>, memory: i64) -> Resident {
        Resident {
            id: format!("{name}0123"),
            name: name.to_owned(),
            labels: map(&[("tier", name)]),
            ports: port.into_iter().map(str::to_owned).collect(),
            cpus: 0,
            memory,
        }
    }

    /// `a` with two containers, `b` with one, `c` with none.
    fn lab() -> Vec<Candidate> {
        let node = |name: &str, disk: &str, residents: Vec<Resident>| Candidate {
            name: name.to_owned(),
            aliases: vec![format!("alias-{name}")],
            labels: map(&[("disk", disk)]),
            images: vec![format!("image-{name}:latest")],
            residents,
            cpus: 4_000_000_000,
            memory: 1000,
        };
        vec![
            node(
                "a",
                "ssd",
                vec![resident("web", Some("80/tcp"), 600), resident("db", None, 100)],
            ),
            node("b", "card", vec![resident("cache", None, 100)]),
            node("c", "card", vec![]),
        ]
    }

    fn chosen(strategy: Strategy, env: &[&str], host: serde_json::Value) -> Result<String, String> {
        let mut body = json!({"Env": env, "HostConfig": host});
        let wish = Wish::take(&mut body).map_err(|fault| fault.message)?;
        let lab = lab();
        choose(strategy, &wish, &lab, |count| count - 1).map(|index| lab[index].name.clone())
    }

    #[test]
    fn strategies_differ() {
        for (strategy, host, expected) in [
            (Strategy::Spread, json!({}), "c"),
            (Strategy::Binpack, json!({}), "a"),
            (Strategy::Random, json!({}), "c"),
            (Strategy::Binpack, json!({"Memory": 400}), "b"),
            (Strategy::Spread, json!({"Memory": 950}), "c"),
        ] {
            assert_eq!(chosen(strategy, &[], host).as_deref(), Ok(expected), "{strategy}");
        }
        let full = chosen(Strategy::Spread, &[], json!({"Memory": 1001})).unwrap_err();
        assert!(full.contains("enough CPUs and memory"), "{full}");
        assert_eq!(
            choose(Strategy::Spread, &Wish::default(), &[], |_| 0),
            Err("no node's Docker answers".to_owned())
        );
    }

    #[test]
    fn filters_leave_the_nodes_that_do() {
        for (env, host, expected) in [
            ("constraint:node==a", json!({}), Ok("a")),
            ("constraint:node==alias-b", json!({}), Ok("b")),
            ("constraint:node!=c", json!({}), Ok("b")),
            (
                "constraint:node==[ab]",
                json!({}),
                Err("no node satisfies constraint:node==[ab]"),
            ),
            ("constraint:node==/^[ab]$/", json!({}), Ok("b")),
            ("constraint:node=~^a$", json!({}), Ok("a")),
            ("constraint:disk==s*", json!({}), Ok("a")),
            ("constraint:disk==~tape", json!({}), Ok("c")),
            ("constraint:disk~=ssd", json!({}), Ok("a")),
            (
                "constraint:disk==tape",
                json!({}),
                Err("no node satisfies constraint:disk==tape"),
            ),
            ("affinity:container==web", json!({}), Ok("a")),
            ("affinity:container==web0123", json!({}), Ok("a")),
            ("affinity:container!=cache", json!({}), Ok("c")),
            ("affinity:image==image-b*", json!({}), Ok("b")),
            ("affinity:tier==db", json!({}), Ok("a")),
            ("affinity:tier!=~*", json!({}), Ok("c")),
            (
                "affinity:tier==x",
                json!({}),
                Err("no node satisfies affinity:tier==x"),
            ),
            ("X=1", json!({"VolumesFrom": ["web:ro"]}), Ok("a")),
            ("X=1", json!({"NetworkMode": "container:cache"}), Ok("b")),
            ("X=1", json!({"Links": ["b/cache:alias"]}), Ok("b")),
            (
                "X=1",
                json!({"VolumesFrom": ["nothing"]}),
                Err("no node that would do has the container nothing, which this one depends on"),
            ),
            (
                "constraint:node==a",
                json!({"PortBindings": {"8080/tcp": [{"HostPort": "80"}]}}),
                Err("port 80/tcp is taken on every node that would do"),
            ),
            (
                "constraint:node==a",
                json!({"PortBindings": {"80/udp": [{"HostPort": "80"}]}}),
                Ok("a"),
            ),
        ] {
            let found = chosen(Strategy::Spread, &[env], host);
            assert_eq!(found.as_deref().map_err(String::as_str), expected, "{env}");
        }
    }
}
