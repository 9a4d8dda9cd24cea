//! What an operator asks of the running program, and what the program says: pure.

pub mod command;
pub mod denied;
pub mod json;
pub mod kept;
pub mod outcome;
pub mod percent;
pub mod snapshot;
pub mod work;
