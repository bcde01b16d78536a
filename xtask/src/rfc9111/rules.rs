//! The text of docs/rfc9111.md: each rule with the tests that show it, and the rules that lacre
//! does not implement or exceeds.

/// A rule of a specification, and the names of the tests that show it.
pub(super) struct Rule {
    pub(super) section: &'static str,
    pub(super) text: &'static str,
    pub(super) tests: &'static [&'static str],
}

const fn rule(section: &'static str, text: &'static str, tests: &'static [&'static str]) -> Rule {
    Rule { section, text, tests }
}

/// In the order of the specifications.
pub(super) const RULES: &[Rule] = &[
    rule(
        "RFC 9111 §2",
        "The cache key has the method and the target URI, with the authority sent in Host (RFC 9110 \
         §7.1). Equivalent URLs have one key.",
        &[
            "equivalent_urls_share_a_key",
            "p26_different_requests_never_share_a_key",
            "key_has_the_authority_of_host",
            "request_without_exactly_one_valid_host_is_bypassed",
        ],
    ),
    rule(
        "RFC 9111 §3",
        "A response is stored if it has explicit freshness, a heuristically cacheable status or a \
         validator, and nothing forbids it. Without a lifetime from the origin or the user, the status \
         must be heuristically cacheable.",
        &[
            "uncacheable_response_is_not_stored",
            "any_final_status_with_a_lifetime_is_stored",
            "response_without_lifetime_is_stored_only_if_status_or_origin_allows_it",
        ],
    ),
    rule(
        "RFC 9111 §3, §4.2.2",
        "A user lifetime applies to the statuses 200, 203, 204, 206, 300, 301, 308 and those that the \
         user names. It shortens the lifetime of an error, and never extends it.",
        &[
            "user_lifetime_does_not_keep_errors",
            "user_lifetime_applies_to_every_named_status",
            "user_lifetime_only_shortens_that_of_an_error",
        ],
    ),
    rule(
        "RFC 9111 §3.1",
        "All fields are stored except connection-specific ones; repeated fields stay repeated, and Date \
         is unchanged. Connection is ignored if it names an end-to-end field (RFC 9110 §7.6.1): \
         Cache-Control, Vary, Age, Expires, Date, the validators and others.",
        &[
            "all_headers_except_connection_headers_are_stored",
            "connection_does_not_remove_end_to_end_fields",
            "repeated_fields_stay_repeated",
            "date_of_a_hit_is_the_origins",
        ],
    ),
    rule(
        "RFC 9111 §3.2",
        "An update replaces all values of a field and adds new fields. Fields that describe the stored \
         body do not change.",
        &[
            "a_304_adds_a_field_and_replaces_repeated_ones",
            "update_replaces_and_adds_fields_but_keeps_the_length",
        ],
    ),
    rule(
        "RFC 9111 §3.3",
        "A truncated body is not stored. A partial response answers only the ranges within it.",
        &[
            "aborted_or_too_long_body_is_not_stored",
            "truncated_part_is_not_used",
            "part_is_never_served_as_the_whole",
            "unrequested_or_invalid_part_is_not_stored",
            "stored_part_answers_its_range_and_ranges_within",
        ],
    ),
    rule(
        "RFC 9111 §3.4",
        "Partial responses are not combined; combining is optional.",
        &["parts_are_kept_and_never_combined"],
    ),
    rule(
        "RFC 9111 §3.5",
        "A shared cache stores the response to a request with Authorization only if the response allows \
         it. Beyond that, requests with different credentials share no response unless the user allows \
         it.",
        &["shared_cache_stores_only_shareable_responses", "credentials_never_share_an_answer"],
    ),
    rule(
        "RFC 9111 §4.1",
        "All fields that Vary names select a variant; `*` anywhere matches nothing. Fields are compared \
         after normalising white space, lines and the order of equal preferences.",
        &[
            "variants_are_separate_and_stay_reachable",
            "index_includes_all_names_of_a_response",
            "a_star_anywhere_on_any_line_matches_nothing",
            "second_line_of_a_varying_header_is_compared",
            "lines_and_whitespace_do_not_distinguish_values",
            "preferences_compare_by_weight_not_by_order_or_case",
        ],
    ),
    rule(
        "RFC 9111 §4.2.1",
        "The freshness lifetime is s-maxage (shared cache), else max-age, else Expires − Date. Of \
         repeated directives, the strictest counts. An invalid value means stale.",
        &[
            "freshness_follows_the_response",
            "a_shared_cache_prefers_s_maxage",
            "strictest_repeated_directive_counts",
            "invalid_lifetime_is_zero",
            "lifetime_inside_a_quoted_string_is_ignored",
        ],
    ),
    rule(
        "RFC 9111 §4.2.2",
        "Without an explicit lifetime, a response is fresh for a tenth of the time since Last-Modified, \
         at most a day, if its status is heuristically cacheable or it has public.",
        &["heuristic_freshness_applies_only_where_allowed"],
    ),
    rule(
        "RFC 9111 §4.2.3",
        "The age is computed from Age, Date and the response delay, and never decreases.",
        &["freshness_follows_the_response", "huge_age_counts_as_old", "old_date_counts_as_age"],
    ),
    rule(
        "RFC 9111 §4.2.4",
        "Stale responses are served if the request accepts them or the origin cannot be reached, and \
         never if the response forbids it.",
        &[
            "max_stale_does_not_override_must_revalidate",
            "max_stale_overrides_neither_no_cache_nor_s_maxage",
            "stale_response_is_served_while_origin_fails_unless_forbidden",
        ],
    ),
    rule(
        "RFC 9111 §4.3.1",
        "A validation sends the stored ETag and Last-Modified in place of the client's own conditions.",
        &[
            "a_304_renews_the_stored_response_and_its_headers",
            "client_conditions_are_evaluated_after_validation",
        ],
    ),
    rule(
        "RFC 9111 §4.3.2",
        "If-None-Match and If-Modified-Since are evaluated against the stored response; other conditions \
         go to the origin.",
        &[
            "matching_client_condition_gets_a_304_from_the_cache",
            "response_without_last_modified_is_unmodified_since_receipt",
            "conditions_on_a_part_are_evaluated",
            "strong_conditions_are_sent_to_the_origin",
        ],
    ),
    rule(
        "RFC 9111 §4.3.3",
        "A new response replaces the stale one. A 304 that selects another representation is requested \
         again without conditions. 502, 503 and 504 count as no response, unless stale-if-error sets a \
         limit.",
        &[
            "stale_response_is_served_while_origin_fails_unless_forbidden",
            "stored_failure_is_not_served_for_a_new_one",
            "new_response_removes_the_stale_one_even_if_not_stored",
            "mismatched_304_is_resent_without_conditions",
        ],
    ),
    rule(
        "RFC 9111 §4.3.4",
        "A 304 updates the stored response, its freshness and its fields.",
        &["a_304_renews_the_stored_response_and_its_headers", "stale_part_is_validated_before_use"],
    ),
    rule(
        "RFC 9111 §4.3.5",
        "A response to HEAD updates the stored response to GET, as a 304 does, or shows that it is \
         outdated.",
        &[
            "head_is_answered_from_get_and_freshens_it",
            "matching_answer_to_head_loses_no_field",
            "answer_to_head_never_answers_get",
        ],
    ),
    rule(
        "RFC 9111 §4.4",
        "A successful request with an unsafe or unknown method invalidates its target URI, and Location \
         and Content-Location on the same origin.",
        &[
            "successful_unsafe_request_invalidates",
            "invalidated_variant_stays_invalid",
            "invalidated_part_stays_invalid",
        ],
    ),
    rule(
        "RFC 9111 §5.1",
        "Age is the first member of the first line; it has only digits, and overflow saturates. Every hit \
         has an Age.",
        &["age_is_the_first_member_of_the_first_line", "date_of_a_hit_is_the_origins"],
    ),
    rule(
        "RFC 9111 §5.2",
        "Directive names are case-insensitive, and arguments may be quoted. Malformed text forbids \
         storing.",
        &[
            "every_response_directive_is_read_in_any_case",
            "no_store_in_capitals_is_not_stored",
            "a_quoted_string_is_opaque",
            "malformed_text_forbids_storing",
            "large_numbers_saturate",
        ],
    ),
    rule(
        "RFC 9111 §5.2.1",
        "The request directives max-age, max-stale, min-fresh, no-cache, no-store and only-if-cached \
         count; others are ignored. A request with no-store is neither answered from the cache nor \
         stored.",
        &[
            "request_directives_limit_the_age_of_an_answer",
            "only_if_cached_is_answered_from_the_cache_or_with_504",
            "every_request_directive_is_read_and_others_are_ignored",
        ],
    ),
    rule(
        "RFC 9111 §5.2.2.3",
        "must-understand overrides no-store for understood statuses.",
        &["must_understand_overrides_no_store_for_understood_statuses"],
    ),
    rule(
        "RFC 9111 §5.2.2.4",
        "A response with no-cache is validated at every use. If no-cache names fields, only these are \
         withheld until a validation.",
        &[
            "no_cache_response_is_validated_at_every_use",
            "no_cache_applies_to_its_fields_or_to_the_response",
            "no_cache_fields_are_served_only_after_validation",
        ],
    ),
    rule(
        "RFC 9111 §5.2.2.5",
        "no-store forbids storing, even if a 304 states it.",
        &["uncacheable_response_is_not_stored", "update_with_no_store_is_not_written"],
    ),
    rule(
        "RFC 9111 §5.2.2.7",
        "private forbids storing in a shared cache, even with a list of fields.",
        &["uncacheable_response_is_not_stored", "qualified_private_counts_as_unqualified"],
    ),
    rule(
        "RFC 9111 §5.3",
        "Expires with anything but one valid date means stale.",
        &["other_date_forms_are_refused", "heuristic_freshness_applies_only_where_allowed"],
    ),
    rule(
        "RFC 9111 §5.4",
        "Pragma: no-cache counts only without Cache-Control.",
        &["pragma_counts_only_without_cache_control"],
    ),
    rule(
        "RFC 9110 §5.6.7",
        "Dates have three formats, in any letter case.",
        &["three_date_forms_parse_alike", "a_two_digit_year_is_at_most_fifty_years_ahead"],
    ),
    rule(
        "RFC 9110 §9.3.3",
        "POST is never answered from a stored response to GET. A response to POST serves a later GET if \
         it states that it is what GET would return.",
        &["answer_to_post_with_content_location_is_stored_for_get", "post_with_another_body_has_another_key"],
    ),
    rule(
        "RFC 9110 §14",
        "One byte range is served from a stored complete response; a request for several ranges gets the \
         complete response.",
        &["range_is_served_from_a_complete_response", "other_range_forms_are_ignored"],
    ),
    rule(
        "RFC 9110 §6.5",
        "Trailer fields are passed to clients that accept them, are not stored, and are announced nowhere \
         else.",
        &[
            "stored_headers_have_the_true_length_and_no_trailer_field",
            "trailer_fields_are_announced_only_to_clients_that_get_them",
            "announced_trailer_fields_reach_the_origin_and_forbidden_ones_do_not",
            "trailers_cannot_contradict_the_header",
        ],
    ),
    rule(
        "RFC 9110 §7.6",
        "Connection-specific fields are not forwarded. Max-Forwards is decremented, and Via detects a \
         loop.",
        &[
            "hop_by_hop_fields_are_not_forwarded",
            "max_forwards_is_decremented_and_zero_is_answered_by_the_proxy",
            "a_request_loop_is_detected_and_answered_with_508",
        ],
    ),
    rule(
        "RFC 9112 §6",
        "Transfer-Encoding overrides Content-Length. A response with an ambiguous length or coding is not \
         stored. Every request and response means the same to all its recipients.",
        &[
            "only_chunked_transfer_coding_is_supported",
            "a_length_is_one_number_of_digits",
            "response_with_contradictory_framing_is_not_stored",
            "every_form_of_request_means_the_same_to_the_proxy_and_the_origin",
            "every_form_of_response_is_forwarded_and_stored_consistently",
        ],
    ),
    rule(
        "RFC 5861 §3",
        "stale-while-revalidate applies within its window only.",
        &["stale_while_revalidate_applies_only_within_its_window"],
    ),
    rule(
        "RFC 5861 §4",
        "stale-if-error counts in responses and requests: for 500, 502, 503, 504, or no response.",
        &[
            "stale_response_is_served_while_origin_fails_unless_forbidden",
            "stale_response_is_served_after_a_recent_failure_or_for_a_slow_origin",
        ],
    ),
    rule(
        "RFC 9211",
        "Cache-Status reports how the cache handled the request.",
        &["cache_status_text_follows_rfc_9211"],
    ),
    rule(
        "RFC 9213",
        "In a shared cache, CDN-Cache-Control replaces Cache-Control and Expires. A private cache ignores \
         it.",
        &[
            "shared_cache_uses_cdn_cache_control_instead_of_cache_control",
            "private_cache_ignores_cdn_cache_control",
            "invalid_dictionary_is_ignored_as_a_whole",
        ],
    ),
];

/// Why the scores through sockets differ from those in process.
pub(super) const SERVED: &str = "The four tests that cannot run in process pass here. The suite's client does not send them through a \
     forward proxy, so they do not count there. `conditional-etag-strong-respond-obs-text` passes in \
     process only: on a connection, that client sends its ETag in ISO-8859-1, and that origin in UTF-8.";

/// Optional or described features that lacre does not implement, and rules that it exceeds.
pub(super) const NOT_DONE: &[&str] = &[
    "Requests with different credentials share no response, which is stricter than RFC 9111 §3.5. In a \
     private cache, a Cookie is not a credential if the response has a lifetime from the origin or the \
     user; `partition_by_cookies` makes it one, and fails `other-cookie`.",
    "A stored Set-Cookie is not sent to a request with another cookie than the one whose response it came \
     with.",
    "Partial responses are not combined, and an incomplete body is not completed (RFC 9111 §3.3, §3.4: \
     both optional).",
    "Of several partial responses, the latest answers the ranges within it; an earlier one answers only \
     its own Range.",
    "A request for several ranges gets the complete stored response, or is passed on (RFC 9110 §14.2).",
    "A 206 whose Content-Length is shorter than its Content-Range counts as far as its body extends, from \
     its first position: the public suite sends such responses. Without that Content-Length it counts as \
     truncated.",
    "A request with If-Match or If-Unmodified-Since goes to the origin and its response is not stored \
     (RFC 9110 §13.1.1, §13.1.4).",
    "private with a list of fields counts as private without one. no-cache with a list counts as no-cache \
     without one in CDN-Cache-Control, and if the list names a field of the body (`content-…`). Both are \
     stricter than RFC 9111 §5.2.2.4 and §5.2.2.7 require.",
    "A request with no-store goes to the origin even if a stored response is fresh; RFC 9111 §5.2.1.5 \
     requires only that nothing is stored.",
    "A response matches by language if its Content-Language is the language that the request prefers to \
     all others. RFC 9111 §4.1 requires only equal meaning; the public suite asks for this.",
    "immutable (RFC 8246) has no effect: a fresh response is validated only if the request asks for it.",
    "Cache-Groups (RFC 9875) are ignored. Row keys are keyed digests and tags are sealed, so invalidating \
     a group would need to open every row of the store, or one more lookup for each group of each hit.",
    "No-Vary-Search is ignored: its draft requires comparing every stored URL with the same path, and row \
     keys do not show paths.",
    "`lacre serve` passes interim responses (RFC 9110 §15.2) on over HTTP/1.1. Over HTTP/2 it drops them, \
     because hyper's server cannot send them.",
    "Warning (obsolete since RFC 9111 §5.5) is neither generated nor removed.",
];
