//! The file beside a content that has its block values, and in front of them what the upload is.

use bytes::{Bytes, BytesMut};
use protocol::blocks::{BlockHasher, hash_of_first};
use protocol::id::{BlockValue, ContentHash, PersonId, RoomId, TransferId};
use protocol::limits::{BLOCK, UNKNOWN_SIZE};
use protocol::message::Target;
use protocol::wire::{DecodeError, Wire};
use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::path::Path;

/// How the name ends of the file that has the values of a content's blocks. Contents of one block have no values, and need
/// no such file once an entry names them.
pub const BLOCKS: &str = ".blocks";

/// Bytes of a value.
pub(super) const VALUE: u64 = 32;

/// More bytes no header has.
pub(super) const MAX_HEADER: usize = 1_024;

/// What an upload is, as it was announced.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Header {
    /// Its number.
    pub transfer: TransferId,
    /// Who brings it; `None` if nobody can go on with it.
    pub person: Option<PersonId>,
    /// Where to.
    pub target: Target,
    /// Its size in bytes.
    pub size: u64,
    /// The hash of its first block.
    pub first: ContentHash,
    /// Its name.
    pub name: String,
}

impl Header {
    /// That of a content which nobody goes on with.
    pub fn nobodys(size: u64, first: ContentHash) -> Self {
        let (transfer, target) = (TransferId([0; 16]), Target::Room { room: RoomId::FIRST });
        Self { transfer, person: None, target, size, first, name: String::new() }
    }

    /// Whether only the end of the upload tells its size.
    pub fn is_open_ended(&self) -> bool {
        self.size == UNKNOWN_SIZE
    }

    /// A `u32` length, then the fields.
    pub fn encode(&self) -> Bytes {
        let mut fields = BytesMut::new();
        self.transfer.put(&mut fields);
        self.person.put(&mut fields);
        self.target.put(&mut fields);
        self.size.put(&mut fields);
        self.first.put(&mut fields);
        self.name.put(&mut fields);
        let mut out = BytesMut::with_capacity(4 + fields.len());
        u32::try_from(fields.len()).expect("a name is at most 64 KiB").put(&mut out);
        out.extend_from_slice(&fields);
        out.freeze()
    }

    /// Reads it off the front of a file, and tells where the values begin.
    ///
    /// # Errors
    /// [`DecodeError`] if it is not all there.
    pub fn decode(mut file: &[u8]) -> Result<(Self, u64), DecodeError> {
        let input = &mut file;
        let len = u32::take(input)?;
        let mut fields = input.get(..len as usize).ok_or(DecodeError::Truncated)?;
        let fields = &mut fields;
        let header = Self {
            transfer: Wire::take(fields)?,
            person: Wire::take(fields)?,
            target: Wire::take(fields)?,
            size: Wire::take(fields)?,
            first: Wire::take(fields)?,
            name: Wire::take(fields)?,
        };
        Ok((header, 4 + u64::from(len)))
    }
}

/// The name of a content's file.
pub fn name_of(hash: ContentHash) -> String {
    blake3::Hash::from_bytes(hash.0).to_hex().to_string()
}

/// Whether a file in the folder of contents is a part of a content or of an upload, by its name.
pub fn is_content_file(name: &str) -> bool {
    let name = name.strip_suffix(BLOCKS).unwrap_or(name);
    hash_of(name).is_some() || name.starts_with("upload-") || name.starts_with("classic-")
}

/// The content that a file of this name holds.
pub(super) fn hash_of(name: &str) -> Option<ContentHash> {
    let hash = blake3::Hash::from_hex(name).ok()?;
    // Capital letters would be another name of the same.
    (hash.to_hex().as_str() == name).then(|| ContentHash(*hash.as_bytes()))
}

/// The value at this place of a file of them.
pub(super) fn value_at(bytes: &[u8], at: usize) -> Option<BlockValue> {
    let bytes = bytes.get(32 * at..)?.first_chunk()?;
    Some(BlockValue(*bytes))
}

/// Makes the file of values beside a content that has none, if it needs one. It is synced.
///
/// # Errors
/// As the file system says.
pub fn write_blocks(folder: &Path, hash: ContentHash) -> io::Result<()> {
    let Some((first, values)) = values_in(folder, hash)? else { return Ok(()) };
    let size = fs::metadata(folder.join(name_of(hash)))?.len();
    let mut out = Header::nobodys(size, first).encode().to_vec();
    out.extend_from_slice(&values);
    let mut file = File::create(folder.join(name_of(hash) + BLOCKS))?;
    file.write_all(&out)?;
    file.sync_all()
}

/// Whether the values beside a content are those of its blocks. One that has none beside it is fine: they can be made.
///
/// # Errors
/// As the file system says.
pub fn blocks_fit(folder: &Path, hash: ContentHash) -> io::Result<bool> {
    let beside = match fs::read(folder.join(name_of(hash) + BLOCKS)) {
        Ok(beside) => beside,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(true),
        Err(error) => return Err(error),
    };
    let (first, values) = values_in(folder, hash)?.unwrap_or_else(|| (hash, BytesMut::new()));
    let Ok((header, begin)) = Header::decode(&beside) else { return Ok(false) };
    let begin = usize::try_from(begin).unwrap_or(usize::MAX);
    Ok(header.first == first && beside.get(begin..) == Some(&values[..]))
}

/// The hash of the first block of a content, and the values of all that more bytes follow; `None` if it has one block.
fn values_in(folder: &Path, hash: ContentHash) -> io::Result<Option<(ContentHash, BytesMut)>> {
    let mut content = File::open(folder.join(name_of(hash)))?;
    if content.metadata()?.len() <= BLOCK {
        return Ok(None);
    }
    let mut block = vec![0; 1 << 20];
    content.read_exact(&mut block)?;
    let (first, mut values, mut hasher) = (hash_of_first(&block), BytesMut::new(), BlockHasher::default());
    let mut filled = block.len();
    while filled > 0 {
        hasher.update(&block[..filled], |_, value| value.put(&mut values));
        filled = content.read(&mut block)?;
    }
    Ok(Some((first, values)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_header_comes_out_as_it_went_in_and_tells_where_values_begin() {
        let header = Header {
            transfer: TransferId([1; 16]),
            person: PersonId::new(7),
            target: Target::Person { person: PersonId::FIRST },
            size: 5 << 20,
            first: ContentHash([2; 32]),
            name: "a.txt".into(),
        };
        let encoded = header.encode();
        let mut file = encoded.to_vec();
        file.extend([9; 40]);
        assert_eq!(Header::decode(&file), Ok((header, encoded.len() as u64)));
        for cut in 0..encoded.len() {
            assert_eq!(Header::decode(&encoded[..cut]), Err(DecodeError::Truncated));
        }
        assert!(encoded.len() + 255 < MAX_HEADER);
    }

    #[test]
    fn values_that_are_made_fit_and_those_of_another_content_do_not() {
        let folder = tempfile::tempdir().unwrap();
        let lay_down = |content: &[u8]| {
            let hash = ContentHash(*blake3::hash(content).as_bytes());
            fs::write(folder.path().join(name_of(hash)), content).unwrap();
            hash
        };
        let (one, two, small) =
            (lay_down(&vec![1; 3 << 20]), lay_down(&vec![2; 3 << 20]), lay_down(&[3; 1 << 20]));
        let beside = |hash| folder.path().join(name_of(hash) + BLOCKS);
        assert!(blocks_fit(folder.path(), one).unwrap(), "there are none");
        [one, two, small].iter().for_each(|hash| write_blocks(folder.path(), *hash).unwrap());
        assert!(blocks_fit(folder.path(), one).unwrap() && !beside(small).exists());
        fs::copy(beside(two), beside(one)).unwrap();
        assert!(!blocks_fit(folder.path(), one).unwrap());
    }
}
