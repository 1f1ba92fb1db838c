//! XML as tokens, well-formed (XML 1.0) and with namespaces resolved (Namespaces in XML 1.0).
//!
//! `quick-xml` splits the markup; what it leaves to its callers is checked here: characters, names, attributes,
//! references, one declaration at the start. There is no DTD, so there are no entities but XML's own five.

use quick_xml::{Reader, events::Event};

use super::{
    FHIR, XHTML,
    attribute::{self, Attribute},
};

/// Namespace declarations in force at one place. FHIR needs two.
const MOST_BINDINGS: usize = 32;

/// Why reading ends here: not well-formed, or beyond a limit.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Broken {
    /// Byte of the text.
    pub at: usize,
    pub text: String,
}

impl Broken {
    pub fn new(at: usize, text: impl Into<String>) -> Self {
        Self { at, text: text.into() }
    }
}

/// The namespaces that are told apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Namespace {
    None,
    Fhir,
    Xhtml,
    /// `xml:lang` and its like.
    Xml,
    /// `xsi:schemaLocation`
    SchemaInstance,
    Other,
}

impl Namespace {
    fn named(uri: &str) -> Self {
        match uri {
            "" => Self::None,
            FHIR => Self::Fhir,
            XHTML => Self::Xhtml,
            "http://www.w3.org/XML/1998/namespace" => Self::Xml,
            "http://www.w3.org/2001/XMLSchema-instance" => Self::SchemaInstance,
            _ => Self::Other,
        }
    }
}

/// A start tag.
#[derive(Clone, Copy, Debug)]
pub(super) struct Tag<'t> {
    /// Where its `<` is.
    pub at: usize,
    pub prefix: &'t str,
    /// Without the prefix.
    pub name: &'t str,
    pub namespace: Namespace,
    /// How deep the element is that declared its namespace: 1 at the root, 0 where none did.
    pub bound_at: usize,
    /// `<a/>`: no [`Token::Close`] follows.
    pub is_empty: bool,
}

#[derive(Clone, Copy, Debug)]
pub(super) enum Token<'t> {
    /// Its attributes are in [`Scanner::attributes`] until the next token.
    Open(Tag<'t>),
    Close,
    /// Without references.
    Text(&'t str),
    /// `&amp;` or `&#38;`
    Reference,
    /// `<![CDATA[…]]>`
    CData,
    Comment,
    Instruction,
    /// Of the text, with every element closed.
    End,
}

/// What a prefix stands for, inside the element at `depth`.
#[derive(Clone, Copy, Debug)]
struct Binding<'t> {
    prefix: &'t str,
    namespace: Namespace,
    depth: usize,
}

pub(super) struct Scanner<'t> {
    text: &'t str,
    reader: Reader<&'t [u8]>,
    /// Open elements.
    depth: usize,
    bindings: Vec<Binding<'t>>,
    attributes: Vec<Attribute<'t>>,
    /// Where the last token begins.
    at: usize,
}

impl<'t> Scanner<'t> {
    /// A scanner of `text`, which has no byte order mark.
    pub fn new(text: &'t str) -> Result<Self, Broken> {
        if let Some(at) = forbidden_character(text) {
            return Err(Broken::new(at, "expected no control characters"));
        }
        // The reader below would pass over a second mark without counting it.
        if text.starts_with('\u{feff}') {
            return Err(Broken::new(0, "expected one byte order mark at most"));
        }
        let mut reader = Reader::from_str(text);
        reader.config_mut().check_comments = true;
        Ok(Self { text, reader, depth: 0, bindings: Vec::new(), attributes: Vec::new(), at: 0 })
    }

    /// How many elements are open.
    pub const fn depth(&self) -> usize {
        self.depth
    }

    /// Where the last token begins.
    pub const fn at(&self) -> usize {
        self.at
    }

    /// Where the last token ends.
    pub fn end(&self) -> usize {
        usize::try_from(self.reader.buffer_position()).unwrap_or(self.text.len())
    }

    /// The text between two places.
    pub fn slice(&self, from: usize, to: usize) -> &'t str {
        self.text.get(from..to).unwrap_or_default()
    }

    /// The attributes of the last start tag, without namespace declarations.
    pub fn attributes(&self) -> &[Attribute<'t>] {
        &self.attributes
    }

    /// The next token.
    pub fn next(&mut self) -> Result<Token<'t>, Broken> {
        loop {
            while self.bindings.last().is_some_and(|binding| binding.depth > self.depth) {
                self.bindings.pop();
            }
            self.at = self.end();
            let event = self.reader.read_event();
            let event = event.map_err(|error| {
                let at = usize::try_from(self.reader.error_position()).unwrap_or(self.at);
                Broken::new(at, format!("not well-formed XML: {error}"))
            })?;
            return Ok(match event {
                Event::Start(tag) => self.open(tag.name().as_ref().len(), false)?,
                Event::Empty(tag) => self.open(tag.name().as_ref().len(), true)?,
                Event::End(_) => {
                    self.depth = self.depth.saturating_sub(1);
                    Token::Close
                }
                Event::Text(_) => self.text()?,
                Event::GeneralRef(_) => {
                    attribute::check_references(self.raw(), self.at)?;
                    Token::Reference
                }
                Event::CData(_) => Token::CData,
                Event::Comment(_) => Token::Comment,
                Event::PI(_) => Token::Instruction,
                Event::Decl(_) => {
                    self.declaration()?;
                    continue;
                }
                Event::DocType(_) => return Err(Broken::new(self.at, "expected no document type declaration (DTD)")),
                Event::Eof if self.depth > 0 => {
                    return Err(Broken::new(self.at, "not well-formed XML: an element is not closed"));
                }
                Event::Eof => Token::End,
            });
        }
    }

    /// Passes over the rest of the element that `tag` opened.
    pub fn skip(&mut self, tag: &Tag<'t>) -> Result<(), Broken> {
        if !tag.is_empty {
            let outside = self.depth.saturating_sub(1);
            while self.depth > outside {
                self.next()?;
            }
        }
        Ok(())
    }

    fn raw(&self) -> &'t str {
        self.slice(self.at, self.end())
    }

    fn text(&self) -> Result<Token<'t>, Broken> {
        let text = self.raw();
        match text.as_bytes().contains(&b']').then(|| text.find("]]>")).flatten() {
            Some(offset) => Err(Broken::new(self.at + offset, "not well-formed XML: expected ']]&gt;' in text")),
            None => Ok(Token::Text(text)),
        }
    }

    /// `<?xml version="1.0" encoding="UTF-8"?>`
    fn declaration(&mut self) -> Result<(), Broken> {
        if self.at != 0 {
            return Err(Broken::new(
                self.at,
                "not well-formed XML: expected an XML declaration only at the very start",
            ));
        }
        let content = self.slice("<?xml".len(), self.end() - "?>".len());
        self.attributes.clear();
        attribute::parse(content, "<?xml".len(), &mut self.attributes)?;
        for one in &self.attributes {
            let expected = match one.name {
                "version" if one.value != "1.0" => "XML version 1.0",
                "encoding" if !one.value.eq_ignore_ascii_case("UTF-8") => "the encoding UTF-8",
                "version" | "encoding" | "standalone" => continue,
                _ => "an XML declaration of version and encoding",
            };
            return Err(Broken::new(one.at, format!("expected {expected}")));
        }
        Ok(())
    }

    fn open(&mut self, name_length: usize, is_empty: bool) -> Result<Token<'t>, Broken> {
        let (at, end) = (self.at, self.end());
        let inner = self.slice(at + 1, end - if is_empty { 2 } else { 1 });
        let (qualified, attributes) = inner.split_at(name_length);
        let Some((prefix, name)) = attribute::split_name(qualified) else {
            return Err(Broken::new(at, format!("not well-formed XML: '{qualified}' is no element name")));
        };
        self.attributes.clear();
        attribute::parse(attributes, at + 1 + name_length, &mut self.attributes)?;
        attribute::check_unique(&self.attributes)?;
        let depth = self.depth + 1;
        self.bind(depth)?;
        for index in 0..self.attributes.len() {
            let one = self.attributes[index];
            if !one.prefix.is_empty() {
                self.attributes[index].namespace = self.resolve(one.prefix, one.at)?.0;
            }
        }
        let (namespace, bound_at) = self.resolve(prefix, at)?;
        if !is_empty {
            self.depth = depth;
        }
        Ok(Token::Open(Tag { at, prefix, name, namespace, bound_at, is_empty }))
    }

    /// Takes namespace declarations out of the attributes.
    fn bind(&mut self, depth: usize) -> Result<(), Broken> {
        if !self.attributes.iter().any(Attribute::is_declaration) {
            return Ok(());
        }
        for one in self.attributes.iter().filter(|one| one.is_declaration()) {
            let prefix = if one.prefix.is_empty() { "" } else { one.name };
            let namespace = Namespace::named(&attribute::decoded(one));
            let is_reserved = prefix == "xmlns" || (prefix == "xml") != (namespace == Namespace::Xml);
            if is_reserved || (namespace == Namespace::None && !prefix.is_empty()) {
                return Err(Broken::new(one.at, "not well-formed XML: this prefix cannot be bound to this namespace"));
            }
            if self.bindings.len() >= MOST_BINDINGS {
                let text = format!("expected at most {MOST_BINDINGS} namespace declarations in force");
                return Err(Broken::new(one.at, text));
            }
            self.bindings.push(Binding { prefix, namespace, depth });
        }
        self.attributes.retain(|one| !one.is_declaration());
        Ok(())
    }

    fn resolve(&self, prefix: &str, at: usize) -> Result<(Namespace, usize), Broken> {
        match self.bindings.iter().rev().find(|binding| binding.prefix == prefix) {
            Some(binding) => Ok((binding.namespace, binding.depth)),
            None if prefix.is_empty() => Ok((Namespace::None, 0)),
            None if prefix == "xml" => Ok((Namespace::Xml, 0)),
            None => Err(Broken::new(at, format!("the namespace prefix '{prefix}' is not declared"))),
        }
    }
}

/// Where the first character is that no XML document may hold.
fn forbidden_character(text: &str) -> Option<usize> {
    // 0xef begins the two forbidden characters that are no control characters, and many that are allowed.
    let is_suspect = |byte: &u8| (*byte < 0x20 && !matches!(byte, b'\t' | b'\n' | b'\r')) || *byte == 0xef;
    // Without an early exit inside a chunk this runs on many bytes at once.
    let mut chunks = text.as_bytes().chunks(4096);
    let suspect = chunks.any(|chunk| chunk.iter().fold(false, |found, byte| found | is_suspect(byte)));
    suspect.then(|| text.find(|c| !attribute::is_xml_character(c))).flatten()
}
