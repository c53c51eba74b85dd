//! Where an MLflow server is, and who asks it.

use serde::{Deserialize, Serialize};
use std::fmt;
use ureq::http::Uri;

/// The address of a tracking server, such as `http://localhost:5000`. A user and a password in it
/// (`https://USER:PASSWORD@host`) are sent to the server and shown nowhere: what is printed or written is the address
/// without them.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(from = "String", into = "String")]
pub struct MlflowServer(String);

impl From<String> for MlflowServer {
    fn from(address: String) -> Self {
        Self(address)
    }
}

impl From<MlflowServer> for String {
    fn from(server: MlflowServer) -> Self {
        server.to_string()
    }
}

impl fmt::Display for MlflowServer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (scheme, _, place) = self.parts();
        write!(f, "{scheme}{}", place.split('#').next().unwrap_or_default().trim_end_matches('/'))
    }
}

impl fmt::Debug for MlflowServer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "MlflowServer({self})")
    }
}

impl MlflowServer {
    /// `http://`, `USER:PASSWORD`, the rest. All before the last `@` is private: a password may hold any character.
    fn parts(&self) -> (&str, Option<&str>, &str) {
        let start = self.0.find("://").map_or(0, |at| at + "://".len());
        let (scheme, rest) = self.0.split_at(start);
        match rest.rsplit_once('@') {
            Some((user, place)) => (scheme, Some(user), place),
            None => (scheme, None, rest),
        }
    }

    /// What is wrong with the address, if something is.
    pub(super) fn problem(&self) -> Option<&'static str> {
        const SHAPE: &str = "name it as http://HOST:PORT or https://HOST";
        let shown = self.to_string();
        let fits = shown.parse::<Uri>().is_ok_and(|uri| {
            let known = matches!(uri.scheme_str(), Some("http" | "https"));
            known && uri.query().is_none() && uri.host().is_some_and(|host| !host.is_empty())
        });
        (!fits).then_some(SHAPE)
    }

    /// The header that says who asks.
    pub(super) fn authorization(&self) -> Option<String> {
        let (_, user, _) = self.parts();
        Some(format!("Basic {}", base64(&decoded(user?))))
    }
}

/// A text with `%41` for `A`, as its bytes; other `%` are themselves.
fn decoded(text: &str) -> Vec<u8> {
    let hex = |at: usize| {
        let digits = text.get(at + 1..at + 3).filter(|digits| !digits.starts_with('+'))?;
        u8::from_str_radix(digits, 16).ok()
    };
    let (mut bytes, mut at) = (Vec::new(), 0);
    while at < text.len() {
        let byte = text.as_bytes()[at];
        let escaped = if byte == b'%' { hex(at) } else { None };
        bytes.push(escaped.unwrap_or(byte));
        at += if escaped.is_some() { 3 } else { 1 };
    }
    bytes
}

/// RFC 4648, with padding.
fn base64(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut text = String::new();
    for group in bytes.chunks(3) {
        let bits = (0..3).fold(0, |bits, i| bits << 8 | usize::from(group.get(i).copied().unwrap_or(0)));
        for digit in 0..4 {
            let there = digit <= group.len();
            text.push(if there { char::from(DIGITS[bits >> (18 - 6 * digit) & 63]) } else { '=' });
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn server(address: &str) -> MlflowServer {
        MlflowServer(address.into())
    }

    #[test]
    fn base64_is_that_of_the_standard() {
        // RFC 4648, section 10.
        let known = [("", ""), ("f", "Zg=="), ("fo", "Zm8="), ("foo", "Zm9v"), ("foobar", "Zm9vYmFy")];
        assert!(known.iter().all(|(text, coded)| base64(text.as_bytes()) == *coded));
    }

    #[test]
    fn who_asks_is_sent_and_never_shown() {
        for address in ["http://ann:se@cr/et%21@host:5000/a/", "http://ann:se%40cr%2Fet!@host:5000/a#/runs"] {
            let server = server(address);
            assert_eq!(server.problem(), None);
            let text = format!("{server} {server:?} {}", serde_json::to_string(&server).unwrap());
            assert_eq!(text, "http://host:5000/a MlflowServer(http://host:5000/a) \"http://host:5000/a\"");
            // base64 of ann:se@cr/et!
            assert_eq!(server.authorization().unwrap(), "Basic YW5uOnNlQGNyL2V0IQ==");
        }
        assert_eq!(server("http://host").authorization(), None);
        assert_eq!(decoded("100%+1%é%"), "100%+1%é%".as_bytes());
    }

    #[test]
    fn what_is_no_address_is_told() {
        for wrong in
            ["", "host:5000", "ftp://host", "http://", "http://host?a=b", "ann:secret@host", "http://a b"]
        {
            assert!(server(wrong).problem().is_some(), "{wrong}");
            assert!(!server(wrong).to_string().contains("secret"));
        }
    }
}
