//! Measures several sides in turns, so that noise of the machine affects all of them.

use lacre_peers::{Kind, Result, Side};
use std::time::{Duration, Instant};

/// The number of turns of each side, and the length of a turn, which its last call may exceed.
const ROUNDS: usize = 301;
const TURN: Duration = Duration::from_millis(2);

/// Microseconds per call in each round, for each kind in the order of [`Kind::ALL`].
pub struct Turns(Vec<Vec<f64>>);

/// The median of the measurements, and the range of their middle half.
#[derive(Clone, Copy)]
pub struct Spread {
    pub low: f64,
    pub median: f64,
    pub high: f64,
}

impl Turns {
    pub fn take(sides: &[Side], call: impl Fn(&Side) -> Result<()>) -> Result<Self> {
        let mut rounds = vec![Vec::with_capacity(ROUNDS); sides.len()];
        for _ in 0..ROUNDS {
            for (side, times) in sides.iter().zip(&mut rounds) {
                times.push(turn(|| call(side))?);
            }
        }
        Ok(Self(rounds))
    }

    pub fn time(&self, kind: Kind) -> Spread {
        Spread::of(self.of(kind).to_vec())
    }

    /// The time of `other` divided by that of `kind`, round by round.
    pub fn ratio(&self, other: Kind, kind: Kind) -> Spread {
        self.compare(other, kind, |other, kind| other / kind)
    }

    /// The time that a kind adds to that without a cache, round by round.
    pub fn added(&self, kind: Kind) -> Spread {
        self.compare(kind, Kind::Ready, |kind, ready| kind - ready)
    }

    fn compare(&self, left: Kind, right: Kind, with: impl Fn(f64, f64) -> f64) -> Spread {
        Spread::of(
            self.of(left).iter().zip(self.of(right)).map(|(left, right)| with(*left, *right)).collect(),
        )
    }

    fn of(&self, kind: Kind) -> &[f64] {
        &self.0[kind as usize]
    }
}

/// Microseconds per call, over one turn.
fn turn(call: impl Fn() -> Result<()>) -> Result<f64> {
    let (start, mut calls) = (Instant::now(), 0_u32);
    while start.elapsed() < TURN {
        call()?;
        calls += 1;
    }
    Ok(start.elapsed().as_secs_f64() * 1e6 / f64::from(calls))
}

impl Spread {
    fn of(mut values: Vec<f64>) -> Self {
        values.sort_by(f64::total_cmp);
        let at = |quarter: usize| values[(values.len() - 1) * quarter / 4];
        Self { low: at(1), median: at(2), high: at(3) }
    }
}
