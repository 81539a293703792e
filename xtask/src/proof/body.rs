//! What a writer says, and where: both follow from its number and the counter, so that anybody can tell them again.

use super::Chance;

/// How long bodies are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Bodies {
    /// Lines as people type them.
    Short,
    /// Short ones, and now and then one of several pages.
    Mixed,
}

/// Digits of a marker: `w`, the writer's number, `-`, the counter.
pub const MARKER: usize = 1 + 4 + 1 + 9;

/// The words that open a body; no two bodies of a run have the same.
pub fn marker(writer: usize, counter: u64) -> String {
    format!("w{writer:04}-{counter:09}")
}

/// The writer and the counter of the marker at the front of `text`.
pub fn read_marker(text: &[u8]) -> Option<(usize, u64)> {
    let text = std::str::from_utf8(text.get(..MARKER)?).ok()?;
    let (writer, counter) = text.strip_prefix('w')?.split_once('-')?;
    let digits = |text: &str, count| text.len() == count && text.bytes().all(|byte| byte.is_ascii_digit());
    let whole = digits(writer, 4) && digits(counter, 9);
    whole.then(|| Some((writer.parse().ok()?, counter.parse().ok()?)))?
}

/// The whole body.
pub fn body(writer: usize, counter: u64, bodies: Bodies) -> String {
    const LETTERS: &str = "the quick brown fox jumps over the lazy dog and ";
    let mut chance = chance_of(writer, counter);
    let size = match (bodies, chance.below(100)) {
        (Bodies::Mixed, 95..) => chance.between(1_000, 6_000),
        (Bodies::Mixed, 70..) => chance.between(100, 600),
        _ => chance.between(20, 100),
    };
    let size = usize::try_from(size).unwrap_or(usize::MAX);
    let start = usize::try_from(chance.below(LETTERS.len() as u64)).unwrap_or(0);
    let filler = LETTERS.chars().cycle().skip(start);
    // It ends with a letter, because servers may cut white space off.
    let text: String =
        marker(writer, counter).chars().chain([' ']).chain(filler).take(size.max(24)).collect();
    text + "."
}

/// Which of so many rooms it goes to.
pub fn room_of(writer: usize, counter: u64, rooms: usize) -> usize {
    let drawn = chance_of(writer, counter).draw() % rooms.max(1) as u64;
    usize::try_from(drawn).unwrap_or(0)
}

fn chance_of(writer: usize, counter: u64) -> Chance {
    Chance::new((writer as u64) << 40 ^ counter)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_marker_is_read_back() {
        assert_eq!(read_marker(marker(7, 42).as_bytes()), Some((7, 42)));
        assert_eq!(
            read_marker(body(9_999, 123_456_789, Bodies::Mixed).as_bytes()),
            Some((9_999, 123_456_789))
        );
        for strange in ["", "w0007", "w0007-00000004x", "w+007-000000042", "v0007-000000042"] {
            assert_eq!(read_marker(strange.as_bytes()), None, "{strange}");
        }
    }

    #[test]
    fn a_body_can_be_told_again_and_is_like_no_other() {
        assert_eq!(body(3, 4, Bodies::Mixed), body(3, 4, Bodies::Mixed));
        assert_ne!(body(3, 4, Bodies::Mixed), body(3, 5, Bodies::Mixed));
    }
}
