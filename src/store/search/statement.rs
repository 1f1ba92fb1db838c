//! Text and binds of one statement.

use sqlx::{Encode, FromRow, PgConnection, Postgres, QueryBuilder, Type, postgres::PgRow};
use uuid::Uuid;

use super::{
    Reach,
    filter::{Place, push_either, push_filters},
};
use crate::{
    fhir::search::{Filter, Limit, Share, Whose},
    store::Result,
};

/// A statement in the making. Text is appended as it stands in this program; whatever comes from a request is bound.
pub struct Statement {
    builder: QueryBuilder<Postgres>,
    aliases: u32,
}

/// A table alias, such as `s3`.
pub type Alias = String;

impl Statement {
    pub fn new() -> Self {
        Self { builder: QueryBuilder::new(""), aliases: 0 }
    }

    /// One that tells how Postgres would do it, line by line, instead of doing it.
    pub fn explained() -> Self {
        Self { builder: QueryBuilder::new("explain (costs off) "), aliases: 0 }
    }

    /// A name that no other table of the statement has.
    pub fn alias(&mut self, stem: &'static str) -> Alias {
        self.aliases += 1;
        format!("{stem}{}", self.aliases)
    }

    /// Appends text of this program.
    pub fn push(&mut self, text: &str) -> &mut Self {
        self.builder.push(text);
        self
    }

    /// Appends a bound value.
    pub fn bind<'v, T: Encode<'v, Postgres> + Type<Postgres> + 'v>(&mut self, value: T) -> &mut Self {
        self.builder.push_bind(value);
        self
    }

    /// The rows it gives.
    pub async fn fetch<R: for<'r> FromRow<'r, PgRow> + Send + Unpin>(
        mut self,
        conn: &mut PgConnection,
    ) -> Result<Vec<R>> {
        // The shapes are many and the values decide about the plan: no statement is kept.
        Ok(self.builder.build_query_as().persistent(false).fetch_all(conn).await?)
    }
}

/// Part of what a caller sees, with an index of its own.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Branch {
    /// The jurisdiction's data.
    Shared,
    /// What this context holds.
    Context { tenant: i64, context: Uuid },
    /// What another context holds and this one links.
    Linked { tenant: i64, context: Uuid },
    /// What this PoC's contexts hold, and what it keeps itself.
    Poc { tenant: i64, client: String },
    /// Every row ([`Visible::everything`](crate::store::resource::Visible::everything)).
    Everything,
}

impl Branch {
    /// The branches of what is visible; they have no row in common.
    pub fn all(reach: &Reach) -> Vec<Self> {
        let visible = &reach.visible;
        if visible.is_everything() {
            return vec![Self::Everything];
        }
        let tenant = visible.tenant;
        let mut branches = vec![Self::Shared];
        if tenant == 0 {
            return branches;
        }
        if let Some(context) = visible.context {
            branches.extend([Self::Context { tenant, context }, Self::Linked { tenant, context }]);
        }
        if let Some(client) = &visible.poc_client {
            branches.push(Self::Poc { tenant, client: client.clone() });
        }
        branches
    }

    /// The tenant of its rows, if they have one.
    pub const fn tenant(&self) -> Option<i64> {
        match self {
            Self::Shared => Some(0),
            Self::Context { tenant, .. } | Self::Linked { tenant, .. } | Self::Poc { tenant, .. } => Some(*tenant),
            Self::Everything => None,
        }
    }

    /// The tenant of its row `r`.
    pub fn push_tenant(&self, sql: &mut Statement, r: &str) {
        match self.tenant() {
            Some(tenant) => sql.bind(tenant),
            None => sql.push(r).push(".tenant"),
        };
    }

    /// The condition that a row of `resource` is one of this branch.
    pub fn push(&self, sql: &mut Statement, r: &str) {
        sql.push(r).push(".tenant = ");
        self.push_tenant(sql, r);
        match self {
            Self::Shared | Self::Everything => {}
            Self::Context { context, .. } => {
                sql.push(" and ").push(r).push(".context = ").bind(*context);
            }
            Self::Linked { context, tenant } => {
                sql.push(" and ").push(r).push(".context is distinct from ").bind(*context);
                sql.push(" and (")
                    .push(r)
                    .push(".type, ")
                    .push(r)
                    .push(".id) in (select l.type, l.id from context_link l");
                sql.push(" where l.context = ").bind(*context).push(" and l.tenant = ").bind(*tenant).push(")");
            }
            Self::Poc { client, .. } => {
                sql.push(" and ").push(r).push(".poc_client = ").bind(client.clone());
            }
        }
        sql.push(" and not ").push(r).push(".purged and ").push(r).push(".body is not null");
    }
}

/// The condition that a row of `resource`, of whatever branch, is visible and not deleted.
pub fn push_visible(sql: &mut Statement, reach: &Reach, r: &str) {
    let branches = Branch::all(reach);
    sql.push("(");
    for (index, branch) in branches.iter().enumerate() {
        sql.push(if index == 0 { "" } else { " or " });
        branch.push(sql, r);
    }
    sql.push(")");
}

/// The condition that a row of the index is of a tenant that is visible.
pub fn push_tenants(sql: &mut Statement, reach: &Reach, f: &str) {
    if reach.visible.is_everything() {
        sql.push("true");
        return;
    }
    let mut tenants = vec![0, reach.visible.tenant];
    tenants.dedup();
    sql.push(f).push(".tenant = any(").bind(tenants).push(")");
}

/// The condition that a row of `resource` is of one of these types, each within its limit. False without a type that the
/// caller may search.
pub fn push_types(sql: &mut Statement, reach: &Reach, types: &[String], r: &str, tenant: Option<i64>) {
    push_limited(sql, reach, types, (r, tenant), true);
}

/// The same, but for the conditions of [`joined`]: they stand among the joins.
pub fn push_types_but_joined(sql: &mut Statement, reach: &Reach, types: &[String], r: &str, tenant: Option<i64>) {
    push_limited(sql, reach, types, (r, tenant), joined(reach, types).is_empty());
}

/// Conditions that hold of all that may be found of these types, beside whose it is.
pub fn joined<'r>(reach: &'r Reach, types: &[String]) -> &'r [Filter] {
    match types {
        [only] => match reach.types.get(only) {
            Some(Limit::AnyOf(shares)) if shares.len() == 1 => &shares[0].filters,
            _ => &[],
        },
        _ => &[],
    }
}

fn push_limited(
    sql: &mut Statement,
    reach: &Reach,
    types: &[String],
    (r, tenant): (&str, Option<i64>),
    with_filters: bool,
) {
    let mut whole = Vec::new();
    let mut limited: Vec<(&[Share], Vec<String>)> = Vec::new();
    for name in types {
        match reach.types.get(name) {
            None => {}
            Some(Limit::Everything) => whole.push(name.clone()),
            Some(Limit::AnyOf(shares)) => match limited.iter_mut().find(|(own, _)| *own == shares.as_slice()) {
                Some((_, names)) => names.push(name.clone()),
                None => limited.push((shares, vec![name.clone()])),
            },
        }
    }
    if whole.is_empty() && limited.is_empty() {
        sql.push("false");
        return;
    }
    sql.push("(");
    push_type_names(sql, &whole, r);
    for (index, (shares, names)) in limited.into_iter().enumerate() {
        sql.push(if index == 0 && whole.is_empty() { "" } else { " or " });
        push_type_names(sql, &names, r);
        sql.push(" and ");
        let place = Place { reach, r, tenant, types: &names };
        push_either(sql, shares, |sql, share| {
            push_whose(sql, place, &share.whose);
            if with_filters {
                push_filters(sql, place, &share.filters);
            }
        });
    }
    sql.push(")");
}

/// The condition on whose a resource is. Its type is one that belongs to patients: [`Limit::for_type`].
fn push_whose(sql: &mut Statement, place: Place<'_>, whose: &Whose) {
    match (whose, place.tenant) {
        (Whose::Anybodys, _) => drop(sql.push("true")),
        (Whose::Patient(patient), _) => push_belongs(sql, place, std::slice::from_ref(patient)),
        (Whose::OfShared(patients), Some(0)) => push_belongs(sql, place, patients),
        (Whose::OfShared(_), Some(_)) => drop(sql.push("true")),
        (Whose::OfShared(patients), None) => {
            sql.push("(").push(place.r).push(".tenant <> 0 or ");
            push_belongs(sql, place, patients);
            sql.push(")");
        }
    }
}

fn push_belongs(sql: &mut Statement, place: Place<'_>, patients: &[String]) {
    if patients.is_empty() {
        sql.push("false");
        return;
    }
    sql.push("exists (select 1 from search_reference c where c.key = ").push(place.r).push(".key and c.tenant = ");
    match place.tenant {
        Some(tenant) => sql.bind(tenant),
        None => sql.push(place.r).push(".tenant"),
    };
    sql.push(" and c.parameter = ").bind(place.reach.patients);
    sql.push(" and c.target_type = 'Patient' and c.target_id = ");
    match patients {
        [patient] => sql.bind(patient.clone()),
        patients => sql.push("any(").bind(patients.to_vec()).push(")"),
    };
    sql.push(")");
}

fn push_type_names(sql: &mut Statement, names: &[String], r: &str) {
    match names {
        [] => {}
        // A constant lets the index give its rows in order.
        [name] => {
            sql.push(r).push(".type = ").bind(name.clone());
        }
        names => {
            sql.push(r).push(".type = any(").bind(names.to_vec()).push(")");
        }
    }
}
