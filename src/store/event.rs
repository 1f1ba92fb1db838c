//! Events as `$events` reads them; the write path writes them through `store::intent`.

use sqlx::PgConnection;
use time::OffsetDateTime;

use super::Result;

// The body is that of the version that triggered the event, wherever it stands by now; none once it was purged.
const RANGE: &str = "select e.number, e.type, e.id, e.version, e.method, e.state, e.occurred_at,
    case when not $5 then null else coalesce(r.body, h.body) end as body
  from event e
  left join resource r on r.tenant = e.tenant and r.type = e.type and r.id = e.id and r.version = e.version
    and not r.purged
  left join resource_history h on h.tenant = e.tenant and h.type = e.type and h.id = e.id and h.version = e.version
  where e.tenant = $1 and e.subscription = $2 and e.number between $3 and $4 and e.state <> 'waiting'
  order by e.number limit $6";

/// An event whose fate is decided.
#[derive(Clone, Debug, sqlx::FromRow)]
pub struct Row {
    pub number: i64,
    pub r#type: String,
    pub id: String,
    pub version: i64,
    /// `POST` or `PUT`.
    pub method: String,
    /// `delivered`, `missed` or `withdrawn`.
    pub state: String,
    pub occurred_at: OffsetDateTime,
    /// The resource as the event made it, if asked for and still there.
    pub body: Option<String>,
}

/// The events `since` to `until`, both included, the `limit` lowest of them.
pub async fn range(
    conn: &mut PgConnection,
    (tenant, subscription): (i64, &str),
    (since, until): (i64, i64),
    with_body: bool,
    limit: i64,
) -> Result<Vec<Row>> {
    let query = sqlx::query_as(RANGE).bind(tenant).bind(subscription).bind(since).bind(until).bind(with_body);
    Ok(query.bind(limit).fetch_all(conn).await?)
}
