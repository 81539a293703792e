//! Frames: what the deframer finds is decided by the bytes alone, never by how they arrive.

use super::arbitrary::noise;
use super::cases;
use bytes::BytesMut;
use proptest::collection::vec;
use proptest::prelude::*;
use protocol::frame::{Deframer, FrameError, Item, OwnedItem, frame};
use protocol::limits::{HEADER, MAX_FRAME, MAX_FRAME_BEFORE_LOGIN};
use tokio_util::codec::{Decoder, LengthDelimitedCodec};

/// What was found in a stream, owned.
#[derive(Clone, PartialEq, Eq, Debug)]
enum Found {
    Frame(u8, Vec<u8>),
    Oversized(u8, u32),
    Failed(FrameError),
}

/// Everything in these chunks, and whether a frame is unfinished at the end.
fn deframe<'a>(limit: u32, chunks: impl IntoIterator<Item = &'a [u8]>) -> (Vec<Found>, bool) {
    deframe_by(limit, chunks, |deframer, chunk| {
        let item = deframer.next(chunk)?;
        Ok(item.map(|item| match item {
            Item::Frame(frame) => Found::Frame(frame.ty, frame.payload.to_vec()),
            Item::Oversized { ty, len } => Found::Oversized(ty, len),
        }))
    })
}

/// The same, each frame with its own bytes.
fn deframe_owned<'a>(limit: u32, chunks: impl IntoIterator<Item = &'a [u8]>) -> (Vec<Found>, bool) {
    deframe_by(limit, chunks, |deframer, chunk| {
        let item = deframer.next_owned(chunk)?;
        Ok(item.map(|item| match item {
            OwnedItem::Frame { ty, payload } => Found::Frame(ty, payload.to_vec()),
            OwnedItem::Oversized { ty, len } => Found::Oversized(ty, len),
        }))
    })
}

fn deframe_by<'a>(
    limit: u32,
    chunks: impl IntoIterator<Item = &'a [u8]>,
    next: impl Fn(&mut Deframer, &mut &[u8]) -> Result<Option<Found>, FrameError>,
) -> (Vec<Found>, bool) {
    let mut deframer = Deframer::new(limit);
    let mut found = Vec::new();
    let mut given = 0;
    for mut chunk in chunks {
        given += chunk.len();
        loop {
            assert!(found.len() <= given / HEADER + 1, "frames are made from nothing");
            found.push(match next(&mut deframer, &mut chunk) {
                Ok(Some(item)) => item,
                Ok(None) => {
                    assert!(chunk.is_empty(), "`None` says that the input is used up");
                    break;
                }
                Err(error) => {
                    found.push(Found::Failed(error));
                    return (found, false);
                }
            });
        }
    }
    (found, deframer.is_mid_frame())
}

/// The same by the shortest code that can be right: all bytes at once, a slice at a time.
fn naive(limit: u32, mut bytes: &[u8]) -> (Vec<Found>, bool) {
    let mut found = Vec::new();
    while let Some(len) = bytes.first_chunk().map(|len| u32::from_be_bytes(*len)) {
        if len == 0 {
            found.push(Found::Failed(FrameError::Empty));
            return (found, false);
        }
        let end = 4 + len as usize;
        match bytes.get(4) {
            Some(ty) if len > limit => found.push(Found::Oversized(*ty, len)),
            Some(ty) if bytes.len() >= end => found.push(Found::Frame(*ty, bytes[5..end].to_vec())),
            _ => return (found, true),
        }
        if bytes.len() < end {
            return (found, true);
        }
        bytes = &bytes[end..];
    }
    (found, !bytes.is_empty())
}

/// Cuts bytes at these places (each modulo the length).
fn cut<'a>(bytes: &'a [u8], at: &[usize]) -> Vec<&'a [u8]> {
    let mut at: Vec<usize> = at.iter().map(|at| at % (bytes.len() + 1)).collect();
    at.extend([0, bytes.len()]);
    at.sort_unstable();
    at.windows(2).map(|pair| &bytes[pair[0]..pair[1]]).collect()
}

/// Frames of a few lengths, small enough that the limit of [`LIMIT`] is often met.
fn frames() -> impl Strategy<Value = Vec<(u8, Vec<u8>)>> {
    vec((any::<u8>(), vec(any::<u8>(), 0..120)), 0..8)
}

/// The type that [`stream_pieces`] streams.
const STREAMED: u8 = 2;

/// The frames in these chunks, and whether each came in pieces.
fn stream_pieces<'a>(chunks: impl IntoIterator<Item = &'a [u8]>) -> Vec<(u8, Vec<u8>, bool)> {
    let mut deframer = Deframer::new(1_000);
    deframer.set_streamed(STREAMED);
    let mut found: Vec<(u8, Vec<u8>, bool)> = Vec::new();
    for mut chunk in chunks {
        loop {
            if deframer.to_skip() > 0 {
                let (_, payload, _) = found.last_mut().expect("a frame has begun");
                payload.extend_from_slice(deframer.take_piece(&mut chunk));
            }
            match deframer.next(&mut chunk).expect("no frame is empty") {
                Some(Item::Frame(frame)) => found.push((frame.ty, frame.payload.to_vec(), false)),
                Some(Item::Oversized { ty, .. }) => found.push((ty, Vec::new(), true)),
                None => break,
            }
        }
    }
    found
}

/// A limit near the lengths that [`frames`] and [`noise`] make.
const LIMIT: u32 = 100;

fn stream(frames: &[(u8, Vec<u8>)]) -> Vec<u8> {
    frames.iter().flat_map(|(ty, payload)| frame(*ty, payload)).collect()
}

proptest! {
    #![proptest_config(cases())]

    #[test]
    fn frames_come_out_as_they_went_in(frames in frames()) {
        let expected: Vec<_> = frames.iter().cloned().map(|(ty, payload)| Found::Frame(ty, payload)).collect();
        prop_assert_eq!(deframe(1_000, [&stream(&frames)[..]]), (expected, false));
    }

    #[test]
    fn any_chunking_gives_the_same_frames(frames in frames(), at in vec(any::<usize>(), 0..12)) {
        let bytes = stream(&frames);
        prop_assert_eq!(deframe(LIMIT, cut(&bytes, &at)), deframe(LIMIT, [&bytes[..]]));
        prop_assert_eq!(deframe_owned(LIMIT, cut(&bytes, &at)), deframe(LIMIT, [&bytes[..]]));
    }

    #[test]
    fn any_chunking_of_noise_gives_the_same_frames(bytes in noise(), at in vec(any::<usize>(), 0..12)) {
        let whole = deframe(LIMIT, [&bytes[..]]);
        prop_assert_eq!(&deframe(LIMIT, cut(&bytes, &at)), &whole);
        prop_assert_eq!(&deframe_owned(LIMIT, cut(&bytes, &at)), &whole);
        prop_assert_eq!(&deframe(LIMIT, bytes.chunks(1)), &whole);
    }

    #[test]
    fn a_strict_prefix_yields_no_frame(ty in any::<u8>(), payload in vec(any::<u8>(), 0..120), at in any::<usize>()) {
        let bytes = frame(ty, &payload);
        let prefix = &bytes[..at % bytes.len()];
        prop_assert_eq!(deframe(1_000, [prefix]), (vec![], !prefix.is_empty()));
    }

    #[test]
    fn the_naive_decoder_agrees(bytes in noise(), limit in prop_oneof![1..8_u32, 90..110_u32, Just(MAX_FRAME)]) {
        prop_assert_eq!(deframe(limit, [&bytes[..]]), naive(limit, &bytes));
    }

    #[test]
    fn the_codec_of_tokio_agrees(bytes in noise()) {
        let mut codec = LengthDelimitedCodec::builder().max_frame_length(LIMIT as usize).new_codec();
        let mut input = BytesMut::from(&bytes[..]);
        for found in deframe(LIMIT, [&bytes[..]]).0 {
            let theirs = codec.decode(&mut input);
            match found {
                Found::Frame(ty, payload) => {
                    let theirs = theirs.unwrap().expect("a whole frame");
                    prop_assert_eq!((theirs[0], &theirs[1..]), (ty, &payload[..]));
                }
                Found::Oversized(..) => {
                    prop_assert!(theirs.is_err());
                    return Ok(()); // It stops here, and we go on.
                }
                Found::Failed(FrameError::Empty) => {
                    prop_assert!(theirs.unwrap().expect("a frame without a type").is_empty());
                    return Ok(());
                }
            }
        }
        // A length over the limit is told by them at its fourth byte, by us with the type behind it.
        let rest = input.clone();
        match codec.decode(&mut input) {
            Ok(rest) => prop_assert_eq!(rest, None),
            Err(_) => prop_assert_eq!(rest.len(), HEADER - 1),
        }
    }

    #[test]
    fn an_oversized_frame_is_skipped_whole(
        before in frames(), ty in any::<u8>(), len in LIMIT..400, after in frames(), at in vec(any::<usize>(), 0..12)
    ) {
        let mut bytes = stream(&before);
        bytes.extend_from_slice(&frame(ty, &vec![0; len as usize]));
        bytes.extend_from_slice(&stream(&after));
        let mut expected = deframe(LIMIT, [&stream(&before)[..]]).0;
        expected.push(Found::Oversized(ty, len + 1));
        expected.extend(deframe(LIMIT, [&stream(&after)[..]]).0);
        prop_assert_eq!(deframe(LIMIT, cut(&bytes, &at)), (expected, false));
    }

    #[test]
    fn a_streamed_frame_is_taken_piece_by_piece_in_any_chunking(
        frames in vec((1..4_u8, vec(any::<u8>(), 0..120)), 0..8), at in vec(any::<usize>(), 0..12)
    ) {
        let bytes = stream(&frames);
        let expected: Vec<_> = frames.iter().map(|(ty, payload)| (*ty, payload.clone(), *ty == STREAMED)).collect();
        prop_assert_eq!(&stream_pieces(cut(&bytes, &at)), &expected);
        prop_assert_eq!(&stream_pieces(bytes.chunks(1)), &expected);
    }

    #[test]
    fn nothing_is_read_after_a_fatal_error(before in frames(), behind in vec(any::<u8>(), 0..60), at in any::<usize>()) {
        let mut bytes = stream(&before);
        bytes.extend([0; 4]);
        let mut deframer = Deframer::new(1_000);
        let (mut first, mut second) = bytes.split_at(at % bytes.len());
        while let Ok(Some(_)) = deframer.next(&mut first) {}
        while let Ok(Some(_)) = deframer.next(&mut second) {}
        for _ in 0..2 {
            let mut input = &behind[..];
            prop_assert_eq!(deframer.next(&mut input), Err(FrameError::Empty));
            prop_assert_eq!(input.len(), behind.len());
        }
        prop_assert_eq!((deframer.capacity(), deframer.is_mid_frame()), (0, false));
    }

    #[test]
    fn a_new_limit_binds_only_headers_that_were_not_read(
        ty in any::<u8>(), len in 1..60_u32, at in any::<usize>(), limit in 1..60_u32
    ) {
        let bytes = frame(ty, &vec![7; len as usize - 1]);
        let (mut first, mut second) = bytes.split_at(at % bytes.len());
        let header_was_read = first.len() >= HEADER;
        let mut deframer = Deframer::new(60);
        prop_assert_eq!(deframer.next(&mut first), Ok(None));
        deframer.set_limit(limit);
        let whole = matches!(deframer.next(&mut second), Ok(Some(Item::Frame(_))));
        prop_assert_eq!(whole, header_was_read || len <= limit);
    }
}

/// A read may be cancelled after any byte: what was handed over is kept, and nothing else is held.
#[test]
fn the_state_survives_between_calls_at_every_byte() {
    let frames = [(1, vec![]), (2, vec![9; 30]), (3, vec![8; 200]), (4, vec![7])];
    let bytes = stream(&frames);
    let whole = deframe(LIMIT, [&bytes[..]]);
    for at in 0..=bytes.len() {
        let (first, second) = bytes.split_at(at);
        // An empty read between the two is what a cancelled one looks like.
        assert_eq!(deframe(LIMIT, [first, &[], second]), whole, "cut at byte {at}");
    }
}

#[test]
fn a_frame_at_the_limit_is_taken_and_one_above_is_not() {
    for limit in [1, 2, MAX_FRAME_BEFORE_LOGIN, MAX_FRAME] {
        for (len, taken) in [(limit - 1, true), (limit, true), (limit + 1, false)] {
            let Some(payload) = len.checked_sub(1) else {
                continue;
            };
            let payload = vec![5; payload as usize];
            let expected = match taken {
                true => Found::Frame(0x15, payload.clone()),
                false => Found::Oversized(0x15, len),
            };
            let bytes = frame(0x15, &payload);
            assert_eq!(
                deframe(limit, [&bytes[..]]),
                (vec![expected.clone()], false),
                "length {len}, limit {limit}"
            );
            let bytewise = deframe(limit, bytes.chunks(1));
            assert_eq!(bytewise, (vec![expected], false), "length {len}, limit {limit}, byte by byte");
        }
    }
}

#[test]
fn a_length_of_zero_is_fatal_at_its_fourth_byte() {
    assert_eq!(deframe(10, [&[0, 0, 0][..]]), (vec![], true));
    assert_eq!(deframe(10, [&[0, 0, 0, 0][..]]), (vec![Found::Failed(FrameError::Empty)], false));
    assert_eq!(deframe(10, [0; 4].chunks(1)), (vec![Found::Failed(FrameError::Empty)], false));
}

#[test]
fn the_largest_length_is_skipped_and_not_overflowed() {
    let header = [0xff, 0xff, 0xff, 0xff, 0x02];
    assert_eq!(deframe(MAX_FRAME, [&header[..]]), (vec![Found::Oversized(2, u32::MAX)], true));
}

#[test]
fn an_idle_deframer_holds_no_memory() {
    let mut deframer = Deframer::new(MAX_FRAME);
    let bytes = frame(1, &[0; 1_000]);
    for mut chunk in bytes.chunks(100) {
        while deframer.next(&mut chunk).unwrap().is_some() {}
    }
    assert_eq!(deframer.next(&mut &[][..]), Ok(None));
    assert_eq!((deframer.capacity(), deframer.is_mid_frame()), (0, false));
}
