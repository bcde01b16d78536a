//! Properties 37 and 38: where secrets go in is data (`channels.json`); that they come out nowhere
//! is looked for in the raw bytes of every store under every suite, in clear and in other forms,
//! and in whatever is shown or logged on the way.

#![expect(clippy::unwrap_used, clippy::panic, reason = "a failed test panics")]

mod channel;
mod forms;
mod log;
// The same list of stores.
#[path = "../properties/medium.rs"]
mod medium;
mod world;

use channel::{Channel, Side};
use lacre::{Suite, codec};
use medium::{KINDS, Medium};
use world::World;

/// One world for each kind of store, suite and format, with everything that came in through all
/// channels.
fn worlds(suites: &[Suite]) -> Vec<(String, World)> {
    let mut worlds = Vec::new();
    for &suite in suites {
        for &kind in KINDS {
            let medium = || Medium::new(kind);
            worlds.push((suite, World::new(medium(), suite, codec::Cbor)));
            worlds.push((suite, World::new(medium(), suite, codec::Json)));
        }
    }
    let filled = |(suite, mut world): (Suite, World)| {
        let name = format!("{:?} {suite}", world.medium.kind);
        for channel in Channel::all() {
            let exchanged = world.exchange(&channel, &channel.secret());
            exchanged.unwrap_or_else(|why| panic!("{name}: {}: {why}", channel.id));
        }
        (name, world)
    };
    worlds.into_iter().map(filled).collect()
}

fn encrypted() -> [Suite; 2] {
    [Suite::Aes256Gcm, Suite::XChaCha20Poly1305]
}

fn signed() -> [Suite; 2] {
    [Suite::Blake3, Suite::HmacSha256]
}

fn found(bytes: &[u8], channels: impl Iterator<Item = Channel>) -> Vec<String> {
    channels
        .filter_map(|channel| Some(format!("{} {}", channel.id, forms::find(bytes, &channel.secret())?)))
        .collect()
}

#[test]
fn there_are_at_least_forty_channels_for_the_request_alone() {
    let channels = Channel::all();
    assert!(channels.iter().filter(|channel| channel.side == Side::Request).count() >= 40);
    let mut ids: Vec<_> = channels.iter().map(|channel| &channel.id).collect();
    ids.sort_unstable();
    ids.dedup();
    assert_eq!(ids.len(), channels.len());
}

#[test]
fn p37_an_encrypted_store_shows_no_secret_in_any_form() {
    for (name, world) in worlds(&encrypted()) {
        assert_eq!(found(&world.bytes(), Channel::all().into_iter()), [""; 0], "{name}");
    }
}

/// What `strings` would show to whoever has a copy of the files.
#[test]
fn p37_an_encrypted_store_shows_no_url_host_header_or_body() {
    const WORDS: [&str; 12] = [
        "example",
        "http://",
        "api_key",
        "REDACTED",
        "authorization",
        "cache-control",
        "max-age",
        "content-type",
        "set-cookie",
        "location",
        "echo of",
        "request_headers",
    ];
    for (name, world) in worlds(&encrypted()) {
        let bytes = world.bytes();
        assert!(bytes.len() > 10_000, "{name}: {} bytes", bytes.len());
        let shown: Vec<_> = WORDS.iter().filter(|word| forms::contains(&bytes, word.as_bytes())).collect();
        assert!(shown.is_empty(), "{name}: {shown:?}");
    }
}

#[test]
fn p37_a_signed_store_shows_nothing_secret_but_what_the_origin_wrote_into_a_body() {
    for (name, world) in worlds(&signed()) {
        let bytes = world.bytes();
        let (bodies, others): (Vec<_>, Vec<_>) =
            Channel::all().into_iter().partition(|channel| channel.side == Side::ResponseBody);
        assert_eq!(found(&bytes, others.into_iter()), [""; 0], "{name}");
        // This search finds what there is to find, and entries without secrets are readable.
        assert!(bodies.iter().all(|channel| forms::contains(&bytes, channel.secret().as_bytes())), "{name}");
        assert!(forms::contains(&bytes, b"http://example.com/a"), "{name}");
    }
}

#[test]
fn stored_request_is_redacted_under_the_seal() {
    for (name, world) in worlds(&[Suite::Aes256Gcm]) {
        let kept = world.kept_of_requests();
        assert!(kept.contains("x-api-key") && kept.contains("REDACTED"), "{name}: too little is kept");
        assert_eq!(found(kept.as_bytes(), Channel::all().into_iter()), [""; 0], "{name}");
    }
}

#[test]
fn encrypted_entry_stays_encrypted_when_revalidated() {
    for &kind in KINDS {
        let mut world = World::new(Medium::new(kind), Suite::Blake3, codec::Cbor);
        for channel in Channel::all().into_iter().filter(|channel| channel.side != Side::ResponseBody) {
            world.exchange(&channel, &channel.secret()).unwrap();
            world.refresh(&channel, &channel.secret()).unwrap_or_else(|why| panic!("{}: {why}", channel.id));
            assert_eq!(found(&world.bytes(), std::iter::once(channel)), [""; 0]);
        }
    }
}

#[test]
fn hit_is_the_origins_response_and_for_the_same_principal_only() {
    for suite in [Suite::Aes256Gcm, Suite::Blake3] {
        for &kind in KINDS {
            let mut world = World::new(Medium::new(kind), suite, codec::Cbor);
            for channel in Channel::all() {
                let (alice, bob) = (channel.secret(), channel.another_secret());
                world.exchange(&channel, &alice).unwrap_or_else(|why| panic!("{}: {why}", channel.id));
                if channel.apart && channel.side == Side::Request {
                    assert!(world.is_miss(&channel, &bob), "{}: shared with another", channel.id);
                }
            }
        }
    }
}

#[test]
fn p38_no_debug_event_log_line_or_error_shows_a_secret() {
    for suite in [Suite::Aes256Gcm, Suite::Blake3] {
        for &kind in KINDS {
            let mut world = World::new(Medium::new(kind), suite, codec::Json);
            let said = log::of(|| {
                for channel in Channel::all() {
                    world.exchange(&channel, &channel.secret()).unwrap();
                    world.refresh(&channel, &channel.secret()).unwrap();
                }
                world.damage_everything();
                for channel in Channel::all() {
                    world.is_miss(&channel, &channel.secret());
                }
            });
            let said = [said, world.said()].concat();
            assert!(
                said.contains("Refused") && said.contains("refused") && said.contains("Ticket"),
                "too little was said"
            );
            let shown = found(said.as_bytes(), Channel::all().into_iter());
            assert_eq!(shown, [""; 0], "{kind:?} {suite}");
            assert!(!said.contains("echo of"), "a body was shown");
        }
    }
}
