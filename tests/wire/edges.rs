//! Values at the very edge of what their layout can say.

use bytes::{Bytes, BytesMut};
use protocol::id::Millis;
use protocol::limits::MAX_NUMBER;
use protocol::wire::{DecodeError, Wire};

fn encoded(value: &impl Wire) -> Vec<u8> {
    let mut out = BytesMut::new();
    value.put(&mut out);
    out.to_vec()
}

/// What comes out of what went in, and that nothing is left of it.
fn through<T: Wire>(value: &T) -> T {
    let bytes = encoded(value);
    let mut input = &bytes[..];
    let taken = T::take(&mut input).expect("it was encoded just now");
    assert!(input.is_empty());
    taken
}

const MOST: usize = 65_535;

#[test]
fn strings_and_bytes_of_65535_bytes_go_through_whole_and_longer_ones_are_cut() {
    for len in [0, 1, 255, 256, MOST - 1, MOST] {
        let text = "x".repeat(len);
        assert_eq!(through(&text), text, "{len}");
        assert_eq!(through(&Bytes::from(text.clone())), text.as_bytes(), "{len}");
    }
    for len in [MOST + 1, MOST + 2, 2 * MOST + 2] {
        let text = "x".repeat(len);
        assert_eq!(through(&text).len(), MOST, "{len}");
        assert_eq!(through(&Bytes::from(text)).len(), MOST, "{len}");
    }
    assert_eq!(encoded(&"x".repeat(MOST))[..2], [0xff, 0xff]);
}

#[test]
fn a_string_is_cut_between_characters() {
    for (character, kept) in [('é', MOST - 1), ('日', MOST), ('😀', MOST - 3)] {
        let text: String = std::iter::repeat_n(character, MOST).collect();
        assert_eq!(through(&text).len(), kept, "{character}");
    }
}

#[test]
fn a_list_of_65535_elements_goes_through_whole_and_a_longer_one_is_cut() {
    for len in [MOST, MOST + 1] {
        let list = vec![String::new(); len];
        assert_eq!(through(&list).len(), MOST, "{len}");
    }
}

#[test]
fn a_time_has_63_bits() {
    for time in [0, 1, MAX_NUMBER - 1, MAX_NUMBER] {
        assert_eq!(through(&Millis(time)), Millis(time));
    }
    for time in [MAX_NUMBER + 1, u64::MAX] {
        assert_eq!(Millis::take(&mut &time.to_be_bytes()[..]), Err(DecodeError::Number(time)));
    }
}

#[test]
fn what_ends_one_byte_too_early_is_truncated() {
    for bytes in [&[0, 3, b'a', b'b'][..], &[0], &[]] {
        assert_eq!(String::take(&mut &bytes[..]), Err(DecodeError::Truncated), "{bytes:?}");
        assert_eq!(Bytes::take(&mut &bytes[..]), Err(DecodeError::Truncated), "{bytes:?}");
    }
    assert_eq!(String::take(&mut &[0, 2, 0xc3, b'x'][..]), Err(DecodeError::Utf8));
}
