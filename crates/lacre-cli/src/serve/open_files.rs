//! The limit of open files. Each connection of a client needs one, and so does each connection to
//! the origin.

use crate::output::Output;

/// The files besides those of connections: the store, logs, listeners.
#[cfg(unix)]
const OTHER_FILES: u64 = 64;

/// Raises the limit of open files to allow for so many connections. Warns if the system does not
/// permit it.
#[cfg(unix)]
pub(crate) fn raise_limit(connections: u16, output: Output) {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
    let needed = 2 * u64::from(connections) + OTHER_FILES;
    let limit = getrlimit(Resource::Nofile);
    let Some(current) = limit.current.filter(|current| *current < needed) else { return };
    let allowed = limit.maximum.map_or(needed, |maximum| maximum.min(needed));
    let raised = setrlimit(Resource::Nofile, Rlimit { current: Some(allowed), maximum: limit.maximum });
    let allowed = if raised.is_ok() { allowed } else { current };
    if allowed < needed {
        output.warn(format_args!(
            "{connections} connections may need {needed} open files, and the system allows {allowed}: \
             raise its limit (ulimit -n), or lower --max-connections"
        ));
    }
}

#[cfg(not(unix))]
pub(crate) fn raise_limit(_: u16, _: Output) {}
