//! Queries as they come in. Bytes from the network are hostile: what a query cannot have is refused before hickory
//! reserves memory for it.

use hickory_proto::op::{Message, MessageType, OpCode, Query as Question, ResponseCode};

/// Bytes of a DNS header.
pub(super) const HEADER: usize = 12;
/// Largest answer by UDP to who does not say more (RFC 1035 section 4.2.1).
const PLAIN_MAX: u16 = 512;
/// Largest answer by UDP: none of them is fragmented (RFC 9715).
pub(super) const UDP_MAX: u16 = 1232;

/// A query that can be answered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Query {
    /// Number that the answer must have.
    pub id: u16,
    /// RD: others may be asked for the answer.
    pub recursive: bool,
    /// CD and AD, for the resolvers that are asked.
    pub checking_disabled: bool,
    /// AD: the asker understands it.
    pub authentic_data: bool,
    /// What is asked.
    pub question: Question,
    /// The question as it was sent: name, type, class.
    pub raw: Vec<u8>,
    /// EDNS(0), if it was there.
    pub edns: Option<Edns>,
}

/// What the query says by EDNS(0) (RFC 6891).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Edns {
    /// Version.
    pub version: u8,
    /// Largest answer that can be received by UDP.
    pub payload: u16,
    /// DO: DNSSEC records are wanted.
    pub dnssec_ok: bool,
}

/// What came in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Heard {
    /// A query.
    Query(Query),
    /// No query that can be answered; this says so.
    Wrong(Vec<u8>),
    /// Nothing that gets an answer.
    Nothing,
}

impl Query {
    /// Largest answer by UDP.
    pub fn udp_max(&self) -> usize {
        let payload = self.edns.map_or(PLAIN_MAX, |edns| edns.payload);
        usize::from(payload.clamp(PLAIN_MAX, UDP_MAX))
    }
}

/// Reads a message.
pub fn parse(bytes: &[u8]) -> Heard {
    let Some((
        &[
            id_high,
            id_low,
            flags,
            _,
            questions_high,
            questions,
            answers_high,
            answers,
            authorities_high,
            authorities,
            additionals_high,
            additionals,
        ],
        body,
    )) = bytes.split_first_chunk::<HEADER>()
    else {
        return Heard::Nothing;
    };
    // Never an answer to an answer: two servers would go on for ever.
    if flags & 0x80 != 0 {
        return Heard::Nothing;
    }
    let id = u16::from_be_bytes([id_high, id_low]);
    let code = OpCode::from_u8(flags >> 3 & 0xf);
    let wrong = |reason| {
        let mut message = Message::new(id, MessageType::Response, code);
        message.metadata.response_code = reason;
        message.to_vec().map_or(Heard::Nothing, Heard::Wrong)
    };
    if code != OpCode::Query {
        return wrong(ResponseCode::NotImp);
    }
    // One question (RFC 9619); an incremental transfer has an authority record; EDNS and a signature are additional.
    let counts = [
        answers_high,
        answers,
        authorities_high,
        additionals_high,
        questions_high,
    ];
    if questions != 1 || authorities > 1 || additionals > 2 || counts != [0; 5] {
        return wrong(ResponseCode::FormErr);
    }
    let message = Message::from_vec(bytes).ok();
    let length = name_length(body).map(|length| length + 4);
    let (Some(mut message), Some(raw)) = (message, length.and_then(|length| body.get(..length))) else {
        return wrong(ResponseCode::FormErr);
    };
    let Some(question) = message.queries.pop() else {
        return wrong(ResponseCode::FormErr);
    };
    Heard::Query(Query {
        id,
        recursive: message.metadata.recursion_desired,
        checking_disabled: message.metadata.checking_disabled,
        authentic_data: message.metadata.authentic_data,
        question,
        raw: raw.to_vec(),
        edns: message.edns.as_ref().map(|edns| Edns {
            version: edns.version(),
            payload: edns.max_payload(),
            dnssec_ok: edns.flags().dnssec_ok,
        }),
    })
}

/// Length of a name that is written in full, with its end. There is nothing before a question to point to.
pub(super) fn name_length(bytes: &[u8]) -> Option<usize> {
    let mut at = 0;
    loop {
        match *bytes.get(at)? {
            0 => return Some(at + 1),
            length @ 1..=63 if at < 255 => at += 1 + usize::from(length),
            _ => return None,
        }
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use hickory_proto::op::Edns as Option_;
    use hickory_proto::rr::{DNSClass, Name, RecordType};
    use proptest::prelude::{ProptestConfig, proptest};

    /// A query as a resolver sends it.
    pub(in super::super) fn message(name: &str, kind: RecordType) -> Message {
        let mut message = Message::new(7, MessageType::Query, OpCode::Query);
        message.metadata.recursion_desired = true;
        message.add_query(Question::query(Name::from_ascii(name).unwrap(), kind));
        message
    }

    pub(in super::super) fn query(name: &str, kind: RecordType) -> Query {
        match parse(&message(name, kind).to_vec().unwrap()) {
            Heard::Query(query) => query,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn a_query_is_read_with_the_name_as_it_was_sent() {
        let mut sent = message("N1.Cluster.internal.", RecordType::AAAA);
        let mut edns = Option_::new();
        edns.set_max_payload(4096).set_dnssec_ok(true);
        sent.set_edns(edns);
        let Heard::Query(read) = parse(&sent.to_vec().unwrap()) else {
            panic!()
        };
        assert_eq!(read.raw, b"\x02N1\x07Cluster\x08internal\0\0\x1c\0\x01");
        assert_eq!(read.question.query_type, RecordType::AAAA);
        let edns = Edns {
            version: 0,
            payload: 4096,
            dnssec_ok: true,
        };
        assert_eq!((read.id, read.recursive, read.edns), (7, true, Some(edns)));
        assert_eq!(read.udp_max(), 1232);
        assert_eq!(query("a.", RecordType::A).udp_max(), 512);
    }

    #[test]
    fn what_is_no_query_is_refused_or_gets_no_answer() {
        let good = message("n1.", RecordType::A).to_vec().unwrap();
        let code = |bytes: &[u8]| match parse(bytes) {
            Heard::Wrong(reply) => {
                assert_eq!(reply.len(), HEADER);
                assert_eq!((&reply[..2], reply[2] & 0x80), (&good[..2], 0x80));
                Some(reply[3] & 0xf)
            }
            Heard::Query(_) => panic!("a query"),
            Heard::Nothing => None,
        };
        for (at, byte, expected, why) in [
            (2, 0x80, None, "an answer"),
            (2, 0x28, Some(4), "an update"),
            (2, 0x10, Some(4), "a status request"),
            (5, 0, Some(1), "no question"),
            (5, 2, Some(1), "two questions"),
            (4, 255, Some(1), "65281 questions"),
            (7, 1, Some(1), "an answer in it"),
            (8, 255, Some(1), "65280 authorities"),
            (11, 9, Some(1), "nine additional records"),
            (12, 0xc0, Some(1), "a name that points to itself"),
        ] {
            let mut bytes = good.clone();
            bytes[at] = byte;
            if at == 12 {
                bytes[13] = 12;
            }
            assert_eq!(code(&bytes), expected, "{why}");
        }
        assert_eq!(code(&good[..11]), None);
        assert_eq!(code(&good[..good.len() - 1]), Some(1));
        let mut chaos = message("version.bind.", RecordType::TXT);
        chaos.queries[0].query_class = DNSClass::CH;
        assert!(matches!(parse(&chaos.to_vec().unwrap()), Heard::Query(_)));
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(3000))]
        #[test]
        fn no_bytes_make_it_panic(noise: Vec<u8>, at in 0usize..30, byte: u8) {
            parse(&noise);
            let mut bytes = message("n1.cluster.internal.", RecordType::A).to_vec().unwrap();
            bytes[at] = byte;
            parse(&bytes);
            bytes.truncate(12);
            bytes.extend(noise);
            parse(&bytes);
        }
    }
}
