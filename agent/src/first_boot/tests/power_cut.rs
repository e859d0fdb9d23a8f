//! The power fails in the middle of it.

use super::{Node, state};

#[test]
fn power_cut_at_any_point_of_the_first_boot_ends_in_the_same_node() {
    let mut whole = Node::new();
    whole.start(None);
    let expected = whole.picture();
    let mut cuts = 0;
    loop {
        let mut node = Node::new();
        let over = node.start_until(cuts);
        let report = node.start(None);
        assert_eq!(
            report.failed, [""; 0],
            "cut after {cuts} effects: {:?}",
            report.lines
        );
        assert_eq!(node.picture(), expected, "cut after {cuts} effects");
        assert!(state(&node.paths).done);
        if over {
            break;
        }
        cuts += 1;
    }
    assert!(cuts > 30, "only {cuts} effects were interrupted");
}

#[test]
fn power_cut_again_and_again_comes_to_an_end() {
    let mut whole = Node::new();
    whole.start(None);
    let mut node = Node::new();
    // Each start gets one effect further than the one before it.
    for effects in 0..80 {
        node.start_until(effects);
    }
    assert_eq!(node.start(None).failed, [""; 0]);
    assert_eq!(node.picture(), whole.picture());
}
