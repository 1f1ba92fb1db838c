//! What one entry of a Bundle asks for.

use std::{borrow::Cow, collections::BTreeMap};

use time::OffsetDateTime;

use super::fault;
use crate::{
    access::{Act, Caller, authorize},
    fhir::{
        instant,
        json::{Kind, Ref},
        outcome::IssueType,
        patch::{Patch, Refused},
        resource::Resource,
        types,
    },
    interaction::{
        Engine, Failure, Stored,
        condition::Condition,
        read::version_of_tag,
        search::Place,
        settle::{Ask, Asked, Target},
        update,
        write::{Expected, Op},
    },
};

/// What one entry asks for.
pub enum Wish {
    Look(Look),
    Write(Box<Asked>),
}

/// A read of some kind.
pub enum Look {
    Read { kind: String, id: String, unless: Unless },
    Version { kind: String, id: String, version: String },
    Search { place: Place, pairs: Vec<(String, String)> },
    History { kind: Option<String>, id: Option<String>, pairs: Vec<(String, String)> },
}

/// `request.ifNoneMatch` and `ifModifiedSince` of a read: with either, what is known already is not sent again.
#[derive(Clone, Debug, Default)]
pub struct Unless {
    version: Option<String>,
    since: Option<OffsetDateTime>,
}

impl Unless {
    /// Whether the client has this version already.
    pub fn holds(&self, stored: &Stored) -> bool {
        match (&self.version, self.since) {
            // As in RFC 9110 section 13.2.2, the tag decides where both are given.
            (Some(tags), _) => {
                tags.split(',').map(str::trim).any(|tag| tag == "*" || version_of_tag(tag) == Some(stored.version))
            }
            (None, Some(since)) => stored.updated <= since,
            (None, None) => false,
        }
    }
}

/// Reads one entry and takes its leave.
pub fn wish(engine: &Engine, caller: &Caller, entry: Ref<'_>, at: &str) -> Result<Wish, Failure> {
    let request = entry.get("request").filter(|request| request.kind() == Kind::Object);
    let request =
        request.ok_or_else(|| fault(IssueType::Required, "every entry has a request", format!("{at}.request")))?;
    let method = request.str("method").unwrap_or_default();
    let url = request.str("url").unwrap_or_default();
    let at_url = format!("{at}.request.url");
    let url = url.strip_prefix(&engine.base).unwrap_or(&url).trim_start_matches('/');
    let (path, query) = url.split_once('?').map_or((url, None), |(path, query)| (path, Some(query)));
    if path.contains('$') {
        let text = "operations are not offered in Bundles; call them on their own";
        return Err(fault(IssueType::NotSupported, text, at_url));
    }
    let parts: Vec<_> = path.trim_end_matches('/').split('/').filter(|part| !part.is_empty()).collect();
    let kind = parts.first().copied().unwrap_or_default();
    let is_system = parts.is_empty() || parts == ["_history"];
    let is_odd_id = parts.get(1).is_some_and(|id| *id != "_history" && !types::is_id(id));
    if !is_system && (!types::is_resource(kind) || is_odd_id) {
        return Err(fault(IssueType::Value, format!("'{url}' is not Type or Type/id of R4"), at_url));
    }
    if matches!(&*method, "GET" | "HEAD") {
        return look(request, &parts, query, at).map(Wish::Look);
    }
    let line = Line { engine, caller, entry, request, kind, at };
    let ask = match (&*method, parts.as_slice(), query) {
        ("POST", [_], None) => line.create()?,
        ("PUT", [_, id], None) => line.update(id)?,
        ("PUT", [_], Some(query)) => line.conditional_update(query)?,
        ("PATCH", [_, id], None) => line.patch(Target::Id((*id).to_owned()))?,
        ("PATCH", [_], Some(query)) => line.patch(Target::Condition(Box::new(line.condition(query, &at_url)?)))?,
        ("DELETE", [_, id], None) => {
            let expected = line.if_match()?.map(Expected::Version);
            Ask::Plain(Op::Delete { kind: kind.to_owned(), id: (*id).to_owned(), expected })
        }
        ("DELETE", [_], Some(query)) => {
            let condition = line.condition(query, &at_url)?;
            Ask::Delete { condition, kind: kind.to_owned(), if_match: line.if_match()? }
        }
        _ => {
            let text = format!("{method} {url} is not offered in Bundles");
            return Err(fault(IssueType::NotSupported, text, format!("{at}.request.method")));
        }
    };
    let act = match &ask {
        Ask::Plain(Op::Create { condition, .. }) => Act::Create { kind, conditional: condition.is_some() },
        Ask::Plain(Op::Update { .. }) | Ask::Update { .. } | Ask::Patch { .. } => Act::Update { kind },
        Ask::Plain(Op::Delete { .. } | Op::Nothing) | Ask::Delete { .. } => Act::Delete { kind },
    };
    let permit = authorize(caller, act)?;
    let full_url = entry.str("fullUrl").map(Cow::into_owned).filter(|url| !url.is_empty());
    Ok(Wish::Write(Box::new(Asked { permit, ask, full_url, at: Some(at.to_owned()), lookups: BTreeMap::new() })))
}

fn look(request: Ref<'_>, parts: &[&str], query: Option<&str>, at: &str) -> Result<Look, Failure> {
    let pairs = || form_urlencoded::parse(query.unwrap_or_default().as_bytes()).into_owned().collect();
    let own = |text: &str| text.to_owned();
    Ok(match parts {
        [] => Look::Search { place: Place::System, pairs: pairs() },
        ["_history"] => Look::History { kind: None, id: None, pairs: pairs() },
        [kind] => Look::Search { place: Place::Type(own(kind)), pairs: pairs() },
        [kind, "_history"] => Look::History { kind: Some(own(kind)), id: None, pairs: pairs() },
        [kind, id] => Look::Read { kind: own(kind), id: own(id), unless: unless(request, at)? },
        [kind, id, "_history"] => Look::History { kind: Some(own(kind)), id: Some(own(id)), pairs: pairs() },
        [kind, id, "_history", version] => Look::Version { kind: own(kind), id: own(id), version: own(version) },
        [kind, id, member] if *member == "*" || types::is_resource(member) => {
            let kind_of_member = (*member != "*").then(|| own(member));
            let place = Place::Compartment { compartment: own(kind), id: own(id), kind: kind_of_member };
            Look::Search { place, pairs: pairs() }
        }
        _ => {
            let text = "expected Type, Type/id, Type/id/_history, Type?query and the like";
            return Err(fault(IssueType::NotSupported, text, format!("{at}.request.url")));
        }
    })
}

fn unless(request: Ref<'_>, at: &str) -> Result<Unless, Failure> {
    let since = match text(request, "ifModifiedSince", at)? {
        None => None,
        Some(text) => {
            let place = format!("{at}.request.ifModifiedSince");
            Some(instant::parse(&text).ok_or_else(|| fault(IssueType::Value, "ifModifiedSince is an instant", place))?)
        }
    };
    Ok(Unless { version: text(request, "ifNoneMatch", at)?.map(Cow::into_owned), since })
}

/// A condition in `request`, if there is one. 400 when it is no string: nothing would be left of it.
fn text<'r>(request: Ref<'r>, name: &str, at: &str) -> Result<Option<Cow<'r, str>>, Failure> {
    let Some(value) = request.get(name) else { return Ok(None) };
    let place = || format!("{at}.request.{name}");
    value.as_str().map(Some).ok_or_else(|| fault(IssueType::Structure, format!("{name} is a string"), place()))
}

/// An entry that writes.
struct Line<'a> {
    engine: &'a Engine,
    caller: &'a Caller,
    entry: Ref<'a>,
    request: Ref<'a>,
    kind: &'a str,
    at: &'a str,
}

impl Line<'_> {
    fn create(&self) -> Result<Ask, Failure> {
        let resource = self.resource()?;
        let place = format!("{}.request.ifNoneExist", self.at);
        let query = text(self.request, "ifNoneExist", self.at)?;
        let condition = query.map(|query| self.condition(&query, &place)).transpose()?;
        Ok(Ask::Plain(Op::Create { resource, condition: condition.map(Box::new), only_new: false }))
    }

    fn update(&self, id: &str) -> Result<Ask, Failure> {
        let resource = self.resource()?;
        update::check_id(&resource, id).map_err(|_| {
            let text = format!("the resource's id is not the URL's id '{id}'");
            fault(IssueType::Value, text, format!("{}.resource.id", self.at))
        })?;
        Ok(Ask::Plain(Op::Update { id: id.to_owned(), resource, expected: self.expected()? }))
    }

    fn conditional_update(&self, query: &str) -> Result<Ask, Failure> {
        let condition = self.condition(query, &format!("{}.request.url", self.at))?;
        Ok(Ask::Update { condition, resource: self.resource()?, if_match: self.if_match()? })
    }

    fn patch(&self, target: Target) -> Result<Ask, Failure> {
        let place = format!("{}.resource", self.at);
        let resource = self.content()?;
        let read = match resource.type_name() {
            "Binary" => json_patch(&resource, self.engine),
            _ => Patch::path(&resource),
        };
        let patch = read.map_err(|refused| match refused {
            Refused::Malformed(issue) | Refused::Unfitting(issue) => fault(issue.code, issue.text, place),
        })?;
        Ok(Ask::Patch { kind: self.kind.to_owned(), target, patch: Box::new(patch), if_match: self.if_match()? })
    }

    /// The resource, of the type of the URL.
    fn resource(&self) -> Result<Resource, Failure> {
        let resource = self.content()?;
        if resource.type_name() != self.kind {
            let text = format!("the URL is for {}, the resource is a {}", self.kind, resource.type_name());
            return Err(fault(IssueType::Invalid, text, format!("{}.resource", self.at)));
        }
        Ok(resource)
    }

    fn content(&self) -> Result<Resource, Failure> {
        let place = format!("{}.resource", self.at);
        let value = self.entry.get("resource");
        let value = value.ok_or_else(|| fault(IssueType::Required, "this entry needs a resource", &place))?;
        Resource::parse(value.raw(), &self.engine.limits()).map_err(|issue| Failure::from(issue.at(&place)))
    }

    fn condition(&self, query: &str, place: &str) -> Result<Condition, Failure> {
        Condition::parse(self.engine, self.caller, self.kind, query).map_err(|failure| match failure {
            Failure::BadRequest(outcome) => fault(IssueType::Value, outcome.summary(), place),
            other => other,
        })
    }

    /// `ifMatch`, or `ifNoneMatch` of `*`, of an update of an id: as the headers of these names.
    fn expected(&self) -> Result<Option<Expected>, Failure> {
        let version = self.version()?.map(Expected::Version);
        match text(self.request, "ifNoneMatch", self.at)?.as_deref() {
            None => Ok(version),
            Some("*") if version.is_none() => Ok(Some(Expected::Nothing)),
            Some(_) => {
                let text = "with an update, ifNoneMatch is * (only if nothing is there), and stands without ifMatch";
                Err(fault(IssueType::Value, text, format!("{}.request.ifNoneMatch", self.at)))
            }
        }
    }

    /// `ifMatch` of a write that gives `ifNoneMatch` no meaning: it is refused, for a condition that is left out of account
    /// lets through what was not meant (RFC 9110 section 13.2.1).
    fn if_match(&self) -> Result<Option<i64>, Failure> {
        if text(self.request, "ifNoneMatch", self.at)?.is_some() {
            let text =
                "ifNoneMatch is for reads, and for updates of an id; use ifNoneExist, or a search in the address";
            return Err(fault(IssueType::NotSupported, text, format!("{}.request.ifNoneMatch", self.at)));
        }
        self.version()
    }

    fn version(&self) -> Result<Option<i64>, Failure> {
        let Some(tag) = text(self.request, "ifMatch", self.at)? else { return Ok(None) };
        let text = "ifMatch holds one version as an ETag, such as W/\"3\"";
        let place = || format!("{}.request.ifMatch", self.at);
        version_of_tag(&tag).map(Some).ok_or_else(|| fault(IssueType::Value, text, place()))
    }
}

/// A JSON Patch in a Binary (FHIR R4 http.html#patch, for Bundles).
fn json_patch(binary: &Resource, engine: &Engine) -> Result<Patch, Refused> {
    use base64::{Engine as _, engine::general_purpose::STANDARD};
    let wrong = |text: &str| Refused::Malformed(crate::fhir::outcome::Issue::error(IssueType::Structure, text));
    let is_patch = binary.root().str("contentType").as_deref() == Some("application/json-patch+json");
    if !is_patch {
        return Err(wrong("a Binary that patches is of contentType application/json-patch+json"));
    }
    let data = binary.root().str("data").unwrap_or_default();
    let bytes = STANDARD.decode(data.as_bytes()).map_err(|_| wrong("the Binary's data is not base64"))?;
    let text = std::str::from_utf8(&bytes).map_err(|_| wrong("the patch is not UTF-8"))?;
    Patch::json(text, &engine.limits())
}
