//! Measures hits and misses of lacre and its peers. Prints tables, and writes them with the figures
//! and a chart into `docs/`.
//!
//! `cargo run --release --manifest-path benches/peers/Cargo.toml`

mod chart;
mod report;
mod turns;

use bytes::Bytes;
use lacre_peers::{Kind, Result, SIZES, Side, runtime};
use report::{Hits, Run, Setting};
use std::path::Path;
use std::process::Command;
use tokio::runtime::Runtime;
use turns::Turns;

const MISS_SIZE: usize = 10 << 10;

fn main() -> Result<()> {
    let runtime = runtime()?;
    let allocations = allocations()?;
    let setting = Setting::now();
    let mut hits = Vec::new();
    for ((body, size), allocations) in SIZES.into_iter().zip(allocations) {
        eprintln!("hits at {body}");
        hits.push(Hits { body, turns: hits_of(size, &runtime)?, allocations });
    }
    eprintln!("misses");
    let run = Run { setting, hits, misses: misses(&runtime)? };
    let tables = run.tables();
    println!("{tables}");
    let docs = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs");
    report::replace(&docs.join("performance.md"), &tables)?;
    std::fs::write(docs.join("performance.json"), run.json()?)?;
    std::fs::write(docs.join("performance.svg"), chart::draw(&run))?;
    Ok(())
}

/// The allocations per hit for each size and kind, counted in another process.
fn allocations() -> Result<Vec<Vec<u64>>> {
    let mut count = Command::new(env!("CARGO"));
    count.args(["run", "--release", "--bin", "allocations", "--manifest-path"]);
    let output = count.arg(concat!(env!("CARGO_MANIFEST_DIR"), "/Cargo.toml")).output()?;
    if !output.status.success() {
        return Err(String::from_utf8_lossy(&output.stderr).into());
    }
    Ok(serde_json::from_slice(&output.stdout)?)
}

fn hits_of(size: usize, runtime: &Runtime) -> Result<Turns> {
    const URL: &str = "http://example.com/items?page=1";
    let body: Bytes = (0..size).map(|index| (index ^ (index >> 8)) as u8).collect();
    let sides = sides(&body)?;
    let fetch = |side: &Side| runtime.block_on(side.fetch(URL));
    for side in &sides {
        for _ in 0..3 {
            if fetch(side)? != body {
                return Err(format!("{}: the body differs", side.kind.name()).into());
            }
        }
    }
    let turns = Turns::take(&sides, |side| fetch(side).map(drop))?;
    for side in &sides {
        if side.kind != Kind::Ready && side.request_count() != 1 {
            return Err(format!("{}: some requests were not hits", side.kind.name()).into());
        }
    }
    Ok(turns)
}

/// Requests a new URL each time.
fn misses(runtime: &Runtime) -> Result<Turns> {
    let sides = sides(&Bytes::from(vec![7; MISS_SIZE]))?;
    let fetch = |side: &Side, page: u64| {
        runtime.block_on(side.fetch(&format!("http://example.com/items?page={page}")))
    };
    let turns = Turns::take(&sides, |side| fetch(side, side.request_count()).map(drop))?;
    for side in &sides {
        let requests = side.request_count();
        fetch(side, requests - 1)?;
        if side.kind != Kind::Ready && side.request_count() != requests {
            return Err(format!("{}: some responses were not stored", side.kind.name()).into());
        }
    }
    Ok(turns)
}

fn sides(body: &Bytes) -> Result<Vec<Side>> {
    Kind::ALL.into_iter().map(|kind| Side::new(kind, body.clone())).collect()
}
