//! No search reads a table from end to end: Postgres is forbidden to, as far as it can be, and must find another way.

use std::collections::BTreeMap;

use sofa::fhir::definition::registry::Registry;
use sofa::fhir::search::{
    Filter, Handling, Level, Limit, Parameters, Request, Share, Whose, condition, parse, patient_compartment,
};
use sofa::store::resource::Visible;
use sofa::store::search::{Reach, plan};
use sqlx::{Connection, PgConnection};

use crate::support::db::db;

/// Type and parameters.
const SEARCHES: &[&str] = &[
    "Observation?",
    "Observation?code=a",
    "Observation?code=s|a,s|b&status=final",
    "Observation?code:not=a",
    "Observation?code:text=a",
    "Observation?code:in=http://hl7.org/fhir/ValueSet/observation-status",
    "Observation?value-quantity=gt5|s|kg",
    "Observation?code-value-quantity=a$gt5",
    "Observation?combo-code-value-quantity=a$gt5",
    "Observation?date=2020",
    "Observation?date=ge2020&date=lt2021",
    "Observation?date=ap2020",
    "Observation?subject=Patient/1",
    "Observation?subject=1",
    "Observation?subject:identifier=s|1",
    "Observation?subject:Patient.name=a",
    "Observation?subject.name=a",
    "Observation?subject:Patient.organization.name=a",
    "Observation?_sort=-date",
    "Observation?_sort=status,-date,_id",
    "Observation?_sort=value-quantity&code=a",
    "Observation?_sort=-_lastUpdated",
    "Observation?subject:missing=true",
    "Observation?date:missing=false",
    "Patient?name=a",
    "Patient?name:exact=a",
    "Patient?name:contains=abcd",
    "Patient?identifier=s|1",
    "Patient?identifier:of-type=s|a|1",
    "Patient?_has:Observation:patient:code=a",
    "Patient?_has:Observation:patient:_has:AuditEvent:entity:agent=a",
    "Patient?_id=1,2,3",
    "Patient?_lastUpdated=gt2020",
    "Patient?_tag=a&_profile=http://a&_source=http://b",
    "Patient?_text=a",
    "Patient?_content=a",
    "Patient?_list=1",
    "ValueSet?url=http://a",
    "ValueSet?url:below=http://a",
    "ValueSet?url:above=http://a/b/c",
    "DiagnosticReport?",
    "DiagnosticReport?subject.name=a",
    "Patient?_has:DiagnosticReport:patient:code=a",
    "RiskAssessment?probability=gt0.5",
];

#[tokio::test]
async fn every_kind_of_search_starts_from_an_index() {
    let database = db().await;
    let mut conn = PgConnection::connect_with(&database.options).await.unwrap();
    sqlx::query("set enable_seqscan = off").execute(&mut conn).await.unwrap();
    let registry = Registry::built_in();
    let (parameters, _) = Parameters::new(&registry);
    let request = Request {
        parameters: &parameters,
        registry: &registry,
        base: "http://h/fhir",
        now: time::macros::datetime!(2026-01-01 00:00 UTC),
        handling: Handling::Strict,
        limits: Default::default(),
    };
    let context = sofa::id::new_uuid();
    let everything = || sofa::fhir::types::resource_types().map(|kind| (kind.to_owned(), Limit::Everything));
    let conditions = |text: &str| condition(&request, "Observation", text).expect("conditions").filters;
    let of_p =
        |filters: &[Filter]| Limit::union([Share { whose: Whose::Patient("p".to_owned()), filters: filters.to_vec() }]);
    let callers = [
        ("service", Visible::default(), everything().collect::<BTreeMap<_, _>>()),
        ("launch", Visible::of(7, Some(context), None), everything().collect()),
        ("poc", Visible::of(7, None, Some("poc".into())), everything().collect()),
        (
            "patient",
            Visible::of(7, Some(context), None),
            everything().map(|(kind, _)| (kind.clone(), of_p(&[]).for_type(&kind))).collect(),
        ),
        ("granular", Visible::of(7, Some(context), None), {
            let of_lab = of_p(&conditions("category=s|laboratory"));
            let several = Limit::union([
                Share { whose: Whose::OfShared(vec!["p".to_owned()]), filters: conditions("category=s|laboratory") },
                Share { whose: Whose::Anybodys, filters: conditions("status=final&date=ge2020") },
                Share { whose: Whose::Anybodys, filters: conditions("value-quantity=gt5|s|kg") },
            ]);
            let observations = [("Observation".to_owned(), of_lab)];
            everything().chain(observations).chain([("DiagnosticReport".to_owned(), several)]).collect()
        }),
        ("user", Visible::of(7, Some(context), None), {
            let reach = |kind: &str| Limit::union([Share::of(Whose::OfShared(vec!["p".to_owned()]))]).for_type(kind);
            everything().map(|(kind, _)| (kind.clone(), reach(&kind))).collect()
        }),
    ];
    let mut scans = Vec::new();
    for (caller, visible, types) in callers {
        let reach = Reach { visible, types, patients: patient_compartment() };
        for query in SEARCHES {
            let (kind, text) = query.split_once('?').unwrap();
            let pairs: Vec<_> = form_urlencoded::parse(text.as_bytes()).into_owned().collect();
            let query_of =
                |level| parse(&request, level, &pairs).unwrap_or_else(|wrong| panic!("{query}: {}", wrong.summary()));
            let mut levels = vec![Level::Type(kind)];
            if kind == "Observation" {
                levels.push(Level::Compartment { type_name: "Patient", id: "1", kind: Some(kind) });
            }
            for level in levels {
                let parsed = query_of(level);
                let lines = plan(&mut conn, &reach, &parsed.types, &parsed.filters, &parsed.sort).await.unwrap();
                let scan =
                    |line: &&String| line.contains("Seq Scan on resource") || line.contains("Seq Scan on search_");
                if let Some(line) = lines.iter().find(scan) {
                    scans.push(format!("{caller}: {query}: {line}"));
                }
            }
        }
    }
    assert!(scans.is_empty(), "{}", scans.join("\n"));
}

/// With another collation on one side Postgres cannot use the index of the other.
#[tokio::test]
async fn what_names_a_resource_compares_alike_in_every_table() {
    let database = db().await;
    let mut conn = PgConnection::connect_with(&database.options).await.unwrap();
    let columns: Vec<(String, String)> = sqlx::query_as(
        "select format('%s.%s', c.relname, a.attname), l.collname::text from pg_attribute a
         join pg_class c on c.oid = a.attrelid join pg_collation l on l.oid = a.attcollation
         where c.relkind = 'r' and (c.relname, a.attname) in (('resource', 'type'), ('resource', 'id'),
           ('resource_history', 'type'), ('resource_history', 'id'), ('context_link', 'type'), ('context_link', 'id'),
           ('search_reference', 'target_type'), ('search_reference', 'target_id'))",
    )
    .fetch_all(&mut conn)
    .await
    .unwrap();
    assert_eq!(columns.len(), 8);
    for (column, collation) in columns {
        assert_eq!(collation, "default", "{column}");
    }
}
