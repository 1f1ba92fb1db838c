//! `Subscription.channel.header`: lines `Name: value`, sent with every notification and shown to nobody but their owner.

use reqwest::header::{HeaderMap, HeaderName, HeaderValue};
use serde::{Deserialize, Serialize};

use crate::secret::Sealer;

/// Names a Subscription may not set: they describe the connection or the body, which are this server's.
const RESERVED: [&str; 14] = [
    "host",
    "content-length",
    "content-type",
    "content-encoding",
    "transfer-encoding",
    "connection",
    "keep-alive",
    "proxy-authenticate",
    "proxy-authorization",
    "proxy-connection",
    "te",
    "trailer",
    "upgrade",
    "expect",
];

/// The header lines of one Subscription as its owner wrote them. No `Debug` output shows a value.
#[derive(Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Headers {
    /// The version of the resource that set them: an older version's are no longer known.
    since: i64,
    lines: Vec<String>,
}

impl Headers {
    /// The lines that version `since` of the resource set. They must have passed [`check`].
    pub const fn new(lines: Vec<String>, since: i64) -> Self {
        Self { since, lines }
    }

    /// The lines of a later `version`: if they are the same as before, older versions go on to have them.
    #[must_use]
    pub fn followed_by(self, lines: Vec<String>, version: i64) -> Self {
        if self.lines == lines { self } else { Self::new(lines, version) }
    }

    /// The lines, if the given version of the resource has them.
    pub fn of_version(&self, version: i64) -> Option<&[String]> {
        (version >= self.since).then_some(self.lines.as_slice())
    }

    /// For the request. The values are marked sensitive, so that the client library prints none either.
    pub fn to_map(&self) -> HeaderMap {
        self.lines.iter().filter_map(|line| check(line).ok()).collect()
    }

    /// Encrypted for the Subscription it belongs to.
    pub fn seal(&self, sealer: &Sealer, tenant: i64, id: &str) -> Vec<u8> {
        sealer.seal(&purpose(tenant, id), serde_json::json!(self).to_string().as_bytes())
    }

    /// The headers of a stored Subscription, which may have none; `None` when they cannot be opened.
    pub fn stored(sealer: &Sealer, tenant: i64, id: &str, sealed: Option<&[u8]>) -> Option<Self> {
        match sealed {
            None => Some(Self::default()),
            Some(sealed) => Self::open(sealer, tenant, id, sealed),
        }
    }

    /// The reverse of [`Headers::seal`]; `None` under another master key or for another Subscription.
    pub fn open(sealer: &Sealer, tenant: i64, id: &str, sealed: &[u8]) -> Option<Self> {
        serde_json::from_slice(&sealer.open(&purpose(tenant, id), sealed).ok()?).ok()
    }
}

impl std::fmt::Debug for Headers {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_list().entries(self.lines.iter().map(|line| masked(line))).finish()
    }
}

fn purpose(tenant: i64, id: &str) -> String {
    format!("subscription.headers:{tenant}/{id}")
}

/// `Name: ***`
pub fn masked(line: &str) -> String {
    format!("{}: ***", line.split_once(':').map_or("", |(name, _)| name.trim_end()))
}

/// Name and value of a line `Name: value`, or what is wrong with it. The text never repeats the value.
pub fn check(line: &str) -> Result<(HeaderName, HeaderValue), String> {
    let (name, value) = line.split_once(':').ok_or("expected a header line 'Name: value'")?;
    let name = HeaderName::from_bytes(name.as_bytes())
        .map_err(|_| "expected a header line 'Name: value' with a valid HTTP field name")?;
    if RESERVED.contains(&name.as_str()) {
        return Err(format!("the header '{name}' is set by the server and cannot be chosen"));
    }
    let mut value = HeaderValue::from_str(value.trim_matches([' ', '\t']))
        .map_err(|_| format!("the value of header '{name}' holds characters that HTTP does not allow"))?;
    value.set_sensitive(true);
    Ok((name, value))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_name_and_value() {
        let (name, value) = check("Authorization: Bearer a:b").unwrap();
        assert_eq!((name.as_str(), value.to_str().unwrap()), ("authorization", "Bearer a:b"));
        assert!(value.is_sensitive());
    }

    #[test]
    fn lines_that_could_change_the_request_are_refused() {
        for line in [
            "X-Token",
            ": value",
            "X Token: a",
            " X-Token: a",
            "Host: other",
            "content-LENGTH: 3",
            "Transfer-Encoding: chunked",
            "Connection: close",
            "X-Token: secret\r\nX-Other: b",
            "X-Token: secret\nb",
            "X-Token\r\n: b",
            "X-Token: secr\u{e9}t\u{0}",
        ] {
            let fault = check(line).unwrap_err();
            assert!(!fault.contains("secret"), "{fault}");
        }
    }

    #[test]
    fn values_are_masked_in_every_output_and_sealed_at_rest() {
        let headers = Headers::new(vec!["Authorization: Bearer secret".into(), "X: secret".into()], 3);
        assert_eq!(format!("{headers:?}"), r#"["Authorization: ***", "X: ***"]"#);
        assert!(!format!("{:?}", headers.to_map()).contains("secret"));
        let sealer = Sealer::new(&[7; 32]).unwrap();
        let sealed = headers.seal(&sealer, 1, "a");
        assert!(!String::from_utf8_lossy(&sealed).contains("secret"));
        assert_eq!(Headers::open(&sealer, 1, "a", &sealed), Some(headers));
        assert_eq!(Headers::open(&sealer, 1, "b", &sealed), None);
    }

    #[test]
    fn an_older_versions_lines_are_not_known() {
        let headers = Headers::new(vec!["X: 1".into()], 3);
        assert_eq!(headers.of_version(2), None);
        assert_eq!(headers.of_version(4), Some(&["X: 1".to_owned()][..]));
        assert!(headers.clone().followed_by(vec!["X: 1".into()], 5).of_version(3).is_some());
        assert!(headers.followed_by(vec!["X: 2".into()], 5).of_version(4).is_none());
    }
}
