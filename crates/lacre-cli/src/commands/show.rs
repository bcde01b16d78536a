//! `lacre show`: prints one stored response, formatted on a terminal and as exact bytes to a pipe.

use crate::exit::Failure;
use crate::format;
use crate::global_options::GlobalOptions;
use crate::listing;
use crate::output::{FAINT, Output, TITLE};
use crate::sanitize::replace_controls;
use crate::selector;
use crate::store_options;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use http::{HeaderMap, header};
use lacre::{Cache, Key, ListedRow, ListingDepth, RecordState, RequestBody, Selector, Stored};
use serde_json::{Value, json};
use std::io::{self, IsTerminal, Write};

#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// The entry: the first digits of its key (four or more), its URL, or a host or glob that
    /// matches only it
    #[arg(value_name = "KEY|URL")]
    selector: String,
    /// Print only the status and the headers
    #[arg(long, conflicts_with_all = ["body", "raw"])]
    headers: bool,
    /// Print only the body
    #[arg(long)]
    body: bool,
    /// Print only the body, as exact bytes even on a terminal
    #[arg(long)]
    raw: bool,
}

pub(crate) fn run(args: &Args, global: &GlobalOptions, output: Output) -> Result<(), Failure> {
    let Some(builder) = store_options::open_to_read(global, output)? else {
        Selector::parse(&args.selector)?;
        return Err(selector::no_match(&args.selector));
    };
    let cache = builder.build()?;
    let row = args.row(&cache)?;
    let key = *row.key();
    // The hint to remove an entry is for bad ones only, not for a missing key or a wrong setting.
    let bad = |error| {
        let is_bad = RecordState::of(&error) == RecordState::Bad;
        let failure = Failure::from(error);
        if is_bad { failure.with_hint(format!("remove it: lacre rm {key:.8}")) } else { failure }
    };
    if let Err(error) = row.listed.slot {
        return Err(bad(error));
    }
    let stored =
        lacre::wait(cache.stored(&key)).map_err(bad)?.ok_or_else(|| selector::no_match(&args.selector))?;
    if output.is_json() && !args.raw {
        return output.print_objects("lacre/response/v1", [to_json(&row, stored).map_err(bad)?]);
    }
    if !args.body && !args.raw {
        head(&row, &stored, output)?;
    }
    let mut body = stored.entry.body;
    match (args.headers, args.raw || !io::stdout().is_terminal()) {
        (true, _) => Ok(()),
        (false, true) => {
            let mut out = io::stdout().lock();
            while let Some(piece) = lacre::wait(body.next()) {
                out.write_all(&piece.map_err(bad)?)?;
            }
            Ok(out.flush()?)
        }
        (false, false) => {
            let bytes = lacre::wait(body.bytes()).map_err(bad)?;
            match format::body(&bytes) {
                Some(text) => output.print(text.trim_end()),
                None => output.print(format_args!(
                    "{FAINT}({} bytes of binary data; --raw prints them){FAINT:#}",
                    bytes.len()
                )),
            }
        }
    }
}

impl Args {
    /// The row that matches. If no entry that opens has this URL, the record under the URL's key
    /// matches even if it does not open.
    fn row(&self, cache: &Cache) -> Result<ListedRow, Failure> {
        let mut rows = lacre::wait(cache.entries(ListingDepth::Heads))?;
        let selector = Selector::parse(&self.selector)?;
        if matches!(selector, Selector::Url(_))
            && !rows.iter().any(|row| selector.matches(row))
            && let Some(at) =
                row_of(cache, &self.selector).and_then(|key| rows.iter().position(|row| *row.key() == key))
        {
            return Ok(rows.swap_remove(at));
        }
        selector::find_one(rows, &self.selector)
    }
}

/// The key of the response to a plain GET for a URL.
fn row_of(cache: &Cache, url: &str) -> Option<Key> {
    let mut url = Selector::parse_url(url).ok()?;
    url.set_fragment(None);
    let request = http::Request::get(url.as_str()).header(header::ACCEPT, "*/*").body(()).ok()?;
    cache.row_of(request.into_parts().0, RequestBody::Seen(&[]))
}

fn head(row: &ListedRow, stored: &Stored, output: Output) -> Result<(), Failure> {
    let entry = &stored.entry;
    output.print(format_args!("{TITLE}{} {}{TITLE:#}", entry.method, replace_controls(&entry.url)))?;
    output.print(format_args!(
        "{FAINT}key {:.16} · sealed by {} ({}) · {}{FAINT:#}",
        row.key(),
        stored.seal.key_id.short(),
        stored.seal.suite.name(),
        stored.freshness
    ))?;
    output.print(format_args!("{:?} {}", entry.version, entry.status))?;
    for (name, value) in &entry.headers {
        let value = String::from_utf8_lossy(value.as_bytes());
        output.print(format_args!("{FAINT}{name}:{FAINT:#} {}", replace_controls(&value)))?;
    }
    output.print("")
}

fn to_json(row: &ListedRow, stored: Stored) -> Result<Value, lacre::Error> {
    let mut object = listing::to_json(row);
    object["freshness"] = stored.freshness.to_string().into();
    object["headers"] = headers(&stored.entry.headers);
    let body = lacre::wait(stored.entry.body.bytes())?;
    match std::str::from_utf8(&body) {
        Ok(text) => object["body"] = text.into(),
        Err(_) => object["body_base64"] = STANDARD.encode(&body).into(),
    }
    Ok(object)
}

/// Headers as pairs, since names may repeat. Bytes that are not UTF-8 become replacement
/// characters.
pub(crate) fn headers(headers: &HeaderMap) -> Value {
    headers
        .iter()
        .map(|(name, value)| json!([name.as_str(), String::from_utf8_lossy(value.as_bytes())]))
        .collect()
}
