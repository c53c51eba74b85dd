//! Calls into libraries that panic on some files instead of failing.

use std::cell::Cell;
use std::panic::{AssertUnwindSafe, catch_unwind};

thread_local! {
    static GUARDED: Cell<bool> = const { Cell::new(false) };
}

/// Runs a call; none if it panicked. What it was changing may be half changed and must not be used any more.
pub fn guarded<T>(call: impl FnOnce() -> T) -> Option<T> {
    let before = GUARDED.replace(true);
    let done = catch_unwind(AssertUnwindSafe(call));
    GUARDED.set(before);
    done.ok()
}

/// Whether a panic on this thread is expected and becomes an error: a program's panic hook need not print it.
pub fn is_guarded() -> bool {
    GUARDED.get()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    #[allow(clippy::panic, reason = "the panic is what is tested")]
    fn a_panic_becomes_nothing_and_the_guard_ends_with_the_call() {
        assert!(!is_guarded());
        assert_eq!(guarded(is_guarded), Some(true));
        assert_eq!(
            guarded(|| guarded(|| -> u8 { panic!("expected") }).is_none() && is_guarded()),
            Some(true)
        );
        assert!(!is_guarded());
    }
}
