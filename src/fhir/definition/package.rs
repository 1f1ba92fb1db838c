//! A FHIR NPM package in compiled form: what the server keeps of it, encoded small. R4 itself is one, built in.

use std::{
    io::{Read, Write},
    sync::LazyLock,
};

use flate2::{Compression, read::DeflateDecoder, write::DeflateEncoder};
use serde::{Deserialize, Serialize};

use super::structure::Structure;

/// A compiled package.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Package {
    pub name: String,
    pub version: String,
    pub structures: Vec<Structure>,
}

impl Package {
    /// The compiled form: postcard, deflated. The same package always gives the same bytes.
    pub fn encode(&self) -> Result<Vec<u8>, String> {
        let plain = postcard::to_stdvec(self).map_err(|error| error.to_string())?;
        let mut encoder = DeflateEncoder::new(Vec::new(), Compression::best());
        encoder.write_all(&plain).and_then(|()| encoder.finish()).map_err(|error| error.to_string())
    }

    /// Reads the compiled form.
    pub fn decode(bytes: &[u8]) -> Result<Self, String> {
        let mut plain = Vec::new();
        DeflateDecoder::new(bytes).read_to_end(&mut plain).map_err(|error| error.to_string())?;
        postcard::from_bytes(&plain).map_err(|error| error.to_string())
    }
}

/// R4 4.0.1.
#[expect(clippy::expect_used, reason = "the asset is part of the program; a test decodes it")]
pub static R4: LazyLock<Package> = LazyLock::new(|| {
    Package::decode(include_bytes!("../../../capability/r4/definitions.bin")).expect("the built-in R4 package decodes")
});
