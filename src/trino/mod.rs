//! What requests and answers mean to Trino, 364 to 483. No sockets, no clock, no configuration.

pub mod announcement;
pub mod answer_body;
pub mod answers;
pub mod cluster;
pub mod coordinator;
pub mod decision;
pub mod forwarded;
pub mod info;
pub mod json;
pub mod json_pieces;
pub mod kept;
pub mod known;
pub mod ledger;
pub mod profile;
pub mod query_id;
pub mod request;
pub mod roster;
pub mod rows;
pub mod sql;
mod stage;
pub mod statement;
pub mod transactions;
pub mod weighing;
