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

/// The sources are few: from each, its references and what they lead to are looked up, whatever the statistics say.
const COLUMNS: &str = "select distinct on (t.key) t.tenant, t.type, t.id, t.version, t.updated, t.method, t.context,
  t.poc_client, t.purged, t.body, t.key from unnest(";

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
    sql.bind(sources.iter().map(|source| source.tenant).collect::<Vec<_>>()).push(", ");
    sql.bind(sources.iter().map(|source| source.key).collect::<Vec<_>>()).push(") as s (tenant, key)");
    sql.push(" cross join lateral (select f.target_type, f.target_id from search_reference f");
    sql.push(" where f.tenant = s.tenant and f.key = s.key and f.parameter = any(").bind(parameters.to_vec());
    sql.push(") offset 0) f");
    // The data of a launch may refer to shared data, never the other way round.
    sql.push(" cross join lateral (select * from resource t where ");
    push_tenants(&mut sql, reach, "t");
    sql.push(" and t.type = f.target_type and t.id = f.target_id and ");
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
    sql.bind(targets.iter().map(|target| target.type_name.clone()).collect::<Vec<_>>()).push(", ");
    sql.bind(targets.iter().map(|target| target.id.clone()).collect::<Vec<_>>()).push(") as s (type, id)");
    sql.push(" cross join lateral (select f.tenant, f.key from search_reference f where ");
    push_tenants(&mut sql, reach, "f");
    sql.push(" and f.target_id = s.id and f.target_type = s.type and f.parameter = any(");
    sql.bind(parameters.to_vec()).push(") order by f.key desc limit ").bind(limit).push(") f");
    sql.push(" cross join lateral (select * from resource t where t.tenant = f.tenant and t.key = f.key and ");
    finish(sql, reach, &types, limit).fetch(conn).await
}

fn finish(mut sql: Statement, reach: &Reach, types: &[String], limit: i64) -> Statement {
    push_visible(&mut sql, reach, "t");
    sql.push(" and ");
    push_types(&mut sql, reach, types, "t", None);
    sql.push(" offset 0) t order by t.key desc limit ").bind(limit);
    sql
}
