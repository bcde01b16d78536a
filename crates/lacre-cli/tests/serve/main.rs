//! Tests of `lacre serve`, between a client and an origin on loopback that exchange raw bytes.
#![expect(clippy::unwrap_used, reason = "a helper may fail its test")]

mod access_log;
mod allowed_targets;
mod connections;
mod forwarded;
mod limits;
mod loop_detection;
mod origin;
mod proxy;
mod request_framing;
mod response_framing;
mod responses;
mod retries;
mod shutdown;
mod stale_responses;
mod strict_http;
mod unreliable_origin;
