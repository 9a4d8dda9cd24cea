//! Which server a request goes to, and what happens to servers that fail. Pure: the time is an
//! argument.

pub mod active;
mod change;
pub mod check;
pub mod group;
pub mod health;
mod ids;
mod orders;
pub mod plan;
mod policy;
pub mod readiness;
pub mod retry;
mod server;
mod standing;
mod verdict;
