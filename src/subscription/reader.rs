//! Reads the elements of a Subscription and writes every fault down instead of stopping at the first.

use crate::fhir::{
    json::{Kind, Ref},
    outcome::{Issue, IssueType},
};

/// The faults so far.
#[derive(Default)]
pub(super) struct Reader {
    pub(super) faults: Vec<Issue>,
}

impl Reader {
    /// Writes a fault down, once however often it is met.
    pub(super) fn note(&mut self, code: IssueType, at: impl Into<String>, text: impl Into<String>) {
        let fault = Issue::error(code, text).at(at);
        if !self.faults.contains(&fault) {
            self.faults.push(fault);
        }
    }

    /// Writes a fault down; there is no value then.
    pub(super) fn fault<T>(&mut self, code: IssueType, at: impl Into<String>, text: impl Into<String>) -> Option<T> {
        self.note(code, at, text);
        None
    }

    /// A string element that may be absent.
    pub(super) fn optional(&mut self, parent: Ref<'_>, path: &str, name: &str) -> Option<String> {
        let value = parent.get(name)?;
        match value.as_str() {
            Some(text) if !text.is_empty() => Some(text.into_owned()),
            _ => self.fault(IssueType::Value, format!("{path}.{name}"), "expected a string that is not empty"),
        }
    }

    /// A string element that must be there.
    pub(super) fn required(&mut self, parent: Ref<'_>, path: &str, name: &str) -> Option<String> {
        if parent.get(name).is_none() {
            return self.fault(IssueType::Required, format!("{path}.{name}"), format!("expected {path}.{name}"));
        }
        self.optional(parent, path, name)
    }

    /// The extensions `url` of the primitive whose JSON sibling is `sibling`, each with its FHIRPath.
    pub(super) fn primitive_extensions<'d>(
        &mut self,
        parent: Ref<'d>,
        sibling: &str,
        path: &str,
        url: &str,
    ) -> Vec<(String, Ref<'d>)> {
        match parent.get(sibling) {
            None => Vec::new(),
            Some(element) if element.kind() == Kind::Object => self.extensions(element, path, url),
            Some(_) => {
                self.note(IssueType::Structure, path, format!("expected {sibling} to be a JSON object"));
                Vec::new()
            }
        }
    }

    /// The extensions `url` of an element, each with its FHIRPath.
    fn extensions<'d>(&mut self, element: Ref<'d>, path: &str, url: &str) -> Vec<(String, Ref<'d>)> {
        let all = self.list(element, path, "extension").into_iter().enumerate();
        all.filter(|(_, extension)| extension.str("url").is_some_and(|found| found == url))
            .map(|(index, extension)| (format!("{path}.extension[{index}]"), extension))
            .collect()
    }

    /// The items of an element that repeats. What is no array is a fault: to pass over it would drop what it says.
    pub(super) fn list<'d>(&mut self, parent: Ref<'d>, path: &str, name: &str) -> Vec<Ref<'d>> {
        match parent.get(name) {
            Some(list) if list.kind() != Kind::Array => {
                self.note(IssueType::Structure, format!("{path}.{name}"), "expected a JSON array");
                Vec::new()
            }
            list => list.into_iter().flat_map(Ref::items).collect(),
        }
    }

    /// A 0..1 extension of the channel that holds a whole number of at least 1.
    pub(super) fn count(&mut self, channel: Ref<'_>, url: &str, value: &str) -> Option<u32> {
        let found = self.extensions(channel, "Subscription.channel", url);
        let (at, extension) = found.first()?;
        if found.len() > 1 {
            return self.fault(IssueType::Value, at, format!("expected at most one extension {url}"));
        }
        // 31 bits: FHIR's unsignedInt and positiveInt.
        let number = extension.get(value).filter(|number| number.kind() == Kind::Number);
        match number.and_then(|number| number.raw().parse::<u32>().ok()).filter(|n| (1..1 << 31).contains(n)) {
            None => self.fault(IssueType::Value, format!("{at}.value"), format!("expected a {value} of at least 1")),
            number => number,
        }
    }

    /// This server understands no modifier extension of a Subscription, so it must not act on one that has any (FHIR R4,
    /// extensibility.html#modifierExtension).
    pub(super) fn refuse_unknown_modifiers(&mut self, element: Ref<'_>, path: &str) {
        for (index, extension) in self.list(element, path, "modifierExtension").into_iter().enumerate() {
            let url = extension.str("url").unwrap_or_default();
            let text = format!("the modifier extension '{url}' is not understood");
            self.note(IssueType::Extension, format!("{path}.modifierExtension[{index}]"), text);
        }
    }

    /// Cross-version extensions for what the Backport guide has extensions of its own are refused: taken for unknown
    /// extensions, they would change what is sent without anybody noticing.
    pub(super) fn refuse_cross_version(&mut self, element: Ref<'_>, path: &str) {
        for (name, member) in element.members() {
            let path = match (name.as_ref(), member.kind()) {
                ("extension", _) => {
                    self.refuse_cross_version_extensions(member, path);
                    continue;
                }
                (_, Kind::Object) => format!("{path}.{}", name.trim_start_matches('_')),
                _ => continue,
            };
            self.refuse_cross_version(member, &path);
        }
    }

    fn refuse_cross_version_extensions(&mut self, extensions: Ref<'_>, path: &str) {
        for (index, extension) in extensions.items().enumerate() {
            let url = extension.str("url").unwrap_or_default();
            if is_cross_version(&url) {
                let text = format!(
                    "the cross-version extension '{url}' is not supported: use those of the Subscriptions R5 Backport guide"
                );
                self.note(IssueType::Extension, format!("{path}.extension[{index}]"), text);
            }
        }
    }
}

/// `http://hl7.org/fhir/5.0/…Subscription…`, with any version.
fn is_cross_version(url: &str) -> bool {
    let Some(rest) = url.strip_prefix("http://hl7.org/fhir/") else { return false };
    rest.starts_with(|c: char| c.is_ascii_digit()) && rest.to_ascii_lowercase().contains("subscription")
}
