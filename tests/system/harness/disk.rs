//! What lies in the folders of programs.

use super::eventually;
use std::fs;
use std::path::{Path, PathBuf};

/// All files below a folder. A socket is none.
pub fn files(folder: &Path) -> Vec<PathBuf> {
    let paths = fs::read_dir(folder).into_iter().flatten().filter_map(|entry| Some(entry.ok()?.path()));
    let below = |path: PathBuf| match path.is_dir() {
        true => files(&path),
        false => Some(path).filter(|path| path.is_file()).into_iter().collect(),
    };
    paths.flat_map(below).collect()
}

/// Whether this is a file that is not whole yet, of a server or of a client.
pub fn is_partial(path: &Path) -> bool {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    name.ends_with(".part") || (name.starts_with("upload-") && !name.contains('.'))
}

/// Bytes of the largest file below a folder that is not whole yet.
pub fn progress(folder: &Path) -> u64 {
    let sizes = files(folder).into_iter().filter(|path| is_partial(path));
    sizes.filter_map(|path| Some(fs::metadata(path).ok()?.len())).max().unwrap_or(0)
}

/// Waits until more than so many bytes lie in a file below this folder that is not whole yet.
pub async fn arrived(folder: &Path, bytes: u64) {
    eventually("a part of the file", || (progress(folder) > bytes).then_some(())).await;
}
