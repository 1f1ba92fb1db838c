//! `sofa audit`: the trail for whoever keeps, checks or follows it.

use std::fs::File;
use std::io::{BufRead, BufReader, BufWriter, Write};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail, ensure};
use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use super::database;
use crate::access::audit::chain::Walk;
use crate::access::audit::seal::{self, Part};
use crate::config::Config;
use crate::id::token_digest;
use crate::secret::Sealer;
use crate::store;
use crate::store::audit_seal::Seal;

#[derive(clap::Subcommand)]
pub(super) enum Command {
    /// Write the trail as lines of JSON: rows, and after each some thousand their seal (digest, signature, public key)
    Export(Export),
    /// Check that no row was changed, removed, added or swapped since it was sealed: in a file of `export`, or in the database
    Verify(Verify),
    /// Tell everything about one launch: what was asked, granted and withheld, every step and refusal
    Launch {
        /// The launchID that $set-context answered, or the context's id as AuditEvents name it
        launch: String,
    },
}

#[derive(clap::Args)]
pub(super) struct Export {
    /// From this time on (RFC 3339, such as 2026-01-31T00:00:00Z); whole seals are written
    #[arg(long, value_parser = instant)]
    since: Option<OffsetDateTime>,
    /// To before this time
    #[arg(long, value_parser = instant)]
    until: Option<OffsetDateTime>,
    /// The file; otherwise standard output
    #[arg(long)]
    out: Option<PathBuf>,
}

#[derive(clap::Args)]
pub(super) struct Verify {
    /// A file of `sofa audit export`; otherwise the database is checked
    file: Option<PathBuf>,
    /// Believe only the keys of this JWKS file, such as one that was kept of /jwks
    #[arg(long, value_name = "FILE")]
    jwks: Option<PathBuf>,
    /// Demand that there is a seal with this number: shows that the end was not cut off
    #[arg(long, value_name = "NUMBER")]
    at_least: Option<i64>,
}

fn instant(text: &str) -> Result<OffsetDateTime, time::error::Parse> {
    OffsetDateTime::parse(text, &Rfc3339)
}

pub(super) async fn run(command: Command, config: Config) -> Result<()> {
    match command {
        Command::Export(export) => self::export(&export, config).await,
        Command::Verify(verify) => self::verify(&verify, config).await,
        Command::Launch { launch } => self::launch(&launch, config).await,
    }
}

/// A seal as a line.
#[derive(Serialize, Deserialize)]
struct Line {
    seal: Sealed,
}

#[derive(Serialize, Deserialize)]
struct Sealed {
    number: i64,
    first: i64,
    last: i64,
    rows: i64,
    previous: String,
    digest: String,
    #[serde(with = "time::serde::rfc3339")]
    sealed_at: OffsetDateTime,
    jws: String,
    public_key: Value,
    proof: String,
}

impl Sealed {
    fn of(seal: Seal) -> Self {
        Self {
            number: seal.number,
            first: seal.first_seq,
            last: seal.last_seq,
            rows: seal.rows,
            previous: URL_SAFE_NO_PAD.encode(&seal.previous),
            digest: URL_SAFE_NO_PAD.encode(&seal.digest),
            sealed_at: seal.sealed_at,
            jws: seal.jws,
            public_key: seal.public_key,
            proof: URL_SAFE_NO_PAD.encode(&seal.proof),
        }
    }

    fn seal(self) -> Result<Seal> {
        Ok(Seal {
            number: self.number,
            first_seq: self.first,
            last_seq: self.last,
            rows: self.rows,
            previous: URL_SAFE_NO_PAD.decode(self.previous)?,
            digest: URL_SAFE_NO_PAD.decode(self.digest)?,
            jws: self.jws,
            public_key: self.public_key,
            proof: URL_SAFE_NO_PAD.decode(self.proof)?,
            sealed_at: self.sealed_at,
        })
    }
}

async fn export(export: &Export, config: Config) -> Result<()> {
    let opened = database::open(config).await?;
    let mut out: Box<dyn Write> = match &export.out {
        Some(path) => Box::new(File::create(path).with_context(|| format!("{}", path.display()))?),
        None => Box::new(std::io::stdout().lock()),
    };
    let (mut rows, mut last) = (0_u64, None);
    let mut out = BufWriter::new(&mut out);
    seal::tell(&opened.pool, (export.since, export.until), |part| -> Result<()> {
        match part {
            Part::Row(_, line) => {
                rows += 1;
                writeln!(out, "{line}")?;
            }
            Part::Seal(seal) => {
                last = Some(seal.number);
                serde_json::to_writer(&mut out, &Line { seal: Sealed::of(*seal) })?;
                writeln!(out)?;
            }
        }
        Ok(())
    })
    .await?;
    out.flush()?;
    let last = last.map_or_else(|| "no seal".to_owned(), |number| format!("seal {number} is the last"));
    eprintln!("{rows} rows; {last}");
    Ok(())
}

async fn verify(verify: &Verify, config: Config) -> Result<()> {
    let kids = verify.jwks.as_deref().map(kids).transpose()?;
    match &verify.file {
        Some(path) => {
            let sealer = sealer(&config)?;
            let walk = along(path, sealer.as_ref(), kids)?;
            judge(&walk, verify.at_least)
        }
        None => {
            let opened = database::open(config).await?;
            let sealer = sealer(&opened.config)?;
            let walk = seal::verify(&opened.pool, sealer.as_ref(), kids).await?;
            judge(&walk, verify.at_least)
        }
    }
}

/// Where the master key is known, nobody without it can have made the seals.
fn sealer(config: &Config) -> Result<Option<Sealer>> {
    let Some(key) = &config.security.master_key else { return Ok(None) };
    let key = STANDARD.decode(key.expose().trim()).context("security.master_key is not base64")?;
    Sealer::new(&key).map(Some).context("security.master_key must be 32 bytes in base64")
}

fn kids(path: &Path) -> Result<Vec<String>> {
    let text = std::fs::read_to_string(path).with_context(|| format!("{}", path.display()))?;
    let set: jsonwebtoken::jwk::JwkSet = serde_json::from_str(&text).context("this is no JWKS")?;
    let thumbprint = |key: &jsonwebtoken::jwk::Jwk| key.thumbprint(jsonwebtoken::jwk::ThumbprintHash::SHA256);
    Ok(set.keys.iter().map(thumbprint).collect::<Result<_, _>>()?)
}

fn along<'a>(path: &Path, sealer: Option<&'a Sealer>, kids: Option<Vec<String>>) -> Result<Walk<'a>> {
    let file = File::open(path).with_context(|| format!("{}", path.display()))?;
    let mut walk = Walk::begin(sealer, kids, false);
    for (number, line) in BufReader::new(file).lines().enumerate() {
        let line = line?;
        let value: Value = serde_json::from_str(&line).with_context(|| format!("line {}", number + 1))?;
        if value.get("seal").is_some() {
            let line: Line = serde_json::from_value(value).with_context(|| format!("line {}", number + 1))?;
            walk.seal(&line.seal.seal()?);
        } else {
            let seq = value["seq"].as_i64().with_context(|| format!("line {} is no row", number + 1))?;
            walk.row(seq, line);
        }
    }
    Ok(walk)
}

fn judge(walk: &Walk<'_>, at_least: Option<i64>) -> Result<()> {
    let (last, unsealed) = walk.end();
    for wrong in &walk.wrong {
        println!("{wrong}");
    }
    ensure!(walk.wrong.is_empty(), "the trail is not what was sealed");
    if let Some(number) = at_least.filter(|number| last < *number) {
        bail!("the last seal is number {last}: those up to {number} are missing");
    }
    println!("{} rows up to seal {last} are as they were sealed; {unsealed} rows are not sealed yet", walk.sealed);
    for key in &walk.keys {
        println!("signed with the key {key}");
    }
    Ok(())
}

/// Rows of a launch that are told at most.
const MOST_STEPS: i64 = 10_000;

async fn launch(launch: &str, config: Config) -> Result<()> {
    let opened = database::open(config).await?;
    let wall = store::Wall::Auditor { tenant: None };
    let mut conn = store::read(&opened.pool, &wall).await?;
    let context = match launch.parse() {
        Ok(id) => store::context::find(&mut conn, id).await?,
        Err(_) => store::context::find_by_launch(&mut conn, &token_digest(launch)).await?,
    };
    let context = context.context("there is no such launch")?;
    let at = |at: OffsetDateTime| at.format(&Rfc3339).unwrap_or_default();
    println!("context   {}", context.id);
    println!("made      {} by {} of organisation {}", at(context.created_at), context.poc_client, context.tenant);
    println!("for       {}", context.app_id.as_deref().unwrap_or("any app"));
    match (context.cleared_at, context.expires_at) {
        (Some(cleared), _) => println!("cleared   {}", at(cleared)),
        (None, expires) => println!("expires   {}", at(expires)),
    }
    let owner = context.owner_user.map_or_else(|| "nobody yet".to_owned(), |user| user.to_string());
    println!("owned by  {owner}\n");
    for row in store::audit::of_context(&mut conn, context.id, MOST_STEPS).await? {
        let texts = [row.client_id, row.user_id.map(|user| user.to_string()), row.target, row.query, row.detail];
        let texts: Vec<_> = texts.into_iter().flatten().collect();
        println!("{}  {:8} {:16} {}", at(row.at), row.outcome, row.action, texts.join("  "));
    }
    Ok(())
}
