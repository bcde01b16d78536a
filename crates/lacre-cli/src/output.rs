//! Output for people and for programs. Data goes to stdout, everything else to stderr.

use crate::exit::{Exit, Failure, chain};
use crate::sanitize::{self, replace_controls};
use anstyle::{AnsiColor, Style};
use clap::ValueEnum;
use lacre::{Event, Observer};
use serde::Serialize;
use serde_json::json;
use std::fmt::Display;
use std::io::{self, Write};

/// Text for people or JSON for programs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Format {
    Human,
    Json,
}

/// When to use colour. `auto` checks NO_COLOR, then CLICOLOR_FORCE, then for a terminal.
#[derive(Clone, Copy, Debug, ValueEnum)]
pub(crate) enum Color {
    Auto,
    Always,
    Never,
}

pub(crate) const GOOD: Style = AnsiColor::Green.on_default();
pub(crate) const BAD: Style = AnsiColor::Red.on_default().bold();
pub(crate) const WARNING: Style = AnsiColor::Yellow.on_default();
pub(crate) const TITLE: Style = Style::new().bold();
pub(crate) const FAINT: Style = Style::new().dimmed();

/// The output of a command.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Output {
    format: Format,
}

impl Output {
    pub(crate) fn new(format: Format, color: Color) -> Self {
        match color {
            Color::Auto => anstream::ColorChoice::Auto,
            Color::Always => anstream::ColorChoice::Always,
            Color::Never => anstream::ColorChoice::Never,
        }
        .write_global();
        Self { format }
    }

    pub(crate) fn is_json(self) -> bool {
        self.format == Format::Json
    }

    /// The width of the output: `COLUMNS`, or else that of the terminal. `None` is unlimited.
    pub(crate) fn width(self) -> Option<usize> {
        let variable = std::env::var("COLUMNS").ok().and_then(|columns| columns.trim().parse().ok());
        let terminal = || {
            let (terminal_size::Width(width), _) = terminal_size::terminal_size_of(io::stdout())?;
            Some(usize::from(width))
        };
        variable.or_else(terminal).filter(|width| *width > 0)
    }

    /// Prints text for people on stdout.
    pub(crate) fn print(self, text: impl Display) -> Result<(), Failure> {
        Ok(writeln!(anstream::stdout(), "{text}")?)
    }

    /// Prints objects of one `schema` for programs on stdout, one per line.
    pub(crate) fn print_objects<T: Serialize>(
        self,
        schema: &'static str,
        objects: impl IntoIterator<Item = T>,
    ) -> Result<(), Failure> {
        let mut out = io::BufWriter::new(io::stdout().lock());
        for object in objects {
            let line = sanitize::json(&Object { schema, content: object }).map_err(io::Error::from)?;
            writeln!(out, "{line}")?;
        }
        Ok(out.flush()?)
    }

    /// Prints a status line on stderr: `text` for people, `object` for programs.
    pub(crate) fn status<T: Serialize>(
        self,
        schema: &'static str,
        text: impl Display,
        object: T,
    ) -> Result<(), Failure> {
        let mut out = anstream::stderr().lock();
        match self.format {
            Format::Human => writeln!(out, "{text}")?,
            Format::Json => {
                let line = sanitize::json(&Object { schema, content: object }).map_err(io::Error::from)?;
                writeln!(out, "{line}")?;
            }
        }
        Ok(())
    }

    /// Prints a count: for people a status line on stderr, for programs data on stdout.
    pub(crate) fn print_count<T: Serialize>(
        self,
        schema: &'static str,
        text: impl Display,
        object: T,
    ) -> Result<(), Failure> {
        if self.is_json() { self.print_objects(schema, [object]) } else { self.status(schema, text, object) }
    }

    /// Prints a warning; the command continues.
    pub(crate) fn warn(self, message: impl Display) {
        self.diagnostic("warning", WARNING, message);
    }

    /// Prints a note on something normal that the user may not expect.
    pub(crate) fn note(self, message: impl Display) {
        self.diagnostic("note", TITLE, message);
    }

    fn diagnostic(self, level: &'static str, style: Style, message: impl Display) {
        let message = message.to_string();
        let text = format!("{style}{level}:{style:#} {}", replace_controls(&message));
        // A closed stderr is no reason to fail.
        let _ = self.status("lacre/note/v1", text, json!({ level: { "message": message } }));
    }

    /// Prints the error of a command, and returns its exit code.
    pub(crate) fn report(self, failure: &Failure) -> Exit {
        let Failure { exit, message: Some(message), hint } = failure else { return failure.exit };
        let mut out = anstream::stderr().lock();
        // If stderr is closed, the exit code still tells.
        let _ = match self.format {
            Format::Human => {
                let hint =
                    hint.iter().map(|hint| format!("{TITLE}hint:{TITLE:#} {}\n", replace_controls(hint)));
                write!(out, "{BAD}error:{BAD:#} {}\n{}", replace_controls(message), hint.collect::<String>())
            }
            Format::Json => {
                let error = json!({
                    "schema": "lacre/error/v1",
                    "error": { "code": exit.name(), "message": message, "hint": hint },
                });
                writeln!(out, "{}", sanitize::json(&error).unwrap_or_default())
            }
        };
        *exit
    }
}

#[derive(Serialize)]
struct Object<T> {
    schema: &'static str,
    #[serde(flatten)]
    content: T,
}

/// Prints the events of the cache as warnings and notes.
impl Observer for Output {
    fn on_event(&self, event: Event<'_>) {
        let message = match event {
            Event::Refused { key, error } => {
                let flag = Failure::flag_for(error).map(|flag| format!("; {flag}")).unwrap_or_default();
                format!("{key:.8} is not used: {error}{flag}")
            }
            Event::MetadataCorrected { key } => {
                format!("the store's metadata for {key:.8} was wrong and has been corrected")
            }
            Event::StoreFailed { error } => format!("continuing without the store: {}", chain(error)),
            Event::StoreSetAside { to, error } => {
                format!("moved the unusable store to {}: {}", to.display(), chain(error))
            }
            Event::ForeignContent { finding } => {
                format!("the store contains an object that lacre did not create: {finding}")
            }
            Event::StoreCopied { copy: at, original: of } => format!(
                "{} has the store id of {}, which still exists: one is a copy of the other, and entries of the copy are not served",
                at.display(),
                of.display()
            ),
            Event::KeyCreated { path: at } => {
                return self.note(format_args!("created your keyring at {}", at.display()));
            }
            _ => return,
        };
        self.warn(message);
    }
}
