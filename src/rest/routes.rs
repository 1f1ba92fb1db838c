//! What is offered, as data. The router and the CapabilityStatement are both made from [`table`]: what is claimed is what
//! is routed.
//!
//! To offer something more, add its line: path, handler, whether it only [reads](Route::reading), as every `GET` does, and what
//! it [is](Route::is). Every path below is also answered
//! with a slash at its end; `HEAD` comes with every `GET`; `Allow` of a 405 lists the methods of the path's lines; an
//! unknown `{kind}` is 404 before any handler is asked ([`super::gate`]).

use axum::{
    Router,
    handler::Handler,
    http::Method,
    middleware::map_response,
    response::Response,
    routing::{MethodFilter, MethodRouter, on},
};

use super::{
    RestState, audit, error, everything, history, instance, kind, metadata, negotiate, operation, search, system,
};

/// Everything below the FHIR base.
#[rustfmt::skip]
pub fn table() -> Vec<Route> {
    vec![
        get("/metadata", metadata::get).without_token(),

        // the system
        post("/", system::bundle).is(System("transaction")).is(System("batch")),
        get("/_history", history::of_system).is(System("history-system")),
        get("/", search::system).is(System("search-system")),
        post("/_search", search::system_form).reading(),
        post("/$set-context", operation::set_context).is(SET_CONTEXT),
        post("/$clear-context", operation::clear_context).is(CLEAR_CONTEXT),

        // a type
        post("/{kind}", kind::create).is(Type("create")).is(CONDITIONAL_CREATE),
        get("/{kind}/_history", history::of_type).is(Type("history-type")),
        put("/{kind}", kind::update).is(Flag("conditionalUpdate")),
        patch("/{kind}", kind::patch),
        delete("/{kind}", kind::delete).is(Code("conditionalDelete", "single")),
        get("/{kind}", search::kind).is(Type("search-type")),
        post("/{kind}/_search", search::kind_form).reading(),
        post("/{kind}/$validate", operation::validate_type).reading().is(VALIDATE),
        get("/Subscription/$status", operation::statuses_get),
        post("/Subscription/$status", operation::statuses_post).reading().is(STATUS),

        // the audit trail, and nothing else of that type: see [`super::gate`]
        get("/AuditEvent", audit::search),
        post("/AuditEvent/_search", audit::search_form).reading(),
        get("/AuditEvent/{id}", audit::read),
        post("/AuditEvent/$validate", audit::validate).reading().is(VALIDATE),

        // a compartment
        get("/{kind}/{id}/{member}", search::compartment)
            .is(Compartment("http://hl7.org/fhir/CompartmentDefinition/patient"))
            .is(Compartment("http://hl7.org/fhir/CompartmentDefinition/encounter"))
            .is(Compartment("http://hl7.org/fhir/CompartmentDefinition/practitioner"))
            .is(Compartment("http://hl7.org/fhir/CompartmentDefinition/relatedPerson"))
            .is(Compartment("http://hl7.org/fhir/CompartmentDefinition/device")),
        post("/{kind}/{id}/{member}/_search", search::compartment_form).reading(),

        // an instance
        get("/{kind}/{id}", instance::read).is(Type("read")).is(CONDITIONAL_READ),
        put("/{kind}/{id}", instance::update).is(Type("update")),
        patch("/{kind}/{id}", instance::patch)
            .is(Type("patch"))
            .is(PatchFormat("application/json-patch+json"))
            .is(PatchFormat("application/fhir+json"))
            .is(PatchFormat("application/fhir+xml")),
        delete("/{kind}/{id}", instance::delete).is(Type("delete")),
        get("/{kind}/{id}/_history", history::of_instance).is(Type("history-instance")),
        get("/{kind}/{id}/_history/{version}", instance::vread).is(Type("vread")),
        get("/Patient/{id}/$everything", everything::everything),
        post("/Patient/{id}/$everything", everything::everything_post).reading().is(EVERYTHING),
        get("/{kind}/{id}/$meta", everything::meta),
        post("/{kind}/{id}/$meta", everything::meta_post).reading().is(META),
        get("/{kind}/{id}/_history/{version}/$meta", everything::version_meta),
        post("/{kind}/{id}/_history/{version}/$meta", everything::version_meta_post).reading().is(META),
        post("/{kind}/{id}/$meta-add", everything::meta_add).is(META_ADD),
        post("/{kind}/{id}/$meta-delete", everything::meta_delete).is(META_DELETE),
        get("/{kind}/{id}/$validate", operation::validate_stored),
        post("/{kind}/{id}/$validate", operation::validate_instance).reading().is(VALIDATE),
        get("/Subscription/{id}/$status", operation::status),
        post("/Subscription/{id}/$status", operation::status).reading().is(STATUS),
        get("/Subscription/{id}/$events", operation::events_get),
        post("/Subscription/{id}/$events", operation::events_post).reading().is(EVENTS),
    ]
}

const CONDITIONAL_CREATE: Claim = Flag("conditionalCreate");
const CONDITIONAL_READ: Claim = Code("conditionalRead", "full-support");

const SET_CONTEXT: Claim =
    SystemOperation("set-context", "http://fhir.infoway-inforoute.ca/io/HALO/OperationDefinition/set-context");
const CLEAR_CONTEXT: Claim =
    SystemOperation("clear-context", "http://fhir.infoway-inforoute.ca/io/HALO/OperationDefinition/clear-context");
const VALIDATE: Claim = Operation("validate", "http://hl7.org/fhir/OperationDefinition/Resource-validate");
const EVERYTHING: Claim =
    OperationOf("Patient", "everything", "http://hl7.org/fhir/OperationDefinition/Patient-everything");
const META: Claim = Operation("meta", "http://hl7.org/fhir/OperationDefinition/Resource-meta");
const META_ADD: Claim = Operation("meta-add", "http://hl7.org/fhir/OperationDefinition/Resource-meta-add");
const META_DELETE: Claim = Operation("meta-delete", "http://hl7.org/fhir/OperationDefinition/Resource-meta-delete");
const STATUS: Claim = OperationOf(
    "Subscription",
    "status",
    "http://hl7.org/fhir/uv/subscriptions-backport/OperationDefinition/backport-subscription-status",
);
const EVENTS: Claim = OperationOf(
    "Subscription",
    "events",
    "http://hl7.org/fhir/uv/subscriptions-backport/OperationDefinition/backport-subscription-events",
);

use Claim::{Code, Compartment, Flag, Operation, OperationOf, PatchFormat, System, SystemOperation, Type};

/// What the CapabilityStatement says because of a route (FHIR R4 capabilitystatement.html).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Claim {
    /// `rest.interaction.code`, such as `transaction`.
    System(&'static str),
    /// `rest.resource.interaction.code` of every type, such as `read`. With `search-type` and `search-system` go their
    /// parameters.
    Type(&'static str),
    /// An element of every `rest.resource` that is true, such as `conditionalUpdate`.
    Flag(&'static str),
    /// An element of every `rest.resource` with a code, such as `conditionalDelete` and `multiple`.
    Code(&'static str, &'static str),
    /// `rest.operation`: name and definition.
    SystemOperation(&'static str, &'static str),
    /// `rest.resource.operation` of every type: name and definition.
    Operation(&'static str, &'static str),
    /// `rest.resource.operation` of one type: type, name and definition.
    OperationOf(&'static str, &'static str, &'static str),
    /// `rest.compartment`: its definition.
    Compartment(&'static str),
    /// `patchFormat`
    PatchFormat(&'static str),
}

/// One method at one path.
pub struct Route {
    path: &'static str,
    method: Method,
    handler: MethodRouter<RestState>,
    claims: Vec<Claim>,
    needs_token: bool,
}

impl Route {
    /// Says what the route stands for in the CapabilityStatement; may be repeated.
    fn is(mut self, claim: Claim) -> Self {
        self.claims.push(claim);
        self
    }

    /// Changes nothing, so an answer that has not the form asked for can be refused: see [`super::negotiate`].
    fn reading(mut self) -> Self {
        self.handler = self.handler.layer(map_response(|mut response: Response| async {
            response.extensions_mut().insert(negotiate::Read);
            response
        }));
        self
    }

    /// Offered to everybody, from pages of any origin.
    fn without_token(mut self) -> Self {
        self.needs_token = false;
        self
    }
}

fn route<H, T>(path: &'static str, method: Method, filter: MethodFilter, handler: H) -> Route
where
    H: Handler<T, RestState>,
    T: 'static,
{
    Route { path, method, handler: on(filter, handler), claims: Vec::new(), needs_token: true }
}

fn get<H: Handler<T, RestState>, T: 'static>(path: &'static str, handler: H) -> Route {
    route(path, Method::GET, MethodFilter::GET, handler).reading()
}

fn post<H: Handler<T, RestState>, T: 'static>(path: &'static str, handler: H) -> Route {
    route(path, Method::POST, MethodFilter::POST, handler)
}

fn put<H: Handler<T, RestState>, T: 'static>(path: &'static str, handler: H) -> Route {
    route(path, Method::PUT, MethodFilter::PUT, handler)
}

fn patch<H: Handler<T, RestState>, T: 'static>(path: &'static str, handler: H) -> Route {
    route(path, Method::PATCH, MethodFilter::PATCH, handler)
}

fn delete<H: Handler<T, RestState>, T: 'static>(path: &'static str, handler: H) -> Route {
    route(path, Method::DELETE, MethodFilter::DELETE, handler)
}

/// What all routes claim, each once, in the table's order.
pub fn claims() -> Vec<Claim> {
    let mut claims = Vec::new();
    for claim in table().into_iter().flat_map(|route| route.claims) {
        if !claims.contains(&claim) {
            claims.push(claim);
        }
    }
    claims
}

/// The methods of a path as a router knows it ([`axum::extract::MatchedPath`]), for `Allow`.
pub fn methods(base: &str, matched: &str) -> Vec<Method> {
    let path = matched.strip_prefix(base).unwrap_or(matched).trim_end_matches('/');
    let routes = table().into_iter().filter(|route| route.path.trim_end_matches('/') == path);
    let own = routes.flat_map(|route| match route.method {
        Method::GET => vec![Method::GET, Method::HEAD],
        other => vec![other],
    });
    own.collect()
}

/// The routes, by who may call them.
pub struct Routers {
    /// Those that need a token.
    pub guarded: Router<RestState>,
    /// Those that do not.
    pub open: Router<RestState>,
    /// Those of the base itself: for the base with a slash at its end, which a nested router does not answer.
    pub base: MethodRouter<RestState>,
}

/// Makes the routers.
pub fn routers() -> Routers {
    let base = table().into_iter().filter(|route| route.path == "/").map(|route| route.handler);
    let base = base.fold(MethodRouter::new(), MethodRouter::merge).fallback(error::wrong_method);
    let (guarded, open): (Vec<_>, Vec<_>) = table().into_iter().partition(|route| route.needs_token);
    Routers { guarded: router(guarded), open: router(open), base }
}

fn router(routes: Vec<Route>) -> Router<RestState> {
    let add = |router: Router<RestState>, route: Route| {
        let router = router.route(route.path, route.handler.clone());
        if route.path == "/" { router } else { router.route(&format!("{}/", route.path), route.handler) }
    };
    routes.into_iter().fold(Router::new(), add).method_not_allowed_fallback(error::wrong_method)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_line_stands_twice() {
        let mut lines: Vec<_> = table().into_iter().map(|route| (route.path, route.method.to_string())).collect();
        let count = lines.len();
        lines.sort_unstable();
        lines.dedup();
        assert_eq!(lines.len(), count);
    }

    #[test]
    fn the_methods_of_a_path_are_those_of_its_lines() {
        let told = |path| methods("/fhir", path).iter().map(Method::to_string).collect::<Vec<_>>().join(" ");
        assert_eq!(told("/fhir/{kind}/{id}"), "GET HEAD PUT PATCH DELETE");
        assert_eq!(told("/fhir/{kind}/{id}/"), "GET HEAD PUT PATCH DELETE");
        assert_eq!(told("/fhir/"), "POST GET HEAD");
        assert_eq!(told("/fhir/nothing"), "");
    }
}
