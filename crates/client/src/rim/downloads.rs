//! Where files go that others send: into the user's download folder, as the XDG user directories name it.

use std::env;
use std::ffi::OsString;
use std::path::{Path, PathBuf};

/// The folder in the download folder.
const OWN: &str = "natter";

/// Where files went before they went to the download folder. What came there in part goes on there.
pub(super) const OLDER: &str = "received_files";

/// The folder for received files, unless another one is named.
pub(super) fn folder() -> PathBuf {
    let absolute = |path: OsString| Some(PathBuf::from(path)).filter(|path| path.is_absolute());
    let Some(home) = env::var_os("HOME").and_then(absolute) else {
        return OLDER.into();
    };
    let named = env::var_os("XDG_DOWNLOAD_DIR").and_then(absolute);
    let config = env::var_os("XDG_CONFIG_HOME").and_then(absolute).unwrap_or_else(|| home.join(".config"));
    let read = || std::fs::read_to_string(config.join("user-dirs.dirs")).ok();
    let downloads = named.or_else(|| download_dir(&read()?, &home)).unwrap_or_else(|| home.join("Downloads"));
    downloads.join(OWN)
}

/// `XDG_DOWNLOAD_DIR="$HOME/Downloads"` or an absolute path, as that file may have it.
fn download_dir(text: &str, home: &Path) -> Option<PathBuf> {
    let value = text.lines().rev().find_map(|line| line.trim().strip_prefix("XDG_DOWNLOAD_DIR="))?;
    let value = value.trim().strip_prefix('"')?.strip_suffix('"')?.replace('\\', "");
    match value.strip_prefix("$HOME") {
        Some("") => Some(home.to_owned()),
        Some(rest) => Some(home.join(rest.strip_prefix('/')?)),
        None => Some(PathBuf::from(value)).filter(|path| path.is_absolute()),
    }
}

/// A folder as people write it: `~` for the home folder.
pub(super) fn shown(folder: &Path) -> String {
    let home = env::var_os("HOME").map(PathBuf::from).filter(|home| home.is_absolute());
    match home.and_then(|home| folder.strip_prefix(home).ok().map(Path::to_owned)) {
        Some(rest) => format!("~/{}", rest.display()),
        None => folder.display().to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_download_folder_is_read_as_the_desktop_writes_it() {
        let home = Path::new("/srv/me");
        for (text, expected) in [
            ("XDG_DOWNLOAD_DIR=\"$HOME/Downloads\"", Some("/srv/me/Downloads")),
            (
                "# a comment\nXDG_DESKTOP_DIR=\"$HOME/x\"\n XDG_DOWNLOAD_DIR=\"$HOME/T\u{e9}l\"\n",
                Some("/srv/me/T\u{e9}l"),
            ),
            ("XDG_DOWNLOAD_DIR=\"/data/in\"", Some("/data/in")),
            ("XDG_DOWNLOAD_DIR=\"$HOME\"", Some("/srv/me")),
            ("XDG_DOWNLOAD_DIR=\"relative\"", None),
            ("XDG_DOWNLOAD_DIR=$HOME/x", None),
            ("", None),
        ] {
            assert_eq!(download_dir(text, home), expected.map(PathBuf::from), "{text}");
        }
    }
}
