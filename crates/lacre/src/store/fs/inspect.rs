//! Finds entries that lacre did not create. None of them has an effect.

use super::bodies::body_in;
use super::error::ResultExt;
use super::folder::{Folder, Name};
use super::records::key_in;
use super::{Tree, layout, text};
use crate::Error;
use rustix::fs::FileType;

/// Further findings are counted, not described.
pub(super) const MAX_FINDINGS: usize = 100;

struct Findings {
    lines: Vec<String>,
    more: usize,
}

/// Every foreign entry, one line each.
pub(super) fn everything(tree: &Tree) -> Result<Vec<String>, Error> {
    let mut findings = Findings { lines: Vec::new(), more: 0 };
    findings.among(&tree.top, "", layout::is_known)?;
    findings.among(&tree.leases, "lease/", |name| name.is_file() && text::key(&name.text).is_some())?;
    findings.among(&tree.temp, "temp/", |name| name.is_file() && text::body(&name.text).is_some())?;
    for (folder, path) in [(&tree.slots, "slot/"), (&tree.bodies, "body/")] {
        findings.among(folder, path, |name| is_shard(name).is_some())?;
    }
    for shard in 0..=u8::MAX {
        let name = format!("{shard:02x}");
        if let Ok(Some(folder)) = tree.slots.folder(&name) {
            let ours = |name: &Name| name.is_file() && key_in(shard, name).is_some();
            findings.among(&folder, &format!("slot/{name}/"), ours)?;
        }
        if let Ok(Some(folder)) = tree.bodies.folder(&name) {
            let ours = |name: &Name| name.is_folder() && body_in(shard, &name.text).is_some();
            findings.among(&folder, &format!("body/{name}/"), ours)?;
            findings.in_bodies(&folder, shard)?;
        }
    }
    if findings.more > 0 {
        findings.lines.push(format!("{} more of the kind", findings.more));
    }
    Ok(findings.lines)
}

/// The foreign entries of the top directory.
pub(super) fn in_top(folder: &Folder) -> Result<Vec<String>, Error> {
    let mut findings = Findings { lines: Vec::new(), more: 0 };
    findings.among(folder, "", layout::is_known)?;
    Ok(findings.lines)
}

impl Findings {
    fn among(&mut self, folder: &Folder, path: &str, ours: impl Fn(&Name) -> bool) -> Result<(), Error> {
        for name in folder.names().or_store_error()? {
            let name = name.or_store_error()?;
            if ours(&name) {
                continue;
            }
            if self.lines.len() == MAX_FINDINGS {
                self.more += 1;
            } else {
                self.lines.push(describe(path, &name));
            }
        }
        Ok(())
    }

    fn in_bodies(&mut self, shard: &Folder, number: u8) -> Result<(), Error> {
        for body in shard.names().or_store_error()? {
            let body = body.or_store_error()?.text;
            if body_in(number, &body).is_some()
                && let Ok(Some(folder)) = shard.folder(&body)
            {
                let ours = |name: &Name| {
                    name.is_file() && (name.text == super::bodies::OWNER || text::index(&name.text).is_some())
                };
                self.among(&folder, &format!("body/{number:02x}/{body}/"), ours)?;
            }
        }
        Ok(())
    }
}

/// One line. Names are quoted and escaped, since an attacker may have chosen them.
fn describe(path: &str, name: &Name) -> String {
    let kind = match name.kind {
        FileType::RegularFile => "file",
        FileType::Directory => "directory",
        FileType::Symlink => "link",
        _ => "special file",
    };
    let short: String = name.text.chars().take(80).collect();
    format!("{kind} {:?}, without effect", format!("{path}{short}"))
}

fn is_shard(name: &Name) -> Option<u8> {
    let number = u8::from_str_radix(&name.text, 16).ok()?;
    (name.is_folder() && format!("{number:02x}") == name.text).then_some(number)
}
