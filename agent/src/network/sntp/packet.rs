//! SNTP messages: what the master answers, and what a node reads. Pure.

use std::time::Duration;

use super::clock::Trust;

/// Bytes of a message without extensions, which we have no use for.
pub const LENGTH: usize = 48;
/// Seconds from 1900, where NTP's time starts, to 1970.
const FROM_1900: u64 = 2_208_988_800;
/// An era of NTP's time.
const ERA: u64 = 1 << 32;
/// Times are taken for those of the era around this one: 2004 to 2140.
const PIVOT: u64 = 1_072_915_200;
/// A clock that somebody keeps right. The kernel does not tell how far that is from the source; the source is some
/// server of the internet, which has 1 to 3, so we have at most this.
const STRATUM_SYNCHRONISED: u8 = 4;
/// A clock that stands for the cluster's time by the administrator's word, so far down that every better source wins.
const STRATUM_LOCAL: u8 = 10;
/// No time at all.
const STRATUM_NONE: u8 = 16;
/// Reference of a clock that follows no peer by NTP.
const REFERENCE_LOCAL: [u8; 4] = [127, 127, 1, 1];
/// Precision as a power of two: about a microsecond.
const PRECISION: i8 = -20;
/// A clock's error grows at most so fast without anybody who corrects it (RFC 5905: 15 ppm, doubled for a Pi).
const UNSURE: Duration = Duration::from_secs(1);

/// What the server says of its clock.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Quality {
    /// How sure the kernel's clock is.
    pub trust: Trust,
    /// Whether it counts as the cluster's time even when nobody keeps it right.
    pub alone: bool,
}

/// The answer to a message that was received at `received`, sent at `sent`. `None`: it is no question of a client.
pub fn answer(question: &[u8], quality: Quality, received: Duration, sent: Duration) -> Option<[u8; LENGTH]> {
    let question = question.first_chunk::<LENGTH>()?;
    let (version, mode) = (question[0] >> 3 & 7, question[0] & 7);
    // From a client, in a version that has its fields where ours has them.
    if mode != 3 || !(1..=4).contains(&version) {
        return None;
    }
    let (leap, stratum, reference, error) = match quality {
        Quality {
            trust: Trust::Synchronised(error),
            ..
        } => (0, STRATUM_SYNCHRONISED, REFERENCE_LOCAL, error),
        Quality { alone: true, .. } => (0, STRATUM_LOCAL, REFERENCE_LOCAL, UNSURE),
        Quality { alone: false, .. } => (3, STRATUM_NONE, *b"INIT", UNSURE),
    };
    let mut answer = [0; LENGTH];
    answer[0] = leap << 6 | version << 3 | 4;
    answer[1] = stratum;
    answer[2] = question[2];
    answer[3] = PRECISION.to_be_bytes()[0];
    answer[8..12].copy_from_slice(&short(error));
    answer[12..16].copy_from_slice(&reference);
    if leap == 0 {
        answer[16..24].copy_from_slice(&timestamp(received));
    }
    // The client's own time of sending, by which it knows its answer.
    answer[24..32].copy_from_slice(&question[40..48]);
    answer[32..40].copy_from_slice(&timestamp(received));
    answer[40..48].copy_from_slice(&timestamp(sent));
    Some(answer)
}

/// A question. The mark comes back in the answer; it is not our time, which is nobody's business.
pub fn question(mark: u64) -> [u8; LENGTH] {
    let mut question = [0; LENGTH];
    question[0] = 4 << 3 | 3;
    question[40..48].copy_from_slice(&mark.to_be_bytes());
    question
}

/// The server's time in the answer to `question(mark)`, whatever the server says of its quality: the master's time is
/// the cluster's time. `None`: it is not the answer.
pub fn time(answer: &[u8], mark: u64) -> Option<Duration> {
    let answer = answer.first_chunk::<LENGTH>()?;
    let sound = answer[0] & 7 == 4 && answer[1] != 0 && answer[24..32] == mark.to_be_bytes();
    let sent = u64::from_be_bytes(*answer.last_chunk::<8>()?);
    (sound && sent != 0).then(|| since_1970(sent))
}

/// Whether the server of an answer calls its own time right. It may soon be another, else.
pub fn is_sure(answer: &[u8]) -> bool {
    answer
        .first_chunk()
        .is_some_and(|&[first, stratum]| first >> 6 != 3 && stratum < STRATUM_NONE)
}

/// Time since 1970 as seconds since 1900 and their fraction.
fn timestamp(time: Duration) -> [u8; 8] {
    let seconds = (time.as_secs() + FROM_1900) % ERA;
    let fraction = (u64::from(time.subsec_nanos()) << 32) / 1_000_000_000;
    (seconds << 32 | fraction).to_be_bytes()
}

fn since_1970(timestamp: u64) -> Duration {
    // An era of 136 years is not told; ours is the one after the pivot.
    let seconds = (timestamp >> 32).wrapping_sub(FROM_1900 + PIVOT) % ERA + PIVOT;
    let nanos = ((timestamp & 0xffff_ffff) * 1_000_000_000) >> 32;
    Duration::from_secs(seconds) + Duration::from_nanos(nanos)
}

/// A short time: seconds and their fraction, 16 bits each.
fn short(time: Duration) -> [u8; 4] {
    let sixteenth_bits = time.as_micros() * 65536 / 1_000_000;
    u32::try_from(sixteenth_bits).unwrap_or(u32::MAX).to_be_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::proptest;

    const NOW: Duration = Duration::from_millis(1_795_000_000_250);

    fn quality(trust: Trust, alone: bool) -> Quality {
        Quality { trust, alone }
    }

    #[test]
    fn the_answer_says_how_good_the_clock_is() {
        let sure = Trust::Synchronised(Duration::from_millis(500));
        for (trust, alone, leap, stratum, reference, dispersion) in [
            (sure, false, 0, 4, [127, 127, 1, 1], 0x8000),
            (sure, true, 0, 4, [127, 127, 1, 1], 0x8000),
            (Trust::Unsynchronised, true, 0, 10, [127, 127, 1, 1], 0x1_0000),
            (Trust::Unsynchronised, false, 3, 16, *b"INIT", 0x1_0000),
        ] {
            let later = NOW + Duration::from_millis(1);
            let answer = answer(&question(77), quality(trust, alone), NOW, later).unwrap();
            assert_eq!((answer[0], answer[1]), (leap << 6 | 4 << 3 | 4, stratum));
            assert_eq!(
                (&answer[8..12], &answer[12..16]),
                (&u32::to_be_bytes(dispersion)[..], &reference[..])
            );
            assert_eq!(
                (&answer[24..32], &answer[32..40]),
                (&77_u64.to_be_bytes()[..], &timestamp(NOW)[..])
            );
            assert!(time(&answer, 77).unwrap().abs_diff(later) < Duration::from_micros(1));
            assert_eq!(time(&answer, 78), None, "another's answer");
        }
    }

    #[test]
    fn only_clients_are_answered_in_their_own_version() {
        let sure = quality(Trust::Synchronised(Duration::ZERO), false);
        for (first, expected) in [
            (0x1b, Some(0x1c)),
            (0xe3, Some(0x24)),
            (0x24, None),
            (0x26, None),
            (0x2b, None),
            (0x03, None),
        ] {
            let mut question = question(1);
            question[0] = first;
            let given = answer(&question, sure, NOW, NOW).map(|answer| answer[0]);
            assert_eq!(given, expected, "{first:#x}");
        }
        assert_eq!(answer(&question(1)[..47], sure, NOW, NOW), None);
    }

    #[test]
    fn times_are_read_in_both_eras() {
        for (seconds, first) in [
            (1_795_000_000, 0xee_u8),
            (2_085_978_496, 0),
            (3_000_000_000, 0x36),
        ] {
            let bytes = timestamp(Duration::from_secs(seconds));
            assert_eq!(bytes[0], first);
            assert_eq!(
                since_1970(u64::from_be_bytes(bytes)),
                Duration::from_secs(seconds)
            );
        }
    }

    proptest! {
        #[test]
        fn no_bytes_make_it_panic(noise: Vec<u8>, mark: u64) {
            let _ = answer(&noise, quality(Trust::Unsynchronised, false), NOW, NOW);
            let _ = time(&noise, mark);
            let mut long = question(mark).to_vec();
            long.extend(&noise);
            assert!(answer(&long, quality(Trust::Unsynchronised, false), NOW, NOW).is_some());
        }
    }
}
