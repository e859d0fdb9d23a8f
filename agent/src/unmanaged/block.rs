//! A block of ours in a file of somebody else, which can be taken out again byte for byte.

/// First line of the block.
const BEGIN: &[u8] = b"# cluster-lab begin: kept up to date by cluster-lab\n";
/// Last line of the block.
const END: &[u8] = b"# cluster-lab end\n";

/// `text` with a block of these lines at its top, instead of the one that it may have. At the top, because in
/// dhcpcd.conf(5) what follows an `interface` line is about that interface only.
pub(crate) fn with(text: &[u8], lines: &str) -> Vec<u8> {
    [BEGIN, lines.as_bytes(), END, &without(text)].concat()
}

/// `text` without the block, wherever it was moved to.
pub(crate) fn without(text: &[u8]) -> Vec<u8> {
    let Some(begin) = find_line(text, BEGIN, 0) else {
        return text.to_vec();
    };
    let Some(end) = find_line(text, END, begin + BEGIN.len()) else {
        return text.to_vec();
    };
    [&text[..begin], &text[end + END.len()..]].concat()
}

/// Where a whole line starts, at or after `from`.
fn find_line(text: &[u8], line: &[u8], from: usize) -> Option<usize> {
    (from..text.len()).find(|&at| text[at..].starts_with(line) && (at == 0 || text[at - 1] == b'\n'))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::{Strategy, any, prop_oneof, proptest};

    const LINES: &str = "denyinterfaces *.200\n";

    /// Files as they are, as they might be after an editor was at them, and with pieces of our own lines in them.
    fn text() -> impl Strategy<Value = Vec<u8>> {
        let piece = prop_oneof![
            any::<Vec<u8>>(),
            proptest::sample::select(vec![
                &b"\n"[..],
                b"\r\n",
                b"# a\n",
                b"interface eth0\n",
                b"\xef\xbb\xbf",
                END,
                &BEGIN[1..],
                &BEGIN[..9],
            ])
            .prop_map(<[u8]>::to_vec),
        ];
        proptest::collection::vec(piece, 0..8).prop_map(|pieces| pieces.concat())
    }

    proptest! {
        #[test]
        fn what_was_put_in_is_taken_out_byte_for_byte(text in text()) {
            assert_eq!(without(&with(&text, LINES)), text);
        }

        #[test]
        fn a_second_time_changes_nothing_and_another_vlan_replaces(text in text()) {
            let once = with(&text, LINES);
            assert_eq!(with(&once, LINES), once);
            assert_eq!(without(&with(&once, "denyinterfaces *.7\n")), text);
        }
    }

    #[test]
    fn a_block_that_was_moved_is_found_and_half_a_block_is_left_alone() {
        let moved = [b"# mine\n", &with(b"", LINES)[..], b"interface eth0\n"].concat();
        assert_eq!(without(&moved), b"# mine\ninterface eth0\n");
        let half = [b"a\n", BEGIN, b"b\n"].concat();
        assert_eq!(without(&half), half);
    }
}
