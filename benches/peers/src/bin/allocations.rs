//! Counts allocations per hit, in a process of its own because counting takes time. Prints JSON: a
//! list for each size, in the order of [`Kind::ALL`].

use bytes::Bytes;
use lacre_peers::{Kind, Result, SIZES, Side, runtime};
use stats_alloc::{INSTRUMENTED_SYSTEM, Region, StatsAlloc};
use std::alloc::System;

#[global_allocator]
static ALLOCATOR: &StatsAlloc<System> = &INSTRUMENTED_SYSTEM;

const URL: &str = "http://example.com/items?page=1";
const HITS: usize = 64;

fn main() -> Result<()> {
    let runtime = runtime()?;
    let mut sizes = Vec::new();
    for (_, size) in SIZES {
        let mut counts = Vec::new();
        for kind in Kind::ALL {
            let side = Side::new(kind, Bytes::from(vec![7; size]))?;
            for _ in 0..8 {
                runtime.block_on(side.fetch(URL))?;
            }
            let region = Region::new(ALLOCATOR);
            for _ in 0..HITS {
                runtime.block_on(side.fetch(URL))?;
            }
            let change = region.change();
            counts.push((change.allocations + change.reallocations) / HITS);
        }
        sizes.push(counts);
    }
    println!("{}", serde_json::to_string(&sizes)?);
    Ok(())
}
