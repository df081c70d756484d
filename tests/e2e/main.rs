//! The program from end to end: raw bytes over real sockets on both sides of it, so that nothing
//! in between mends what is sent.
#![allow(clippy::unwrap_used)]

mod access_log;
mod admin;
mod answers;
mod api_keys;
mod body;
mod cors;
mod extension;
mod guard;
mod headers;
mod hostile;
mod import;
mod lifecycle;
mod limits;
mod listener;
mod log;
mod metrics;
mod mirror;
mod process;
mod refusals;
mod rejections;
mod reload;
mod retries;
mod signing;
mod split;
mod stale;
mod support;
mod validate;
