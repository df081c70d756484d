//! Where credentials come from: the program itself, in front of a target that writes down who
//! signed, with each kind of source standing beside it on loopback.
#![allow(clippy::unwrap_used)]

mod chain;
mod failures;
mod refresh;
mod reload;
mod roles;
mod support;
mod targets;
