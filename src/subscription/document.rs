//! The `Subscription` resource as it is stored and shown: its status is the server's, its headers are masked except for
//! its owner.

use super::{header, status::Status};
use crate::fhir::{
    json::{Doc, Edit, Limits, Ref, quote},
    resource::Resource,
};

/// The text of `resource` with the server's `status` and `error`, and every header value masked: what is stored.
pub fn stored(resource: &Resource, status: Status, error: Option<&str>) -> String {
    let set = [("status", Some(quote(status.as_str()))), ("error", error.map(quote)), ("_error", None)];
    let text = resource.with_members(&set);
    with_lines(&text, |_, line| Some(header::masked(line)))
}

/// A stored text with its owner's header lines put back. Lines that do not fit those stored stay masked.
pub fn shown_to_owner(text: &str, lines: &[String]) -> String {
    with_lines(text, |index, masked| lines.get(index).filter(|line| header::masked(line) == masked).cloned())
}

/// `text` with header lines replaced by what `replace` makes of their index and content.
fn with_lines(text: &str, replace: impl Fn(usize, &str) -> Option<String>) -> String {
    // The text was parsed before it came here, so any depth is within the limits it passed.
    let Ok(doc) = Doc::parse(text, &Limits { depth: usize::MAX }) else { return text.to_owned() };
    let lines = doc.root().get("channel").and_then(|channel| channel.get("header"));
    let edits = lines.into_iter().flat_map(Ref::items).enumerate().filter_map(|(index, line)| {
        let replacement = quote(&replace(index, &line.as_str()?)?);
        Some(Edit { span: line.span(), replacement })
    });
    let edits = edits.collect();
    doc.edited(edits)
}

#[cfg(test)]
mod tests {
    use super::*;

    const SENT: &str = r#"{"resourceType":"Subscription","status":"active","error":"old","criteria":"t","extension":[{"url":"x","valueDecimal":1.0}],
      "channel":{"type":"rest-hook","header":["Authorization: Bearer a:b","X-Own:  1"]}}"#;

    fn lines() -> Vec<String> {
        vec!["Authorization: Bearer a:b".to_owned(), "X-Own:  1".to_owned()]
    }

    #[test]
    fn what_is_stored_shows_no_header_value_and_the_servers_status() {
        let sent = Resource::parse(SENT, &Limits::default()).unwrap();
        let text = stored(&sent, Status::Requested, None);
        assert_eq!(
            text,
            r#"{"resourceType":"Subscription","criteria":"t","extension":[{"url":"x","valueDecimal":1.0}],"channel":{"type":"rest-hook","header":["Authorization: ***","X-Own: ***"]},"status":"requested"}"#
        );
        assert!(
            stored(&sent, Status::Error, Some("no \"way\"")).ends_with(r#","status":"error","error":"no \"way\""}"#)
        );
    }

    #[test]
    fn the_owner_sees_the_lines_as_sent() {
        let sent = Resource::parse(SENT, &Limits::default()).unwrap();
        let text = stored(&sent, Status::Requested, None);
        let shown = shown_to_owner(&text, &lines());
        assert!(shown.contains(r#""header":["Authorization: Bearer a:b","X-Own:  1"]"#));
        assert_eq!(shown_to_owner(&text, &[]), text);
        assert_eq!(shown_to_owner(&text, &["X-Other: 1".to_owned()]), text);
        let without = r#"{"resourceType":"Subscription","channel":{}}"#;
        assert_eq!(shown_to_owner(without, &lines()), without);
    }
}
