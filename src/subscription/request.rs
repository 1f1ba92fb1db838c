//! A `Subscription` resource read and judged: what its owner asks for, or everything that is wrong with it.
//!
//! Subscriptions R5 Backport 1.2.0-ballot, R4 profile `backport-subscription`. Faults are answered together, with status
//! 422 and the FHIRPath of each element.

use std::time::Duration;

use serde::{Deserialize, Serialize};
use time::OffsetDateTime;

use super::{
    filter::{self, Filter},
    header,
    reader::Reader,
    status::Status,
    topic::{self, Topic},
};
use crate::{
    fhir::{
        format::Format,
        instant,
        json::Ref,
        outcome::{Issue, IssueType, Outcome},
        resource::Resource,
    },
    outbound::Guard,
};

/// Base of the guide's extension and profile URLs.
pub const BACKPORT: &str = "http://hl7.org/fhir/uv/subscriptions-backport/StructureDefinition";

/// A Subscription as the engine needs it: `subscription.spec` in the store. Headers are kept apart, sealed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Spec {
    /// The topic's canonical as the owner wrote it; notifications repeat it.
    pub topic: String,
    /// All that apply to a resource must hold.
    pub filters: Vec<Filter>,
    /// How notifications travel.
    pub channel: Channel,
    /// How much of a change a notification shows.
    pub content: Content,
    /// The MIME type of notifications, as the owner wrote it.
    pub payload: String,
    /// Seconds without traffic after which a heartbeat is wanted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub heartbeat: Option<u32>,
    /// Seconds one delivery may take.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub timeout: Option<u32>,
    /// The most events in one notification.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_count: Option<u32>,
    /// Nothing is sent from then on.
    #[serde(default, skip_serializing_if = "Option::is_none", with = "time::serde::rfc3339::option")]
    pub end: Option<OffsetDateTime>,
}

impl Spec {
    /// Reads a Spec as it is stored in `subscription.spec`.
    pub fn stored(value: &serde_json::Value) -> Result<Self, serde_json::Error> {
        Self::deserialize(value)
    }

    /// The format of notifications.
    pub fn format(&self) -> Format {
        Format::of_content_type(&self.payload).unwrap_or(Format::Json)
    }

    /// How long one delivery may take: what the owner asked for, at most `cap`.
    pub fn timeout(&self, cap: Duration) -> Duration {
        self.timeout.map_or(cap, |seconds| Duration::from_secs(seconds.into()).min(cap))
    }

    /// How many events one notification may hold: what the owner asked for, at most `cap`, at least 1.
    pub fn max_count(&self, cap: u32) -> usize {
        self.max_count.map_or(cap, |count| count.min(cap)).max(1) as usize
    }
}

/// How notifications travel.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "kebab-case")]
pub enum Channel {
    /// POST to an endpoint.
    RestHook {
        /// Absolute URL.
        endpoint: String,
    },
}

impl Channel {
    /// The address notifications are sent to.
    pub fn endpoint(&self) -> &str {
        match self {
            Self::RestHook { endpoint } => endpoint,
        }
    }
}

/// `backport-payload-content`: how much of a change a notification shows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Content {
    /// That something happened.
    Empty,
    /// What it happened to.
    IdOnly,
    /// The resource.
    FullResource,
}

impl Content {
    /// The reverse of the code that FHIR writes.
    pub fn parse(code: &str) -> Option<Self> {
        match code {
            "empty" => Some(Self::Empty),
            "id-only" => Some(Self::IdOnly),
            "full-resource" => Some(Self::FullResource),
            _ => None,
        }
    }
}

/// What the owner of a Subscription asks for.
#[derive(Clone, Debug)]
pub struct Request {
    /// The engine's view.
    pub spec: Spec,
    /// `channel.header`, each line checked. Hand them to [`header::Headers`]; do not log them.
    pub headers: Vec<String>,
    /// The status as the client wrote it. What it becomes is [`Request::next`].
    pub status: Status,
    /// What the owner should know although the Subscription is accepted.
    pub advice: Vec<Issue>,
}

impl Request {
    /// Reads a `Subscription`. The error lists every fault; its status is 422.
    pub fn read(resource: &Resource, guard: &Guard, base: &str, now: OffsetDateTime) -> Result<Self, Outcome> {
        let mut reader = Reader::default();
        let request = read(&mut reader, resource.root(), guard, base, now);
        match (Outcome::of(reader.faults), request) {
            (None, Some(request)) => Ok(request),
            (Some(faults), _) => Err(faults),
            // Reached only if a fault was not written down; then at least say no.
            (None, None) => {
                Err(Outcome::error(IssueType::Invalid, "this Subscription cannot be read").at("Subscription"))
            }
        }
    }

    /// The status that the Subscription gets, `current` being what it was before. A client cannot declare a Subscription
    /// active: it gets `requested`, and active by a handshake. Only one that is active already and keeps its channel stays
    /// so, and one in error stays in error until its owner asks for more.
    pub fn next(&self, current: Option<(Status, &Channel)>) -> Status {
        match (self.status, current) {
            (Status::Off, _) => Status::Off,
            (Status::Active | Status::Error, Some((Status::Active, channel))) if *channel == self.spec.channel => {
                Status::Active
            }
            (Status::Error, Some((Status::Error, _))) => Status::Error,
            _ => Status::Requested,
        }
    }
}

fn read(reader: &mut Reader, root: Ref<'_>, guard: &Guard, base: &str, now: OffsetDateTime) -> Option<Request> {
    reader.refuse_unknown_modifiers(root, "Subscription");
    reader.refuse_cross_version(root, "Subscription");
    let status = reader.required(root, "Subscription", "status");
    let status = status.and_then(|code| match Status::parse(&code) {
        None => reader.fault(IssueType::CodeInvalid, "Subscription.status", "expected requested, active, error or off"),
        status => status,
    });
    reader.required(root, "Subscription", "reason");
    let end = read_end(reader, root, status, now);
    let topic = read_topic(reader, root);
    let filters = topic.as_ref().map(|(_, topic)| read_filters(reader, root, topic, base)).unwrap_or_default();
    let Some(channel) = root.get("channel") else {
        return reader.fault(IssueType::Required, "Subscription.channel", "expected a channel");
    };
    reader.refuse_unknown_modifiers(channel, "Subscription.channel");
    let payload = read_payload(reader, channel);
    let content = read_content(reader, channel);
    let headers = read_headers(reader, channel);
    let extension = |name: &str| format!("{BACKPORT}/backport-{name}");
    let heartbeat = reader.count(channel, &extension("heartbeat-period"), "valueUnsignedInt");
    let timeout = reader.count(channel, &extension("timeout"), "valueUnsignedInt");
    let max_count = reader.count(channel, &extension("max-count"), "valuePositiveInt");
    let channel = read_channel(reader, channel, guard);
    let content = content?;
    Some(Request {
        spec: Spec {
            topic: topic?.0,
            filters,
            channel: channel?,
            content,
            payload: payload?,
            heartbeat,
            timeout,
            max_count,
            end,
        },
        headers,
        status: status?,
        advice: advice(content),
    })
}

/// `Subscription.end` must lie ahead, unless the Subscription is switched off anyway.
fn read_end(reader: &mut Reader, root: Ref<'_>, status: Option<Status>, now: OffsetDateTime) -> Option<OffsetDateTime> {
    let at = "Subscription.end";
    match instant::parse(&reader.optional(root, "Subscription", "end")?) {
        None => reader.fault(IssueType::Value, at, "expected an instant such as 2026-01-02T03:04:05Z"),
        Some(end) if end <= now && status != Some(Status::Off) => {
            reader.fault(IssueType::BusinessRule, at, "expected an instant that is not past")
        }
        end => end,
    }
}

fn read_topic(reader: &mut Reader, root: Ref<'_>) -> Option<(String, &'static Topic)> {
    let criteria = reader.required(root, "Subscription", "criteria")?;
    let Some(topic) = topic::find(&criteria) else {
        let known = topic::all().iter().map(|topic| topic.url.as_str()).collect::<Vec<_>>().join(", ");
        let text = format!("expected the canonical URL of a topic of this server ({known}), found '{criteria}'");
        return reader.fault(IssueType::NotSupported, "Subscription.criteria", text);
    };
    Some((criteria, topic))
}

fn read_filters(reader: &mut Reader, root: Ref<'_>, topic: &Topic, base: &str) -> Vec<Filter> {
    let url = format!("{BACKPORT}/backport-filter-criteria");
    let mut filters = Vec::new();
    for (at, extension) in reader.primitive_extensions(root, "_criteria", "Subscription.criteria", &url) {
        let criterion = extension.str("valueString").ok_or("expected a valueString".to_owned());
        match criterion.and_then(|text| filter::parse(&text, topic, base)) {
            Ok(filter) => filters.push(filter),
            Err(text) => reader.note(IssueType::NotSupported, format!("{at}.value"), text),
        }
    }
    filters
}

/// R4 `channel.type` is required; `backport-channel-type` may name a channel outside R4's list, and none of these is known.
fn read_channel(reader: &mut Reader, channel: Ref<'_>, guard: &Guard) -> Option<Channel> {
    let at = "Subscription.channel.type";
    let custom = format!("{BACKPORT}/backport-channel-type");
    if !reader.primitive_extensions(channel, "_type", at, &custom).is_empty() {
        let text = "expected no backport-channel-type: this version has the channel type rest-hook only";
        return reader.fault(IssueType::NotSupported, at, text);
    }
    let kind = reader.required(channel, "Subscription.channel", "type")?;
    if kind != "rest-hook" {
        let text =
            format!("the channel type '{kind}' is not supported: this version has the channel type rest-hook only");
        return reader.fault(IssueType::NotSupported, at, text);
    }
    let endpoint = reader.required(channel, "Subscription.channel", "endpoint")?;
    match guard.check(&endpoint) {
        Ok(_) => Some(Channel::RestHook { endpoint }),
        Err(refused) => reader.fault(IssueType::Value, "Subscription.channel.endpoint", refused.to_string()),
    }
}

/// Only what notifications can really be sent as: FHIR JSON or XML of R4.
fn read_payload(reader: &mut Reader, channel: Ref<'_>) -> Option<String> {
    let at = "Subscription.channel.payload";
    let payload = reader.required(channel, "Subscription.channel", "payload")?;
    if payload.chars().any(char::is_control) {
        return reader.fault(IssueType::Value, at, "expected a MIME type without control characters");
    }
    let mut parts = payload.split(';').map(str::trim);
    if parts.next().and_then(Format::named).is_none() {
        let text = format!("expected application/fhir+json or application/fhir+xml, found '{payload}'");
        return reader.fault(IssueType::NotSupported, at, text);
    }
    for parameter in parts.filter(|part| !part.is_empty()) {
        let (name, value) = parameter.split_once('=').unwrap_or((parameter, ""));
        let value = value.trim_matches('"');
        let known = match name.to_ascii_lowercase().as_str() {
            "fhirversion" => matches!(value, "4.0" | "4.0.1"),
            "charset" => value.eq_ignore_ascii_case("utf-8"),
            _ => false,
        };
        if !known {
            let text = format!("expected fhirVersion=4.0 or charset=utf-8, or no parameter, found '{parameter}'");
            return reader.fault(IssueType::NotSupported, at, text);
        }
    }
    Some(payload)
}

fn read_content(reader: &mut Reader, channel: Ref<'_>) -> Option<Content> {
    let at = "Subscription.channel.payload";
    let url = format!("{BACKPORT}/backport-payload-content");
    let found = reader.primitive_extensions(channel, "_payload", at, &url);
    let [(_, extension)] = found.as_slice() else {
        let text = format!("expected exactly one extension {url}, found {}", found.len());
        return reader.fault(IssueType::Required, format!("{at}.extension"), text);
    };
    match Content::parse(&extension.str("valueCode").unwrap_or_default()) {
        None => reader.fault(IssueType::CodeInvalid, found[0].0.as_str(), "expected empty, id-only or full-resource"),
        content => content,
    }
}

fn read_headers(reader: &mut Reader, channel: Ref<'_>) -> Vec<String> {
    let mut lines = Vec::new();
    for (index, line) in reader.list(channel, "Subscription.channel", "header").into_iter().enumerate() {
        let line = line.as_str().unwrap_or_default();
        match header::check(&line) {
            Ok(_) => lines.push(line.into_owned()),
            Err(text) => reader.note(IssueType::Value, format!("Subscription.channel.header[{index}]"), text),
        }
    }
    lines
}

/// A notification reaches its receiver before the change is committed.
fn advice(content: Content) -> Vec<Issue> {
    if content == Content::FullResource {
        return Vec::new();
    }
    let text = "notifications are delivered before the change is committed: their receiver cannot read the change at that \
                moment; only full-resource shows it";
    vec![Issue::warning(IssueType::Informational, text).at("Subscription.channel.payload.extension")]
}

#[cfg(test)]
mod tests;
