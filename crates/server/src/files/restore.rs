//! What a start finds in the folder of contents: contents, uploads that may go on, and what is of no use.

use super::header::{BLOCKS, Header, MAX_HEADER, VALUE, hash_of, value_at};
use super::upload::{Partial, UNSYNCED};
use super::{Contents, FileSystem, Listed};
use protocol::blocks::{Tree, value_of, values_of};
use protocol::id::{ContentHash, Millis};
use protocol::limits::BLOCK;
use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::path::PathBuf;

/// An upload of which no entry is known.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Brought {
    /// What it is.
    pub header: Header,
    /// Its hash, if it is complete.
    pub hash: Option<ContentHash>,
    /// When it last went on.
    pub at: Millis,
}

impl<F: FileSystem> Contents<F> {
    /// Contents that are in this folder already, of which entries name these.
    ///
    /// Uploads can go on. What no entry names and nobody brings is removed: nobody could ask for it.
    ///
    /// # Errors
    /// As the file system says.
    pub async fn open(
        files: F,
        folder: PathBuf,
        capacity: u64,
        named: &BTreeSet<ContentHash>,
    ) -> io::Result<Self> {
        let listed = files.list(&folder).await?;
        let contents = Self::new(files, folder, capacity);
        let listed: BTreeMap<_, _> = listed.into_iter().map(|file| (file.name.clone(), file)).collect();
        let mut brought = Vec::new();
        for (name, file) in &listed {
            let beside = listed.get(&format!("{name}{BLOCKS}"));
            if let Some(hash) = hash_of(name) {
                brought.extend(contents.find_content(hash, file, beside, named).await?);
            } else if name.starts_with("upload-") && !name.ends_with(BLOCKS) {
                brought.extend(contents.find_upload(file, beside).await?);
            } else if name.starts_with("classic-") {
                contents.remove_files(name.strip_suffix(BLOCKS).unwrap_or(name)).await;
            } else if let Some(content) = name.strip_suffix(BLOCKS) {
                if !listed.contains_key(content) {
                    contents.remove_files(content).await;
                }
            } else {
                tracing::warn!(name, "this file among the contents is not ours: it is left alone");
            }
        }
        contents.set_brought(brought);
        Ok(contents)
    }

    async fn find_content(
        &self,
        hash: ContentHash,
        file: &Listed,
        beside: Option<&Listed>,
        named: &BTreeSet<ContentHash>,
    ) -> io::Result<Option<Brought>> {
        let is_named = named.contains(&hash);
        if is_named && file.size <= BLOCK {
            // It has one block, and it does not matter any more who brought it.
            self.restore_content(hash, file.size, Some(hash));
            return Ok(None);
        }
        let header = match beside {
            Some(beside) => self.read_header(&beside.name).await?.map(|(header, _)| header),
            None => None,
        };
        let header = header.filter(|header| header.size == file.size);
        if !is_named && header.as_ref().is_none_or(|header| header.person.is_none()) {
            self.remove_files(&file.name).await;
            return Ok(None);
        }
        self.restore_content(hash, file.size, header.as_ref().map(|header| header.first));
        let brought = header.filter(|_| !is_named);
        Ok(brought.map(|header| Brought { header, hash: Some(hash), at: file.modified }))
    }

    async fn find_upload(&self, file: &Listed, beside: Option<&Listed>) -> io::Result<Option<Brought>> {
        let read = match beside {
            Some(beside) => self.read_header(&beside.name).await?,
            None => None,
        };
        let is_its = |header: &Header| {
            super::contents::upload_name(header.transfer) == file.name && header.person.is_some()
        };
        let Some((header, begin)) = read.filter(|(header, _)| is_its(header)) else {
            self.remove_files(&file.name).await;
            return Ok(None);
        };
        let tree = self.verified(&file.name, &header, begin, file.size).await?;
        self.restore_upload(file.name.clone(), Partial::restored(header.clone(), tree));
        let at = beside.map_or(file.modified, |beside| beside.modified.max(file.modified));
        Ok(Some(Brought { header, hash: None, at }))
    }

    async fn read_header(&self, name: &str) -> io::Result<Option<(Header, u64)>> {
        let file = self.files.open(&self.path(name)).await?;
        let (head, n) = self.files.read_at(&file, 0, vec![0; MAX_HEADER], 0).await?;
        Ok(Header::decode(&head[..n]).ok())
    }

    /// The blocks of an upload that are here and right. Its values may have reached the disk before its bytes did, but
    /// those before the last two syncs did not: only what came after them is hashed again.
    async fn verified(&self, name: &str, header: &Header, begin: u64, size: u64) -> io::Result<Tree> {
        let beside = self.files.open(&self.path(&format!("{name}{BLOCKS}"))).await?;
        let most = values_of(header.size).min(size / BLOCK);
        let buffer = vec![0; usize::try_from(most * VALUE).unwrap_or_default()];
        let (values, n) = self.files.read_at(&beside, begin, buffer, 0).await?;
        let known = n / 32;
        let synced = known.saturating_sub(2 * UNSYNCED);
        let mut tree: Tree = (0..synced).filter_map(|at| value_at(&values, at)).collect();
        let file = self.files.open(&self.path(name)).await?;
        let mut block = vec![0; 1 << 20];
        for at in synced..known {
            let index = at as u64;
            let (read, n) = self.files.read_at(&file, index * BLOCK, block, 0).await?;
            block = read;
            match value_at(&values, at).filter(|value| *value == value_of(index, &block[..n])) {
                Some(value) => tree.push(value),
                None => break,
            }
        }
        Ok(tree)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::files::{Begun, Disk, name_of};
    use bytes::Bytes;
    use protocol::blocks::hash_of_first;
    use protocol::id::{PersonId, RoomId, TransferId};
    use protocol::message::Target;

    const CONTENT: &[u8] = b"a small file";

    #[tokio::test]
    async fn a_small_content_that_no_entry_names_yet_is_its_senders_after_a_restart() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().to_owned();
        let hash = hash_of_first(CONTENT);
        let header = Header {
            transfer: TransferId([1; 16]),
            person: Some(PersonId::FIRST),
            target: Target::Room { room: RoomId::FIRST },
            size: CONTENT.len() as u64,
            first: hash,
            name: "small".to_owned(),
        };
        let contents = Contents::new(Disk, path.clone(), 1 << 20);
        let Begun::Going(mut upload) = contents.begin(header.clone()).await.unwrap() else {
            panic!("it is not whole");
        };
        upload.append(Bytes::from_static(CONTENT)).await.unwrap();
        upload.finish(hash).await.unwrap();
        drop((upload, contents));

        let open = async |named: &[ContentHash]| {
            let named = named.iter().copied().collect();
            Contents::open(Disk, path.clone(), 1 << 20, &named).await.unwrap()
        };
        let again = open(&[]).await;
        let brought: Vec<_> =
            again.take_brought().into_iter().map(|brought| (brought.header, brought.hash)).collect();
        assert_eq!(brought, [(header, Some(hash))]);
        assert_eq!(again.size(hash), Some(CONTENT.len() as u64));
        let named = open(&[hash]).await;
        assert_eq!(named.take_brought(), []);
        assert_eq!(named.size(hash), Some(CONTENT.len() as u64));
        assert!(crate::files::blocks_fit(&path, hash).unwrap(), "verify finds nothing wrong");
        // Without who brought it nobody could ever name it.
        std::fs::remove_file(path.join(name_of(hash) + BLOCKS)).unwrap();
        assert_eq!(open(&[]).await.size(hash), None);
    }
}
