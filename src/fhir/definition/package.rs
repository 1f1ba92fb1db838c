//! A package in compiled form: small, checked as a whole when it is opened, decoded item by item when something asks.
//!
//! The form: `MAGIC`, the CRC-32 of what follows, the header's length deflated and inflated, the header, then the sections,
//! each deflated apart.
//! The header (postcard, deflated) holds the manifest, all invariants and an index of every section: what each item is
//! called and how long it is. A section is inflated at its first use. The same definitions always give the same bytes.

use std::{
    borrow::Cow,
    collections::HashMap,
    io::{Read, Write},
    ops::Range,
    sync::{Arc, LazyLock, OnceLock},
};

use flate2::{Compression, Crc, read::DeflateDecoder, write::DeflateEncoder};
use serde::{Deserialize, Serialize, de::DeserializeOwned};

use super::{
    parameter::SearchParameter,
    source::{Definitions, Manifest},
    structure::{Constraint, Kind, Structure},
    terminology::{CodeSystem, ValueSet},
};

/// Changes with the form.
const MAGIC: &[u8; 8] = b"sofapkg2";
/// What a section may inflate to, in bytes.
const MAX_SECTION: usize = 256 << 20;

/// A compiled package.
#[derive(Debug)]
pub struct Package {
    header: Header,
    constraints: Vec<Arc<Constraint>>,
    bytes: Cow<'static, [u8]>,
    sections: [Section; SECTIONS],
}

/// Items of one kind.
#[derive(Debug)]
struct Section {
    /// Where it stands in the package's bytes.
    range: Range<usize>,
    inflated: OnceLock<Box<[u8]>>,
    /// Where the items stand in the inflated bytes.
    items: Vec<Range<usize>>,
}

impl Section {
    fn new(start: usize, length: u32, items: Vec<u32>) -> Self {
        let mut at = 0;
        let place = |length: u32| {
            at += length as usize;
            at - length as usize..at
        };
        let items = items.into_iter().map(place).collect();
        Self { range: start..start + length as usize, inflated: OnceLock::new(), items }
    }
}

#[derive(Debug, Default, Serialize, Deserialize)]
struct Header {
    manifest: Manifest,
    constraints: Vec<Constraint>,
    structures: Vec<StructureHead>,
    value_sets: Vec<Head>,
    code_systems: Vec<Head>,
    parameters: Vec<Head>,
    /// The length of each section, deflated.
    lengths: [u32; SECTIONS],
    /// The lengths of the items of each section.
    items: [Vec<u32>; SECTIONS],
}

/// What a definition is called.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Head {
    pub url: String,
    /// Its own, or else the package's.
    pub version: String,
}

/// What is known of a structure without decoding it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct StructureHead {
    pub url: String,
    /// Its own, or else the package's.
    pub version: String,
    pub kind: Kind,
    pub type_name: String,
    pub is_abstract: bool,
    pub is_constraint: bool,
    pub base: Option<String>,
    /// The section it is in, and its place there.
    section: u8,
    place: u32,
}

const SECTIONS: usize = 6;
const TYPES: usize = 0;
const PROFILES: usize = 1;
const EXTENSIONS: usize = 2;
const VALUE_SETS: usize = 3;
const CODE_SYSTEMS: usize = 4;
const PARAMETERS: usize = 5;

/// Invariants by number, element by element.
type Numbers = Vec<Vec<u32>>;

impl Package {
    /// Opens the compiled form. The error says that the bytes are not what [`Definitions::encode`] wrote.
    pub fn open(bytes: impl Into<Cow<'static, [u8]>>) -> Result<Self, String> {
        let bytes = bytes.into();
        let rest = bytes.strip_prefix(MAGIC).ok_or("it is no compiled package of this version")?;
        let (sum, rest) = rest.split_first_chunk::<4>().ok_or("it is cut off")?;
        if crc(rest) != u32::from_le_bytes(*sum) {
            return Err("its check sum is wrong".to_owned());
        }
        let (length, rest) = rest.split_first_chunk::<4>().ok_or("it is cut off")?;
        let length = u32::from_le_bytes(*length) as usize;
        let (inflated, rest) = rest.split_first_chunk::<4>().ok_or("it is cut off")?;
        let header = inflate(rest.get(..length).ok_or("it is cut off")?, u32::from_le_bytes(*inflated) as usize)?;
        let mut header: Header = postcard::from_bytes(&header).map_err(|error| error.to_string())?;
        let mut at = MAGIC.len() + 12 + length;
        let mut items = std::mem::take(&mut header.items).into_iter();
        let sections = header.lengths.map(|length| {
            let section = Section::new(at, length, items.next().unwrap_or_default());
            at = section.range.end;
            section
        });
        if at != bytes.len() {
            return Err("its sections do not fill it".to_owned());
        }
        let constraints = std::mem::take(&mut header.constraints).into_iter().map(Arc::new).collect();
        Ok(Self { header, constraints, bytes, sections })
    }

    /// Its name, version and dependencies.
    pub fn manifest(&self) -> &Manifest {
        &self.header.manifest
    }

    /// The structures it has.
    pub fn structures(&self) -> &[StructureHead] {
        &self.header.structures
    }

    /// The value sets it has.
    pub fn value_sets(&self) -> &[Head] {
        &self.header.value_sets
    }

    /// The code systems it has.
    pub fn code_systems(&self) -> &[Head] {
        &self.header.code_systems
    }

    /// The search parameters it has.
    pub fn parameters(&self) -> &[Head] {
        &self.header.parameters
    }

    /// The structure with this place in [`Self::structures`].
    pub fn structure(&self, index: usize) -> Option<Structure> {
        let head = self.header.structures.get(index)?;
        let (mut structure, numbers): (Structure, Numbers) = self.item(head.section as usize, head.place as usize)?;
        for (element, numbers) in structure.elements.iter_mut().zip(numbers) {
            let found = numbers.into_iter().filter_map(|number| self.constraints.get(number as usize));
            element.constraints = found.cloned().collect();
        }
        Some(structure)
    }

    /// The value set with this place in [`Self::value_sets`].
    pub fn value_set(&self, index: usize) -> Option<ValueSet> {
        self.item(VALUE_SETS, index)
    }

    /// The code system with this place in [`Self::code_systems`].
    pub fn code_system(&self, index: usize) -> Option<CodeSystem> {
        let mut system: CodeSystem = self.item(CODE_SYSTEMS, index)?;
        system.sort();
        Some(system)
    }

    /// The search parameter with this place in [`Self::parameters`].
    pub fn parameter(&self, index: usize) -> Option<SearchParameter> {
        self.item(PARAMETERS, index)
    }

    /// The structures that define types.
    pub fn types(&self) -> Vec<Structure> {
        let types = self.header.structures.iter().enumerate().filter(|(_, head)| head.section as usize == TYPES);
        types.filter_map(|(index, _)| self.structure(index)).collect()
    }

    /// Everything, decoded.
    pub fn definitions(&self) -> Definitions {
        Definitions {
            manifest: self.header.manifest.clone(),
            structures: (0..self.structures().len()).filter_map(|index| self.structure(index)).collect(),
            value_sets: (0..self.value_sets().len()).filter_map(|index| self.value_set(index)).collect(),
            code_systems: (0..self.code_systems().len()).filter_map(|index| self.code_system(index)).collect(),
            parameters: (0..self.parameters().len()).filter_map(|index| self.parameter(index)).collect(),
        }
    }

    /// The check sum makes sure that there is nothing that cannot be decoded.
    fn item<T: DeserializeOwned>(&self, section: usize, index: usize) -> Option<T> {
        let Section { range, inflated, items } = &self.sections[section];
        let length = items.last().map_or(0, |last| last.end);
        let plain = inflated.get_or_init(|| inflate(&self.bytes[range.clone()], length).unwrap_or_default().into());
        postcard::from_bytes(plain.get(items.get(index)?.clone())?).ok()
    }
}

impl Definitions {
    /// The compiled form.
    pub fn encode(&self) -> Result<Vec<u8>, String> {
        let mut writer = Writer::default();
        let version = |own: &Option<String>| own.clone().unwrap_or_else(|| self.manifest.version.clone());
        let mut header = Header { manifest: self.manifest.clone(), ..Header::default() };
        let mut numbers = HashMap::new();
        for one in &self.structures {
            let section = match one {
                one if one.is_type() => TYPES,
                one if one.is_extension() => EXTENSIONS,
                _ => PROFILES,
            };
            header.structures.push(StructureHead {
                url: one.url.clone(),
                version: version(&one.version),
                kind: one.kind,
                type_name: one.type_name.clone(),
                is_abstract: one.is_abstract,
                is_constraint: one.is_constraint,
                base: one.base.clone(),
                section: u8::try_from(section).unwrap_or_default(),
                place: length(header.items[section].len())?,
            });
            let of_elements = one.elements.iter().map(|element| {
                let of_element = element.constraints.iter().map(|one| {
                    let next = numbers.len();
                    length(*numbers.entry(Arc::clone(one)).or_insert_with(|| {
                        header.constraints.push((**one).clone());
                        next
                    }))
                });
                of_element.collect::<Result<_, _>>()
            });
            let of_elements: Numbers = of_elements.collect::<Result<_, _>>()?;
            header.items[section].push(writer.item(section, &(one, of_elements))?);
        }
        for one in &self.value_sets {
            header.value_sets.push(Head { url: one.url.clone(), version: version(&one.version) });
            header.items[VALUE_SETS].push(writer.item(VALUE_SETS, one)?);
        }
        for one in &self.code_systems {
            header.code_systems.push(Head { url: one.url.clone(), version: version(&one.version) });
            header.items[CODE_SYSTEMS].push(writer.item(CODE_SYSTEMS, one)?);
        }
        for one in &self.parameters {
            header.parameters.push(Head { url: one.url.clone(), version: version(&one.version) });
            header.items[PARAMETERS].push(writer.item(PARAMETERS, one)?);
        }
        writer.finish(header)
    }

    /// The package that the compiled form of these definitions opens to.
    pub fn package(&self) -> Result<Package, String> {
        Package::open(self.encode()?)
    }
}

#[derive(Default)]
struct Writer {
    sections: [Vec<u8>; SECTIONS],
}

impl Writer {
    /// Adds an item; gives its length.
    fn item(&mut self, section: usize, item: &impl Serialize) -> Result<u32, String> {
        let bytes = postcard::to_stdvec(item).map_err(|error| error.to_string())?;
        self.sections[section].extend(&bytes);
        length(bytes.len())
    }

    fn finish(self, mut header: Header) -> Result<Vec<u8>, String> {
        let mut body = Vec::new();
        for (section, plain) in self.sections.iter().enumerate() {
            let deflated = deflate(plain)?;
            header.lengths[section] = length(deflated.len())?;
            body.extend(deflated);
        }
        let plain = postcard::to_stdvec(&header).map_err(|error| error.to_string())?;
        let header = deflate(&plain)?;
        let lengths = [length(header.len())?.to_le_bytes(), length(plain.len())?.to_le_bytes()].concat();
        let rest = [&lengths[..], &header, &body].concat();
        Ok([&MAGIC[..], &crc(&rest).to_le_bytes(), &rest].concat())
    }
}

fn length(of: usize) -> Result<u32, String> {
    u32::try_from(of).map_err(|_| "a package of more than 4 GiB".to_owned())
}

fn crc(bytes: &[u8]) -> u32 {
    let mut crc = Crc::new();
    crc.update(bytes);
    crc.sum()
}

fn deflate(plain: &[u8]) -> Result<Vec<u8>, String> {
    let mut encoder = DeflateEncoder::new(Vec::new(), Compression::best());
    encoder.write_all(plain).and_then(|()| encoder.finish()).map_err(|error| error.to_string())
}

/// Inflates to the length given, in a buffer of that size.
fn inflate(deflated: &[u8], length: usize) -> Result<Vec<u8>, String> {
    if length > MAX_SECTION {
        return Err("a section is too large".to_owned());
    }
    let mut plain = vec![0; length];
    DeflateDecoder::new(deflated).read_exact(&mut plain).map_err(|error| error.to_string())?;
    Ok(plain)
}

/// R4 4.0.1, built in. The asset is made of HL7's package `hl7.fhir.r4.examples` 4.0.1 by
/// `sofa package compile hl7.fhir.r4.examples-4.0.1.tgz --out capability/r4/definitions.bin`.
pub fn r4() -> &'static Arc<Package> {
    static R4: LazyLock<Arc<Package>> =
        LazyLock::new(|| asset(include_bytes!("../../../capability/r4/definitions.bin")));
    &R4
}

/// What the program brings: the project's own CA Core+ and HALO definitions, made of the JSON beside them by
/// `sofa package compile capability/ca-core --out capability/ca-core/package.bin` (likewise `halo`), and R4.
pub fn built_in() -> &'static [Arc<Package>] {
    static BUILT_IN: LazyLock<[Arc<Package>; 3]> = LazyLock::new(|| {
        [
            asset(include_bytes!("../../../capability/ca-core/package.bin")),
            asset(include_bytes!("../../../capability/halo/package.bin")),
            Arc::clone(r4()),
        ]
    });
    &*BUILT_IN
}

#[expect(clippy::expect_used, reason = "the assets are part of the program; a test opens them")]
fn asset(bytes: &'static [u8]) -> Arc<Package> {
    Arc::new(Package::open(bytes).expect("a built-in package opens"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn r4_decodes_to_what_it_was_made_of() {
        let package = r4();
        let definitions = package.definitions();
        assert_eq!(definitions.manifest.version, "4.0.1");
        let count = |is: fn(&Structure) -> bool| definitions.structures.iter().filter(|one| is(one)).count();
        assert_eq!((count(Structure::is_type), count(Structure::is_extension)), (209, 391));
        assert_eq!(definitions.structures.len(), package.structures().len());
        assert_eq!((definitions.value_sets.len(), definitions.code_systems.len()), (1316, 1061));
        assert_eq!(definitions.parameters.len(), 1375);
        assert_eq!(definitions.encode().unwrap(), *package.bytes);
    }

    #[test]
    fn the_projects_own_packages_are_compiled_from_the_json_beside_them() {
        for (package, folder) in built_in().iter().zip(["ca-core", "halo"]) {
            let folder = format!("{}/capability/{folder}", env!("CARGO_MANIFEST_DIR"));
            let files = std::fs::read_dir(&folder).unwrap().map(|entry| entry.unwrap().path());
            let files: Vec<_> = files.filter(|path| path.extension().is_some_and(|end| end == "json")).collect();
            let name = |path: &std::path::Path| path.file_name().unwrap().to_string_lossy().into_owned();
            let files = files.iter().map(|path| (name(path), std::fs::read(path).unwrap()));
            let made = Definitions::from_files(files).unwrap();
            assert_eq!(made, package.definitions(), "run: sofa package compile {folder} --out {folder}/package.bin");
        }
    }

    #[test]
    fn what_was_damaged_is_not_opened() {
        let definitions = Definitions::default();
        let bytes = definitions.encode().unwrap();
        assert_eq!(Package::open(bytes.clone()).unwrap().definitions(), definitions);
        for at in 0..bytes.len() {
            let mut damaged = bytes.clone();
            damaged[at] ^= 1;
            assert!(Package::open(damaged).is_err(), "byte {at}");
            assert!(Package::open(bytes[..at].to_vec()).is_err(), "cut at {at}");
        }
    }
}
