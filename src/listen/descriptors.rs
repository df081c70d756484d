//! File descriptors: a connection takes two, the client's and one to a target. Without enough of
//! them accepts fail, and with them everything else that opens a file, so the bounds on
//! connections are made to fit.

use nix::sys::resource::{Resource, getrlimit, setrlimit};

/// A client and a target.
const EACH: usize = 2;
/// What is open besides: listeners, the admin listener's connections, those that are turned away,
/// credential sources, look-ups, the log.
const RESERVE: u64 = 512;

/// How many connections fit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Room {
    /// Of clients.
    pub clients: usize,
    /// To targets: no fewer. Those that rest take what others have left.
    pub targets: usize,
}

/// Raises the soft limit to the hard one and gives the connections that fit: of clients as many as
/// are `wanted`, or fewer with a warning.
pub fn room_for(wanted: usize) -> Room {
    let Some(limit) = raised() else { return Room { clients: wanted, targets: usize::MAX } };
    let room = room(wanted, limit);
    let fitting = room.clients;
    if fitting < wanted {
        tracing::warn!(
            key = "limits.connections",
            wanted,
            fitting,
            descriptors = limit,
            "there are too few file descriptors for `limits.connections`: fewer are taken; raise \
             the hard limit (`ulimit -Hn`, `LimitNOFILE=`, `ulimits`) or write fewer"
        );
    }
    room
}

/// The limit that holds. Where the hard one cannot be had, the soft one stays.
fn raised() -> Option<u64> {
    let (soft, hard) = getrlimit(Resource::RLIMIT_NOFILE).ok()?;
    let raised = soft < hard && setrlimit(Resource::RLIMIT_NOFILE, hard, hard).is_ok();
    Some(if raised { hard } else { soft })
}

/// A process with few descriptors keeps a quarter of them for the rest.
fn room(wanted: usize, limit: u64) -> Room {
    let free = usize::try_from(limit - RESERVE.min(limit / 4)).unwrap_or(usize::MAX);
    let clients = wanted.min(free / EACH).max(1);
    Room { clients, targets: free.saturating_sub(clients).max(1) }
}

#[cfg(test)]
mod tests {
    use super::{Room, room};

    #[test]
    fn two_descriptors_a_connection_and_some_in_reserve() {
        for (limit, clients, targets) in [
            (1 << 20, 4096, (1 << 20) - 512 - 4096),
            (u64::MAX, 4096, usize::MAX - 512 - 4096),
            (2 * 4096 + 512, 4096, 4096),
            (2 * 4096 + 511, 4095, 4096),
            (2 * 4096 + 510, 4095, 4095),
            (1024, 384, 384),
            (0, 1, 1),
        ] {
            assert_eq!(room(4096, limit), Room { clients, targets }, "{limit}");
        }
    }
}
