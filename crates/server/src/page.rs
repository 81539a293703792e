//! Pages: as much of a list as fits into one frame.

use protocol::limits::{MAX_FRAME, MAX_PAGE};

/// Bytes of a frame that are left for the elements of its list.
const ROOM: usize = MAX_FRAME as usize - 128;

/// As many elements as one frame takes, at most [`MAX_PAGE`], and whether there are more.
///
/// `size` gives an upper bound of an element's bytes on the wire.
pub fn page<T>(elements: impl Iterator<Item = T>, size: impl Fn(&T) -> usize) -> (Vec<T>, bool) {
    let mut bytes = 0;
    let mut page = Vec::new();
    for element in elements {
        bytes += size(&element);
        if page.len() == MAX_PAGE || bytes > ROOM {
            return (page, true);
        }
        page.push(element);
    }
    (page, false)
}

/// A whole list in pages; one empty page for an empty list.
pub fn pages<T>(elements: Vec<T>, size: impl Fn(&T) -> usize) -> Vec<Vec<T>> {
    let mut pages = vec![Vec::new()];
    let mut bytes = 0;
    for element in elements {
        bytes += size(&element);
        let page = pages.last_mut().expect("there is always one");
        if page.len() == MAX_PAGE || bytes > ROOM {
            bytes = size(&element);
            pages.push(vec![element]);
        } else {
            page.push(element);
        }
    }
    pages
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_list_is_cut_by_bytes_and_by_count() {
        let lens = |pages: Vec<Vec<usize>>| pages.iter().map(Vec::len).collect::<Vec<_>>();
        assert_eq!(lens(pages(Vec::new(), |n| *n)), [0]);
        assert_eq!(lens(pages(vec![10; 450], |n| *n)), [200, 200, 50]);
        assert_eq!(lens(pages(vec![ROOM / 2; 5], |n| *n)), [2, 2, 1]);
        assert_eq!(page([10; 450].into_iter(), |n| *n), (vec![10; 200], true));
        assert_eq!(page([ROOM / 2; 3].into_iter(), |n| *n), (vec![ROOM / 2; 2], true));
        assert_eq!(page([1, 2].into_iter(), |n| *n), (vec![1, 2], false));
    }
}
