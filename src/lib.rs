//! countersign lets anything that speaks plain HTTP call IAM-protected AWS Lambda Function URLs:
//! it takes an unsigned request on loopback, finds its target in a route table, signs it with
//! SigV4 and streams the answer back.
//!
//! The map of the crate, from the outside in. A module names only those below it
//! (`tests/layers.rs` holds this):
//!
//! - [`cli`]: one verb, one file
//! - [`app`]: the running program, built from a configuration
//! - [`listen`], [`admin`], [`emulator`] and [`proxy`], the request path
//! - [`credentials`]: where they come from, and the store that always has the last good ones
//! - [`config`], [`net`], [`telemetry`]
//! - [`routing`], [`sigv4`]: pure, no I/O
//! - [`clock`], [`secret`]

pub mod admin;
pub mod app;
pub mod cli;
pub mod clock;
pub mod config;
pub mod credentials;
pub mod emulator;
pub mod listen;
pub mod net;
pub mod proxy;
pub mod routing;
pub mod secret;
pub mod sigv4;
pub mod telemetry;
