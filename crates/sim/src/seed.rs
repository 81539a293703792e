//! Randomness: one stream for each purpose, so that striking one thing out of a plan does not shift the rest.

use rand::SeedableRng;
use rand::rngs::SmallRng;

/// A stream of its own for this purpose and index.
pub(crate) fn stream(seed: u64, purpose: &str, index: u64) -> SmallRng {
    let mut mixed = mix(seed);
    for byte in purpose.bytes() {
        mixed = mix(mixed ^ u64::from(byte));
    }
    SmallRng::seed_from_u64(mix(mixed ^ index))
}

/// A finalizer that spreads every bit over all others (Steele, Lea and Flood, "Fast splittable pseudorandom
/// number generators", 2014).
pub(crate) const fn mix(value: u64) -> u64 {
    let value = value.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let value = (value ^ (value >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let value = (value ^ (value >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    value ^ (value >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;
    use rand::RngExt;

    #[test]
    fn streams_of_other_purposes_and_indices_are_other_streams() {
        let first = |seed, purpose, index| stream(seed, purpose, index).random::<u64>();
        assert_eq!(first(1, "a", 0), first(1, "a", 0));
        let others = [first(1, "a", 0), first(2, "a", 0), first(1, "b", 0), first(1, "a", 1)];
        for (at, one) in others.iter().enumerate() {
            assert!(!others[..at].contains(one));
        }
    }
}
