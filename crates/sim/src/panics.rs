//! Panics inside a run, which are violations: kept quietly, with their place.

use std::cell::RefCell;
use std::sync::{Mutex, Once, PoisonError};

/// How the names of threads begin that are a part of a run over real sockets.
pub(crate) const REAL: &str = "real-";

/// The first panic of such a thread.
static REAL_LAST: Mutex<String> = Mutex::new(String::new());

thread_local! {
    static LAST: RefCell<String> = const { RefCell::new(String::new()) };
    static PLAN: RefCell<String> = const { RefCell::new(String::new()) };
}

/// Keeps the panics of every thread that runs plans, and prints none of them.
pub(crate) fn keep_quietly(plan: &str) {
    PLAN.replace(plan.to_owned());
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        let before = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |info| {
            if turmoil::in_simulation() {
                // The runtime that ends because of it panics as well: the first one says why.
                LAST.with_borrow_mut(|last| {
                    if last.is_empty() {
                        // Said at once: what follows may end the whole process.
                        eprintln!("in the run of {}: {info}", PLAN.with_borrow(Clone::clone));
                        *last = info.to_string().replace('\n', " ");
                    }
                });
            } else if std::thread::current().name().is_some_and(|name| name.starts_with(REAL)) {
                let mut last = REAL_LAST.lock().unwrap_or_else(PoisonError::into_inner);
                if last.is_empty() {
                    eprintln!("in a run over real sockets: {info}");
                    *last = info.to_string().replace('\n', " ");
                }
            } else {
                before(info);
            }
        }));
    });
}

/// The first panic of this thread since the last one was taken.
pub(crate) fn take() -> String {
    LAST.take()
}

/// The first panic of the threads of a run over real sockets, if there was one.
pub(crate) fn take_real() -> Option<String> {
    let last = std::mem::take(&mut *REAL_LAST.lock().unwrap_or_else(PoisonError::into_inner));
    (!last.is_empty()).then_some(last)
}
