//! Looking after a store: listing, selecting, verifying, resealing, sweeping, auditing, anchoring,
//! and quarantine. All are methods of [`Cache`](crate::Cache), and need no driver.

mod anchor;
mod audit;
mod listing;
mod quarantine;
mod record_state;
mod reports;
mod reseal;
mod rows;
mod selection;
mod selector;
mod sweep;
#[cfg(test)]
mod vectors;

pub use anchor::{AnchorWritten, Anchored, Change, Finding};
pub use audit::Audited;
pub use listing::{Listed, Stored};
pub use quarantine::Quarantined;
pub use record_state::{RecordState, StateCounts};
pub use reports::{AuditCounts, VerifyReport};
pub use reseal::{Resealed, ResealedRow};
pub use rows::{ListedRow, ListingDepth, OwnershipCheck};
pub use selection::{Selected, Selection};
pub use selector::Selector;
