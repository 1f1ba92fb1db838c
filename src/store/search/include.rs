//! What pages bring along: the resources they refer to (`_include`), and those that refer to them (`_revinclude`).

use sqlx::PgConnection;

use super::{
    Reach,
    statement::{Statement, push_tenants, push_types, push_visible},
};
use crate::store::{Result, resource::Current};

/// A current version that was brought along.
#[derive(Clone, Debug, sqlx::FromRow)]
pub struct Included {
    #[sqlx(flatten)]
    pub current: Current,
    /// `resource.key`
    pub key: i64,
}

/// A resource that something is included of: its keys.
#[derive(Clone, Debug)]
pub struct Source {
    pub tenant: i64,
    pub key: i64,
    pub type_name: String,
    pub id: String,
}

const COLUMNS: &str = "select distinct on (t.key) t.tenant, t.type, t.id, t.version, t.updated, t.method, t.context,
  t.poc_client, t.purged, t.body, t.key from search_reference f";

/// The visible resources that `sources` refer to under these parameters, of one type where it is said; at most `limit`.
pub async fn included(
    conn: &mut PgConnection,
    reach: &Reach,
    sources: &[Source],
    parameters: &[i32],
    target: Option<&str>,
    limit: i64,
) -> Result<Vec<Included>> {
    let types: Vec<String> = match target {
        Some(target) => vec![target.to_owned()],
        None => reach.types.keys().cloned().collect(),
    };
    let mut sql = Statement::new();
    sql.push(COLUMNS);
    sql.push(" join unnest(").bind(sources.iter().map(|source| source.tenant).collect::<Vec<_>>()).push(", ");
    sql.bind(sources.iter().map(|source| source.key).collect::<Vec<_>>()).push(") as s (tenant, key)");
    sql.push(" on f.tenant = s.tenant and f.key = s.key");
    // The data of a launch may refer to shared data, never the other way round.
    sql.push(" join resource t on t.tenant in (0, f.tenant) and t.type = f.target_type and t.id = f.target_id");
    sql.push(" where f.parameter = any(").bind(parameters.to_vec()).push(") and ");
    finish(sql, reach, &types, limit).fetch(conn).await
}

/// The visible resources of `kind` that refer to `targets` under these parameters; at most `limit`.
pub async fn referring(
    conn: &mut PgConnection,
    reach: &Reach,
    targets: &[Source],
    kind: Option<&str>,
    parameters: &[i32],
    limit: i64,
) -> Result<Vec<Included>> {
    let types: Vec<String> = match kind {
        Some(kind) => vec![kind.to_owned()],
        None => reach.types.keys().cloned().collect(),
    };
    let mut sql = Statement::new();
    sql.push(COLUMNS);
    sql.push(" join unnest(")
        .bind(targets.iter().map(|target| target.type_name.clone()).collect::<Vec<_>>())
        .push(", ");
    sql.bind(targets.iter().map(|target| target.id.clone()).collect::<Vec<_>>()).push(") as s (type, id)");
    sql.push(" on f.target_type = s.type and f.target_id = s.id");
    sql.push(" join resource t on t.tenant = f.tenant and t.key = f.key");
    sql.push(" where ");
    push_tenants(&mut sql, reach, "f");
    sql.push(" and f.parameter = any(").bind(parameters.to_vec()).push(") and ");
    finish(sql, reach, &types, limit).fetch(conn).await
}

fn finish(mut sql: Statement, reach: &Reach, types: &[String], limit: i64) -> Statement {
    push_visible(&mut sql, reach, "t");
    sql.push(" and ");
    push_types(&mut sql, reach, types, "t", None);
    sql.push(" order by t.key desc limit ").bind(limit);
    sql
}
