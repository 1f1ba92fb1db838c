//! The second wall: Postgres shows each transaction only the resources of the caller it acts for.
//!
//! The statements of this program name the rows that a caller may see ([`super::resource::Visible`]). The policies of
//! `migrations/0004_wall.sql` say it once more, from a [`Wall`], which is made of the caller alone and never of a permit: a
//! mistake in one of the two shows nobody else's resources.
//!
//! Policies do not hold for a superuser, nor for a role with `BYPASSRLS`. Where the connecting role is one, every connection
//! of the pool acts as [`ROLE`], which can do nothing but read and write the tables.

use sqlx::{Connection, PgConnection, PgPool};
use uuid::Uuid;

use super::{Error, Result};

/// The role that statements run under where the connecting role would not stand behind the wall. There is one in a cluster,
/// whatever the number of databases; it cannot sign in.
pub const ROLE: &str = "sofa_walled";

/// Of which resources a transaction sees and writes anything.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Wall {
    /// Of all: background work, and what ends a write or a context.
    All,
    /// What is shared, and what a launch holds or links.
    Launch { tenant: i64, context: Uuid },
    /// What is shared, and what a PoC's contexts hold or it keeps itself.
    Poc { tenant: i64, client: String },
    /// What is shared, which may be written too.
    Service,
    /// What is shared, to be read only.
    Shared,
    /// Of no resource but what is shared, and of audit rows: those of one organisation, or all.
    Auditor { tenant: Option<i64> },
}

impl Wall {
    /// The statements that say so, until the end of a transaction: what the policies read.
    pub(super) fn statements(&self) -> String {
        let (wall, tenant, context, client) = match self {
            Self::All => ("off", NOBODY, Uuid::nil(), ""),
            Self::Launch { tenant, context } => ("on", *tenant, *context, ""),
            Self::Poc { tenant, client } => ("on", *tenant, Uuid::nil(), client.as_str()),
            Self::Service => ("on", 0, Uuid::nil(), ""),
            Self::Shared | Self::Auditor { .. } => ("on", NOBODY, Uuid::nil(), ""),
        };
        let audit = match self {
            Self::Auditor { tenant: None } => "; set local sofa.audit = 'all'".to_owned(),
            Self::Auditor { tenant: Some(tenant) } => format!("; set local sofa.audit = '{tenant}'"),
            _ => String::new(),
        };
        // In this form of a string backslashes mean the same whatever the server's settings are.
        let client = client.replace('\\', "\\\\").replace('\'', "''");
        format!(
            "set local sofa.wall = {wall}; set local sofa.tenant = '{tenant}'; set local sofa.context = '{context}'; \
             set local sofa.client = E'{client}'{audit}"
        )
    }
}

/// No row has this tenant.
const NOBODY: i64 = -1;

const WHO: &str =
    "select rolname::text, rolsuper or rolbypassrls as bypasses from pg_roles where rolname = current_user";
// The search path may name the connecting role ("$user"), so it is settled before the role changes.
const ENTER: &str = "select set_config('search_path',
      (select string_agg(quote_ident(name), ', ') from unnest(current_schemas(false)) as name), false),
    set_config('role', $1, false)
  from pg_roles where rolname = current_user and (rolsuper or rolbypassrls)";
const IS_ACTIVE: &str = "select row_security_active('resource') and row_security_active('resource_history')
  and row_security_active('intent_change') and row_security_active('audit')";
// Other databases of the cluster may make the role at the same moment, other replicas of this one grant the same.
const MAKE_ROLE: &str = "do $$
declare
  home regnamespace := (select relnamespace from pg_class where oid = 'resource'::regclass);
  form text := case when current_setting('server_version_num')::int >= 160000 then 'set' else 'member' end;
  name regclass;
begin
  perform pg_advisory_xact_lock('resource'::regclass::oid::bigint);
  if not exists (select from pg_roles where rolname = 'sofa_walled') then
    begin
      create role sofa_walled nologin nosuperuser nobypassrls;
    exception when duplicate_object or unique_violation then null;
    end;
  end if;
  if not pg_has_role(current_user, 'sofa_walled', form) then
    execute format('grant sofa_walled to %I', current_user);
  end if;
  execute format('grant usage on schema %s to sofa_walled', home);
  for name in select oid from pg_class where relnamespace = home and relkind in ('r', 'p')
      and relname <> '_sqlx_migrations' and pg_has_role(current_user, relowner, 'usage')
      and relname not in ('audit', 'audit_seal')
      and not (has_table_privilege('sofa_walled', oid, 'select') and has_table_privilege('sofa_walled', oid, 'insert')
        and has_table_privilege('sofa_walled', oid, 'update') and has_table_privilege('sofa_walled', oid, 'delete')) loop
    execute format('grant select, insert, update, delete on %s to sofa_walled', name);
  end loop;
  -- To the audit trail rows are added, and nothing else is done by anybody.
  for name in select oid from pg_class where relnamespace = home and relname in ('audit', 'audit_seal')
      and pg_has_role(current_user, relowner, 'usage')
      and not (has_table_privilege('sofa_walled', oid, 'select') and has_table_privilege('sofa_walled', oid, 'insert')) loop
    execute format('grant select, insert on %s to sofa_walled', name);
  end loop;
end
$$";

/// Sees to it that the connections of [`super::pool`] stand behind the wall: makes [`ROLE`] where it is needed, and asks
/// Postgres whether the policies hold. `pool` is that of the connecting role; the schema is up to date.
///
/// # Errors
/// [`Error::NoWall`] when the connecting role bypasses the policies and may not make a role that does not.
pub async fn raise(pool: &PgPool) -> Result<()> {
    let mut conn = pool.acquire().await?;
    let (role, bypasses): (String, bool) = sqlx::query_as(WHO).fetch_one(&mut *conn).await?;
    let no_wall = |reason: &str| Error::NoWall { role: role.clone(), reason: reason.to_owned() };
    if bypasses {
        sqlx::raw_sql(MAKE_ROLE).execute(&mut *conn).await.map_err(|error| match &error {
            sqlx::Error::Database(said) if said.code().as_deref() == Some(FORBIDDEN) => no_wall(said.message()),
            _ => error.into(),
        })?;
    }
    // The role goes with the transaction.
    let mut tx = conn.begin().await?;
    enter(&mut tx).await?;
    let is_active: bool = sqlx::query_scalar(IS_ACTIVE).fetch_one(&mut *tx).await?;
    tx.rollback().await?;
    if is_active { Ok(()) } else { Err(no_wall("the policies are not in force for sofa_walled either")) }
}

/// Insufficient privilege.
const FORBIDDEN: &str = "42501";

/// Steps behind the wall, for good, if the connecting role stands before it.
pub(super) async fn enter(conn: &mut PgConnection) -> std::result::Result<(), sqlx::Error> {
    sqlx::query(ENTER).bind(ROLE).execute(conn).await?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_client_is_one_string_whatever_it_is_called() {
        let poc = Wall::Poc { tenant: 7, client: r"o'b\r\'; set local sofa.wall = off; --".to_owned() };
        let statements = poc.statements();
        assert!(statements.ends_with(r"sofa.client = E'o''b\\r\\''; set local sofa.wall = off; --'"), "{statements}");
    }
}
