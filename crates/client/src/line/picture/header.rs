//! What a picture says of itself in its first bytes.

/// Pixels that a side may have, and that all of it may have: a small file can claim to be larger than all memory.
const SIDE: u32 = 10_000;
const PIXELS: u64 = 40_000_000;

/// How a picture is encoded.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Format {
    Png,
    Jpeg,
    Gif,
}

/// A picture of a size that a terminal can show.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Header {
    pub(super) format: Format,
    /// 1 <= width, height <= `SIDE`, in pixels.
    pub(super) width: u32,
    pub(super) height: u32,
}

impl Header {
    /// Reads it; `None` if that is no picture, or not of such a size.
    pub(super) fn read(file: &[u8]) -> Option<Self> {
        let (format, (width, height)) = match file {
            [0x89, b'P', b'N', b'G', b'\r', b'\n', 0x1a, b'\n', rest @ ..] => (Format::Png, png(rest)?),
            [0xff, 0xd8, rest @ ..] => (Format::Jpeg, jpeg(rest)?),
            [b'G', b'I', b'F', b'8', b'7' | b'9', b'a', rest @ ..] => (Format::Gif, gif(rest)?),
            _ => return None,
        };
        let sane = (1..=SIDE).contains(&width) && (1..=SIDE).contains(&height);
        let fits = u64::from(width) * u64::from(height) <= PIXELS;
        (sane && fits).then_some(Self { format, width, height })
    }
}

/// The first chunk of a PNG is its header (PNG, 5.6 and 11.2.1).
fn png(rest: &[u8]) -> Option<(u32, u32)> {
    let rest = rest.strip_prefix(b"\0\0\0\x0dIHDR")?;
    let (width, rest) = rest.split_first_chunk()?;
    Some((u32::from_be_bytes(*width), u32::from_be_bytes(*rest.first_chunk()?)))
}

/// The size of the screen that all frames of a GIF lie on (GIF89a, 18).
fn gif(rest: &[u8]) -> Option<(u32, u32)> {
    let (width, rest) = rest.split_first_chunk()?;
    let height = rest.first_chunk()?;
    Some((u16::from_le_bytes(*width).into(), u16::from_le_bytes(*height).into()))
}

/// The frame header of a JPEG comes behind other segments, each with its length (ITU-T T.81, B.1 and B.2.2).
fn jpeg(mut rest: &[u8]) -> Option<(u32, u32)> {
    loop {
        let [0xff, behind @ ..] = rest else {
            return None;
        };
        // Any marker may have more of these in front.
        let [marker, segment @ ..] = behind else {
            return None;
        };
        let length = |segment: &[u8]| Some(usize::from(u16::from_be_bytes(*segment.first_chunk()?)));
        match marker {
            0xff => rest = behind,
            0xc0..=0xcf if !matches!(marker, 0xc4 | 0xc8 | 0xcc) => {
                let [_, _, _, size @ ..] = segment else {
                    return None;
                };
                let (height, size) = size.split_first_chunk()?;
                let width = size.first_chunk()?;
                return Some((u16::from_be_bytes(*width).into(), u16::from_be_bytes(*height).into()));
            }
            // The content, or the end of it, before any size.
            0x00 | 0xd0..=0xda => return None,
            _ => rest = segment.get(length(segment)?.max(2)..)?,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(file: &[u8]) -> Option<(Format, u32, u32)> {
        Header::read(file).map(|header| (header.format, header.width, header.height))
    }

    const PNG: &[u8] = b"\x89PNG\r\n\x1a\n\0\0\0\x0dIHDR\0\0\x02\x80\0\0\x01\xe0\x08\x06";
    const GIF: &[u8] = b"GIF87a\x40\x01\xf0\x00";
    /// A segment of an application, a fill byte, a table, and then the frame.
    const JPEG: &[u8] =
        b"\xff\xd8\xff\xe0\0\x04JF\xff\xff\xdb\0\x03\x01\xff\xc2\0\x11\x08\x01\xe0\x02\x80\x03";

    #[test]
    fn a_picture_is_known_by_its_first_bytes_and_says_how_large_it_is() {
        assert_eq!(read(PNG), Some((Format::Png, 640, 480)));
        assert_eq!(read(GIF), Some((Format::Gif, 320, 240)));
        assert_eq!(read(JPEG), Some((Format::Jpeg, 640, 480)));
    }

    #[test]
    fn what_is_cut_off_or_none_is_no_picture() {
        for picture in [PNG, GIF, JPEG] {
            let whole = (0..=picture.len()).find(|len| read(&picture[..*len]).is_some()).expect("a picture");
            assert!(whole + 2 >= picture.len(), "{whole}");
        }
        for other in
            [&b""[..], b"BM\x64\0", b"\xff\xd8\xff\xda\0\x02", b"\xff\xd8\xff\xe0\0\0", b"\xff\xd8hello"]
        {
            assert_eq!(read(other), None, "{other:?}");
        }
    }

    #[test]
    fn a_picture_that_claims_to_be_huge_or_nothing_is_none() {
        let png = |width: u32, height: u32| {
            read(&[&PNG[..16], &width.to_be_bytes(), &height.to_be_bytes()].concat()).is_some()
        };
        assert!(png(10_000, 4_000));
        let none = [(10_000, 4_001), (10_001, 1), (1, 10_001), (0, 1), (1, 0), (u32::MAX, u32::MAX)];
        for (width, height) in none {
            assert!(!png(width, height), "{width} x {height}");
        }
    }
}
