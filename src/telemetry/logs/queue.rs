//! Lines on their way to where they are read, written by a thread of their own: where nobody reads,
//! a write waits for as long, and no request shall. What does not fit meanwhile is lost and counted.

use std::io::{self, ErrorKind, Write};
use std::mem;
use std::sync::{Arc, Condvar, Mutex, MutexGuard};
use std::time::Duration;

/// Bytes of lines that wait.
const MOST: usize = 1 << 20;
/// What a buffer keeps once it is empty.
const KEPT: usize = 128 << 10;
/// How long lines gather: one write for many costs less, and so does waking its thread.
const GATHER: Duration = Duration::from_millis(10);
/// How long an output is left alone that takes nothing for now.
const AGAIN: Duration = Duration::from_millis(10);

/// Lines that wait to be written.
#[derive(Clone, Debug)]
pub(super) struct Queue(Arc<Shared>);

#[derive(Debug, Default)]
struct Shared {
    lines: Mutex<Lines>,
    /// There are lines, and the writer rests.
    filled: Condvar,
    /// They have been written.
    drained: Condvar,
}

#[derive(Debug, Default)]
struct Lines {
    waiting: Vec<u8>,
    writer: Writer,
    /// Those that there was no room for, and how many of them the log has told.
    lost: u64,
    told: u64,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Writer {
    #[default]
    Rests,
    Woken,
    Writes,
}

impl Queue {
    /// A queue to `out`.
    ///
    /// # Errors
    ///
    /// Where the process has no thread for it.
    pub(super) fn to(out: impl Write + Send + 'static) -> io::Result<Self> {
        let queue = Self(Arc::default());
        let writer = queue.clone();
        std::thread::Builder::new().name("log".to_owned()).spawn(move || writer.write_to(out))?;
        Ok(queue)
    }

    /// Takes a line, if there is room.
    pub(super) fn push(&self, line: &[u8]) {
        let mut lines = self.lines();
        if lines.waiting.len() + line.len() > MOST {
            lines.lost += 1;
            return;
        }
        lines.waiting.extend_from_slice(line);
        if lines.writer == Writer::Rests {
            lines.writer = Writer::Woken;
            self.0.filled.notify_one();
        }
    }

    /// Waits until all lines so far are written, no longer than `limit`.
    pub(super) fn flush(&self, limit: Duration) {
        let is_busy = |lines: &mut Lines| lines.writer != Writer::Rests;
        drop(self.0.drained.wait_timeout_while(self.lines(), limit, is_busy));
    }

    /// How many lines were lost.
    pub(super) fn lost(&self) -> u64 {
        self.lines().lost
    }

    fn lines(&self) -> MutexGuard<'_, Lines> {
        self.0.lines.lock().expect("nothing panics while it is held")
    }

    fn write_to(&self, mut out: impl Write) {
        let mut taken = Vec::new();
        loop {
            self.wait();
            std::thread::sleep(GATHER);
            self.take(&mut taken);
            let left = write_all(&mut out, &taken);
            let lost = match left {
                [] => self.untold(),
                // An output that takes none shall not be told so, each time in another line.
                left => {
                    let lines = left.iter().filter(|byte| **byte == b'\n').count();
                    self.lines().lost += lines as u64;
                    0
                }
            };
            taken.clear();
            taken.shrink_to(KEPT);
            if lost > 0 {
                tracing::warn!(lost, "log lines were lost: they were not read for a while");
            }
        }
    }

    /// Waits for lines.
    fn wait(&self) {
        let mut lines = self.lines();
        while lines.waiting.is_empty() {
            lines.writer = Writer::Rests;
            self.0.drained.notify_all();
            lines = self.0.filled.wait(lines).expect("nothing panics while it is held");
        }
        lines.writer = Writer::Woken;
    }

    /// Takes the lines that wait.
    fn take(&self, taken: &mut Vec<u8>) {
        let mut lines = self.lines();
        mem::swap(&mut lines.waiting, taken);
        lines.writer = Writer::Writes;
    }

    /// How many lines were lost that the log has not told; from now on it has.
    fn untold(&self) -> u64 {
        let mut lines = self.lines();
        let lost = lines.lost;
        lost - mem::replace(&mut lines.told, lost)
    }
}

/// Writes what it can; what is left where that fails. An output that takes nothing for now is waited
/// for: whoever shares a pipe or a terminal may have told it not to wait by itself.
fn write_all<'b>(out: &mut impl Write, mut bytes: &'b [u8]) -> &'b [u8] {
    while !bytes.is_empty() {
        match out.write(bytes) {
            Ok(0) => return bytes,
            Ok(written) => bytes = &bytes[written..],
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) if error.kind() == ErrorKind::WouldBlock => std::thread::sleep(AGAIN),
            Err(_) => return bytes,
        }
    }
    // Standard output keeps the end of a line that was not taken whole, until it is flushed.
    while let Err(error) = out.flush() {
        match error.kind() {
            ErrorKind::Interrupted => {}
            ErrorKind::WouldBlock => std::thread::sleep(AGAIN),
            _ => break, // its next write tells
        }
    }
    bytes
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc::{Receiver, Sender, channel};

    use super::*;

    const LIMIT: Duration = Duration::from_secs(10);

    /// Takes a write for each leave that it is given.
    struct Gated {
        leave: Receiver<()>,
        written: Sender<Vec<u8>>,
    }

    impl Write for Gated {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            let _ = self.leave.recv(); // from the end of a test on there is leave
            let _ = self.written.send(bytes.to_vec());
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    fn gated() -> (Queue, Sender<()>, Receiver<Vec<u8>>) {
        let ((leave_it, leave), (written, read)) = (channel(), channel());
        (Queue::to(Gated { leave, written }).unwrap(), leave_it, read)
    }

    #[test]
    fn lines_are_written_in_order_and_flush_waits_for_them() {
        let (queue, leave, read) = gated();
        for number in 0..100 {
            queue.push(format!("{number}\n").as_bytes());
        }
        for _ in 0..100 {
            leave.send(()).unwrap();
        }
        queue.flush(LIMIT);
        let written: Vec<u8> = read.try_iter().flatten().collect();
        let lines: Vec<_> = (0..100).map(|number| format!("{number}\n")).collect();
        assert_eq!(String::from_utf8(written).unwrap(), lines.concat());
        assert_eq!(queue.lost(), 0);
    }

    #[test]
    fn a_reader_that_stands_still_holds_up_nobody_and_what_is_lost_is_counted() {
        let (queue, leave, read) = gated();
        let line = [b'x'; 1024];
        queue.push(&line); // taken, and not written
        while !queue.lines().waiting.is_empty() {
            std::thread::yield_now();
        }
        for _ in 0..MOST / line.len() + 10 {
            queue.push(&line);
        }
        assert_eq!(queue.lost(), 10);
        let began = std::time::Instant::now();
        queue.flush(Duration::from_millis(100));
        assert!(began.elapsed() < LIMIT / 2, "who ends does not wait for it");
        leave.send(()).unwrap();
        leave.send(()).unwrap();
        assert_eq!(read.recv_timeout(LIMIT).unwrap().len(), line.len());
        assert_eq!(read.recv_timeout(LIMIT).unwrap().len(), MOST);
        queue.push(&line);
        assert_eq!(queue.lost(), 10, "there is room again");
    }

    /// Takes a little, then nothing for now, and so on; in the end it is gone.
    struct Reluctant {
        takes: usize,
        taken: Vec<u8>,
        turn: usize,
    }

    impl Write for Reluctant {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.turn += 1;
            match self.turn % 2 {
                _ if self.taken.len() >= self.takes => Err(ErrorKind::BrokenPipe.into()),
                0 => Err(ErrorKind::WouldBlock.into()),
                _ => {
                    let some = &bytes[..bytes.len().min(3)];
                    self.taken.extend_from_slice(some);
                    Ok(some.len())
                }
            }
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    /// Takes nothing any more.
    struct Broken;

    impl Write for Broken {
        fn write(&mut self, _: &[u8]) -> io::Result<usize> {
            Err(ErrorKind::BrokenPipe.into())
        }

        fn flush(&mut self) -> io::Result<()> {
            Err(ErrorKind::BrokenPipe.into())
        }
    }

    #[test]
    fn a_broken_output_is_left_alone_until_there_is_another_line() {
        let queue = Queue::to(Broken).unwrap();
        for line in 1..3 {
            queue.push(b"a line\n");
            queue.flush(LIMIT);
            assert_eq!(queue.lines().writer, Writer::Rests);
            assert_eq!((queue.lost(), queue.lines().told), (line, 0));
        }
    }

    #[test]
    fn an_output_that_does_not_wait_gets_all_and_what_a_broken_one_did_not_is_told() {
        let out = |takes| Reluctant { takes, taken: Vec::new(), turn: 0 };
        let mut patient = out(usize::MAX);
        assert_eq!(write_all(&mut patient, b"one\ntwo\n"), b"");
        assert_eq!(patient.taken, b"one\ntwo\n");
        assert_eq!(write_all(&mut out(4), b"one\ntwo\nthree\n"), b"o\nthree\n");
    }
}
