//! Memory: what a peer sends decides what is reserved for it, and what it merely announces does not.
//!
//! `allocation_counter` is the global allocator of this binary and counts for each thread on its own.

use super::arbitrary::noise;
use super::cases;
use allocation_counter::measure;
use proptest::collection::vec;
use proptest::prelude::*;
use protocol::classic::{ClassicMsg, ClassicReply};
use protocol::frame::{Deframer, frame};
use protocol::limits::MAX_FRAME;
use protocol::message::{ClientMsg, ServerMsg};

/// A first growth of a vector, and the old copy of a header while it grows.
const CONSTANT: u64 = 64;

/// The most bytes that lived at once while these chunks were cut into frames.
fn peak<'a>(limit: u32, chunks: impl IntoIterator<Item = &'a [u8]>) -> u64 {
    let chunks: Vec<_> = chunks.into_iter().collect();
    let info = measure(|| {
        let mut deframer = Deframer::new(limit);
        for mut chunk in chunks {
            while let Ok(Some(_)) = deframer.next(&mut chunk) {}
        }
    });
    info.bytes_max
}

/// The most bytes that lived at once while a payload was decoded in all four ways.
fn decode_peak(ty: u8, payload: &[u8]) -> u64 {
    let info = measure(|| {
        _ = ClientMsg::decode(ty, payload);
        _ = ServerMsg::decode(ty, payload);
        _ = ClassicMsg::decode(ty, payload);
        _ = ClassicReply::decode(ty, payload);
    });
    info.bytes_max
}

proptest! {
    #![proptest_config(cases())]

    #[test]
    fn noise_never_panics_and_reserves_at_most_a_frame_and_its_growth(
        bytes in noise(), limit in 1..400_u32, chunk in 1..40_usize
    ) {
        // While it grows, there are the old part of a frame and the new one.
        prop_assert!(peak(limit, bytes.chunks(chunk)) <= 2 * u64::from(limit) + CONSTANT);
    }

    #[test]
    fn a_frame_reserves_in_proportion_to_what_came_of_it_and_its_header_nothing(
        len in any::<u32>(), ty in any::<u8>(), limit in 1..=MAX_FRAME, came in 0..2_000_usize
    ) {
        let mut bytes = len.to_be_bytes().to_vec();
        bytes.push(ty);
        prop_assert!(peak(limit, bytes.chunks(1)) <= CONSTANT);
        bytes.resize(bytes.len() + came, 7);
        // Twice of what came, and half of that while it grows.
        prop_assert!(peak(limit, bytes.chunks(100)) <= 3 * bytes.len() as u64 + CONSTANT);
    }

    #[test]
    fn noise_as_a_payload_never_panics_and_reserves_in_proportion(
        ty in prop_oneof![any::<u8>(), proptest::sample::select(ClientMsg::TYPES), proptest::sample::select(ServerMsg::TYPES)],
        payload in vec(prop_oneof![any::<u8>(), 0..4_u8], 0..300),
    ) {
        // The smallest element of a list has 22 bytes on the wire and below 200 in memory, and a growing
        // vector holds up to three times what is in it.
        let allowed = 48 * payload.len() as u64 + 1_024;
        let peak = decode_peak(ty, &payload);
        prop_assert!(peak <= allowed, "{} bytes for a payload of {}", peak, payload.len());
    }
}

#[test]
fn frames_that_lie_whole_in_the_input_are_not_copied() {
    let bytes: Vec<u8> = (0..10).flat_map(|ty| frame(ty, &[7; 500])).collect();
    assert_eq!(peak(MAX_FRAME, [&bytes[..]]), 0);
}

#[test]
fn a_lying_count_reserves_nothing() {
    // Each of these says "65,535 elements follow", and none does.
    let lies: [(u8, &[u8]); 4] = [
        (0x41, &[0, 0, 0, 1, 0, 0, 0xff, 0xff]),
        (0x44, &[0, 0, 0, 0, 0, 0, 0, 1, 0xff, 0xff]),
        (0x45, &[0, 0, 0, 1, 0, 0xff, 0xff]),
        (0x48, &[0, 0, 0, 1, 0, 1, 0xff, 0xff]),
    ];
    for (ty, payload) in lies {
        assert!(ServerMsg::decode(ty, payload).is_err(), "type {ty:#04x}");
        assert_eq!(decode_peak(ty, payload), 0, "type {ty:#04x}");
    }
}

#[test]
fn a_skipped_frame_is_not_kept() {
    let bytes = frame(0x02, &[7; 100_000]);
    assert!(peak(100, bytes.chunks(1_000)) <= CONSTANT);
}
