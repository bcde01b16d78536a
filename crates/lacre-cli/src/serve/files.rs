//! The limit of open files: each connection needs one, and so does each to the origin.

use crate::output::Output;

/// Files besides those of connections: the store, logs, listeners.
#[cfg(unix)]
const OTHERS: u64 = 64;

/// Raises the limit of open files for so many connections, as far as the system allows.
#[cfg(unix)]
pub(crate) fn raise_limit(connections: u16, output: Output) {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
    let wanted = 2 * u64::from(connections) + OTHERS;
    let limit = getrlimit(Resource::Nofile);
    let Some(current) = limit.current.filter(|current| *current < wanted) else { return };
    let allowed = limit.maximum.map_or(wanted, |maximum| maximum.min(wanted));
    let raised = setrlimit(Resource::Nofile, Rlimit { current: Some(allowed), maximum: limit.maximum });
    let allowed = if raised.is_ok() { allowed } else { current };
    if allowed < wanted {
        output.warn(format_args!(
            "{connections} connections may need {wanted} open files, and the system allows {allowed}: raise its limit (ulimit -n), or lower \
             --max-connections"
        ));
    }
}

#[cfg(not(unix))]
pub(crate) fn raise_limit(_: u16, _: Output) {}
