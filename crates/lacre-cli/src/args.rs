//! What can be said on the command line.

use crate::commands::{anchor, audit, completions, get, key, ls, migrate, reseal, rm, show, verify};
use crate::exit::Exit;
use crate::output::{Color, Format};
use crate::request;
use crate::serve;
use clap::{Parser, Subcommand, ValueEnum};
use lacre::Suite;

/// An HTTP cache that seals what it stores: a byte changed on disk is refused instead of served.
#[derive(Debug, Parser)]
#[command(name = "lacre", version, after_help = Exit::table(), infer_subcommands = false, arg_required_else_help = true)]
pub(crate) struct Args {
    #[command(flatten)]
    pub(crate) global: Global,
    #[command(subcommand)]
    pub(crate) command: Command,
}

#[derive(Clone, Debug, clap::Args)]
#[command(next_help_heading = "Everywhere")]
pub(crate) struct Global {
    /// Where entries are kept: `sqlite:PATH`, `dir:PATH` (a file for each entry) or `memory:` [env: LACRE_STORE] [default: cache.sqlite in
    /// your cache directory]
    #[arg(long, global = true)]
    pub(crate) store: Option<String>,
    /// Where the key is kept, never the key itself: `file:PATH`, `env:NAME` … (`lacre key list` shows every form) [env: LACRE_KEY]
    /// [default: one of your own, made on first use]
    #[arg(long, global = true)]
    pub(crate) key: Option<String>,
    /// The name of this application, bound into every seal; give each a store of its own
    #[arg(long, global = true, value_name = "NAME", default_value = "", hide_default_value = true)]
    pub(crate) namespace: String,
    /// How entries are sealed [default: encrypted]; what is sealed otherwise is not used, and is told from what was tampered with
    #[arg(long, global = true, env = "LACRE_SUITE", hide_env = true)]
    suite: Option<Sealing>,
    /// Speak JSON: lists as one object a line, errors too
    #[arg(long, global = true)]
    json: bool,
    /// When to use colour
    #[arg(long, global = true, value_name = "WHEN", default_value = "auto", hide_default_value = true)]
    pub(crate) color: Color,
}

impl Global {
    /// How entries are sealed.
    pub(crate) fn suite(&self) -> Suite {
        self.suite.unwrap_or(Sealing::Encrypted).into()
    }

    /// The same, where somebody said.
    pub(crate) fn suite_said(&self) -> Option<Suite> {
        self.suite.map(Suite::from)
    }

    pub(crate) const fn format(&self) -> Format {
        if self.json { Format::Json } else { Format::Human }
    }
}

/// How entries are sealed.
#[derive(Clone, Copy, Debug, ValueEnum)]
pub(crate) enum Sealing {
    /// Nobody without the key can read or change them (AES-256-GCM)
    #[value(alias = "aes-256-gcm")]
    Encrypted,
    /// Everybody can read them, nobody without the key can change them (BLAKE3); those that came of a secret or hold one are encrypted
    #[value(alias = "blake3")]
    Signed,
    /// Encrypted, for processors without AES instructions
    #[value(name = "xchacha20-poly1305")]
    XChaCha20Poly1305,
    /// Signed, for readers that have nothing newer than HMAC
    HmacSha256,
}

impl Sealing {
    pub(crate) const fn of(suite: Suite) -> Self {
        match suite {
            Suite::Aes256Gcm => Self::Encrypted,
            Suite::XChaCha20Poly1305 => Self::XChaCha20Poly1305,
            Suite::Blake3 => Self::Signed,
            Suite::HmacSha256 => Self::HmacSha256,
        }
    }

    /// As `--suite` takes it.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Encrypted => "encrypted",
            Self::Signed => "signed",
            Self::XChaCha20Poly1305 => "xchacha20-poly1305",
            Self::HmacSha256 => "hmac-sha256",
        }
    }
}

impl From<Sealing> for Suite {
    fn from(sealing: Sealing) -> Self {
        match sealing {
            Sealing::Encrypted => Self::Aes256Gcm,
            Sealing::Signed => Self::Blake3,
            Sealing::XChaCha20Poly1305 => Self::XChaCha20Poly1305,
            Sealing::HmacSha256 => Self::HmacSha256,
        }
    }
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Fetch a URL through the cache: body to stdout, one line about the cache to stderr
    Get(get::Args),
    /// List what is stored
    Ls(ls::Args),
    /// Show one stored response
    Show(show::Args),
    /// Remove entries
    Rm(rm::Args),
    /// Check every seal; exit 10 if any is bad
    Verify(verify::Args),
    /// Seal everything anew with the key and suite in use, in place; can be ended and begun again
    Reseal(reseal::Args),
    /// Write down what is stored, for `verify --anchor`
    #[command(subcommand)]
    Anchor(anchor::Command),
    /// Look for what looks like a secret; exit 1 if there is any
    ///
    /// URLs, headers and the first MiB of text bodies are searched for tokens and keys of well-known shapes, for values under the names of
    /// secrets, and for what is random under a name that says that it matters. The secrets are not shown: each has a fingerprint, which is
    /// the same wherever it turns up in this store.
    Audit(audit::Args),
    /// Make, look at, copy, rotate and revoke keys
    #[command(subcommand)]
    Key(key::Command),
    /// Say why a request would hit or miss, without sending it
    Explain(request::Args),
    /// Seal what requests-cache stored: an SQLite file, a directory or a dump of Redis
    Migrate(migrate::Args),
    Serve(Box<serve::Args>),
    /// See sealing at work in two seconds, without a network
    Demo,
    /// Print completions for a shell
    Completions(completions::Args),
}
