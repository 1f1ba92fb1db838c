//! The layers: built-in defaults, file, environment, flags; each value remembers where it came from.

use std::collections::BTreeMap;
use std::fmt;
use std::path::{Path, PathBuf};

use toml::{Table, Value};

use super::{Config, DEFAULT, check};

/// What is laid over the defaults, lowest layer first.
#[derive(Default)]
pub struct Sources {
    /// A TOML file.
    pub file: Option<PathBuf>,
    /// Environment variables, usually `std::env::vars()`; those that are not ours are ignored.
    pub env: Vec<(String, String)>,
    /// Values given on the command line.
    pub flags: Vec<Flag>,
}

/// A value given on the command line.
pub struct Flag {
    /// The flag as typed, for messages: `--listen`.
    pub name: &'static str,
    /// The key it sets: `server.listen`.
    pub key: &'static str,
    /// Its value, in the notation of an environment variable.
    pub value: String,
}

/// A configuration that cannot be used. The message names the file and line (or variable, or flag) and the key.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A file could not be read.
    #[error("{origin}: cannot read {}: {cause}", path.display())]
    Unreadable {
        /// Where the file is named.
        origin: Origin,
        /// The file.
        path: PathBuf,
        /// Why.
        cause: std::io::Error,
    },
    /// A file that is not TOML.
    #[error("{origin}: not valid TOML: {message}")]
    Syntax {
        /// File and line.
        origin: Origin,
        /// The parser's words.
        message: String,
    },
    /// One key is wrong.
    #[error("{origin}: {key}: {message}")]
    Key {
        /// Where it was given.
        origin: Origin,
        /// Section and key.
        key: String,
        /// What is wrong and what would be right.
        message: String,
    },
}

/// Where a value came from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Origin {
    /// A line of a file.
    File(PathBuf, usize),
    /// An environment variable.
    Env(String),
    /// A flag.
    Flag(&'static str),
    /// The built-in defaults, with the line.
    Default(usize),
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File(path, line) => write!(f, "{}:{line}", path.display()),
            Self::Env(name) => write!(f, "environment variable {name}"),
            Self::Flag(name) => write!(f, "flag {name}"),
            Self::Default(line) => write!(f, "config/default.toml:{line}"),
        }
    }
}

/// Reads all layers and checks the result.
pub fn load(sources: Sources) -> Result<Config, Error> {
    let mut layers = Layers::defaults()?;
    if let Some(path) = sources.file {
        let text = std::fs::read_to_string(&path).map_err(|cause| Error::Unreadable {
            origin: Origin::Flag("--config"),
            path: path.clone(),
            cause,
        })?;
        layers.add(file_layer(&text, |line| Origin::File(path.clone(), line))?)?;
    }
    layers.add(layers.env_layer(sources.env)?)?;
    let flags = sources.flags.into_iter().map(|flag| (flag.key.to_owned(), Origin::Flag(flag.name), flag.value));
    layers.add(layers.text_layer(flags.collect())?)?;
    layers.finish()
}

pub(super) fn from_text(overrides: &str) -> Result<Config, Error> {
    let mut layers = Layers::defaults()?;
    layers.add(overrides_layer(overrides)?)?;
    layers.finish()
}

pub(super) fn for_tests(overrides: &str) -> Result<Config, Error> {
    const BASE: &str = r#"
        [security]
        master_key = "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8="
        [delivery]
        allow_http = true
        allow_private_addresses = true
        [log]
        filter = "warn"
    "#;
    let mut layers = Layers::defaults()?;
    layers.add(overrides_layer(BASE)?)?;
    layers.add(overrides_layer(overrides)?)?;
    layers.finish()
}

fn overrides_layer(text: &str) -> Result<Layer, Error> {
    file_layer(text, |line| Origin::File(PathBuf::from("overrides"), line))
}

/// `section.key` to value and origin, of one source.
type Layer = BTreeMap<String, Given>;

#[derive(Clone)]
struct Given {
    value: Value,
    origin: Origin,
}

/// The merged layers.
struct Layers {
    /// What the built-in file says: the known keys, in its order, and their types.
    known: Table,
    given: Layer,
}

impl Layers {
    fn defaults() -> Result<Self, Error> {
        let known = DEFAULT.parse::<Table>().map_err(|error| syntax(DEFAULT, &error, Origin::Default))?;
        Ok(Self { known, given: file_layer(DEFAULT, Origin::Default)? })
    }

    /// Lays `layer` over what is there. A secret and its `_file` form replace each other across layers, and contradict
    /// each other within one.
    fn add(&mut self, layer: Layer) -> Result<(), Error> {
        for (key, given) in &layer {
            self.require_known(key, &given.origin)?;
            let file_key = format!("{key}_file");
            if let Some(file) = layer.get(&file_key).filter(|file| is_set(&file.value) && is_set(&given.value)) {
                let message = format!("contradicts {key} ({}); give one of the two", given.origin);
                return Err(Error::Key { origin: file.origin.clone(), key: file_key, message });
            }
        }
        for (key, given) in layer {
            for other in [format!("{key}_file"), key.strip_suffix("_file").unwrap_or_default().to_owned()] {
                if let Some(lower) =
                    self.given.get_mut(&other).filter(|lower| lower.origin_layer() != given.origin_layer())
                {
                    lower.value = Value::String(String::new());
                }
            }
            self.given.insert(key, given);
        }
        Ok(())
    }

    fn require_known(&self, key: &str, origin: &Origin) -> Result<(), Error> {
        let (section, name) = key.split_once('.').unwrap_or((key, ""));
        let names = |table: &Table| table.keys().cloned().collect::<Vec<_>>().join(", ");
        let message = match self.known.get(section).and_then(Value::as_table) {
            None => format!("unknown section; there are: {}", names(&self.known)),
            Some(_) if name.is_empty() => format!("is a section: write [{section}]"),
            Some(keys) if !keys.contains_key(name) => format!("unknown key; [{section}] has: {}", names(keys)),
            Some(_) => return Ok(()),
        };
        Err(Error::Key { origin: origin.clone(), key: key.to_owned(), message })
    }

    /// `SOFA__SECTION__KEY`, and `DATABASE_URL` for `database.url` unless ours say something about it.
    fn env_layer(&self, env: Vec<(String, String)>) -> Result<Layer, Error> {
        let mut entries = Vec::new();
        let mut general_url = None;
        for (name, value) in env {
            if let Some(rest) = name.strip_prefix("SOFA__") {
                entries.push((rest.replacen("__", ".", 1).to_lowercase(), Origin::Env(name), value));
            } else if name == "DATABASE_URL" && !value.is_empty() {
                general_url = Some(("database.url".to_owned(), Origin::Env(name), value));
            }
        }
        if !entries.iter().any(|(key, ..)| key == "database.url" || key == "database.url_file") {
            entries.extend(general_url);
        }
        self.text_layer(entries)
    }

    /// Values given as text, read as the type the default has.
    fn text_layer(&self, entries: Vec<(String, Origin, String)>) -> Result<Layer, Error> {
        let mut layer = Layer::new();
        for (key, origin, text) in entries {
            self.require_known(&key, &origin)?;
            let default = key.split_once('.').and_then(|(section, name)| self.known.get(section)?.get(name));
            let value = match default {
                Some(Value::Integer(_)) => text.trim().parse().map(Value::Integer).map_err(|_| "a whole number"),
                Some(Value::Boolean(_)) => text.trim().parse().map(Value::Boolean).map_err(|_| "true or false"),
                Some(Value::Array(_)) => Ok(list(&text)),
                _ => Ok(Value::String(text.clone())),
            };
            let value = value.map_err(|wanted| Error::Key {
                origin: origin.clone(),
                key: key.clone(),
                message: format!("{text:?} is not {wanted}"),
            })?;
            layer.insert(key, Given { value, origin });
        }
        Ok(layer)
    }

    /// Resolves `_file` keys, drops what is not set, reads the typed configuration and checks it.
    fn finish(mut self) -> Result<Config, Error> {
        self.default_public_url();
        let mut shown = Table::new();
        let mut merged = Table::new();
        for (section, keys) in &self.known {
            let (mut typed, mut masked) = (Table::new(), Table::new());
            for name in keys.as_table().into_iter().flat_map(Table::keys) {
                let Some(given) = self.given.get(&format!("{section}.{name}")) else { continue };
                let (name, value, secret) = match secret_of(name, keys) {
                    Some((name, true)) => (name, read_secret(&format!("{section}.{name}_file"), given)?, true),
                    Some((name, false)) => (name, given.value.clone(), true),
                    None => (name.as_str(), given.value.clone(), false),
                };
                if is_set(&value) {
                    masked.insert(name.to_owned(), if secret { Value::from("***") } else { value.clone() });
                    typed.insert(name.to_owned(), value);
                }
            }
            merged.insert(section.clone(), Value::Table(typed));
            shown.insert(section.clone(), Value::Table(masked));
        }
        let mut config: Config = serde_path_to_error::deserialize(Value::Table(merged)).map_err(|error| {
            let key = error.path().to_string();
            self.error(&key, error.inner().message())
        })?;
        config.context.resource_types = config.context.resource_types.filter(|types| !types.is_empty());
        config.shown = shown;
        check::check(&config).map_err(|wrong| self.error(wrong.key, &wrong.message))?;
        Ok(config)
    }

    /// `server.public_url` follows `server.listen` when it is not set.
    fn default_public_url(&mut self) {
        let text = |key: &str| self.given.get(key).and_then(|given| given.value.as_str()).unwrap_or_default();
        let scheme = if text("server.tls_cert").is_empty() { "http" } else { "https" };
        let port = text("server.listen").rsplit_once(':').map_or("", |(_, port)| port);
        let url = Value::String(format!("{scheme}://localhost:{port}"));
        if let Some(given) = self.given.get_mut("server.public_url").filter(|given| !is_set(&given.value)) {
            given.value = url;
        }
    }

    /// An error about `key` (possibly with an index behind it), at the place that gave it.
    fn error(&self, key: &str, message: &str) -> Error {
        let plain = key.split('[').next().unwrap_or(key);
        let file = self.given.get(&format!("{plain}_file")).filter(|file| is_set(&file.value));
        let origin = file.or_else(|| self.given.get(plain)).map_or(Origin::Default(0), |given| given.origin.clone());
        Error::Key { origin, key: key.to_owned(), message: message.trim().to_owned() }
    }
}

impl Given {
    /// Which layer this is from: a secret set in a higher layer replaces its `_file` form of a lower one.
    fn origin_layer(&self) -> u8 {
        match self.origin {
            Origin::Default(_) => 0,
            Origin::File(..) => 1,
            Origin::Env(_) => 2,
            Origin::Flag(_) => 3,
        }
    }
}

/// The secret's key when `name` is a secret or its `_file` form (then true).
fn secret_of<'a>(name: &'a str, keys: &Value) -> Option<(&'a str, bool)> {
    match name.strip_suffix("_file") {
        Some(plain) if keys.get(plain).is_some() => Some((plain, true)),
        _ => keys.get(format!("{name}_file")).map(|_| (name, false)),
    }
}

/// The content, trimmed, of the file a `_file` key names, or "not set".
fn read_secret(key: &str, given: &Given) -> Result<Value, Error> {
    let wrong =
        |message: &str| Error::Key { origin: given.origin.clone(), key: key.to_owned(), message: message.to_owned() };
    let path = given.value.as_str().ok_or_else(|| wrong("must be the path of a file, as text"))?;
    if path.is_empty() {
        return Ok(Value::String(String::new()));
    }
    let text = std::fs::read_to_string(path).map_err(|cause| Error::Unreadable {
        origin: given.origin.clone(),
        path: Path::new(path).to_owned(),
        cause,
    })?;
    match text.trim() {
        "" => Err(wrong("the file is empty")),
        secret => Ok(Value::String(secret.to_owned())),
    }
}

fn is_set(value: &Value) -> bool {
    value.as_str() != Some("")
}

fn list(text: &str) -> Value {
    let items = text.split(',').map(str::trim).filter(|item| !item.is_empty());
    Value::Array(items.map(|item| Value::String(item.to_owned())).collect())
}

fn syntax(text: &str, error: &toml::de::Error, origin: impl Fn(usize) -> Origin) -> Error {
    let line = line_of(text, error.span().map_or(0, |span| span.start));
    Error::Syntax { origin: origin(line), message: error.message().trim().to_owned() }
}

/// Every `section.key` of a TOML text with its line. A key outside a section keeps its bare name and is refused later.
fn file_layer(text: &str, origin: impl Fn(usize) -> Origin) -> Result<Layer, Error> {
    let values: Table = text.parse().map_err(|error| syntax(text, &error, &origin))?;
    let spans = toml::de::DeTable::parse(text).map_err(|error| syntax(text, &error, &origin))?;
    let mut layer = Layer::new();
    for (section, content) in spans.get_ref() {
        let here = |start: usize| origin(line_of(text, start));
        let name: &str = section.get_ref();
        let Some(value) = values.get(name) else { continue };
        let (Some(keys), Some(value)) = (content.get_ref().as_table(), value.as_table()) else {
            layer.insert(name.to_owned(), Given { value: value.clone(), origin: here(section.span().start) });
            continue;
        };
        for key in keys.keys() {
            if let Some(value) = value.get(key.get_ref().as_ref()) {
                let given = Given { value: value.clone(), origin: here(key.span().start) };
                layer.insert(format!("{name}.{}", key.get_ref()), given);
            }
        }
    }
    Ok(layer)
}

/// The line of a byte position, counted from 1.
fn line_of(text: &str, at: usize) -> usize {
    1 + text.bytes().take(at).filter(|byte| *byte == b'\n').count()
}
