//! Every part, in seconds.
#![cfg(target_os = "linux")]
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::process::Command;

fn short(part: &str) {
    let output = Command::new(env!("CARGO_BIN_EXE_lacre-soak")).args([part, "--short"]).output().unwrap();
    let (said, failed) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success() && said.starts_with(part), "{said}{failed}");
}

#[test]
fn processes_that_share_a_file_lose_no_write() {
    short("processes");
}

#[test]
fn a_killed_process_leaves_a_store_that_opens_verifies_and_has_no_orphans() {
    short("kills");
}

#[test]
fn a_long_body_streams_in_bounded_memory_and_is_stored_whole_or_not_at_all() {
    short("body");
}

#[test]
fn processes_that_ask_for_the_same_send_one_request_and_outlive_the_one_that_asks() {
    short("herd");
}

#[test]
fn a_disk_that_is_full_or_may_only_be_read_costs_no_answer() {
    short("disk");
}
