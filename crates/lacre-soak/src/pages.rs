//! Pages whose bodies say what they are, asked for without a network.

use crate::Failure;
use http::{Request, Response};
use lacre::{Answer, Cache, Mode, Outcome, RequestBody, RequestOptions, Settlement, wait};

/// The body of a page in a version: as long as the version says, and nothing else anywhere.
pub(crate) fn body(url: &str, version: u64, longest: usize) -> Vec<u8> {
    let line = format!("{url} {version}\n").into_bytes();
    // Lengths that have nothing to do with each other, in an order that looks like none.
    let mixed = (version + 1).wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 16;
    let length = line.len() + usize::try_from(mixed).unwrap_or(0) % longest;
    line.iter().copied().cycle().take(length).collect()
}

/// Which version of a page this is. `Err`: none of them.
pub(crate) fn version(url: &str, found: &[u8], longest: usize) -> Result<u64, Failure> {
    let line = found.split(|byte| *byte == b'\n').next().unwrap_or_default();
    let version = std::str::from_utf8(line)?.strip_prefix(url).unwrap_or_default().trim_start().parse()?;
    if found == body(url, version, longest) {
        Ok(version)
    } else {
        Err(format!("{url} has a wrong body").into())
    }
}

/// Stores a page.
pub(crate) fn write(cache: &Cache, url: &str, version: u64, longest: usize) -> Result<(), Failure> {
    let anew = RequestOptions::new().mode(Mode::ForceRefresh);
    let request = Request::get(url).extension(anew).body(())?.into_parts().0;
    let Answer::Send(ticket) = wait(cache.ask(request, RequestBody::Seen(&[])))? else {
        return Err(format!("{url} is not sent for").into());
    };
    let response = Response::builder().header("cache-control", "max-age=31536000").body(())?.into_parts().0;
    let settled = wait(cache.settle(ticket, Outcome::Response(&response)))?;
    let Settlement::Network { keep: Some(mut keep), .. } = settled else {
        return Err(format!("{url} is not stored").into());
    };
    wait(async {
        for piece in body(url, version, longest).chunks(64 << 10) {
            keep.write(piece).await;
        }
        keep.finish().await;
    });
    Ok(())
}

/// The version of a page that is stored. `None`: none is.
pub(crate) fn read(cache: &Cache, url: &str, longest: usize) -> Result<Option<u64>, Failure> {
    let request = Request::get(url).body(())?.into_parts().0;
    match wait(cache.ask(request, RequestBody::Seen(&[])))? {
        Answer::Hit(reply) => {
            // What was replaced while it was being read is a miss, and says so.
            let Ok(body) = wait(reply.response.into_body().bytes()) else { return Ok(None) };
            version(url, &body, longest).map(Some)
        }
        _ => Ok(None),
    }
}
