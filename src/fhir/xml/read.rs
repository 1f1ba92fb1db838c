//! XML to JSON.
//!
//! One pass along the table of types: each element is looked up in its parent's type and written as JSON at once. What is
//! wrong is noted and passed over, so that one answer tells everything; only what is not well-formed ends the reading.

use super::{
    FHIR, XHTML,
    attribute::{self, Attribute, push_as_json},
    scan::{Broken, Namespace, Scanner, Tag, Token},
    xhtml,
};
use crate::fhir::{
    definition::types::{Field, FieldId, Kind, Primitive, TypeId, Types, r4},
    json::Limits,
    outcome::{Issue, IssueType},
};

/// Faults told of one document.
const MOST_ISSUES: usize = 100;

/// Reads an XML document as the JSON text of the same resource, or says all that is wrong with its form, each fault with
/// its line and column and its FHIRPath. A leading byte order mark is ignored.
///
/// `limits.depth` counts as it does for the JSON: an element that repeats is an array of objects.
pub fn read(text: &str, limits: &Limits) -> Result<String, Vec<Issue>> {
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let mut found = Vec::new();
    let out = match Scanner::new(text) {
        Ok(scan) => {
            let out = String::with_capacity(text.len());
            let mut reading =
                Reading { scan, types: r4(), limits, out, found: Vec::new(), path: Vec::new(), is_root: true };
            let end = reading.document();
            found = reading.found;
            found.extend(end.err().map(fatal));
            reading.out
        }
        Err(broken) => {
            found.push(fatal(broken));
            String::new()
        }
    };
    if found.is_empty() { Ok(out) } else { Err(placed(text, found)) }
}

fn fatal(broken: Broken) -> (usize, Issue) {
    (broken.at, Issue::error(IssueType::Structure, broken.text))
}

/// The issues in the order of their places, which their texts begin with.
fn placed(text: &str, mut found: Vec<(usize, Issue)>) -> Vec<Issue> {
    found.sort_by_key(|(at, _)| *at);
    let (mut line, mut line_start, mut counted) = (1, 0, 0);
    let place = |(at, issue): (usize, Issue)| {
        let at = (0..=at.min(text.len())).rev().find(|at| text.is_char_boundary(*at)).unwrap_or_default();
        for (offset, _) in text[counted..at].match_indices('\n') {
            line += 1;
            line_start = counted + offset + 1;
        }
        counted = at;
        let column = text[line_start..at].chars().count() + 1;
        Issue { text: format!("line {line}, column {column}: {}", issue.text), ..issue }
    };
    found.into_iter().map(place).collect()
}

/// One step of the path to the element being read.
struct Step {
    name: &'static str,
    index: Option<usize>,
}

struct Reading<'t, 'l> {
    scan: Scanner<'t>,
    types: &'static Types,
    limits: &'l Limits,
    out: String,
    /// By the byte they are at.
    found: Vec<(usize, Issue)>,
    path: Vec<Step>,
    /// The outermost element has not been read yet.
    is_root: bool,
}

/// The elements of one name inside their parent: one JSON member, or two.
struct Group {
    field: Option<FieldId>,
    /// The last in R4's order so far.
    latest: Option<FieldId>,
    /// Elements so far.
    count: usize,
    /// Where the member begins in the output.
    start: usize,
    /// Some have a value.
    has_values: bool,
    /// The items of the `_` member of a repeating primitive, and how many there are.
    shadows: String,
    shadow_count: usize,
}

impl<'t> Reading<'t, '_> {
    fn document(&mut self) -> Result<(), Broken> {
        let mut has_root = false;
        loop {
            match self.scan.next()? {
                Token::Comment | Token::Instruction => {}
                Token::Text(text) if is_blank(text) => {}
                Token::Open(tag) if !has_root => {
                    has_root = true;
                    self.resource(&tag, 1)?;
                }
                Token::End if has_root => return Ok(()),
                Token::End => return Err(Broken::new(self.scan.at(), "expected an element")),
                _ => {
                    let text = "not well-formed XML: expected one element and nothing outside it";
                    return Err(Broken::new(self.scan.at(), text));
                }
            }
        }
    }

    /// Reads an element that is a resource. `depth` is that of its JSON object.
    fn resource(&mut self, tag: &Tag<'t>, depth: usize) -> Result<(), Broken> {
        let is_root = std::mem::replace(&mut self.is_root, false);
        let ty = (tag.namespace == Namespace::Fhir).then(|| self.types.resource(tag.name)).flatten();
        let Some(ty) = ty else {
            let text = if tag.namespace == Namespace::Fhir {
                format!("'{}' is not a resource type of FHIR R4", tag.name)
            } else {
                format!("expected a resource of the namespace {FHIR}")
            };
            self.note(tag.at, "", IssueType::Structure, text);
            return self.scan.skip(tag);
        };
        self.check_depth(tag, depth)?;
        let types = self.types;
        let name = &types.ty(ty).name;
        if is_root {
            self.path.push(Step { name, index: None });
        }
        for index in 0..self.scan.attributes().len() {
            let one = self.scan.attributes()[index];
            if !(is_root && one.namespace == Namespace::SchemaInstance && one.name == "schemaLocation") {
                self.unknown_attribute(&one, "a resource has no attributes");
            }
        }
        self.out.push_str("{\"resourceType\":\"");
        self.out.push_str(name);
        self.out.push('"');
        self.elements(ty, tag, depth)?;
        self.out.push('}');
        Ok(())
    }

    /// Reads what is inside the element that `tag` opened, up to its end, as members of the JSON object at `depth`.
    /// Returns whether there are elements, right or wrong.
    fn elements(&mut self, ty: TypeId, tag: &Tag<'t>, depth: usize) -> Result<bool, Broken> {
        if tag.is_empty {
            return Ok(false);
        }
        let mut has_elements = false;
        let mut group = Group {
            field: None,
            latest: None,
            count: 0,
            start: 0,
            has_values: false,
            shadows: String::new(),
            shadow_count: 0,
        };
        loop {
            match self.scan.next()? {
                Token::Close | Token::End => break,
                Token::Open(tag) => {
                    has_elements = true;
                    self.element(ty, &tag, &mut group, depth)?;
                }
                Token::Comment | Token::Instruction => {}
                other => self.stray(other),
            }
            if self.found.len() >= MOST_ISSUES {
                let text = format!("{MOST_ISSUES} faults were found; what follows was not read");
                return Err(Broken::new(self.scan.at(), text));
            }
        }
        self.close(&mut group);
        Ok(has_elements)
    }

    /// Text where only elements stand.
    fn stray(&mut self, token: Token<'t>) {
        if !matches!(token, Token::Text(text) if is_blank(text)) {
            let text = "expected elements only, found text: a primitive's value is in its attribute 'value'";
            self.note(self.scan.at(), "", IssueType::Structure, text);
        }
    }

    fn element(&mut self, parent: TypeId, tag: &Tag<'t>, group: &mut Group, depth: usize) -> Result<(), Broken> {
        let types = self.types;
        // Elements of one name follow one another.
        let again = group.field.filter(|id| *types.field(*id).name == *tag.name);
        let id = again.or_else(|| types.field_named(parent, tag.name));
        let id = id.filter(|id| !types.field(*id).is_xml_attribute);
        let Some(id) = id else {
            let text = match types.element_named(parent, tag.name).map(|id| types.field(id)) {
                Some(field) if field.is_choice => {
                    format!("expected '{}' with the name of its type, such as '{}'", tag.name, field.name)
                }
                Some(_) => format!("expected '{}' as an attribute", tag.name),
                None => format!("{} has no element '{}'", types.ty(parent).name, tag.name),
            };
            self.note(tag.at, tag.name, IssueType::Structure, text);
            return self.scan.skip(tag);
        };
        let field = types.field(id);
        let is_xhtml = types.primitive(field.ty) == Some(Primitive::Xhtml);
        let (namespace, uri) = if is_xhtml { (Namespace::Xhtml, XHTML) } else { (Namespace::Fhir, FHIR) };
        if tag.namespace != namespace {
            let text = format!("expected '{}' in the namespace {uri}", tag.name);
            self.note(tag.at, tag.name, IssueType::Structure, text);
            return self.scan.skip(tag);
        }
        self.place(tag, id, field, group);
        let index = field.is_array.then_some(group.count);
        self.path.push(Step { name: &field.element, index });
        let depth = depth + 1 + usize::from(field.is_array);
        match types.ty(field.ty).kind {
            Kind::Resource => self.wrapper(tag, depth)?,
            Kind::Complex => self.complex(tag, field.ty, depth)?,
            Kind::Primitive(Primitive::Xhtml) => {
                group.has_values = true;
                self.narrative(tag)?;
            }
            Kind::Primitive(primitive) => self.primitive(tag, field, primitive, group, depth)?,
        }
        group.count += 1;
        self.path.pop();
        Ok(())
    }

    /// Checks the element's place among its siblings, and begins its member if it is the first of its name.
    fn place(&mut self, tag: &Tag<'t>, id: FieldId, field: &'static Field, group: &mut Group) {
        if group.field == Some(id) {
            if !field.is_array {
                let text = format!("'{}' may stand once", tag.name);
                self.note(tag.at, &field.element, IssueType::Structure, text);
            }
            return;
        }
        if let Some(latest) = group.latest {
            let before = self.types.field(latest);
            if before.element == field.element {
                let text = format!("expected one of '{}' and '{}'", before.name, field.name);
                self.note(tag.at, &field.element, IssueType::Structure, text);
            } else if id < latest {
                let text = format!("expected '{}' before '{}', in R4's order", field.name, before.name);
                self.note(tag.at, &field.element, IssueType::Structure, text);
            }
        }
        self.close(group);
        group.field = Some(id);
        group.latest = group.latest.max(Some(id));
        group.start = self.out.len();
        self.name("", &field.name);
        if field.is_array {
            self.out.push('[');
        }
    }

    /// Ends the member of the last name.
    fn close(&mut self, group: &mut Group) {
        let Some(field) = group.field.take().map(|id| self.types.field(id)) else { return };
        let is_primitive = self.types.primitive(field.ty).is_some();
        if is_primitive && !group.has_values {
            // Extensions alone: only the `_` member says something.
            self.out.truncate(group.start);
        } else if field.is_array {
            self.out.push(']');
        }
        if group.shadow_count > 0 {
            self.name("_", &field.name);
            if field.is_array {
                self.out.push('[');
            }
            self.out.push_str(&group.shadows);
            if field.is_array {
                self.out.push_str(&",null".repeat(group.count - group.shadow_count));
                self.out.push(']');
            }
        }
        group.shadows.clear();
        (group.count, group.shadow_count, group.has_values) = (0, 0, false);
    }

    /// `contained`, `resource` and their like: an element around one resource.
    fn wrapper(&mut self, tag: &Tag<'t>, depth: usize) -> Result<(), Broken> {
        self.comma();
        for index in 0..self.scan.attributes().len() {
            let one = self.scan.attributes()[index];
            self.unknown_attribute(&one, "an element around a resource has no attributes");
        }
        let home = self.scan.depth();
        let mut has_resource = false;
        while !tag.is_empty && self.scan.depth() >= home {
            match self.scan.next()? {
                Token::Close | Token::End => {}
                Token::Open(inner) if !has_resource => {
                    has_resource = true;
                    self.resource(&inner, depth)?;
                }
                Token::Open(inner) => {
                    self.note(inner.at, "", IssueType::Structure, "expected one resource, found another");
                    self.scan.skip(&inner)?;
                }
                Token::Comment | Token::Instruction => {}
                other => self.stray(other),
            }
        }
        if !has_resource {
            self.note(tag.at, "", IssueType::Structure, "expected a resource inside");
        }
        Ok(())
    }

    fn complex(&mut self, tag: &Tag<'t>, ty: TypeId, depth: usize) -> Result<(), Broken> {
        self.check_depth(tag, depth)?;
        self.comma();
        self.out.push('{');
        for index in 0..self.scan.attributes().len() {
            let one = self.scan.attributes()[index];
            if self.is_attribute_of(ty, &one) {
                self.attribute(&one);
            } else {
                self.unknown_attribute(&one, &format!("{} has no attribute '{}'", self.types.ty(ty).name, one.name));
            }
        }
        let has_elements = self.elements(ty, tag, depth)?;
        if !has_elements && self.out.ends_with('{') {
            self.note(tag.at, "", IssueType::Structure, "expected an element with content");
        }
        self.out.push('}');
        Ok(())
    }

    fn primitive(
        &mut self,
        tag: &Tag<'t>,
        field: &'static Field,
        primitive: Primitive,
        group: &mut Group,
        depth: usize,
    ) -> Result<(), Broken> {
        let mut value = None;
        let mut id = None;
        for index in 0..self.scan.attributes().len() {
            let one = self.scan.attributes()[index];
            match (one.namespace, one.name) {
                (Namespace::None, "value") => value = Some(one),
                (Namespace::None, "id") => id = Some(one),
                _ => self.unknown_attribute(&one, &format!("a primitive has no attribute '{}'", one.name)),
            }
        }
        if let Some(value) = value {
            group.has_values = true;
            if group.count > 0 {
                self.out.push(',');
            }
            self.value(&value, primitive);
        } else if field.is_array {
            self.comma();
            self.out.push_str("null");
        }
        let start = self.out.len();
        if id.is_some() || !tag.is_empty {
            self.check_depth(tag, depth)?;
            self.out.push('{');
            if let Some(id) = id {
                self.attribute(&id);
            }
            self.elements(field.ty, tag, depth)?;
            self.out.push('}');
        }
        if self.out.len() > start + "{}".len() {
            let missing = group.count.saturating_sub(group.shadow_count);
            for _ in 0..missing {
                group.shadows.push_str(if group.shadows.is_empty() { "null" } else { ",null" });
            }
            if !group.shadows.is_empty() {
                group.shadows.push(',');
            }
            group.shadows.push_str(&self.out[start..]);
            group.shadow_count = group.count + 1;
        } else if value.is_none() {
            self.note(tag.at, "", IssueType::Structure, "expected an attribute 'value', or extensions");
        }
        self.out.truncate(start);
        Ok(())
    }

    /// Writes a primitive's value.
    fn value(&mut self, attribute: &Attribute<'t>, primitive: Primitive) {
        if attribute.value.is_empty() {
            self.note(attribute.at, "", IssueType::Value, "expected a value, found an empty one");
        }
        let value = attribute.value;
        let expected = match primitive {
            Primitive::Boolean if matches!(value, "true" | "false") => return self.out.push_str(value),
            Primitive::Boolean => "'true' or 'false'",
            Primitive::Decimal if is_number(value) => return self.out.push_str(value),
            Primitive::Decimal => "a decimal such as 1.50, without '+' and leading zeros",
            Primitive::Integer | Primitive::PositiveInt | Primitive::UnsignedInt => {
                // R4 allows a sign that JSON does not.
                let plain = value.strip_prefix('+').filter(|digits| !digits.starts_with('-')).unwrap_or(value);
                if is_number(plain) && !plain.contains(['.', 'e', 'E']) {
                    return self.out.push_str(plain);
                }
                "a whole number without leading zeros"
            }
            _ => {
                self.out.push('"');
                push_as_json(attribute, &mut self.out);
                return self.out.push('"');
            }
        };
        self.out.push_str("null");
        if !value.is_empty() {
            let shown: String = attribute::decoded(attribute).chars().take(40).collect();
            self.note(attribute.at, "", IssueType::Value, format!("expected {expected}, found '{shown}'"));
        }
    }

    fn narrative(&mut self, tag: &Tag<'t>) -> Result<(), Broken> {
        let div = xhtml::read(&mut self.scan, tag)?;
        if let Some((at, what)) = div.foreign {
            self.note(at, "", IssueType::Structure, format!("expected XHTML only, found {what}"));
        }
        self.out.push('"');
        attribute::push_text_as_json(&div.text, &mut self.out);
        self.out.push('"');
        Ok(())
    }

    fn is_attribute_of(&self, ty: TypeId, attribute: &Attribute<'t>) -> bool {
        attribute.namespace == Namespace::None
            && self.types.field_named(ty, attribute.name).is_some_and(|id| self.types.field(id).is_xml_attribute)
    }

    /// Writes `id` or `url`.
    fn attribute(&mut self, one: &Attribute<'t>) {
        if one.value.is_empty() {
            self.note(one.at, one.name, IssueType::Value, "expected a value, found an empty one");
        }
        self.name("", one.name);
        self.out.push('"');
        push_as_json(one, &mut self.out);
        self.out.push('"');
    }

    fn unknown_attribute(&mut self, one: &Attribute<'t>, text: &str) {
        self.note(one.at, one.name, IssueType::Structure, text);
    }

    /// Begins a member.
    fn name(&mut self, prefix: &str, name: &str) {
        self.comma();
        self.out.push('"');
        self.out.push_str(prefix);
        self.out.push_str(name);
        self.out.push_str("\":");
    }

    /// A comma, unless a bracket or a member's name has just been written.
    fn comma(&mut self) {
        if !self.out.ends_with(['{', '[', ':']) {
            self.out.push(',');
        }
    }

    fn check_depth(&self, tag: &Tag<'t>, depth: usize) -> Result<(), Broken> {
        if depth > self.limits.depth {
            let text = format!("expected at most {} levels of elements", self.limits.depth);
            return Err(Broken::new(tag.at, text));
        }
        Ok(())
    }

    /// Notes a fault in the element being read, or in `member` of it. Reading ends soon after [`MOST_ISSUES`].
    fn note(&mut self, at: usize, member: &str, code: IssueType, text: impl Into<String>) {
        if self.found.len() >= MOST_ISSUES {
            return;
        }
        let mut path = String::new();
        for Step { name, index } in &self.path {
            if !path.is_empty() {
                path.push('.');
            }
            path.push_str(name);
            if let Some(index) = index {
                path.push_str(&format!("[{index}]"));
            }
        }
        if !member.is_empty() {
            path.push('.');
            path.push_str(member);
        }
        let issue = Issue::error(code, text);
        self.found.push((at, if path.is_empty() { issue } else { issue.at(path) }));
    }
}

fn is_blank(text: &str) -> bool {
    text.bytes().all(attribute::is_space)
}

/// Whether `text` is a JSON number, which is what R4 calls a decimal.
fn is_number(text: &str) -> bool {
    let digits = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    let unsigned = text.strip_prefix('-').unwrap_or(text);
    let (mantissa, exponent) = match unsigned.split_once(['e', 'E']) {
        Some((mantissa, exponent)) => (mantissa, Some(exponent)),
        None => (unsigned, None),
    };
    let (whole, fraction) = match mantissa.split_once('.') {
        Some((whole, fraction)) => (whole, Some(fraction)),
        None => (mantissa, None),
    };
    digits(whole)
        && (whole == "0" || !whole.starts_with('0'))
        && fraction.is_none_or(digits)
        && exponent.is_none_or(|exponent| digits(exponent.strip_prefix(['+', '-']).unwrap_or(exponent)))
}
