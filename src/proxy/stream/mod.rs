//! Connections whose bytes pass unread.

pub mod passthrough;
pub mod variables;
