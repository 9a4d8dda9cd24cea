//! Which server a request goes to, and what happens to servers that fail. Pure: the time is an
//! argument.

pub mod group;
pub mod health;
pub mod plan;
pub mod retry;
