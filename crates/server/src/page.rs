//! Pages: as much of a list as fits into one frame.

use protocol::limits::MAX_FRAME;

/// Bytes of a frame that are left for the elements of its list.
const ROOM: usize = MAX_FRAME as usize - 128;

/// As many elements as one frame takes, at most so many, and whether there are more.
///
/// `size` gives an upper bound of an element's bytes on the wire.
pub fn page<T>(most: usize, elements: impl Iterator<Item = T>, size: impl Fn(&T) -> usize) -> (Vec<T>, bool) {
    let mut bytes = 0;
    let mut page = Vec::new();
    for element in elements {
        bytes += size(&element);
        if page.len() == most || bytes > ROOM {
            return (page, true);
        }
        page.push(element);
    }
    (page, false)
}

/// A whole list in pages of at most so many elements; one empty page for an empty list.
pub fn pages<T>(most: usize, elements: Vec<T>, size: impl Fn(&T) -> usize) -> Vec<Vec<T>> {
    let mut pages = vec![Vec::new()];
    let mut bytes = 0;
    for element in elements {
        bytes += size(&element);
        let page = pages.last_mut().expect("there is always one");
        if page.len() == most || bytes > ROOM {
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
        assert_eq!(lens(pages(200, Vec::new(), |n| *n)), [0]);
        assert_eq!(lens(pages(200, vec![10; 450], |n| *n)), [200, 200, 50]);
        assert_eq!(lens(pages(200, vec![ROOM / 2; 5], |n| *n)), [2, 2, 1]);
        assert_eq!(page(200, [10; 450].into_iter(), |n| *n), (vec![10; 200], true));
        assert_eq!(page(200, [ROOM / 2; 3].into_iter(), |n| *n), (vec![ROOM / 2; 2], true));
        assert_eq!(page(200, [1, 2].into_iter(), |n| *n), (vec![1, 2], false));
    }
}
