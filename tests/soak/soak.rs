//! The program under load and under faults, for as long as is asked: clients, a target that
//! misbehaves, a source of credentials that fails and a configuration that changes, all on
//! loopback. In the end every request is
//! accounted for, and the program is as small and as idle as it was in the beginning.
//!
//! `cargo run --example soak -- target/release/countersign 60`
#![allow(clippy::unwrap_used, clippy::print_stdout)]

mod clients;
mod credentials;
mod kinds;
mod program;
mod target;
#[path = "../../fuzz/properties/wire.rs"]
mod wire;

use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::{Instant, interval, sleep};

use clients::Score;
use credentials::Keys;
use program::Program;
use target::Target;

/// Connections that ask without a pause.
const CONNECTIONS: usize = 64;
/// How often the configuration changes; each fifth is wrong.
const RELOAD: Duration = Duration::from_secs(1);
/// How often the program's memory is looked at.
const LOOK: Duration = Duration::from_millis(100);
/// After the load: the pool's idle time, with room for a busy machine.
const SETTLE: Duration = Duration::from_secs(20);
/// The last third's memory, as a share of the second's.
const GROWTH: f64 = 1.2;

fn main() -> ExitCode {
    let mut arguments = std::env::args().skip(1);
    let (Some(binary), Some(Ok(seconds))) =
        (arguments.next(), arguments.next().map(|seconds| seconds.parse()))
    else {
        println!("usage: soak BINARY SECONDS");
        return ExitCode::from(2);
    };
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
    let failed = runtime.block_on(soak(&binary, Duration::from_secs(seconds)));
    for failure in &failed {
        println!("FAILED: {failure}");
    }
    println!("{} passed, {} failed", CHECKS - failed.len(), failed.len());
    if failed.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// What is asserted in the end: answers, twice-sent requests, the last configuration, memory,
/// descriptors, end.
const CHECKS: usize = 6;

async fn soak(binary: &str, length: Duration) -> Vec<String> {
    let keys = Keys::default();
    let source = credentials::serve(keys.clone()).await;
    let target = Arc::new(Target::new(keys));
    let program = Program::start(binary, target::serve(Arc::clone(&target)).await, source).await;
    clients::warm_up(program.address).await;
    let at_first = program.settled(SETTLE, |_| false).await;

    let (score, memory, generation) = under_load(&program, length).await;
    let mut serves = clients::generation(program.address).await;
    let until = Instant::now() + SETTLE;
    while serves != Some(generation) && Instant::now() < until {
        sleep(LOOK).await;
        serves = clients::generation(program.address).await;
    }
    let at_last = program.settled(SETTLE, |descriptors| descriptors <= at_first).await;

    score.print(&target);
    let thirds = thirds(&memory);
    println!("memory by thirds, MiB    {:.1} {:.1} {:.1}", thirds[0], thirds[1], thirds[2]);
    println!("{:<24} {generation:>9}", "configuration changed");
    println!("descriptors              {at_first} before, {at_last} after");
    let ended = program.end().await;

    let mut failed = score.wrong(&target);
    if let Some(twice) = target.sent_twice() {
        failed.push(twice);
    }
    if serves != Some(generation) {
        failed.push(format!("configuration {generation} was the last, {serves:?} is served"));
    }
    if thirds[2] > thirds[1] * GROWTH {
        failed.push(format!("memory grew from {:.1} to {:.1} MiB", thirds[1], thirds[2]));
    }
    if at_last > at_first {
        failed.push(format!("{at_last} descriptors are open, {at_first} were"));
    }
    failed.extend(ended.err());
    failed
}

/// Asks until the time is over; gives the score, the program's memory meanwhile, in MiB, and the
/// generation of its last configuration.
async fn under_load(program: &Program, length: Duration) -> (Score, Vec<f64>, u64) {
    let until = Instant::now() + length;
    let clients: Vec<_> = (0..CONNECTIONS)
        .map(|number| tokio::spawn(clients::ask_until(program.address, until, number as u64)))
        .collect();
    let mut memory = Vec::new();
    let mut generation = 0;
    let (mut looks, mut reloads) = (interval(LOOK), interval(RELOAD));
    while Instant::now() < until {
        tokio::select! {
            _ = looks.tick() => memory.push(program.memory()),
            _ = reloads.tick() => {
                generation += 1;
                program.reload(generation, generation % 5 != 0);
            }
        }
    }
    generation += 1;
    program.reload(generation, true);
    let mut score = Score::default();
    for client in clients {
        score.add(client.await.unwrap());
    }
    sleep(RELOAD).await; // the target notes what it did after the client has its answer
    (score, memory, generation)
}

/// The means of the samples' three thirds.
fn thirds(samples: &[f64]) -> [f64; 3] {
    let third = samples.len() / 3;
    [0, 1, 2].map(|n| samples[n * third..(n + 1) * third].iter().sum::<f64>() / third as f64)
}
