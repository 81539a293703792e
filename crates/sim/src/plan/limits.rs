//! Small limits: what otherwise only a flood meets, ordinary talk meets in these worlds.

use protocol::limits::rates::{Bucket, Rate};
use serde::{Deserialize, Serialize};
use server::limits::{Limits, Portions};
use server::rate::BucketRates;

/// What the server takes from its clients; the rest is as by default.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct LimitsPlan {
    /// Posts and requests of one connection that may wait.
    pub window_posts: u16,
    /// The same in bytes.
    pub window_bytes: u32,
    /// Bytes of answers that may wait for one connection before it is not read.
    pub control: usize,
    /// Bytes that a connection was told unasked and that may wait before it is ended.
    pub unasked: usize,
    /// The rate of posts of each person.
    pub posts: RatePlan,
    /// That of everything else.
    pub others: RatePlan,
    /// The longest time for which a sender is held, in ms.
    pub hold_ms: u64,
    /// How much the server does or keeps at once.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub portions: Option<PortionsPlan>,
}

/// How much the server does or keeps at once.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct PortionsPlan {
    /// Bytes and blocks of a room that are kept in memory.
    pub tail: (usize, usize),
    /// Bytes of one batch of posts.
    pub batch: usize,
    /// Elements of one page of rooms or people.
    pub page: usize,
}

/// A token bucket.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct RatePlan {
    /// Tokens at first and at most.
    pub burst: u32,
    /// Time until there is another one, in ms.
    pub every_ms: u32,
}

impl LimitsPlan {
    /// These limits, as a server has them. A network has twice what a person has, and several people.
    pub(crate) fn limits(self) -> Limits {
        let defaults = Limits::default();
        let with = |rates: server::rate::RateTable, bucket| {
            let RatePlan { burst, every_ms } = if bucket == Bucket::Posts { self.posts } else { self.others };
            let person = Rate { burst, every_ms };
            let network = Rate { burst: 2 * burst, every_ms };
            rates.with(bucket, BucketRates { person, network, new_people: None })
        };
        // Whoever is kept out has nothing to tell of.
        let keeps_out =
            |bucket: &Bucket| matches!(bucket, Bucket::Connections | Bucket::Turns | Bucket::People);
        let buckets = Bucket::ALL.into_iter().filter(|bucket| !keeps_out(bucket));
        Limits {
            rates: buckets.fold(defaults.rates, with),
            max_hold_ms: self.hold_ms,
            window_bytes: self.window_bytes,
            window_posts: self.window_posts,
            max_control: self.control,
            max_unasked: self.unasked,
            portions: self.portions.map(PortionsPlan::portions).unwrap_or_default(),
            ..Limits::default()
        }
    }
}

impl PortionsPlan {
    fn portions(self) -> Portions {
        let (tail_bytes, tail_blocks) = self.tail;
        Portions { tail_bytes, tail_blocks, batch: self.batch, page: self.page }
    }
}

#[cfg(test)]
mod tests {
    use crate::plan::Plan;
    use protocol::limits::{MAX_BODY, rates::POST_TOKEN};

    #[test]
    fn a_third_of_the_seeds_has_small_limits_that_let_everything_through_in_time() {
        let plans: Vec<_> = (0..300).filter_map(|seed| Plan::random(seed).limits).collect();
        assert!((70..130).contains(&plans.len()), "{}", plans.len());
        let tokens = u32::try_from(1 + MAX_BODY / POST_TOKEN).unwrap();
        for plan in plans {
            assert!(plan.posts.burst >= tokens && plan.window_bytes as usize > MAX_BODY, "{plan:?}");
        }
    }
}
