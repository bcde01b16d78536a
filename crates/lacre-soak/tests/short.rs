//! Every part as a short run.
#![cfg(target_os = "linux")]
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::process::Command;

fn short(part: &str) {
    let output = Command::new(env!("CARGO_BIN_EXE_lacre-soak")).args([part, "--short"]).output().unwrap();
    let (stdout, stderr) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success() && stdout.starts_with(part), "{stdout}{stderr}");
}

#[test]
fn processes_that_share_a_file_lose_no_write() {
    short("processes");
}

#[test]
fn a_killed_process_leaves_a_store_that_opens_and_verifies_without_orphans() {
    short("kills");
}

#[test]
fn a_long_body_streams_in_bounded_memory_and_is_stored_whole_or_not() {
    short("body");
}

#[test]
fn processes_send_identical_requests_once_and_survive_the_death_of_the_sender() {
    short("coalescing");
}

#[test]
fn a_full_or_read_only_disk_costs_no_response() {
    short("disk");
}
