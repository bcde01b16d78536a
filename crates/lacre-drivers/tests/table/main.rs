//! Plays every scenario with every client: requests, responses and what the origin sees are the
//! same for all.
#![expect(clippy::unwrap_used, reason = "a test ends at what it did not expect")]

mod bodies;
mod caching;
mod clients;
mod coalescing;
mod partitions;
mod redirects;
mod support;

use bodies::*;
use caching::*;
use coalescing::*;
use partitions::*;
use redirects::*;

/// Makes each scenario a test of each client.
macro_rules! table {
    (@client $client:ident ($($scenario:ident)*)) => {
        mod $client {
            $(#[test]
            fn $scenario() {
                crate::$scenario(crate::clients::$client);
            })*
        }
    };
    ($($client:ident)*: $scenarios:tt) => {
        $(table! { @client $client $scenarios })*
    };
}

table! { reqwest reqwest_session tower ureq ureq_session: (
    a_miss_is_stored_and_the_hit_is_identical
    a_stale_response_is_validated_and_served_again
    a_stale_response_is_served_while_it_is_refreshed_once
    a_stale_response_is_served_when_the_origin_is_unreachable
    each_hop_of_a_redirect_is_cached_by_itself
    a_redirect_loop_ends_with_an_error
    credentials_are_not_sent_to_another_origin
    a_post_body_arrives_whole_and_the_post_invalidates
    posts_are_cached_by_their_body
    head_is_answered_from_a_stored_get
    a_range_is_answered_from_a_complete_response
    a_partial_response_is_not_served_as_complete
    variants_are_stored_separately
    responses_are_not_shared_between_credentials
    responses_are_not_shared_between_api_keys_and_identities
    responses_are_not_shared_between_host_headers
    an_error_response_is_stored_for_its_lifetime
    a_lifetime_set_by_the_user_stores_no_errors
    only_if_cached_sends_nothing
    a_body_dropped_half_read_is_not_stored
    a_truncated_body_is_not_stored
    a_long_body_is_stored_and_served_whole
    a_body_over_the_limit_passes_and_is_not_stored
    an_empty_body_is_stored
    the_content_length_of_a_chunked_response_is_not_stored
    a_body_in_another_transfer_coding_is_not_stored
    concurrent_identical_requests_are_sent_once
    waiting_requests_continue_when_the_first_is_dropped
    an_unread_response_is_shared_with_any_framing
    a_response_that_is_not_stored_delays_no_other_request
    a_shared_body_over_the_limit_reaches_every_reader
    readers_of_a_truncated_response_continue_on_their_own
    a_response_too_large_to_store_is_not_reported_as_stored
    a_response_rejected_by_the_store_is_not_reported_as_stored
    a_head_response_is_stored_without_a_get
    a_condition_on_a_stale_response_is_evaluated_by_the_origin
) }

/// The clients that decode content codings.
mod decoding {
    table! { reqwest reqwest_session ureq ureq_session: (
        a_compressed_response_is_stored_encoded_and_read_decoded
        head_partial_responses_and_unknown_codings_are_not_decoded
    ) }
}

/// The clients that follow redirects by lacre's own rules. tower-http has rules of its own.
mod following {
    table! { reqwest reqwest_session ureq ureq_session: (
        custom_headers_are_not_sent_to_another_origin
        redirects_within_a_virtual_host_keep_its_host_header
    ) }
}

/// The clients that keep cookies.
mod sessions {
    table! { reqwest_session ureq_session: (
        cookies_are_kept_and_partition_responses
        a_rotating_cookie_does_not_prevent_hits
    ) }
}
