//! `countersign health`: one small request to the admin listener, for containers whose image has
//! no shell. It runs every few seconds: no runtime, no TLS, and of the configuration only the
//! address of the admin listener. Readiness has a flag of its own, for a health check that fails
//! while a source of credentials hiccups would have a whole fleet killed.

use std::fmt;
use std::io::{Read, Write};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use crate::cli::arguments::Health;
use crate::cli::{Environment, Exit, inputs_with, print, tell};
use crate::config::admin::{Admin, admin};
use crate::config::load::Flags;

/// For connecting, and for the answer; loopback takes less than a millisecond.
const PATIENCE: Duration = Duration::from_secs(2);
/// Between two requests of `--wait`.
const PAUSE: Duration = Duration::from_millis(100);
/// More than the list of checks is long.
const ANSWER: u64 = 16 * 1024;

pub(super) fn run(arguments: &Health, environment: Environment) -> Exit {
    let flags = Flags { admin: arguments.admin.clone(), ..Flags::default() };
    let address = match admin(&inputs_with(arguments.file.config.clone(), environment, flags)) {
        Admin::At(address) => reachable(address),
        Admin::Off => {
            tell(
                "error: there is nothing to ask, for the admin listener is switched off\n  \
                 hint: write `admin = \"127.0.0.1:8481\"`, or leave `admin` out",
            );
            return Exit::Configuration;
        }
    };
    let question = if arguments.ready { Question::Ready } else { Question::Started };
    match ask_until(address, question, arguments.wait.unwrap_or_default()) {
        Ok(()) => {
            print(format!("ok: {question} ({address})\n"));
            Exit::Success
        }
        Err(why) => {
            tell(format_args!("not healthy: {why}"));
            Exit::Unhealthy
        }
    }
}

/// What is asked.
#[derive(Clone, Copy)]
enum Question {
    /// Does it run, and was it ready once? That it answers at all is its liveness.
    Started,
    /// Can it serve now?
    Ready,
}

impl Question {
    fn path(self) -> &'static str {
        match self {
            Self::Started => "/startupz?verbose",
            Self::Ready => "/readyz?verbose",
        }
    }
}

impl fmt::Display for Question {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Started => "it runs, and was ready",
            Self::Ready => "it is ready",
        })
    }
}

/// An address that all interfaces have is not one that can be asked.
fn reachable(address: SocketAddr) -> SocketAddr {
    let ip = match address.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => Ipv4Addr::LOCALHOST.into(),
        IpAddr::V6(ip) if ip.is_unspecified() => Ipv6Addr::LOCALHOST.into(),
        ip => ip,
    };
    SocketAddr::new(ip, address.port())
}

fn ask_until(address: SocketAddr, question: Question, wait: Duration) -> Result<(), String> {
    let end = Instant::now() + wait;
    loop {
        let answered = ask(address, question);
        if answered.is_ok() || Instant::now() + PAUSE > end {
            return answered;
        }
        std::thread::sleep(PAUSE);
    }
}

fn ask(address: SocketAddr, question: Question) -> Result<(), String> {
    let answer = exchange(address, question.path()).map_err(|error| match error.kind() {
        std::io::ErrorKind::ConnectionRefused => {
            format!("nobody listens on {address}; does it run, with this `admin`?")
        }
        _ => format!("no answer from {address}: {error}"),
    })?;
    let (head, body) = answer.split_once("\r\n\r\n").unwrap_or((&answer, ""));
    match head.split(' ').nth(1) {
        Some("200") => Ok(()),
        Some("503") => Err(reasons(body, question)),
        _ => {
            let line = head.lines().next().unwrap_or_default();
            Err(format!("{address} is no admin listener: it answers `{line}`"))
        }
    }
}

/// HTTP/1.0, so that the answer comes whole and ends with its connection.
fn exchange(address: SocketAddr, path: &str) -> std::io::Result<String> {
    let mut stream = TcpStream::connect_timeout(&address, PATIENCE)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.set_write_timeout(Some(PATIENCE))?;
    stream.write_all(format!("GET {path} HTTP/1.0\r\nhost: {address}\r\n\r\n").as_bytes())?;
    let mut answer = Vec::new();
    stream.take(ANSWER).read_to_end(&mut answer)?;
    Ok(String::from_utf8_lossy(&answer).into_owned())
}

/// The checks that failed, on one line: they are those that begin with `[-]`.
fn reasons(body: &str, question: Question) -> String {
    let failed: Vec<&str> = body.lines().filter_map(|line| line.strip_prefix("[-]")).collect();
    let state = match question {
        Question::Started => "it runs, but was not ready yet",
        Question::Ready => "it runs, but is not ready",
    };
    match failed.as_slice() {
        [] => state.to_owned(),
        failed => format!("{state}: {}", failed.join("; ")),
    }
}
