//! A worker in a simulated world, and what may come of it. Shared with the fuzz target `session`.

pub(crate) mod model;
pub(crate) mod run;
pub(crate) mod scenario;
pub(crate) mod seeds;
pub(crate) mod setup;
pub(crate) mod stranger;
