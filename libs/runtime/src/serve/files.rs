//! The limit of open files, of which every connection takes one.

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// What a process has open besides connections of callers and databases: libraries, logs, sockets to other services.
const OTHERS: u64 = 256;
/// What one SQLite connection has open: database, log and shared memory.
const PER_DATABASE: u64 = 3;

/// What the limit is raised to where less would do: it costs nothing, and more is needed in a moment of many closing.
const USUAL: u64 = 65_536;

/// How many connections of `wanted` there can be, beside so many connections to databases. Raises the limit of the
/// process as far as it may.
pub(super) fn connections(wanted: usize, databases: usize) -> usize {
    let kept = OTHERS + PER_DATABASE * u64::try_from(databases).unwrap_or(u64::MAX / PER_DATABASE / 2);
    let need = kept.saturating_add(u64::try_from(wanted).unwrap_or(u64::MAX));
    let limit = getrlimit(Resource::Nofile);
    let (soft, hard) = (limit.current.unwrap_or(u64::MAX), limit.maximum.unwrap_or(u64::MAX));
    let raised = need.max(USUAL).min(hard);
    let have = if soft >= raised {
        soft
    } else {
        match setrlimit(Resource::Nofile, Rlimit { current: Some(raised), maximum: limit.maximum }) {
            Ok(()) => raised,
            Err(error) => {
                tracing::debug!(%error, "the limit of open files could not be raised");
                soft
            }
        }
    };
    let can = fit(wanted, have, kept);
    if can < wanted {
        tracing::warn!(
            limit = have,
            needed = need,
            "the limit of open files lets {can} connections in, not the {wanted} of server.max_connections: raise it \
             (ulimit -n, LimitNOFILE)"
        );
    }
    can
}

/// How many of `wanted` fit in what the limit leaves; a few, however low it is.
fn fit(wanted: usize, limit: u64, kept: u64) -> usize {
    let room = limit.saturating_sub(kept).max(limit / 4).max(16);
    wanted.min(usize::try_from(room).unwrap_or(usize::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn connections_leave_room_for_databases() {
        assert_eq!(fit(4_000, 1_048_576, 400), 4_000);
        assert_eq!(fit(4_000, 1_024, 400), 624);
        assert_eq!(fit(4_000, 400, 400), 100);
        assert_eq!(fit(4_000, 20, 400), 16);
        assert_eq!(fit(10, 1_024, 400), 10);
        assert!(connections(1, 0) == 1);
    }
}
