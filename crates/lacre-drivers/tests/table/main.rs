//! Every scenario with every client: what is asked, what comes back and what the origin hears of it is the same.
#![expect(clippy::unwrap_used, reason = "a test ends at what it did not expect")]

mod clients;
mod scenarios;
mod sharing;

use scenarios::*;
use sharing::*;

/// The table: each scenario is a test of each client.
macro_rules! table {
    ($client:ident: $($scenario:ident)*) => {
        mod $client {
            $(#[test]
            fn $scenario() {
                crate::$scenario(crate::clients::$client);
            })*
        }
    };
    ($($client:ident)*) => {
        $(table! { $client:
            a_miss_is_stored_and_a_hit_is_the_same_byte_for_byte
            a_stale_response_is_validated_and_served_again
            a_stale_response_is_served_while_it_is_refreshed_once
            an_origin_that_is_gone_leaves_stale_answers_to_serve
            redirects_are_followed_and_answered_hop_by_hop
            a_loop_of_redirects_ends
            a_redirect_elsewhere_takes_no_credential_along
            a_post_arrives_whole_and_invalidates
            a_post_that_is_looked_up_is_told_from_others_by_its_body
            head_is_answered_from_get
            a_range_is_answered_from_the_whole
            a_part_from_the_origin_is_not_taken_for_the_whole
            variants_are_kept_apart
            credentials_are_kept_apart
            api_keys_and_identities_are_kept_apart
            hosts_that_are_sent_are_kept_apart
            an_error_of_the_origin_is_stored_as_long_as_it_says
            a_lifetime_of_the_users_own_keeps_no_error
            only_if_cached_never_asks_the_network
            what_is_dropped_half_read_is_not_stored
            what_breaks_off_is_not_stored
            a_huge_body_is_stored_and_served_whole
            what_is_too_long_passes_and_is_not_stored
            an_empty_body_is_stored
            a_length_beside_chunks_is_not_stored_with_them
            a_body_in_a_transfer_coding_is_not_stored
            requests_at_the_same_time_are_sent_once
            those_who_wait_go_on_when_the_first_goes_away
            an_answer_that_somebody_holds_unread_is_shared_whatever_its_framing
            an_answer_that_is_not_stored_holds_nobody_up
            a_body_that_turns_out_too_long_reaches_all_who_share_it
            those_who_share_an_answer_that_breaks_off_go_on_by_themselves
            what_cannot_be_stored_is_not_said_to_be
            what_the_store_did_not_take_is_not_said_to_be_stored
            head_alone_is_stored
            a_condition_on_a_stale_response_is_judged_by_what_the_origin_has
        })*
    };
}

table! { reqwest reqwest_session tower ureq ureq_session }

/// What those do that decode.
macro_rules! decoders {
    ($($client:ident)*) => {
        mod decoding {
            $(mod $client {
                #[test]
                fn a_compressed_response_is_stored_as_it_came_and_read_decoded() {
                    crate::scenarios::a_compressed_response_is_stored_as_it_came_and_read_decoded(crate::clients::$client);
                }

                #[test]
                fn what_is_not_a_whole_compressed_body_is_not_decoded() {
                    crate::scenarios::what_is_not_a_whole_compressed_body_is_not_decoded(crate::clients::$client);
                }
            })*
        }
    };
}

decoders! { reqwest reqwest_session ureq ureq_session }

/// What only those do who follow redirects above the cache, by the rules that they share; tower-http has its own.
macro_rules! followers {
    ($($client:ident)*) => {
        mod following {
            $(mod $client {
                #[test]
                fn a_redirect_elsewhere_takes_nothing_of_the_callers_own_along() {
                    crate::scenarios::a_redirect_elsewhere_takes_nothing_of_the_callers_own_along(crate::clients::$client);
                }

                #[test]
                fn redirects_of_a_virtual_host_stay_there() {
                    crate::scenarios::redirects_of_a_virtual_host_stay_there(crate::clients::$client);
                }
            })*
        }
    };
}

followers! { reqwest reqwest_session ureq ureq_session }

/// What only a session does.
macro_rules! sessions {
    ($($name:ident: $scenario:ident $client:ident,)*) => {
        $(#[test]
        fn $name() {
            crate::scenarios::$scenario(crate::clients::$client);
        })*
    };
}

sessions! {
    cookies_are_kept_and_told_apart_by_reqwest: cookies_are_kept_and_told_apart reqwest_session,
    cookies_are_kept_and_told_apart_by_ureq: cookies_are_kept_and_told_apart ureq_session,
    a_cookie_that_the_origin_rotates_costs_reqwest_no_hit: a_cookie_that_the_origin_rotates_costs_no_hit reqwest_session,
    a_cookie_that_the_origin_rotates_costs_ureq_no_hit: a_cookie_that_the_origin_rotates_costs_no_hit ureq_session,
}
