//! The rows under which the answers to one request may be stored (decision 14).
//!
//! Most requests have one row. In a private cache, a request with a cookie has two: responses with
//! a lifetime are stored under a key without the cookie, all others under a key with it. Which row
//! applies is known only when the response is, so a lookup tries the first row and then the second.

use super::Engine;
use crate::credentials::may_leave_cookie_out;
use crate::identity::{CookieUse, request_key};
use crate::target::Target;
use crate::{Key, RequestOptions, VariantIndex};
use http::{Method, request};

/// A row and the index of its variants, once it was found.
#[derive(Debug)]
pub(super) struct Row {
    pub(super) key: Key,
    pub(super) index: Option<VariantIndex>,
}

#[derive(Debug)]
pub(super) struct Rows {
    common: Row,
    /// The row whose key includes the cookie, if there is one.
    by_cookie: Option<Row>,
    current_kind: RowKind,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum RowKind {
    Common,
    ByCookie,
}

impl Row {
    fn new(key: Key) -> Self {
        Self { key, index: None }
    }
}

impl Rows {
    /// The rows of a request that is not looked up.
    pub(super) fn none() -> Self {
        Self::only(Key::from_bytes([0; 32]))
    }

    fn only(key: Key) -> Self {
        Self { common: Row::new(key), by_cookie: None, current_kind: RowKind::Common }
    }

    /// The row of the current lookup.
    pub(super) fn current(&self) -> &Row {
        match (self.current_kind, &self.by_cookie) {
            (RowKind::ByCookie, Some(row)) => row,
            _ => &self.common,
        }
    }

    /// Sets the index of variants of the current row.
    pub(super) fn found(&mut self, index: VariantIndex) {
        let row = match (self.current_kind, &mut self.by_cookie) {
            (RowKind::ByCookie, Some(row)) => row,
            _ => &mut self.common,
        };
        row.index = Some(index);
    }

    /// Moves on to the next row and returns its key.
    pub(super) fn advance(&mut self) -> Option<Key> {
        let next = self.by_cookie.as_ref().filter(|_| self.current_kind == RowKind::Common)?;
        self.current_kind = RowKind::ByCookie;
        Some(next.key)
    }

    /// Whether the records of the current row may answer requests with any cookie, or none.
    pub(super) fn is_shared_by_cookies(&self) -> bool {
        self.current_kind == RowKind::Common && self.by_cookie.is_some()
    }

    /// Whether the row of a response omits the cookie.
    pub(super) fn omits_cookie(&self, has_lifetime: bool) -> bool {
        has_lifetime && self.by_cookie.is_some()
    }

    /// The row of a response, which depends on whether it has a lifetime.
    pub(super) fn for_answer(&self, has_lifetime: bool) -> &Row {
        self.by_cookie.as_ref().filter(|_| !has_lifetime).unwrap_or(&self.common)
    }

    /// The row in which the answer will probably be stored: the one in which a record was found.
    pub(super) fn expected(&self) -> &Row {
        match &self.by_cookie {
            Some(row) if row.index.is_some() || self.common.index.is_none() => row,
            _ => &self.common,
        }
    }

    pub(super) fn keys(&self) -> impl Iterator<Item = Key> {
        [Some(self.common.key), self.by_cookie.as_ref().map(|row| row.key)].into_iter().flatten()
    }
}

impl Engine {
    /// Computes the rows of a request with this method for `target`. `request` supplies the
    /// headers.
    pub(super) fn rows(
        &self,
        method: &Method,
        target: &Target,
        request: &request::Parts,
        body: &[u8],
        options: &RequestOptions,
    ) -> Rows {
        let key =
            |cookie| request_key(&self.policy, &*self.digest, method, target, request, body, options, cookie);
        if !may_leave_cookie_out(&self.policy, &request.headers) {
            return Rows::only(key(CookieUse::Included));
        }
        let by_cookie = Some(Row::new(key(CookieUse::Included)));
        Rows { by_cookie, ..Rows::only(key(CookieUse::LeftOut)) }
    }
}
