//! The sender of a request: its address, the request's id, by which the request is found in other
//! logs, and the trace that the request belongs to.

use crate::http::connections::ClientAddress;
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderName, HeaderValue};
use std::hash::{BuildHasher, Hasher, RandomState};
use std::net::SocketAddr;
use std::sync::LazyLock;
use std::sync::atomic::{AtomicU64, Ordering};

/// The header with a request's id, in and out.
pub const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
/// The trace that a request belongs to (W3C Trace Context, 3.2).
const TRACEPARENT: HeaderName = HeaderName::from_static("traceparent");
/// Characters of an id that are kept: nginx's has 32, a UUID 36, AWS's up to 70.
const ID_BYTES_MAX: usize = 128;
/// `255.255.255.255:65535`
const ADDRESS_BYTES_MAX: usize = 21;
/// `00-` 32 digits `-` 16 digits `-` 2 digits.
const TRACEPARENT_BYTES: usize = 55;

/// The sender of a request.
#[derive(Debug, Clone, Default)]
pub struct Caller {
    /// The address of the connection's other end, which may be a proxy's. It is formatted once for
    /// all log lines.
    pub client: Option<String>,
    /// The request's id: the client's, or a new one.
    pub request_id: String,
    /// The header `traceparent`, if it is one.
    pub traceparent: Option<String>,
}

impl Caller {
    /// By a request's head.
    #[must_use]
    pub fn of(head: &Parts) -> Self {
        let address = head.extensions.get::<ClientAddress>();
        let given = value(&head.headers, &REQUEST_ID).map(sanitised);
        Self {
            client: address.map(|ClientAddress(address)| shown(*address)),
            request_id: given.filter(|id| !id.is_empty()).unwrap_or_else(new_id),
            traceparent: value(&head.headers, &TRACEPARENT)
                .filter(|value| is_traceparent(value))
                .map(|value| String::from_utf8_lossy(value).into_owned()),
        }
    }

    /// The service itself, for the commands `check` and `run`.
    #[must_use]
    pub fn of_service() -> Self {
        Self {
            client: None,
            request_id: new_id(),
            traceparent: None,
        }
    }

    /// The id as a header of the answer.
    #[must_use]
    pub fn header(&self) -> Option<HeaderValue> {
        HeaderValue::from_str(&self.request_id).ok()
    }
}

fn value<'a>(headers: &'a HeaderMap, name: &HeaderName) -> Option<&'a [u8]> {
    headers.get(name).map(HeaderValue::as_bytes)
}

/// Keeps the characters that ids may have, and leaves out all others.
fn sanitised(value: &[u8]) -> String {
    let plain = |byte: &u8| byte.is_ascii_alphanumeric() || b"-_.:/+=@".contains(byte);
    let kept = value.iter().copied().filter(plain).take(ID_BYTES_MAX);
    kept.map(char::from).collect()
}

fn is_traceparent(value: &[u8]) -> bool {
    value.len() == TRACEPARENT_BYTES
        && value.iter().enumerate().all(|(at, byte)| match at {
            2 | 35 | 52 => *byte == b'-',
            _ => matches!(byte, b'0'..=b'9' | b'a'..=b'f'),
        })
}

/// An address and a port. Nearly all are IPv4, and those are written without the cost of `Display`.
fn shown(address: SocketAddr) -> String {
    let SocketAddr::V4(address) = address else {
        return address.to_string();
    };
    let mut text = String::with_capacity(ADDRESS_BYTES_MAX);
    let mut digits = itoa::Buffer::new();
    for octet in address.ip().octets() {
        text.push_str(digits.format(octet));
        text.push('.');
    }
    text.pop();
    text.push(':');
    text.push_str(digits.format(address.port()));
    text
}

/// An id that is unique among the requests of this service, and most likely among those of others.
fn new_id() -> String {
    static START: LazyLock<u64> = LazyLock::new(|| RandomState::new().build_hasher().finish());
    static NEXT: AtomicU64 = AtomicU64::new(0);
    let number = START.wrapping_add(NEXT.fetch_add(1, Ordering::Relaxed));
    let mut id = String::with_capacity(16);
    for place in (0..16).rev() {
        let digit = (number >> (4 * place)) as usize & 15;
        id.push(char::from(b"0123456789abcdef"[digit]));
    }
    id
}

#[cfg(test)]
mod tests {
    use super::*;
    use axum::http::Request;

    fn caller(headers: &[(&str, &[u8])]) -> Caller {
        let mut request = Request::builder();
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        Caller::of(&request.body(()).unwrap().into_parts().0)
    }

    #[test]
    fn an_id_is_kept_as_far_as_it_is_one() {
        let id = |value: &[u8]| caller(&[("x-request-id", value)]).request_id;
        assert_eq!(id(b"req-1.a:b/c+d=e@f_G"), "req-1.a:b/c+d=e@f_G");
        assert_eq!(id(b"a b\"c\\d\xffe"), "abcde");
        assert_eq!(id(&[b'x'; 1000]), "x".repeat(ID_BYTES_MAX));
    }

    #[test]
    fn a_request_without_an_id_gets_one_that_no_other_has() {
        let ids = [&[][..], &[("x-request-id", b"\" \"".as_slice())], &[]].map(caller);
        assert_ne!(ids[0].request_id, ids[1].request_id);
        assert_ne!(ids[1].request_id, ids[2].request_id);
        assert!(ids.iter().all(|caller| caller.request_id.len() == 16));
    }

    #[test]
    fn an_address_is_shown_as_everywhere() {
        for text in ["127.0.0.1:1", "255.255.255.255:65535", "[::1]:80"] {
            assert_eq!(shown(text.parse().unwrap()), text);
        }
    }

    #[test]
    fn only_a_traceparent_is_kept_as_one() {
        let right = b"00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
        let kept = |value: &[u8]| caller(&[("traceparent", value)]).traceparent;
        assert_eq!(kept(right).unwrap().as_bytes(), right);
        let mut wrong = right.to_vec();
        wrong[20] = b'"';
        assert_eq!(kept(&wrong), None);
        assert_eq!(kept(&right[1..]), None);
    }
}
