//! The rows under which answers to one request may lie (decision 14).
//!
//! There is one, but in a private cache for a request with a cookie: what has a lifetime of the origin's or of the user's lies under a key
//! without the cookie, everything else under one with it. Which of the two holds can be known only of a response, so a lookup tries the
//! first and then the second.

use super::Engine;
use crate::key::{self, Cookie};
use crate::target::Target;
use crate::{Key, RequestOptions, VariantIndex};
use http::{Method, request};

/// One row, and what was found to lead on from there.
#[derive(Debug)]
pub(super) struct Row {
    pub(super) key: Key,
    pub(super) signpost: Option<VariantIndex>,
}

#[derive(Debug)]
pub(super) struct Rows {
    common: Row,
    /// The row of the cookie, where there is one besides.
    by_cookie: Option<Row>,
    looking_at: Which,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Which {
    Common,
    ByCookie,
}

impl Row {
    fn new(key: Key) -> Self {
        Self { key, signpost: None }
    }
}

impl Rows {
    /// Of a request that is not looked up.
    pub(super) fn none() -> Self {
        Self::only(Key::from_bytes([0; 32]))
    }

    fn only(key: Key) -> Self {
        Self { common: Row::new(key), by_cookie: None, looking_at: Which::Common }
    }

    /// The one that is being looked at.
    pub(super) fn current(&self) -> &Row {
        match (self.looking_at, &self.by_cookie) {
            (Which::ByCookie, Some(row)) => row,
            _ => &self.common,
        }
    }

    /// Keeps what leads on from the current one.
    pub(super) fn found(&mut self, signpost: VariantIndex) {
        let row = match (self.looking_at, &mut self.by_cookie) {
            (Which::ByCookie, Some(row)) => row,
            _ => &mut self.common,
        };
        row.signpost = Some(signpost);
    }

    /// Goes on to the next one, if there is one.
    pub(super) fn advance(&mut self) -> Option<Key> {
        let next = self.by_cookie.as_ref().filter(|_| self.looking_at == Which::Common)?;
        self.looking_at = Which::ByCookie;
        Some(next.key)
    }

    /// Whether what lies under the current one may have been an answer to a request with another cookie, or with none.
    pub(super) fn are_for_any_cookie(&self) -> bool {
        self.looking_at == Which::Common && self.by_cookie.is_some()
    }

    /// Whether a response with or without a lifetime is stored for requests with other cookies, too.
    pub(super) fn leave_cookie_out(&self, has_lifetime: bool) -> bool {
        has_lifetime && self.by_cookie.is_some()
    }

    /// Where a response with or without a lifetime is stored.
    pub(super) fn of_answer(&self, has_lifetime: bool) -> &Row {
        self.by_cookie.as_ref().filter(|_| !has_lifetime).unwrap_or(&self.common)
    }

    /// Where the answer would be stored, as far as can be known before it is there: beside what was found.
    pub(super) fn likeliest(&self) -> &Row {
        match &self.by_cookie {
            Some(row) if row.signpost.is_some() || self.common.signpost.is_none() => row,
            _ => &self.common,
        }
    }

    pub(super) fn keys(&self) -> impl Iterator<Item = Key> {
        [Some(self.common.key), self.by_cookie.as_ref().map(|row| row.key)].into_iter().flatten()
    }
}

impl Engine {
    /// The rows of a request with this method for `target`, made by the one who sent `request`.
    pub(super) fn rows(
        &self,
        method: &Method,
        target: &Target,
        request: &request::Parts,
        body: &[u8],
        options: &RequestOptions,
    ) -> Rows {
        let key = |cookie| {
            key::request_key(&self.policy, &*self.digest, method, target, request, body, options, cookie)
        };
        if !Cookie::may_be_left_out(&self.policy, &request.headers) {
            return Rows::only(key(Cookie::Counts));
        }
        let by_cookie = Some(Row::new(key(Cookie::Counts)));
        Rows { by_cookie, ..Rows::only(key(Cookie::LeftOut)) }
    }
}
