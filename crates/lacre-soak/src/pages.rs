//! Pages whose bodies name their URL and version, written and read without a network.

use crate::Failure;
use http::{Request, Response};
use lacre::{Answer, Cache, Mode, Outcome, RequestBody, RequestOptions, Settlement, wait};

/// The body of one version of a page: one line, repeated to a length that depends on the version.
pub(crate) fn body(url: &str, version: u64, max_length: usize) -> Vec<u8> {
    let line = format!("{url} {version}\n").into_bytes();
    // A multiplicative hash, so that lengths of successive versions are unrelated.
    let mixed = (version + 1).wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 16;
    let length = line.len() + usize::try_from(mixed).unwrap_or(0) % max_length;
    line.iter().copied().cycle().take(length).collect()
}

/// The version of a page that has this body. Fails if no version does.
pub(crate) fn version(url: &str, found: &[u8], max_length: usize) -> Result<u64, Failure> {
    let line = found.split(|byte| *byte == b'\n').next().unwrap_or_default();
    let version = std::str::from_utf8(line)?.strip_prefix(url).unwrap_or_default().trim_start().parse()?;
    if found == body(url, version, max_length) {
        Ok(version)
    } else {
        Err(format!("{url} has a wrong body").into())
    }
}

/// Stores a page.
pub(crate) fn write(cache: &Cache, url: &str, version: u64, max_length: usize) -> Result<(), Failure> {
    let refresh = RequestOptions::new().mode(Mode::ForceRefresh);
    let request = Request::get(url).extension(refresh).body(())?.into_parts().0;
    let Answer::Send(ticket) = wait(cache.ask(request, RequestBody::Seen(&[])))? else {
        return Err(format!("{url} is not sent for").into());
    };
    let response = Response::builder().header("cache-control", "max-age=31536000").body(())?.into_parts().0;
    let settled = wait(cache.settle(ticket, Outcome::Response(&response)))?;
    let Settlement::Network { keep: Some(mut keep), .. } = settled else {
        return Err(format!("{url} is not stored").into());
    };
    wait(async {
        for piece in body(url, version, max_length).chunks(64 << 10) {
            keep.write(piece).await;
        }
        keep.finish().await;
    });
    Ok(())
}

/// The stored version of a page; `None` if the page is not stored.
pub(crate) fn read(cache: &Cache, url: &str, max_length: usize) -> Result<Option<u64>, Failure> {
    let request = Request::get(url).body(())?.into_parts().0;
    match wait(cache.ask(request, RequestBody::Seen(&[])))? {
        Answer::Hit(reply) => {
            // A body that is replaced while it is read is a miss.
            let Ok(body) = wait(reply.response.into_body().bytes()) else { return Ok(None) };
            version(url, &body, max_length).map(Some)
        }
        _ => Ok(None),
    }
}
