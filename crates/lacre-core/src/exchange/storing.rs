//! The changes to the store: a response is stored (RFC 9111 §3), freshened (§4.3.4) or invalidated
//! (§4.4).

use super::rows::{Row, Rows};
use super::{Exchange, Insert, Settled, Touch, sets_cookies_of_others};
use crate::credentials::is_anonymous;
use crate::header_fields::stored_headers;
use crate::identity::VariantKind;
use crate::policy::Writes;
use crate::sensitivity::{self, Sensitivity};
use crate::target::origin;
use crate::{
    CacheStatus, Detail, Entry, Forward, Key, Pointer, Stored, Timestamp, VariantIndex, entry_state,
    freshness, storability, validate, vary,
};
use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, Uri, header, response};

impl Exchange {
    /// Settles the answer to a request that was not looked up. It may invalidate stored responses,
    /// or answer a later GET.
    pub(super) fn pass_through<B>(
        mut self,
        response: &response::Parts,
        status: CacheStatus,
        now: Timestamp,
    ) -> Settled<B> {
        let method = &self.request.method;
        let invalidates =
            !self.policy().methods.contains(method) && storability::invalidates(method, response.status);
        let outdated = if invalidates { self.invalidated(response) } else { Vec::new() };
        if status.forward == Some(Forward::Method) && self.answers_later_get(response, now) {
            self.rows = self.rows_of_uri(&Method::GET, self.target.uri.clone());
            return self.store_response(response, status, outdated, now);
        }
        Settled::Network {
            insert: None,
            touch: None,
            remove: self.if_writable(outdated),
            status: status.passed_on(response.status),
            not_modified: None,
        }
    }

    /// RFC 9110 §9.3.3: whether an answer to POST may be reused for GET. It needs explicit
    /// freshness, and `Content-Location` must equal the target URI.
    fn answers_later_get(&self, response: &response::Parts, now: Timestamp) -> bool {
        let target = &self.target.uri;
        let same =
            |uri: Uri| origin(&uri) == origin(target) && uri.path_and_query() == target.path_and_query();
        self.request.method == Method::POST
            && response.status == StatusCode::OK
            && referenced_uri(target, &response.headers, &header::CONTENT_LOCATION).is_some_and(same)
            && freshness::is_explicitly_fresh(self.policy(), &response.headers, now)
    }

    /// §3: stores the answer if it may be stored. `outdated` are the keys that it replaces in any
    /// case.
    pub(super) fn store_response<B>(
        &self,
        response: &response::Parts,
        status: CacheStatus,
        outdated: Vec<Key>,
        now: Timestamp,
    ) -> Settled<B> {
        let policy = self.policy();
        let status = CacheStatus { ttl: None, ..status.passed_on(response.status) };
        let storable = match self.storable(response, now) {
            Ok(storable) => storable,
            Err(detail) => {
                let status = status.with(detail);
                return Settled::Network {
                    insert: None,
                    touch: None,
                    remove: self.if_writable(outdated),
                    status,
                    not_modified: None,
                };
            }
        };
        let mut entry = Entry {
            method: self.request.method.clone(),
            url: policy.redact_url(&self.target.uri.to_string()),
            request_headers: policy.kept_request_headers(&self.request.headers),
            status: response.status,
            version: response.version,
            headers: stored_headers(response.status, &response.headers),
            requested: self.sent,
            received: now,
            ttl: storable.ttl,
            tags: self.options.tags.clone(),
            body: (),
        };
        let has_lifetime = freshness::has_lifetime(policy, &entry);
        if self.rows.omits_cookie(has_lifetime) && sets_cookies_of_others(&entry.headers) {
            entry.headers.remove(header::SET_COOKIE);
        }
        let row = self.rows.for_answer(has_lifetime);
        let StorePlan { key, pointers, displaced } = self.store_plan(row, &entry, storable.varies, now);
        let ttl = self.engine.freshness(&entry, now).ttl();
        let retain_until = entry_state::retain_until(policy, &entry);
        let sensitivity = self.sensitivity(&entry.headers);
        let insert = Insert { key, entry, sensitivity, pointers, retain_until, max_body: policy.limits.body };
        Settled::Network {
            insert: Some(Box::new(insert)),
            touch: None,
            remove: outdated.into_iter().chain(displaced).filter(|old| *old != key).collect(),
            status: CacheStatus { stored: Stored::Yes, ttl, ..status },
            not_modified: None,
        }
    }

    fn storable(&self, response: &response::Parts, now: Timestamp) -> Result<storability::Storable, Detail> {
        // An answer to HEAD never replaces the stored answer to GET.
        if self.own_head.is_some() {
            return Err(Detail::Method);
        }
        if response.headers.contains_key(header::SET_COOKIE) && self.shares_cookies() {
            return Err(Detail::SetCookie);
        }
        let request = storability::RequestView {
            request: &self.request,
            directives: &self.directives,
            conditions: &self.conditions,
            lifetime_override: self.lifetime_override(),
            sent: self.sent,
        };
        storability::storable(self.policy(), &request, response, now)
    }

    /// Whether the answer may stay readable. A body may repeat the request in any form, so a secret
    /// in the request counts.
    fn sensitivity(&self, headers: &HeaderMap) -> Sensitivity {
        let policy = self.policy();
        let request = Sensitivity::of_request(policy, &self.request).max(self.body);
        let requester = Sensitivity::sensitive_if(!is_anonymous(policy, &self.request, &self.options));
        request.max(requester).max(Sensitivity::of_response(policy, headers))
    }

    /// Whether a stored `Set-Cookie` would reach other users.
    fn shares_cookies(&self) -> bool {
        let policy = self.policy();
        sensitivity::cookies_would_cross(policy) && is_anonymous(policy, &self.request, &self.options)
    }

    /// Plans where below `row` a response that varies by these headers is stored.
    fn store_plan(&self, row: &Row, entry: &Entry<()>, varies: Vec<HeaderName>, now: Timestamp) -> StorePlan {
        let part = self.conditions.range_field().filter(|_| entry.status == StatusCode::PARTIAL_CONTENT);
        if varies.is_empty() && part.is_none() {
            let displaced = row.index.as_ref().map(|known| known.variants.clone()).unwrap_or_default();
            return StorePlan { key: row.key, pointers: Vec::new(), displaced };
        }
        let (mut index, mut displaced) = self.variant_index_for(row, varies, now);
        let key_of = |kind| self.variant(&row.key, &index.names, kind);
        let (key, alias) = match part {
            Some(range) => {
                (key_of(VariantKind::Part(range.as_bytes())), Some(key_of(VariantKind::LatestPart)))
            }
            None => {
                let language = vary::content_language(&entry.headers)
                    .filter(|_| index.names.contains(&header::ACCEPT_LANGUAGE));
                (
                    key_of(VariantKind::Whole),
                    language.as_deref().map(|language| key_of(VariantKind::Language(language))),
                )
            }
        };
        let newest = [Some(key), alias];
        index.variants.retain(|older| !newest.contains(&Some(*older)));
        let capacity = self.policy().limits.variants.saturating_sub(newest.iter().flatten().count());
        let surplus = index.variants.len().saturating_sub(capacity);
        displaced.extend(index.variants.drain(..surplus));
        index.variants.extend(newest.into_iter().flatten());
        let alias = alias.map(|at| (at, Pointer::Alias(key)));
        let pointers = std::iter::once((row.key, Pointer::Vary(index))).chain(alias).collect();
        StorePlan { key, pointers, displaced }
    }

    /// §4.1: returns the new index of variants, and the variants that it no longer reaches. The
    /// index includes the headers of earlier responses, so that all variants stay reachable.
    fn variant_index_for(
        &self,
        row: &Row,
        names: Vec<HeaderName>,
        now: Timestamp,
    ) -> (VariantIndex, Vec<Key>) {
        let Some(known) = &row.index else {
            let (names, since, variants) = (sorted(names), now, Vec::new());
            return (VariantIndex { names, since, variants }, Vec::new());
        };
        let union = sorted(known.names.iter().cloned().chain(names.iter().cloned()).collect());
        if union == known.names {
            return (known.clone(), Vec::new());
        }
        let (names, since) =
            if union.len() > self.policy().limits.vary_names { (names, now) } else { (union, known.since) };
        (VariantIndex { names, since, variants: Vec::new() }, known.variants.clone())
    }

    /// §4.3.4, §4.3.5: updates a stored response from a 304 or an answer to HEAD. Returns the
    /// `Set-Cookie` values of the stored response that this caller must not get.
    pub(super) fn freshen<B>(
        &self,
        entry: &mut Entry<B>,
        update_headers: &HeaderMap,
        now: Timestamp,
    ) -> Vec<HeaderValue> {
        let mut cookies = Vec::new();
        if self.rows.is_shared_by_cookies() && sets_cookies_of_others(&entry.headers) {
            cookies.extend(entry.headers.get_all(header::SET_COOKIE).iter().cloned());
            entry.headers.remove(header::SET_COOKIE);
        }
        validate::update(&mut entry.headers, update_headers);
        entry.requested = self.sent;
        entry.received = now;
        let (policy, status) = (self.policy(), entry.status);
        if let Ok(ttl) =
            freshness::user_ttl(policy, status, &entry.headers, self.lifetime_override(), self.sent, now)
        {
            entry.ttl = ttl;
        }
        cookies
    }

    /// Returns the entry to write back, if it may be stored under its key. The update may have
    /// brought `no-store`, or removed the lifetime. `cookies` are the values that
    /// [`freshen`](Self::freshen) returned.
    pub(super) fn touch<B>(&self, mut entry: Box<Entry<B>>, cookies: Vec<HeaderValue>) -> Option<Touch<B>> {
        let policy = self.policy();
        if policy.writes == Writes::Never || storability::forbids_storing(policy, &entry) {
            return None;
        }
        let shared = self.rows.is_shared_by_cookies();
        if shared && !freshness::has_lifetime(policy, &entry) {
            return None;
        }
        if self.shares_cookies() || (shared && sets_cookies_of_others(&entry.headers)) {
            entry.headers.remove(header::SET_COOKIE);
        }
        for cookie in cookies {
            entry.headers.append(header::SET_COOKIE, cookie);
        }
        Some(Touch {
            key: self.at,
            retain_until: entry_state::retain_until(policy, &entry),
            sensitivity: self.sensitivity(&entry.headers),
            entry,
        })
    }

    /// Returns the keys to remove, unless the cache is read-only.
    pub(super) fn if_writable(&self, keys: Vec<Key>) -> Vec<Key> {
        if self.policy().writes == Writes::Allowed { keys } else { Vec::new() }
    }

    /// The rows of GET or HEAD for `uri`, for invalidation after an unsafe method.
    fn rows_of_uri(&self, method: &Method, uri: Uri) -> Rows {
        self.engine.rows(method, &self.target.with_uri(uri), &self.request, &[], &self.options)
    }

    /// §4.4: the target URI, and the URIs in `Location` and `Content-Location` on the same origin.
    fn invalidated(&self, answer: &response::Parts) -> Vec<Key> {
        let target = &self.target.uri;
        let locations = [header::LOCATION, header::CONTENT_LOCATION]
            .iter()
            .filter_map(|name| referenced_uri(target, &answer.headers, name))
            .filter(|uri| origin(uri) == origin(target));
        let methods: &[Method] = if self.policy().caches_method(&Method::HEAD) {
            &[Method::GET, Method::HEAD]
        } else {
            &[Method::GET]
        };
        let mut keys = Vec::new();
        for uri in std::iter::once(target.clone()).chain(locations) {
            methods.iter().for_each(|method| keys.extend(self.rows_of_uri(method, uri.clone()).keys()));
        }
        keys
    }
}

/// The place of a response in the store.
struct StorePlan {
    key: Key,
    /// The pointers that lead to the key. None if the response is complete and does not vary.
    pointers: Vec<(Key, Pointer)>,
    /// The keys to remove, because they are over a limit or no longer reachable.
    displaced: Vec<Key>,
}

fn sorted(mut names: Vec<HeaderName>) -> Vec<HeaderName> {
    names.sort_unstable_by(|a, b| a.as_str().cmp(b.as_str()));
    names.dedup();
    names
}

/// The URI reference in a header (RFC 3986 §5), resolved against `base`.
fn referenced_uri(base: &Uri, headers: &HeaderMap, name: &HeaderName) -> Option<Uri> {
    let reference = headers.get(name)?.to_str().ok()?;
    url::Url::parse(&base.to_string()).ok()?.join(reference).ok()?.as_str().parse().ok()
}
