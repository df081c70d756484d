//! What a connection has been through: when it was opened, and whether anything was written to it
//! since its last answer. The client does not tell: a send that failed on a kept connection
//! looks like one that failed on a new one, and one that was read like one that never left.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

/// The history of one connection. The client copies it into each answer and each error.
#[derive(Debug)]
pub(super) struct History {
    connection: Arc<Connection>,
    /// Bytes written up to this copy. The client copies it into an answer before it gives the
    /// connection to the next request, so that nothing of that is counted.
    written_then: u64,
}

#[derive(Debug)]
struct Connection {
    opened: Instant,
    /// Bytes handed to the kernel, TLS and all.
    written: AtomicU64,
    /// How many of them belong to requests that were answered, and to the handshake.
    settled: AtomicU64,
}

impl History {
    /// Of a connection that is open from now on.
    pub(super) fn begin() -> Self {
        let opened = Instant::now();
        let (written, settled) = (AtomicU64::new(0), AtomicU64::new(0));
        Self { connection: Arc::new(Connection { opened, written, settled }), written_then: 0 }
    }

    /// One task at a time writes to a connection.
    pub(super) fn wrote(&self, bytes: usize) {
        let before = self.connection.written.load(Ordering::Relaxed);
        self.connection.written.store(before + bytes as u64, Ordering::Relaxed);
    }

    /// What was written up to this copy has been answered.
    pub(super) fn settle(&self) {
        self.connection.settled.fetch_max(self.written_then, Ordering::Relaxed);
    }

    /// Whether nothing has been written since the last answer.
    pub(super) fn is_settled(&self) -> bool {
        let written = self.connection.written.load(Ordering::Relaxed);
        written == self.connection.settled.load(Ordering::Relaxed)
    }

    /// Whether it was open before `moment`.
    pub(super) fn is_older_than(&self, moment: Instant) -> bool {
        self.connection.opened < moment
    }
}

impl Clone for History {
    fn clone(&self) -> Self {
        let connection = Arc::clone(&self.connection);
        let written_then = connection.written.load(Ordering::Relaxed);
        Self { connection, written_then }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_settles_what_was_written_before_it_and_no_more() {
        let history = History::begin();
        assert!(history.is_settled());
        history.wrote(100);
        assert!(!history.is_settled());
        let answer = history.clone();
        history.wrote(5); // the next request, on another thread
        answer.settle();
        assert!(!history.is_settled());
        history.clone().settle();
        assert!(history.is_settled());
        answer.settle(); // late
        assert!(history.is_settled());
    }
}
