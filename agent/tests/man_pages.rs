//! The manual pages and the shells' completions in `rootfs-overlay/` are made from the command line's definition. This
//! holds them against it; `UPDATE_MAN_PAGES=1 cargo test -p cluster-lab --test man_pages` writes them anew.

#![expect(clippy::unwrap_used, reason = "a test, all of it")]

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use clap::{Command, CommandFactory};
use clap_complete::{Shell, generate};
use cluster_lab::cli::Cli;

const NAME: &str = "cluster-lab";
const MAN: &str = "usr/share/man/man1";
const SHELLS: [(Shell, &str); 3] = [
    (Shell::Bash, "usr/share/bash-completion/completions/cluster-lab"),
    (Shell::Zsh, "usr/share/zsh/vendor-completions/_cluster-lab"),
    (
        Shell::Fish,
        "usr/share/fish/vendor_completions.d/cluster-lab.fish",
    ),
];

fn overlay() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../rootfs-overlay")
}

/// A page of a command and of each below it, named as `man` finds them: `cluster-lab-service-scale.1`.
fn pages(command: &Command, name: &str, files: &mut BTreeMap<PathBuf, Vec<u8>>) {
    // The version would make a new page of each at every release.
    let page_name: &'static str = name.to_owned().leak();
    let page = command.clone().name(page_name).version(None::<&str>);
    let mut text = Vec::new();
    clap_mangen::Man::new(page)
        .date("")
        .manual("Cluster Lab")
        .source(NAME)
        .render(&mut text)
        .unwrap();
    files.insert(Path::new(MAN).join(format!("{name}.1")), text);
    for below in command
        .get_subcommands()
        .filter(|below| !below.is_hide_set() && below.get_name() != "help")
    {
        pages(below, &format!("{name}-{}", below.get_name()), files);
    }
}

fn expected() -> BTreeMap<PathBuf, Vec<u8>> {
    let mut files = BTreeMap::new();
    let mut command = Cli::command().term_width(100);
    command.build();
    pages(&command, NAME, &mut files);
    for (shell, path) in SHELLS {
        let mut text = Vec::new();
        generate(shell, &mut Cli::command(), NAME, &mut text);
        files.insert(path.into(), text);
    }
    files
}

#[test]
fn manual_pages_and_completions_are_those_of_the_command_line() {
    let expected = expected();
    let folder = overlay();
    if std::env::var_os("UPDATE_MAN_PAGES").is_some() {
        let _ = std::fs::remove_dir_all(folder.join(MAN));
        for (path, text) in &expected {
            let file = folder.join(path);
            std::fs::create_dir_all(file.parent().unwrap()).unwrap();
            std::fs::write(file, text).unwrap();
        }
    }
    let how = "run UPDATE_MAN_PAGES=1 cargo test -p cluster-lab --test man_pages";
    for (path, text) in &expected {
        let found = std::fs::read(folder.join(path)).unwrap_or_default();
        assert!(
            found == *text,
            "{} is not that of the command line; {how}",
            path.display()
        );
    }
    for entry in std::fs::read_dir(folder.join(MAN)).unwrap() {
        let path = Path::new(MAN).join(entry.unwrap().file_name());
        assert!(
            expected.contains_key(&path),
            "{} is of no command; {how}",
            path.display()
        );
    }
}
