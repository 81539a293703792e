//! Whether the disk has room for what is to be received: it is better said before the first byte than after the last.

use super::arriving::Begun;
use super::received::Folder;
use super::{Download, Failure, Received, Shape};
use protocol::limits::BLOCK;
use rustix::fs::fstatvfs;

impl Received {
    /// Begins to receive a file, or goes on, if the rest of it has room.
    ///
    /// # Errors
    /// [`Failure`]; what an earlier process left is kept then.
    pub(super) fn arrive_with_room(&self, download: &Download, random: u64) -> Result<Begun, Failure> {
        let begun = self.arrive(download, random)?;
        if let Begun::Arriving(arriving) = &begun {
            let here = arriving.values().len() as u64 * BLOCK;
            check_room(&self.folder_of(download)?, download, here)?;
        }
        Ok(begun)
    }
}

/// Whether the rest of it has room, when so many bytes of it are here.
fn check_room(folder: &Folder, download: &Download, here: u64) -> Result<(), Failure> {
    let needed = needed(download, here);
    // What a file system does not tell is found out.
    match fstatvfs(&*folder.dir).map(|found| found.f_bavail.saturating_mul(found.f_frsize)) {
        Ok(free) if free < needed => {
            Err(Failure::NoRoom { needed, free, folder: folder.path.display().to_string() })
        }
        _ => Ok(()),
    }
}

/// A folder is there twice for a moment: as what came, and as what is in it.
fn needed(download: &Download, here: u64) -> u64 {
    let rest = download.size.saturating_sub(here);
    match download.shape {
        Shape::Folder => rest.saturating_add(download.size),
        Shape::File | Shape::Other(_) => rest,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::transfer::{JobId, Keep, Origin};

    fn download(size: u64, shape: Shape) -> Download {
        let origin = Origin { transfer: None, hash: None };
        Download { id: JobId(1), origin, size, name: "a".into(), shape, keep: Keep::default() }
    }

    #[test]
    fn a_folder_needs_room_twice_and_what_is_here_needs_none() {
        assert_eq!(needed(&download(100, Shape::File), 0), 100);
        assert_eq!(needed(&download(100, Shape::File), 30), 70);
        assert_eq!(needed(&download(100, Shape::File), 130), 0);
        assert_eq!(needed(&download(100, Shape::Folder), 30), 170);
        assert_eq!(needed(&download(u64::MAX, Shape::Folder), 0), u64::MAX);
    }

    #[test]
    fn only_what_the_disk_has_no_room_for_is_refused() {
        let root = tempfile::tempdir().expect("a temporary folder");
        let received = Received::new(root.path().to_owned());
        let check = |size, shape, here| {
            let download = download(size, shape);
            check_room(&received.folder_of(&download).expect("a folder"), &download, here)
        };
        // No disk has an exbibyte.
        let huge = 1 << 60;
        assert_eq!(check(1, Shape::File, 0), Ok(()));
        assert_eq!(check(huge, Shape::File, huge - 1), Ok(()));
        for (shape, needs) in [(Shape::File, huge), (Shape::Folder, 2 * huge)] {
            let Err(Failure::NoRoom { needed, free, folder }) = check(huge, shape, 0) else {
                panic!("{shape:?} is refused");
            };
            assert_eq!((needed, folder), (needs, root.path().display().to_string()));
            assert!(free < huge, "{free}");
        }
    }
}
