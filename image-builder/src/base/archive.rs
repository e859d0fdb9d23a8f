//! Which package archive to use: the one that this machine's own apt uses for the suite, so that a local mirror is
//! honoured and no host name is written here.

use crate::tool::Tool;

const APT_GET: Tool = Tool {
    name: "apt-get",
    package: "apt",
};
const FORMAT: &str = "$(CREATED_BY)|$(LABEL)|$(CODENAME)|$(REPO_URI)";

/// Lines of a `sources.list`: the suite, its updates, and its security updates.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Sources {
    /// The suite and its updates. Empty where this machine does not use that suite: mmdebstrap's own default then.
    pub(super) main: Vec<String>,
    /// Apart from the rest because the archive of a ported architecture can be out of step.
    pub(super) security: Vec<String>,
}

/// Asks this machine's apt.
pub(super) fn of_this_machine(suite: &str, components: &[String]) -> Sources {
    let mut command = APT_GET.command();
    // Without apt (another distribution) there is nothing to learn.
    let targets = APT_GET
        .run(command.args(["indextargets", "--format", FORMAT]))
        .unwrap_or_default();
    from_targets(&targets, suite, components)
}

/// The package archive of Debian itself that this machine's apt uses, whatever the suite.
pub(crate) fn mirror_of_this_machine() -> Option<String> {
    let mut command = APT_GET.command();
    let targets = APT_GET
        .run(command.args(["indextargets", "--format", FORMAT]))
        .ok()?;
    debian_mirror(&targets)
}

fn debian_mirror(targets: &str) -> Option<String> {
    let mut targets = targets.lines().map(|line| line.split('|').collect::<Vec<_>>());
    targets.find_map(|target| match target[..] {
        ["Packages", "Debian", _, uri] => Some(uri.to_owned()),
        _ => None,
    })
}

fn from_targets(targets: &str, suite: &str, components: &[String]) -> Sources {
    let components = components.join(" ");
    let mut sources = Sources {
        main: Vec::new(),
        security: Vec::new(),
    };
    for target in targets.lines() {
        let [created_by, label, codename, uri] = target.split('|').collect::<Vec<_>>()[..] else {
            continue;
        };
        let of_suite = codename == suite
            || codename
                .strip_prefix(suite)
                .is_some_and(|rest| rest.starts_with('-'));
        let list = match label {
            _ if created_by != "Packages" || !of_suite => continue,
            "Debian" => &mut sources.main,
            "Debian-Security" => &mut sources.security,
            _ => continue,
        };
        let line = format!("deb {uri} {codename} {components}");
        if !list.contains(&line) {
            list.push(line);
        }
    }
    if !sources
        .main
        .iter()
        .any(|line| line.contains(&format!(" {suite} ")))
    {
        sources = Sources {
            main: Vec::new(),
            security: Vec::new(),
        };
    }
    sources
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_machines_own_mirror_is_taken() {
        let targets = "Packages|Debian|bookworm|http://mirror/debian/\nPackages|Debian|bookworm|http://mirror/debian/\n\
            Translations|Debian|bookworm|http://mirror/debian/\nPackages|Debian|bookworm-updates|http://mirror/debian/\n\
            Packages|Debian-Security|bookworm-security|http://mirror/security/\nPackages|Other|bookworm|http://other/\n\
            Packages|Debian|trixie|http://mirror/debian/\n";
        let components = ["main".to_owned(), "extra".to_owned()];
        let sources = from_targets(targets, "bookworm", &components);
        assert_eq!(
            sources.main,
            [
                "deb http://mirror/debian/ bookworm main extra",
                "deb http://mirror/debian/ bookworm-updates main extra"
            ]
        );
        assert_eq!(
            sources.security,
            ["deb http://mirror/security/ bookworm-security main extra"]
        );
        assert_eq!(
            from_targets(targets, "sid", &components),
            Sources {
                main: Vec::new(),
                security: Vec::new()
            }
        );
        assert!(from_targets("", "bookworm", &components).main.is_empty());
        assert_eq!(debian_mirror(targets).as_deref(), Some("http://mirror/debian/"));
        assert_eq!(debian_mirror("Packages|Other|bookworm|http://other/\n"), None);
    }
}
