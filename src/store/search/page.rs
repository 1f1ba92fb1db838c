//! Which resources, in which order, from where on.
//!
//! Pages are cut by the values of the last row shown, never by counting: what is written meanwhile moves nothing that was
//! or will be shown. Without `_sort` the order is that of creation, newest first, which no write changes.
//!
//! A sort by a search parameter walks its index: first the resources that have a value (their least for ascending, their
//! greatest for descending order), then, in a second walk, those that have none.

use serde::{Deserialize, Serialize};
use sqlx::PgConnection;

use super::{
    Reach,
    filter::{Place, push_filters, push_joins},
    statement::{Branch, Statement, joined, push_types_but_joined},
};
use crate::{
    fhir::search::{Direction, Filter, Part, SortBy, SortKey},
    store::{Result, resource::Current},
};

/// A current version with its place in the order.
#[derive(Clone, Debug, sqlx::FromRow)]
pub struct Found {
    #[sqlx(flatten)]
    pub current: Current,
    /// `resource.key`
    pub key: i64,
    /// Its values under the sort keys, as text.
    sort: Vec<Option<String>>,
}

impl Found {
    /// The cursor of this row in a walk by `sort`.
    pub fn cursor(&self, sort: &[SortKey]) -> Cursor {
        let has_value = !walks_twice(sort) || self.sort.first().is_some_and(Option::is_some);
        Cursor { has_value, values: self.sort.clone(), key: self.key }
    }
}

/// A place between two rows.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Cursor {
    /// In the walk over the resources that have a value under the first sort key.
    has_value: bool,
    values: Vec<Option<String>>,
    key: i64,
}

/// Part of the results.
#[derive(Clone, Debug)]
pub struct Window {
    /// Rows at most.
    pub size: usize,
    /// Rows after this one (before, when backward); `None`: from the start (the end).
    pub cursor: Option<Cursor>,
    pub backward: bool,
}

/// The rows of a window, in the order of the results, and whether there are more beyond it in the direction of the walk.
pub async fn page(
    conn: &mut PgConnection,
    reach: &Reach,
    types: &[String],
    filters: &[Filter],
    sort: &[SortKey],
    window: Window,
) -> Result<(Vec<Found>, bool)> {
    let Window { size, mut cursor, backward } = window;
    let wanted = size.saturating_add(1);
    let mut found: Vec<Found> = Vec::new();
    let mut walk = match &cursor {
        _ if !walks_twice(sort) => Walk::All,
        Some(cursor) if cursor.has_value => Walk::WithValue,
        Some(_) => Walk::Without,
        None if backward => Walk::Without,
        None => Walk::WithValue,
    };
    loop {
        let limit = i64::try_from(wanted - found.len()).unwrap_or(i64::MAX);
        let order = Order { sort, walk, backward, cursor: cursor.take() };
        found.extend(statement(Statement::new(), reach, types, filters, &order, limit).fetch::<Found>(conn).await?);
        walk = match (walk, backward) {
            (Walk::WithValue, false) if found.len() < wanted => Walk::Without,
            (Walk::Without, true) if found.len() < wanted => Walk::WithValue,
            _ => break,
        };
    }
    let more = found.len() > size;
    found.truncate(size);
    if backward {
        found.reverse();
    }
    Ok((found, more))
}

/// How Postgres would find the first page, line by line: for whoever wants to know whether an index serves.
pub async fn plan(
    conn: &mut PgConnection,
    reach: &Reach,
    types: &[String],
    filters: &[Filter],
    sort: &[SortKey],
) -> Result<Vec<String>> {
    let walk = if walks_twice(sort) { Walk::WithValue } else { Walk::All };
    let order = Order { sort, walk, backward: false, cursor: None };
    let lines = statement(Statement::explained(), reach, types, filters, &order, 50).fetch::<(String,)>(conn).await?;
    Ok(lines.into_iter().map(|(line,)| line).collect())
}

/// How many resources match.
pub async fn count(conn: &mut PgConnection, reach: &Reach, types: &[String], filters: &[Filter]) -> Result<i64> {
    let mut sql = Statement::new();
    for (index, branch) in Branch::all(reach).iter().enumerate() {
        sql.push(if index == 0 { "select (sum(n))::bigint from (" } else { " union all " });
        sql.push("select count(*) as n from resource r");
        push_body(&mut sql, reach, branch, types, filters, &Order::any());
    }
    sql.push(") as counts");
    let rows: Vec<(Option<i64>,)> = sql.fetch(conn).await?;
    Ok(rows.first().and_then(|(count,)| *count).unwrap_or_default())
}

/// Whether the first sort key may be missing in a resource.
fn walks_twice(sort: &[SortKey]) -> bool {
    matches!(sort.first(), Some(SortKey { by: SortBy::Part(_), .. }))
}

/// Over which resources one statement walks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Walk {
    All,
    /// Those with a value under the first sort key.
    WithValue,
    /// Those without.
    Without,
}

struct Order<'a> {
    sort: &'a [SortKey],
    walk: Walk,
    backward: bool,
    cursor: Option<Cursor>,
}

impl Order<'_> {
    const fn any() -> Self {
        Self { sort: &[], walk: Walk::All, backward: false, cursor: None }
    }

    /// Whether the walk goes up along this key.
    fn ascends(&self, direction: Direction) -> bool {
        (direction == Direction::Ascending) != self.backward
    }
}

fn statement(
    mut sql: Statement,
    reach: &Reach,
    types: &[String],
    filters: &[Filter],
    order: &Order<'_>,
    limit: i64,
) -> Statement {
    sql.push("select r.tenant, r.type, r.id, r.version, r.updated, r.method, r.context, r.poc_client, r.purged, r.body, r.key, array[");
    for index in 0..order.sort.len() {
        sql.push(if index == 0 { "" } else { ", " }).push(&format!("r.v{index}::text"));
    }
    sql.push("]::text[] as sort from (");
    for (index, branch) in Branch::all(reach).iter().enumerate() {
        sql.push(if index == 0 { "(" } else { " union all (" });
        sql.push("select r.*");
        for (index, key) in order.sort.iter().enumerate() {
            sql.push(", ");
            push_value(&mut sql, order, index, key);
            sql.push(&format!(" as v{index}"));
        }
        sql.push(" from resource r");
        push_body(&mut sql, reach, branch, types, filters, order);
        push_order(&mut sql, order, |sql, index, key| push_value(sql, order, index, key));
        sql.push(" limit ").bind(limit).push(")");
    }
    sql.push(") r");
    push_order(&mut sql, order, |sql, index, _| {
        sql.push(&format!("r.v{index}"));
    });
    sql.push(" limit ").bind(limit);
    sql
}

/// Joins and conditions of one branch.
fn push_body(
    sql: &mut Statement,
    reach: &Reach,
    branch: &Branch,
    types: &[String],
    filters: &[Filter],
    order: &Order<'_>,
) {
    let place = Place { reach, r: "r", tenant: branch.tenant(), types };
    let rest = push_joins(sql, place, filters.iter().chain(joined(reach, types)));
    for (index, key) in order.sort.iter().enumerate() {
        let absent = index == 0 && order.walk == Walk::Without;
        if let (SortBy::Part(part), false) = (key.by, absent) {
            let inner = index == 0 && order.walk == Walk::WithValue;
            push_sort_join(sql, branch, index, part, key.direction, inner);
        }
    }
    sql.push(" where ");
    branch.push(sql, "r");
    sql.push(" and ");
    push_types_but_joined(sql, reach, types, "r", branch.tenant());
    push_filters(sql, place, rest);
    if let (Walk::Without, Some(SortKey { by: SortBy::Part(part), .. })) = (order.walk, order.sort.first()) {
        sql.push(" and not exists (select 1 from ").push(table(*part)).push(" o where o.tenant = ");
        branch.push_tenant(sql, "r");
        sql.push(" and o.key = r.key and ");
        push_part(sql, "o", *part);
        sql.push(")");
    }
    if let Some(cursor) = &order.cursor {
        push_cursor(sql, order, cursor);
    }
}

const fn table(part: Part) -> &'static str {
    match part {
        Part::Token(_) => "search_token",
        Part::String(_) => "search_string",
        Part::Time(_) => "search_time",
        Part::Quantity(_) => "search_quantity",
        Part::Reference(_) => "search_reference",
    }
}

fn push_part(sql: &mut Statement, o: &str, part: Part) {
    match part {
        Part::Token(digest) => sql.push(o).push(".digest = ").bind(uuid::Uuid::from_bytes(digest.0)),
        Part::String(parameter) | Part::Time(parameter) | Part::Quantity(parameter) | Part::Reference(parameter) => {
            sql.push(o).push(".parameter = ").bind(parameter)
        }
    };
}

/// The row that a resource is sorted by; one at most.
fn push_sort_join(sql: &mut Statement, branch: &Branch, index: usize, part: Part, direction: Direction, inner: bool) {
    let o = format!("o{index}");
    sql.push(if inner { " join " } else { " left join " });
    if let Part::Reference(parameter) = part {
        // A resource may refer to many under one parameter; none of them is marked.
        sql.push("lateral (select min(f.target_id) as target_id from search_reference f where f.tenant = ");
        branch.push_tenant(sql, "r");
        sql.push(" and f.key = r.key and f.parameter = ").bind(parameter).push(") ").push(&o);
        sql.push(" on ").push(if inner { &o } else { "true" }).push(if inner { ".target_id is not null" } else { "" });
        return;
    }
    sql.push(table(part)).push(" ").push(&o).push(" on ").push(&o).push(".tenant = ");
    branch.push_tenant(sql, "r");
    sql.push(" and ").push(&o).push(".key = r.key and ");
    push_part(sql, &o, part);
    if !matches!(part, Part::Token(_)) {
        sql.push(" and ").push(&o);
        sql.push(if direction == Direction::Ascending { ".is_least" } else { ".is_greatest" });
    }
}

/// The column that holds the value of a sort key.
fn push_value(sql: &mut Statement, order: &Order<'_>, index: usize, key: &SortKey) {
    let column = match (key.by, key.direction) {
        (SortBy::Id, _) => "r.id collate \"C\"",
        (SortBy::Updated, _) => "r.updated",
        (SortBy::Part(_), _) if index == 0 && order.walk == Walk::Without => "null::text",
        (SortBy::Part(Part::Token(_)), _) => "sort",
        (SortBy::Part(Part::String(_)), _) => "folded",
        (SortBy::Part(Part::Reference(_)), _) => "target_id",
        (SortBy::Part(Part::Time(_) | Part::Quantity(_)), Direction::Ascending) => "low",
        (SortBy::Part(Part::Time(_) | Part::Quantity(_)), Direction::Descending) => "high",
    };
    if matches!(key.by, SortBy::Part(_)) && !column.starts_with("null") {
        sql.push(&format!("o{index}."));
    }
    sql.push(column);
}

/// What a cursor's text is cast to.
const fn cast(by: SortBy) -> &'static str {
    match by {
        SortBy::Updated => "::timestamptz",
        SortBy::Part(Part::Time(_)) => "::bigint",
        SortBy::Part(Part::Quantity(_)) => "::numeric",
        SortBy::Id | SortBy::Part(Part::Token(_) | Part::String(_) | Part::Reference(_)) => "::text",
    }
}

/// Resources without a value come last, whatever the direction.
fn push_order(sql: &mut Statement, order: &Order<'_>, push: impl Fn(&mut Statement, usize, &SortKey)) {
    sql.push(" order by ");
    for (index, key) in order.sort.iter().enumerate() {
        if index == 0 && order.walk == Walk::Without {
            continue;
        }
        push(sql, index, key);
        sql.push(if order.ascends(key.direction) { " asc" } else { " desc" });
        // The first key has a value, and the columns of the resource have: the plain order of their index.
        let may_be_null = index > 0 && matches!(key.by, SortBy::Part(_));
        sql.push(match (may_be_null, order.backward) {
            (false, _) => ", ",
            (true, false) => " nulls last, ",
            (true, true) => " nulls first, ",
        });
    }
    sql.push(if order.backward { "r.key asc" } else { "r.key desc" });
}

/// The rows beyond the cursor: equal in the keys before one, beyond it in that one.
fn push_cursor(sql: &mut Statement, order: &Order<'_>, cursor: &Cursor) {
    let first = usize::from(order.walk == Walk::Without);
    let keys: Vec<_> = order.sort.iter().enumerate().skip(first).collect();
    let value = |index: usize| cursor.values.get(index).and_then(Option::as_deref);
    if let Some((index, key)) = keys.first().copied()
        && let Some(value) = value(index)
        && (index == 0)
    {
        // Implied by what follows; it tells the index where to begin.
        sql.push(" and ");
        push_value(sql, order, index, key);
        sql.push(if order.ascends(key.direction) { " >= " } else { " <= " });
        sql.bind(value.to_owned()).push(cast(key.by));
    }
    sql.push(" and (");
    for (nth, (index, key)) in keys.iter().copied().enumerate() {
        sql.push(if nth == 0 { "(" } else { " or (" });
        push_equal(sql, order, &keys[..nth], &value);
        match (value(index), order.backward) {
            (Some(value), backward) => {
                sql.push("(");
                push_value(sql, order, index, key);
                sql.push(if order.ascends(key.direction) { " > " } else { " < " });
                sql.bind(value.to_owned()).push(cast(key.by));
                if !backward && index > 0 {
                    sql.push(" or ");
                    push_value(sql, order, index, key);
                    sql.push(" is null");
                }
                sql.push(")");
            }
            (None, true) => {
                push_value(sql, order, index, key);
                sql.push(" is not null");
            }
            (None, false) => {
                sql.push("false");
            }
        }
        sql.push(")");
    }
    sql.push(if keys.is_empty() { "(" } else { " or (" });
    push_equal(sql, order, &keys, &value);
    sql.push(if order.backward { "r.key > " } else { "r.key < " }).bind(cursor.key).push("))");
}

/// `… and ` for each key: as in the cursor.
fn push_equal<'v>(
    sql: &mut Statement,
    order: &Order<'_>,
    keys: &[(usize, &SortKey)],
    value: &impl Fn(usize) -> Option<&'v str>,
) {
    for (index, key) in keys.iter().copied() {
        push_value(sql, order, index, key);
        match value(index) {
            Some(value) => sql.push(" = ").bind(value.to_owned()).push(cast(key.by)),
            None => sql.push(" is null"),
        };
        sql.push(" and ");
    }
}
