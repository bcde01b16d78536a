//! The cost of trying a password on a KeePass database. The header states it and is not
//! authenticated before the cost is paid, so the header is parsed here first, and excessive costs
//! are refused.

/// The limit of AES rounds, some ten seconds of work.
const MOST_ROUNDS: u64 = 500_000_000;
/// The limit of the memory of Argon2, in bytes.
const MOST_MEMORY: u64 = 1 << 30;
/// The limit of bytes that all passes of Argon2 write, some ten seconds of work.
const MOST_WORK: u64 = 16 << 30;
/// The limit of the threads of Argon2.
const MOST_LANES: u32 = 64;

/// The two magic numbers of KDBX.
const MAGIC: [u8; 8] = [0x03, 0xd9, 0xa2, 0x9a, 0x67, 0xfb, 0x4b, 0xb5];

/// The cost that a header states.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Cost {
    Fair,
    TooExpensive,
}

/// The cost in the header of `database`; `None`: it is not KDBX 3 or 4, or damaged.
pub(super) fn of(database: &[u8]) -> Option<Cost> {
    let (magic, rest) = database.split_first_chunk()?;
    let ([_minor_low, _minor_high, major @ ..], mut rest) = rest.split_first_chunk::<4>()?;
    if *magic != MAGIC {
        return None;
    }
    let mut asked = PromptPurpose::default();
    loop {
        let (kind, field);
        (kind, field, rest) = match u16::from_le_bytes(*major) {
            3 => {
                let ([kind, length @ ..], after) = rest.split_first_chunk::<3>()?;
                let (field, after) = after.split_at_checked(u16::from_le_bytes(*length).into())?;
                (*kind, field, after)
            }
            4 => {
                let ([kind, length @ ..], after) = rest.split_first_chunk::<5>()?;
                let (field, after) = after.split_at_checked(length_of(*length)?)?;
                (*kind, field, after)
            }
            _ => return None,
        };
        match (kind, *major) {
            (0, _) => return asked.price(),
            (3 | 10, _) => drop(field.first_chunk::<4>()?),
            (6, _) => asked.rounds = asked.rounds.max(u64::from_le_bytes(*field.first_chunk()?)),
            (11, [4, 0]) => asked.read_parameters(field)?,
            _ => {}
        }
    }
}

/// The highest value that any field of a header states.
#[derive(Default)]
struct PromptPurpose {
    rounds: u64,
    memory: u64,
    passes: u64,
    lanes: u32,
}

impl PromptPurpose {
    fn price(&self) -> Option<Cost> {
        let fair = self.rounds <= MOST_ROUNDS
            && self.memory <= MOST_MEMORY
            && self.memory.saturating_mul(self.passes) <= MOST_WORK
            && self.passes <= u64::from(u32::MAX)
            && self.lanes <= MOST_LANES;
        Some(if fair { Cost::Fair } else { Cost::TooExpensive })
    }

    /// Reads a dictionary of parameters: a version, then for each entry its type, name and value,
    /// the last two with their lengths before them.
    fn read_parameters(&mut self, field: &[u8]) -> Option<()> {
        let (_version, mut rest) = field.split_first_chunk::<2>()?;
        loop {
            let (kind, after) = rest.split_first()?;
            if *kind == 0 {
                return Some(());
            }
            let (name, after) = text(after)?;
            let (value, after) = text(after)?;
            let number = match kind {
                0x04 | 0x0c => u64::from(u32::from_le_bytes(*value.first_chunk()?)),
                0x05 | 0x0d => u64::from_le_bytes(*value.first_chunk()?),
                _ => 0,
            };
            match name {
                b"R" => self.rounds = self.rounds.max(number),
                b"M" => self.memory = self.memory.max(number),
                b"I" => self.passes = self.passes.max(number),
                b"P" => self.lanes = self.lanes.max(u32::try_from(number).unwrap_or(u32::MAX)),
                _ => {}
            }
            rest = after;
        }
    }
}

/// Splits bytes after their length prefix from the rest.
fn text(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let (length, rest) = bytes.split_first_chunk()?;
    rest.split_at_checked(length_of(*length)?)
}

fn length_of(bytes: [u8; 4]) -> Option<usize> {
    usize::try_from(u32::from_le_bytes(bytes)).ok()
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    /// A database of version 4 with these parameters: type, name, value.
    pub(in crate::keys) fn version_4(parameters: &[(u8, &[u8], &[u8])]) -> Vec<u8> {
        let tagged = |bytes: &[u8]| [&u32::try_from(bytes.len()).unwrap().to_le_bytes(), bytes].concat();
        let mut dictionary = vec![0, 1];
        for (kind, name, value) in parameters {
            dictionary.push(*kind);
            dictionary.extend(tagged(name));
            dictionary.extend(tagged(value));
        }
        dictionary.push(0);
        let mut header = [&MAGIC[..], &[1, 0, 4, 0]].concat();
        for (kind, value) in [(3_u8, &[1, 0, 0, 0][..]), (4, &[0; 32]), (11, &dictionary), (0, b"\r\n\r\n")] {
            header.push(kind);
            header.extend(tagged(value));
        }
        header
    }

    fn version_3(rounds: &[u8]) -> Vec<u8> {
        let mut header = [&MAGIC[..], &[1, 0, 3, 0, 6]].concat();
        header.extend(u16::try_from(rounds.len()).unwrap().to_le_bytes());
        [&header[..], rounds, &[0, 4, 0], b"\r\n\r\n"].concat()
    }

    fn argon2(memory: u64, passes: u64, lanes: u32) -> Vec<u8> {
        version_4(&[
            (5, b"M", &memory.to_le_bytes()),
            (5, b"I", &passes.to_le_bytes()),
            (4, b"P", &lanes.to_le_bytes()),
        ])
    }

    #[test]
    fn usual_costs_are_accepted_and_higher_ones_refused() {
        let aes = |rounds: u64| version_4(&[(5, b"R", &rounds.to_le_bytes())]);
        for (database, price) in [
            (aes(60_000_000), Cost::Fair),
            (aes(1 << 40), Cost::TooExpensive),
            (version_3(&6_000_u64.to_le_bytes()), Cost::Fair),
            (version_3(&u64::MAX.to_le_bytes()), Cost::TooExpensive),
            (argon2(64 << 20, 10, 2), Cost::Fair),
            (argon2(1 << 30, 16, 8), Cost::Fair),
            (argon2(8 << 30, 1, 2), Cost::TooExpensive),
            (argon2(1 << 20, 1 << 31, 1), Cost::TooExpensive),
            (argon2(u64::MAX, u64::MAX, 1), Cost::TooExpensive),
            (argon2(64 << 20, 1, 1 << 20), Cost::TooExpensive),
        ] {
            assert_eq!(of(&database), Some(price));
        }
        let twice = version_4(&[(5, b"R", &u64::MAX.to_le_bytes()), (5, b"R", &1_u64.to_le_bytes())]);
        assert_eq!(of(&twice), Some(Cost::TooExpensive), "whichever of the two is read");
    }

    #[test]
    fn damaged_or_foreign_header_has_no_cost() {
        let whole = argon2(64 << 20, 10, 2);
        for cut in 0..whole.len() - 4 {
            assert_eq!(of(&whole[..cut]), None, "{cut}");
        }
        assert_eq!(of(&version_3(&[1; 4])), None, "a number that is too short");
        assert_eq!(of(&version_4(&[(5, b"R", &[1])])), None);
        for (at, byte) in [(0, 0), (4, 0x65), (10, 2), (10, 5), (11, 1)] {
            let mut other = whole.clone();
            other[at] = byte;
            assert_eq!(of(&other), None, "{at}");
        }
    }
}
