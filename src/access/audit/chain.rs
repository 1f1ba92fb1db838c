//! The chain of seals: what each holds, and whether rows fit it.
//!
//! ```text
//! digest  = SHA-256(previous digest ‖ row ‖ "\n" ‖ row ‖ "\n" …)      rows as lines of JSON, in the order of their numbers
//! jws     = JWT of type audit-seal+jwt, signed as ID tokens are: number, first, last, rows, previous, digest
//! proof   = the digest under the master key: whoever can write to the database, and make keys, still cannot make this
//! ```
//!
//! A seal speaks for all numbers from the one after the last of the seal before it. A changed, removed, added or swapped row
//! changes the digest, and with it all that follow. Numbers that were never used (of transactions that were rolled back)
//! are no rows. What nothing in the database can show is that the newest seals were cut off together with their rows: that
//! shows against an export, or a number that was written down (`sofa audit verify --at-least`).

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use jsonwebtoken::{DecodingKey, jwk::Jwk};
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use crate::{
    secret::Sealer,
    store::{audit::Stored, audit_seal::Seal},
    token::key_set::signature_of,
};

/// The type of the signed part.
pub const TYPE: &str = "audit-seal+jwt";

/// What goes before the first seal.
pub const BEGINNING: [u8; 32] = [0; 32];

/// A row as a line, without its end.
pub fn line(row: &Stored) -> serde_json::Result<String> {
    serde_json::to_string(row)
}

/// The purpose that a proof is sealed for.
pub fn purpose(number: i64) -> String {
    format!("audit_seal.proof {number}")
}

/// What is signed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Claims {
    pub iss: String,
    pub iat: i64,
    pub number: i64,
    pub first: i64,
    pub last: i64,
    pub rows: i64,
    /// base64url.
    pub previous: String,
    pub digest: String,
}

impl Claims {
    /// Those of a seal.
    pub fn of(seal: &Seal, issuer: &str) -> Self {
        Self {
            iss: issuer.to_owned(),
            iat: seal.sealed_at.unix_timestamp(),
            number: seal.number,
            first: seal.first_seq,
            last: seal.last_seq,
            rows: seal.rows,
            previous: URL_SAFE_NO_PAD.encode(&seal.previous),
            digest: URL_SAFE_NO_PAD.encode(&seal.digest),
        }
    }
}

/// The digest of rows in the making.
pub struct Hasher {
    hash: Sha256,
    rows: i64,
}

impl Hasher {
    /// Begins after a seal with this digest.
    pub fn after(previous: &[u8]) -> Self {
        Self { hash: Sha256::new_with_prefix(previous), rows: 0 }
    }

    /// Adds a row's line.
    pub fn add(&mut self, line: &str) {
        self.hash.update(line);
        self.hash.update("\n");
        self.rows += 1;
    }

    /// The digest, and of how many rows.
    pub fn finish(self) -> (Vec<u8>, i64) {
        (self.hash.finalize().to_vec(), self.rows)
    }
}

/// What is wrong with a trail.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Wrong {
    #[error("seal {0} is missing")]
    Missing(i64),
    #[error("seal {0} does not follow the one before it")]
    NotNext(i64),
    #[error(
        "the rows {first} to {last} are not those that seal {number} was made of: rows were changed, removed or added"
    )]
    Rows { number: i64, first: i64, last: i64 },
    #[error("row {0} stands where it does not belong")]
    Misplaced(i64),
    #[error("the signature of seal {0} does not fit it")]
    Signature(i64),
    #[error("the key of seal {0} is not one of those that are believed")]
    Key(i64),
    #[error("seal {0} was not made with this deployment's master key")]
    Proof(i64),
}

/// Goes along a trail: rows and seals in their order, each row before the seal that seals it.
pub struct Walk<'a> {
    /// Opens proofs; without it they are not looked at.
    sealer: Option<&'a Sealer>,
    /// Key ids that are believed; without any, that of the seal itself.
    kids: Option<Vec<String>>,
    /// The last good seal: number, last row, digest.
    last: Option<(i64, i64, Vec<u8>)>,
    rows: Vec<(i64, String)>,
    /// What was found.
    pub wrong: Vec<Wrong>,
    /// How many rows are sealed.
    pub sealed: i64,
    /// The ids of the keys that were used.
    pub keys: std::collections::BTreeSet<String>,
}

impl<'a> Walk<'a> {
    /// Begins. `from_the_beginning`: the first seal must be number 1.
    pub fn begin(sealer: Option<&'a Sealer>, kids: Option<Vec<String>>, from_the_beginning: bool) -> Self {
        let last = from_the_beginning.then(|| (0, 0, BEGINNING.to_vec()));
        Self { sealer, kids, last, rows: Vec::new(), wrong: Vec::new(), sealed: 0, keys: Default::default() }
    }

    /// The next row.
    pub fn row(&mut self, seq: i64, line: String) {
        let before = self.rows.last().map(|(seq, _)| *seq).or(self.last.as_ref().map(|(_, last, _)| *last));
        if before.is_some_and(|before| seq <= before) {
            self.wrong.push(Wrong::Misplaced(seq));
        }
        self.rows.push((seq, line));
    }

    /// The next seal.
    pub fn seal(&mut self, seal: &Seal) {
        let number = seal.number;
        if let Some((before, last, digest)) = &self.last {
            if number > before + 1 {
                self.wrong.push(Wrong::Missing(before + 1));
            } else if number <= *before || seal.first_seq != last + 1 || seal.previous != *digest {
                self.wrong.push(Wrong::NotNext(number));
            }
        }
        let mut hasher = Hasher::after(&seal.previous);
        for (seq, line) in self.rows.drain(..) {
            if seq < seal.first_seq || seq > seal.last_seq {
                self.wrong.push(Wrong::Misplaced(seq));
            }
            hasher.add(&line);
        }
        let (digest, rows) = hasher.finish();
        if digest != seal.digest || rows != seal.rows {
            self.wrong.push(Wrong::Rows { number, first: seal.first_seq, last: seal.last_seq });
        }
        self.sealed += rows;
        let signature = self.signature(seal);
        self.wrong.extend(signature.err());
        if let Some(sealer) = self.sealer
            && sealer.open(&purpose(number), &seal.proof).ok().as_ref() != Some(&seal.digest)
        {
            self.wrong.push(Wrong::Proof(number));
        }
        self.last = Some((number, seal.last_seq, seal.digest.clone()));
    }

    fn signature(&mut self, seal: &Seal) -> Result<(), Wrong> {
        let wrong = || Wrong::Signature(seal.number);
        let key: Jwk = serde_json::from_value(seal.public_key.clone()).map_err(|_| wrong())?;
        // The id is the key's own thumbprint, whatever it calls itself.
        let kid = key.thumbprint(jsonwebtoken::jwk::ThumbprintHash::SHA256).map_err(|_| wrong())?;
        let is_believed = self.kids.as_ref().is_none_or(|kids| kids.contains(&kid));
        self.keys.insert(kid);
        if !is_believed {
            return Err(Wrong::Key(seal.number));
        }
        let key = DecodingKey::from_jwk(&key).map_err(|_| wrong())?;
        let told: Claims = signature_of(TYPE, &seal.jws, &key).ok_or_else(wrong)?;
        if told == Claims::of(seal, &told.iss) { Ok(()) } else { Err(wrong()) }
    }

    /// The number of the last seal, and how many rows came after it.
    pub fn end(&self) -> (i64, usize) {
        (self.last.as_ref().map_or(0, |(number, ..)| *number), self.rows.len())
    }
}
