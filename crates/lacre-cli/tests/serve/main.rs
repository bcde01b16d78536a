//! `lacre serve` between a client and an origin on loopback that speak in raw bytes.
#![expect(clippy::unwrap_used, reason = "a helper of a test may fail it")]

mod answers;
mod connections;
mod ends;
mod failing;
mod forwarded;
mod framing_of_requests;
mod framing_of_responses;
mod limits;
mod log;
mod loops;
mod origin;
mod proxy;
mod reach;
mod retries;
mod strict;
mod survives;
