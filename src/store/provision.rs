//! The Postgres itself: its version, and the databases of an embedded one, made and made again.

use sqlx::{AssertSqlSafe, PgConnection, PgPool};

use super::Result;

const EXISTS: &str = "select exists (select from pg_database where datname = $1)";
const VERSION: &str = "select current_setting('server_version_num')::int";

/// The version of the server: 150018 is 15.18.
pub async fn version(pool: &PgPool) -> Result<i32> {
    Ok(sqlx::query_scalar(VERSION).fetch_one(pool).await?)
}

/// Makes `database` unless it is there. Two processes may ask at once.
pub async fn ensure(conn: &mut PgConnection, database: &str) -> Result<()> {
    if exists(conn, database).await? {
        return Ok(());
    }
    let made = sqlx::raw_sql(AssertSqlSafe(format!("create database {}", quoted(database)))).execute(&mut *conn).await;
    match made {
        Ok(_) => Ok(()),
        Err(_) if exists(conn, database).await? => Ok(()),
        Err(error) => Err(error.into()),
    }
}

/// Drops `database` with everything in it, sessions included, and makes it anew.
pub async fn recreate(conn: &mut PgConnection, database: &str) -> Result<()> {
    let name = quoted(database);
    for statement in [format!("drop database if exists {name} with (force)"), format!("create database {name}")] {
        sqlx::raw_sql(AssertSqlSafe(statement)).execute(&mut *conn).await?;
    }
    Ok(())
}

async fn exists(conn: &mut PgConnection, database: &str) -> Result<bool> {
    Ok(sqlx::query_scalar(EXISTS).bind(database).fetch_one(conn).await?)
}

/// As an SQL identifier.
fn quoted(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}
