//! File descriptors: a connection takes two, the client's and one to a target. Without enough of
//! them accepts fail, and with them everything else that opens a file, so the bound on
//! connections is made to fit.

use nix::sys::resource::{Resource, getrlimit, setrlimit};

/// A client and a target.
const EACH: u64 = 2;
/// What is open besides: listeners, the admin listener's connections, those that are turned away,
/// credential sources, look-ups, the log.
const RESERVE: u64 = 512;

/// Raises the soft limit to the hard one and gives the connections that fit: `wanted`, or fewer
/// with a warning.
pub fn room_for(wanted: usize) -> usize {
    let Some(limit) = raised() else { return wanted };
    let fitting = fitting(wanted, limit);
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
    fitting
}

/// The limit that holds. Where the hard one cannot be had, the soft one stays.
fn raised() -> Option<u64> {
    let (soft, hard) = getrlimit(Resource::RLIMIT_NOFILE).ok()?;
    let raised = soft < hard && setrlimit(Resource::RLIMIT_NOFILE, hard, hard).is_ok();
    Some(if raised { hard } else { soft })
}

/// A process with few descriptors keeps a quarter of them for the rest.
fn fitting(wanted: usize, limit: u64) -> usize {
    let room = (limit - RESERVE.min(limit / 4)) / EACH;
    wanted.min(usize::try_from(room).unwrap_or(usize::MAX)).max(1)
}

#[cfg(test)]
mod tests {
    use super::fitting;

    #[test]
    fn two_descriptors_a_connection_and_some_in_reserve() {
        assert_eq!(fitting(4096, 1 << 20), 4096);
        assert_eq!(fitting(4096, u64::MAX), 4096);
        assert_eq!(fitting(4096, 2 * 4096 + 512), 4096);
        assert_eq!(fitting(4096, 2 * 4096 + 510), 4095);
        assert_eq!(fitting(4096, 1024), 384);
        assert_eq!(fitting(4096, 0), 1);
    }
}
