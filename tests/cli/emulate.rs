//! `demo` and `emulate`: what they serve, what they say of it and how they end.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::os::unix::process::ExitStatusExt;

use nix::sys::signal::Signal;

use crate::call::call;
use crate::support::{Program, Ran, Serving, ask, url};

#[test]
fn demo_prints_lines_that_work_and_ends_with_0() {
    let mut demo = Serving::start(&["demo", "--listen", "127.0.0.1:0"]);
    let banner = demo.until("Ctrl-C ends it.");
    let lines: Vec<&str> =
        banner.lines().map(str::trim).filter(|line| line.starts_with("curl ")).collect();
    let [health, process, stream, unsigned] = lines.as_slice() else { panic!("{banner}") };
    let (status, answer) = ask(url(health), "GET", "", "");
    assert_eq!(status, 200, "{answer}");
    assert!(answer.contains("healthy"), "{answer}");
    let body = process.split('\'').nth(1).unwrap();
    let (status, answer) = ask(url(process), "POST", "content-type: application/json\r\n", body);
    assert_eq!(status, 200, "{answer}");
    assert!(answer.contains("hello"), "{answer}");
    let (status, answer) = ask(url(stream), "GET", "", "");
    assert!(status == 200 && answer.contains("data:"), "{answer}");
    let (status, answer) = ask(url(unsigned), "GET", "", "");
    assert_eq!(status, 403, "unsigned, it is refused: {answer}");
    let page = banner.split_whitespace().find(|word| word.ends_with('/')).unwrap();
    let (status, answer) = ask(&format!("{page}requests"), "GET", "", "");
    assert!(status == 200 && answer.contains("\"/process\""), "{answer}");
    assert_eq!(demo.interrupt(), Some(0));
}

#[test]
fn emulate_refuses_what_is_not_signed_and_takes_what_call_signs() {
    let mut emulator = Serving::start(&["emulate", "--listen", "127.0.0.1:0"]);
    let printed = emulator.until("AWS_SECRET_ACCESS_KEY=");
    let address = url(&printed).to_owned();
    let health = format!("{address}/health");
    let (status, answer) = ask(&health, "GET", "", "");
    assert_eq!(status, 403, "{answer}");
    assert!(answer.to_lowercase().contains("\r\nx-amzn-errortype: "), "{answer}");
    let value = |name: &str| {
        let from = printed.split(&format!("export {name}=")).nth(1).unwrap();
        from.lines().next().unwrap().to_owned()
    };
    let program = Program::new();
    let mut command = program.command(&call(&["GET", &health]));
    command.env_remove("AWS_SESSION_TOKEN");
    for name in ["AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"] {
        command.env(name, value(name));
    }
    let signed = Ran::of(command.output().unwrap());
    assert_eq!(signed.code, Some(0), "{signed:?}");
    assert!(signed.out.contains("healthy"), "{signed:?}");
    let wrong = program.run(&call(&["GET", &health]));
    assert_eq!(wrong.code, Some(1), "an unknown token is refused: {wrong:?}");
    assert_eq!(emulator.interrupt(), Some(0));
}

#[test]
fn a_second_interrupt_ends_the_emulator_at_once() {
    let mut emulator = Serving::start(&["emulate", "--listen", "127.0.0.1:0"]);
    let printed = emulator.until("http://");
    let address = url(&printed).strip_prefix("http://").unwrap();
    let mut stream = TcpStream::connect(address).unwrap();
    let head = "POST / HTTP/1.1\r\nhost: x\r\ncontent-length: 2\r\nexpect: 100-continue\r\n\r\n";
    stream.write_all(head.as_bytes()).unwrap();
    let mut asked_for = [0; 12];
    stream.read_exact(&mut asked_for).unwrap(); // it is at work on the request
    assert_eq!(&asked_for, b"HTTP/1.1 100");
    emulator.signal(Signal::SIGTERM); // two of one kind may be heard as one
    assert_eq!(emulator.interrupt(), Some(1));
}

#[test]
fn demo_signs_with_a_wrong_secret_of_its_example_key() {
    let answered = |variables: &[(&str, &str)]| {
        let program = Program::new();
        let mut command = program.command(&["demo", "--listen", "127.0.0.1:0"]);
        for name in ["AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN"] {
            command.env_remove(name);
        }
        command.envs(variables.iter().copied());
        let mut demo = Serving::of(command);
        let banner = demo.until("Ctrl-C ends it.");
        let health = banner.lines().find(|line| line.contains("/health")).unwrap();
        let (status, answer) = ask(url(health), "GET", "", "");
        if status == 403 {
            assert!(answer.contains("InvalidSignature"), "{answer}");
            demo.until("signature_mismatch");
        }
        assert_eq!(demo.interrupt(), Some(0));
        status
    };
    let wrong = ("AWS_SECRET_ACCESS_KEY", "wrong");
    assert_eq!(answered(&[wrong]), 403);
    assert_eq!(answered(&[wrong, ("AWS_ACCESS_KEY_ID", "AKIAIOSFODNN7EXAMPLE")]), 403);
    // A key of somebody's own is no matter of the demo's.
    assert_eq!(answered(&[wrong, ("AWS_ACCESS_KEY_ID", "AKIDOTHER")]), 200);
}

#[test]
fn demo_ends_with_its_terminal() {
    let mut demo = Serving::start(&["demo", "--listen", "127.0.0.1:0"]);
    demo.until("Ctrl-C ends it.");
    demo.signal(Signal::SIGHUP);
    demo.signal(Signal::SIGINT); // ends it where the first one did not
    let ended = demo.child.wait().unwrap();
    assert_eq!(ended.signal(), Some(Signal::SIGHUP as i32), "{ended:?}");
}
