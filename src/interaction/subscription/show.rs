//! A Subscription's headers are secrets of its owner: stored versions carry them masked, the owner's answers in the clear.

use sqlx::PgConnection;

use crate::{
    access::Permit,
    interaction::{Engine, Failure},
    store,
    subscription::{document, header::Headers},
};

/// How one caller sees the versions of one resource.
pub(in crate::interaction) struct View(Option<Headers>);

impl View {
    /// The view of the caller behind `permit`; for anything but a Subscription of its own, what is stored.
    pub(in crate::interaction) async fn of(
        conn: &mut PgConnection,
        engine: &Engine,
        permit: &Permit,
        kind: &str,
        id: &str,
    ) -> Result<Self, Failure> {
        let visible = permit.visible();
        let Some(client) = visible.poc_client.as_deref().filter(|_| kind == "Subscription") else {
            return Ok(Self(None));
        };
        let row = store::subscription::find(conn, visible.tenant, client, id).await?;
        let sealed = row.and_then(|row| row.headers);
        Ok(Self(sealed.and_then(|sealed| Headers::open(&engine.sealer, visible.tenant, id, &sealed))))
    }

    /// The body of one version.
    pub(in crate::interaction) fn body(&self, version: i64, stored: String) -> String {
        match self.0.as_ref().and_then(|headers| headers.of_version(version)) {
            Some(lines) => document::shown_to_owner(&stored, lines),
            None => stored,
        }
    }
}
