//! Pickle as data: what Python's `pickle` writes for plain values, of protocols 0 to 5. Nothing here can run what a pickle says:
//! opcodes that name, build or call objects are refused by their names.

mod opcode;
mod read;
mod write;

pub(super) use opcode::Refused as Opcode;
pub(super) use read::{Refused, read};
pub(super) use write::write;

#[cfg(test)]
mod tests;
