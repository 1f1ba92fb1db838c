//! The index made anew after search parameters came, went or changed: `sofa reindex`.

use sha2::{Digest, Sha256};
use sqlx::PgPool;

use crate::{
    clock::SharedClock,
    fhir::{json::Limits, resource::Resource, search::Parameters, types},
    interaction::Failure,
    store::{
        self,
        search::reindex::{self as walk, Known},
        wall::Wall,
    },
};

/// Resources in one transaction.
const BATCH: i64 = 200;

/// How far a walk has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Progress {
    pub done: u64,
    pub left: u64,
}

/// The parameters as the index will know them.
fn wanted(parameters: &Parameters) -> Vec<Known> {
    let of_type = |kind: &'static str| {
        parameters.of(kind).filter(|parameter| parameter.has_rows()).map(move |parameter| Known {
            parameter: parameter.id,
            r#type: kind.to_owned(),
            code: parameter.code.clone(),
            definition: parameter.definition.to_vec(),
        })
    };
    let mut wanted: Vec<_> = types::resource_types().flat_map(of_type).collect();
    wanted.sort();
    wanted
}

/// What the index was not made with: `Type.code` of each parameter. An empty database is made with anything.
pub async fn waiting(pool: &PgPool, parameters: &Parameters) -> Result<Vec<String>, Failure> {
    let wanted = wanted(parameters);
    let mut tx = store::begin_behind(pool, &Wall::All).await?;
    let mut known = walk::known(tx.conn()).await?;
    known.sort();
    if known == wanted {
        return Ok(Vec::new());
    }
    if known.is_empty() && walk::left(tx.conn(), (-1, 0)).await? == 0 {
        walk::end(&mut tx, &wanted).await?;
        tx.commit().await?;
        return Ok(Vec::new());
    }
    let is_new = |one: &&Known| known.binary_search(one).is_err();
    let came = wanted.iter().filter(is_new).map(|one| format!("{}.{}", one.r#type, one.code));
    let went =
        known.iter().filter(|one| wanted.binary_search(one).is_err()).map(|one| format!("{}.{}", one.r#type, one.code));
    let mut names: Vec<_> = came.chain(went).collect();
    names.sort();
    names.dedup();
    Ok(names)
}

/// Makes the index of every resource anew, and tells of its progress after each batch. Goes on where an earlier run for the
/// same parameters was stopped. Returns how many resources it indexed.
pub async fn reindex(
    pool: &PgPool,
    clock: &SharedClock,
    parameters: &Parameters,
    base: &str,
    mut tell: impl FnMut(Progress),
) -> Result<u64, Failure> {
    let wanted = wanted(parameters);
    let mut definitions = Sha256::new();
    for one in &wanted {
        definitions.update(one.parameter.to_be_bytes());
        definitions.update(&one.definition);
    }
    let definitions = definitions.finalize();
    let mut tx = store::begin_behind(pool, &Wall::All).await?;
    let mut after = walk::begin(&mut tx, &definitions, clock.now()).await?;
    let left = walk::left(tx.conn(), after).await?;
    tx.commit().await?;
    let mut progress = Progress { done: 0, left: u64::try_from(left).unwrap_or_default() };
    tell(progress);
    // What is stored was checked when it was stored.
    let limits = Limits { depth: usize::from(u8::MAX) };
    loop {
        let mut tx = store::begin_behind(pool, &Wall::All).await?;
        let batch = walk::batch(&mut tx, after, BATCH).await?;
        let Some(last) = batch.last() else {
            walk::end(&mut tx, &wanted).await?;
            tx.commit().await?;
            return Ok(progress.done);
        };
        after = (last.tenant, last.key);
        let count = batch.len() as u64;
        let mut indexed = Vec::with_capacity(batch.len());
        for stored in batch {
            let resource = Resource::parse(&stored.body, &limits).map_err(|issue| {
                tracing::error!(text = issue.text, id = stored.id, "a stored resource is not readable");
                Failure::Internal
            })?;
            let rows = parameters.extract(&resource, &stored.id, base);
            indexed.push((stored, rows));
        }
        walk::replace(&mut tx, &indexed, clock.now()).await?;
        tx.commit().await?;
        progress = Progress { done: progress.done + count, left: progress.left.saturating_sub(count) };
        tell(progress);
    }
}
