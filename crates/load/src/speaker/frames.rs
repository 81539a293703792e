//! Frames at the front of what was read, for the dialects that are made of them.

use protocol::frame::Frame;
use protocol::limits::HEADER;

/// The length (of type and payload) and the type of the frame at the front.
pub fn header(input: &[u8]) -> Option<(usize, u8)> {
    let (length, rest) = input.split_first_chunk()?;
    let length = usize::try_from(u32::from_be_bytes(*length)).ok()?;
    Some((length, *rest.first()?))
}

/// Takes a whole frame off the front; `None` while it is not all there.
///
/// A length of 0 is taken as 1, so that a damaged stream is told by its types rather than read for ever.
pub fn take<'a>(input: &mut &'a [u8]) -> Option<Frame<'a>> {
    let (length, ty) = header(input)?;
    let end = HEADER - 1 + length.max(1);
    let (frame, rest) = input.split_at_checked(end)?;
    *input = rest;
    Some(Frame { ty, payload: &frame[HEADER..] })
}

/// Appends a frame.
pub fn put(out: &mut Vec<u8>, ty: u8, payload: &[u8]) {
    out.extend_from_slice(&protocol::frame::frame(ty, payload));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_frame_is_taken_when_it_is_whole() {
        let mut bytes = Vec::new();
        put(&mut bytes, 7, b"abc");
        for cut in 0..bytes.len() {
            assert_eq!(take(&mut &bytes[..cut]), None);
        }
        bytes.push(9);
        let mut input = &bytes[..];
        assert_eq!(take(&mut input), Some(Frame { ty: 7, payload: b"abc" }));
        assert_eq!(input, [9]);
    }
}
