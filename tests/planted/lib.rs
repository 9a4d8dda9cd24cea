//! The proxy and its simulator, with slips in it that are made one at a time.
//!
//! A simulator proves nothing until it has found something. `build.rs` copies `src` and puts
//! the slips of `slips.rs`, `tls_slips.rs` and `query_slips.rs` into it, each behind the question whether it is to be made:
//! one binary holds them all, and the proxy itself knows of none. Nothing but the tests is linked
//! with the copy, and release builds leave it empty.

#![allow(warnings, clippy::all)]

#[cfg(debug_assertions)]
include!(concat!(env!("OUT_DIR"), "/src/lib.rs"));

/// Which slip is made.
#[cfg(debug_assertions)]
pub mod planted {
    use std::cell::Cell;

    include!(concat!(env!("OUT_DIR"), "/bugs.rs"));

    thread_local! {
        // A thread runs one world at a time.
        static PLANTED: Cell<Option<Bug>> = const { Cell::new(None) };
    }

    /// Whether this slip is to be made.
    pub fn is(bug: Bug) -> bool {
        PLANTED.get() == Some(bug)
    }

    /// Makes this thread's workers commit one slip from now on, or none.
    pub fn plant(bug: Option<Bug>) {
        PLANTED.set(bug);
    }
}
