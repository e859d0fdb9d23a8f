//! `flash cluster.toml`.

use crate::image::{Image, MIB, on_card};
use crate::tools::{Outcome, flash_with};

const FILE: &str = "version = 1\nimage = \"card.img\"\nnames = \"n{1..3}\"\ncluster = \"pack\"\n\n[defaults]\nconfig-txt = \
                    [\"gpu_mem=16\"]\n\n[node.n2]\nconfig-txt = [\"gpu_mem=64\"]\nfile = [\"note.txt\"]\n";

struct Lab(Image);

impl Lab {
    fn new() -> Self {
        let image = Image::new();
        image.file("cluster.toml", FILE.as_bytes());
        image.file("note.txt", b"mine\n");
        Self(image)
    }

    fn flash(&self, more: &[&str]) -> Outcome {
        let (file, state) = (self.0.name("cluster.toml"), self.0.name("state"));
        flash_with(
            &[("XDG_STATE_HOME", &state)],
            &[&[file.as_str(), "--yes"], more].concat(),
            b"",
        )
    }

    /// The name that a card has.
    fn name_on(&self, card: &str) -> String {
        let toml = on_card(&self.0.name(card), "cluster-lab.toml");
        assert!(toml.contains("name = \"pack\""), "{toml}");
        let line = toml.lines().find(|line| line.starts_with("hostname")).unwrap();
        line.split('"').nth(1).unwrap().to_owned()
    }
}

#[test]
fn each_new_card_is_the_next_node_and_an_old_one_stays_what_it_was() {
    let lab = Lab::new();
    let [a, b, c, d] = ["a", "b", "c", "d"].map(|card| lab.0.name(card));
    let outcome = lab.flash(&["--device", &a, "--device", &b]);
    assert!(outcome.success, "{}", outcome.stderr);
    for node in ["n1", "n2"] {
        assert!(
            outcome.stdout.contains(&format!("; label this card {node}\n")),
            "{}",
            outcome.stdout
        );
    }
    assert_eq!(
        (lab.name_on("a"), lab.name_on("b")),
        ("n1".to_owned(), "n2".to_owned())
    );
    assert_eq!(on_card(&a, "config.txt"), "gpu_mem=16\n");
    assert_eq!(on_card(&b, "config.txt"), "gpu_mem=64\n");
    assert_eq!(on_card(&b, "note.txt"), "mine\n");

    let outcome = lab.flash(&["--device", &a]);
    assert!(
        outcome.success && outcome.stderr.contains("becomes n1 again"),
        "{}",
        outcome.stderr
    );
    assert!(lab.flash(&["--device", &c]).success);
    assert_eq!(
        (lab.name_on("a"), lab.name_on("c")),
        ("n1".to_owned(), "n3".to_owned())
    );

    let outcome = lab.flash(&["--device", &d]);
    let expected =
        "is one card too many: all 3 nodes of cluster pack have one; --hostname NAME makes one anew";
    assert!(outcome.error().ends_with(expected), "{}", outcome.stderr);
    assert!(lab.flash(&["--hostname", "n2", "--device", &d]).success);
    assert_eq!(lab.name_on("d"), "n2");
    // Nothing is left to wait for.
    let outcome = lab.flash(&[]);
    assert!(
        outcome.stdout.starts_with("All 3 cards of cluster pack are made"),
        "{}{}",
        outcome.stdout,
        outcome.stderr
    );
}

#[test]
fn a_card_that_failed_leaves_its_name_to_the_next() {
    let lab = Lab::new();
    let small = lab.0.file("small", &vec![0; 10 * MIB]);
    let good = lab.0.name("good");
    assert!(
        lab.flash(&["--device", &small])
            .error()
            .contains("use a larger card")
    );
    assert!(lab.flash(&["--dry-run", "--device", &good]).success);
    assert!(lab.flash(&["--device", &good]).success);
    assert_eq!(lab.name_on("good"), "n1");
}

#[test]
fn settings_have_one_place() {
    let lab = Lab::new();
    let card = lab.0.name("card");
    for (arguments, expected) in [
        (&["--time-zone", "UTC"][..], "the settings of a cluster are in "),
        (&["--cluster", "x"], "the settings of a cluster are in "),
        (&["--hostname", "n9"], "--hostname n9: "),
    ] {
        let outcome = lab.flash(&[arguments, &["--device", &card]].concat());
        assert!(
            outcome.error().starts_with(&format!("flash: {expected}")),
            "{}",
            outcome.stderr
        );
    }
    lab.0.file(
        "cluster.toml",
        FILE.replace(
            "gpu_mem=64\"]",
            "gpu_mem=64\"]\nlocale = \"C.UTF-8\"\nssid = \"x\"",
        )
        .as_bytes(),
    );
    let outcome = lab.flash(&["--device", &card]);
    let expected = "flash: n2: --ssid: this image would not read it";
    assert!(outcome.error().starts_with(expected), "{}", outcome.stderr);
    assert!(!lab.0.path("card").exists());
}
