//! What becomes of a query: an answer from what the master knows itself, or a question to others. Pure.

use hickory_proto::op::{Edns as Option_, Message, MessageType, OpCode, ResponseCode};
use hickory_proto::rr::rdata::HINFO;
use hickory_proto::rr::{DNSClass, RData, Record, RecordType};

use super::query::{Query, UDP_MAX};
use super::zone::{Found, Zone};

/// For so many seconds an answer to `ANY` may be kept: it will not change.
const ANY_TTL: u32 = 3600;

/// Who is asked for what the master does not know.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Whom {
    /// The resolvers of the uplink.
    Uplink,
    /// Consul on this node, for names in `.consul`.
    Consul,
}

/// What becomes of a query.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Decision {
    /// This is the answer.
    Answer(Box<Message>),
    /// Others are asked.
    Ask(Whom),
}

/// Decides. `known`: whether the query comes from the cluster network.
pub fn decide(zone: &Zone, query: &Query, known: bool) -> Decision {
    let question = &query.question;
    let refused = !known
        || question.query_class != DNSClass::IN
        || matches!(question.query_type, RecordType::AXFR | RecordType::IXFR);
    if query.edns.is_some_and(|edns| edns.version != 0) {
        return Decision::Answer(Box::new(failure(query, ResponseCode::BADVERS)));
    }
    if refused {
        return Decision::Answer(Box::new(failure(query, ResponseCode::Refused)));
    }
    let mut message = blank(query);
    message.metadata.authoritative = true;
    let start = match zone.find(&question.name, question.query_type) {
        Found::Records(records, more) => {
            message.add_answers(records);
            message.add_additionals(more.into_iter().cloned());
            None
        }
        Found::NoData(start) => start,
        Found::NoName(start) => {
            message.metadata.response_code = ResponseCode::NXDomain;
            start
        }
        Found::Foreign => return foreign(query),
    };
    message.add_authorities(start);
    Decision::Answer(Box::new(message))
}

fn foreign(query: &Query) -> Decision {
    let question = &query.question;
    if question.query_type == RecordType::ANY {
        // Nobody needs all records at once but who floods others with answers (RFC 8482 section 4.2).
        let mut message = blank(query);
        let data = RData::HINFO(HINFO::new("RFC8482".to_owned(), String::new()));
        message.add_answer(Record::from_rdata(question.name.clone(), ANY_TTL, data));
        return Decision::Answer(Box::new(message));
    }
    if !query.recursive {
        return Decision::Answer(Box::new(failure(query, ResponseCode::Refused)));
    }
    let last = question.name.iter().next_back().unwrap_or_default();
    Decision::Ask(if last.eq_ignore_ascii_case(b"consul") {
        Whom::Consul
    } else {
        Whom::Uplink
    })
}

/// An answer that says only what is wrong.
pub fn failure(query: &Query, code: ResponseCode) -> Message {
    let mut message = blank(query);
    message.metadata.response_code = code;
    if let Some(edns) = &mut message.edns {
        // The code has more bits than the header has room for.
        edns.set_rcode_high(code.high());
    }
    message
}

/// The bytes of an answer, cut to what the asker can take: with TC set, it asks again by TCP.
pub fn encode(message: &Message, most: usize) -> Option<Vec<u8>> {
    let bytes = message.to_vec().ok()?;
    if bytes.len() <= most {
        return Some(bytes);
    }
    message.truncate().to_vec().ok()
}

fn blank(query: &Query) -> Message {
    let mut message = Message::new(query.id, MessageType::Response, OpCode::Query);
    message.metadata.recursion_desired = query.recursive;
    message.metadata.recursion_available = true;
    message.metadata.checking_disabled = query.checking_disabled;
    message.add_query(query.question.clone());
    if let Some(asked) = query.edns {
        let mut edns = Option_::new();
        edns.set_max_payload(UDP_MAX).set_dnssec_ok(asked.dnssec_ok);
        message.set_edns(edns);
    }
    message
}

#[cfg(test)]
mod tests {
    use super::super::query::tests::query;
    use super::super::query::{Edns, Heard, parse};
    use super::super::zone::tests::zone;
    use super::*;

    fn answer(query: &Query, known: bool) -> Message {
        match decide(&zone("192.168.200.0/24"), query, known) {
            Decision::Answer(message) => *message,
            Decision::Ask(whom) => panic!("{whom:?}"),
        }
    }

    #[test]
    fn answers_are_authoritative_for_our_own_names_only() {
        for (name, kind, code, own, records) in [
            (
                "n2.cluster.internal.",
                RecordType::A,
                ResponseCode::NoError,
                true,
                1,
            ),
            ("n2.", RecordType::MX, ResponseCode::NoError, true, 0),
            (
                "nobody.cluster.internal.",
                RecordType::A,
                ResponseCode::NXDomain,
                true,
                0,
            ),
            (
                "cluster.internal.",
                RecordType::AXFR,
                ResponseCode::Refused,
                false,
                0,
            ),
            ("example.org.", RecordType::IXFR, ResponseCode::Refused, false, 0),
            ("example.org.", RecordType::ANY, ResponseCode::NoError, false, 1),
        ] {
            let message = answer(&query(name, kind), true);
            let metadata = message.metadata;
            assert_eq!((metadata.id, metadata.response_code), (7, code), "{name} {kind}");
            assert_eq!(
                (metadata.authoritative, message.answers.len()),
                (own, records),
                "{name} {kind}"
            );
            assert!(
                metadata.recursion_available && metadata.recursion_desired,
                "{name} {kind}"
            );
        }
    }

    #[test]
    fn strangers_other_classes_and_questions_that_others_know_are_told_apart() {
        let code = |query: &Query, known| answer(query, known).metadata.response_code;
        let n2 = query("n2.", RecordType::A);
        assert_eq!(code(&n2, false), ResponseCode::Refused);
        let mut chaos = n2.clone();
        chaos.question.query_class = DNSClass::CH;
        assert_eq!(code(&chaos, true), ResponseCode::Refused);
        let mut cached = query("example.org.", RecordType::A);
        cached.recursive = false;
        assert_eq!(code(&cached, true), ResponseCode::Refused);
        for (name, expected) in [
            ("example.org.", Whom::Uplink),
            (".", Whom::Uplink),
            ("consul.", Whom::Consul),
            ("web.service.CONSUL.", Whom::Consul),
            ("consul.example.org.", Whom::Uplink),
        ] {
            let decision = decide(&zone("192.168.200.0/24"), &query(name, RecordType::MX), true);
            assert_eq!(decision, Decision::Ask(expected), "{name}");
        }
    }

    #[test]
    fn edns_is_answered_by_edns_and_an_unknown_version_refused() {
        let mut asked = query("n2.", RecordType::A);
        assert_eq!(answer(&asked, true).edns, None);
        for (version, expected) in [(0, 0), (1, 16)] {
            asked.edns = Some(Edns {
                version,
                payload: 4096,
                dnssec_ok: true,
            });
            let bytes = encode(&answer(&asked, true), 512).unwrap();
            let read = Message::from_vec(&bytes).unwrap();
            assert_eq!(u16::from(read.metadata.response_code), expected);
            let edns = read.edns.unwrap();
            assert_eq!(
                (edns.version(), edns.max_payload(), edns.flags().dnssec_ok),
                (0, 1232, true)
            );
        }
    }

    #[test]
    fn an_answer_that_does_not_fit_is_cut_and_says_so() {
        let message = answer(&query("n2.cluster.internal.", RecordType::A), true);
        let whole = encode(&message, 512).unwrap();
        let cut = Message::from_vec(&encode(&message, whole.len() - 1).unwrap()).unwrap();
        assert!(cut.metadata.truncation && cut.answers.is_empty() && cut.queries.len() == 1);
        // An answer is never taken for a query.
        assert_eq!(parse(&whole), Heard::Nothing);
    }
}
