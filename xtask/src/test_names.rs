//! Finds the names of all Rust tests, for the documents that name tests.

use crate::Failure;
use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

/// The names of all tests in the crates, with the files that contain them.
///
/// # Errors
/// A file cannot be read.
pub(crate) fn find(root: &Path) -> Result<BTreeMap<String, Vec<String>>, Failure> {
    let mut tests: BTreeMap<String, Vec<String>> = BTreeMap::new();
    let mut folders = vec![root.join("crates")];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder)? {
            let path = entry?.path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                let file = relative(root, &path);
                for name in tests_in(&fs::read_to_string(&path)?) {
                    tests.entry(name.to_owned()).or_default().push(file.clone());
                }
            }
        }
    }
    Ok(tests)
}

fn relative(root: &Path, path: &Path) -> String {
    let parts = path.strip_prefix(root).unwrap_or(path).iter().map(|part| part.to_string_lossy());
    parts.collect::<Vec<_>>().join("/")
}

/// The functions under `#[test]` and `#[tokio::test]`.
fn tests_in(source: &str) -> impl Iterator<Item = &str> {
    let mut lines = source.lines().map(str::trim);
    std::iter::from_fn(move || {
        lines.by_ref().find(|line| line.starts_with("#[test]") || line.starts_with("#[tokio::test"))?;
        let function = lines.by_ref().find_map(|line| line.split_once("fn "))?.1;
        function.split_once('(').map(|(name, _)| name)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tests_are_found_by_their_attribute() {
        let source = "fn a() {}\n#[test]\nfn b() {}\n  #[tokio::test(x)]\n  #[ignore]\n  async fn c() {}\n";
        assert_eq!(tests_in(source).collect::<Vec<_>>(), ["b", "c"]);
    }
}
