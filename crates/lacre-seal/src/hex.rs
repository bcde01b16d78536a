//! Hexadecimal encoding of identifiers and bare keys.

use std::fmt::{self, Write};

/// Writes two lower-case digits per byte.
pub(crate) fn write(out: &mut impl Write, bytes: &[u8]) -> fmt::Result {
    bytes.iter().try_for_each(|byte| write!(out, "{byte:02x}"))
}

/// Parses exactly `2 * N` digits of either case into `out`. `None` for anything else.
pub(crate) fn read<const N: usize>(text: &str, out: &mut [u8; N]) -> Option<()> {
    let digits = text.as_bytes();
    if digits.len() != 2 * N {
        return None;
    }
    for (byte, pair) in out.iter_mut().zip(digits.chunks_exact(2)) {
        *byte = digit(pair[0])? << 4 | digit(pair[1])?;
    }
    Some(())
}

fn digit(character: u8) -> Option<u8> {
    char::from(character).to_digit(16).and_then(|value| u8::try_from(value).ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_exact_number_of_digits_is_parsed() {
        let mut out = [0; 2];
        assert_eq!(read("0aFf", &mut out), Some(()));
        assert_eq!(out, [0x0A, 0xFF]);
        for text in ["0aF", "0aFf0", "+aFf", "0aFg", ""] {
            assert_eq!(read(text, &mut out), None, "{text:?}");
        }
    }
}
