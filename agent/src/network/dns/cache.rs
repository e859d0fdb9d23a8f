//! What others answered, for as long as they allow. Pure, time passed in.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use super::reply::Reply;

/// Most answers, and most bytes of them, that are kept: a classroom's names, on a Pi with little memory.
const ANSWERS_MAX: usize = 2000;
const BYTES_MAX: usize = 1 << 20;

/// Answers by question. When there is no room the oldest go.
#[derive(Debug, Default)]
pub struct Cache {
    answers: HashMap<Vec<u8>, Kept>,
    /// Questions in the order of their answers, with when they were kept.
    order: VecDeque<(Duration, Vec<u8>)>,
    bytes: usize,
}

#[derive(Clone, Debug)]
struct Kept {
    reply: Arc<Reply>,
    since: Duration,
}

impl Cache {
    /// The answer and its age.
    pub fn get(&self, now: Duration, key: &[u8]) -> Option<(Arc<Reply>, Duration)> {
        let kept = self.answers.get(key)?;
        let age = now.saturating_sub(kept.since);
        (age < kept.reply.keep).then(|| (Arc::clone(&kept.reply), age))
    }

    /// Keeps an answer, if it may be kept.
    pub fn put(&mut self, now: Duration, key: Vec<u8>, reply: &Arc<Reply>) {
        if reply.keep.is_zero() || reply.size() > BYTES_MAX / 4 {
            return;
        }
        self.remove(&key);
        self.bytes += reply.size() + 2 * key.len();
        self.order.push_back((now, key.clone()));
        self.answers.insert(
            key,
            Kept {
                reply: Arc::clone(reply),
                since: now,
            },
        );
        while self.answers.len() > ANSWERS_MAX || self.bytes > BYTES_MAX || self.order.len() > 2 * ANSWERS_MAX
        {
            let Some((since, key)) = self.order.pop_front() else {
                break;
            };
            // One that was replaced since has a later place.
            if self.answers.get(&key).is_some_and(|kept| kept.since == since) {
                self.remove(&key);
            }
        }
    }

    /// Forgets everything: other resolvers may say something else.
    pub fn clear(&mut self) {
        *self = Self::default();
    }

    fn remove(&mut self, key: &[u8]) {
        if let Some(old) = self.answers.remove(key) {
            self.bytes -= old.reply.size() + 2 * key.len();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::query::tests::query;
    use super::super::reply::tests::upstream;
    use super::super::reply::{Verdict, judge};
    use super::*;
    use hickory_proto::rr::RecordType;

    fn reply(ttl: u32) -> Arc<Reply> {
        let asked = query("example.org.", RecordType::A);
        match judge(9, &asked, &upstream(&asked, &[ttl]).to_vec().unwrap()) {
            Verdict::Good(reply) => Arc::new(reply),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn an_answer_is_kept_for_its_time() {
        let secs = Duration::from_secs;
        let mut cache = Cache::default();
        cache.put(secs(100), b"a".to_vec(), &reply(60));
        cache.put(secs(100), b"b".to_vec(), &reply(0));
        for (at, expected) in [(100, Some(secs(0))), (159, Some(secs(59))), (160, None)] {
            assert_eq!(cache.get(secs(at), b"a").map(|(_, age)| age), expected);
        }
        assert_eq!(cache.get(secs(100), b"b"), None);
        cache.put(secs(160), b"a".to_vec(), &reply(60));
        assert!(cache.get(secs(161), b"a").is_some());
        cache.clear();
        assert_eq!(cache.get(secs(161), b"a"), None);
    }

    #[test]
    fn it_never_grows_beyond_its_bounds_and_the_oldest_go() {
        let mut cache = Cache::default();
        let kept = reply(3600);
        for number in 0..10_000_u32 {
            let now = Duration::from_secs(u64::from(number));
            cache.put(now, (number / 2).to_be_bytes().to_vec(), &kept);
            assert!(cache.answers.len() <= ANSWERS_MAX && cache.bytes <= BYTES_MAX);
            assert!(cache.order.len() <= 2 * ANSWERS_MAX);
        }
        let now = Duration::from_secs(10_000);
        assert!(cache.get(now, &4999_u32.to_be_bytes()).is_some());
        assert!(cache.get(now, &0_u32.to_be_bytes()).is_none());
    }
}
