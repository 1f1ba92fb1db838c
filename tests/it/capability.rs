//! The CapabilityStatement is true: every claim is probed by a request, and what is not claimed is refused.
//!
//! The tests go by the statement that a server sends. A claim of a new kind fails until its probe stands here.

use std::collections::BTreeMap;

use futures_util::StreamExt;
use futures_util::stream;
use serde_json::{Value, json};
use sofa::fhir::definition::parameter::Kind;
use sofa::fhir::definition::registry::Registry;
use sofa::fhir::search::{Parameter, Parameters};

use crate::support::answer::Answer;
use crate::support::server::TestServer;
use crate::support::session::Session;

/// Requests at the same time.
const AT_ONCE: usize = 8;

struct Claims {
    _server: TestServer,
    service: Session,
    statement: Value,
    parameters: Parameters,
}

impl Claims {
    /// Of a server that allows the most: what can be switched off is claimed.
    async fn of_a_server() -> Self {
        let server = TestServer::configured("[fhir]\nupdate_create = \"shared\"\n").await;
        let service = server.service_with("service", "system/*.cruds system/AuditEvent.rs").await;
        let statement = server.stranger().get("metadata").await.expect(200).json();
        let (parameters, _) = Parameters::new(&Registry::built_in());
        Self { _server: server, service, statement, parameters }
    }

    fn rest(&self) -> &Value {
        &self.statement["rest"][0]
    }

    fn resources(&self) -> impl Iterator<Item = (&str, &Value)> {
        list(&self.rest()["resource"]).map(|resource| (resource["type"].as_str().unwrap(), resource))
    }

    async fn probe(&self, probe: &Probe) -> Answer {
        let headers: Vec<_> = probe.headers.iter().map(|(name, value)| (*name, value.as_str())).collect();
        self.service.send(probe.method, &probe.path, &headers, probe.body.clone()).await
    }

    /// Sends all probes and gives back what `judge` finds wrong.
    async fn all_wrong(&self, probes: Vec<Probe>, judge: impl Fn(&Probe, &Answer) -> bool) -> Vec<String> {
        let answers =
            stream::iter(probes).map(async |probe| (self.probe(&probe).await, probe)).buffer_unordered(AT_ONCE);
        let wrong = answers.filter_map(async |(answer, probe)| {
            let text: String = answer.text.chars().take(300).collect();
            (!judge(&probe, &answer)).then(|| format!("{}: {} {text}", answer.asked, answer.status))
        });
        wrong.collect().await
    }
}

/// A request that shows whether something is offered.
struct Probe {
    method: &'static str,
    path: String,
    headers: Vec<(&'static str, String)>,
    body: Option<String>,
}

impl Probe {
    fn new(method: &'static str, path: impl Into<String>) -> Self {
        Self { method, path: path.into(), headers: Vec::new(), body: None }
    }

    fn header(mut self, name: &'static str, value: impl Into<String>) -> Self {
        self.headers.push((name, value.into()));
        self
    }

    fn sending(mut self, body: &Value) -> Self {
        self.body = Some(body.to_string());
        self
    }

    /// Unknown parameters and values are refused.
    fn strict(self) -> Self {
        self.header("prefer", "handling=strict")
    }
}

fn list(value: &Value) -> impl Iterator<Item = &Value> {
    value.as_array().into_iter().flatten()
}

fn codes(value: &Value) -> Vec<&str> {
    list(value).map(|one| one["code"].as_str().unwrap()).collect()
}

/// Whether there is no such route: the answer is about the address or the method, not about a resource.
fn is_refused(answer: &Answer) -> bool {
    let no_route = answer.status == 404 && answer.text.contains("there is nothing at");
    no_route || matches!(answer.status, 405 | 501) || answer.status == 400 && answer.text.contains("not-supported")
}

/// The interactions of a type in R4 (type-restful-interaction), each with a request for it.
fn of_type(kind: &str) -> Vec<(&'static str, Probe)> {
    let body = json!({"resourceType": kind, "id": "chosen"});
    let patch = json!([{"op": "test", "path": "/resourceType", "value": kind}]);
    vec![
        ("read", Probe::new("GET", format!("{kind}/none"))),
        ("vread", Probe::new("GET", format!("{kind}/none/_history/1"))),
        ("update", Probe::new("PUT", format!("{kind}/chosen")).sending(&body)),
        (
            "patch",
            Probe::new("PATCH", format!("{kind}/none"))
                .header("content-type", "application/json-patch+json")
                .sending(&patch),
        ),
        ("delete", Probe::new("DELETE", format!("{kind}/none"))),
        ("history-instance", Probe::new("GET", format!("{kind}/none/_history"))),
        ("history-type", Probe::new("GET", format!("{kind}/_history?_count=1"))),
        ("create", Probe::new("POST", kind).sending(&json!({"resourceType": kind}))),
        ("search-type", Probe::new("GET", format!("{kind}?_count=1"))),
    ]
}

/// The interactions of the system in R4 (system-restful-interaction).
fn of_system() -> Vec<(&'static str, Probe)> {
    let bundle = |kind: &str| Probe::new("POST", "").sending(&json!({"resourceType": "Bundle", "type": kind}));
    vec![
        ("transaction", bundle("transaction")),
        ("batch", bundle("batch")),
        ("search-system", Probe::new("GET", "?_type=Basic&_count=1")),
        ("history-system", Probe::new("GET", "_history?_count=1")),
    ]
}

/// What an interaction that is offered answers to its probe. A Subscription is a PoC's only: others are told so.
fn offers(code: &str, kind: &str, answer: &Answer) -> bool {
    let statuses: &[u16] = match code {
        "read" | "vread" | "history-instance" | "patch" => &[404],
        "delete" => &[204],
        "create" => &[201, 400, 422],
        "update" => &[200, 201, 400, 422],
        "history-type" | "search-type" => &[200],
        _ => panic!("{kind} claims {code}: no probe for it"),
    };
    kind == "Subscription" && answer.status == 403 || statuses.contains(&answer.status) && !is_refused(answer)
}

#[tokio::test]
async fn every_interaction_of_a_type_is_offered_if_and_only_if_it_is_claimed() {
    let claims = Claims::of_a_server().await;
    assert_eq!(claims.resources().count(), 146);
    for (kind, resource) in claims.resources() {
        let claimed = codes(&resource["interaction"]);
        for code in &claimed {
            assert!(of_type(kind).iter().any(|(known, _)| known == code), "{kind} claims {code}: no probe for it");
        }
        for (code, probe) in of_type(kind) {
            let answer = claims.probe(&probe).await;
            if claimed.contains(&code) {
                assert!(offers(code, kind, &answer), "{kind} claims {code}: {} {}", answer.status, answer.text);
            } else {
                assert!(is_refused(&answer), "{kind} does not claim {code}: {} {}", answer.status, answer.text);
            }
        }
    }
}

#[tokio::test]
async fn every_interaction_and_format_of_the_system_is_offered_if_and_only_if_it_is_claimed() {
    let claims = Claims::of_a_server().await;
    let claimed = codes(&claims.rest()["interaction"]);
    for code in &claimed {
        assert!(of_system().iter().any(|(known, _)| known == code), "{code} is claimed: no probe for it");
    }
    for (code, probe) in of_system() {
        let answer = claims.probe(&probe).await;
        if claimed.contains(&code) {
            assert_eq!(answer.status, 200, "{code} is claimed: {}", answer.text);
        } else {
            assert!(is_refused(&answer), "{code} is not claimed: {} {}", answer.status, answer.text);
        }
    }
    let formats: Vec<_> = list(&claims.statement["format"]).map(|format| format.as_str().unwrap()).collect();
    assert!(formats.contains(&"json") && formats.contains(&"xml"), "{formats:?}");
    for format in formats {
        let answer = claims.service.get(&format!("metadata?_format={}", format.replace('+', "%2B"))).await.expect(200);
        let essence = answer.header("content-type").split(';').next().unwrap().to_owned();
        assert!(essence == format || essence == format!("application/fhir+{format}"), "{format}: {essence}");
    }
    for format in list(&claims.statement["patchFormat"]) {
        let probe = Probe::new("PATCH", "Patient/none").header("content-type", format.as_str().unwrap());
        let body = if format.as_str().unwrap().ends_with("json-patch+json") { "[]" } else { "" };
        let answer = claims.probe(&Probe { body: Some(body.to_owned()), ..probe }).await;
        assert!(matches!(answer.status, 400 | 404 | 422), "{format}: {} {}", answer.status, answer.text);
    }
}

#[tokio::test]
async fn conditional_interactions_are_what_the_statement_says() {
    let claims = Claims::of_a_server().await;
    for (kind, resource) in claims.resources().filter(|(kind, _)| *kind != "Subscription") {
        let body = json!({"resourceType": kind, "id": "chosen"});
        let created =
            Probe::new("POST", kind).header("if-none-exist", "_id=none").sending(&json!({"resourceType": kind}));
        let updated = Probe::new("PUT", format!("{kind}?_id=none")).sending(&body);
        let deleted = Probe::new("DELETE", format!("{kind}?_id=none"));
        let patched = Probe::new("PATCH", format!("{kind}?_id=none"))
            .header("content-type", "application/json-patch+json")
            .sending(&json!([]));
        let can_patch = codes(&resource["interaction"]).contains(&"patch");
        for (claimed, probe, statuses) in [
            (resource["conditionalCreate"] == true, created, &[201, 400, 422][..]),
            (resource["conditionalUpdate"] == true, updated, &[200, 201, 400, 422]),
            (matches!(resource["conditionalDelete"].as_str(), Some("single" | "multiple")), deleted, &[200, 204]),
            (resource["conditionalUpdate"] == true && can_patch, patched, &[404, 400]),
        ] {
            let answer = claims.probe(&probe).await;
            let text = format!("{kind} {} {}: {} {}", probe.method, probe.path, answer.status, answer.text);
            if claimed {
                assert!(statuses.contains(&answer.status) && !is_refused(&answer), "{text}");
            } else {
                assert!(is_refused(&answer), "{text}");
            }
        }
        assert_eq!(resource["readHistory"] == true, codes(&resource["interaction"]).contains(&"vread"));
        assert_eq!(resource["versioning"], if kind == "AuditEvent" { "no-version" } else { "versioned" });
    }
    let id = claims.service.post("Basic", &json!({"resourceType": "Basic", "code": {"text": "x"}})).await.expect(201);
    let read = claims.resources().find(|(kind, _)| *kind == "Basic").unwrap().1["conditionalRead"].clone();
    let path = format!("Basic/{}", id.id());
    let modified = id.header("last-modified").to_owned();
    for (name, value, how) in [
        ("if-none-match", "W/\"1\"", ["not-match", "full-support"]),
        ("if-modified-since", modified.as_str(), ["modified-since", "full-support"]),
    ] {
        let answer = claims.service.send("GET", &path, &[(name, value)], None).await;
        assert_eq!(answer.status == 304, how.iter().any(|one| read == *one), "{name}: {read}");
    }
}

#[tokio::test]
async fn ids_may_be_chosen_where_the_statement_says_so() {
    for (setting, expected) in [("off", false), ("shared", true)] {
        let server = TestServer::configured(&format!("[fhir]\nupdate_create = \"{setting}\"\n")).await;
        let service = server.service("service").await;
        let statement = service.get("metadata").await.expect(200).json();
        let resources: Vec<_> = list(&statement["rest"][0]["resource"]).collect();
        let basic = resources.iter().find(|resource| resource["type"] == "Basic").unwrap();
        assert_eq!(basic["updateCreate"], expected);
        let body = json!({"resourceType": "Basic", "id": "chosen", "code": {"text": "x"}});
        let answer = service.put("Basic/chosen", &body).await;
        assert_eq!(answer.status, if expected { 201 } else { 405 }, "{setting}");
    }
}

#[tokio::test]
async fn every_operation_that_is_claimed_is_offered_and_others_are_not() {
    let claims = Claims::of_a_server().await;
    let parameters = json!({"resourceType": "Parameters"});
    let offered = async |paths: Vec<String>| {
        let mut told = Vec::new();
        for path in paths {
            for probe in [Probe::new("POST", path.clone()).sending(&parameters), Probe::new("GET", path)] {
                let answer = claims.probe(&probe).await;
                // The instance-level probe is about a resource that is not there: 404 about it is an answer too.
                if !is_refused(&answer) && answer.status < 500 {
                    return None;
                }
                told.push(format!("{}: {} {}", answer.asked, answer.status, answer.text));
            }
        }
        Some(told.join("\n"))
    };
    for operation in list(&claims.rest()["operation"]) {
        let name = operation["name"].as_str().unwrap();
        assert!(operation["definition"].as_str().unwrap().starts_with("http://"), "{operation}");
        assert_eq!(offered(vec![format!("${name}")]).await, None);
    }
    for (kind, resource) in claims.resources() {
        for operation in list(&resource["operation"]) {
            let name = operation["name"].as_str().unwrap();
            assert!(operation["definition"].as_str().unwrap().starts_with("http://"), "{operation}");
            assert_eq!(offered(vec![format!("{kind}/${name}"), format!("{kind}/none/${name}")]).await, None);
        }
    }
    for path in ["$nothing", "Patient/$nothing", "Patient/none/$nothing", "Patient/$status", "Patient/$set-context"] {
        for method in ["GET", "POST"] {
            let answer = claims.probe(&Probe::new(method, path).sending(&parameters)).await;
            assert!(matches!(answer.status, 404 | 405), "{method} {path}: {}", answer.status);
        }
    }
}

/// A value that a parameter of this kind takes.
fn value(parameters: &Parameters, parameter: &Parameter) -> String {
    let of_kind = |kind: Kind| match kind {
        Kind::Number | Kind::Quantity => "1",
        Kind::Date => "2020-01-02",
        Kind::String => "text",
        Kind::Token => "code",
        Kind::Reference => "some-id",
        Kind::Uri => "http://example.org/x",
        Kind::Composite | Kind::Special => "words",
    };
    match (parameter.code.as_str(), parameter.kind) {
        ("_id" | "_list", _) => "some-id".to_owned(),
        (_, Kind::Composite) => {
            let parts = &parameters.find(&parameter.type_name, &parameter.code).unwrap().components;
            parts.iter().map(|part| of_kind(part.kind)).collect::<Vec<_>>().join("$")
        }
        (_, kind) => of_kind(kind).to_owned(),
    }
}

/// `name=value` for a claimed parameter.
fn question(claims: &Claims, kind: &str, claim: &Value) -> String {
    let code = claim["name"].as_str().unwrap();
    if code == "_has" {
        let (_, resource) = claims.resources().find(|(own, _)| *own == kind).unwrap();
        let leading = list(&resource["searchRevInclude"]).map(|one| one.as_str().unwrap()).find(|one| *one != "*");
        return format!("_has:{}:_id=some-id", leading.unwrap_or_else(|| panic!("nothing leads to {kind}")));
    }
    let parameter = claims.parameters.find(kind, code).unwrap_or_else(|| panic!("{kind} claims {code}"));
    assert_eq!(claim["type"], parameter.kind.code(), "{kind}?{code}");
    assert!(matches!(code, "_list") || claim["definition"] == parameter.url.as_str(), "{kind}?{code}: {claim}");
    format!("{code}={}", value(&claims.parameters, parameter))
}

#[tokio::test]
async fn every_search_parameter_that_is_claimed_works() {
    let claims = Claims::of_a_server().await;
    let mut probes = Vec::new();
    for (kind, resource) in claims.resources().filter(|(kind, _)| *kind != "Subscription") {
        let claimed: Vec<_> = list(&resource["searchParam"]).collect();
        assert_eq!(claimed.is_empty(), !codes(&resource["interaction"]).contains(&"search-type"), "{kind}");
        // One after the other where they are the type's own, the common ones all at once.
        let (common, own): (Vec<_>, Vec<_>) =
            claimed.into_iter().partition(|claim| claim["name"].as_str().unwrap().starts_with('_'));
        let ask = |question: String| Probe::new("GET", format!("{kind}?{question}")).strict();
        probes.extend(own.into_iter().map(|claim| ask(question(&claims, kind, claim))));
        if !common.is_empty() {
            let all: Vec<_> = common.into_iter().map(|claim| question(&claims, kind, claim)).collect();
            probes.push(ask(all.join("&")));
        }
    }
    for claim in list(&claims.rest()["searchParam"]) {
        probes.push(Probe::new("GET", format!("?_type=Basic&{}", question(&claims, "Basic", claim))).strict());
    }
    let wrong = claims.all_wrong(probes, |_, answer| answer.status == 200).await;
    assert!(wrong.is_empty(), "{} do not work:\n{}", wrong.len(), wrong.join("\n"));
}

#[tokio::test]
async fn a_search_parameter_that_is_not_claimed_is_refused() {
    let claims = Claims::of_a_server().await;
    let mut probes = Vec::new();
    let of_r4 = Registry::built_in();
    let mut bases: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    for parameter in of_r4.search_parameters() {
        parameter.base.iter().for_each(|base| bases.entry(base).or_default().push(&parameter.code));
    }
    for (kind, resource) in claims.resources().filter(|(kind, _)| *kind != "Subscription") {
        let claimed: Vec<_> = list(&resource["searchParam"]).map(|claim| claim["name"].as_str().unwrap()).collect();
        let of_r4 = [kind, "DomainResource", "Resource"].into_iter().filter_map(|base| bases.get(base)).flatten();
        let others = of_r4.copied().chain(["bonkers", "_query", "_filter", "Name"]);
        for code in others.filter(|code| !claimed.contains(code)) {
            probes.push(Probe::new("GET", format!("{kind}?{code}=x")).strict());
        }
    }
    assert!(probes.len() >= 3 * 145, "{}", probes.len());
    let wrong = claims.all_wrong(probes, |_, answer| matches!(answer.status, 400 | 405)).await;
    assert!(wrong.is_empty(), "{} are answered:\n{}", wrong.len(), wrong.join("\n"));
}

#[tokio::test]
async fn every_include_that_is_claimed_works() {
    let claims = Claims::of_a_server().await;
    let mut probes = Vec::new();
    for (kind, resource) in claims.resources().filter(|(kind, _)| *kind != "Subscription") {
        for (name, element) in [("_include", "searchInclude"), ("_revinclude", "searchRevInclude")] {
            let claimed: Vec<_> = list(&resource[element]).map(|claim| claim.as_str().unwrap()).collect();
            for some in claimed.chunks(16) {
                let query: Vec<_> = some.iter().map(|one| format!("{name}={one}")).collect();
                probes.push(Probe::new("GET", format!("{kind}?_count=1&{}", query.join("&"))).strict());
            }
        }
    }
    let wrong = claims.all_wrong(probes, |_, answer| answer.status == 200).await;
    assert!(wrong.is_empty(), "{} do not work:\n{}", wrong.len(), wrong.join("\n"));
    for wrong in
        ["Patient?_include=Patient:name", "Patient?_include=Patient:bonkers", "Patient?_revinclude=Foo:subject"]
    {
        let answer = claims.probe(&Probe::new("GET", wrong).strict()).await;
        answer.expect(400);
    }
}

#[tokio::test]
async fn every_compartment_that_is_claimed_can_be_searched_and_no_other() {
    let claims = Claims::of_a_server().await;
    let mut claimed = Vec::new();
    for compartment in list(&claims.rest()["compartment"]) {
        let name = compartment.as_str().unwrap().strip_prefix("http://hl7.org/fhir/CompartmentDefinition/").unwrap();
        let kind = name[..1].to_uppercase() + &name[1..];
        for path in [format!("{kind}/none/Observation"), format!("{kind}/none/*")] {
            let answer = claims.service.get(&path).await;
            assert!(matches!(answer.status, 200 | 404) && !is_refused(&answer), "{path}: {}", answer.text);
        }
        claimed.push(kind);
    }
    for kind in ["Observation", "Organization", "Basic"] {
        assert!(!claimed.iter().any(|one| one == kind));
        claims.service.get(&format!("{kind}/none/Observation")).await.expect(404).expect_outcome();
    }
}

#[tokio::test]
async fn the_statement_names_the_same_endpoints_as_discovery() {
    for dynamic in [false, true] {
        let server = TestServer::configured(&format!("registry.dynamic = {dynamic}")).await;
        let stranger = server.stranger();
        let statement = stranger.get("metadata").await.expect(200).json();
        let told = stranger.get(".well-known/smart-configuration").await.expect(200).json();
        let security = &statement["rest"][0]["security"];
        assert_eq!(security["service"][0]["coding"][0]["code"], "SMART-on-FHIR");
        let extension = &security["extension"][0];
        assert_eq!(extension["url"], "http://fhir-registry.smarthealthit.org/StructureDefinition/oauth-uris");
        let endpoints: BTreeMap<_, _> = extension["extension"]
            .as_array()
            .unwrap()
            .iter()
            .map(|one| (one["url"].as_str().unwrap(), one["valueUri"].clone()))
            .collect();
        let expected: BTreeMap<_, _> = [
            ("authorize", "authorization_endpoint"),
            ("token", "token_endpoint"),
            ("introspect", "introspection_endpoint"),
            ("revoke", "revocation_endpoint"),
            ("manage", "management_endpoint"),
            ("register", "registration_endpoint"),
        ]
        .into_iter()
        .filter_map(|(name, member)| Some((name, told.get(member)?.clone())))
        .collect();
        assert_eq!(endpoints, expected);
        assert_eq!(endpoints.contains_key("register"), dynamic);
    }
}
