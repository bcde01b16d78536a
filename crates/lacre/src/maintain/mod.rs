//! Looking after a store: listing, selecting, verifying, resealing, sweeping, auditing, anchoring,
//! and quarantine. All are methods of [`Cache`](crate::Cache), and need no driver.

mod anchor;
mod audit;
mod listing;
mod quarantine;
mod reseal;
mod selection;
mod sweep;
#[cfg(test)]
mod vectors;

pub use anchor::{AnchorWritten, Anchored, Change, Finding};
pub use audit::Audited;
pub use listing::{Listed, Stored};
pub use quarantine::Quarantined;
pub use reseal::{Resealed, ResealedRow};
pub use selection::{Selected, Selection};
