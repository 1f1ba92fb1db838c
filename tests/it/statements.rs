//! Every SQL constant of the store is prepared against the migrated schema: a misspelt column fails here, not in a clinic.

use std::{fs, path::Path};

use sqlx::{AssertSqlSafe, Connection, Executor, PgConnection, SqlSafeStr};
use syn::{Expr, ExprLit, Item, Lit};

use crate::support::db::db;

/// (file:constant, text) of every string constant that begins like a statement.
fn statements() -> Vec<(String, String)> {
    let store = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/store");
    let mut found = Vec::new();
    // Statements that are put together (`store/search/`) are run by the tests of searches.
    let files = fs::read_dir(store).unwrap().map(|entry| entry.unwrap().path());
    for file in files.filter(|path| path.is_file()) {
        let name = file.file_name().unwrap().to_string_lossy().into_owned();
        let parsed = syn::parse_file(&fs::read_to_string(&file).unwrap()).unwrap();
        for item in parsed.items {
            let Item::Const(constant) = item else { continue };
            let Expr::Lit(ExprLit { lit: Lit::Str(text), .. }) = *constant.expr else { continue };
            let text = text.value();
            if ["select", "insert", "update", "delete", "with"].iter().any(|verb| text.trim_start().starts_with(verb)) {
                found.push((format!("{name}: {}", constant.ident), text));
            }
        }
    }
    found
}

#[tokio::test]
async fn every_statement_of_the_store_can_be_prepared() {
    let database = db().await;
    let mut conn = PgConnection::connect_with(&database.options).await.unwrap();
    let statements = statements();
    assert!(statements.len() > 60, "only {} statements were found", statements.len());
    let mut faults = Vec::new();
    for (name, text) in statements {
        if let Err(error) = conn.prepare(AssertSqlSafe(text).into_sql_str()).await {
            faults.push(format!("{name}: {error}"));
        }
    }
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}
