//! HTTP/1.1: requests are read, sent on one by one, and answered.

pub mod asked;
pub mod control;
pub mod download;
pub mod ending;
pub mod errand;
pub mod error_page;
pub mod exchange;
pub mod h2c;
mod id_tap;
pub mod judge;
pub mod linger;
pub mod link;
pub mod own_answer;
pub mod page;
pub mod queue;
pub mod real_ip;
pub mod relay;
pub mod request;
pub mod request_head;
pub mod response_head;
pub mod route;
pub mod session;
pub mod step;
pub mod transition;
pub mod turn;
pub mod upload;
pub mod variables;
