//! What a reload leaves to the sources that stay the same, though targets are reached in another way
//! from then on.

use std::fs;
use std::io::{BufRead, BufReader};
use std::net::TcpListener;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, channel};
use std::thread;

use crate::support::*;

const SERVED: &str = "the configuration was read again and is served from now on";

/// Puts another `[upstream]` into the file, and waits until it is served.
fn reach_otherwise(running: &Running, upstream: &str) {
    let (file, new) =
        (running.home.path().join("countersign.toml"), running.home.path().join("new"));
    let text = fs::read_to_string(&file).unwrap();
    let rest = text.lines().filter(|line| !line.starts_with("upstream"));
    let rest: Vec<&str> = rest.collect();
    fs::write(&new, format!("upstream = {{ {upstream} }}\n{}\n", rest.join("\n"))).unwrap();
    fs::rename(&new, &file).unwrap();
    running.output.wait_for(SERVED);
}

#[test]
fn credentials_are_kept_where_their_source_is_down() {
    let asked = AtomicUsize::new(0);
    let agent = Stub::start("127.0.0.1:0", move |_| match asked.fetch_add(1, Ordering::SeqCst) {
        0 => (200, given(KEY)),
        _ => (500, "down".into()),
    });
    let running = Setup::new().with("AWS_CONTAINER_CREDENTIALS_FULL_URI", &agent.url()).start();
    assert_eq!(running.get("/before").0, 200);
    reach_otherwise(&running, "idle = \"5s\"");
    assert_eq!((running.get("/after").0, running.admin("/readyz")), (200, 200));
    assert_eq!(agent.arrived().len(), 1);
    running.stop();
}

#[test]
fn a_program_that_takes_long_is_not_started_beside_itself() {
    let setup = Setup::new();
    let program = format!("echo >> {}; sleep 60", setup.path("started"));
    let setup = setup.file("program", &program);
    let process = format!("[default]\ncredential_process = sh {}\n", setup.path("program"));
    let running = setup.file(".aws/config", &process).start();
    reach_otherwise(&running, "idle = \"5s\"");
    let started = fs::read_to_string(running.home.path().join("started")).unwrap();
    assert_eq!(started.lines().count(), 1);
    running.stop();
}

/// A proxy that lets nobody through: its address, and the first line of each that comes.
fn proxy() -> (String, Receiver<String>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let (tell, told) = channel();
    thread::spawn(move || {
        for client in listener.incoming() {
            let mut line = String::new();
            let _ = BufReader::new(client.unwrap()).read_line(&mut line);
            let _ = tell.send(line); // nobody may listen any more
        }
    });
    (url, told)
}

#[test]
fn sources_are_reached_in_the_other_way_too() {
    let ((before, first), (after, then)) = (proxy(), proxy());
    let setup = Setup::new().with_keys();
    let role = "credentials.assume_role.arn = \"arn:aws:iam::111122223333:role/one\"\n";
    let config = format!("upstream = {{ proxy = \"{before}\" }}\n{role}{}", setup.config);
    let running = Setup { config, ..setup }.start();
    let connect = "CONNECT sts.us-east-1.amazonaws.com:443 HTTP/1.1\r\n";
    assert_eq!(first.recv_timeout(LIMIT).unwrap(), connect);
    reach_otherwise(&running, &format!("proxy = \"{after}\""));
    assert_eq!(then.recv_timeout(LIMIT).unwrap(), connect);
    running.stop();
}
