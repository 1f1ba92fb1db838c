//! `htmlChecks()`: whether a narrative has only what FHIR allows, and says something (FHIR R4 narrative.html, txt-1 and
//! txt-2).

use super::{Frame, Machine, Stop};
use crate::fhir::{json::Ref, path::expr::Expr, xhtml};

impl<'a> Machine<'_, 'a> {
    pub(super) fn html_checks(&self, of: &'a Expr, frame: Frame<'_, 'a>) -> Result<Option<bool>, Stop> {
        let Some(item) = self.one(of, frame)? else { return Ok(None) };
        let Some(html) = item.node().and_then(|node| self.tree.value(node)).and_then(Ref::as_str) else {
            return Ok(Some(false));
        };
        self.spend(html.len() as u64 / 16)?;
        Ok(Some(xhtml::check(&html).is_ok()))
    }
}
