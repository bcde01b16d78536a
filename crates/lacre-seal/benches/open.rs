//! Benchmarks of sealing and opening by suite and body size, including key derivation.
//!
//! `cargo bench -p lacre-seal`
#![expect(clippy::expect_used, reason = "a benchmark cannot run without its setup")]

use std::sync::Arc;

use divan::Bencher;
use divan::counter::BytesCount;
use lacre_seal::{Context, Keyring, Lifetime, Purpose, Sealer, StoreId, Suite, UnixMillis};

const SIZES: [usize; 4] = [1 << 10, 10 << 10, 100 << 10, 1 << 20];
const NOW: UnixMillis = UnixMillis::from_millis(1_700_000_000_000);

fn main() {
    divan::main();
}

fn cases() -> impl Iterator<Item = Case> {
    Suite::ALL.into_iter().flat_map(|suite| SIZES.map(|size| Case { suite, size }))
}

#[derive(Debug, Clone, Copy)]
struct Case {
    suite: Suite,
    size: usize,
}

impl std::fmt::Display for Case {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} {} KiB", self.suite, self.size >> 10)
    }
}

struct Bench {
    sealer: Sealer,
    store: StoreId,
    key: [u8; 32],
    head: [u8; 300],
    body: Vec<u8>,
}

impl Bench {
    fn new(case: Case) -> Self {
        let keyring = Arc::new(Keyring::generate().expect("random bytes"));
        Self {
            key: keyring.row_key(b"GET https://example.org/"),
            sealer: Sealer::new(keyring, case.suite),
            store: StoreId::from_bytes([1; 16]),
            head: [2; 300],
            body: vec![3; case.size],
        }
    }

    fn at(&self) -> Context<'_> {
        Context { purpose: Purpose::Slot, store: &self.store, namespace: "bench", key: &self.key }
    }

    fn seal(&self) -> Vec<u8> {
        self.sealer.seal(&self.at(), Lifetime::unbounded(NOW), &self.head, &self.body).expect("sealed")
    }
}

#[divan::bench(args = cases())]
fn open(bencher: Bencher<'_, '_>, case: Case) {
    let bench = Bench::new(case);
    let sealed = bench.seal();
    bencher
        .counter(BytesCount::new(case.size))
        .bench(|| bench.sealer.open(&bench.at(), &sealed, NOW).expect("opened"));
}

#[divan::bench(args = cases())]
fn seal(bencher: Bencher<'_, '_>, case: Case) {
    let bench = Bench::new(case);
    bencher.counter(BytesCount::new(case.size)).bench(|| bench.seal());
}
