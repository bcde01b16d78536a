//! Reads and writes pickles of plain values, protocols 0 to 5. Nothing here can run code: opcodes
//! that name, build or call objects are refused by name.

mod opcode;
mod read;
mod write;

pub(super) use opcode::Refused as Opcode;
pub(super) use read::{Refused, read};
pub(super) use write::write;

#[cfg(test)]
mod tests;
