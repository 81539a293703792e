//! The one order of a bundle, in which each folder is whole, and nothing lies in a file.

use super::part::check_part;
use super::{BundleError, Item};
use crate::limits::MAX_BUNDLE_DEPTH;
use std::cmp::Ordering;
use std::collections::BTreeSet;

/// By the names along the path, each by its bytes: so what is in one folder stands together.
pub(super) fn compare(a: &str, b: &str) -> Ordering {
    a.split('/').cmp(b.split('/'))
}

/// A folder on the way to the current item.
#[derive(Debug, Default)]
struct Open<'a> {
    name: &'a str,
    /// The names in it so far.
    taken: BTreeSet<&'a str>,
}

/// Checks that all paths are good and in order, and that nothing lies in a file. Names that some system takes for one may
/// stand side by side: whoever writes them there finds another name for the later one.
pub(super) fn check(items: &[Item]) -> Result<(), BundleError> {
    // Only the folders around the current item are held: what stands in them stands together.
    let mut open = vec![Open::default()];
    let mut before: Option<&str> = None;
    for Item { path, .. } in items {
        check_path(path)?;
        if before.is_some_and(|before| compare(before, path) != Ordering::Less) {
            return Err(BundleError::Order(path.clone()));
        }
        before = Some(path);
        let (folders, name) =
            path.rsplit_once('/').map_or((None, &path[..]), |(all, name)| (Some(all), name));
        let folders: Vec<_> = folders.into_iter().flat_map(|folders| folders.split('/')).collect();
        let same = open[1..].iter().zip(&folders).take_while(|(open, name)| open.name == **name).count();
        open.truncate(1 + same);
        for folder in &folders[same..] {
            take(&mut open, folder, path)?;
            open.push(Open { name: folder, taken: BTreeSet::new() });
        }
        take(&mut open, name, path)?;
    }
    Ok(())
}

/// Takes a name in the innermost folder.
fn take<'a>(open: &mut [Open<'a>], name: &'a str, path: &str) -> Result<(), BundleError> {
    let innermost = open.last_mut().expect("the folder that is sent is never closed");
    if innermost.taken.insert(name) { Ok(()) } else { Err(BundleError::InFile(path.to_owned())) }
}

fn check_path(path: &str) -> Result<(), BundleError> {
    if path.split('/').count() > MAX_BUNDLE_DEPTH {
        return Err(BundleError::TooDeep(path.to_owned()));
    }
    path.split('/')
        .try_for_each(check_part)
        .map_err(|error| BundleError::Part { path: path.to_owned(), error })
}
