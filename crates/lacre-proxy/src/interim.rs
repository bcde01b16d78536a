//! Interim responses (RFC 9110 §15.2) on their way from the origin to one connection.
//!
//! hyper's server does not send them, so they wait in an [`InterimQueue`] until the stream of the
//! connection writes them between two final responses.

use crate::headers;
use bytes::{BufMut, BytesMut};
use http::{HeaderMap, StatusCode, header};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::Waker;

/// The bytes of interim responses that may wait. More are dropped: an origin may send any number.
const MAX_PENDING: usize = 64 << 10;

/// The interim responses that wait to be written to one connection.
#[derive(Clone, Default)]
pub(crate) struct InterimQueue(Arc<Mutex<Pending>>);

#[derive(Default)]
pub(crate) struct Pending {
    pub(crate) bytes: BytesMut,
    /// Wakes the writer of the connection.
    pub(crate) writer: Option<Waker>,
    /// The number of the request that may have interim responses now.
    request: u64,
}

impl InterimQueue {
    /// Lets the next request have interim responses, until the window is dropped.
    pub(crate) fn open_window(&self) -> (InterimWindow, InterimSender) {
        let mut pending = self.lock();
        pending.request += 1;
        (InterimWindow(self.clone()), InterimSender { queue: self.clone(), request: pending.request })
    }

    pub(crate) fn lock(&self) -> MutexGuard<'_, Pending> {
        // No holder of the lock can leave the state half changed.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The time in which a request may have interim responses: until its final response is known.
pub(crate) struct InterimWindow(InterimQueue);

impl Drop for InterimWindow {
    fn drop(&mut self) {
        self.0.lock().request += 1;
    }
}

/// Sends the interim responses of one request.
#[derive(Clone)]
pub(crate) struct InterimSender {
    queue: InterimQueue,
    request: u64,
}

impl InterimSender {
    /// Queues an interim response. `100` is dropped because hyper sends its own, and `101` because
    /// this proxy does not switch protocols.
    pub(crate) fn send(&self, status: StatusCode, fields: &HeaderMap) {
        if status == StatusCode::CONTINUE || status == StatusCode::SWITCHING_PROTOCOLS {
            return;
        }
        let mut pending = self.queue.lock();
        if pending.request != self.request {
            return;
        }
        let mut fields = fields.clone();
        // RFC 9110 §8.6: an interim response has no body, and so no Content-Length.
        fields.remove(header::CONTENT_LENGTH);
        fields.remove(header::TRAILER);
        headers::strip_hop_by_hop(&mut fields);
        if pending.bytes.len() + headers::section_length(&fields) > MAX_PENDING {
            return;
        }
        let reason = status.canonical_reason().unwrap_or_default();
        let bytes = &mut pending.bytes;
        bytes.put_slice(format!("HTTP/1.1 {} {reason}\r\n", status.as_str()).as_bytes());
        for (name, value) in &fields {
            for part in [name.as_str().as_bytes(), b": ", value.as_bytes(), b"\r\n"] {
                bytes.put_slice(part);
            }
        }
        bytes.put_slice(b"\r\n");
        if let Some(writer) = pending.writer.take() {
            writer.wake();
        }
    }
}
