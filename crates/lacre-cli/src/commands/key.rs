//! `lacre key`: makes, shows and rotates keys. It never shows a key itself.

use crate::args::Global;
use crate::exit::Failure;
use crate::open;
use crate::output::{GOOD, Output};
use clap::Subcommand;
use lacre::keys::{self, KeyFile, KeySource};
use lacre::{Keyring, config};
use serde_json::{Value, json};
use std::fmt::Display;

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Make a keyring with a fresh key; what is there already is never overwritten
    New {
        /// Where [default: --key, else your own]
        #[arg(value_name = "file:PATH")]
        at: Option<String>,
    },
    /// List the keys of the keyring in use
    List,
    /// Show where the keyring is, and what is in it
    Show,
    /// Make a fresh key the one that seals; the others go on opening what they sealed
    Rotate,
}

pub(crate) fn run(command: &Command, global: &Global, output: Output) -> Result<(), Failure> {
    match command {
        Command::New { at } => new(at.as_ref().or(global.key.as_ref()), output),
        Command::List => list(&*open::key(global, output)?, output),
        Command::Show => show(&*open::key(global, output)?, output),
        Command::Rotate => rotate(&*open::key(global, output)?, output),
    }
}

fn new(at: Option<&String>, output: Output) -> Result<(), Failure> {
    let file = match at {
        None => KeyFile::at(config::keyring_path()?),
        Some(reference) => writable(&*keys::parse(reference)?)?,
    };
    let ring = Keyring::generate().map_err(lacre::Error::from)?;
    file.create(&ring)?;
    say(
        output,
        format_args!("{GOOD}made{GOOD:#} {}, which seals with {}", file.describe(), ring.primary()),
        &file,
        &ring,
    )
}

fn list(source: &dyn KeySource, output: Output) -> Result<(), Failure> {
    let ring = source.load()?;
    let roles = std::iter::once("primary").chain(std::iter::repeat("verify"));
    let keys = ring.key_ids().zip(roles);
    if output.is_json() {
        return output
            .objects("lacre/key/v1", keys.map(|(id, role)| json!({ "id": id.to_string(), "role": role })));
    }
    for (id, role) in keys {
        output.print(format_args!("{id}  {role}"))?;
    }
    Ok(())
}

fn show(source: &dyn KeySource, output: Output) -> Result<(), Failure> {
    let ring = source.load()?;
    let text = format!(
        "source   {}\nprimary  {}\nverify   {} more keys that only open\nepoch    {}",
        source.describe(),
        ring.primary(),
        ring.key_ids().count() - 1,
        ring.epoch()
    );
    say(output, text, source, &ring)
}

fn rotate(source: &dyn KeySource, output: Output) -> Result<(), Failure> {
    let (ring, (old, new)) = writable(source)?.update(|ring| Ok((ring.primary(), ring.rotate()?)))?;
    say(
        output,
        format_args!("{GOOD}rotated{GOOD:#}: {new} seals from now on, {old} only opens"),
        source,
        &ring,
    )
}

fn writable(source: &dyn KeySource) -> Result<KeyFile, Failure> {
    source.file().map(KeyFile::at).ok_or_else(|| {
        Failure::usage(format!("{} is not ours to write", source.describe()))
            .with_hint("name a keyring in a file: file:PATH")
    })
}

/// `text` for people, the keyring without its keys for programs.
fn say(output: Output, text: impl Display, source: &dyn KeySource, ring: &Keyring) -> Result<(), Failure> {
    if !output.is_json() {
        return output.print(text);
    }
    let verify: Vec<Value> = ring.key_ids().skip(1).map(|id| id.to_string().into()).collect();
    let ring = json!({
        "source": source.describe(),
        "primary": ring.primary().to_string(),
        "verify": verify,
        "epoch": ring.epoch(),
    });
    output.objects("lacre/keyring/v1", [ring])
}
