//! `lacre serve` between a client and an origin on loopback that speak in raw bytes.
#![expect(clippy::unwrap_used, reason = "a helper of a test may fail it")]

mod answers;
mod ends;
mod limits;
mod origin;
mod proxy;
mod survives;
