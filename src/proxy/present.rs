//! Which of the fields that the edge itself asks for a head has, found in one pass.
//!
//! Pure. Each look for a field that is not there costs about a hundred instructions, and a request has few fields and is
//! asked for many. Fields may be taken out of a head afterwards, but none is put in: what is not present here is not
//! there, and for what is the head is asked.
#![deny(clippy::disallowed_methods)]

use http::{HeaderMap, header};

/// A field that is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Sought {
    /// `Connection`
    Connection = 1,
    /// `Content-Length`
    ContentLength = 2,
    /// `Cookie`
    Cookie = 4,
    /// `Host`
    Host = 8,
    /// `Transfer-Encoding`
    TransferEncoding = 16,
    /// `Upgrade`
    Upgrade = 32,
}

/// Those that a head had.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Present(u8);

impl Present {
    /// Looks at all fields once.
    pub fn of(headers: &HeaderMap) -> Self {
        let mut found = 0;
        for name in headers.keys() {
            let sought = match *name {
                header::CONNECTION => Sought::Connection,
                header::CONTENT_LENGTH => Sought::ContentLength,
                header::COOKIE => Sought::Cookie,
                header::HOST => Sought::Host,
                header::TRANSFER_ENCODING => Sought::TransferEncoding,
                header::UPGRADE => Sought::Upgrade,
                _ => continue,
            };
            found |= sought as u8;
        }
        Self(found)
    }

    /// Whether the head had such a field, and so may have it still.
    pub fn has(self, sought: Sought) -> bool {
        self.0 & sought as u8 != 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::HeaderValue;

    #[test]
    fn each_field_that_is_asked_for_is_found_and_no_other() {
        let all = [
            (header::CONNECTION, Sought::Connection),
            (header::CONTENT_LENGTH, Sought::ContentLength),
            (header::COOKIE, Sought::Cookie),
            (header::HOST, Sought::Host),
            (header::TRANSFER_ENCODING, Sought::TransferEncoding),
            (header::UPGRADE, Sought::Upgrade),
        ];
        let mut headers = HeaderMap::new();
        headers.insert("x-own", HeaderValue::from_static("1"));
        headers.insert(header::ACCEPT, HeaderValue::from_static("*/*"));
        assert_eq!(Present::of(&headers), Present::default());
        for (name, sought) in &all {
            let mut one = headers.clone();
            one.append(name, HeaderValue::from_static("1"));
            one.append(name, HeaderValue::from_static("2"));
            let present = Present::of(&one);
            for (_, other) in &all {
                assert_eq!(present.has(*other), sought == other, "{name} {other:?}");
            }
        }
    }
}
