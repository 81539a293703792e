//! Panics inside a run, which are violations: kept quietly, with their place.

use std::cell::RefCell;
use std::sync::Once;

thread_local! {
    static LAST: RefCell<String> = const { RefCell::new(String::new()) };
}

/// Keeps the panics of every thread that runs plans, and prints none of them.
pub(crate) fn keep_quietly() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        let before = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |info| {
            if turmoil::in_simulation() {
                LAST.with_borrow_mut(|last| *last = info.to_string().replace('\n', " "));
            } else {
                before(info);
            }
        }));
    });
}

/// The last panic of this thread.
pub(crate) fn last() -> String {
    LAST.with_borrow(Clone::clone)
}
