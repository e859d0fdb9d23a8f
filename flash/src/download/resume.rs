//! What to ask a server for, and what its answer means for what is there already (RFC 9110, sections 13 and 14).

use super::kept::State;

/// What to ask for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Wish {
    /// All of it.
    Whole,
    /// What is missing, unless it has changed.
    Rest {
        /// The first byte that is missing.
        from: u64,
        /// For `If-Range`.
        validator: String,
    },
    /// Whether it has changed.
    Changed {
        /// For `If-None-Match`.
        etag: Option<String>,
        /// For `If-Modified-Since`.
        last_modified: Option<String>,
    },
}

/// The head of an answer.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Head {
    pub(super) status: u16,
    pub(super) etag: Option<String>,
    pub(super) last_modified: Option<String>,
    /// Of the whole file.
    pub(super) length: Option<u64>,
    /// The first byte that follows, where it is not the first of the file.
    pub(super) range_start: Option<u64>,
}

/// What to do with an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Next {
    /// What is there is whole and right.
    Unchanged,
    /// The rest follows.
    Append,
    /// All of it follows.
    Restart,
    /// The server does not give it.
    Refused,
}

/// What to ask for when `have` bytes are there.
pub(super) fn wish(state: Option<&State>, have: u64) -> Wish {
    let Some(state) = state else {
        return Wish::Whole;
    };
    let whole = state.length == Some(have);
    match (state.complete && whole, validator(state)) {
        (true, Some(_)) => Wish::Changed {
            etag: state.etag.clone(),
            last_modified: state.last_modified.clone(),
        },
        (false, Some(validator)) if have > 0 && !whole && !state.complete => Wish::Rest {
            from: have,
            validator,
        },
        _ => Wish::Whole,
    }
}

/// What stands for the content of a file byte for byte. A weak entity tag does not.
fn validator(state: &State) -> Option<String> {
    let strong = state.etag.clone().filter(|etag| !etag.starts_with("W/"));
    strong.or_else(|| state.last_modified.clone())
}

/// What an answer means. An error is an answer that contradicts itself; nothing of what is there counts then.
pub(super) fn judge(wish: &Wish, state: Option<&State>, head: &Head) -> Result<Next, String> {
    match (head.status, wish) {
        (200, _) => Ok(Next::Restart),
        (304, Wish::Changed { .. }) => Ok(Next::Unchanged),
        (206, Wish::Rest { from, .. }) => {
            let same = |old: Option<&String>, new: Option<&String>| new.is_none() || old == new;
            let etag = same(state.and_then(|state| state.etag.as_ref()), head.etag.as_ref());
            let known = state.and_then(|state| state.length);
            if head.range_start != Some(*from) || !etag || (known.is_some() && head.length != known) {
                return Err("the server gave another part than it was asked for".to_owned());
            }
            Ok(Next::Append)
        }
        // The file is shorter than what is there.
        (416, Wish::Rest { .. }) => Err("the file on the server has changed".to_owned()),
        _ => Ok(Next::Refused),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn state(etag: &str, last_modified: &str, complete: bool) -> State {
        let some = |text: &str| Some(text.to_owned()).filter(|text| !text.is_empty());
        State {
            etag: some(etag),
            last_modified: some(last_modified),
            length: Some(100),
            complete,
            ..State::default()
        }
    }

    #[test]
    fn only_what_is_known_to_be_the_same_is_gone_on_with() {
        let rest = |validator: &str| Wish::Rest {
            from: 40,
            validator: validator.to_owned(),
        };
        for (state, have, expected) in [
            (None, 40, Wish::Whole),
            (Some(state("", "", false)), 40, Wish::Whole),
            (Some(state("W/\"1\"", "", false)), 40, Wish::Whole),
            (Some(state("\"1\"", "", false)), 0, Wish::Whole),
            (Some(state("\"1\"", "Mon", false)), 40, rest("\"1\"")),
            (Some(state("W/\"1\"", "Mon", false)), 40, rest("Mon")),
            // Shorter than it was when it was whole.
            (Some(state("\"1\"", "", true)), 40, Wish::Whole),
            (
                Some(state("\"1\"", "", true)),
                100,
                Wish::Changed {
                    etag: Some("\"1\"".to_owned()),
                    last_modified: None,
                },
            ),
            (Some(state("", "", true)), 100, Wish::Whole),
            (Some(state("\"1\"", "", false)), 100, Wish::Whole),
        ] {
            assert_eq!(wish(state.as_ref(), have), expected, "{state:?}");
        }
    }

    #[test]
    fn answers() {
        let state = state("\"1\"", "", false);
        let rest = wish(Some(&state), 40);
        let head = |status, etag: &str, start, length| Head {
            status,
            etag: Some(etag.to_owned()),
            range_start: Some(start),
            length: Some(length),
            ..Head::default()
        };
        for (head, expected) in [
            (head(206, "\"1\"", 40, 100), Ok(Next::Append)),
            (head(200, "\"2\"", 0, 100), Ok(Next::Restart)),
            (head(206, "\"2\"", 40, 100), Err(())),
            (head(206, "\"1\"", 39, 100), Err(())),
            (head(206, "\"1\"", 40, 101), Err(())),
            (head(416, "\"1\"", 0, 10), Err(())),
            (head(404, "", 0, 0), Ok(Next::Refused)),
            (head(304, "", 0, 0), Ok(Next::Refused)),
        ] {
            assert_eq!(
                judge(&rest, Some(&state), &head).map_err(drop),
                expected,
                "{head:?}"
            );
        }
    }
}
