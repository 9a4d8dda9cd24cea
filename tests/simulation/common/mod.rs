//! A worker in a simulated world, and the checks of its results. Shared with the fuzz target
//! `session`.

pub(crate) mod model;
pub(crate) mod run;
pub(crate) mod scenario;
pub(crate) mod seeds;
pub(crate) mod setup;
pub(crate) mod stranger;
