//! Rules of Bundles that R4 says in prose (bundle.html): what `fullUrl` may say of its resource.

use super::Run;
use crate::fhir::{outcome::IssueType, tree::Node};

impl Run<'_, '_, '_> {
    /// `fullUrl` is absolute, and does not disagree with the id in the resource (bundle.html#bundle-unique).
    pub(super) fn entry(&mut self, entry: Node) {
        let tree = self.tree;
        let (Some(url), Some(held)) = (tree.str(entry, "fullUrl"), tree.child(entry, "resource")) else { return };
        let Some(at) = tree.child(entry, "fullUrl") else { return };
        if !url.contains(':') {
            let text = format!("the fullUrl '{url}' is not absolute");
            self.report.error(tree, at, IssueType::Invalid, text);
            return;
        }
        let is_rest = url.starts_with("http://") || url.starts_with("https://");
        let (Some(id), true) = (tree.str(held, "id"), is_rest) else { return };
        // Only where the URL names a type is it one of a FHIR server, whose last part is the id.
        let mut parts = url.rsplit('/');
        let (last, before) = (parts.next().unwrap_or_default(), parts.next().unwrap_or_default());
        if tree.types().resource(before).is_some() && last != id {
            let text = format!("the fullUrl '{url}' does not end in the resource's id '{id}'");
            self.report.error(tree, at, IssueType::Invalid, text);
        }
    }
}
