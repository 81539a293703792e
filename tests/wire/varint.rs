//! Numbers of as many bytes as they need.

use super::cases;
use proptest::prelude::*;
use protocol::limits::MAX_NUMBER;
use protocol::wire::{DecodeError, take_varint};

/// The encoding, straight from its definition.
fn encode(value: u64) -> Vec<u8> {
    let groups: Vec<u8> = (0..9).map(|at| u8::try_from(value >> (7 * at) & 0x7f).expect("7 bits")).collect();
    let last = groups.iter().rposition(|group| *group != 0).unwrap_or(0);
    groups[..=last].iter().enumerate().map(|(at, group)| group | if at < last { 0x80 } else { 0 }).collect()
}

#[test]
fn the_smallest_and_the_largest_have_one_and_nine_bytes() {
    for (value, bytes) in [(0, 1), (127, 1), (128, 2), (16_383, 2), (16_384, 3), (MAX_NUMBER, 9)] {
        assert_eq!(encode(value).len(), bytes, "{value}");
        assert_eq!(take_varint(&mut &encode(value)[..]), Ok(value));
    }
}

#[test]
fn a_form_that_is_longer_than_it_need_be_is_refused() {
    for bytes in [&[0x80, 0][..], &[0xff, 0x80, 0], &[0xff; 9], &[0x80; 10]] {
        assert!(matches!(take_varint(&mut &bytes[..]), Err(DecodeError::Number(_))), "{bytes:x?}");
    }
}

proptest! {
    #![proptest_config(cases())]

    #[test]
    fn every_number_comes_out_as_it_went_in(value in 0..=MAX_NUMBER, behind: Vec<u8>) {
        let bytes = [encode(value), behind.clone()].concat();
        let mut input = &bytes[..];
        prop_assert_eq!(take_varint(&mut input), Ok(value));
        prop_assert_eq!(input, &behind[..]);
    }

    #[test]
    fn no_two_encodings_mean_the_same(bytes in prop::collection::vec(any::<u8>(), 0..12)) {
        let mut input = &bytes[..];
        if let Ok(value) = take_varint(&mut input) {
            prop_assert_eq!(&bytes[..bytes.len() - input.len()], encode(value));
        }
    }
}
