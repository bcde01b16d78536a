//! Draws the dependencies between the folders of `lacre` in CONTRIBUTING.md, and checks the
//! drawing.

use crate::circles::{HEAD, ORDER, ORDERED, part, reachable};
use crate::modules::Crate;
use crate::{Failure, layers};
use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::fs;
use std::path::Path;

/// Draws the dependencies between the folders of `lacre` into CONTRIBUTING.md, and prints them.
///
/// # Errors
/// The file cannot be read or written, or has no place for the drawing.
pub(crate) fn write(root: &Path) -> Result<(), Failure> {
    let drawing = drawing(root)?;
    let text = fs::read_to_string(root.join(DRAWN_IN))?;
    let (before, _, after) = around_drawing(&text)?;
    fs::write(root.join(DRAWN_IN), format!("{before}{drawing}{after}"))?;
    print!("{drawing}");
    Ok(())
}

/// Fails if the drawing in CONTRIBUTING.md is not the one that [`write`] would write.
pub(crate) fn check(root: &Path) -> Result<(), Failure> {
    let text = fs::read_to_string(root.join(DRAWN_IN))?;
    if around_drawing(&text)?.1 == drawing(root)? {
        return Ok(());
    }
    Err(format!("the drawing in {DRAWN_IN} is out of date; run `cargo xtask layers --draw`").into())
}

fn drawing(root: &Path) -> Result<String, Failure> {
    Ok(mermaid(&Crate::read(ORDERED, &layers::shipped(root)?)))
}

/// The document that shows the drawing, and the lines around it there.
const DRAWN_IN: &str = "CONTRIBUTING.md";
const DRAWING: (&str, &str) = ("<!-- cargo xtask layers --draw -->\n", "<!-- end of the drawing -->");

/// The text before the drawing, the drawing, and the text after it.
fn around_drawing(text: &str) -> Result<(&str, &str, &str), Failure> {
    let wrong = || format!("{DRAWN_IN} lacks the two comments {DRAWING:?} around the drawing");
    let start = text.find(DRAWING.0).ok_or_else(wrong)? + DRAWING.0.len();
    let end = start + text[start..].find(DRAWING.1).ok_or_else(wrong)?;
    Ok((&text[..start], &text[start..end], &text[end..]))
}

/// The drawing's name for the last row of [`ORDER`].
const BASE: &str = "base";

/// The dependencies between the folders of `lacre` as a Mermaid graph. An arrow that follows from
/// two others is left out.
fn mermaid(house: &Crate) -> String {
    let base = ORDER.last().copied().unwrap_or_default();
    let named = |part: String| if base.contains(&part.as_str()) { BASE.to_owned() } else { part };
    let edges: BTreeSet<(String, String)> = house
        .arrows()
        .iter()
        .map(|arrow| (named(part(&arrow.from, 0)), named(part(&arrow.to, 0))))
        .filter(|(from, to)| from != to && from != HEAD && to != HEAD)
        .collect();
    let mut text = String::from("```mermaid\ngraph TD\n");
    for (from, to) in &edges {
        let mut others = edges.clone();
        others.remove(&(from.clone(), to.clone()));
        if !reachable(&others, from).contains(to) {
            let _ = writeln!(text, "    {from} --> {to}");
        }
    }
    text.push_str("```\n");
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn house(files: &[(&str, &str)]) -> Crate {
        let sources: Vec<_> =
            files.iter().map(|(name, text)| (format!("src/{name}"), (*text).to_owned())).collect();
        Crate::read("src/", &sources)
    }

    #[test]
    fn the_drawing_leaves_out_what_follows() {
        let files = [
            ("drive/mod.rs", "use crate::cache::C; use crate::store::S; use crate::clock::K;"),
            ("cache/mod.rs", "use crate::store::S; pub struct C;"),
            ("store/mod.rs", "use crate::clock::K; pub struct S;"),
            ("clock.rs", "pub struct K;"),
        ];
        assert_eq!(
            mermaid(&house(&files)),
            "```mermaid\ngraph TD\n    cache --> store\n    drive --> cache\n    store --> base\n```\n"
        );
    }

    #[test]
    fn the_drawing_is_found_between_its_comments() {
        let text = "a\n<!-- cargo xtask layers --draw -->\nb\n<!-- end of the drawing -->\nc";
        let (before, drawing, after) = around_drawing(text).unwrap();
        assert_eq!(drawing, "b\n");
        assert_eq!(format!("{before}{drawing}{after}"), text);
        assert!(around_drawing("none").is_err());
    }
}
