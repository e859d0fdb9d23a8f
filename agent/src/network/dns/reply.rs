//! Answers of other resolvers: checked as far as passing them on needs it, and kept as bytes. Pure.

use std::time::Duration;

use super::query::{Edns, HEADER, Query, UDP_MAX, name_length};

/// Longest time that an answer is kept.
const KEPT_MAX: u32 = 24 * 3600;
/// Longest time that it is kept that there is no such name (RFC 2308 section 5 allows more).
const NEGATIVE_MAX: u32 = 300;
/// Record types that are looked into.
const SOA: u16 = 6;
const OPT: u16 = 41;

/// The answer of another resolver, without its EDNS record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reply {
    bytes: Vec<u8>,
    /// Where the times to live are.
    ttls: Vec<u16>,
    /// Length of the question.
    question: usize,
    /// For how long it may be kept.
    pub keep: Duration,
}

/// What to make of an answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It is the answer.
    Good(Reply),
    /// It is cut: ask by TCP.
    Cut,
    /// The resolver does not understand EDNS: ask without.
    NoEdns,
    /// The resolver cannot or will not answer: ask another.
    Failed,
    /// It is not the answer to this question.
    Other,
}

/// The query for another resolver.
pub fn question(id: u16, query: &Query, edns: bool) -> Vec<u8> {
    let flags = [
        0x01,
        (0x20 * u8::from(query.authentic_data)) | (0x10 * u8::from(query.checking_disabled)),
    ];
    let mut bytes = id.to_be_bytes().to_vec();
    bytes.extend(flags);
    bytes.extend([0, 1, 0, 0, 0, 0, 0, u8::from(edns)]);
    bytes.extend(&query.raw);
    if edns {
        bytes.extend(option(query.edns.is_some_and(|edns| edns.dnssec_ok)));
    }
    bytes
}

/// Looks at what came back for `question(id, query, ..)`.
pub fn judge(id: u16, query: &Query, bytes: &[u8]) -> Verdict {
    let ours = bytes.first_chunk::<HEADER>().is_some_and(|header| {
        // The number, an answer to a query, with one question.
        header[..2] == id.to_be_bytes() && header[2] & 0xf8 == 0x80 && header[4..6] == [0, 1]
    });
    let asked = bytes.get(HEADER..HEADER + query.raw.len());
    if !ours || !asked.is_some_and(|asked| asked.eq_ignore_ascii_case(&query.raw)) {
        return Verdict::Other;
    }
    if bytes[2] & 0x02 != 0 {
        return Verdict::Cut;
    }
    match bytes[3] & 0xf {
        0 | 3 => {}
        1 | 4 => return Verdict::NoEdns,
        _ => return Verdict::Failed,
    }
    read(bytes, query.raw.len()).map_or(Verdict::Failed, Verdict::Good)
}

/// Walks over the records.
fn read(bytes: &[u8], question: usize) -> Option<Reply> {
    let mut at = HEADER + question;
    let mut kept = bytes.to_vec();
    let mut ttls = Vec::new();
    let mut shortest = KEPT_MAX;
    let mut start = None;
    'sections: for section in [6, 8, 10] {
        let count = u16::from_be_bytes([bytes[section], bytes[section + 1]]);
        for number in 0..count {
            let record = Record::read(bytes, at)?;
            if record.kind == OPT {
                if section != 10 {
                    return None;
                }
                // What may follow it is additional, so nobody misses it.
                kept[section..section + 2].copy_from_slice(&number.to_be_bytes());
                break 'sections;
            }
            ttls.push(u16::try_from(record.ttl_at).ok()?);
            shortest = shortest.min(record.ttl);
            if section == 8 && record.kind == SOA {
                let minimum = bytes.get(record.end - 4..record.end)?;
                let minimum = u32::from_be_bytes(minimum.try_into().ok()?);
                start = Some(record.ttl.min(minimum).min(NEGATIVE_MAX));
            }
            at = record.end;
        }
    }
    // What is behind the last record belongs to none.
    kept.truncate(at);
    // Without an answer it says that there is none, for as long as the start of authority tells (RFC 2308).
    let keep = if bytes[6..8] == [0, 0] {
        start.unwrap_or(0).min(shortest)
    } else {
        shortest
    };
    Some(Reply {
        bytes: kept,
        ttls,
        question,
        keep: Duration::from_secs(u64::from(keep)),
    })
}

struct Record {
    kind: u16,
    ttl: u32,
    ttl_at: usize,
    end: usize,
}

impl Record {
    fn read(bytes: &[u8], at: usize) -> Option<Self> {
        let fixed = at + skip_name(bytes.get(at..)?)?;
        let [k1, k2, _, _, t1, t2, t3, t4, l1, l2] = *bytes.get(fixed..)?.first_chunk::<10>()?;
        let end = fixed + 10 + usize::from(u16::from_be_bytes([l1, l2]));
        let ttl = u32::from_be_bytes([t1, t2, t3, t4]);
        let kind = u16::from_be_bytes([k1, k2]);
        // The shortest start of authority: two names, five numbers.
        let sound = end <= bytes.len() && (kind != SOA || end >= fixed + 10 + 22);
        sound.then_some(Self {
            kind,
            // A time with the highest bit set is none (RFC 2181 section 8).
            ttl: if ttl > i32::MAX.unsigned_abs() { 0 } else { ttl },
            ttl_at: fixed + 4,
            end,
        })
    }
}

/// Length of a name, which may end with a pointer.
fn skip_name(bytes: &[u8]) -> Option<usize> {
    let mut at = 0;
    loop {
        match *bytes.get(at)? {
            0 => return Some(at + 1),
            0xc0.. => return Some(at + 2),
            length @ 1..=63 if at < 255 => at += 1 + usize::from(length),
            _ => return None,
        }
    }
}

impl Reply {
    /// How much memory it takes, about.
    pub fn size(&self) -> usize {
        self.bytes.len() + 2 * self.ttls.len() + 64
    }

    /// The answer to `query`, `age` after it was received, at most `most` bytes long or cut.
    pub fn answer(&self, query: &Query, age: Duration, most: usize) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(self.bytes.len() + 11);
        bytes.extend(&self.bytes);
        bytes[..2].copy_from_slice(&query.id.to_be_bytes());
        let validated = query.authentic_data || query.edns.is_some_and(|edns| edns.dnssec_ok);
        // Not authoritative; recursion wanted and available.
        bytes[2] = 0x80 | u8::from(query.recursive);
        let kept = bytes[3] & if validated { 0x2f } else { 0x0f };
        bytes[3] = 0x80 | kept | (0x10 * u8::from(query.checking_disabled));
        // The name as this asker wrote it.
        bytes[HEADER..HEADER + self.question].copy_from_slice(&query.raw);
        let age = u32::try_from(age.as_secs()).unwrap_or(u32::MAX);
        for at in self.ttls.iter().map(|at| usize::from(*at)) {
            if let Some(place) = bytes.get_mut(at..).and_then(|rest| rest.first_chunk_mut::<4>()) {
                *place = u32::from_be_bytes(*place).saturating_sub(age).to_be_bytes();
            }
        }
        let room = if query.edns.is_some() { 11 } else { 0 };
        if bytes.len() + room > most {
            bytes.truncate(HEADER + self.question);
            bytes[2] |= 0x02;
            bytes[6..HEADER].fill(0);
        }
        if let Some(Edns { dnssec_ok, .. }) = query.edns {
            let additional = u16::from_be_bytes([bytes[10], bytes[11]]).saturating_add(1);
            bytes[10..12].copy_from_slice(&additional.to_be_bytes());
            bytes.extend(option(dnssec_ok));
        }
        bytes
    }
}

/// The EDNS record.
fn option(dnssec_ok: bool) -> [u8; 11] {
    let [high, low] = UDP_MAX.to_be_bytes();
    [0, 0, 41, high, low, 0, 0, 0x80 * u8::from(dnssec_ok), 0, 0, 0]
}

/// The part of a query that decides its answer.
pub fn key(query: &Query) -> Vec<u8> {
    let mut key = query.raw.to_ascii_lowercase();
    // Type and class are no letters.
    let name = name_length(&query.raw).unwrap_or(0);
    key[name..].copy_from_slice(&query.raw[name..]);
    key.push(
        u8::from(query.checking_disabled) << 1 | u8::from(query.edns.is_some_and(|edns| edns.dnssec_ok)),
    );
    key
}

#[cfg(test)]
pub(super) mod tests {
    use super::super::query::tests::query;
    use super::*;
    use hickory_proto::op::{Edns as Option_, Message, MessageType, OpCode, ResponseCode};
    use hickory_proto::rr::rdata::{A, SOA as Start, TXT};
    use hickory_proto::rr::{Name, RData, Record as Full, RecordType};
    use proptest::prelude::{ProptestConfig, proptest};

    /// What a resolver answers: addresses with these times to live.
    pub(in super::super) fn upstream(query: &Query, ttls: &[u32]) -> Message {
        let mut message = Message::new(9, MessageType::Response, OpCode::Query);
        message.metadata.recursion_available = true;
        message.metadata.authentic_data = true;
        message.add_query(query.question.clone());
        for (number, ttl) in (1..).zip(ttls) {
            let data = RData::A(A::new(192, 0, 2, number));
            message.add_answer(Full::from_rdata(query.question.name.clone(), *ttl, data));
        }
        message.set_edns(Option_::new());
        message
    }

    fn good(query: &Query, message: &Message) -> Reply {
        match judge(9, query, &message.to_vec().unwrap()) {
            Verdict::Good(reply) => reply,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn authority_and_glue_are_passed_on_too() {
        let asked = query("example.org.", RecordType::A);
        let mut message = upstream(&asked, &[60]);
        let name = asked.question.name.clone();
        let data = RData::A(A::new(192, 0, 2, 9));
        message.add_authority(Full::from_rdata(name.clone(), 60, data.clone()));
        message.add_additional(Full::from_rdata(name, 60, data));
        let mut other = query("example.org.", RecordType::A);
        other.edns = Some(Edns {
            version: 0,
            payload: 1232,
            dnssec_ok: false,
        });
        for asker in [&asked, &other] {
            let bytes = good(&asked, &message).answer(asker, Duration::ZERO, 1232);
            let read = Message::from_vec(&bytes).unwrap();
            let counts = [read.answers.len(), read.authorities.len(), read.additionals.len()];
            assert_eq!(counts, [1, 1, 1], "{read:?}");
        }
    }

    #[test]
    fn an_answer_is_passed_on_with_the_askers_number_name_and_less_time() {
        let asked = query("example.org.", RecordType::A);
        let reply = good(&asked, &upstream(&asked, &[300, 60]));
        assert_eq!(reply.keep, Duration::from_secs(60));
        let mut other = query("EXAMPLE.org.", RecordType::A);
        other.id = 0xbeef;
        other.edns = Some(Edns {
            version: 0,
            payload: 1232,
            dnssec_ok: false,
        });
        assert_eq!(key(&asked), key(&other));
        let read = Message::from_vec(&reply.answer(&other, Duration::from_secs(20), 512)).unwrap();
        assert_eq!(read.metadata.id, 0xbeef);
        assert!(read.metadata.recursion_available && !read.metadata.authoritative);
        assert!(!read.metadata.authentic_data, "nobody asked for it");
        assert!(
            read.queries[0]
                .name
                .eq_case(&Name::from_ascii("EXAMPLE.org.").unwrap())
        );
        assert_eq!(read.answers.iter().map(|a| a.ttl).collect::<Vec<_>>(), [280, 40]);
        assert!(read.edns.is_some() && read.additionals.is_empty());
        let plain = Message::from_vec(&reply.answer(&asked, Duration::from_secs(900), 512)).unwrap();
        assert_eq!((plain.edns, plain.answers[0].ttl), (None, 0));
    }

    #[test]
    fn an_answer_that_does_not_fit_is_cut() {
        let mut asked = query("example.org.", RecordType::TXT);
        let mut message = upstream(&asked, &[]);
        for _ in 0..9 {
            let text = RData::TXT(TXT::new(vec!["x".repeat(99)]));
            message.add_answer(Full::from_rdata(asked.question.name.clone(), 5, text));
        }
        let reply = good(&asked, &message);
        for (edns, most, cut) in [
            (false, 512, true),
            (true, 512, true),
            (true, 1232, false),
            (false, 65535, false),
        ] {
            asked.edns = edns.then_some(Edns {
                version: 0,
                payload: 4096,
                dnssec_ok: false,
            });
            let bytes = reply.answer(&asked, Duration::ZERO, most);
            assert!(bytes.len() <= most);
            let read = Message::from_vec(&bytes).unwrap();
            assert_eq!((read.metadata.truncation, read.answers.is_empty()), (cut, cut));
            assert_eq!(read.edns.is_some(), edns);
        }
    }

    #[test]
    fn what_is_not_there_is_kept_as_long_as_the_authority_says() {
        let asked = query("nobody.example.org.", RecordType::A);
        for (ttl, minimum, expected) in [(60, 30, 30), (20, 30, 20), (9999, 9999, 300)] {
            let mut message = upstream(&asked, &[]);
            message.metadata.response_code = ResponseCode::NXDomain;
            let name = Name::from_ascii("example.org.").unwrap();
            let start = Start::new(name.clone(), name.clone(), 1, 2, 3, 4, minimum);
            message.add_authority(Full::from_rdata(name, ttl, RData::SOA(start)));
            assert_eq!(good(&asked, &message).keep, Duration::from_secs(expected));
        }
        assert_eq!(good(&asked, &upstream(&asked, &[])).keep, Duration::ZERO);
        assert_eq!(good(&asked, &upstream(&asked, &[u32::MAX])).keep, Duration::ZERO);
    }

    #[test]
    fn answers_to_other_questions_do_not_count() {
        let asked = query("example.org.", RecordType::A);
        let answer = upstream(&asked, &[60]).to_vec().unwrap();
        for (at, byte, expected) in [
            (1, 8, Verdict::Other),
            (2, 0x01, Verdict::Other),
            (5, 2, Verdict::Other),
            (13, b'f', Verdict::Other),
            (2, 0x82, Verdict::Cut),
            (3, 0x81, Verdict::NoEdns),
            (3, 0x82, Verdict::Failed),
            (3, 0x85, Verdict::Failed),
            (7, 9, Verdict::Failed),
        ] {
            let mut bytes = answer.clone();
            bytes[at] = byte;
            assert_eq!(judge(9, &asked, &bytes), expected, "{at}: {byte:#x}");
        }
    }

    #[test]
    fn the_question_to_others_is_the_one_that_was_asked() {
        let mut asked = query("Example.org.", RecordType::A);
        asked.checking_disabled = true;
        for edns in [true, false] {
            let read = Message::from_vec(&question(9, &asked, edns)).unwrap();
            assert_eq!((read.metadata.id, read.edns.is_some()), (9, edns));
            assert!(read.metadata.recursion_desired && read.metadata.checking_disabled);
            assert_eq!(read.queries, [asked.question.clone()]);
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(3000))]
        #[test]
        fn no_bytes_make_it_panic(noise: Vec<u8>, at in 0usize..80, byte: u8, end in 0usize..90) {
            let asked = query("example.org.", RecordType::A);
            judge(9, &asked, &noise);
            let mut bytes = upstream(&asked, &[60, 60]).to_vec().unwrap();
            if let Some(place) = bytes.get_mut(at) {
                *place = byte;
            }
            bytes.truncate(end.max(30));
            bytes.extend(noise);
            if let Verdict::Good(reply) = judge(9, &asked, &bytes) {
                reply.answer(&asked, Duration::from_secs(3), 512);
            }
        }
    }
}
