//! What becomes of the store: what is kept (RFC 9111 §3), freshened (§4.3.4) and invalidated (§4.4).

use super::rows::{Row, Rows};
use super::{Exchange, Insert, Settled, Touch, sets_cookies_of_others};
use crate::key::{self, Facet};
use crate::policy::Writes;
use crate::sensitivity::{self, Sensitivity};
use crate::{
    CacheStatus, Detail, Entry, Forward, Key, Pointer, Stored, Timestamp, VariantIndex, range, rules,
    validate, vary,
};
use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, Uri, header, response};

impl Exchange {
    /// The answer to a request that nothing stored could answer: it may outdate what is stored, or be what a later GET is to get.
    pub(super) fn pass_through<B>(
        mut self,
        response: &response::Parts,
        status: CacheStatus,
        now: Timestamp,
    ) -> Settled<B> {
        let method = &self.request.method;
        let invalidates =
            !self.policy().methods.contains(method) && rules::invalidates(method, response.status);
        let outdated = if invalidates { self.invalidated(response) } else { Vec::new() };
        if status.forward == Some(Forward::Method) && self.answers_later_get(response, now) {
            self.rows = self.rows_of(&Method::GET, self.target.uri.clone());
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

    /// RFC 9110 §9.3.3: whether this is an answer to POST that is also what GET would get.
    fn answers_later_get(&self, response: &response::Parts, now: Timestamp) -> bool {
        let target = &self.target.uri;
        let same = |uri: Uri| {
            key::origin(&uri) == key::origin(target) && uri.path_and_query() == target.path_and_query()
        };
        self.request.method == Method::POST
            && response.status == StatusCode::OK
            && named(target, &response.headers, &header::CONTENT_LOCATION).is_some_and(same)
            && rules::is_explicitly_fresh(self.policy(), &response.headers, now)
    }

    /// §3: stores the answer, if it may be. `outdated` is what it replaces in any case.
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
            headers: rules::stored_headers(response.status, &response.headers),
            requested: self.sent,
            received: now,
            ttl: storable.ttl,
            tags: self.options.tags.clone(),
            body: (),
        };
        let has_lifetime = rules::has_lifetime(policy, &entry);
        if self.rows.leave_cookie_out(has_lifetime) && sets_cookies_of_others(&entry.headers) {
            entry.headers.remove(header::SET_COOKIE);
        }
        let row = self.rows.of_answer(has_lifetime);
        let Way { key, pointers, displaced } = self.way_to(row, &entry, storable.varies, now);
        let ttl = self.engine.freshness(&entry, now).ttl();
        let retain_until = rules::retain_until(policy, &entry);
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

    fn storable(&self, response: &response::Parts, now: Timestamp) -> Result<rules::Storable, Detail> {
        // Nothing takes the place of an answer to GET but another one.
        if self.own_head.is_some() {
            return Err(Detail::Method);
        }
        if response.headers.contains_key(header::SET_COOKIE) && self.shares_cookies() {
            return Err(Detail::SetCookie);
        }
        rules::storable(self.policy(), &self.request, &self.said, response, self.wish(), self.sent, now)
    }

    /// Whether the answer may be left readable. A body may repeat the request in any form, so a secret in the request decides.
    fn sensitivity(&self, headers: &HeaderMap) -> Sensitivity {
        let policy = self.policy();
        let asked = Sensitivity::of_request(policy, &self.request).max(self.body);
        let on_behalf = Sensitivity::sensitive_if(!key::is_anonymous(policy, &self.request, &self.options));
        asked.max(on_behalf).max(Sensitivity::of_response(policy, headers))
    }

    /// Whether a cookie that is stored with the answer would reach other users.
    fn shares_cookies(&self) -> bool {
        let policy = self.policy();
        sensitivity::cookies_would_cross(policy) && key::is_anonymous(policy, &self.request, &self.options)
    }

    /// Where below `row` a response that varies by these headers is stored.
    fn way_to(&self, row: &Row, entry: &Entry<()>, varies: Vec<HeaderName>, now: Timestamp) -> Way {
        let part = range::asked(&self.request).filter(|_| entry.status == StatusCode::PARTIAL_CONTENT);
        if varies.is_empty() && part.is_none() {
            let displaced = row.signpost.as_ref().map(|known| known.variants.clone()).unwrap_or_default();
            return Way { key: row.key, pointers: Vec::new(), displaced };
        }
        let (mut signpost, mut displaced) = self.signpost_for(row, varies, now);
        let place = |facet| self.variant(&row.key, &signpost.names, facet);
        let (key, alias) = match part {
            Some(range) => (place(Facet::Part(range.as_bytes())), Some(place(Facet::LatestPart))),
            None => {
                let language = vary::content_language(&entry.headers)
                    .filter(|_| signpost.names.contains(&header::ACCEPT_LANGUAGE));
                (place(Facet::Whole), language.as_deref().map(|language| place(Facet::Language(language))))
            }
        };
        let newest = [Some(key), alias];
        signpost.variants.retain(|older| !newest.contains(&Some(*older)));
        let room = self.policy().limits.variants.saturating_sub(newest.iter().flatten().count());
        let surplus = signpost.variants.len().saturating_sub(room);
        displaced.extend(signpost.variants.drain(..surplus));
        signpost.variants.extend(newest.into_iter().flatten());
        let alias = alias.map(|at| (at, Pointer::Alias(key)));
        let pointers = std::iter::once((row.key, Pointer::Vary(signpost))).chain(alias).collect();
        Way { key, pointers, displaced }
    }

    /// §4.1: the signpost of a response that varies, by what earlier ones varied by, too, so that all of them stay in reach; and what lies
    /// behind the one that is there and does not stay in reach.
    fn signpost_for(&self, row: &Row, names: Vec<HeaderName>, now: Timestamp) -> (VariantIndex, Vec<Key>) {
        let Some(known) = &row.signpost else {
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

    /// §4.3.4, §4.3.5: takes news about a stored response in. Returns the cookies that it set for others, which this caller does not get.
    pub(super) fn freshen<B>(
        &self,
        entry: &mut Entry<B>,
        news: &HeaderMap,
        now: Timestamp,
    ) -> Vec<HeaderValue> {
        let mut cookies = Vec::new();
        if self.rows.are_for_any_cookie() && sets_cookies_of_others(&entry.headers) {
            cookies.extend(entry.headers.get_all(header::SET_COOKIE).iter().cloned());
            entry.headers.remove(header::SET_COOKIE);
        }
        validate::update(&mut entry.headers, news);
        entry.requested = self.sent;
        entry.received = now;
        let (policy, status) = (self.policy(), entry.status);
        if let Ok(ttl) = rules::user_ttl(policy, status, &entry.headers, self.wish(), self.sent, now) {
            entry.ttl = ttl;
        }
        cookies
    }

    /// What writes an entry back, if anything may be written: the news may be that nothing may, or not where the entry lies. `cookies` are
    /// those that it set for others.
    pub(super) fn touch<B>(&self, mut entry: Box<Entry<B>>, cookies: Vec<HeaderValue>) -> Option<Touch<B>> {
        let policy = self.policy();
        if policy.writes == Writes::Never || rules::forbids_storing(policy, &entry) {
            return None;
        }
        let for_any_cookie = self.rows.are_for_any_cookie();
        if for_any_cookie && !rules::has_lifetime(policy, &entry) {
            return None;
        }
        if self.shares_cookies() || (for_any_cookie && sets_cookies_of_others(&entry.headers)) {
            entry.headers.remove(header::SET_COOKIE);
        }
        for cookie in cookies {
            entry.headers.append(header::SET_COOKIE, cookie);
        }
        Some(Touch {
            key: self.at,
            retain_until: rules::retain_until(policy, &entry),
            sensitivity: self.sensitivity(&entry.headers),
            entry,
        })
    }

    /// What is to be removed, if anything may be.
    pub(super) fn if_writable(&self, keys: Vec<Key>) -> Vec<Key> {
        if self.policy().writes == Writes::Allowed { keys } else { Vec::new() }
    }

    /// The rows in which GET or HEAD for `uri` finds what this request, with an unsafe method, may have changed.
    fn rows_of(&self, method: &Method, uri: Uri) -> Rows {
        self.engine.rows(method, &self.target.beside(uri), &self.request, &[], &self.options)
    }

    /// §4.4: the target, and what Location and Content-Location name on the same origin.
    fn invalidated(&self, answer: &response::Parts) -> Vec<Key> {
        let target = &self.target.uri;
        let named = [header::LOCATION, header::CONTENT_LOCATION]
            .iter()
            .filter_map(|name| named(target, &answer.headers, name))
            .filter(|uri| key::origin(uri) == key::origin(target));
        let methods: &[Method] = if self.policy().caches_method(&Method::HEAD) {
            &[Method::GET, Method::HEAD]
        } else {
            &[Method::GET]
        };
        let mut keys = Vec::new();
        for uri in std::iter::once(target.clone()).chain(named) {
            methods.iter().for_each(|method| keys.extend(self.rows_of(method, uri.clone()).keys()));
        }
        keys
    }
}

/// Where a response is stored.
struct Way {
    key: Key,
    /// What leads there: nothing where the response is whole and does not vary.
    pointers: Vec<(Key, Pointer)>,
    /// What has to go for it, or is out of reach from now on.
    displaced: Vec<Key>,
}

fn sorted(mut names: Vec<HeaderName>) -> Vec<HeaderName> {
    names.sort_unstable_by(|a, b| a.as_str().cmp(b.as_str()));
    names.dedup();
    names
}

/// What a header names by a URI reference (RFC 3986 §5), absolute.
fn named(base: &Uri, headers: &HeaderMap, name: &HeaderName) -> Option<Uri> {
    let reference = headers.get(name)?.to_str().ok()?;
    url::Url::parse(&base.to_string()).ok()?.join(reference).ok()?.as_str().parse().ok()
}
